//! Candidates among the rows that a filter holds of: from the graph where nearly everything passes, and from a scan of
//! what passes otherwise.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use super::scan::{ROWS_A_PIECE, codes_a_piece};
use super::search::{Interrupt, Search, lacks};
use super::selection::Selection;
use crate::codes::{QueryCode, TopCandidates};
use crate::error::Result;
use crate::exact::Query;
use crate::limits::DEFAULT_EF;

/// Nodes that a search of the graph visits for each candidate kept, about, when all pass.
const VISITS_A_CANDIDATE: u64 = 16;
/// What a visit costs, in codes scanned (`benches/filters.py`: 9 with 40,000 rows; more where codes are far from the
/// processor).
const CODES_A_VISIT: u64 = 12;
/// Of what passes elsewhere, the share that has to pass near a query for the graph to be trusted.
const LEAST_SHARE: f64 = 0.8;
/// Runs of fewer slots are measured one by one.
const SHORTEST_RUN: u32 = 8;
/// Slots between two runs that are measured along with them, since a code in a row of many takes a fraction of the time
/// that one by itself does (`benches/filters.py`: half of 40,000 rows at random, 1.35 ms without).
const LONGEST_GAP: u32 = 3;

impl Search {
    /// Slots that may be among the nearest to each query of those selected.
    pub(super) fn selected_candidates(
        self: &Arc<Self>,
        selection: &Arc<Selection>,
        interrupt: Interrupt<'_>,
    ) -> Result<Vec<Vec<u32>>> {
        let generation = &self.view.generation;
        // As without a filter: what the graph lacks is settled before the graph is searched.
        let indexed = self.view.indexed;
        let coded = if self.codes.is_empty() { 0 } else { generation.coded().min(self.view.born) };
        let mut tops = self.tops(self.count);
        let mut slots = vec![Vec::new(); self.prepared.len()];
        let every: Vec<usize> = (0..slots.len()).collect();
        match self.visits(selection).filter(|_| generation.graph.get().is_some() && indexed > 0 && coded > 0)
        {
            None => self.scan_selected(selection, every, 0..coded, &mut tops, interrupt)?,
            Some(visits) => {
                let of_graph = Arc::clone(selection);
                let found = self.for_each_query(interrupt, move |search, query| {
                    Ok(search.in_graph_selected(&of_graph, query, visits))
                })?;
                self.scan_selected(selection, every, indexed..coded, &mut tops, interrupt)?;
                let lacks = |query: usize| lacks(found[query].as_deref(), indexed, &tops[query], self.count);
                let lacking = (0..found.len()).filter(|&query| lacks(query)).collect();
                self.scan_selected(selection, lacking, 0..indexed, &mut tops, interrupt)?;
                slots = found.into_iter().map(Option::unwrap_or_default).collect();
            }
        }
        let uncoded =
            self.scan_selected_rows(selection, coded..self.view.born, self.count, Query::rough, interrupt)?;
        for (slots, (coded, uncoded)) in slots.iter_mut().zip(tops.into_iter().zip(uncoded)) {
            slots.extend(coded.into_slots().chain(uncoded.into_slots()));
            slots.sort_unstable();
            slots.dedup();
        }
        Ok(slots)
    }

    /// How many nodes of the graph a search may visit; `None` when a scan of what passes costs less. The fewer pass,
    /// the more have to be visited to find as many, and the less there is to scan.
    fn visits(&self, selection: &Selection) -> Option<u64> {
        let ef = self.options.ef.unwrap_or(DEFAULT_EF).max(self.count) as u64;
        let born = u64::from(self.view.born.max(1));
        let passing = selection.estimate().clamp(1, born);
        let visits = (VISITS_A_CANDIDATE * ef).saturating_mul(born) / passing;
        // What passes, and the gaps that are measured along, were it spread evenly.
        let runs = self.view.generation.spans.len() as u64 * passing / born * (born - passing) / born;
        let scanned = born.min(passing + runs * u64::from(LONGEST_GAP));
        // Where what passes is not near the query, many more are needed. The scan costs less than to go on then.
        (visits * CODES_A_VISIT < scanned).then_some(2 * visits)
    }

    /// Slots from the graph; `None` when it cannot be searched just now, not in so many `visits`, or not well.
    fn in_graph_selected(&self, selection: &Selection, query: usize, visits: u64) -> Option<Vec<u32>> {
        let ef = self.options.ef.unwrap_or(DEFAULT_EF).max(self.count);
        let (asked, passed) = (Cell::new(0), Cell::new(0));
        let passes = |slot: u32| {
            if asked.get() >= visits {
                // Soonest over when everything passes.
                return true;
            }
            asked.set(asked.get() + 1);
            let passes = self.view.visible(slot) && selection.has(slot);
            passed.set(passed.get() + u64::from(passes));
            passes
        };
        let graph = self.view.generation.graph.get()?;
        let nearest = graph.search(&self.codes[query], self.count, ef, Some(&passes))?;
        // Where fewer pass around the query than elsewhere, the nearest that do are far away and far apart, and a graph
        // is searched for what is close together.
        let elsewhere = selection.estimate() as f64 / f64::from(self.view.born.max(1));
        let usual = asked.get() as f64 * elsewhere * LEAST_SHARE;
        let well = asked.get() < visits && passed.get() as f64 >= usual;
        well.then(|| nearest.into_iter().map(|(_, slot)| slot).collect())
    }

