//! usearch by itself, fed from memory with the codes that the store makes of the same rows, in the same order; and
//! the memory of codes and graph.
//!
//! `cargo bench -p ingot-engine --bench raw_graph -- build <rows> <queries> <truth> <dimension>`: files of float32
//! rows and queries, and of u32 row numbers, ten a query. Prints seconds and recall@10 at the default `ef`: with two
//! threads that take the next row in turn, and with the rows handed out as the store's index workers get them.
//! `-- memory <rows> <dimension> cosine|ip|l2`: prints bytes of anonymous memory a row.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ingot_engine::codes::Codes;
use ingot_engine::exact;
use ingot_engine::graph::{Feed, Graph};
use ingot_engine::limits::{DEFAULT_EF, GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD};
use ingot_engine::memory_unsafe::give_back;
use ingot_engine::vector::{Dimension, Metric};

const THREADS: usize = 2;
/// Candidates that are scored again for the best ten, as a search of the store does.
const SCORED_AGAIN: usize = 32;
type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["build", rows, queries, truth, columns] => build(rows, queries, truth, columns.parse()?),
        ["memory", rows, columns, metric] => memory(rows, columns.parse()?, metric),
        _ => {
            println!("skipped: nothing is asked for (see the first lines of the source)");
            Ok(())
        }
    }
}

fn build(rows: &str, queries: &str, truth: &str, columns: usize) -> Result<(), Failure> {
    let (rows, queries) = (floats(Path::new(rows))?, floats(Path::new(queries))?);
    let truth: Vec<u32> = words(&std::fs::read(truth)?).map(u32::from_le_bytes).collect();
    let count = rows.len() / columns;
    let codes = coded(&rows, columns, Metric::Cosine)?;
    let codes_of: Vec<i8> = bytes_of(&codes)?.into_iter().map(|byte| byte as i8).collect();
    let width = codes.row_bytes();

    let empty = || -> Result<usearch::Index, Failure> {
        let index = usearch::Index::new(&usearch::IndexOptions {
            dimensions: columns,
            metric: usearch::MetricKind::Cos,
            quantization: usearch::ScalarKind::I8,
            connectivity: GRAPH_CONNECTIVITY,
            expansion_add: GRAPH_EXPANSION_ADD,
            expansion_search: 1,
            multi: false,
        })?;
        index.reserve_capacity_and_threads(count, THREADS)?;
        Ok(index)
    };
    let add = |index: &usearch::Index, slot: usize| {
        let code = &codes_of[slot * width..slot * width + columns];
        index.add(slot as u64, code).unwrap_or_else(|e| panic!("{e}"));
    };
    let index = empty()?;
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let slot = next.fetch_add(1, Ordering::Relaxed)
                    && slot < count
                {
                    add(&index, slot);
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let in_windows = empty()?;
    let started = Instant::now();
    let mut slot = 0;
    while slot < count as u32 {
        let window = Feed::window(slot, count as u32);
        slot = window.end;
        let feed = Feed::new(window, THREADS);
        std::thread::scope(|scope| {
            for worker in 0..feed.workers() {
                let (feed, add, index) = (&feed, &add, &in_windows);
                scope.spawn(move || feed.part(worker).for_each(|slot| add(index, slot as usize)));
            }
        });
    }
    let seconds_in_windows = started.elapsed().as_secs_f64();
    let recall = |index: &usearch::Index| -> Result<f64, Failure> {
        let mut found = 0;
        for (query, truth) in queries.chunks_exact(columns).zip(truth.chunks_exact(10)) {
            let code = bytes_of(&*coded(query, columns, Metric::Cosine)?)?;
            let code: Vec<i8> = code.into_iter().map(|byte| byte as i8).collect();
            let keys = index.search(&code[..columns], DEFAULT_EF)?.keys;
            let prepared = exact::prepare(Metric::Cosine, query);
            let mut scored: Vec<(f32, u64)> = keys
                .into_iter()
                .take(SCORED_AGAIN)
                .map(|key| (prepared.distance(&rows[key as usize * columns..][..columns]), key))
                .collect();
            scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            found += scored.iter().take(10).filter(|(_, key)| truth.contains(&(*key as u32))).count();
        }
        Ok(found as f64 / truth.len() as f64)
    };
    println!(
        r#"{{"seconds": {seconds}, "recall": {}, "in_windows": {{"seconds": {seconds_in_windows}, "recall": {}}}}}"#,
        recall(&index)?,
        recall(&in_windows)?
    );
    Ok(())
}

fn memory(rows: &str, columns: usize, metric: &str) -> Result<(), Failure> {
    let metric = match metric {
        "cosine" => Metric::Cosine,
        "ip" => Metric::InnerProduct,
        "l2" => Metric::L2,
        _ => return Err("no such metric".into()),
    };
    let rows = floats(Path::new(rows))?;
    let count = rows.len() / columns;
    let before = anonymous()?;
    let codes = coded(&rows, columns, metric)?;
    let coded = anonymous()?;
    let graph = Graph::new(Arc::clone(&codes), GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD, THREADS)?;
    for start in (0..count as u32).step_by(Feed::WINDOW as usize) {
        let feed = Feed::new(start..(count as u32).min(start + Feed::WINDOW), THREADS);
        std::thread::scope(|scope| {
            for worker in 0..feed.workers() {
                let (feed, graph) = (&feed, &graph);
                scope.spawn(move || {
                    feed.part(worker).for_each(|slot| graph.add(slot).unwrap_or_else(|e| panic!("{e}")));
                });
            }
        });
    }
    // As the store does when it has saved a graph.
    give_back();
    let after = anonymous()?;
    let per_row = |bytes: usize| bytes as f64 / count as f64;
    println!(
        "{{\"codes\": {}, \"graph\": {}, \"counted\": {}}}",
        per_row(coded - before),
        per_row(after - coded),
        per_row(graph.memory_bytes() + codes.memory_bytes())
    );
    Ok(())
}

fn coded(rows: &[f32], columns: usize, metric: Metric) -> Result<Arc<Codes>, Failure> {
    let codes = Codes::new(metric, Dimension::new(columns).ok_or("dimension")?);
    rows.chunks_exact(columns).for_each(|row| codes.append(row));
    Ok(Arc::new(codes))
}

fn bytes_of(codes: &Codes) -> Result<Vec<u8>, Failure> {
    Ok(codes.parts(codes.len() as u32).ok_or("codes")?.concat())
}

/// Anonymous memory of this process that is resident, in bytes.
fn anonymous() -> Result<usize, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<usize>()? * 1024)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.as_chunks().0.iter().copied()
}

fn floats(path: &Path) -> Result<Vec<f32>, Failure> {
    Ok(words(&std::fs::read(path)?).map(f32::from_le_bytes).collect())
}
