//! One generation of a collection at one LSN: what a search sees.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Collection;
use super::generation::Generation;
use super::span::Span;
use crate::format::RowRange;

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
        self.spans_from(0).flat_map(|span| self.rows_in(span))
    }

    /// The spans of this view, in order, from `row` on.
    pub fn spans_from(&self, row: u64) -> impl Iterator<Item = Span> {
        let first = self.generation.spans.slot_from(row).min(self.born);
        self.generation.spans.in_slots(first..self.born)
    }

    /// The rows of a span that are alive in this view, in order.
    pub fn rows_in(&self, span: Span) -> impl Iterator<Item = Found> {
        (span.first_slot..span.end_slot())
            .filter(|&slot| self.generation.alive(slot, self.lsn))
            .map(move |slot| Found { row: span.row(slot), batch: span.batch, distance: 0.0 })
    }

    /// How many of `rows` are alive in this view.
    pub fn count(&self, rows: RowRange) -> u64 {
        let spans = self.generation.spans.slots_of(rows);
        let alive = spans
            .map(|span| (span.first_slot..span.end_slot()).filter(|&slot| self.visible(slot)).count() as u64);
        alive.sum()
    }

    /// Whether `row` is alive in this view.
    pub fn has(&self, row: u64) -> bool {
        self.count(RowRange { first: row, count: 1 }) > 0
    }

    /// LSN of the view.
    pub const fn lsn(&self) -> u64 {
        self.lsn
    }
}

impl Collection {
    /// The collection as it was at an LSN that has been visible; `None` when its current generation does not show that
    /// any more. What a generation has that was visible before it was looked at, it has whole.
    pub fn view_at(&self, lsn: u64) -> Option<View> {
        if lsn > self.shared.visible.load(Ordering::Acquire) {
            return None;
        }
        let generation = self.current.load_full();
        if lsn < generation.exact_from {
            return None;
        }
        let born = generation.born(lsn, &self.shared.catalogue);
        Some(View { generation, lsn, born, indexed: 0 })
    }

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
