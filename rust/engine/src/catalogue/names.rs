//! From the names that clients use to batches and rows. Equal hashes are not equal names: the log decides.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use super::explicit::{IdHash, Place};
use super::{Batch, Catalogue, SourceKey};
use crate::error::{Error, Result};
use crate::format::RowRange;
use crate::format::name::{chunk_id, parse_chunk_id};
use crate::format::record::BatchEntry;

impl Catalogue {
    /// The batches of a source, oldest first, dead ones included until they are forgotten.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn batches_of(&self, sub_tenant: u32, source_id: &str) -> Result<Vec<u32>> {
        // What has computed ids is older: it replaced whatever was there.
        let mut numbers = self.matrices_of(sub_tenant, source_id)?;
        for number in self.documents.get(self.sources.hash(sub_tenant, source_id)) {
            if self.is_of(number, sub_tenant, source_id)? {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// Of the batches of a source, those whose rows have computed ids.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn matrices_of(&self, sub_tenant: u32, source_id: &str) -> Result<Vec<u32>> {
        let mut numbers = self.sources.get(self.sources.hash(sub_tenant, source_id));
        let mut failed = None;
        numbers.retain(|&number| {
            self.is_of(number, sub_tenant, source_id).unwrap_or_else(|cause| {
                failed = Some(cause);
                false
            })
        });
        failed.map_or(Ok(numbers), Err)
    }

    /// The youngest batch of a source that `accept` takes, asked from the youngest on.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn youngest_of(
        &self,
        sub_tenant: u32,
        source_id: &str,
        mut accept: impl FnMut(u32, &Batch) -> bool,
    ) -> Result<Option<u32>> {
        let hash = self.sources.hash(sub_tenant, source_id);
        let mut asked =
            |number| Ok(self.is_of(number, sub_tenant, source_id)? && accept(number, self.batch(number)));
        match self.documents.youngest(hash, &mut asked)? {
            Some(number) => Ok(Some(number)),
            None => self.sources.youngest(hash, &mut asked),
        }
    }

    fn is_of(&self, number: u32, sub_tenant: u32, source_id: &str) -> Result<bool> {
        let batch = self.batch(number);
        Ok(batch.sub_tenant == sub_tenant && self.entry(batch)?.source_id == source_id)
    }

    /// The batch that stands for a source that is there.
    pub(super) fn standing_for(
        &self,
        sub_tenant: u32,
        source_id: &str,
        hash: SourceKey,
    ) -> Result<Option<u32>> {
        if !self.has_source(hash) {
            return Ok(None);
        }
        let number = self.youngest_of(sub_tenant, source_id, |_, _| true)?;
        Ok(number.map(|number| self.batch(number).source))
    }

    /// Forgets batches that have no row left; `numbers` are sorted.
    pub fn forget(&self, numbers: &[u32]) {
        let mut hashes: Vec<(SourceKey, bool)> = numbers
            .iter()
            .map(|&number| self.batch(number))
            .map(|batch| (batch.source_hash, batch.explicit))
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        for (hash, explicit) in hashes {
            let table = if explicit { &self.documents } else { &self.sources };
            if table.has(hash) {
                table.retain(hash, |number| numbers.binary_search(&number).is_err());
                if !self.has_source(hash) {
                    self.source_count.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The rows that have, or are about to have or lose, an explicit id: nearly always one or none.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn rows_named(&self, sub_tenant: u32, chunk_id: &str) -> Result<Vec<(u32, u64)>> {
        if self.explicit.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for Place { batch: number, index } in self.explicit.get(self.sources.hash(sub_tenant, chunk_id)) {
            let batch = self.batch(number);
            if batch.sub_tenant == sub_tenant && self.chunk_id(batch, index)? == chunk_id {
                rows.push((number, batch.first_row + u64::from(index)));
            }
        }
        Ok(rows)
    }

    /// Whether there may be explicit ids that look like computed ones of a source.
    pub fn has_lookalikes(&self, sub_tenant: u32, source_id: &str) -> bool {
        self.explicit.has_lookalikes(self.sources.hash(sub_tenant, source_id))
    }

    /// Whether no row has an explicit id.
    pub fn has_no_names(&self) -> bool {
        self.explicit.is_empty()
    }

    /// Makes the explicit ids of a batch known; it may have none.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn name_rows(&self, number: u32) -> Result<()> {
        for (index, hash) in (0..).zip(self.id_hashes(number)?) {
            self.explicit.add(hash, Place { batch: number, index });
        }
        Ok(())
    }

    /// Makes the explicit ids of some rows of a batch known again. `hashes` are those of all its rows.
    pub fn restore_names(&self, number: u32, rows: RowRange, hashes: &[IdHash]) {
        let batch = self.batch(number);
        for row in rows.first..rows.end() {
            let index = batch.offset_of(row);
            if let Some(&hash) = hashes.get(index as usize) {
                self.explicit.add(hash, Place { batch: number, index });
            }
        }
    }

    /// Forgets the explicit ids of those of `rows` that are of a batch.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn forget_names(&self, number: u32, rows: RowRange) -> Result<()> {
        let batch = self.batch(number);
        if !batch.explicit {
            return Ok(());
        }
        let first = rows.first.max(batch.first_row);
        for row in first..rows.end().min(batch.rows().end()) {
            let index = batch.offset_of(row);
            let hash = self.id_hash(batch.sub_tenant, self.chunk_id(batch, index)?);
            self.explicit.remove(hash, Place { batch: number, index });
        }
        Ok(())
    }

    /// The hashes of the explicit ids of a batch, row by row; none when it has no such ids.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn id_hashes(&self, number: u32) -> Result<Vec<IdHash>> {
        let batch = self.batch(number);
        if !batch.explicit {
            return Ok(Vec::new());
        }
        let ids = self.entry(batch)?.chunk_ids;
        (0..batch.row_count)
            .map(|index| {
                let id = ids.and_then(|ids| ids.get(index)).ok_or_else(|| self.unreadable(batch))?;
                Ok(self.id_hash(batch.sub_tenant, id))
            })
            .collect()
    }

    fn id_hash(&self, sub_tenant: u32, chunk_id: &str) -> IdHash {
        let lookalike = parse_chunk_id(chunk_id).map(|(source, _)| self.sources.hash(sub_tenant, source));
        IdHash { id: self.sources.hash(sub_tenant, chunk_id), lookalike }
    }

    /// The id of a row of a batch whose entry is `entry`: its own, or the one computed of its source and index.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when it has one of its own that cannot be read.
    pub fn id_of<'a>(&'a self, batch: &Batch, entry: &BatchEntry<'a>, row: u64) -> Result<Cow<'a, str>> {
        match entry.chunk_ids {
            None => Ok(Cow::Owned(chunk_id(entry.source_id, batch.index_of(row)))),
            Some(_) => self.chunk_id(batch, batch.offset_of(row)).map(Cow::Borrowed),
        }
    }

    /// The explicit id of row `index` of a batch.
    ///
    /// # Errors
    /// [`Error::CorruptData`] when the log cannot be read, or there is none.
    pub fn chunk_id(&self, batch: &Batch, index: u32) -> Result<&str> {
        let ids = self.entry(batch)?.chunk_ids;
        ids.and_then(|ids| ids.get(index)).ok_or_else(|| self.unreadable(batch))
    }

    fn unreadable(&self, batch: &Batch) -> Error {
        self.corrupt(batch.position(), "has a chunk id that cannot be read")
    }
}
