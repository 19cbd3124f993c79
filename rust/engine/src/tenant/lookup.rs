//! Reading rows back: by source, by chunk id, or all; the strings that belong to what was found; counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Selector, Tenant};
use crate::catalogue::Batch;
use crate::collection::{Collection, Found, View};
use crate::error::Result;
use crate::format::name::{chunk_id, parse_chunk_id};

/// One row that was found, with what the log says of it.
pub struct Hit<'a> {
    /// Its source.
    pub source_id: &'a str,
    /// Its id.
    pub chunk_id: String,
    /// JSON text exactly as it was sent.
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
    /// `found` in `tenant`.
    pub const fn new(tenant: Arc<Tenant>, found: Vec<Found>) -> Self {
        Self { tenant, found }
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
        let catalogue = &self.tenant.catalogue;
        for found in &self.found {
            let batch = catalogue.batch(found.batch);
            let entry = catalogue.entry(batch)?;
            let index = batch.index_of(found.row);
            let vector = catalogue.rows(batch, index - batch.first_index, 1)?;
            catalogue.check_medium(batch)?;
            visit(Hit {
                source_id: entry.source_id,
                chunk_id: chunk_id(entry.source_id, index),
                metadata: entry.metadata,
                distance: found.distance,
                vector,
            })?;
        }
        Ok(())
    }
}

impl Tenant {
    /// Rows of a sub-tenant in insertion order, `limit` at most, and whether there are more.
    ///
    /// # Errors
    /// [`crate::error::Error::SubTenantNotFound`]; [`Error::InvalidId`]; [`Error::CorruptData`].
    pub fn get(
        &self,
        sub_tenant: &str,
        selector: Option<&Selector>,
        limit: usize,
    ) -> Result<(Vec<Found>, bool)> {
        if let Some(selector) = selector {
            selector.check()?;
        }
        let Some(collection) = self.existing(sub_tenant)? else { return Ok((Vec::new(), false)) };
        let mut found: Vec<Found> = match selector {
            None => collection.view().rows().take(limit.saturating_add(1)).collect(),
            Some(Selector::Source(id)) => {
                let (view, batches) = self.view_of(&collection, &[id])?;
                let batches = batches.into_values().flatten().map(|(number, batch)| {
                    (batch.rows().first..batch.rows().end()).map(move |row| Found {
                        row,
                        batch: number,
                        distance: 0.0,
                    })
                });
                batches.flatten().filter(|found| view.has(found.row)).take(limit.saturating_add(1)).collect()
            }
            Some(Selector::Chunks(ids)) => {
                let named: Vec<(&str, u32)> = ids.iter().filter_map(|id| parse_chunk_id(id)).collect();
                let sources: Vec<&str> = named.iter().map(|&(source, _)| source).collect();
                let (view, batches) = self.view_of(&collection, &sources)?;
                let rows = named.iter().filter_map(|(source, index)| {
                    let of_source = batches.get(source)?;
                    of_source.iter().find_map(|(number, batch)| {
                        let behind = index.checked_sub(batch.first_index)?;
                        let row = batch.first_row + u64::from(behind);
                        (behind < batch.row_count && view.has(row)).then_some(Found {
                            row,
                            batch: *number,
                            distance: 0.0,
                        })
                    })
                });
                rows.collect()
            }
        };
        found.sort_unstable_by_key(|found| found.row);
        found.dedup_by_key(|found| found.row);
        let more = found.len() > limit;
        found.truncate(limit);
        Ok((found, more))
    }

    /// The batches of some sources and a view that goes with them. An overwrite that is being applied is waited for
    /// (microseconds), since it has already taken the place of what it replaces; one that came between the look at
    /// the batches and the view is looked at again.
    fn view_of<'a>(&'a self, collection: &Collection, sources: &[&'a str]) -> Result<(View, Sources<'a>)> {
        loop {
            let mut batches = Sources::new();
            let mut youngest = 0;
            for &source in sources {
                if batches.contains_key(source) {
                    continue;
                }
                let numbers = self.catalogue.batches_of(collection.sub_tenant(), source)?;
                let of_source: Vec<(u32, &Batch)> =
                    numbers.into_iter().map(|number| (number, self.catalogue.batch(number))).collect();
                youngest = of_source.iter().map(|(_, batch)| batch.birth).fold(youngest, u64::max);
                batches.insert(source, of_source);
            }
            let view = collection.view();
            let mut unchanged = youngest <= view.lsn();
            for (source, of_source) in &batches {
                let numbers = self.catalogue.batches_of(collection.sub_tenant(), source)?;
                unchanged &= numbers.into_iter().eq(of_source.iter().map(|&(number, _)| number));
            }
            if unchanged {
                return Ok((view, batches));
            }
            std::thread::yield_now();
        }
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

    /// Counts.
    pub fn stats(&self) -> TenantStats {
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

type Sources<'a> = HashMap<&'a str, Vec<(u32, &'a Batch)>>;
