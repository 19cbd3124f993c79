//! Group commit: what waits is written together, synced once, applied in order, and only then seen and answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::sequencer::Queued;
use super::{CommitState, Tenant};
use crate::error::{Error, Result};
use crate::format::draft::Draft;
use crate::log::AppendError;

/// Bytes after which a group is closed: the first upload of a group should not wait for much more than its own.
const GROUP_BYTES: u64 = 64 << 20;

impl Tenant {
    /// Commits one group. True: more is waiting, and whoever called is still the one who has to see to it.
    pub(super) fn commit_group(&self) -> bool {
        let mut state = self.committer.lock();
        let group = {
            let mut sequencer = self.sequencer.lock();
            let mut bytes = 0;
            let mut group: Vec<Queued> = Vec::new();
            while let Some(next) = sequencer.queue.front() {
                bytes += next.draft.as_ref().map_or(0, Draft::record_length);
                if !group.is_empty() && bytes > GROUP_BYTES {
                    break;
                }
                group.extend(sequencer.queue.pop_front());
            }
            if group.is_empty() {
                sequencer.committing = false;
                self.idle.notify_all();
                return false;
            }
            group
        };
        let drafts: Vec<&Draft> = group.iter().filter_map(|queued| queued.draft.as_ref()).collect();
        let outcome = if drafts.is_empty() {
            // Nothing to write: but what the answer rests on must be durable.
            state.log.confirm()
        } else {
            self.guarded(&mut state, &drafts)
        };
        let mut failed = Vec::new();
        let more = {
            let mut sequencer = self.sequencer.lock();
            match &outcome {
                Ok(()) => sequencer.applied(self.visible.load(Ordering::Relaxed)),
                // What came later was decided as if this group would be there.
                Err(_) => failed.extend(sequencer.reset(&self.applied(&state))),
            }
            let more = !sequencer.queue.is_empty();
            sequencer.committing = more;
            if !more {
                self.idle.notify_all();
            }
            more
        };
        drop(state);
        let mut touched: Vec<u32> = Vec::new();
        if outcome.is_ok() {
            touched.extend(group.iter().filter_map(|queued| Some(queued.draft.as_ref()?.sub_tenant)));
            touched.dedup();
        }
        for queued in group.into_iter().chain(failed) {
            (queued.done)(outcome.clone());
        }
        // Only those touched: a tenant may have very many sub-tenants.
        for collection in touched.into_iter().filter_map(|number| self.collection(number)) {
            self.notify_indexer(&collection);
        }
        more
    }

    /// A bug that panics must not leave those who wait without an answer, nor the tenant taking writes.
    fn guarded(&self, state: &mut CommitState, drafts: &[&Draft]) -> Result<()> {
        let attempt = AssertUnwindSafe(|| self.write_and_apply(state, drafts));
        catch_unwind(attempt).unwrap_or_else(|_| {
            let reason = "a bug interrupted a commit".to_owned();
            state.broken = Some(Error::StorageFailed { reason });
            Err(Error::OutcomeUnknown)
        })
    }

    fn write_and_apply(&self, state: &mut CommitState, drafts: &[&Draft]) -> Result<()> {
        if let Some(cause) = &state.broken {
            return Err(Error::TenantReadOnly { reason: cause.to_string() });
        }
        let positions = state.log.append(drafts).map_err(|refused| match refused {
            AppendError::NothingWritten(cause) => cause,
            AppendError::Unknown(_) => Error::OutcomeUnknown,
        })?;
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.surroundings.groups.fetch_add(1, Ordering::Relaxed);
        let segments = std::sync::Arc::clone(state.log.segments());
        for position in positions {
            let record = segments.get(position.segment).and_then(|segment| segment.record(position.offset));
            let applied = record.and_then(|record| self.apply(&record, position, true, &mut state.next_row));
            if let Err(cause) = applied {
                // It is on disk, but what was just written cannot be read: reopening the tenant settles it.
                state.broken = Some(cause);
                return Err(Error::OutcomeUnknown);
            }
        }
        if let Some(last) = drafts.last() {
            self.visible.store(last.lsn, Ordering::Release);
        }
        Ok(())
    }
}
