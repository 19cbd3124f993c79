//! Tenants and sub-tenants that come and go: power cuts and failing operations at every point, and what is left of
//! them in memory and on disk.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingot_engine::collection::SearchOptions;
use ingot_engine::error::{Error, Result};
use ingot_engine::storage::Storage;
use ingot_engine::storage::memory::{Action, Fault, MemoryDisk};
use ingot_engine::store::{Options, Search, Store};
use ingot_engine::tenant::{Selector, Upload};
use ingot_engine::vector::{Dimension, Metric, Rows};

fn options() -> Options {
    Options { index_threads: 1, search_threads: 1, commit_threads: 2, ..Options::default() }
}

fn open(disk: &MemoryDisk) -> Result<Arc<Store>> {
    Store::open_on(Arc::new(disk.clone()), Path::new("/data"), options())
}

fn upload(sub_tenant: &str, columns: usize, version: u32, count: usize) -> Upload {
    let mut rows = Rows::new(Dimension::new(columns).unwrap());
    for _ in 0..count {
        rows.extend(&vec![version as f32; columns]);
    }
    Upload { sub_tenant: Some(sub_tenant.to_owned()), ..Upload::matrix("s".to_owned(), rows) }
}

/// Sub-tenant -> version and rows of its only source.
type Subs = BTreeMap<String, Option<(u32, usize)>>;
/// Tenant -> metric, dimension, sub-tenants.
type Model = BTreeMap<&'static str, (Metric, Option<usize>, Subs)>;

/// One request of the workload: a tenant, and what is done to it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create(&'static str, Metric, Option<usize>),
    Upload(&'static str, &'static str, usize),
    Empty(&'static str, &'static str),
    Drop(&'static str, &'static str),
    Delete(&'static str),
    Reopen,
}

const WORKLOAD: [Step; 30] = [
    Step::Create("t", Metric::L2, None),
    Step::Upload("t", "a", 2),
    Step::Drop("t", "a"),
    Step::Upload("t", "a", 2),
    Step::Upload("t", "b", 2),
    Step::Reopen,
    Step::Drop("t", "b"),
    Step::Upload("u", "default", 3),
    Step::Upload("t", "b", 2),
    Step::Empty("t", "b"),
    Step::Delete("u"),
    Step::Upload("u", "x", 4),
    Step::Create("t", Metric::L2, Some(2)),
    Step::Upload("t", "default", 2),
    Step::Drop("t", "b"),
    Step::Reopen,
    Step::Upload("t", "c", 2),
    Step::Drop("t", "a"),
    Step::Drop("t", "c"),
    Step::Delete("t"),
    Step::Create("t", Metric::Cosine, Some(5)),
    Step::Reopen,
    Step::Upload("t", "c", 5),
    Step::Delete("u"),
    Step::Delete("t"),
    Step::Upload("t", "default", 2),
    Step::Upload("t", "d", 2),
    Step::Drop("t", "d"),
    Step::Upload("t", "d", 2),
    Step::Reopen,
];

fn apply(model: &mut Model, step: Step, version: u32) {
    match step {
        Step::Create(tenant, metric, dimension) => {
            let subs = Subs::from([("default".to_owned(), None)]);
            model.entry(tenant).or_insert((metric, dimension, subs));
        }
        Step::Upload(tenant, sub, columns) => {
            let subs = Subs::from([("default".to_owned(), None)]);
            let (_, dimension, subs) = model.entry(tenant).or_insert((Metric::Cosine, None, subs));
            *dimension = Some(columns);
            subs.insert(sub.to_owned(), Some((version, rows_of(version))));
        }
        Step::Empty(tenant, sub) => {
            model.get_mut(tenant).unwrap().2.insert(sub.to_owned(), None);
        }
        Step::Drop(tenant, sub) => {
            model.get_mut(tenant).unwrap().2.remove(sub);
        }
        Step::Delete(tenant) => {
            model.remove(tenant);
        }
        Step::Reopen => {}
    }
}

fn rows_of(version: u32) -> usize {
    1 + (version * 7 % 5) as usize
}

fn do_step(store: &mut Arc<Store>, disk: &MemoryDisk, step: Step, version: u32) -> Result<()> {
    match step {
        Step::Create(tenant, metric, dimension) => {
            let dimension = dimension.map(|columns| Dimension::new(columns).unwrap());
            store.create_tenant(tenant, Some(metric), dimension).map(drop)
        }
        Step::Upload(tenant, sub, columns) => {
            store.insert(tenant, upload(sub, columns, version, rows_of(version))).map(drop)
        }
        Step::Empty(tenant, sub) => {
            store.delete(tenant, Some(sub), &Selector::Source("s".to_owned())).map(drop)
        }
        Step::Drop(tenant, sub) => store.delete_sub_tenant(tenant, Some(sub)),
        Step::Delete(tenant) => store.delete_tenant(tenant),
        Step::Reopen => store.close().and_then(|()| open(disk)).map(|opened| *store = opened),
    }
}