    /// Offers the selected ones among the coded `slots` to the tops of some of the queries.
    fn scan_selected(
        self: &Arc<Self>,
        selection: &Arc<Selection>,
        queries: Vec<usize>,
        slots: Range<u32>,
        tops: &mut [TopCandidates],
        interrupt: Interrupt<'_>,
    ) -> Result<()> {
        if queries.is_empty() {
            return Ok(());
        }
        let begun: Vec<TopCandidates> = queries.iter().map(|&query| tops[query].successor()).collect();
        let each = codes_a_piece(queries.len());
        let asked = Arc::new(queries);
        let (search, of_scan, passes) = (Arc::clone(self), Arc::clone(&asked), Arc::clone(selection));
        let found = self.share_runs(selection, slots, each, begun, interrupt, move |runs, tops| {
            let Some(codes) = search.view.generation.codes.get() else { return Ok(()) };
            let queries: Vec<&QueryCode> = of_scan.iter().map(|&query| &search.codes[query]).collect();
            for near in runs.chunk_by(|run, next| next.start - run.end <= LONGEST_GAP) {
                let (start, end) = (near[0].start, near[near.len() - 1].end);
                if end - start >= SHORTEST_RUN {
                    let wanted = |slot| search.view.visible(slot) && (near.len() == 1 || passes.has(slot));
                    codes.scan_for(&queries, start..end, wanted, tops);
                    continue;
                }
                for slot in near.iter().cloned().flatten().filter(|&slot| search.view.visible(slot)) {
                    for (query, top) in queries.iter().zip(&mut *tops) {
                        top.offer(codes.distance_to(query, slot), slot);
                    }
                }
            }
            Ok(())
        })?;
        for (&query, found) in asked.iter().zip(found) {
            tops[query].merge(found);
        }
        Ok(())
    }

    /// The `count` slots nearest to each query among the selected ones of `slots`, by their float32 rows.
    pub(super) fn scan_selected_rows(
        self: &Arc<Self>,
        selection: &Selection,
        slots: Range<u32>,
        count: usize,
        measure: fn(&Query, &[f32]) -> f32,
        interrupt: Interrupt<'_>,
    ) -> Result<Vec<TopCandidates>> {
        let search = Arc::clone(self);
        self.share_runs(selection, slots, ROWS_A_PIECE, self.tops(count), interrupt, move |runs, tops| {
            for run in runs {
                search.each_row(run.clone(), &mut |slot, row| {
                    for (query, top) in search.prepared.iter().zip(&mut *tops) {
                        top.offer(measure(query, row), slot);
                    }
                })?;
            }
            Ok(())
        })
    }

    /// Scans the selected ones among `slots`, in pieces of `each` or fewer that idle threads share.
    fn share_runs(
        &self,
        selection: &Selection,
        slots: Range<u32>,
        each: u32,
        begun: Vec<TopCandidates>,
        interrupt: Interrupt<'_>,
        scan: impl Fn(&[Range<u32>], &mut [TopCandidates]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<TopCandidates>> {
        if slots.is_empty() {
            return Ok(begun);
        }
        let pieces = pieces(selection.ranges(), slots, each);
        self.share_pieces(pieces.len(), begun, interrupt, move |piece, tops| scan(&pieces[piece], tops))
    }
}

/// What of `ranges` lies in `slots`, in pieces of `each` slots, or fewer in the last.
fn pieces(ranges: &[Range<u32>], slots: Range<u32>, each: u32) -> Vec<Vec<Range<u32>>> {
    let first = ranges.partition_point(|range| range.end <= slots.start);
    let mut pieces: Vec<Vec<Range<u32>>> = Vec::new();
    let mut room = 0;
    for range in ranges[first..].iter().take_while(|range| range.start < slots.end) {
        let (mut start, end) = (range.start.max(slots.start), range.end.min(slots.end));
        while start < end {
            if room == 0 {
                pieces.push(Vec::new());
                room = each;
            }
            let until = end.min(start.saturating_add(room));
            if let Some(piece) = pieces.last_mut() {
                piece.push(start..until);
            }
            room -= until - start;
            start = until;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_every_slot_once_and_no_other() {
        let ranges = [0..3, 10..11, 20..30_000, 40_000..40_001];
        for slots in [0..50_000, 2..25, 11..20, 29_999..40_000, 0..0] {
            let wanted: Vec<u32> =
                ranges.iter().flat_map(Clone::clone).filter(|slot| slots.contains(slot)).collect();
            let cut = pieces(&ranges, slots, 8192);
            assert!(cut.iter().all(|piece| piece.iter().map(ExactSizeIterator::len).sum::<usize>() <= 8192));
            assert_eq!(cut.concat().into_iter().flatten().collect::<Vec<u32>>(), wanted);
        }
    }
}
