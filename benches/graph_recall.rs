//! Recall and speed of the graph, the scan and the exact distances on real embeddings.
//!
//! `INGOT_BENCH_DATA=<folder> cargo bench --bench graph_recall [-- <prefix>...]`: the folder holds
//! `<prefix>.f16.npy`, `<prefix>.queries.f16.npy` and `<prefix>.gt100.i32.npy` (exact cosine neighbours).
//! `INGOT_BENCH_PLAIN=1` builds usearch's own int8 index from the same rows in the same order beside it.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ingot_engine::codes::{Codes, TopCandidates};
use ingot_engine::exact;
use ingot_engine::graph::{Feed, Graph};
use ingot_engine::limits::{GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD};
use ingot_engine::vector::{Dimension, Metric};

const THREADS: usize = 2;
/// Candidates that are scored again for the best ten.
const SCORED_AGAIN: usize = 32;
type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let Some(folder) = std::env::var_os("INGOT_BENCH_DATA").map(PathBuf::from) else {
        println!("skipped: INGOT_BENCH_DATA names no folder");
        return Ok(());
    };
    let mut prefixes: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    if prefixes.is_empty() {
        prefixes = ["debian-minilm-384", "openai-ada002-1536"].map(String::from).into();
    }
    for prefix in prefixes {
        if folder.join(format!("{prefix}.f16.npy")).exists() {
            measure(&Data::read(&folder, &prefix)?)?;
        } else {
            println!("skipped: no {prefix} in {}", folder.display());
        }
    }
    Ok(())
}

fn measure(data: &Data) -> Result<(), Failure> {
    let count = data.rows.len() / data.columns;
    println!("{}: {count} rows of {} columns, {} queries", data.name, data.columns, data.queries());

    let dimension = Dimension::new(data.columns).ok_or("too many columns")?;
    let codes = Arc::new(Codes::new(Metric::Cosine, dimension));
    let (coding, ()) = timed(|| data.rows.chunks_exact(data.columns).for_each(|row| codes.append(row)));
    rate("code, 1 thread", count, coding);
    let cached = 256 * 1024 / data.columns / size_of::<f32>();
    let rows = || data.rows.chunks_exact(data.columns).take(cached).cycle().take(count);
    let (coding, ()) = timed(|| rows().for_each(|row| drop(black_box(codes.encode_query(row)))));
    rate("code queries, 1 thread, in cache", count, coding);
    kernels(data, &codes);

    for (name, alternate) in [("contiguous parts", false), ("alternate rows", true)] {
        let graph = Graph::new(Arc::clone(&codes), GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD, THREADS)?;
        let (building, ()) = timed(|| build(&graph, count as u32, alternate));
        rate(&format!("build, {THREADS} threads, {name}"), count, building);
        for ef in [64, 128] {
            searches(data, &format!("search, ef {ef}, {name}"), |query| {
                let query = codes.encode_query(query);
                let found = graph.search(&query, SCORED_AGAIN, ef, None).unwrap_or_default();
                found.into_iter().map(|(_, slot)| slot as usize).collect()
            });
        }
        println!("  memory {:.1} MB, saved {:.1} MB", mb(graph.memory_bytes()), mb(graph.to_bytes().len()));
    }
    contended(data, &codes)?;
    if std::env::var_os("INGOT_BENCH_PLAIN").is_some() {
        plain(data, count)?;
    }
    Ok(())
}

fn build(graph: &Graph, count: u32, alternate: bool) {
    let add = |slot| graph.add(slot).unwrap_or_else(|e| panic!("{e}"));
    for start in (0..count).step_by(Feed::WINDOW as usize) {
        let feed = Feed::new(start..count.min(start + Feed::WINDOW), THREADS);
        let next = AtomicUsize::new(start as usize);
        std::thread::scope(|scope| {
            for worker in 0..if alternate { THREADS } else { feed.workers() } {
                let (feed, next) = (&feed, &next);
                scope.spawn(move || {
                    if alternate {
                        let end = count.min(start + Feed::WINDOW) as usize;
                        while let slot @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                            && slot < end
                        {
                            add(slot as u32);
                        }
                    } else {
                        feed.part(worker).for_each(add);
                    }
                });
            }
        });
    }
}

