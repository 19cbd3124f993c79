//! A search of one collection, for one query or many, at one snapshot.

use std::sync::Arc;

use super::selection::Selection;
use super::view::{Found, View};
use super::{Collection, Shared};
use crate::codes::{QueryCode, TopCandidates};
use crate::error::Result;
use crate::exact::{self, Query};
use crate::filter::Filter;
use crate::limits::DEFAULT_EF;
use crate::sync::Mutex;
use crate::vector::Rows;

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

/// Asked now and then whether to go on.
pub(super) type Interrupt<'a> = &'a dyn Fn() -> Result<()>;

/// What all threads that take part in a search look at.
pub(super) struct Search {
    pub(super) shared: Shared,
    pub(super) view: View,
    /// The queries as the answer measures them.
    pub(super) prepared: Vec<Query>,
    /// The queries as codes are measured; none where no slot has a code.
    pub(super) codes: Vec<QueryCode>,
    pub(super) options: SearchOptions,
    /// Candidates of each query.
    pub(super) count: usize,
}

impl Collection {
    /// The rows nearest to each query, best first: by distance, then by row; all at one snapshot, whose LSN comes
    /// with them. Threads that have nothing else to do take part where that is worth it. With a `filter`, among the rows
    /// that it holds of. `interrupt` is asked now and then.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when a row cannot be read; what `interrupt` returns.
    pub fn search(
        &self,
        queries: &Rows,
        options: SearchOptions,
        filter: Option<&Filter>,
        interrupt: Interrupt<'_>,
    ) -> Result<(Vec<Vec<Found>>, u64)> {
        let view = self.view();
        let lsn = view.lsn;
        let selection = filter.map(|filter| self.select(&view, filter, interrupt)).transpose()?;
        let queries = || (0..queries.len()).map(|query| queries.row(query));
        let search = Arc::new(Search {
            shared: self.shared.clone(),
            prepared: queries().map(|query| exact::prepare(self.shared.metric, query)).collect(),
            codes: match view.generation.codes.get() {
                Some(codes) if !options.exact => queries().map(|query| codes.encode_query(query)).collect(),
                _ => Vec::new(),
            },
            count: LEAST_RESCORED.max(options.limit.saturating_mul(3).min(options.limit + 512)),
            view,
            options,
        });
        if options.exact {
            return Ok((search.exact(selection.as_deref(), interrupt)?, lsn));
        }
        let candidates = match &selection {
            None => search.candidates(interrupt)?,
            Some(selection) => search.selected_candidates(selection, interrupt)?,
        };
        let found =
            search.for_each_query(interrupt, move |search, query| search.score(query, &candidates[query]))?;
        Ok((found, lsn))
    }
}

/// Whether graph and scan of what is behind the mark found fewer than `enough` slots. What the graph has beyond the mark by
/// now the scan found, too.
pub(super) fn lacks(in_graph: Option<&[u32]>, indexed: u32, scanned: &TopCandidates, enough: usize) -> bool {
    let below = |slots: &[u32]| slots.iter().filter(|&&slot| slot < indexed).count();
    in_graph.is_none_or(|slots| below(slots) + scanned.len() < enough)
}

impl Search {
    /// Slots that may be among the nearest to each query: from the graph, from the codes that the graph lacks, and
    /// from the rows that have no code yet.
    fn candidates(self: &Arc<Self>, interrupt: Interrupt<'_>) -> Result<Vec<Vec<u32>>> {
        let generation = &self.view.generation;
        // What the graph lacks is settled before the graph is searched: a slot added meanwhile is found twice,
        // never not at all.
        let mut indexed = self.view.indexed;
        let coded = if self.codes.is_empty() { 0 } else { generation.coded().min(self.view.born) };
        let mut tops = self.tops(self.count);
        let mut slots = vec![Vec::new(); self.prepared.len()];
        if generation.graph.get().is_some() && indexed > 0 && !self.codes.is_empty() {
            let found = self.for_each_query(interrupt, |search, query| Ok(search.in_graph(query)))?;
            let every: Vec<usize> = (0..found.len()).collect();
            self.scan_codes(every, indexed..coded, &mut tops, interrupt)?;
            // The graph was not to be searched, or too many of its candidates are dead or out of reach.
            let enough = self.count.min((self.view.born - generation.dead().min(self.view.born)) as usize);
            let lacks = |query: usize| lacks(found[query].as_deref(), indexed, &tops[query], enough);
            let lacking: Vec<usize> = (0..found.len()).filter(|&query| lacks(query)).collect();
            self.scan_codes(lacking, 0..indexed, &mut tops, interrupt)?;
            slots = found.into_iter().map(Option::unwrap_or_default).collect();
        } else {
            indexed = 0;
            self.scan_codes((0..tops.len()).collect(), indexed..coded, &mut tops, interrupt)?;
        }
        let uncoded = self.scan_rows(coded..self.view.born, self.count, Query::rough, interrupt)?;
        for (slots, (coded, uncoded)) in slots.iter_mut().zip(tops.into_iter().zip(uncoded)) {
            slots.extend(coded.into_slots().chain(uncoded.into_slots()));
            slots.sort_unstable();
            slots.dedup();
        }
        Ok(slots)
    }

