//! Which row a slot stands for.

use crate::chunked_unsafe::Chunked;
use crate::format::RowRange;

/// Consecutive rows of one batch in consecutive slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Slot of the first row.
    pub first_slot: u32,
    /// Number of rows.
    pub count: u32,
    /// Number of the first row.
    pub first_row: u64,
    /// The batch.
    pub batch: u32,
}

impl Span {
    /// One past the last slot.
    pub const fn end_slot(&self) -> u32 {
        self.first_slot + self.count
    }

    /// The row in `slot`.
    pub const fn row(&self, slot: u32) -> u64 {
        self.first_row + (slot - self.first_slot) as u64
    }
}

/// Spans in the order of slots, which is that of rows.
#[derive(Default)]
pub struct Spans {
    list: Chunked<Span>,
}

impl Spans {
    /// Appends rows behind the last slot and says which slots they got.
    pub fn push(&self, rows: RowRange, batch: u32) -> Span {
        let first_slot = self.end_slot();
        // An upload has at most 2000 rows.
        let count = u32::try_from(rows.count).unwrap_or(u32::MAX);
        let span = Span { first_slot, count, first_row: rows.first, batch };
        self.list.push(span);
        span
    }

    /// Number of spans.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Span `index`.
    pub fn get(&self, index: usize) -> Option<&Span> {
        self.list.get(index)
    }

    /// One past the last slot.
    pub fn end_slot(&self) -> u32 {
        self.list.len().checked_sub(1).and_then(|last| self.list.get(last)).map_or(0, Span::end_slot)
    }

    /// The first slot whose row is `row` or a later one.
    pub fn slot_from(&self, row: u64) -> u32 {
        let span = self.list.get(self.partition(|span| span.first_row + u64::from(span.count) <= row));
        // A row within the span, whose length is a u32.
        #[allow(clippy::cast_possible_truncation)]
        span.map_or_else(
            || self.end_slot(),
            |span| span.first_slot + row.saturating_sub(span.first_row) as u32,
        )
    }

    /// Index of the first span for which `before` is false; it must be true for a beginning of the list only.
    pub fn partition(&self, before: impl Fn(&Span) -> bool) -> usize {
        let (mut low, mut high) = (0, self.list.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.list.get(middle).is_some_and(&before) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The span that holds `slot`.
    pub fn of_slot(&self, slot: u32) -> Option<&Span> {
        self.list.get(self.partition(|span| span.end_slot() <= slot))
    }

    /// [`Self::of_slot`], found soonest where spans are of about one size; `end` slots have been given.
    pub fn near(&self, slot: u32, end: u32) -> Option<&Span> {
        let spans = self.list.len();
        let guess = (u64::from(slot) * spans as u64 / u64::from(end.max(1))) as usize;
        let mut at = guess.min(spans.checked_sub(1)?);
        // A few steps towards it; then from scratch.
        for _ in 0..4 {
            let span = self.list.get(at)?;
            if slot < span.first_slot {
                at = at.checked_sub(1)?;
            } else if slot >= span.end_slot() {
                at += 1;
            } else {
                return Some(span);
            }
        }
        self.of_slot(slot)
    }

    /// The spans that hold any of the slots, each cut to them.
    pub fn in_slots(&self, slots: std::ops::Range<u32>) -> impl Iterator<Item = Span> {
        let first = self.partition(|span| span.end_slot() <= slots.start);
        (first..self.list.len())
            .map_while(move |index| self.list.get(index).filter(|span| span.first_slot < slots.end))
            .map(move |span| {
                let first_slot = span.first_slot.max(slots.start);
                let count = span.end_slot().min(slots.end) - first_slot;
                Span { first_slot, count, first_row: span.row(first_slot), batch: span.batch }
            })
    }

    /// The slots of those of `rows` that have one.
    pub fn slots_of(&self, rows: RowRange) -> impl Iterator<Item = Span> {
        let first = self.partition(|span| span.first_row + u64::from(span.count) <= rows.first);
        (first..self.list.len())
            .map_while(move |index| self.list.get(index).filter(|span| span.first_row < rows.end()))
            .map(move |span| {
                let first_row = span.first_row.max(rows.first);
                let end_row = (span.first_row + u64::from(span.count)).min(rows.end());
                // Both lie within the span, whose length is a u32.
                #[allow(clippy::cast_possible_truncation)]
                let (skipped, count) = ((first_row - span.first_row) as u32, (end_row - first_row) as u32);
                Span { first_slot: span.first_slot + skipped, count, first_row, batch: span.batch }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans() -> Spans {
        let spans = Spans::default();
        spans.push(RowRange { first: 10, count: 5 }, 0);
        spans.push(RowRange { first: 20, count: 1 }, 1);
        spans.push(RowRange { first: 30, count: 4 }, 2);
        spans
    }

    #[test]
    fn every_slot_has_its_row_and_every_row_its_slot() {
        let spans = spans();
        assert_eq!(spans.end_slot(), 10);
        let rows = [10, 11, 12, 13, 14, 20, 30, 31, 32, 33];
        for (slot, row) in (0..).zip(rows) {
            assert_eq!(spans.of_slot(slot).map(|span| span.row(slot)), Some(row));
            assert_eq!(spans.near(slot, 10), spans.of_slot(slot));
            let found: Vec<Span> = spans.slots_of(RowRange { first: row, count: 1 }).collect();
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].first_slot, found[0].count), (slot, 1));
        }
        for (row, slot) in [(0, 0), (12, 2), (15, 5), (20, 5), (21, 6), (33, 9), (34, 10)] {
            assert_eq!(spans.slot_from(row), slot);
        }
        assert!(spans.of_slot(10).is_none());
        assert_eq!(spans.slots_of(RowRange { first: 15, count: 5 }).count(), 0);
    }

    #[test]
    fn ranges_are_cut_at_both_ends() {
        let spans = spans();
        let cut: Vec<(u32, u32, u64)> =
            spans.in_slots(3..8).map(|span| (span.first_slot, span.count, span.first_row)).collect();
        assert_eq!(cut, [(3, 2, 13), (5, 1, 20), (6, 2, 30)]);
        let cut: Vec<(u32, u32)> = spans
            .slots_of(RowRange { first: 14, count: 18 })
            .map(|span| (span.first_slot, span.count))
            .collect();
        assert_eq!(cut, [(4, 1), (5, 1), (6, 2)]);
    }
}
