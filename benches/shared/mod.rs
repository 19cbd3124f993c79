//! What the benches of the engine share: the vectors, and stores filled with them.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingot_engine::collection::SearchOptions;
use ingot_engine::store::{Options, Search, Store};
use ingot_engine::tenant::Upload;
use ingot_engine::vector::{Dimension, Rows};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome<T = ()> = Result<T, Failure>;

/// Rows of one upload.
pub const BATCH: usize = 2000;
pub const TENANT: &str = "bench";

/// Vectors one behind the other.
pub struct Vectors {
    pub columns: usize,
    pub values: Vec<f32>,
}

impl Vectors {
    /// Reads a file of little-endian float32 numbers.
    pub fn read(path: &Path, columns: usize) -> Outcome<Self> {
        let bytes = std::fs::read(path)?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect();
        if columns == 0 || values.is_empty() || !values.len().is_multiple_of(columns) {
            return Err(
                format!("{}: {} numbers are no rows of {columns}", path.display(), values.len()).into()
            );
        }
        Ok(Self { columns, values })
    }

    /// Unit vectors around one centre for every fifty, from a seed (SplitMix64).
    pub fn clustered(count: usize, columns: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed ^ (mixed >> 31) >> 40) as u32 as f32 / u32::MAX as f32 - 0.5
        };
        let centres: Vec<f32> = (0..count.div_ceil(50) * columns).map(|_| next()).collect();
        let mut values = Vec::with_capacity(count * columns);
        for row in 0..count {
            let centre = &centres[row / 50 * columns..][..columns];
            let from = values.len();
            values.extend(centre.iter().map(|x| x + 0.5 * next()));
            let norm = values[from..].iter().map(|x| x * x).sum::<f32>().sqrt();
            values[from..].iter_mut().for_each(|x| *x /= norm);
        }
        Self { columns, values }
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.columns
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// `count` rows from `first` on, beginning again behind the last.
    pub fn rows(&self, first: usize, count: usize) -> Outcome<Rows> {
        let mut rows = Rows::new(self.dimension()?);
        for row in first..first + count {
            rows.extend(self.row(row % self.len()));
        }
        Ok(rows)
    }

    pub fn dimension(&self) -> Outcome<Dimension> {
        Dimension::new(self.columns).ok_or_else(|| "too many columns".into())
    }
}

/// Opens `folder` and stores `count` rows, 2000 an upload.
pub fn filled(folder: PathBuf, rows: &Vectors, count: usize, options: Options) -> Outcome<Arc<Store>> {
    let store = Store::open(&folder, options)?;
    for first in (0..count).step_by(BATCH) {
        upload(&store, rows, first, BATCH.min(count - first))?;
    }
    Ok(store)
}

pub fn upload(store: &Arc<Store>, rows: &Vectors, first: usize, count: usize) -> Outcome {
    store.insert(TENANT, Upload::matrix(format!("batch-{first}"), rows.rows(first, count)?))?;
    Ok(())
}

/// Waits until everything is indexed.
pub fn indexed(store: &Store) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(600);
    if store.wait_indexed(TENANT, Some(deadline), &|| Ok(()))? { Ok(()) } else { Err("not indexed".into()) }
}

pub const fn how(limit: usize, ef: Option<usize>, exact: bool) -> Search {
    Search { options: SearchOptions { limit, ef, exact }, score_threshold: None, filter: None }
}

/// The numbers of the rows found for the one query.
pub fn search(store: &Store, query: &Rows, how: Search) -> Outcome<Vec<u64>> {
    let found = store.search(TENANT, None, query, &how, &|| Ok(()))?;
    Ok(found[0].found().iter().map(|found| found.row).collect())
}
