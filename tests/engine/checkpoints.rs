//! Checkpoints written while uploads go on, and what a start makes of them.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use ingot_engine::error::Result;
use ingot_engine::storage::Storage;
use ingot_engine::storage::memory::MemoryDisk;
use ingot_engine::store::{Options, Store};
use ingot_engine::tenant::{Selector, Upload};
use ingot_engine::vector::{Dimension, Rows};

const UPLOADS: u32 = 20_000;
const SOURCES: u32 = 3_000;

fn upload(source: u32, version: u32) -> Upload {
    let mut rows = Rows::new(Dimension::new(2).unwrap());
    rows.extend(&[source as f32 + 1.0, version as f32]);
    Upload { sub_tenant: Some(format!("sub{}", source % 3)), ..Upload::matrix(format!("s{source}"), rows) }
}

/// Every row as (sub-tenant, chunk id, numbers).
fn contents(store: &Store) -> Vec<(u32, String, [f32; 2])> {
    let mut rows = Vec::new();
    for sub in 0..3 {
        let (hits, _) = store.get("t", Some(&format!("sub{sub}")), None, 1 << 20).unwrap();
        hits.each(&mut |hit| -> Result<()> {
            rows.push((sub, hit.chunk_id, [hit.vector[0], hit.vector[1]]));
            Ok(())
        })
        .unwrap();
    }
    rows
}

fn checkpoints(disk: &MemoryDisk) -> Vec<String> {
    let tenants = Path::new("/data/tenants");
    let folder = tenants.join(&disk.list(tenants).unwrap()[0]);
    let names = disk.list(&folder).unwrap().into_iter().map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with("checkpoint-")).collect()
}

#[test]
fn a_checkpoint_of_a_busy_tenant_and_the_log_behind_it_are_the_whole_log() {
    let disk = MemoryDisk::new();
    let store = Store::open_on(Arc::new(disk.clone()), Path::new("/data"), Options::default()).unwrap();
    for number in 0..UPLOADS {
        store.insert("t", upload(number * 7 % SOURCES, number)).unwrap();
        if number % 11 == 0 {
            let source = number * 5 % SOURCES;
            let sub_tenant = format!("sub{}", source % 3);
            // The first deletes may name a sub-tenant that is not there yet.
            let _ = store.delete("t", Some(&sub_tenant), &Selector::Source(format!("s{source}")));
        }
    }
    let expected = contents(&store);
    let crashed = disk.crash_keeping_nothing().unwrap();
    assert!(!checkpoints(&crashed).is_empty(), "written while uploads went on");

    let from_checkpoint =
        Store::open_on(Arc::new(crashed.clone()), Path::new("/data"), Options::default()).unwrap();
    assert_eq!(contents(&from_checkpoint), expected);
    let (_, stats) = from_checkpoint.stats("t").unwrap();
    assert_eq!((stats.rows, stats.sources), (expected.len() as u64, expected.len()));
    drop(from_checkpoint);

    let tenants = Path::new("/data/tenants");
    let folder = tenants.join(&crashed.list(tenants).unwrap()[0]);
    for name in checkpoints(&crashed) {
        crashed.remove_file(&folder.join(name)).unwrap();
    }
    let from_log = Store::open_on(Arc::new(crashed), Path::new("/data"), Options::default()).unwrap();
    assert_eq!(contents(&from_log), expected);
}
