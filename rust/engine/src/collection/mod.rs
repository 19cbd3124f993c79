//! The rows of one sub-tenant, searchable: slots, deaths, codes and graph, in generations that replace each other.
//! It knows the catalogue; it does not know the log's tail, or how records come to be.

mod backlog;
mod derived;
mod filtered;
mod generation;
mod indexing;
mod pace;
mod rebuild;
mod scan;
mod search;
mod selection;
mod span;
mod view;

pub use derived::replace_file;
pub use generation::{ALIVE, Generation};
pub use indexing::Progress;
pub use search::SearchOptions;
pub use selection::Selection;
pub use span::Span;
pub use view::{Found, View};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::catalogue::Catalogue;
use crate::error::Result;
use crate::format::RowRange;
use crate::inverted::{Inverted, Memory};
use crate::pool::Pool;
use crate::storage::Storage;
use crate::sync::{Mutex, RwLock};
use crate::vector::{Dimension, Metric};
pub use pace::Begun;
use pace::Pace;
use rebuild::Journal;
use selection::Remembered;

/// What the collections of a tenant share.
#[derive(Clone)]
pub struct Shared {
    /// The tenant's batches.
    pub catalogue: Arc<Catalogue>,
    /// LSN up to which everything is applied.
    pub visible: Arc<AtomicU64>,
    /// The tenant's metric.
    pub metric: Metric,
    /// The tenant's random 128 bits.
    pub incarnation: [u8; 16],
    /// Threads that may use a graph at one moment.
    pub graph_threads: usize,
    /// Slots from which on a generation gets a graph.
    pub graph_from_rows: usize,
    /// Threads that take part in searches when they have nothing else to do.
    pub helpers: Arc<Pool>,
    /// Bounds what filters keep.
    pub memory: Arc<Memory>,
    /// Where derived files go.
    pub storage: Arc<dyn Storage>,
    /// The tenant's directory; another one until the tenant is made.
    pub directory: Arc<RwLock<PathBuf>>,
}

/// The rows of one sub-tenant.
pub struct Collection {
    shared: Shared,
    sub_tenant: u32,
    name: String,
    dimension: Dimension,
    current: ArcSwap<Generation>,
    /// Serialises what appends and kills with the replacement of the generation.
    applying: Mutex<()>,
    rebuilding: Mutex<Option<Journal>>,
    making_graph: Mutex<()>,
    /// Slots of the current generation whose graph is saved.
    saved: AtomicU32,
    failed: AtomicBool,
    /// Held by the one who writes derived files; true when none may be written any more.
    saving: Mutex<bool>,
    /// Places it has in the indexer's queue.
    queued: AtomicUsize,
    pace: Pace,
    /// What filters look values up in.
    inverted: Arc<Inverted>,
    remembered: Remembered,
}

impl Collection {
    /// A collection whose current generation is `generation`.
    pub fn new(
        shared: Shared,
        sub_tenant: u32,
        name: String,
        dimension: Dimension,
        generation: Generation,
    ) -> Self {
        Self {
            inverted: Inverted::new(Arc::clone(&shared.catalogue), &shared.memory),
            shared,
            sub_tenant,
            name,
            dimension,
            current: ArcSwap::from_pointee(generation),
            applying: Mutex::new(()),
            rebuilding: Mutex::new(None),
            making_graph: Mutex::new(()),
            saved: AtomicU32::new(0),
            failed: AtomicBool::new(false),
            saving: Mutex::new(false),
            queued: AtomicUsize::new(0),
            pace: Pace::new(),
            remembered: Remembered::default(),
        }
    }

    /// An ordinary search has just ended on the thread where it began.
    pub fn record_search(&self, begun: Begun) {
        self.pace.record(begun);
    }

    /// Whether an ordinary search can be expected to take well under a millisecond. While a graph grows it may have
    /// to wait for its turn.
    pub fn is_brisk(&self) -> bool {
        self.pace.is_brisk() && !self.wants_work()
    }