/// What the store holds; fails if any of it is a mix.
fn state(store: &Store) -> Model {
    let (listed, more) = store.tenants(None, 1000, None).unwrap();
    assert_eq!(more, None);
    let mut model = Model::new();
    for tenant in ["t", "u"] {
        let (found, stats) = match store.stats(tenant) {
            Ok(found) => found,
            Err(Error::TenantNotFound) => continue,
            Err(other) => panic!("{tenant}: {other}"),
        };
        let mut subs = Subs::new();
        for name in store.sub_tenants(tenant).unwrap() {
            let (hits, _) = store.get(tenant, Some(&name), None, 100).unwrap();
            let mut versions = Vec::new();
            hits.each(&mut |hit| {
                assert!(hit.vector.iter().all(|number| *number == hit.vector[0]));
                versions.push(hit.vector[0] as u32);
                Ok(())
            })
            .unwrap();
            assert!(versions.iter().all(|version| *version == versions[0]), "a mix of versions");
            assert_eq!(stats.sub_tenants[&name], versions.len() as u64);
            let (sources, _) = store.sources(tenant, Some(&name), 10, None).unwrap();
            assert_eq!(sources.iter().map(|source| source.rows).sum::<u64>(), versions.len() as u64);
            subs.insert(name, versions.first().map(|version| (*version, versions.len())));
        }
        assert_eq!(stats.sources, subs.values().flatten().count());
        model.insert(tenant, (found.metric(), found.dimension().map(Dimension::get), subs));
    }
    let mut expected: Vec<&str> = model.keys().copied().collect();
    let mut listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    expected.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, expected);
    model
}

/// Runs the workload until something is refused. What is acknowledged, and what may be there beside it.
fn run(disk: &MemoryDisk) -> (Model, Option<Model>) {
    let mut model = Model::new();
    let Ok(mut store) = open(disk) else { return (model, None) };
    for (version, step) in (1..).zip(WORKLOAD) {
        let mut next = model.clone();
        apply(&mut next, step, version);
        if do_step(&mut store, disk, step, version).is_err() {
            return (model, Some(next));
        }
        model = next;
    }
    store.close().unwrap();
    (model, None)
}

fn seeds() -> u64 {
    if std::env::var_os("INGOT_TORTURE").is_some() { 100 } else { 4 }
}

#[test]
fn what_is_done_to_tenants_is_what_is_found() {
    let disk = MemoryDisk::new();
    let mut store = open(&disk).unwrap();
    let mut model = Model::new();
    for (version, step) in (1..).zip(WORKLOAD) {
        apply(&mut model, step, version);
        do_step(&mut store, &disk, step, version).unwrap();
        assert_eq!(state(&store), model, "step {version} {step:?}");
        // Whatever the disk keeps beyond what it has to.
        let crashed = open(&disk.crash_keeping_nothing().unwrap()).unwrap();
        assert_eq!(state(&crashed), model, "a crash after step {version} {step:?}");
    }
}

#[test]
fn after_a_power_cut_at_any_operation_tenants_are_there_whole_or_gone() {
    let whole = MemoryDisk::new();
    let (model, maybe) = run(&whole);
    assert!(maybe.is_none() && model.len() == 1);
    let operations = whole.operations();
    assert!(operations > 150, "{operations}");
    let mut cut_short = 0;
    for at in 1..=operations {
        let disk = MemoryDisk::new();
        disk.fail_operation(at, Fault::PowerCut);
        let (model, maybe) = run(&disk);
        cut_short += usize::from(maybe.is_some());
        let crashes = (0..seeds()).map(|seed| disk.crash(seed * 1000 + at as u64).unwrap());
        let extremes = [disk.crash_keeping_nothing().unwrap(), disk.crash_keeping_all().unwrap()];
        for crashed in crashes.chain(extremes) {
            let store = open(&crashed).unwrap_or_else(|refused| panic!("operation {at}: {refused}"));
            let found = state(&store);
            assert!(
                found == model || Some(&found) == maybe.as_ref(),
                "operation {at}: {:?}\nfound {found:?}\nmodel {model:?}\nmaybe {maybe:?}",
                disk.log()[at - 1]
            );
        }
    }
    assert!(cut_short > operations / 2, "{cut_short} of {operations}");
}

#[test]
fn a_deletion_whose_outcome_is_unknown_is_settled_by_another() {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    store.insert("t", upload("a", 2, 7, 3)).unwrap();
    for _ in 0..3 {
        disk.fail_next(Action::SyncDir, Fault::Io);
        assert_eq!(store.delete_tenant("t"), Err(Error::OutcomeUnknown));
        // As if it had not been: what was there is, and takes uploads.
        assert_eq!(state(&store)["t"].2["a"], Some((7, 3)));
        store.insert("t", upload("a", 2, 7, 3)).unwrap();
    }
    disk.fail_next(Action::Rename, Fault::Io);
    assert!(matches!(store.delete_tenant("t"), Err(Error::StorageFailed { .. })));
    assert_eq!(state(&store)["t"].2["a"], Some((7, 3)));
    store.delete_tenant("t").unwrap();
    assert_eq!(store.delete_tenant("t"), Err(Error::TenantNotFound));
    assert_eq!(state(&open(&disk.crash_keeping_nothing().unwrap()).unwrap()), Model::new());
}

