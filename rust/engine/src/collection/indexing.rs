//! Background work on a generation: coding its rows and adding them to its graph, a share at a time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::Collection;
use super::generation::Generation;
use crate::codes::Codes;
use crate::error::{Error, Result};
use crate::graph::{Feed, Graph};
use crate::limits::{GRAPH_CONNECTIVITY, GRAPH_EXPANSION_ADD, GRAPH_FROM_ROWS};

/// Fewer rows than this have no codes: scanning their float32 takes microseconds.
const CODES_FROM_ROWS: u32 = 1000;
/// Rows coded in one go.
const CODING_SHARE: u32 = 4096;

/// Which slots the graph holds, and which are being added by whom.
#[derive(Default)]
pub struct Backlog {
    indexed: AtomicU32,
    /// A graph that was loaded may hold slots below this, though they are not marked.
    perhaps_held: AtomicU32,
    open: Mutex<Option<Window>>,
}

/// Slots being added, in parts far enough apart that neighbours are never added at the same moment.
struct Window {
    feed: Feed,
    end: u32,
    taken: usize,
    finished: usize,
}

impl Backlog {
    /// Slots below this are in the graph (but for those that died before they were added).
    pub fn indexed(&self) -> u32 {
        self.indexed.load(Ordering::Acquire)
    }

    /// A graph was loaded that holds the slots below `indexed`, and perhaps some of the window behind it.
    pub fn loaded(&self, indexed: u32) {
        self.perhaps_held.store(indexed.saturating_add(Feed::WINDOW), Ordering::Relaxed);
        self.indexed.store(indexed, Ordering::Release);
    }

    /// A part of the open window, or of the next one below `coded`.
    fn take(&self, coded: u32, workers: usize) -> Option<Range<u32>> {
        let mut open = self.open.lock();
        let from = self.indexed();
        if open.is_none() && from >= coded {
            return None;
        }
        let window = open.get_or_insert_with(|| {
            let end = coded.min(from.saturating_add(Feed::WINDOW));
            Window { feed: Feed::new(from..end, workers), end, taken: 0, finished: 0 }
        });
        (window.taken < window.feed.workers()).then(|| {
            window.taken += 1;
            window.feed.part(window.taken - 1)
        })
    }

    /// A part is in the graph; the last one moves the mark.
    fn finish(&self) {
        let mut open = self.open.lock();
        if let Some(window) = open.as_mut() {
            window.finished += 1;
            if window.finished == window.feed.workers() {
                self.indexed.store(window.end, Ordering::Release);
                *open = None;
            }
        }
    }
}

/// How a share of background work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was done; there may be more.
    Made,
    /// Nothing to do for this worker now.
    Idle,
}

impl Collection {
    /// Does one share of what is to be done on `generation`, for one of `workers`. A share that fails leaves
    /// its window open: nothing more is added, and searches scan what the graph lacks.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when a row cannot be read; what usearch refuses.
    pub(super) fn index(&self, generation: &Generation, workers: usize) -> Result<Progress> {
        let slots = generation.slots();
        if slots >= CODES_FROM_ROWS
            && generation.coded() < slots
            && let Some(_coding) = generation.coding.try_lock()
        {
            self.code(generation)?;
            return Ok(Progress::Made);
        }
        if (slots as usize) < GRAPH_FROM_ROWS {
            return Ok(Progress::Idle);
        }
        let Some(codes) = generation.codes.get() else { return Ok(Progress::Idle) };
        let Some(part) = generation.backlog.take(generation.coded(), workers) else {
            return Ok(Progress::Idle);
        };
        let graph = self.graph(generation, codes)?;
        let perhaps_held = generation.backlog.perhaps_held.load(Ordering::Relaxed);
        // A row that is dead for every view to come need not be found; one whose death is being applied does.
        let visible = self.shared.visible.load(Ordering::Acquire);
        for slot in part {
            let held = slot < perhaps_held && graph.contains(slot);
            if generation.alive(slot, visible) && !held {
                graph.add(slot)?;
            }
        }
        generation.backlog.finish();
        Ok(Progress::Made)
    }

    fn code(&self, generation: &Generation) -> Result<()> {
        let codes = generation.codes(self.shared.metric, self.dimension);
        let from = generation.coded();
        let to = generation.slots().min(from.saturating_add(CODING_SHARE));
        for span in generation.spans.in_slots(from..to) {
            let batch = self.shared.catalogue.batch(span.batch);
            // Narrowing is safe: a row of the batch, whose count is a u32.
            #[allow(clippy::cast_possible_truncation)]
            let first = (span.first_row - batch.first_row) as u32;
            let rows = self.shared.catalogue.rows(batch, first, span.count)?;
            for row in rows.chunks_exact(self.dimension.get()) {
                codes.append(row);
            }
            self.shared.catalogue.check_medium(batch)?;
        }
        Ok(())
    }

    fn graph<'a>(&self, generation: &'a Generation, codes: &Arc<Codes>) -> Result<&'a Arc<Graph>> {
        if let Some(graph) = generation.graph.get() {
            return Ok(graph);
        }
        let _making = self.making_graph.lock();
        if generation.graph.get().is_none() {
            let graph = Graph::new(
                Arc::clone(codes),
                GRAPH_CONNECTIVITY,
                GRAPH_EXPANSION_ADD,
                self.shared.graph_threads,
            )?;
            let _ = generation.graph.set(Arc::new(graph));
        }
        generation.graph.get().ok_or(Error::Closed)
    }

    /// Whether every slot of `generation` has all that will be derived for it.
    pub(super) fn is_indexed(generation: &Generation) -> bool {
        let slots = generation.slots();
        let coded = slots < CODES_FROM_ROWS || generation.coded() >= slots;
        let in_graph = (slots as usize) < GRAPH_FROM_ROWS || generation.backlog.indexed() >= slots;
        coded && in_graph
    }
}
