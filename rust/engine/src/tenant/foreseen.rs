//! A sub-tenant as it will be when everything in flight is applied: the catalogue plus the overlay.

use std::collections::HashMap;
use std::sync::Arc;

use super::Tenant;
use super::overlay::{Birth, Overlay};
use crate::collection::Collection;
use crate::error::Result;
use crate::format::RowRange;
use crate::format::name::{chunk_id, parse_chunk_id};

/// A row that an id names.
pub(super) struct Row {
    pub(super) number: u64,
    /// Its source.
    pub(super) source_id: Arc<str>,
    /// Its batch, if the catalogue knows it.
    pub(super) batch: Option<u32>,
}

/// Rows with computed ids, in the order of their upload.
struct Computed {
    rows: RowRange,
    first_index: u32,
    batch: Option<u32>,
}

/// A sub-tenant at the end of the queue.
pub(super) struct Ending<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) overlay: &'a Overlay,
    pub(super) sub_tenant: u32,
    pub(super) collection: Option<Arc<Collection>>,
    /// The rows with computed ids of sources that were asked about.
    computed: HashMap<String, Vec<Computed>>,
}

impl<'a> Ending<'a> {
    pub(super) fn new(tenant: &'a Tenant, overlay: &'a Overlay, sub_tenant: u32) -> Self {
        let collection = tenant.collection(sub_tenant);
        Self { tenant, overlay, sub_tenant, collection, computed: HashMap::new() }
    }

    /// The batch that a row which is applied is of.
    pub(super) fn batch_at(&self, row: u64) -> Option<u32> {
        self.collection.as_ref()?.batches_in(RowRange { first: row, count: 1 }).first().copied()
    }

