//! What a scan is made of: coding, distances of codes for one query and for many, distances of float32 rows.
//! `cargo bench -p ingot-engine --bench scan`; rows are clustered ones from a seed.

mod shared;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ingot_engine::codes::{Codes, QueryCode, TopCandidates};
use ingot_engine::exact;
use ingot_engine::vector::{Dimension, Metric};
use shared::Vectors;

const SEED: u64 = 1;
const DIMENSIONS: [usize; 2] = [384, 1536];
/// Candidates kept.
const KEPT: usize = 32;

fn main() {
    divan::main();
}

fn coded(rows: &Vectors, metric: Metric) -> Option<Codes> {
    let codes = Codes::new(metric, Dimension::new(rows.columns)?);
    (0..rows.len()).for_each(|row| codes.append(rows.row(row)));
    Some(codes)
}

/// One row after the other.
#[divan::bench(args = DIMENSIONS)]
fn quantise(bencher: Bencher, columns: usize) {
    let rows = Vectors::clustered(200, columns, SEED);
    let dimension = Dimension::new(columns);
    bencher.counter(ItemsCount::new(rows.len())).bench(|| {
        let codes = dimension.map(|dimension| Codes::new(Metric::Cosine, dimension));
        codes.iter().for_each(|codes| (0..rows.len()).for_each(|row| codes.append(rows.row(row))));
        codes
    });
}

/// One query: 1,000 rows stay in the cache of a core, 100,000 do not stay in any.
#[divan::bench(args = [(384, 1000), (384, 100_000), (1536, 1000)])]
fn codes(bencher: Bencher, (columns, count): (usize, usize)) {
    scan(bencher, Metric::Cosine, columns, count, 1);
}

/// 64 queries at once.
#[divan::bench(args = [(384, 1000), (384, 20_000), (1536, 1000)])]
fn codes_for_64_queries(bencher: Bencher, (columns, count): (usize, usize)) {
    scan(bencher, Metric::Cosine, columns, count, 64);
}

/// Bfloat16, pair by pair.
#[divan::bench(args = [(384, 1000)])]
fn codes_of_inner_products(bencher: Bencher, (columns, count): (usize, usize)) {
    scan(bencher, Metric::InnerProduct, columns, count, 1);
}

fn scan(bencher: Bencher, metric: Metric, columns: usize, count: usize, queries: usize) {
    let rows = Vectors::clustered(count, columns, SEED);
    let Some(codes) = coded(&rows, metric) else { return };
    let asked: Vec<QueryCode> = (0..queries).map(|query| codes.encode_query(rows.row(query * 13))).collect();
    let asked: Vec<&QueryCode> = asked.iter().collect();
    bencher.counter(ItemsCount::new(count * queries)).bench(|| {
        let mut tops = vec![TopCandidates::new(KEPT); queries];
        codes.scan_for(black_box(&asked), 0..count as u32, |_| true, &mut tops);
        tops
    });
}

/// What candidates are chosen by where there are no codes.
#[divan::bench(args = [(384, 1000), (384, 100_000)])]
fn rough(bencher: Bencher, (columns, count): (usize, usize)) {
    exactly(bencher, columns, count, exact::Query::rough);
}

/// What is answered, and what `exact` compares all rows by.
#[divan::bench(args = [(384, 1000), (384, 100_000)])]
fn distance(bencher: Bencher, (columns, count): (usize, usize)) {
    exactly(bencher, columns, count, exact::Query::distance);
}

fn exactly(bencher: Bencher, columns: usize, count: usize, measure: fn(&exact::Query, &[f32]) -> f32) {
    let rows = Vectors::clustered(count, columns, SEED);
    let query = exact::prepare(Metric::Cosine, rows.row(13));
    let bencher = bencher.counter(ItemsCount::new(count));
    bencher.counter(BytesCount::new(rows.values.len() * size_of::<f32>())).bench(|| {
        let mut top = TopCandidates::new(KEPT);
        for slot in 0..count {
            top.offer(measure(black_box(&query), rows.row(slot)), slot as u32);
        }
        top
    });
}

/// 32 candidates of 100,000 rows, far from each other, as a search of the graph leaves them.
#[divan::bench]
fn score_again(bencher: Bencher) {
    let rows = Vectors::clustered(100_000, 384, SEED);
    let query = exact::prepare(Metric::Cosine, rows.row(13));
    let mut turn = 0;
    bencher.counter(ItemsCount::new(KEPT)).bench_local(|| {
        turn += 1;
        let slots = (0..KEPT).map(|candidate| (candidate * 3001 + turn * 7919) % rows.len());
        let candidates: Vec<&[f32]> = slots.map(|slot| rows.row(slot)).collect();
        candidates.iter().for_each(|row| exact::prefetch(row));
        candidates.iter().map(|row| query.distance(row)).sum::<f32>()
    });
}