    /// Slots from the graph; `None` when it cannot be searched just now.
    fn in_graph(&self, query: usize) -> Option<Vec<u32>> {
        let (view, generation) = (&self.view, &self.view.generation);
        let visible = |slot: u32| view.visible(slot);
        let all = generation.deaths.is_untouched() && generation.slots() == view.born;
        let ef = self.options.ef.unwrap_or(DEFAULT_EF).max(self.count);
        let filter = (!all).then_some(&visible as &dyn Fn(u32) -> bool);
        let nearest = generation.graph.get()?.search(&self.codes[query], self.count, ef, filter)?;
        // Without a filter it may have found what was born since.
        Some(nearest.into_iter().map(|(_, slot)| slot).filter(|&slot| visible(slot)).collect())
    }

    /// Measures the candidates of a query with their float32 rows.
    fn score(&self, query: usize, slots: &[u32]) -> Result<Vec<Found>> {
        let catalogue = &self.shared.catalogue;
        let mut rows = Vec::with_capacity(slots.len());
        for &slot in slots {
            if let Some(span) = self.view.generation.spans.of_slot(slot) {
                let batch = catalogue.batch(span.batch);
                // Narrowing is safe: a row of the batch, whose count is a u32.
                #[allow(clippy::cast_possible_truncation)]
                let index = (span.row(slot) - batch.first_row) as u32;
                let row = catalogue.rows(batch, index, 1)?;
                exact::prefetch(row);
                rows.push((Found { row: span.row(slot), batch: span.batch, distance: 0.0 }, batch, row));
            }
        }
        let mut found = Vec::with_capacity(rows.len());
        for (of_row, batch, row) in rows {
            let distance = self.prepared[query].distance(row);
            catalogue.check_medium(batch)?;
            found.push(Found { distance, ..of_row });
        }
        found.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
        found.truncate(self.options.limit);
        Ok(found)
    }

    /// The nearest rows by comparing with each.
    fn exact(
        self: &Arc<Self>,
        selection: Option<&Selection>,
        interrupt: Interrupt<'_>,
    ) -> Result<Vec<Vec<Found>>> {
        let (slots, limit) = (0..self.view.born, self.options.limit);
        let tops = match selection {
            None => self.scan_rows(slots, limit, Query::distance, interrupt)?,
            Some(selection) => {
                self.scan_selected_rows(selection, slots, limit, Query::distance, interrupt)?
            }
        };
        let found = |(distance, slot)| {
            let span = self.view.generation.spans.of_slot(slot)?;
            Some(Found { row: span.row(slot), batch: span.batch, distance })
        };
        Ok(tops.into_iter().map(|top| top.into_sorted().into_iter().filter_map(found).collect()).collect())
    }

    /// What `of_one` says of each query, in order; several at the same time.
    pub(super) fn for_each_query<T: Send + 'static>(
        self: &Arc<Self>,
        interrupt: Interrupt<'_>,
        of_one: impl Fn(&Self, usize) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        let queries = self.prepared.len();
        if queries == 1 {
            return Ok(vec![of_one(self, 0)?]);
        }
        let outcomes = Arc::new(Mutex::new(Vec::with_capacity(queries)));
        let (search, all) = (Arc::clone(self), Arc::clone(&outcomes));
        self.shared.helpers.share(queries, interrupt, move |queries| {
            for query in queries {
                let outcome = of_one(&search, query);
                all.lock().push((query, outcome));
            }
        })?;
        let mut outcomes = std::mem::take(&mut *outcomes.lock());
        outcomes.sort_unstable_by_key(|&(query, _)| query);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    pub(super) fn tops(&self, count: usize) -> Vec<TopCandidates> {
        self.prepared.iter().map(|_| TopCandidates::new(count)).collect()
    }
}
