//! Scans of what no graph was searched for: of codes, and of float32 rows. A long one is cut into pieces, which
//! threads that have nothing else to do share.

use std::ops::Range;
use std::sync::Arc;

use super::ALIVE;
use super::search::{Interrupt, Search};
use crate::codes::{QueryCode, TopCandidates};
use crate::error::Result;
use crate::exact::Query;
use crate::pool::company::give_way;
use crate::sync::Mutex;

/// Pairs of a query and a code that one piece has, about: 0.1 ms and more.
const PAIRS_A_PIECE: u32 = 32_768;
/// Fewest slots of a piece.
const FEWEST_SLOTS: u32 = 1024;
/// Float32 rows are several times as long as codes.
pub(super) const ROWS_A_PIECE: u32 = 4096;

/// Rows that take some 50 us.
const LONG_SPAN: u32 = 512;

/// Codes of one piece that are compared with so many queries.
pub(super) fn codes_a_piece(queries: usize) -> u32 {
    // At most as many as a request may have.
    #[allow(clippy::cast_possible_truncation)]
    let queries = queries.max(1) as u32;
    (PAIRS_A_PIECE / queries).max(FEWEST_SLOTS)
}

/// Slots in pieces.
#[derive(Clone, Copy)]
struct Pieces {
    start: u32,
    end: u32,
    each: u32,
}

impl Pieces {
    const fn count(self) -> usize {
        (self.end - self.start).div_ceil(self.each) as usize
    }

    fn slots(self, piece: usize) -> Range<u32> {
        // A piece that there is begins before the end, which is a slot.
        #[allow(clippy::cast_possible_truncation)]
        let from = self.start + piece as u32 * self.each;
        from..self.end.min(from.saturating_add(self.each))
    }
}

impl Search {
    /// Offers the coded `slots` to the tops of some of the queries.
    pub(super) fn scan_codes(
        self: &Arc<Self>,
        queries: Vec<usize>,
        slots: Range<u32>,
        tops: &mut [TopCandidates],
        interrupt: Interrupt<'_>,
    ) -> Result<()> {
        if queries.is_empty() || slots.is_empty() {
            return Ok(());
        }
        let queries = Arc::new(queries);
        // What cannot enter any more need not be kept by any thread.
        let begun: Vec<TopCandidates> = queries.iter().map(|&query| tops[query].successor()).collect();
        let each = codes_a_piece(queries.len());
        let (search, asked) = (Arc::clone(self), Arc::clone(&queries));
        let found = self.share(slots, each, begun, interrupt, move |slots, tops| {
            if let Some(codes) = search.view.generation.codes.get() {
                let queries: Vec<&QueryCode> = asked.iter().map(|&query| &search.codes[query]).collect();
                if search.view.generation.deaths.is_untouched() {
                    codes.scan_for(&queries, slots, |_| true, tops);
                } else {
                    codes.scan_for(&queries, slots, |slot| search.view.visible(slot), tops);
                }
            }
            Ok(())
        })?;
        for (&query, found) in queries.iter().zip(found) {
            tops[query].merge(found);
        }
        Ok(())
    }

    /// The `count` slots nearest to each query by what `measure` says of their float32 rows.
    pub(super) fn scan_rows(
        self: &Arc<Self>,
        slots: Range<u32>,
        count: usize,
        measure: fn(&Query, &[f32]) -> f32,
        interrupt: Interrupt<'_>,
    ) -> Result<Vec<TopCandidates>> {
        let begun = self.tops(count);
        if slots.is_empty() {
            return Ok(begun);
        }
        let search = Arc::clone(self);
        self.share(slots, ROWS_A_PIECE, begun, interrupt, move |slots, tops| {
            search.each_row(slots, &mut |slot, row| {
                for (query, top) in search.prepared.iter().zip(&mut *tops) {
                    top.offer(measure(query, row), slot);
                }
            })
        })
    }

    /// Scans pieces of `slots` of `each` or fewer; every thread that takes part begins with a copy of `tops`.
    fn share(
        &self,
        slots: Range<u32>,
        each: u32,
        tops: Vec<TopCandidates>,
        interrupt: Interrupt<'_>,
        scan: impl Fn(Range<u32>, &mut [TopCandidates]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<TopCandidates>> {
        let pieces = Pieces { start: slots.start, end: slots.end, each };
        self.share_pieces(pieces.count(), tops, interrupt, move |piece, tops| scan(pieces.slots(piece), tops))
    }

    /// Scans pieces by their numbers; every thread that takes part begins with a copy of `tops`.
    pub(super) fn share_pieces(
        &self,
        pieces: usize,
        mut tops: Vec<TopCandidates>,
        interrupt: Interrupt<'_>,
        scan: impl Fn(usize, &mut [TopCandidates]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<TopCandidates>> {
        if pieces <= 2 {
            // Over before another thread has woken up.
            (0..pieces).try_for_each(|piece| scan(piece, &mut tops))?;
            interrupt()?;
            return Ok(tops);
        }
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let (all, begun) = (Arc::clone(&outcomes), tops.clone());
        self.shared.helpers.share(pieces, interrupt, move |numbers| {
            let mut tops = begun.clone();
            let mut outcome = Ok(());
            for piece in numbers {
                outcome = outcome.and_then(|()| scan(piece, &mut tops));
            }
            all.lock().push(outcome.map(|()| tops));
        })?;
        for found in std::mem::take(&mut *outcomes.lock()) {
            for (top, found) in tops.iter_mut().zip(found?) {
                top.merge(found);
            }
        }
        Ok(tops)
    }

    /// Shows `visit` the float32 numbers of every row alive in `slots`.
    pub(super) fn each_row(&self, slots: Range<u32>, visit: &mut dyn FnMut(u32, &[f32])) -> Result<()> {
        let (view, catalogue) = (&self.view, &self.shared.catalogue);
        let untouched = view.generation.deaths.is_untouched();
        for span in view.generation.spans.in_slots(slots) {
            if !untouched
                && (span.first_slot..span.end_slot())
                    .all(|slot| view.generation.deaths.get(slot) != ALIVE && !view.visible(slot))
            {
                continue;
            }
            let batch = catalogue.batch(span.batch);
            // Narrowing is safe: a row of the batch, whose count is a u32.
            #[allow(clippy::cast_possible_truncation)]
            let first = (span.first_row - batch.first_row) as u32;
            let rows = catalogue.rows(batch, first, span.count)?;
            for (slot, row) in (span.first_slot..).zip(rows.chunks_exact(usize::from(batch.dimension))) {
                if untouched || view.visible(slot) {
                    visit(slot, row);
                }
            }
            catalogue.check_medium(batch)?;
            if span.count >= LONG_SPAN {
                give_way();
            }
        }
        Ok(())
    }
}
