//! Searches begun without waiting: a batch of queries is shared out among the search threads.

use std::ops::Range;
use std::sync::Arc;

use super::{Search, Store};
use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::tenant::{Completion, Hits, Tenant, sub_tenant_name};
use crate::vector::Rows;

/// Queries for which it pays to wake another thread.
const LEAST_SHARE: usize = 8;

/// What to search for.
pub struct Batch {
    /// The tenant.
    pub tenant_id: String,
    /// The sub-tenant; `None` or empty = the default one.
    pub sub_tenant: Option<String>,
    /// One query a row.
    pub queries: Rows,
    /// How.
    pub search: Search,
}

/// Makes what is wanted of what some of the queries found.
type Read<T> = Box<dyn Fn(Vec<Hits>, Range<usize>) -> Result<T> + Send + Sync>;

/// A batch that threads are at work on.
struct Shared<T> {
    batch: Batch,
    read: Read<T>,
    gathered: Mutex<Gathered<T>>,
}

struct Gathered<T> {
    shares: Vec<Option<T>>,
    missing: usize,
    /// `None` once told.
    completion: Option<Completion<Vec<T>>>,
}

impl<T> Drop for Gathered<T> {
    fn drop(&mut self) {
        if let Some(told) = self.completion.take() {
            // A thread that panicked put nothing; whoever waits must not wait for ever.
            told(Err(Error::GraphFailed { reason: "a bug interrupted a search".to_owned() }));
        }
    }
}

impl<T> Shared<T> {
    fn put(&self, share: usize, outcome: Result<T>) {
        let told = {
            let mut gathered = self.gathered.lock();
            match outcome {
                Ok(read) => {
                    gathered.missing -= 1;
                    gathered.shares[share] = Some(read);
                    if gathered.missing > 0 {
                        return;
                    }
                    let shares = std::mem::take(&mut gathered.shares);
                    gathered.completion.take().map(|told| (told, Ok(shares.into_iter().flatten().collect())))
                }
                Err(refused) => gathered.completion.take().map(|told| (told, Err(refused))),
            }
        };
        if let Some((told, outcome)) = told {
            told(outcome);
        }
    }
}

impl Store {
    /// Searches for every query on search threads, and tells `completion` what `read` made of the finds of each share
    /// of the queries, in query order. `read` runs where the search ran. With `here`, a single query is searched for on
    /// the calling thread if that can be expected to take well under a millisecond.
    pub fn begin_search<T: Send + 'static>(
        self: &Arc<Self>,
        batch: Batch,
        read: impl Fn(Vec<Hits>, Range<usize>) -> Result<T> + Send + Sync + 'static,
        completion: Completion<Vec<T>>,
        here: bool,
    ) {
        let here = here && self.is_brisk(&batch);
        let gathered = Gathered { shares: Vec::new(), missing: 0, completion: Some(completion) };
        let shared = Arc::new(Shared { batch, read: Box::new(read), gathered: Mutex::new(gathered) });
        if here {
            return self.share_out(&shared);
        }
        let store = Arc::clone(self);
        self.searches.spawn(move || store.share_out(&shared));
    }

    fn is_brisk(&self, batch: &Batch) -> bool {
        let Ok(name) = sub_tenant_name(batch.sub_tenant.as_deref()) else { return false };
        batch.queries.len() == 1
            && self.check().is_ok()
            && self
                .tenants
                .opened_one(&batch.tenant_id)
                .is_some_and(|tenant| tenant.is_brisk(name, batch.search.options))
    }

    fn share_out<T: Send + 'static>(self: &Arc<Self>, shared: &Arc<Shared<T>>) {
        let Batch { tenant_id, queries, search, .. } = &shared.batch;
        // All of them before any is searched for: what is wrong is told with its place among all.
        let tenant = match self.searched(tenant_id, queries, *search) {
            Ok(tenant) => tenant,
            Err(refused) => return shared.put(0, Err(refused)),
        };
        let shares = (queries.len() / LEAST_SHARE).clamp(1, self.search_threads);
        {
            let mut gathered = shared.gathered.lock();
            gathered.missing = shares;
            gathered.shares.resize_with(shares, || None);
        }
        let part = |share: usize| share * queries.len() / shares..(share + 1) * queries.len() / shares;
        for share in 1..shares {
            let (store, tenant, shared) = (Arc::clone(self), Arc::clone(&tenant), Arc::clone(shared));
            let some = part(share);
            self.searches.spawn(move || store.search_share(&tenant, &shared, share, some));
        }
        self.search_share(&tenant, shared, 0, part(0));
    }

    fn search_share<T>(&self, tenant: &Arc<Tenant>, shared: &Shared<T>, share: usize, some: Range<usize>) {
        let Batch { sub_tenant, queries, search, .. } = &shared.batch;
        // A share of what has failed already is not worth its time.
        let wanted =
            || if shared.gathered.lock().completion.is_some() { Ok(()) } else { Err(Error::Interrupted) };
        let found = wanted().and_then(|()| {
            self.search_some(tenant, sub_tenant.as_deref(), queries, some.clone(), *search, &wanted)
        });
        shared.put(share, found.and_then(|found| (shared.read)(found, some)));
    }
}