/// Searches while the graph is built.
fn contended(data: &Data, codes: &Arc<Codes>) -> Result<(), Failure> {
    let graph = Graph::new(Arc::clone(codes), GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD, THREADS)?;
    let building = AtomicBool::new(true);
    let (time, mut waits, refused) = std::thread::scope(|scope| {
        let searcher = scope.spawn(|| {
            let (mut waits, mut refused) = (Vec::new(), 0);
            let mut queries = data.asked.chunks_exact(data.columns).cycle();
            while let (true, Some(query)) = (building.load(Ordering::Relaxed), queries.next()) {
                let query = codes.encode_query(query);
                let (wait, found) = timed(|| graph.search(&query, SCORED_AGAIN, 64, None));
                refused += usize::from(found.is_none());
                waits.push(wait);
            }
            (waits, refused)
        });
        let (time, ()) = timed(|| build(&graph, codes.len() as u32, false));
        building.store(false, Ordering::Relaxed);
        searcher.join().map(|(waits, refused)| (time, waits, refused)).unwrap_or_default()
    });
    rate("build while one thread searches", codes.len(), time);
    waits.sort();
    let part = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or_default();
    println!(
        "  {} searches meanwhile, {refused} refused; median {:?}, 99 % within {:?}",
        waits.len(),
        part(50),
        part(99)
    );
    Ok(())
}

/// Scan of the codes, of the float32 rows, and the exact distance, on as much as stays in the cache and on
/// everything.
fn kernels(data: &Data, codes: &Codes) {
    let query = &data.asked[..data.columns];
    let (code, prepared) = (codes.encode_query(query), exact::prepare(Metric::Cosine, query));
    for cached in [true, false] {
        let rows = if cached { 512 * 1024 / data.columns } else { codes.len() };
        let place = if cached { "in cache" } else { "all" };
        let repeats = (20_000_000 / data.columns * 8 / rows).max(1);
        let (scanning, ()) = timed(|| {
            for _ in 0..repeats {
                let mut top = TopCandidates::new(SCORED_AGAIN);
                codes.scan(black_box(&code), 0..rows as u32, |_| true, &mut top);
                black_box(top);
            }
        });
        rate(&format!("scan codes, {place}"), rows * repeats, scanning);
        let rows = if cached { rows / 4 } else { rows };
        for (name, exact) in [("rough", false), ("exact", true)] {
            let (scanning, ()) = timed(|| {
                for _ in 0..repeats {
                    for row in data.rows[..rows * data.columns].chunks_exact(data.columns) {
                        black_box(if exact { prepared.distance(row) } else { prepared.rough(row) });
                    }
                }
            });
            rate(&format!("{name} float32, {place}"), rows * repeats, scanning);
        }
    }
}

/// usearch's own int8 index, fed in the same order.
fn plain(data: &Data, count: usize) -> Result<(), Failure> {
    let index = usearch::Index::new(&usearch::IndexOptions {
        dimensions: data.columns,
        metric: usearch::MetricKind::Cos,
        quantization: usearch::ScalarKind::I8,
        connectivity: GRAPH_CONNECTIVITY,
        expansion_add: GRAPH_EXPANSION_ADD,
        expansion_search: 1,
        multi: false,
    })?;
    index.reserve_capacity_and_threads(count, THREADS)?;
    let (building, ()) = timed(|| {
        for start in (0..count as u32).step_by(Feed::WINDOW as usize) {
            let feed = Feed::new(start..(count as u32).min(start + Feed::WINDOW), THREADS);
            std::thread::scope(|scope| {
                for worker in 0..feed.workers() {
                    let (feed, index) = (&feed, &index);
                    scope.spawn(move || {
                        for slot in feed.part(worker) {
                            let added = index.add(slot.into(), data.row(slot as usize));
                            added.unwrap_or_else(|e| panic!("{e}"));
                        }
                    });
                }
            });
        }
    });
    rate(&format!("plain usearch: build, {THREADS} threads"), count, building);
    for ef in [64, 128] {
        searches(data, &format!("plain usearch: search, ef {ef}"), |query| {
            let found = index.search(query, ef).map(|found| found.keys).unwrap_or_default();
            found.into_iter().take(SCORED_AGAIN).map(|slot| slot as usize).collect()
        });
    }
    Ok(())
}

