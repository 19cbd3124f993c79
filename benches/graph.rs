//! Adds to a graph and searches in it, on one thread. `cargo bench -p ingot-engine --bench graph`; rows are clustered
//! ones from a seed.

mod shared;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use ingot_engine::codes::Codes;
use ingot_engine::graph::Graph;
use ingot_engine::limits::{GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD};
use ingot_engine::vector::{Dimension, Metric};
use shared::Vectors;

const SEED: u64 = 2;
const COLUMNS: usize = 384;
const ROWS: usize = 20_000;
/// Adds of one sample.
const ADDED: usize = 200;
/// Candidates a search wants.
const WANTED: usize = 32;

fn main() {
    divan::main();
}

/// A graph of the first rows, all of which have codes.
fn grown(rows: &Vectors, count: usize) -> Option<(Arc<Codes>, Graph)> {
    let codes = Arc::new(Codes::new(Metric::Cosine, Dimension::new(rows.columns)?));
    (0..rows.len()).for_each(|row| codes.append(rows.row(row)));
    let graph = Graph::new(Arc::clone(&codes), GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD, 1).ok()?;
    (0..count as u32).try_for_each(|slot| graph.add(slot)).ok()?;
    Some((codes, graph))
}

/// The next rows of a graph that grows from 10,000 rows on.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn add(bencher: Bencher) {
    let rows = Vectors::clustered(ROWS, COLUMNS, SEED);
    let Some((_, graph)) = grown(&rows, ROWS / 2) else { return };
    bencher.counter(ItemsCount::new(ADDED)).bench_local(|| {
        let next = graph.len() as u32;
        (next..next + ADDED as u32).for_each(|slot| drop(graph.add(slot)));
    });
}

/// By the number of candidates kept.
#[divan::bench(args = [64, 128])]
fn search(bencher: Bencher, ef: usize) {
    let rows = Vectors::clustered(ROWS, COLUMNS, SEED);
    let Some((codes, graph)) = grown(&rows, ROWS) else { return };
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 7919;
        graph.search(&codes.encode_query(rows.row(turn % ROWS)), WANTED, ef, None)
    });
}
