//! Counts, for Python.

use std::collections::BTreeMap;

use ingot_engine::vector::Dimension;
use ingot_engine::{store, tenant};
use pyo3::prelude::*;

/// How far the graph has come with a source's live rows.
#[pyclass(frozen, get_all, module = "ingot._native")]
pub struct SourceStatus {
    total_rows: u64,
    indexed_rows: u64,
}

impl From<tenant::SourceStatus> for SourceStatus {
    fn from(status: tenant::SourceStatus) -> Self {
        Self { total_rows: status.total_rows, indexed_rows: status.indexed_rows }
    }
}

/// One tenant, counted at one moment.
#[pyclass(frozen, get_all, module = "ingot._native")]
pub struct TenantStats {
    tenant_id: String,
    dimension: Option<usize>,
    metric: &'static str,
    rows: u64,
    indexed_rows: u64,
    sources: usize,
    sub_tenants: BTreeMap<String, u64>,
    visible_lsn: u64,
    groups: u64,
}

impl TenantStats {
    pub fn new(tenant: &tenant::Tenant, stats: tenant::TenantStats) -> Self {
        Self {
            tenant_id: tenant.id().to_owned(),
            dimension: tenant.dimension().map(Dimension::get),
            metric: tenant.metric().name(),
            rows: stats.rows,
            indexed_rows: stats.indexed_rows,
            sources: stats.sources,
            sub_tenants: stats.sub_tenants,
            visible_lsn: stats.visible_lsn,
            groups: stats.groups,
        }
    }
}

/// Counts of what is open, for an operator.
#[pyclass(frozen, get_all, module = "ingot._native")]
pub struct StoreMetrics {
    open_tenants: u64,
    refusing_tenants: u64,
    rows: u64,
    unindexed_rows: u64,
    sources: u64,
    groups: u64,
}

impl From<store::Metrics> for StoreMetrics {
    fn from(metrics: store::Metrics) -> Self {
        Self {
            open_tenants: metrics.open_tenants,
            refusing_tenants: metrics.refusing_tenants,
            rows: metrics.rows,
            unindexed_rows: metrics.unindexed_rows,
            sources: metrics.sources,
            groups: metrics.groups,
        }
    }
}