    /// Number of the sub-tenant.
    pub const fn sub_tenant(&self) -> u32 {
        self.sub_tenant
    }

    /// Name of the sub-tenant.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Columns.
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// The current generation.
    pub fn generation(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Rows alive at the latest LSN applied.
    pub fn rows(&self) -> u64 {
        let generation = self.current.load();
        // The dead first: each of them has its slot by then, however many come meanwhile.
        let dead = generation.dead();
        u64::from(generation.slots() - dead)
    }

    /// Of [`Self::rows`], those that a search finds without scanning them.
    pub fn indexed_rows(&self) -> u64 {
        let generation = self.current.load();
        if self.is_indexed(&generation) {
            return self.rows();
        }
        u64::from(generation.backlog.indexed()).min(self.rows())
    }

    /// Of `rows` of this collection, how many are alive and how many of those a search finds without a scan.
    pub fn count(&self, rows: RowRange) -> (u64, u64) {
        let generation = self.current.load();
        let living = generation.living(rows);
        let total = living.iter().map(|range| range.count).sum();
        if self.is_indexed(&generation) {
            return (total, total);
        }
        let indexed = generation.backlog.indexed();
        let slots = living.iter().flat_map(|&range| generation.spans.slots_of(range));
        let within =
            slots.map(|span| u64::from(indexed.clamp(span.first_slot, span.end_slot()) - span.first_slot));
        (total, within.sum())
    }

    /// Rows are born. Called in LSN order by one thread.
    pub fn append(&self, rows: RowRange, batch: u32) {
        let _applying = self.applying.lock();
        self.current.load().spans.push(rows, batch);
    }

    /// Rows die at `lsn`. Called in LSN order by one thread.
    pub fn kill(&self, rows: RowRange, lsn: u64) {
        let _applying = self.applying.lock();
        self.current.load().kill(rows, lsn);
        if let Some(journal) = self.rebuilding.lock().as_mut() {
            journal.died(rows, lsn);
        }
    }

    /// Those of `rows` that have not died.
    pub fn living(&self, rows: RowRange) -> Vec<RowRange> {
        self.current.load().living(rows)
    }

    /// Whether any of `rows` has not died.
    pub fn lives(&self, rows: RowRange) -> bool {
        self.current.load().lives(rows)
    }

    /// The batches that have slots for any of `rows`.
    pub fn batches_in(&self, rows: RowRange) -> Vec<u32> {
        let mut batches: Vec<u32> = self.current.load().spans.slots_of(rows).map(|span| span.batch).collect();
        batches.dedup();
        batches
    }

    /// Does one share of background work, for one of `workers`.
    ///
    /// # Errors
    /// What makes it useless to go on with this collection; searches then scan what is not indexed.
    pub fn work(&self, workers: usize) -> Result<Progress> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(Progress::Idle);
        }
        let generation = self.generation();
        self.load(&generation);
        let outcome = self.index(&generation, workers).and_then(|progress| match progress {
            Progress::Made => Ok(Progress::Made),
            Progress::Idle => match self.rebuild(&generation, workers)? {
                Progress::Made => Ok(Progress::Made),
                Progress::Idle => self.save_if_grown(&generation),
            },
        });
        if outcome.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Takes a place in a queue of background work in which it may have `most`.
    pub fn enqueue(&self, most: usize) -> bool {
        let place = |places| (places < most).then_some(places + 1);
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place).is_ok()
    }

    /// Gives a place in the queue back.
    pub fn dequeue(&self) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there may be background work to do.
    pub fn wants_work(&self) -> bool {
        !self.is_idle() || self.rebuilding_wanted()
    }

    /// Ends background work; whoever is at it finishes its share.
    pub fn stop(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Ends background work for ever: when this returns no derived file is being written, nor will be.
    pub fn end(&self) {
        self.stop();
        *self.saving.lock() = true;
    }

    /// Whether nothing is left to be coded or added to the graph.
    pub fn is_idle(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.is_indexed(&self.current.load())
    }

    /// Whether background work stopped at an error.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
