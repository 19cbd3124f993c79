//! A search of one collection at one snapshot.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::generation::Generation;
use super::{ALIVE, Collection};
use crate::codes::TopCandidates;
use crate::error::Result;
use crate::exact::{self, Query};
use crate::limits::DEFAULT_EF;

/// Rows scanned between two looks at whether the caller wants to stop.
const ROWS_BETWEEN_CHECKS: u32 = 8192;
/// Candidates re-scored with float32, at least.
const LEAST_RESCORED: usize = 32;

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions {
    /// Most results.
    pub limit: usize,
    /// Candidates kept while the graph is searched; `None` = [`DEFAULT_EF`].
    pub ef: Option<usize>,
    /// Compare with every row, in float64.
    pub exact: bool,
}

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
    lsn: u64,
    /// Slots born by then.
    born: u32,
    /// Slots below this are in the graph, but for those whose row was dead by then.
    indexed: u32,
}

impl View {
    fn visible(&self, slot: u32) -> bool {
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

    /// The rows nearest to `query`, best first: by distance, then by row. `interrupt` is asked now and then.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when a row cannot be read; what `interrupt` returns.
    pub fn search(
        &self,
        query: &[f32],
        options: SearchOptions,
        interrupt: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Found>> {
        let view = self.view();
        let prepared = exact::prepare(self.shared.metric, query);
        if options.exact {
            return self.scan(&view, &prepared, options.limit, interrupt);
        }
        let slots = self.candidates(&view, query, &prepared, options, interrupt)?;
        let mut found = Vec::with_capacity(slots.len());
        for slot in slots {
            if let Some(span) = view.generation.spans.of_slot(slot) {
                let batch = self.shared.catalogue.batch(span.batch);
                // Narrowing is safe: a row of the batch, whose count is a u32.
                #[allow(clippy::cast_possible_truncation)]
                let index = (span.row(slot) - batch.first_row) as u32;
                let distance = prepared.distance(self.shared.catalogue.rows(batch, index, 1)?);
                self.shared.catalogue.check_medium(batch)?;
                found.push(Found { row: span.row(slot), batch: span.batch, distance });
            }
        }
        found.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
        found.truncate(options.limit);
        Ok(found)
    }

    /// Slots that may be among the nearest: from the graph, from the codes that the graph lacks, and from the
    /// rows that have no code yet.
    fn candidates(
        &self,
        view: &View,
        query: &[f32],
        prepared: &Query,
        options: SearchOptions,
        interrupt: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<u32>> {
        let generation = &view.generation;
        let count = LEAST_RESCORED.max(options.limit.saturating_mul(3).min(options.limit + 512));
        // What the graph lacks is settled before the graph is searched: a slot added meanwhile is found twice,
        // never not at all.
        let indexed = view.indexed;
        let coded = generation.coded().min(view.born);
        let untouched = generation.deaths.is_untouched();
        let visible = |slot: u32| view.visible(slot);

        let mut slots: Vec<u32> = Vec::new();
        let mut top = TopCandidates::new(count);
        let mut unsearched = 0..coded;
        if let Some(codes) = generation.codes.get() {
            let code = codes.encode_query(query);
            let graph = generation.graph.get().filter(|_| indexed > 0);
            let ef = options.ef.unwrap_or(DEFAULT_EF).max(count);
            let filter =
                (!untouched || generation.slots() > view.born).then_some(&visible as &dyn Fn(u32) -> bool);
            if let Some(nearest) = graph.and_then(|graph| graph.search(&code, count, ef, filter)) {
                // Without a filter it may have found what was born since.
                slots.extend(nearest.into_iter().map(|(_, slot)| slot).filter(|&slot| visible(slot)));
                unsearched.start = indexed;
            }
            self.scan_codes(view, codes, &code, unsearched.clone(), &mut top, interrupt)?;
            let enough = count.min((view.born - generation.dead().min(view.born)) as usize);
            if unsearched.start > 0 && slots.len() + top.len() < enough {
                // Too many of the graph's candidates are dead or out of reach.
                self.scan_codes(view, codes, &code, 0..unsearched.start, &mut top, interrupt)?;
            }
        }
        slots.extend(top.into_sorted().into_iter().map(|(_, slot)| slot));

        let mut top = TopCandidates::new(count);
        self.each_row(view, coded..view.born, interrupt, &mut |slot, row| {
            top.offer(prepared.rough(row), slot);
        })?;
        slots.extend(top.into_sorted().into_iter().map(|(_, slot)| slot));
        slots.sort_unstable();
        slots.dedup();
        Ok(slots)
    }

    fn scan_codes(
        &self,
        view: &View,
        codes: &crate::codes::Codes,
        query: &crate::codes::QueryCode,
        slots: Range<u32>,
        top: &mut TopCandidates,
        interrupt: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let untouched = view.generation.deaths.is_untouched();
        let mut from = slots.start;
        while from < slots.end {
            let to = slots.end.min(from.saturating_add(16 * ROWS_BETWEEN_CHECKS));
            if untouched {
                codes.scan(query, from..to, |_| true, top);
            } else {
                codes.scan(query, from..to, |slot| view.visible(slot), top);
            }
            from = to;
            interrupt()?;
        }
        Ok(())
    }

    /// The nearest rows by comparing with each.
    fn scan(
        &self,
        view: &View,
        prepared: &Query,
        limit: usize,
        interrupt: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Found>> {
        let mut top = TopCandidates::new(limit);
        self.each_row(view, 0..view.born, interrupt, &mut |slot, row| {
            top.offer(prepared.distance(row), slot);
        })?;
        let nearest = top.into_sorted().into_iter();
        Ok(nearest
            .filter_map(|(distance, slot)| {
                let span = view.generation.spans.of_slot(slot)?;
                Some(Found { row: span.row(slot), batch: span.batch, distance })
            })
            .collect())
    }

    /// Shows `visit` the float32 numbers of every row alive in `slots`.
    fn each_row(
        &self,
        view: &View,
        slots: Range<u32>,
        interrupt: &dyn Fn() -> Result<()>,
        visit: &mut dyn FnMut(u32, &[f32]),
    ) -> Result<()> {
        let untouched = view.generation.deaths.is_untouched();
        let mut until_check = ROWS_BETWEEN_CHECKS;
        for span in view.generation.spans.in_slots(slots) {
            if !untouched
                && (span.first_slot..span.end_slot())
                    .all(|slot| view.generation.deaths.get(slot) != ALIVE && !view.visible(slot))
            {
                continue;
            }
            let batch = self.shared.catalogue.batch(span.batch);
            // Narrowing is safe: a row of the batch, whose count is a u32.
            #[allow(clippy::cast_possible_truncation)]
            let first = (span.first_row - batch.first_row) as u32;
            let rows = self.shared.catalogue.rows(batch, first, span.count)?;
            for (slot, row) in (span.first_slot..).zip(rows.chunks_exact(self.dimension.get())) {
                if untouched || view.visible(slot) {
                    visit(slot, row);
                }
            }
            self.shared.catalogue.check_medium(batch)?;
            if until_check <= span.count {
                interrupt()?;
                until_check = ROWS_BETWEEN_CHECKS;
            } else {
                until_check -= span.count;
            }
        }
        Ok(())
    }
}
