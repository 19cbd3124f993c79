//! Applying a record: the same for one just written and one replayed. It executes, it decides nothing.

use std::sync::Arc;

use super::Tenant;
use crate::collection::{Collection, Generation};
use crate::error::{Error, Result};
use crate::format::record::{Kind, Record};
use crate::limits::DEFAULT_SUB_TENANT;
use crate::log::Position;
use crate::vector::Dimension;

impl Tenant {
    /// Applies `record`; nothing of it is seen before its LSN is published. `written`: by this process just now.
    pub(super) fn apply(
        &self,
        record: &Record<'_>,
        position: Position,
        written: bool,
        next_row: &mut u64,
    ) -> Result<()> {
        let header = &record.header;
        match header.kind {
            Kind::Upload => {
                let collection = self.collection_of(record)?;
                let numbers = self.catalogue.add(record, position, written)?;
                for &number in &numbers {
                    collection.append(self.catalogue.batch(number).rows(), number);
                    // Before the rows that they are taken from die: whoever looks for an id finds one or both.
                    self.catalogue.name_rows(number)?;
                }
                self.kill(&collection, record)?;
                *next_row = (*next_row).max(header.first_row + u64::from(header.row_count));
            }
            Kind::Delete => {
                let Some(collection) = self.collection(header.sub_tenant) else {
                    return Err(corrupt(position, "deletes from a sub-tenant that does not exist"));
                };
                self.kill(&collection, record)?;
            }
            Kind::Drop => {
                if !self.remove_collection(header.sub_tenant) {
                    return Err(corrupt(position, "ends a sub-tenant that does not exist"));
                }
            }
            Kind::Tenant | Kind::Seal => {}
            Kind::Survivors => return Err(corrupt(position, "is of a kind that this build does not read")),
        }
        Ok(())
    }

    fn kill(&self, collection: &Collection, record: &Record<'_>) -> Result<()> {
        let mut touched: Vec<u32> = Vec::new();
        for rows in record.deaths() {
            collection.kill(rows, record.header.lsn);
            for number in collection.batches_in(rows) {
                self.catalogue.forget_names(number, rows)?;
                touched.push(number);
            }
        }
        self.forget_dead(collection, touched);
        Ok(())
    }

    /// Forgets those of `numbers` that have no row left.
    pub(super) fn forget_dead(&self, collection: &Collection, mut numbers: Vec<u32>) {
        numbers.sort_unstable();
        numbers.dedup();
        numbers.retain(|&number| !collection.lives(self.catalogue.batch(number).rows()));
        self.catalogue.forget(&numbers);
    }

    /// The collection that an upload goes to, made with its first.
    fn collection_of(&self, record: &Record<'_>) -> Result<Arc<Collection>> {
        let number = record.header.sub_tenant;
        if let Some(collection) = self.collection(number) {
            return Ok(collection);
        }
        let position = Position { segment: record.header.segment, offset: 0 };
        let dimension = Dimension::new(record.header.dimension.into())
            .ok_or_else(|| corrupt(position, "has an upload without a dimension"))?;
        let name = match record.name() {
            Some(name) if !name.is_empty() => name,
            _ if number == 0 => DEFAULT_SUB_TENANT,
            _ => return Err(corrupt(position, "uses a sub-tenant before it is named")),
        };
        Ok(self.add_collection(number, name.to_owned(), dimension, Generation::new(0)))
    }
}

fn corrupt(position: Position, what: &str) -> Error {
    Error::CorruptData { reason: format!("segment {} offset {} {what}", position.segment, position.offset) }
}
