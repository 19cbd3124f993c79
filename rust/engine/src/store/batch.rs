//! Searches begun without waiting for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Search, Store};
use crate::error::{Error, Result};
use crate::pool::Owner;
use crate::tenant::{Completion, Hits, sub_tenant_name};
use crate::vector::Rows;

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

impl Store {
    /// Searches on a search thread, and tells `completion` what `read` made there of the finds of every query. With
    /// `here`, a single query is searched for on the calling thread if that can be expected to take well under a
    /// millisecond; true: so it was.
    pub fn begin_search<T: 'static>(
        self: &Arc<Self>,
        batch: Batch,
        read: impl FnOnce(Vec<Hits>) -> Result<T> + Send + 'static,
        completion: Completion<T>,
        here: bool,
    ) -> bool {
        let here = here && self.is_brisk(&batch);
        let owner = Owner::of(&batch.tenant_id);
        let request = self.company.request(owner);
        let store = Arc::clone(self);
        let job = move || {
            let _request = request;
            let Batch { tenant_id, sub_tenant, queries, search } = &batch;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                store.search(tenant_id, sub_tenant.as_deref(), queries, search, &|| Ok(())).and_then(read)
            }));
            // Whoever waits must not wait for ever for a thread that panicked.
            completion(outcome.unwrap_or_else(|_| {
                Err(Error::GraphFailed { reason: "a bug interrupted a search".to_owned() })
            }));
        };
        if here {
            job();
        } else {
            self.searches.spawn(owner, job);
        }
        here
    }

    fn is_brisk(&self, batch: &Batch) -> bool {
        let Ok(name) = sub_tenant_name(batch.sub_tenant.as_deref()) else { return false };
        // A filter may have to read the metadata of everything first.
        batch.queries.len() == 1
            && batch.search.filter.is_none()
            && self.check().is_ok()
            && self
                .tenants
                .opened_one(&batch.tenant_id)
                .is_some_and(|tenant| tenant.is_brisk(name, batch.search.options))
    }
}
