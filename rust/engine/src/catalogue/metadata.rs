//! Metadata belongs to a source: which of its batches holds it at an LSN.

use std::sync::atomic::Ordering;

use super::Catalogue;
use super::batch::NONE;
use crate::error::Result;

impl Catalogue {
    /// The batch that holds, at `lsn`, the metadata of the source that batch `number`, born by then, is of: the
    /// youngest by then that brought its own, or with which the source began. It may be dead.
    pub fn metadata_holder(&self, number: u32, lsn: u64) -> u32 {
        let mut holder = self.holders[self.batch(number).source as usize].load(Ordering::Acquire);
        loop {
            let batch = self.batch(holder);
            if batch.birth <= lsn || batch.previous == NONE {
                return holder;
            }
            holder = batch.previous;
        }
    }

    /// The metadata, as it was sent, of the source of batch `number` at `lsn`.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptData`] when the log cannot be read.
    pub fn metadata_of(&self, number: u32, lsn: u64) -> Result<Option<&[u8]>> {
        let holder = self.metadata_holder(number, lsn);
        Ok(self.entry(self.batch(holder))?.metadata)
    }
}
