//! Tenants and sub-tenants themselves, for Python: made, listed and deleted.

use std::sync::Arc;

use ingot_engine::error::Result;
use ingot_engine::limits::MAX_DIMENSION;
use ingot_engine::pool::Owner;
use ingot_engine::store;
use ingot_engine::vector::{Dimension, Metric};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::call::released;
use crate::completions::{Completions, report};

/// Names or sources of a page, and the cursor to the next.
type Names = (Vec<String>, Option<String>);
type Sources = (Vec<(String, u64)>, Option<String>);

/// The tenants of a store.
#[pyclass(frozen, module = "ingot._native")]
pub struct Tenants {
    store: Arc<store::Store>,
}

impl Tenants {
    pub fn of(store: &Arc<store::Store>) -> Self {
        Self { store: Arc::clone(store) }
    }
}

fn settings(metric: Option<&str>, dimension: Option<usize>) -> PyResult<(Option<Metric>, Option<Dimension>)> {
    let metric = metric.map(|given| {
        let unknown = || PyValueError::new_err(format!("metric must be cosine, ip or l2, not {given:?}"));
        Metric::named(given).ok_or_else(unknown)
    });
    let dimension = dimension.map(|given| {
        let known = Dimension::new(given);
        known.ok_or_else(|| {
            PyValueError::new_err(format!("dimension must be 1..{MAX_DIMENSION}, not {given}"))
        })
    });
    Ok((metric.transpose()?, dimension.transpose()?))
}

fn sources(
    store: &store::Store,
    tenant_id: &str,
    sub_tenant_id: Option<&str>,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Sources> {
    let (found, bookmark) = store.sources(tenant_id, sub_tenant_id, limit, cursor)?;
    Ok((found.into_iter().map(|source| (source.source_id, source.rows)).collect(), bookmark.next()))
}

#[pymethods]
impl Tenants {
    #[pyo3(signature = (tenant_id, *, metric=None, dimension=None))]
    fn create(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        metric: Option<&str>,
        dimension: Option<usize>,
    ) -> PyResult<bool> {
        let (metric, dimension) = settings(metric, dimension)?;
        released(py, |_| self.store.create_tenant(tenant_id, metric, dimension))
    }

    #[pyo3(signature = (completions, token, tenant_id, *, metric=None, dimension=None))]
    fn begin_create(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        metric: Option<&str>,
        dimension: Option<usize>,
    ) -> PyResult<()> {
        let (metric, dimension) = settings(metric, dimension)?;
        let completions = completions.clone();
        self.store.begin_write(Owner::of(&tenant_id), move |store| {
            let made = store.create_tenant(&tenant_id, metric, dimension);
            report(&completions, token, made, |_, made| Ok(made));
        });
        Ok(())
    }

    fn delete(&self, py: Python<'_>, tenant_id: &str) -> PyResult<()> {
        released(py, |_| self.store.delete_tenant(tenant_id))
    }

    fn begin_delete(&self, completions: &Completions, token: i64, tenant_id: String) {
        let completions = completions.clone();
        self.store.begin_write(Owner::of(&tenant_id), move |store| {
            report(&completions, token, store.delete_tenant(&tenant_id), |py, ()| Ok(py.None()));
        });
    }

    fn delete_sub_tenant(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        sub_tenant_id: Option<&str>,
    ) -> PyResult<()> {
        released(py, |_| self.store.delete_sub_tenant(tenant_id, sub_tenant_id))
    }

    fn begin_delete_sub_tenant(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        sub_tenant_id: Option<String>,
    ) {
        let completions = completions.clone();
        self.store.begin_write(Owner::of(&tenant_id), move |store| {
            let done = Box::new(move |outcome| report(&completions, token, outcome, |py, ()| Ok(py.None())));
            store.remove_sub_tenant(&tenant_id, sub_tenant_id.as_deref(), done);
        });
    }

    fn sub_tenants(&self, py: Python<'_>, tenant_id: &str) -> PyResult<Vec<String>> {
        released(py, |_| self.store.sub_tenants(tenant_id))
    }

    fn begin_sub_tenants(&self, completions: &Completions, token: i64, tenant_id: String) {
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            report(&completions, token, store.sub_tenants(&tenant_id), |_, names| Ok(names));
        });
    }

    #[pyo3(signature = (tenant_id, *, limit, sub_tenant_id=None, cursor=None))]
    fn sources(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        limit: usize,
        sub_tenant_id: Option<&str>,
        cursor: Option<&str>,
    ) -> PyResult<Sources> {
        released(py, |_| sources(&self.store, tenant_id, sub_tenant_id, limit, cursor))
    }

    #[pyo3(signature = (completions, token, tenant_id, *, limit, sub_tenant_id=None, cursor=None))]
    #[allow(clippy::too_many_arguments)]
    fn begin_sources(
        &self,
        completions: &Completions,
        token: i64,
        tenant_id: String,
        limit: usize,
        sub_tenant_id: Option<String>,
        cursor: Option<String>,
    ) {
        let completions = completions.clone();
        self.store.begin_read(Owner::of(&tenant_id), move |store| {
            let found = sources(store, &tenant_id, sub_tenant_id.as_deref(), limit, cursor.as_deref());
            report(&completions, token, found, |_, found| Ok(found));
        });
    }

    #[pyo3(signature = (*, limit, among=None, cursor=None))]
    fn ids(
        &self,
        py: Python<'_>,
        limit: usize,
        among: Option<Vec<String>>,
        cursor: Option<&str>,
    ) -> PyResult<Names> {
        released(py, |_| self.store.tenants(among.as_deref(), limit, cursor))
    }

    #[pyo3(signature = (completions, token, *, limit, among=None, cursor=None))]
    fn begin_ids(
        &self,
        completions: &Completions,
        token: i64,
        limit: usize,
        among: Option<Vec<String>>,
        cursor: Option<String>,
    ) {
        let completions = completions.clone();
        self.store.begin_read(Owner::NOBODY, move |store| {
            let found = store.tenants(among.as_deref(), limit, cursor.as_deref());
            report(&completions, token, found, |_, found| Ok(found));
        });
    }
}
