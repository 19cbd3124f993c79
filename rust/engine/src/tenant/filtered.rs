//! Deciding a delete by filter: against what is applied and what is in flight.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Tenant;
use super::foreseen::{Ending, union};
use crate::catalogue::SourceKey;
use crate::error::{Error, Result};
use crate::filter::{Filter, Row};
use crate::format::RowRange;
use crate::format::name::chunk_id;
use crate::format::record::{DEATH_ENTRY, MAX_HEADER};

/// Runs of rows that one record may let die: its header has room for them and little else.
const MOST_RUNS: usize = MAX_HEADER / DEATH_ENTRY - 4096;

impl Tenant {
    /// Makes what a delete by `filter` needs that may take long, before others wait for its decision.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when the log cannot be read.
    pub(crate) fn prepare(&self, sub_tenant: &str, filter: &Filter) -> Result<()> {
        match self.collection_named(sub_tenant) {
            Some(collection) => collection.prepare(filter, &|| Ok(())),
            None => Ok(()),
        }
    }

    /// Whether [`Self::prepare`] would be done soon.
    pub(crate) fn is_prepared(&self, sub_tenant: &str, filter: &Filter) -> bool {
        self.collection_named(sub_tenant).is_none_or(|collection| collection.is_prepared(filter))
    }
}

impl Ending<'_> {
    /// The living rows that a filter holds of.
    pub(super) fn rows_chosen(&self, filter: &Filter) -> Result<Vec<RowRange>> {
        let mut chosen = Vec::new();
        // What is in flight may change all rows of a source: its metadata.
        let mut touched: HashSet<SourceKey> = HashSet::new();
        let ids = self.overlay.explicit_ids(self.sub_tenant);
        for source_id in self.overlay.sources(self.sub_tenant) {
            touched.insert(self.tenant.catalogue.hash(self.sub_tenant, source_id));
            self.chosen_of(source_id, filter, &ids, &mut chosen)?;
        }
        self.chosen_applied(filter, &touched, &mut chosen)?;
        let chosen = union(chosen);
        if chosen.len() > MOST_RUNS {
            let reason = format!("a delete of more than {MOST_RUNS} runs of rows: narrow its filter");
            return Err(Error::StorageFailed { reason });
        }
        Ok(chosen)
    }

    /// Those of the rows of a source that something in flight touches; `ids` are the explicit ones in flight.
    fn chosen_of(
        &self,
        source_id: &str,
        filter: &Filter,
        ids: &HashMap<u64, &str>,
        chosen: &mut Vec<RowRange>,
    ) -> Result<()> {
        let metadata = self.metadata_of(source_id)?;
        let mut ask = |row: u64, chunk_id: &str| {
            if filter.expression().holds(Row { source_id, chunk_id, metadata }) {
                chosen.push(RowRange { first: row, count: 1 });
            }
        };
        // A record that is half applied is looked at twice, which does no harm.
        for birth in self.births(source_id) {
            for row in self.surviving(birth.rows) {
                let computed = || Cow::Owned(chunk_id(source_id, (row - birth.rows.first) as u32));
                // An id that was given again in flight belongs to the younger row, and this one dies.
                ask(row, &ids.get(&row).map_or_else(computed, |&id| Cow::Borrowed(id)));
            }
        }
        let Some(collection) = &self.collection else { return Ok(()) };
        let catalogue = &self.tenant.catalogue;
        for number in catalogue.batches_of(self.sub_tenant, source_id)? {
            let batch = catalogue.batch(number);
            let entry = catalogue.entry(batch)?;
            for rows in collection.living(batch.rows()) {
                for row in self.surviving(rows) {
                    ask(row, &catalogue.id_of(batch, &entry, row)?);
                }
            }
        }
        Ok(())
    }

    fn surviving(&self, rows: RowRange) -> impl Iterator<Item = u64> + use<> {
        let mut living = Vec::new();
        self.overlay.survivors(rows, &mut living);
        living.into_iter().flat_map(|rows| rows.first..rows.end())
    }

    /// Those of the other sources. Nothing that is applied while the sequencer is held changes what is read here: what a
    /// record touches is `touched`, and what it lets die is in the overlay, until the sequencer has been told that it is
    /// applied.
    fn chosen_applied(
        &self,
        filter: &Filter,
        touched: &HashSet<SourceKey>,
        chosen: &mut Vec<RowRange>,
    ) -> Result<()> {
        let Some(collection) = &self.collection else { return Ok(()) };
        let catalogue = &self.tenant.catalogue;
        let view = collection.view();
        let selection = collection.select(&view, filter, &|| Ok(()))?;
        for (number, rows) in selection.living(&view) {
            let batch = catalogue.batch(number);
            if touched.contains(&batch.source_hash)
                && !self.births(catalogue.entry(batch)?.source_id).is_empty()
            {
                continue;
            }
            self.overlay.survivors(rows, chosen);
        }
        Ok(())
    }
}
