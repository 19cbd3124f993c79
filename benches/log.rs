//! What a commit costs: records appended to a log on the disk of this machine, one sync a group.
//! `cargo bench -p ingot-engine --bench log`

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;
use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ingot_engine::format::draft::{Draft, DraftBatch, DraftBody};
use ingot_engine::format::record::Kind;
use ingot_engine::log::{Log, Sizes};
use ingot_engine::storage::{Disk, Storage};
use ingot_engine::vector::{Dimension, Rows};

fn main() {
    divan::main();
}

/// A log in a folder that is removed with it.
struct Scratch {
    log: Log,
    folder: PathBuf,
    lsn: u64,
    first_row: u64,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let log = Log::create(storage, &folder, [7; 16], Sizes::default()).unwrap();
        Self { log, folder, lsn: 0, first_row: 0 }
    }

    fn draft(&mut self, rows: usize, dimension: usize) -> Draft {
        let mut vectors = Rows::new(Dimension::new(dimension).unwrap());
        vectors.extend(&vec![0.25; rows * dimension]);
        self.lsn += 1;
        self.first_row += rows as u64;
        let source_id = format!("source-{}", self.lsn);
        let batch = DraftBatch { source_id, metadata: None, row_count: rows, continues: false };
        Draft {
            dimension: dimension as u16,
            first_row: self.first_row - rows as u64,
            body: DraftBody::new(vectors, None, vec![batch]),
            ..Draft::bare(Kind::Upload, self.lsn)
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[divan::bench(args = [(1, 384), (2000, 384), (2000, 3024)], sample_count = 30, sample_size = 1)]
fn append(bencher: Bencher, (rows, dimension): (usize, usize)) {
    let mut scratch = Scratch::new(&format!("append-{rows}-{dimension}"));
    // The log is used and the next record made in turn, never both at once.
    let scratch = std::cell::RefCell::new(&mut scratch);
    bencher
        .counter(BytesCount::new(rows * dimension * 4))
        .with_inputs(|| scratch.borrow_mut().draft(rows, dimension))
        .bench_local_values(|draft| {
            scratch.borrow_mut().log.append(&[black_box(&draft)]).unwrap();
            draft
        });
}

#[divan::bench(args = [1, 8, 32], sample_count = 100, sample_size = 1)]
fn group_of_single_rows(bencher: Bencher, records: usize) {
    let mut scratch = Scratch::new(&format!("group-{records}"));
    let scratch = std::cell::RefCell::new(&mut scratch);
    bencher
        .counter(ItemsCount::new(records))
        .with_inputs(|| (0..records).map(|_| scratch.borrow_mut().draft(1, 384)).collect::<Vec<_>>())
        .bench_local_values(|drafts| {
            scratch.borrow_mut().log.append(&drafts.iter().collect::<Vec<_>>()).unwrap();
            drafts
        });
}
