//! Tenants and sub-tenants themselves: made, counted, listed and deleted.

use std::sync::Arc;

use super::listing::check_limit;
use super::tenants::NEW_METRIC;
use super::{Store, answer};
use crate::error::{Error, Result};
use crate::pool::Owner;
use crate::tenant::{Bookmark, Completion, SourceRows, Tenant, sub_tenant_name};
use crate::vector::{Dimension, Metric};

impl Store {
    /// Makes a tenant, durably. True: it was not there; false: it was, with these settings. What is not asked for may
    /// be anything; a new tenant then compares by cosine, and has its dimension from its first vectors.
    ///
    /// # Errors
    /// [`Error::TenantSettingsDiffer`]; [`Error::InvalidId`]; [`Error::DiskFull`]; [`Error::OutcomeUnknown`].
    pub fn create_tenant(
        &self,
        tenant_id: &str,
        metric: Option<Metric>,
        dimension: Option<Dimension>,
    ) -> Result<bool> {
        let _writing = self.writing.read();
        self.check()?;
        let (tenant, made) = self.tenants.create(tenant_id, metric.unwrap_or(NEW_METRIC), dimension)?;
        let differs = metric.is_some_and(|metric| tenant.metric() != metric)
            || dimension.is_some_and(|dimension| tenant.dimension() != Some(dimension));
        if !made && differs {
            return Err(Error::TenantSettingsDiffer {
                metric: tenant.metric().name(),
                dimension: tenant.dimension().map(Dimension::get),
                asked_metric: metric.map(Metric::name),
                asked_dimension: dimension.map(Dimension::get),
            });
        }
        Ok(made)
    }

    /// Deletes a tenant, durably, whatever state it is in. Requests that are reading it go on to their end; the space
    /// is freed in the background.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`]; [`Error::InvalidId`]; [`Error::OutcomeUnknown`]; what the system refuses.
    pub fn delete_tenant(&self, tenant_id: &str) -> Result<()> {
        let _writing = self.writing.read();
        self.check()?;
        self.tenants.delete(tenant_id, &self.trash)
    }

    /// Deletes a sub-tenant and returns once that is on stable storage and visible.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`]; [`Error::SubTenantNotFound`]; [`Error::InvalidId`], also for the default one;
    /// [`Error::DiskFull`]; [`Error::OutcomeUnknown`].
    pub fn delete_sub_tenant(self: &Arc<Self>, tenant_id: &str, sub_tenant: Option<&str>) -> Result<()> {
        let (completion, outcome) = answer();
        self.remove_sub_tenant(tenant_id, sub_tenant, completion);
        outcome.recv().unwrap_or(Err(Error::Closed))
    }

    /// Runs `job`, which may write and is about the tenant whose `owner` this is, on a commit thread.
    pub fn begin_write(self: &Arc<Self>, owner: Owner, job: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let request = self.company.request(owner);
        let store = Arc::clone(self);
        self.commits.spawn(owner, move || {
            let _request = request;
            job(&store);
        });
    }

    /// As [`Self::delete_sub_tenant`], and tells `completion`.
    pub fn remove_sub_tenant(
        self: &Arc<Self>,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        completion: Completion<()>,
    ) {
        let _writing = self.writing.read();
        let found = self.check().and_then(|()| {
            let name = sub_tenant_name(sub_tenant)?;
            Ok((self.tenants.get(tenant_id)?, name))
        });
        let (tenant, name) = match found {
            Ok(found) => found,
            Err(refused) => return completion(Err(refused)),
        };
        let (store, swept) = (Arc::clone(self), Arc::clone(&tenant));
        let done = Box::new(move |outcome: Result<()>| {
            if outcome.is_ok() {
                let sweeper = Arc::clone(&store);
                store.commits.spawn(Owner::of(swept.id()), move || {
                    let _writing = sweeper.writing.read();
                    if sweeper.check().is_ok() {
                        swept.sweep();
                    }
                });
            }
            completion(outcome);
        });
        if tenant.begin_drop(name, done) {
            self.commit(&tenant);
        }
    }

    /// The names of a tenant's sub-tenants, sorted; the default one is always there.
    ///
    /// # Errors
    /// [`Error::TenantNotFound`]; [`Error::InvalidId`].
    pub fn sub_tenants(&self, tenant_id: &str) -> Result<Vec<String>> {
        self.check()?;
        Ok(self.tenants.get(tenant_id)?.sub_tenants())
    }

    /// One page of a sub-tenant's sources, in the order of their first rows; see [`Tenant::sources`].
    ///
    /// # Errors
    /// [`Error::TenantNotFound`]; [`Error::SubTenantNotFound`]; [`Error::InvalidId`]; [`Error::InvalidLimit`];
    /// [`Error::CursorOfAnother`]; [`Error::CursorExpired`]; [`Error::CorruptData`].
    pub fn sources(
        &self,
        tenant_id: &str,
        sub_tenant: Option<&str>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<SourceRows>, Bookmark)> {
        self.check()?;
        check_limit(limit)?;
        let name = sub_tenant_name(sub_tenant)?;
        let tenant: Arc<Tenant> = self.tenants.get(tenant_id)?;
        tenant.sources(name, limit, cursor)
    }
}