    pub(super) fn births(&self, source_id: &str) -> &'a [Birth] {
        self.overlay.births(self.sub_tenant, source_id)
    }

    /// The living rows of a source.
    pub(super) fn rows_of(&self, source_id: &str) -> Result<Vec<RowRange>> {
        let mut living = Vec::new();
        for birth in self.births(source_id) {
            self.overlay.survivors(birth.rows, &mut living);
        }
        if let Some(collection) = &self.collection {
            let catalogue = &self.tenant.catalogue;
            for number in catalogue.batches_of(self.sub_tenant, source_id)? {
                for rows in collection.living(catalogue.batch(number).rows()) {
                    self.overlay.survivors(rows, &mut living);
                }
            }
        }
        Ok(union(living))
    }

    /// Whether a source has a living row: the youngest are asked first.
    pub(super) fn has_source(&self, source_id: &str) -> Result<bool> {
        let survives = |rows: RowRange| {
            let mut living = Vec::new();
            self.overlay.survivors(rows, &mut living);
            !living.is_empty()
        };
        if self.births(source_id).iter().rev().any(|birth| survives(birth.rows)) {
            return Ok(true);
        }
        let Some(collection) = &self.collection else { return Ok(false) };
        let catalogue = &self.tenant.catalogue;
        let found = catalogue.youngest_of(self.sub_tenant, source_id, |_, batch| {
            collection.living(batch.rows()).into_iter().any(survives)
        })?;
        Ok(found.is_some())
    }

    /// The metadata of a source that has a living row.
    pub(super) fn metadata_of(&self, source_id: &str) -> Result<Option<&'a [u8]>> {
        let births = self.births(source_id);
        if let Some(birth) = births.iter().rev().find(|birth| birth.metadata.is_some() || !birth.continues) {
            return Ok(birth.metadata.as_deref());
        }
        let catalogue = &self.tenant.catalogue;
        let youngest = catalogue.youngest_of(self.sub_tenant, source_id, |_, _| true)?;
        youngest.map_or(Ok(None), |number| catalogue.metadata_of(number, u64::MAX))
    }

    /// The row that an id names, explicit or computed.
    pub(super) fn row_of(&mut self, id: &str) -> Result<Option<Row>> {
        if let Some(row) = self.row_named(id)? {
            return Ok(Some(row));
        }
        let Some((source_id, index)) = parse_chunk_id(id) else { return Ok(None) };
        if !self.computed.contains_key(source_id) {
            self.computed.insert(source_id.to_owned(), self.computed_rows(source_id)?);
        }
        let computed = self.computed.get(source_id).map_or(&[][..], Vec::as_slice);
        Ok(computed.iter().find_map(|computed| {
            let behind = u64::from(index.checked_sub(computed.first_index)?);
            (behind < computed.rows.count).then(|| Row {
                number: computed.rows.first + behind,
                source_id: source_id.into(),
                batch: computed.batch,
            })
        }))
    }

    /// The row that has an explicit id.
    fn row_named(&self, id: &str) -> Result<Option<Row>> {
        if let Some(named) = self.overlay.named(self.sub_tenant, id)
            && !self.overlay.kills(named.row)
        {
            let source_id = Arc::clone(&named.source_id);
            return Ok(Some(Row { number: named.row, source_id, batch: None }));
        }
        let Some(collection) = &self.collection else { return Ok(None) };
        let catalogue = &self.tenant.catalogue;
        for (number, row) in catalogue.rows_named(self.sub_tenant, id)? {
            if !self.overlay.kills(row) && collection.lives(RowRange { first: row, count: 1 }) {
                let source_id = catalogue.entry(catalogue.batch(number))?.source_id.into();
                return Ok(Some(Row { number: row, source_id, batch: Some(number) }));
            }
        }
        Ok(None)
    }

    fn computed_rows(&self, source_id: &str) -> Result<Vec<Computed>> {
        let mut computed = Vec::new();
        let mut add = |whole: RowRange, of: RowRange, first_index: u32, batch| {
            let mut living = Vec::new();
            self.overlay.survivors(whole, &mut living);
            computed.extend(living.into_iter().map(|rows| {
                // Fewer than the rows of one upload.
                let behind = u32::try_from(rows.first - of.first).unwrap_or(u32::MAX);
                Computed { rows, first_index: first_index + behind, batch }
            }));
        };
        for birth in self.births(source_id).iter().filter(|birth| !birth.explicit) {
            add(birth.rows, birth.rows, 0, None);
        }
        if let Some(collection) = &self.collection {
            let catalogue = &self.tenant.catalogue;
            for number in catalogue.matrices_of(self.sub_tenant, source_id)? {
                let batch = catalogue.batch(number);
                for rows in collection.living(batch.rows()) {
                    add(rows, batch.rows(), batch.first_index, Some(number));
                }
            }
        }
        Ok(computed)
    }

    /// The rows whose explicit ids are the computed ones of a source with so many rows. Costs nothing where no
    /// explicit id looks like one of them.
    pub(super) fn lookalikes(&self, source_id: &str, rows: usize) -> Result<Vec<(String, u64)>> {
        let (catalogue, sub_tenant) = (&self.tenant.catalogue, self.sub_tenant);
        let mut found = Vec::new();
        if !self.overlay.has_lookalikes(sub_tenant, source_id)
            && !catalogue.has_lookalikes(sub_tenant, source_id)
        {
            return Ok(found);
        }
        for index in (0..).take(rows) {
            let id = chunk_id(source_id, index);
            if let Some(row) = self.row_named(&id)? {
                found.push((id, row.number));
            }
        }
        Ok(found)
    }
}

/// Ranges in order, those that touch joined.
pub(super) fn union(mut ranges: Vec<RowRange>) -> Vec<RowRange> {
    ranges.sort_unstable();
    let mut joined: Vec<RowRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end() >= range.first => {
                last.count = last.end().max(range.end()) - last.first;
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Single rows as ranges.
pub(super) fn ranges(rows: impl IntoIterator<Item = u64>) -> Vec<RowRange> {
    union(rows.into_iter().map(|first| RowRange { first, count: 1 }).collect())
}