#[test]
fn a_failed_sync_of_the_end_of_a_sub_tenant_leaves_it_there() {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    store.insert("t", upload("a", 2, 7, 3)).unwrap();
    disk.fail_next(Action::Sync, Fault::Io);
    assert_eq!(store.delete_sub_tenant("t", Some("a")), Err(Error::OutcomeUnknown));
    assert_eq!(state(&store)["t"].2["a"], Some((7, 3)));
    store.insert("t", upload("a", 2, 8, 1)).unwrap();
    store.delete_sub_tenant("t", Some("a")).unwrap();
    assert!(!state(&store)["t"].2.contains_key("a"));
}

/// Waits for what comes by itself.
fn until(true_: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !true_() {
        assert!(Instant::now() < deadline, "it did not come about");
        std::thread::yield_now();
    }
}

fn folder_of(disk: &MemoryDisk) -> PathBuf {
    let tenants = Path::new("/data/tenants");
    tenants.join(&disk.list(tenants).unwrap()[0])
}

/// Codes and graphs of the only tenant.
fn derived(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list(&folder_of(disk)).unwrap().into_iter().map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with("codes-") || name.starts_with("graph-")).collect()
}

#[test]
fn an_ended_sub_tenant_leaves_no_file_and_is_freed_with_its_last_reader() {
    let disk = MemoryDisk::new();
    let options = Options { graph_from_rows: 500, ..options() };
    let open = || Store::open_on(Arc::new(disk.clone()), Path::new("/data"), options.clone()).unwrap();
    let store = open();
    let fill = |store: &Arc<Store>, sub: &str| {
        store.insert("t", upload(sub, 4, 1, 1500)).unwrap();
        store.wait_indexed("t", None, &|| Ok(())).unwrap();
        until(|| derived(&disk).len() == 2);
    };
    fill(&store, "a");
    let (tenant, _) = store.stats("t").unwrap();
    let reader = store.get("t", Some("a"), None, 10).unwrap().0;
    store.delete_sub_tenant("t", Some("a")).unwrap();
    until(|| derived(&disk).is_empty());
    // A number is never used again: what is derived of another cannot be taken for its own.
    fill(&store, "a");
    assert!(derived(&disk).iter().all(|name| name.starts_with("codes-2-") || name.starts_with("graph-2-")));
    // Whoever has found rows reads them to the end.
    let mut rows = 0;
    reader
        .each(&mut |_| {
            rows += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(rows, 10);
    drop((tenant, reader));
    store.delete_sub_tenant("t", Some("a")).unwrap();
    store.close().unwrap();
    assert_eq!(derived(&disk), [] as [String; 0]);
    // After a restart from the checkpoint, too.
    let store = open();
    fill(&store, "b");
    assert!(derived(&disk).iter().all(|name| name.starts_with("codes-3-") || name.starts_with("graph-3-")));
    let crashed = disk.crash_keeping_nothing().unwrap();
    drop(store);
    let names = crashed.list(&folder_of(&crashed)).unwrap();
    for name in names.iter().filter(|name| name.to_str().unwrap().starts_with("checkpoint-")) {
        crashed.remove_file(&folder_of(&crashed).join(name)).unwrap();
    }
    let from_log = Store::open_on(Arc::new(crashed), Path::new("/data"), Options::default()).unwrap();
    assert_eq!(from_log.sub_tenants("t").unwrap(), ["b", "default"]);
}

#[test]
fn readers_of_a_deleted_tenant_read_to_the_end() {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    store.insert("t", upload("default", 4, 1, 1000)).unwrap();
    let (hits, _) = store.get("t", None, None, 1000).unwrap();
    store.delete_tenant("t").unwrap();
    store.insert("t", upload("default", 2, 9, 5)).unwrap();
    until(|| disk.list(Path::new("/data/trash")).unwrap().is_empty());
    let mut rows = 0;
    hits.each(&mut |hit| {
        assert_eq!(hit.vector, [1.0; 4]);
        rows += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(rows, 1000);
    let options = SearchOptions { limit: 3, ef: None, exact: false };
    let mut query = Rows::new(Dimension::new(2).unwrap());
    query.extend(&[1.0, 1.0]);
    let how = Search { options, score_threshold: None, filter: None };
    assert_eq!(store.search("t", None, &query, &how, &|| Ok(())).unwrap()[0].len(), 3);
}
