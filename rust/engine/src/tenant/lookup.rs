//! Reading rows back: by source, by chunk id, or all; the strings that belong to what was found; counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Selector, Tenant};
use crate::collection::{Collection, Found, View};
use crate::error::Result;
use crate::format::name::parse_chunk_id;

/// One row that was found, with what the log says of it.
pub struct Hit<'a> {
    /// Its source.
    pub source_id: &'a str,
    /// Its id.
    pub chunk_id: String,
    /// Its source's metadata: JSON text exactly as it was sent.
    pub metadata: Option<&'a [u8]>,
    /// Its distance, if it was searched for.
    pub distance: f32,
    /// Its numbers.
    pub vector: &'a [f32],
}

/// Rows that were found, readable while the tenant is held.
pub struct Hits {
    tenant: Arc<Tenant>,
    found: Vec<Found>,
    /// LSN of the view they were found in.
    lsn: u64,
}

/// How far the graph has come with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Rows alive.
    pub total_rows: u64,
    /// Of them, those found without a scan.
    pub indexed_rows: u64,
}

/// Counts of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantStats {
    /// Rows alive.
    pub rows: u64,
    /// Of them, those found without a scan.
    pub indexed_rows: u64,
    /// Sources alive.
    pub sources: usize,
    /// Rows alive by sub-tenant.
    pub sub_tenants: BTreeMap<String, u64>,
    /// LSN up to which everything is visible.
    pub visible_lsn: u64,
    /// Groups written since the tenant was opened: one write and one sync each.
    pub groups: u64,
}

impl Hits {
    /// `found` in a view of `tenant` at `lsn`.
    pub const fn new(tenant: Arc<Tenant>, found: Vec<Found>, lsn: u64) -> Self {
        Self { tenant, found, lsn }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The tenant they are of.
    pub const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// The rows with their distances.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// Keeps those that satisfy `keep`.
    pub fn retain(&mut self, keep: impl FnMut(&Found) -> bool) {
        self.found.retain(keep);
    }

    /// Shows each row to `visit`, in order.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read; what `visit` returns.
    pub fn each(&self, visit: &mut dyn FnMut(Hit<'_>) -> Result<()>) -> Result<()> {
        self.each_while(&mut |hit| visit(hit).map(|()| true))
    }

    /// Shows rows to `visit`, in order, as long as it wants more.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub fn each_while(&self, visit: &mut dyn FnMut(Hit<'_>) -> Result<bool>) -> Result<()> {
        let catalogue = &self.tenant.catalogue;
        for found in &self.found {
            let batch = catalogue.batch(found.batch);
            let entry = catalogue.entry(batch)?;
            let chunk_id = catalogue.id_of(batch, &entry, found.row)?.into_owned();
            let metadata = match catalogue.metadata_holder(found.batch, self.lsn) {
                holder if holder == found.batch => entry.metadata,
                holder => catalogue.entry(catalogue.batch(holder))?.metadata,
            };
            let vector = catalogue.rows(batch, batch.offset_of(found.row), 1)?;
            catalogue.check_medium(batch)?;
            let more = visit(Hit {
                source_id: entry.source_id,
                chunk_id,
                metadata,
                distance: found.distance,
                vector,
            })?;
            if !more {
                break;
            }
        }
        Ok(())
    }
}

impl Tenant {
    /// Selected rows in insertion order, `most` of those by source, and the view they are of.
    pub(super) fn rows_now(
        &self,
        collection: &Collection,
        selector: Option<&Selector>,
        most: usize,
    ) -> Result<(View, Vec<Found>)> {
        let (view, mut found): (View, Vec<Found>) = match selector {
            None => {
                let view = collection.view();
                let found = view.rows().take(most).collect();
                (view, found)
            }
            Some(Selector::Source(id)) => {
                let sources = [id.as_str()];
                let (view, candidates) =
                    self.view_of(collection, Names { sources: &sources, chunk_ids: &[] })?;
                let batches =
                    candidates.batches_of(id).iter().map(|&number| (number, self.catalogue.batch(number)));
                let rows = batches.flat_map(|(number, batch)| {
                    (batch.rows().first..batch.rows().end()).map(move |row| Found {
                        row,
                        batch: number,
                        distance: 0.0,
                    })
                });
                let found = rows.filter(|found| view.has(found.row)).take(most).collect();
                (view, found)
            }
            Some(Selector::Chunks(ids)) => {
                let sources: Vec<&str> =
                    ids.iter().filter_map(|id| parse_chunk_id(id)).map(|(source, _)| source).collect();
                let (view, candidates) =
                    self.view_of(collection, Names { sources: &sources, chunk_ids: ids })?;
                let named = candidates.rows.iter().flatten().copied();
                let computed = ids.iter().filter_map(|id| parse_chunk_id(id)).flat_map(|(source, index)| {
                    candidates.batches_of(source).iter().filter_map(move |&number| {
                        let batch = self.catalogue.batch(number);
                        let behind = index.checked_sub(batch.first_index)?;
                        (!batch.explicit && behind < batch.row_count)
                            .then(|| (number, batch.first_row + u64::from(behind)))
                    })
                });
                let rows = named.chain(computed).filter(|&(_, row)| view.has(row));
                let found = rows.map(|(batch, row)| Found { row, batch, distance: 0.0 }).collect();
                (view, found)
            }
            Some(Selector::Filter(filter)) => {
                let view = collection.view();
                let selection = collection.select(&view, filter, &|| Ok(()))?;
                let found = selection.rows(&view).take(most).collect();
                (view, found)
            }
        };
        found.sort_unstable_by_key(|found| found.row);
        found.dedup_by_key(|found| found.row);
        Ok((view, found))
    }

