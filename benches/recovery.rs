//! A directory opened again, and the first search in it: with a checkpoint, as `close` leaves it, and without one, as
//! a kill does. `cargo bench -p ingot-engine --bench recovery`; 100,000 rows from a seed.

mod shared;

use std::path::{Path, PathBuf};

use divan::Bencher;
use ingot_engine::store::{Options, Store};
use shared::{Outcome, Vectors, filled, how, indexed, search};

const SEED: u64 = 3;
const COLUMNS: usize = 128;
const ROWS: usize = 100_000;

fn main() {
    divan::main();
}

/// A folder that is removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ingot-bench-{name}-{}", std::process::id()));
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options() -> Options {
    // A graph would take longest to build and is not what is measured here.
    Options { graph_from_rows: usize::MAX, ..Options::default() }
}

fn reopen(folder: &Path, rows: &Vectors) -> Outcome<usize> {
    let store = Store::open(folder, options())?;
    let found = search(&store, &rows.rows(17, 1)?, how(10, None, false))?.len();
    store.close()?;
    Ok(found)
}

/// As it was closed.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn closed(bencher: Bencher) {
    let (folder, rows) = (Folder::new("closed"), Vectors::clustered(ROWS, COLUMNS, SEED));
    let filled = filled(folder.0.clone(), &rows, ROWS, options()).and_then(|store| {
        indexed(&store)?;
        Ok(store.close()?)
    });
    if filled.is_ok() {
        bencher.bench(|| reopen(&folder.0, &rows));
    }
}

/// From the log alone: what is derived from it is removed before.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn log_only(bencher: Bencher) {
    let (folder, rows) = (Folder::new("log"), Vectors::clustered(ROWS, COLUMNS, SEED));
    let filled = filled(folder.0.clone(), &rows, ROWS, options()).and_then(|store| Ok(store.close()?));
    if filled.is_ok() {
        bencher
            .with_inputs(|| drop(remove_derived(&folder.0.join("tenants"))))
            .bench_refs(|()| reopen(&folder.0, &rows));
    }
}

fn remove_derived(tenants: &Path) -> std::io::Result<()> {
    for tenant in std::fs::read_dir(tenants)? {
        for entry in std::fs::read_dir(tenant?.path())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}
