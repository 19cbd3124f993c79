//! Searches of an indexed tenant, through the store and scored again with float32, beside those of usearch alone:
//! the crate's index of the same int8 codes, added in the same order with the same parameters, searched with codes,
//! nothing scored again. Both answer the ten nearest at the same `ef`. Between them our graph by itself, on the same codes with
//! our metric, which tells what measuring on codes beside the graph costs from what scoring again costs.
//!
//! `cargo bench -p ingot-engine --bench graph_search -- ROWS QUERIES COLUMNS FOLDER ROUNDS`: two files of
//! little-endian float32 numbers, their columns, an empty folder for the store. Prints one JSON object a line.

mod shared;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use ingot_engine::codes::Codes;
use ingot_engine::graph::{Feed, Graph};
use ingot_engine::limits::{DEFAULT_EF, GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD};
use ingot_engine::store::Options;
use ingot_engine::vector::{Metric, Rows};
use shared::{Outcome, Vectors, filled, how, indexed, search};

const LIMIT: usize = 10;
const THREADS: usize = 2;
const EFS: [usize; 2] = [64, DEFAULT_EF];
/// Queries of one turn.
const TURN: usize = 100;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let [rows, queries, columns, folder, rounds] = arguments.as_slice() else {
        println!("skipped: wants ROWS QUERIES COLUMNS FOLDER ROUNDS");
        return Ok(());
    };
    let columns = columns.parse()?;
    let rows = Vectors::read(&PathBuf::from(rows), columns)?;
    let queries = Vectors::read(&PathBuf::from(queries), columns)?;
    let store = filled(PathBuf::from(folder), &rows, rows.len(), Options::default())?;
    indexed(&store)?;
    let asked = (0..queries.len()).map(|query| queries.rows(query, 1)).collect::<Outcome<Vec<Rows>>>()?;
    let plain = Plain::build(&rows, &queries)?;
    let graph = OnCodes::build(&rows)?;

    let truth: Vec<Vec<u64>> =
        asked.iter().map(|query| search(&store, query, how(LIMIT, None, true))).collect::<Outcome<_>>()?;
    for ef in EFS {
        plain.index.change_expansion_search(ef);
        let ours = asked.iter().map(|query| search(&store, query, how(LIMIT, Some(ef), false)));
        let theirs = (0..queries.len()).map(|query| plain.search(query));
        println!(
            r#"{{"ef": {ef}, "recall": {}, "plain_recall": {}}}"#,
            recall(&truth, ours)?,
            recall(&truth, theirs)?
        );
    }
    for _ in 0..rounds.parse()? {
        for ef in EFS {
            plain.index.change_expansion_search(ef);
            for threads in 1..=THREADS {
                let [mut ours, mut unscored, mut theirs] = [Duration::ZERO; 3];
                // In short turns, so that a busy neighbour of the machine is busy for both.
                for first in (0..asked.len()).step_by(TURN) {
                    let turn = first..asked.len().min(first + TURN);
                    ours += time(threads, turn.clone(), |query| {
                        search(&store, &asked[query], how(LIMIT, Some(ef), false)).map(drop)
                    })?;
                    unscored += time(threads, turn.clone(), |query| graph.search(queries.row(query), ef))?;
                    theirs += time(threads, turn, |query| plain.search(query).map(drop))?;
                }
                let [ours, unscored, theirs] =
                    [ours, unscored, theirs].map(|time| (threads * asked.len()) as f64 / time.as_secs_f64());
                println!(
                    r#"{{"ef": {ef}, "threads": {threads}, "ours": {ours}, "unscored": {unscored}, "plain": {theirs}}}"#
                );
            }
        }
    }
    store.close()?;
    Ok(())
}

/// How long it takes until every thread has asked all of `queries`.
fn time(
    threads: usize,
    queries: Range<usize>,
    search: impl Fn(usize) -> Outcome + Sync,
) -> Outcome<Duration> {
    let start = Barrier::new(threads + 1);
    let (search, start) = (&search, &start);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let queries = queries.clone();
                scope.spawn(move || {
                    start.wait();
                    // Not the same queries at the same moment.
                    let skipped = thread * queries.len() / threads;
                    queries.clone().cycle().skip(skipped).take(queries.len()).try_for_each(search)
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        for worker in workers {
            worker.join().map_err(|_| "a search panicked")??;
        }
        Ok(started.elapsed())
    })
}

