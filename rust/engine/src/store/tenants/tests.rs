use std::path::Path;
use std::sync::Arc;

use super::super::{Options, Store};
use crate::collection::SearchOptions;
use crate::format::name::tenant_folder;
use crate::storage::Storage;
use crate::storage::memory::MemoryDisk;
use crate::tenant::{Content, Document, Selector, Upload};
use crate::vector::{Dimension, Rows};

#[test]
fn a_tenant_that_somebody_holds_does_not_keep_the_others_open() {
    let options = Options { max_open_tenants: 2, ..Options::default() };
    let store = Store::open_on(Arc::new(MemoryDisk::new()), Path::new("/data"), options).unwrap();
    let mut held = None;
    for tenant in ["held", "a", "b", "c", "d"] {
        let mut rows = Rows::new(Dimension::new(2).unwrap());
        rows.extend(&[1.0, 2.0]);
        store.insert(tenant, Upload::matrix("s".to_owned(), rows)).unwrap();
        held.get_or_insert_with(|| store.get(tenant, None, None, 1).unwrap());
    }
    assert_eq!(store.tenants.opened().len(), 2);
}

const ROWS: usize = 12_000;

fn row(number: usize) -> [f32; 4] {
    [(number as f32).sin(), (number as f32).cos(), 1.0, number as f32 / 1e4]
}

fn open(disk: &Arc<MemoryDisk>, index_threads: usize) -> Arc<Store> {
    let options = Options { index_threads, ..Options::default() };
    Store::open_on(Arc::<MemoryDisk>::clone(disk), Path::new("/data"), options).unwrap()
}

/// A disk with a tenant whose codes and graph are saved.
fn indexed() -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::new());
    let store = open(&disk, 1);
    for first in (0..ROWS).step_by(2000) {
        let mut rows = Rows::new(Dimension::new(4).unwrap());
        (first..first + 2000).for_each(|number| rows.extend(&row(number)));
        store.insert("a", Upload::matrix(format!("s{first}"), rows)).unwrap();
    }
    assert!(store.wait_indexed("a", None, &|| Ok(())).unwrap());
    store.close().unwrap();
    disk
}

/// Searches with nobody working in the background; how many slots have a code then, and whether there is a graph.
fn search(disk: &Arc<MemoryDisk>) -> (usize, bool) {
    let store = open(disk, 0);
    let tenant = store.tenants.get("a").unwrap();
    let collection = &tenant.collections()[0];
    assert_eq!(collection.generation().coded(), 0);
    let options = SearchOptions { limit: 1, ef: None, exact: false };
    for number in [0, 5000, ROWS - 1] {
        let mut queries = Rows::new(Dimension::new(4).unwrap());
        queries.extend(&row(number));
        let (found, _) = tenant.search("default", &queries, options, None, &|| Ok(())).unwrap();
        assert_eq!(found[0][0].row, number as u64);
    }
    let generation = collection.generation();
    (generation.coded() as usize, generation.graph.get().is_some())
}

#[test]
fn the_first_search_reads_the_saved_codes_and_does_not_wait_for_the_graph() {
    assert_eq!(search(&indexed()), (ROWS, false));
}

#[test]
fn saved_codes_that_do_not_fit_in_every_respect_are_as_none() {
    let disk = indexed();
    let path = Path::new("/data/tenants").join(tenant_folder("a")).join("codes-0-0");
    let file = disk.open(&path).unwrap();
    let length = file.len().unwrap();
    for at in [0, 40, 44, 63, 64, length / 2, length - 1] {
        let mut byte = [0];
        file.read_at(at, &mut byte).unwrap();
        file.write_at(at, &[&[byte[0] ^ 1]]).unwrap();
        assert_eq!(search(&disk), (0, false), "byte {at} of {length}");
        file.write_at(at, &[&byte]).unwrap();
    }
    file.set_len(length + 1).unwrap();
    assert_eq!(search(&disk), (0, false), "a longer file");
    file.set_len(length).unwrap();
    assert_eq!(search(&disk), (ROWS, false));
    file.set_len(length - 1).unwrap();
    assert_eq!(search(&disk), (0, false), "a shorter file");
}

fn documents(ids: std::ops::Range<usize>, metadata: Option<&str>) -> Upload {
    let mut rows = Rows::new(Dimension::new(4).unwrap());
    ids.clone().for_each(|number| rows.extend(&row(number)));
    let metadata = metadata.map(|text| text.as_bytes().to_vec());
    let documents = vec![Document { source_id: "s".to_owned(), metadata, rows: ids.len() }];
    let chunk_ids = Arc::new(ids.map(|number| format!("s_{number}")).collect());
    Upload { content: Content::Documents { documents, chunk_ids }, ..Upload::matrix(String::new(), rows) }
}

