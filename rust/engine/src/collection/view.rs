//! One generation of a collection at one LSN: what a search sees.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Collection;
use super::generation::Generation;

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Number of the row.
    pub row: u64,
    /// Its batch.
    pub batch: u32,
    /// Its distance; 0 for a row that was not searched for.
    pub distance: f32,
}

/// One generation at one LSN.
pub struct View {
    pub(super) generation: Arc<Generation>,
    pub(super) lsn: u64,
    /// Slots born by then.
    pub(super) born: u32,
    /// Slots below this are in the graph, but for those whose row was dead by then.
    pub(super) indexed: u32,
}

impl View {
    pub(super) fn visible(&self, slot: u32) -> bool {
        slot < self.born && self.generation.alive(slot, self.lsn)
    }

    /// The rows alive in this view, in order.
    pub fn rows(&self) -> impl Iterator<Item = Found> {
        let slots = self.generation.spans.in_slots(0..self.born);
        slots.flat_map(move |span| {
            (span.first_slot..span.end_slot())
                .filter(|&slot| self.generation.alive(slot, self.lsn))
                .map(move |slot| Found { row: span.row(slot), batch: span.batch, distance: 0.0 })
        })
    }

    /// Whether `row` is alive in this view.
    pub fn has(&self, row: u64) -> bool {
        let one = crate::format::RowRange { first: row, count: 1 };
        self.generation.spans.slots_of(one).any(|span| self.visible(span.first_slot))
    }

    /// LSN of the view.
    pub const fn lsn(&self) -> u64 {
        self.lsn
    }
}

impl Collection {
    /// The collection as it is now. Nothing is locked: a generation replaced meanwhile is looked at again, so that
    /// the LSN read is one that the generation reflects.
    pub fn view(&self) -> View {
        loop {
            let generation = self.current.load_full();
            // Before the LSN: what was left out of the graph as dead by now is dead at the LSN read next.
            let indexed = generation.backlog.indexed();
            let lsn = self.shared.visible.load(Ordering::Acquire);
            if Arc::ptr_eq(&generation, &self.current.load()) {
                let born = generation.born(lsn, &self.shared.catalogue);
                return View { generation, lsn, born, indexed: indexed.min(born) };
            }
        }
    }
}