fn recall(truth: &[Vec<u64>], found: impl Iterator<Item = Outcome<Vec<u64>>>) -> Outcome<f64> {
    let (mut hits, mut wanted) = (0, 0);
    for (truth, found) in truth.iter().zip(found) {
        let found = found?;
        hits += truth.iter().filter(|row| found.contains(row)).count();
        wanted += truth.len();
    }
    Ok(f64::from(u32::try_from(hits)?) / f64::from(u32::try_from(wanted)?))
}

/// Adds so many slots in the order and by as many threads as a store does.
fn feed(count: usize, add: impl Fn(u32) -> Outcome + Sync) -> Outcome {
    let count = u32::try_from(count)?;
    let add = &add;
    for start in (0..count).step_by(Feed::WINDOW as usize) {
        let feed = Feed::new(start..count.min(start + Feed::WINDOW), THREADS);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..feed.workers())
                .map(|worker| {
                    let part = feed.part(worker);
                    scope.spawn(move || part.into_iter().try_for_each(add))
                })
                .collect();
            for worker in workers {
                worker.join().map_err(|_| "an add panicked")??;
            }
            Outcome::Ok(())
        })?;
    }
    Ok(())
}

/// Our graph on our codes, searched by itself.
struct OnCodes {
    codes: Arc<Codes>,
    graph: Graph,
}

impl OnCodes {
    fn build(rows: &Vectors) -> Outcome<Self> {
        let codes = Arc::new(Codes::new(Metric::Cosine, rows.dimension()?));
        (0..rows.len()).for_each(|row| codes.append(rows.row(row)));
        let graph = Graph::new(Arc::clone(&codes), GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD, THREADS)?;
        feed(rows.len(), |slot| Ok(graph.add(slot)?))?;
        Ok(Self { codes, graph })
    }

    fn search(&self, query: &[f32], ef: usize) -> Outcome {
        let found = self.graph.search(&self.codes.encode_query(query), LIMIT, ef, None);
        found.map(drop).ok_or_else(|| "the graph was busy".into())
    }
}

/// usearch's own int8 index with its own cosine, over our codes.
struct Plain {
    index: usearch::Index,
    queries: Vec<i8>,
    columns: usize,
}

impl Plain {
    fn build(rows: &Vectors, queries: &Vectors) -> Outcome<Self> {
        let columns = rows.columns;
        let codes = coded(rows)?;
        let index = usearch::Index::new(&usearch::IndexOptions {
            dimensions: columns,
            metric: usearch::MetricKind::Cos,
            quantization: usearch::ScalarKind::I8,
            connectivity: GRAPH_CONNECTIVITY,
            expansion_add: GRAPH_EXPANSION_ADD,
            expansion_search: DEFAULT_EF,
            multi: false,
        })?;
        index.reserve_capacity_and_threads(rows.len(), THREADS)?;
        feed(rows.len(), |slot| Ok(index.add(slot.into(), &codes[slot as usize * columns..][..columns])?))?;
        Ok(Self { index, queries: coded(queries)?, columns })
    }

    fn search(&self, query: usize) -> Outcome<Vec<u64>> {
        Ok(self.index.search(&self.queries[query * self.columns..][..self.columns], LIMIT)?.keys)
    }
}

/// Our int8 codes, one behind the other without padding.
fn coded(rows: &Vectors) -> Outcome<Vec<i8>> {
    let codes = Codes::new(Metric::Cosine, rows.dimension()?);
    (0..rows.len()).for_each(|row| codes.append(rows.row(row)));
    let bytes = codes.parts(u32::try_from(rows.len())?).ok_or("fewer codes than rows")?.concat();
    let whole = bytes.chunks_exact(codes.row_bytes());
    Ok(whole.flat_map(|code| &code[..rows.columns]).map(|&byte| byte as i8).collect())
}
