//! Replacing a generation in which too much is dead. The next one is built beside it, from the rows that
//! live, while the old one serves; deaths that happen meanwhile are carried over from a journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::generation::Generation;
use super::{ALIVE, Collection, Progress};
use crate::error::Result;
use crate::format::RowRange;

/// A generation is rebuilt when more than this share of its slots is dead, in percent,
const DEAD_SHARE: u64 = 30;
/// and more than this many.
const LEAST_DEAD: u32 = 1000;
/// Spans carried over in one go, while uploads may wait: well under a millisecond.
const SPANS_AT_ONCE: usize = 64;

/// The next generation while it is built.
pub(super) struct Journal {
    next: Arc<Generation>,
    /// Spans of the old generation that the next one has.
    carried: usize,
    deaths: Vec<(RowRange, u64)>,
}

impl Journal {
    pub(super) fn died(&mut self, rows: RowRange, lsn: u64) {
        self.deaths.push((rows, lsn));
    }
}

impl Collection {
    /// Whether the current generation should be, or is being, replaced.
    pub(super) fn rebuilding_wanted(&self) -> bool {
        mostly_dead(&self.current.load())
    }

    /// Does one share of a rebuild, if one is needed or under way.
    ///
    /// # Errors
    /// As indexing.
    pub(super) fn rebuild(&self, generation: &Generation, workers: usize) -> Result<Progress> {
        let next = {
            let mut rebuilding = self.rebuilding.lock();
            if !std::ptr::eq(generation, Arc::as_ptr(&self.current.load())) {
                // Another worker has replaced it since the caller looked: its spans are not those of the journal.
                return Ok(Progress::Made);
            }
            match rebuilding.as_mut() {
                Some(journal) => {
                    carry(generation, journal);
                    if journal.carried < generation.spans.len() {
                        return Ok(Progress::Made);
                    }
                    Arc::clone(&journal.next)
                }
                None => {
                    if !mostly_dead(generation) {
                        return Ok(Progress::Idle);
                    }
                    // Rows dead at this LSN are dead for every view that will ever see the next generation.
                    let id = self.shared.visible.load(Ordering::Acquire);
                    let next = Arc::new(Generation::new(id));
                    *rebuilding = Some(Journal { next: Arc::clone(&next), carried: 0, deaths: Vec::new() });
                    next
                }
            }
        };
        if self.index(&next, workers)? == Progress::Made {
            return Ok(Progress::Made);
        }
        if !self.is_indexed(&next) {
            // Another worker is at its last window.
            return Ok(Progress::Idle);
        }
        Ok(self.replace())
    }

    /// Puts the next generation in place once it has nearly caught up.
    fn replace(&self) -> Progress {
        let _applying = self.applying.lock();
        let old = self.current.load_full();
        let mut rebuilding = self.rebuilding.lock();
        let Some(journal) = rebuilding.as_mut() else { return Progress::Idle };
        carry(&old, journal);
        if journal.carried == old.spans.len() {
            self.current.store(Arc::clone(&journal.next));
            self.saved.store(0, Ordering::Relaxed);
            *rebuilding = None;
        }
        Progress::Made
    }
}

fn mostly_dead(generation: &Generation) -> bool {
    let (dead, slots) = (generation.dead(), generation.slots());
    dead > LEAST_DEAD && u64::from(dead) * 100 > u64::from(slots) * DEAD_SHARE
}

/// Carries over some of what the next generation lacks of `old`, and all deaths since.
fn carry(old: &Generation, journal: &mut Journal) {
    let next = &journal.next;
    let until = journal.carried + SPANS_AT_ONCE;
    while journal.carried < until
        && let Some(span) = old.spans.get(journal.carried)
    {
        let mut slot = span.first_slot;
        while slot < span.end_slot() {
            // Runs of rows that some view may still see.
            let from = slot;
            while slot < span.end_slot() && old.deaths.get(slot) > next.id {
                slot += 1;
            }
            if slot > from {
                let rows = RowRange { first: span.row(from), count: u64::from(slot - from) };
                let carried = next.spans.push(rows, span.batch);
                for (offset, old_slot) in (from..slot).enumerate() {
                    let death = old.deaths.get(old_slot);
                    if death != ALIVE {
                        let one = RowRange { first: span.row(from) + offset as u64, count: 1 };
                        next.kill(one, death);
                    }
                }
                debug_assert_eq!(carried.count, slot - from);
            }
            while slot < span.end_slot() && old.deaths.get(slot) <= next.id {
                slot += 1;
            }
        }
        journal.carried += 1;
    }
    // A death of a row that is not carried yet comes over with its row.
    for (rows, lsn) in journal.deaths.drain(..) {
        next.kill(rows, lsn);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicU64;

    use crate::sync::RwLock;

    use super::super::Shared;
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::log::{Log, Sizes};
    use crate::pool::Pool;
    use crate::storage::Storage;
    use crate::storage::memory::MemoryDisk;
    use crate::vector::{Dimension, Metric};

    #[test]
    fn a_worker_that_still_holds_the_old_generation_begins_no_rebuild_of_the_new_one() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryDisk::new());
        let log = Log::create(Arc::clone(&storage), Path::new("/t/log"), [1; 16], Sizes::default()).unwrap();
        let shared = Shared {
            catalogue: Arc::new(Catalogue::new(Arc::clone(log.segments()), [1; 16])),
            visible: Arc::new(AtomicU64::new(5)),
            metric: Metric::Cosine,
            incarnation: [1; 16],
            graph_threads: 1,
            graph_from_rows: crate::limits::GRAPH_FROM_ROWS,
            helpers: Arc::new(Pool::new("test", 0).unwrap()),
            memory: crate::inverted::Memory::new(0),
            storage,
            directory: Arc::new(RwLock::new("/t".into())),
        };
        let dimension = Dimension::new(4).unwrap();
        let collection = Collection::new(shared, 0, "default".into(), dimension, Generation::new(0));
        for batch in 0..200 {
            collection.append(RowRange { first: u64::from(batch) * 10, count: 10 }, batch);
        }
        collection.kill(RowRange { first: 0, count: 1500 }, 5);
        let stale = collection.generation();
        while Arc::ptr_eq(&stale, &collection.generation()) {
            assert_eq!(collection.rebuild(&stale, 2), Ok(Progress::Made));
        }
        let next = collection.generation();
        assert_eq!((next.id, collection.rows()), (5, 500));
        assert_eq!(collection.rebuild(&stale, 2), Ok(Progress::Made));
        assert!(collection.rebuilding.lock().is_none() && Arc::ptr_eq(&next, &collection.generation()));
    }
}
