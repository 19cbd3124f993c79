//! What an operator watches, summed over the tenants that are open. Nothing here waits for a tenant.

use std::sync::atomic::Ordering;

use super::Store;

/// Counts at one moment, of open tenants only: to look at the others would open them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Tenants that are open.
    pub open_tenants: u64,
    /// Of them, those that take no writes.
    pub refusing_tenants: u64,
    /// Rows alive.
    pub rows: u64,
    /// Of them, those that a search has to scan.
    pub unindexed_rows: u64,
    /// Sources alive.
    pub sources: u64,
    /// Groups written since the store was opened, by tenants that were closed meanwhile, too: one write and one sync each.
    pub groups: u64,
}

impl Store {
    /// Counts what is open; a tenant that is just being opened or closed is left out.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics { groups: self.groups.load(Ordering::Relaxed), ..Metrics::default() };
        for tenant in self.tenants.at_hand() {
            let (rows, indexed) = tenant.count();
            metrics.open_tenants += 1;
            metrics.refusing_tenants += u64::from(tenant.is_refusing());
            metrics.rows += rows;
            metrics.unindexed_rows += rows.saturating_sub(indexed);
            metrics.sources += tenant.source_count() as u64;
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::{Options, Store};
    use super::Metrics;
    use crate::storage::memory::MemoryDisk;
    use crate::tenant::{Selector, Upload};
    use crate::vector::{Dimension, Rows};

    #[test]
    fn open_tenants_are_summed_and_groups_of_closed_ones_are_not_lost() {
        let options = Options { max_open_tenants: 2, ..Options::default() };
        let store = Store::open_on(Arc::new(MemoryDisk::new()), Path::new("/data"), options).unwrap();
        for tenant in ["a", "b", "c"] {
            let mut rows = Rows::new(Dimension::new(2).unwrap());
            (0..3).for_each(|_| rows.extend(&[1.0, 2.0]));
            let upload = Upload::matrix("s".to_owned(), rows);
            store.insert(tenant, upload).unwrap();
        }
        store.delete("c", None, &Selector::Chunks(vec!["s_1".to_owned()])).unwrap();
        let expected = Metrics {
            open_tenants: 2,
            refusing_tenants: 0,
            rows: 5,
            unindexed_rows: 0,
            sources: 2,
            groups: 4,
        };
        assert_eq!(store.metrics(), expected);
    }

    #[test]
    fn a_tenant_that_is_being_opened_is_not_waited_for() {
        let store =
            Store::open_on(Arc::new(MemoryDisk::new()), Path::new("/data"), Options::default()).unwrap();
        let metrics = store.tenants.while_opening("a", || store.metrics());
        assert_eq!(metrics, Metrics::default());
    }
}
