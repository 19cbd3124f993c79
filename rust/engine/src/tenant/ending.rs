//! The ends of things: a sub-tenant that is deleted, a tenant that is deleted or closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Tenant;
use crate::collection::Collection;
use crate::error::{Error, Result};

impl Tenant {
    /// A sub-tenant ends: nobody finds its collection any more. What it leaves behind goes with [`Self::sweep`].
    pub(super) fn remove_collection(&self, number: u32) -> bool {
        let removed = {
            let mut collections = self.collections.write();
            let removed = collections.by_number.remove(&number);
            if let Some(collection) = &removed {
                collections.by_name.remove(collection.name());
            }
            removed
        };
        let Some(collection) = removed else { return false };
        collection.stop();
        self.ended.lock().push(collection);
        true
    }

    /// Removes what sub-tenants that have ended leave behind: names in the catalogue, derived files. Returns when
    /// nothing of those that had ended by then is left; nobody who writes or searches waits for it.
    pub(crate) fn sweep(&self) {
        let _turn = self.sweeping.lock();
        while let Some(collection) = self.next_ended() {
            collection.end();
            // Files that stay cost space, until the tenant is deleted; their names are never used again.
            let _ = collection.remove_files();
            self.forget(&collection);
        }
    }

    fn next_ended(&self) -> Option<Arc<Collection>> {
        self.ended.lock().pop()
    }

    fn forget(&self, collection: &Collection) {
        let generation = collection.generation();
        let spans = (0..generation.spans.len()).map_while(|index| generation.spans.get(index));
        let mut numbers: Vec<u32> = spans.map(|span| span.batch).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for &number in &numbers {
            // One that cannot be read stays, and costs a few bytes: nobody asks for it under this number again.
            let _ = self.catalogue.forget_names(number, self.catalogue.batch(number).rows());
        }
        self.catalogue.forget(&numbers);
    }

    /// The tenant is deleted: waits for what is in flight, and refuses what comes later as if it were not there. When
    /// this returns nothing is written to its directory any more; those who read go on reading.
    pub(crate) fn end(&self) {
        self.sequencer.lock().closed.get_or_insert(Error::TenantNotFound);
        // Not left to the threads of the pool: all of them may be waiting for this tenant.
        while self.commit_group() {}
        let _checkpointing = self.checkpointing.lock();
        let _sweeping = self.sweeping.lock();
        self.ended.lock().clear();
        for collection in self.collections() {
            collection.end();
        }
    }

    /// Refuses new requests, waits for those in flight, and saves what is derived.
    ///
    /// # Errors
    /// What the system refuses; the log is whole all the same.
    pub fn close(&self) -> Result<()> {
        {
            let mut sequencer = self.sequencer.lock();
            sequencer.closed.get_or_insert(Error::Closed);
            while sequencer.committing {
                sequencer = self.idle.wait(sequencer);
            }
        }
        // One that is being written is waited for: nothing is written after this returns.
        let turn = self.checkpointing.lock();
        let mut state = self.committer.lock();
        let unsaved = self.visible_lsn() > self.checkpointed.load(Ordering::Relaxed);
        // Whatever fails below, no worker goes on with what may soon be opened anew.
        for collection in self.collections() {
            collection.stop();
        }
        state.log.close()?;
        for collection in self.collections() {
            collection.save()?;
        }
        // A checkpoint would leave out what is in the log and could not be applied.
        if unsaved && state.broken.is_none() {
            self.write_checkpoint(&self.capture(&state), &turn)?;
        }
        Ok(())
    }
}
