//! Deciding a delete by filter: against what is applied and what is in flight.

use std::collections::HashMap;
use std::sync::Arc;

use super::Tenant;
use super::sequencer::{LiveSource, Sequencer};
use crate::catalogue::SourceKey;
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::filter::{Filter, Row};
use crate::format::RowRange;
use crate::format::name::chunk_id;
use crate::format::record::{DEATH_ENTRY, MAX_HEADER};

/// Runs of rows that one record may let die: its header has room for them and little else.
const MOST_RUNS: usize = MAX_HEADER / DEATH_ENTRY - 4096;

/// The metadata of a source at the end of the queue.
#[derive(Clone, Debug, Default)]
pub(super) enum Metadata {
    /// It has none.
    #[default]
    None,
    /// It comes with an upload in flight.
    InFlight(Arc<[u8]>),
    /// It lies with this batch.
    Of(u32),
}

/// Rows that a delete in flight lets die, whatever their sources.
pub(super) struct Dying {
    pub(super) lsn: u64,
    sub_tenant: u32,
    /// In order.
    rows: Vec<RowRange>,
}

impl Dying {
    pub(super) const fn new(lsn: u64, sub_tenant: u32, rows: Vec<RowRange>) -> Self {
        Self { lsn, sub_tenant, rows }
    }

    /// What is left of `rows`, which are of this sub-tenant.
    fn leaves(&self, rows: RowRange) -> Vec<RowRange> {
        let mut left = Vec::new();
        let mut first = rows.first;
        let from = self.rows.partition_point(|dying| dying.end() <= rows.first);
        for dying in self.rows[from..].iter().take_while(|dying| dying.first < rows.end()) {
            if dying.first > first {
                left.push(RowRange { first, count: dying.first - first });
            }
            first = first.max(dying.end());
        }
        if first < rows.end() {
            left.push(RowRange { first, count: rows.end() - first });
        }
        left
    }
}

/// What of `rows` no delete in flight lets die.
pub(super) fn surviving(dying: &[Dying], sub_tenant: u32, rows: RowRange) -> Vec<RowRange> {
    let of_it = dying.iter().filter(|dying| dying.sub_tenant == sub_tenant);
    of_it.fold(vec![rows], |left, dying| left.into_iter().flat_map(|rows| dying.leaves(rows)).collect())
}

/// What a filter holds of at the end of the queue.
pub(super) struct Chosen {
    /// Rows that are applied, of sources that nothing in flight touches; in order.
    pub(super) applied: Vec<RowRange>,
    /// Rows of the other sources.
    pub(super) in_flight: Vec<u64>,
    /// Those sources without these rows.
    pub(super) touched: HashMap<String, LiveSource>,
}

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

    /// The rows that a filter holds of at the end of the queue.
    pub(super) fn choose(&self, sequencer: &Sequencer, sub_tenant: u32, filter: &Filter) -> Result<Chosen> {
        let mut chosen = Chosen { applied: Vec::new(), in_flight: Vec::new(), touched: HashMap::new() };
        let mut touching: HashMap<SourceKey, &str> = HashMap::new();
        for (source_id, source) in sequencer.touched(sub_tenant) {
            touching.insert(self.catalogue.source_key(sub_tenant, source_id), source_id);
            let rows = self.rows_of(source_id, source, filter)?;
            if !rows.is_empty() {
                let mut left = source.clone();
                rows.iter().for_each(|&row| left.remove(row));
                chosen.touched.insert(source_id.to_owned(), left);
                chosen.in_flight.extend(rows);
            }
        }
        if let Some(collection) = self.collection(sub_tenant) {
            self.choose_applied(sequencer, &collection, filter, &touching, &mut chosen.applied)?;
        }
        if chosen.applied.len() + chosen.in_flight.len() > MOST_RUNS {
            let reason = format!("a delete of more than {MOST_RUNS} runs of rows: narrow its filter");
            return Err(Error::StorageFailed { reason });
        }
        Ok(chosen)
    }

    /// Nothing applied while the sequencer is held changes what is read here: what a record touches is `touching`
    /// until the sequencer has been told that it is applied.
    fn choose_applied(
        &self,
        sequencer: &Sequencer,
        collection: &Collection,
        filter: &Filter,
        touching: &HashMap<SourceKey, &str>,
        applied: &mut Vec<RowRange>,
    ) -> Result<()> {
        let view = collection.view();
        let selection = collection.select(&view, filter, &|| Ok(()))?;
        for (batch, rows) in selection.living(&view) {
            let batch = self.catalogue.batch(batch);
            if let Some(&source_id) = touching.get(&batch.source_hash)
                && self.catalogue.entry(batch)?.source_id == source_id
            {
                continue;
            }
            for rows in surviving(sequencer.dying(), collection.sub_tenant(), rows) {
                match applied.last_mut() {
                    Some(last) if last.end() == rows.first => last.count += rows.count,
                    _ => applied.push(rows),
                }
            }
        }
        Ok(())
    }

    /// Those rows of a source that a filter holds of.
    fn rows_of(&self, source_id: &str, source: &LiveSource, filter: &Filter) -> Result<Vec<u64>> {
        let metadata = match source.metadata() {
            Metadata::None => None,
            Metadata::InFlight(text) => Some(&**text),
            Metadata::Of(batch) => {
                let holder = self.catalogue.metadata_holder(*batch, u64::MAX);
                self.catalogue.entry(self.catalogue.batch(holder))?.metadata
            }
        };
        let mut rows = Vec::new();
        for (row, index) in source.each_row() {
            let chunk_id = chunk_id(source_id, index);
            if filter.expression().holds(Row { source_id, chunk_id: &chunk_id, metadata }) {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dies_in_flight_is_cut_out() {
        let range = |first, end| RowRange { first, count: end - first };
        let dying = [
            Dying::new(7, 0, vec![range(5, 8), range(10, 12)]),
            Dying::new(8, 0, vec![range(8, 9), range(30, 40)]),
            Dying::new(9, 1, vec![range(0, 100)]),
        ];
        assert_eq!(surviving(&dying, 0, range(0, 20)), [range(0, 5), range(9, 10), range(12, 20)]);
        assert_eq!(surviving(&dying, 0, range(5, 9)), []);
        assert_eq!(surviving(&dying, 0, range(12, 30)), [range(12, 30)]);
        assert_eq!(surviving(&dying, 2, range(0, 3)), [range(0, 3)]);
    }
}