/// Ids and metadata of what is there.
fn told(store: &Store) -> Vec<(String, Option<Vec<u8>>)> {
    let mut told = Vec::new();
    let (hits, _) = store.get("a", None, None, 1 << 20).unwrap();
    hits.each(&mut |hit| {
        told.push((hit.chunk_id, hit.metadata.map(<[u8]>::to_vec)));
        Ok(())
    })
    .unwrap();
    told
}

#[test]
fn metadata_and_ids_outlive_a_rebuild_and_a_restart() {
    let disk = Arc::new(MemoryDisk::new());
    let store = open(&disk, 1);
    store.insert("a", documents(0..1000, Some("{\"old\":1}"))).unwrap();
    store.insert("a", documents(1000..3000, Some("{\"new\":2}"))).unwrap();
    let gone = (1000..3000).map(|number| format!("s_{number}")).collect();
    assert_eq!(store.delete("a", None, &Selector::Chunks(gone)), Ok(2000));
    let tenant = store.tenants.get("a").unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while tenant.collections()[0].generation().id == 0 {
        assert!(std::time::Instant::now() < deadline, "no rebuild");
        std::thread::yield_now();
    }
    assert_eq!(tenant.collections()[0].generation().slots(), 1000);
    let expected: Vec<_> =
        (0..1000).map(|number| (format!("s_{number}"), Some(b"{\"new\":2}".to_vec()))).collect();
    assert_eq!(told(&store), expected);
    drop(tenant);
    store.close().unwrap();
    for restart in 0..2 {
        let store = open(&disk, 1);
        assert_eq!(told(&store), expected, "restart {restart}");
        store.insert("a", documents(0..1, None)).unwrap();
        assert_eq!(told(&store).len(), 1000);
        store.insert("a", documents(0..1, None)).unwrap();
        let mut moved = told(&store);
        moved.rotate_right(1);
        assert_eq!(moved, expected, "restart {restart}");
        assert_eq!(store.delete("a", None, &Selector::Source("s".to_owned())), Ok(1000));
        assert!(!store.tenants.get("a").unwrap().has_names(), "what is dead is forgotten");
        store.insert("a", documents(0..1000, Some("{\"new\":2}"))).unwrap();
        assert!(store.tenants.get("a").unwrap().has_names());
        store.close().unwrap();
    }
}

#[test]
fn what_the_graph_has_beyond_its_mark_counts_once() {
    const MARK: usize = 4096;
    let store = open(&Arc::new(MemoryDisk::new()), 0);
    let upload = |name: &str, rows: &mut dyn Iterator<Item = [f32; 2]>| {
        let mut all = Rows::new(Dimension::new(2).unwrap());
        rows.for_each(|row| all.extend(&row));
        store.insert("a", Upload::matrix(name.to_owned(), all)).unwrap();
    };
    let apart = |count: usize| (0..count).map(move |number| [number as f32 / count as f32 - 0.5, 1.0]);
    // All at one place: of such rows no search of a graph reaches all.
    (0..2).for_each(|number| upload(&format!("gone {number}"), &mut apart(MARK / 4)));
    (0..2).for_each(|number| upload(&format!("same {number}"), &mut (0..MARK / 4).map(|_| [1.0, 0.0])));
    (2..4).for_each(|number| upload(&format!("gone {number}"), &mut apart(MARK / 4)));
    upload("apart", &mut apart(700));
    (4..8).for_each(|number| upload(&format!("gone {number}"), &mut apart(1360)));

    let tenant = store.tenants.get("a").unwrap();
    let collection = &tenant.collections()[0];
    let generation = collection.generation();
    // The second part of a window is in the graph, the first is not: the mark is where it was.
    while generation.graph.get().is_none_or(|graph| graph.len() <= MARK) {
        collection.work(2).unwrap();
    }
    let apart = MARK + MARK / 2..MARK + MARK / 2 + 700;
    assert!(apart.map(|slot| slot as u32).all(|slot| generation.graph.get().unwrap().contains(slot)));
    assert_eq!(generation.backlog.indexed() as usize, MARK);
    for number in 0..8 {
        store.delete("a", None, &Selector::Source(format!("gone {number}"))).unwrap();
    }

    let mut queries = Rows::new(Dimension::new(2).unwrap());
    queries.extend(&[0.0, 1.0]);
    let options = SearchOptions { limit: 1000, ef: None, exact: false };
    let (found, _) = collection.search(&queries, options, None, &|| Ok(())).unwrap();
    assert_eq!(found[0].len(), options.limit);
}