/// Recall of the best ten, scored again, and searches per second on one thread.
fn searches(data: &Data, name: &str, search: impl Fn(&[f32]) -> Vec<usize>) {
    let mut found = 0;
    let (searching, ()) = timed(|| {
        for (query, truth) in data.asked.chunks_exact(data.columns).zip(data.truth.chunks_exact(100)) {
            let prepared = exact::prepare(Metric::Cosine, query);
            let mut scored: Vec<_> =
                search(query).into_iter().map(|row| (prepared.distance(data.row(row)), row)).collect();
            scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            scored.truncate(10);
            found += truth[..10].iter().filter(|row| scored.iter().any(|s| s.1 == **row)).count();
        }
    });
    let recall = found as f64 / (10 * data.queries()) as f64;
    println!(
        "  {name:<44} {:>12.0}/s  recall@10 {recall:.4}",
        data.queries() as f64 / searching.as_secs_f64()
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

fn rate(name: &str, rows: usize, time: Duration) {
    println!("  {name:<44} {:>12.0} rows/s", rows as f64 / time.as_secs_f64());
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// A set of embeddings, normalised.
struct Data {
    name: String,
    columns: usize,
    rows: Vec<f32>,
    asked: Vec<f32>,
    truth: Vec<usize>,
}

impl Data {
    fn read(folder: &Path, prefix: &str) -> Result<Self, Failure> {
        let open = |suffix: &str| npy(&folder.join(format!("{prefix}.{suffix}.npy")));
        let (rows, columns) = open("f16")?;
        let (asked, _) = open("queries.f16")?;
        let (truth, _) = open("gt100.i32")?;
        Ok(Self {
            name: prefix.to_owned(),
            columns,
            rows: unit_rows(&rows, columns),
            asked: unit_rows(&asked, columns),
            truth: truth.as_chunks().0.iter().map(|number| i32::from_le_bytes(*number) as usize).collect(),
        })
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.columns..(row + 1) * self.columns]
    }

    fn queries(&self) -> usize {
        self.asked.len() / self.columns
    }
}

/// Bytes of a two-dimensional C-order array and its number of columns.
fn npy(path: &Path) -> Result<(Vec<u8>, usize), Failure> {
    let bytes = std::fs::read(path)?;
    let length = u16::from_le_bytes(*bytes.get(8..10).and_then(<[u8]>::first_chunk).ok_or("no npy")?);
    let (header, body) = bytes[10..].split_at(length.into());
    let header = std::str::from_utf8(header)?;
    let shape =
        header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).ok_or("no shape")?.0;
    let columns = shape.split(", ").nth(1).ok_or("not two-dimensional")?.parse()?;
    Ok((body.to_vec(), columns))
}

fn unit_rows(halves: &[u8], columns: usize) -> Vec<f32> {
    let mut values: Vec<f32> =
        halves.as_chunks().0.iter().map(|half| half_to_float(u16::from_le_bytes(*half))).collect();
    for row in values.chunks_exact_mut(columns) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    values
}

fn half_to_float(half: u16) -> f32 {
    let magnitude = match (half >> 10 & 31, half & 1023) {
        (0, fraction) => f32::from(fraction) / (1u32 << 24) as f32,
        (exponent, fraction) => f32::from_bits((u32::from(exponent) + 112) << 23 | u32::from(fraction) << 13),
    };
    if half >> 15 == 1 { -magnitude } else { magnitude }
}