    /// What some names may stand for, and a view that goes with it. An overwrite that is being applied is waited for
    /// (microseconds), since it has already taken the place of what it replaces; one that came between the look at
    /// the names and the view is looked at again.
    fn view_of<'a>(&self, collection: &Collection, names: Names<'a>) -> Result<(View, Candidates<'a>)> {
        let mut candidates = self.candidates(collection, names)?;
        loop {
            let view = collection.view();
            let again = self.candidates(collection, names)?;
            if again == candidates && self.youngest(&candidates) <= view.lsn() {
                return Ok((view, candidates));
            }
            candidates = again;
            // Nobody will finish what a bug or an unreadable disk has interrupted.
            if let Some(cause) = self.committer.try_lock().and_then(|state| state.broken.clone()) {
                return Err(cause);
            }
            std::thread::yield_now();
        }
    }

    fn candidates<'a>(&self, collection: &Collection, names: Names<'a>) -> Result<Candidates<'a>> {
        let sub_tenant = collection.sub_tenant();
        let mut candidates = Candidates::default();
        for &source in names.sources {
            if !candidates.batches.contains_key(source) {
                let numbers = if names.chunk_ids.is_empty() {
                    self.catalogue.batches_of(sub_tenant, source)?
                } else {
                    self.catalogue.matrices_of(sub_tenant, source)?
                };
                candidates.batches.insert(source, numbers);
            }
        }
        if !self.catalogue.has_no_names() {
            let rows = names.chunk_ids.iter().map(|id| self.catalogue.rows_named(sub_tenant, id));
            candidates.rows = rows.collect::<Result<_>>()?;
        }
        Ok(candidates)
    }

    /// LSN at which the last of some candidates was born.
    fn youngest(&self, candidates: &Candidates<'_>) -> u64 {
        let of_sources = candidates.batches.values().flatten();
        let of_rows = candidates.rows.iter().flatten().map(|(number, _)| number);
        let births = of_sources.chain(of_rows).map(|&number| self.catalogue.batch(number).birth);
        births.max().unwrap_or(0)
    }

    /// How far the graph has come with a source; `None` when it has no row.
    ///
    /// # Errors
    /// [`crate::error::Error::SubTenantNotFound`]; [`Error::CorruptData`].
    pub fn status(&self, sub_tenant: &str, source_id: &str) -> Result<Option<SourceStatus>> {
        let Some(collection) = self.existing(sub_tenant)? else { return Ok(None) };
        let mut status = SourceStatus { total_rows: 0, indexed_rows: 0 };
        for number in self.catalogue.batches_of(collection.sub_tenant(), source_id)? {
            let (total, indexed) = collection.count(self.catalogue.batch(number).rows());
            status.total_rows += total;
            status.indexed_rows += indexed;
        }
        Ok((status.total_rows > 0).then_some(status))
    }

    /// Whether any explicit id is held.
    #[cfg(test)]
    pub(crate) fn has_names(&self) -> bool {
        !self.catalogue.has_no_names()
    }

    /// Counts.
    pub fn stats(&self) -> TenantStats {
        // Or the sources of a sub-tenant that has just ended would count.
        self.sweep();
        let collections = self.collections();
        let mut sub_tenants: BTreeMap<String, u64> =
            collections.iter().map(|collection| (collection.name().to_owned(), collection.rows())).collect();
        sub_tenants.entry(crate::limits::DEFAULT_SUB_TENANT.to_owned()).or_default();
        TenantStats {
            rows: sub_tenants.values().sum(),
            indexed_rows: collections.iter().map(|collection| collection.indexed_rows()).sum(),
            sources: self.catalogue.source_count(),
            sub_tenants,
            visible_lsn: self.visible_lsn(),
            groups: self.groups.load(Ordering::Relaxed),
        }
    }

    /// Rows alive, and of them those found without a scan.
    pub(crate) fn count(&self) -> (u64, u64) {
        self.collections().iter().fold((0, 0), |(rows, indexed), collection| {
            (rows + collection.rows(), indexed + collection.indexed_rows())
        })
    }

    /// Sources alive.
    pub(crate) fn source_count(&self) -> usize {
        self.catalogue.source_count()
    }
}

/// Names to look for: all of some sources, or some chunks and the sources whose computed ids they could be.
#[derive(Clone, Copy)]
struct Names<'a> {
    sources: &'a [&'a str],
    chunk_ids: &'a [String],
}

/// What names may stand for.
#[derive(Default, PartialEq, Eq)]
struct Candidates<'a> {
    batches: HashMap<&'a str, Vec<u32>>,
    /// For each explicit id the rows that may have it, with their batches.
    rows: Vec<Vec<(u32, u64)>>,
}

impl Candidates<'_> {
    fn batches_of(&self, source_id: &str) -> &[u32] {
        self.batches.get(source_id).map_or(&[], Vec::as_slice)
    }
}
