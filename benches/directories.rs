//! Makes large data directories in minutes: the engine itself, on a disk that does not sync. Nothing but the syncs
//! differs from what a server writes.
//!
//! `cargo bench -p ingot-engine --bench directories -- rows <directory> <rows> <dimension> <rows an upload>
//! [<seconds>]` fills the tenant `bench` and waits for its graph, not longer than so many seconds; what is there already
//! is kept, so that a run may be cut into several.
//! `-- tenants <directory> <tenants> <rows> <dimension>` fills `tenant-0`, `tenant-1` and so on.
//! Beside the directory lies `<directory>.queries`: 16 of the rows, slightly moved, as float32.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingot_engine::error::Error;
use ingot_engine::storage::{Disk, File, Map, Storage};
use ingot_engine::store::{Options, Store};
use ingot_engine::tenant::Upload;
use ingot_engine::vector::{Dimension, Rows};

type Failure = Box<dyn std::error::Error>;

/// Rows around one centre, one behind the other, as passages of a text would lie.
const AROUND_A_CENTRE: u64 = 50;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let number = |at: usize| -> Result<usize, Failure> {
        Ok(arguments.get(at).ok_or("a number is missing")?.parse()?)
    };
    match arguments.first().map(String::as_str) {
        Some("rows") => rows(Path::new(&arguments[1]), number(2)?, number(3)?, number(4)?, number(5).ok()),
        Some("tenants") => tenants(Path::new(&arguments[1]), number(2)?, number(3)?, number(4)?),
        _ => {
            println!("skipped: no directory is asked for (see the first lines of the source)");
            Ok(())
        }
    }
}

fn rows(
    directory: &Path,
    rows: usize,
    columns: usize,
    batch: usize,
    seconds: Option<usize>,
) -> Result<(), Failure> {
    let dimension = Dimension::new(columns).ok_or("dimension")?;
    let store = Store::open_on(Arc::new(WithoutSyncs(Disk)), directory, Options::default())?;
    let there = store.stats("bench").map_or(0, |(_, stats)| stats.rows as usize);
    let started = Instant::now();
    for first in (there..rows).step_by(batch) {
        let mut numbers = Rows::new(dimension);
        for row in first..rows.min(first + batch) {
            numbers.extend(&vector(row as u64, columns));
        }
        store.insert("bench", upload(format!("upload-{first}"), numbers))?;
    }
    println!("{} rows uploaded in {:?}", rows.saturating_sub(there), started.elapsed());
    let deadline = seconds.map(|seconds| started + Duration::from_secs(seconds as u64));
    let indexed = store.wait_indexed("bench", deadline, &|| Ok::<(), Error>(()))?;
    println!("{} {:?} after the first upload", if indexed { "indexed" } else { "cut" }, started.elapsed());
    store.close()?;
    queries(directory, rows, columns)
}

fn tenants(directory: &Path, tenants: usize, rows: usize, columns: usize) -> Result<(), Failure> {
    let dimension = Dimension::new(columns).ok_or("dimension")?;
    let options = Options { max_open_tenants: 16, ..Options::default() };
    let store = Store::open_on(Arc::new(WithoutSyncs(Disk)), directory, options)?;
    for tenant in 0..tenants {
        let mut numbers = Rows::new(dimension);
        for row in 0..rows {
            numbers.extend(&vector((tenant * rows + row) as u64, columns));
        }
        store.insert(&format!("tenant-{tenant}"), upload("upload".to_owned(), numbers))?;
    }
    store.close()?;
    queries(directory, tenants * rows, columns)
}

fn upload(source_id: String, rows: Rows) -> Upload {
    Upload { upsert: false, ..Upload::matrix(source_id, rows) }
}

fn queries(directory: &Path, rows: usize, columns: usize) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    for index in 0..16 {
        let mut query = vector((rows * index / 16) as u64, columns);
        let mut random = Random(index as u64 + 1);
        query.iter_mut().for_each(|x| *x += 0.1 * random.number() / (columns as f32).sqrt());
        query.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
    }
    let mut path = directory.as_os_str().to_owned();
    path.push(".queries");
    Ok(std::fs::write(PathBuf::from(path), bytes)?)
}

/// Row `row`: a unit vector near a centre that it shares with those beside it.
fn vector(row: u64, columns: usize) -> Vec<f32> {
    let mut own = Random((row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let centre = row / AROUND_A_CENTRE;
    let mut shared = Random((centre + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    let mut vector: Vec<f32> = (0..columns).map(|_| shared.number() + 0.5 * own.number()).collect();
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= norm);
    vector
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Sum of four uniform numbers, of mean 0 and variance 1.
    fn number(&mut self) -> f32 {
        let bits = self.next();
        let sum: u32 = (0..4).map(|part| (bits >> (16 * part)) as u32 & 0xFFFF).sum();
        (sum as f32 / 65536.0 - 2.0) * 3.0f32.sqrt()
    }
}

/// The disk, with syncs that do nothing.
struct WithoutSyncs(Disk);

struct FileWithoutSyncs(Arc<dyn File>);

impl Storage for WithoutSyncs {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(FileWithoutSyncs(self.0.create(path)?)))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(FileWithoutSyncs(self.0.open(path)?)))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(dir)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl File for FileWithoutSyncs {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.0.write_at(offset, parts)
    }
    fn allocate(&self, from: u64, to: u64) -> io::Result<()> {
        self.0.allocate(from, to)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn map(&self, length: usize) -> io::Result<Map> {
        self.0.map(length)
    }
}
