//! Uploads that wait for the same sync become one group.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod gate;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use gate::{Gate, GatedDisk};
use ingot_engine::error::{Error, Result};
use ingot_engine::filter::Filter;
use ingot_engine::storage::memory::MemoryDisk;
use ingot_engine::store::{Arrival, Options, Store};
use ingot_engine::tenant::{Content, Deleted, Document, Inserted, Selector, Upload};
use ingot_engine::vector::{Dimension, Rows};

fn upload(source_id: &str, first: f32) -> Upload {
    let mut rows = Rows::new(Dimension::new(2).unwrap());
    rows.extend(&[first, 1.0]);
    Upload::matrix(source_id.to_owned(), rows)
}

struct Scene {
    disk: MemoryDisk,
    gate: Arc<Gate>,
    store: Arc<Store>,
    sender: mpsc::Sender<Result<Inserted>>,
    receiver: mpsc::Receiver<Result<Inserted>>,
}

impl Scene {
    /// A tenant with one row; one upload is being synced and held back.
    fn new() -> Self {
        let (disk, gate) = (MemoryDisk::new(), Arc::new(Gate::default()));
        let storage = Arc::new(GatedDisk(disk.clone(), Arc::clone(&gate)));
        let options = Options { commit_threads: 2, index_threads: 1, ..Options::default() };
        let store = Store::open_on(storage, &PathBuf::from("/data"), options).unwrap();
        store.insert("t", upload("first", 1.0)).unwrap();
        let (sender, receiver) = mpsc::channel();
        let scene = Self { disk, gate, store, sender, receiver };
        scene.gate.set_shut(true);
        let before = scene.gate.syncs();
        scene.begin(upload("held", 2.0));
        scene.gate.wait_for_syncs(before + 1);
        scene
    }

    fn begin(&self, upload: Upload) {
        let sender = self.sender.clone();
        let completion = Box::new(move |outcome| sender.send(outcome).unwrap());
        self.store.begin_insert("t".to_owned(), upload, completion);
    }

    /// Returns when all begun before is in the queue: a refused upload is answered at once, in its turn.
    fn all_are_queued(&self) {
        self.begin(upload("", 0.0));
        assert!(matches!(self.receiver.recv().unwrap(), Err(Error::InvalidId { .. })));
    }

    fn visible_rows(&self) -> usize {
        self.store.get("t", None, None, 1000).unwrap().0.len()
    }
}

#[test]
fn uploads_that_arrive_during_a_sync_share_the_next() {
    let scene = Scene::new();
    for number in 0..40 {
        scene.begin(upload(&format!("s{number}"), 3.0));
    }
    scene.all_are_queued();
    assert_eq!(scene.visible_rows(), 1, "nothing is seen before it is synced");
    let before = scene.gate.syncs();
    scene.gate.set_shut(false);
    for _ in 0..41 {
        scene.receiver.recv().unwrap().unwrap();
    }
    assert_eq!(scene.gate.syncs() - before, 1, "40 uploads, one sync");
    assert_eq!(scene.visible_rows(), 42);
}

#[test]
fn uploads_that_came_together_share_one_sync_a_tenant() {
    let scene = Scene::new();
    scene.gate.set_shut(false);
    scene.receiver.recv().unwrap().unwrap();
    scene.store.insert("other", upload("first", 1.0)).unwrap();
    let groups = |tenant: &str| scene.store.stats(tenant).unwrap().1.groups;
    let (before, others) = (groups("t"), groups("other"));
    let places = (0..30).map(|number| (["t", "t", "other"][number % 3], format!("s{number}")));
    let refused = [("t", String::new()), ("not made yet", "s".to_owned())];
    let arrivals = places.chain(refused).map(|(tenant, source)| {
        let sender = scene.sender.clone();
        let completion = Box::new(move |outcome| sender.send(outcome).unwrap());
        Arrival { tenant_id: tenant.to_owned(), upload: upload(&source, 3.0), completion }
    });
    scene.store.begin_inserts(arrivals.collect());
    let outcomes: Vec<_> = (0..32).map(|_| scene.receiver.recv().unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 31, "one harms no other");
    assert_eq!((groups("t") - before, groups("other") - others), (1, 1));
    assert_eq!(groups("not made yet"), 1);
    assert_eq!(scene.visible_rows(), 22);
}

