//! What happens to the numbers of an upload before they are written: read, looked at, laid out, checksummed.
//! `cargo bench -p ingot-engine --bench intake`

#![allow(clippy::unwrap_used, missing_docs)]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ingot_engine::body::{JsonReader, NpyReader, Purpose};
use ingot_engine::format::checksum::crc32c;
use ingot_engine::format::draft::{DraftBatch, DraftBody};
use ingot_engine::validate;
use ingot_engine::vector::{Dimension, Metric, Rows};

const ROWS: usize = 2000;
/// As large as the event loop hands them over.
const CHUNK: usize = 256 * 1024;

fn main() {
    divan::main();
}

/// Numbers between -1 and 1, most of them small, as those of unit vectors are.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (next() + next() + next()) * 0.1).collect()
}

fn text(dimension: usize, digits: usize) -> Vec<u8> {
    let rows = numbers(ROWS * dimension);
    let rows = rows.chunks(dimension).map(|row| {
        let row = row.iter().map(|&number| {
            let number = f64::from(number);
            let zeros = (-number.abs().log10()).max(0.0).floor() as usize;
            format!("{number:.*}", digits + zeros)
        });
        format!("[{}]", row.collect::<Vec<_>>().join(","))
    });
    format!("{{\"embeddings\":[{}]}}", rows.collect::<Vec<_>>().join(",")).into_bytes()
}

fn npy(dimension: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, {dimension}), }}");
    let header = format!("{header:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend(numbers(ROWS * dimension).iter().flat_map(|number| number.to_le_bytes()));
    file
}

fn rows(dimension: usize) -> Rows {
    let mut rows = Rows::new(Dimension::new(dimension).unwrap());
    rows.extend(&numbers(ROWS * dimension));
    rows
}

#[divan::bench(args = [(384, 9), (384, 17), (1536, 9), (1536, 17)])]
fn read_json(bencher: Bencher, (dimension, digits): (usize, usize)) {
    let body = text(dimension, digits);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let mut reader = JsonReader::new(Purpose::Insert);
        body.chunks(CHUNK).for_each(|chunk| reader.push(black_box(chunk)).unwrap());
        reader.finish().unwrap()
    });
}

#[divan::bench(args = [384, 3024])]
fn read_npy(bencher: Bencher, dimension: usize) {
    let body = npy(dimension);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let mut reader = NpyReader::new(Purpose::Insert);
        body.chunks(CHUNK).for_each(|chunk| reader.push(black_box(chunk)).unwrap());
        reader.finish().unwrap()
    });
}

#[divan::bench(args = [384, 3024])]
fn copy(bencher: Bencher, dimension: usize) {
    let numbers = numbers(ROWS * dimension);
    bencher.counter(BytesCount::of_slice(&numbers)).bench_local(|| {
        let mut rows = Rows::new(Dimension::new(dimension).unwrap());
        rows.extend(black_box(&numbers));
        rows
    });
}

#[divan::bench(args = [384, 3024])]
fn validate_rows(bencher: Bencher, dimension: usize) {
    let rows = rows(dimension);
    let bytes = ROWS * dimension * 4;
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| validate::upload(black_box(&rows), Some(Metric::Cosine)).unwrap());
}

#[divan::bench(args = [384, 3024])]
fn lay_out(bencher: Bencher, dimension: usize) {
    bencher
        .counter(BytesCount::new(ROWS * dimension * 4))
        .with_inputs(|| rows(dimension))
        .bench_local_values(|rows| {
            let (source_id, row_count) = ("a".to_owned(), rows.len());
            let batch = DraftBatch { source_id, metadata: None, row_count, continues: false };
            DraftBody::new(black_box(rows), None, vec![batch])
        });
}

#[divan::bench(args = [4096, 65536, 1 << 20])]
fn checksum(bencher: Bencher, bytes: usize) {
    let bytes = vec![7; bytes];
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| crc32c(black_box(&bytes)));
}