#[test]
fn uploads_of_one_source_in_one_group_overwrite_each_other_in_order() {
    let scene = Scene::new();
    for number in 0..5 {
        scene.begin(upload("same", 10.0 + number as f32));
    }
    scene.begin(upload("held", 99.0));
    scene.all_are_queued();
    scene.gate.set_shut(false);
    let inserted: Vec<Inserted> = (0..7).map(|_| scene.receiver.recv().unwrap().unwrap()).collect();
    let overwritten: Vec<u64> = inserted.iter().map(|inserted| inserted.overwritten).collect();
    assert_eq!(overwritten, [0, 0, 1, 1, 1, 1, 1]);
    for store in [Arc::clone(&scene.store), reopened(&scene)] {
        let (hits, _) = store.get("t", None, None, 1000).unwrap();
        let mut found = Vec::new();
        hits.each(&mut |hit| {
            found.push((hit.chunk_id, hit.vector[0]));
            Ok(())
        })
        .unwrap();
        let expected = [("first_0", 1.0), ("same_0", 14.0), ("held_0", 99.0)];
        assert_eq!(found, expected.map(|(id, first)| (id.to_owned(), first)));
    }
}

fn tagged(source_id: &str, tag: u32) -> Upload {
    let metadata = Some(format!(r#"{{"k":{tag}}}"#).into_bytes());
    Upload {
        content: Content::Matrix { source_id: source_id.to_owned(), metadata },
        ..upload(source_id, 3.0)
    }
}

/// Queues a delete; its outcome comes to the receiver.
fn delete(scene: &Scene, filter: &str) -> mpsc::Receiver<Result<Deleted>> {
    let (sender, receiver) = mpsc::channel();
    let completion = Box::new(move |outcome| sender.send(outcome).unwrap());
    let selector = Selector::Filter(Filter::parse(filter).unwrap());
    scene.store.begin_delete("t".to_owned(), None, selector, completion);
    scene.all_are_queued();
    receiver
}

/// A scene in which deletes are queued in the order they come: what their filters need is there. Otherwise a search
/// thread would make it first, and who comes later would go ahead.
fn prepared() -> Scene {
    let scene = Scene::new();
    let needs = Selector::Filter(Filter::parse(r#"exists metadata["k"] and source_id == "x""#).unwrap());
    assert_eq!(scene.store.get("t", None, Some(&needs), 1).unwrap().0.len(), 0);
    scene
}

#[test]
fn a_delete_by_filter_is_decided_against_what_is_in_flight() {
    let scene = prepared();
    scene.begin(tagged("a", 1));
    scene.begin(tagged("b", 2));
    scene.all_are_queued();
    // One source is applied, the other is being synced; then both are gone for whoever comes later.
    let untagged =
        [delete(&scene, r#"not exists metadata["k"]"#), delete(&scene, r#"not exists metadata["k"]"#)];
    let tagged_one = delete(&scene, r#"metadata["k"] == 1"#);
    scene.begin(Upload { upsert: false, ..tagged("first", 1) });
    scene.begin(Upload { upsert: false, ..tagged("a", 1) });
    scene.all_are_queued();
    let by_id = delete(&scene, r#"chunk_id == "b_0" or chunk_id == "a_1""#);
    let again = delete(&scene, r#"source_id == "first" and metadata["k"] in [1, 2]"#);
    let source = Selector::Source("first".to_owned());
    let (sender, gone) = mpsc::channel();
    scene.store.begin_delete(
        "t".to_owned(),
        None,
        source,
        Box::new(move |outcome| sender.send(outcome).unwrap()),
    );
    scene.all_are_queued();
    assert_eq!(scene.visible_rows(), 1, "nothing is seen before it is synced");
    scene.gate.set_shut(false);
    let inserted: Vec<Inserted> = (0..5).map(|_| scene.receiver.recv().unwrap().unwrap()).collect();
    assert!(inserted.iter().all(|inserted| inserted.overwritten == 0 && !inserted.existed));
    let counts = untagged.iter().chain([&tagged_one, &by_id, &again, &gone]);
    let counts: Vec<u64> = counts.map(|outcome| outcome.recv().unwrap().unwrap().rows).collect();
    assert_eq!(counts, [2, 0, 1, 1, 1, 0]);
    for store in [Arc::clone(&scene.store), reopened(&scene)] {
        let (hits, _) = store.get("t", None, None, 1000).unwrap();
        let mut found = Vec::new();
        hits.each(&mut |hit| {
            found.push(hit.chunk_id);
            Ok(())
        })
        .unwrap();
        assert_eq!(found, ["a_0"]);
    }
}

/// Chunks of a source, with metadata for all of it or none.
fn chunks(source_id: &str, ids: &[&str], tag: Option<u32>) -> Upload {
    let mut rows = Rows::new(Dimension::new(2).unwrap());
    ids.iter().for_each(|_| rows.extend(&[4.0, 1.0]));
    let metadata = tag.map(|tag| format!(r#"{{"k":{tag}}}"#).into_bytes());
    let documents = vec![Document { source_id: source_id.to_owned(), metadata, rows: ids.len() }];
    let chunk_ids = Arc::new(ids.iter().map(|&id| id.to_owned()).collect());
    Upload { content: Content::Documents { documents, chunk_ids }, rows, ..upload("", 0.0) }
}

#[test]
fn a_delete_by_filter_goes_by_the_metadata_and_ids_that_are_in_flight() {
    let scene = prepared();
    // The applied row of `first` gets the metadata of a chunk that joins it; `held` is taken over in part.
    scene.begin(chunks("first", &["x", "y"], Some(1)));
    scene.begin(chunks("other", &["held_0", "z"], Some(2)));
    scene.begin(chunks("first", &["w"], None));
    scene.all_are_queued();
    let by_id = delete(&scene, r#"metadata["k"] == 1 and chunk_id in ["x", "held_0"]"#);
    let of_other = delete(&scene, r#"metadata["k"] == 2 and chunk_id like "held%""#);
    let of_first = delete(&scene, r#"metadata["k"] == 1 and chunk_id != "w""#);
    let none = delete(&scene, r#"source_id == "held""#);
    scene.gate.set_shut(false);
    (0..4).for_each(|_| drop(scene.receiver.recv().unwrap().unwrap()));
    let counts = [by_id, of_other, of_first, none].map(|outcome| outcome.recv().unwrap().unwrap().rows);
    assert_eq!(counts, [1, 1, 2, 0]);
    for store in [Arc::clone(&scene.store), reopened(&scene)] {
        let (hits, _) = store.get("t", None, None, 1000).unwrap();
        let mut found = Vec::new();
        hits.each(&mut |hit| {
            found.push((hit.chunk_id, hit.metadata.map(<[u8]>::to_vec)));
            Ok(())
        })
        .unwrap();
        let expected = [("z", r#"{"k":2}"#), ("w", r#"{"k":1}"#)];
        assert_eq!(found, expected.map(|(id, metadata)| (id.to_owned(), Some(metadata.as_bytes().to_vec()))));
    }
}

#[test]
fn a_delete_by_filter_that_fails_leaves_nothing_behind() {
    let scene = prepared();
    let outcome = delete(&scene, r#"source_id like "%""#);
    scene
        .disk
        .fail_next(ingot_engine::storage::memory::Action::Sync, ingot_engine::storage::memory::Fault::Io);
    scene.gate.set_shut(false);
    assert_eq!(outcome.recv().unwrap(), Err(Error::OutcomeUnknown));
    assert_eq!(scene.receiver.recv().unwrap(), Err(Error::OutcomeUnknown));
    assert_eq!(scene.visible_rows(), 1);
    let selector = Selector::Filter(Filter::parse(r#"source_id like "%""#).unwrap());
    assert_eq!(scene.store.delete("t", None, &selector), Ok(1));
}

/// The same disk after a power cut that keeps only what was synced.
fn reopened(scene: &Scene) -> Arc<Store> {
    let disk = scene.disk.crash_keeping_nothing().unwrap();
    Store::open_on(Arc::new(disk), Path::new("/data"), Options::default()).unwrap()
}

#[test]
fn a_failed_sync_fails_all_in_flight_and_the_next_upload_repairs() {
    let scene = Scene::new();
    for number in 0..3 {
        scene.begin(upload(&format!("s{number}"), 3.0));
    }
    scene.all_are_queued();
    scene
        .disk
        .fail_next(ingot_engine::storage::memory::Action::Sync, ingot_engine::storage::memory::Fault::Io);
    scene.gate.set_shut(false);
    for _ in 0..4 {
        assert_eq!(scene.receiver.recv().unwrap(), Err(Error::OutcomeUnknown));
    }
    assert_eq!(scene.store.refusing_tenants(), 1);
    assert_eq!(scene.visible_rows(), 1);
    scene.store.insert("t", upload("after", 5.0)).unwrap();
    assert_eq!(scene.store.refusing_tenants(), 0);
    let (hits, _) = reopened(&scene).get("t", None, None, 1000).unwrap();
    assert_eq!(hits.len(), 2, "what failed was cut before the next was written");
}
