//! The data directories in `tests/golden` were written once; every later ingot of format version 1 reads the same
//! from them. `INGOT_GOLDEN=write` writes those anew that were removed, which is right only before a version is
//! released.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingot_engine::collection::SearchOptions;
use ingot_engine::error::Error;
use ingot_engine::format::name::tenant_folder;
use ingot_engine::store::{Options, Search, Store};
use ingot_engine::tenant::{Content, Document, Selector, Upload};
use ingot_engine::vector::{Dimension, Rows};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");

/// One row as it is expected back: source, index in its upload, metadata, numbers.
type Row = (&'static str, u32, Option<&'static str>, Vec<f32>);

/// Row `index` of an upload: a different direction for each, with numbers that are easily lost.
fn vector(salt: u32, index: u32, columns: u32) -> Vec<f32> {
    let number = |column| match (index + column) % 5 {
        0 => -0.0,
        1 => f32::from_bits(1 + salt),
        _ => ((salt * 31 + index * 7 + column * 3) % 17) as f32 / 8.0 - 0.9,
    };
    (0..columns).map(number).collect()
}

fn rows(source: &'static str, metadata: Option<&'static str>, salt: u32, indices: &[u32]) -> Vec<Row> {
    indices.iter().map(|&index| (source, index, metadata, vector(salt, index, 8))).collect()
}

/// What each sub-tenant holds, in insertion order.
fn expected() -> Vec<(&'static str, &'static str, Vec<Row>)> {
    let small = (0..2).map(|index| ("only", index, None, vector(5, index, 3))).collect();
    let mut first = rows("beta", None, 2, &[0, 2, 3, 5]);
    first.extend(rows("alpha/ä 🦀", Some(r#"{"lang": "de", "n": 2}"#), 3, &[0, 1]));
    vec![
        ("first", "default", first),
        ("first", "notes", rows("alpha/ä 🦀", None, 4, &[0, 1, 2])),
        ("second", "default", small),
    ]
}

fn upload(
    store: &Arc<Store>,
    place: (&str, &str),
    source: &str,
    metadata: Option<&str>,
    vectors: &[Vec<f32>],
) {
    let mut rows = Rows::new(Dimension::new(vectors[0].len()).unwrap());
    vectors.iter().for_each(|vector| rows.extend(vector));
    let metadata = metadata.map(|text| text.as_bytes().to_vec());
    let content = Content::Matrix { source_id: source.to_owned(), metadata };
    let sub_tenant = Some(place.1.to_owned());
    store.insert(place.0, Upload { sub_tenant, content, ..Upload::matrix(String::new(), rows) }).unwrap();
}

fn write_matrices(store: &Arc<Store>) {
    let vectors = |salt, count, columns| -> Vec<Vec<f32>> {
        (0..count).map(|index| vector(salt, index, columns)).collect()
    };
    let (alpha, first) = ("alpha/ä 🦀", ("first", "default"));
    upload(store, first, alpha, Some(r#"{"lang":"en"}"#), &vectors(1, 3, 8));
    upload(store, first, "beta", None, &vectors(2, 6, 8));
    upload(store, first, alpha, Some(r#"{"lang": "de", "n": 2}"#), &vectors(3, 2, 8));
    upload(store, ("first", "notes"), alpha, None, &vectors(4, 3, 8));
    let deleted = Selector::Chunks(vec!["beta_1".to_owned(), "beta_4".to_owned()]);
    assert_eq!(store.delete("first", None, &deleted), Ok(2));
    upload(store, ("second", "default"), "gone", None, &vectors(6, 1, 3));
    upload(store, ("second", "default"), "only", None, &vectors(5, 2, 3));
    assert_eq!(store.delete("second", None, &Selector::Source("gone".to_owned())), Ok(1));
}

/// Chunks of a source, for which `salt` makes the numbers.
type Chunks = (&'static str, Option<&'static str>, u32, &'static [&'static str]);

fn upload_documents(store: &Arc<Store>, documents: &[Chunks]) {
    let mut rows = Rows::new(Dimension::new(3).unwrap());
    let mut chunk_ids = Vec::new();
    let documents = documents.iter().map(|&(source_id, metadata, salt, ids)| {
        (0..).zip(ids).for_each(|(index, _)| rows.extend(&vector(salt, index, 3)));
        chunk_ids.extend(ids.iter().map(|&id| id.to_owned()));
        let metadata = metadata.map(|text| text.as_bytes().to_vec());
        Document { source_id: source_id.to_owned(), metadata, rows: ids.len() }
    });
    let documents = documents.collect();
    let content = Content::Documents { documents, chunk_ids: Arc::new(chunk_ids) };
    store.insert("documents", Upload { content, ..Upload::matrix(String::new(), rows) }).unwrap();
}

fn write_documents(store: &Arc<Store>) {
    let matrix: Vec<Vec<f32>> = (0..3).map(|index| vector(1, index, 3)).collect();
    upload(store, ("documents", "default"), "a", Some(r#"{"v": 1}"#), &matrix);
    upload_documents(store, &[("b", Some(r#"{"of":"b"}"#), 2, &["a_1", "x 🦀"]), ("c", None, 3, &["y"])]);
    upload_documents(store, &[("b", None, 4, &["z", "y"]), ("a", Some(r#"{"v":  2}"#), 5, &["last"])]);
    let mut rows = Rows::new(Dimension::new(3).unwrap());
    rows.extend(&vector(6, 0, 3));
    let content = Content::Update { chunk_ids: Arc::new(vec!["a_2".to_owned()]) };
    store.insert("documents", Upload { content, ..Upload::matrix(String::new(), rows) }).unwrap();
    // The metadata of `a` is with a row that is no more.
    assert_eq!(store.delete("documents", None, &Selector::Chunks(vec!["last".to_owned()])), Ok(1));
}

/// Source, id, metadata and numbers of what is left of the documents, in insertion order.
fn expected_documents() -> Vec<(&'static str, &'static str, &'static str, Vec<f32>)> {
    let (a, b) = (r#"{"v":  2}"#, r#"{"of":"b"}"#);
    vec![
        ("a", "a_0", a, vector(1, 0, 3)),
        ("b", "a_1", b, vector(2, 0, 3)),
        ("b", "x 🦀", b, vector(2, 1, 3)),
        ("b", "z", b, vector(4, 0, 3)),
        ("b", "y", b, vector(4, 1, 3)),
        ("a", "a_2", a, vector(6, 0, 3)),
    ]
}

fn assert_holds_the_documents(store: &Store) {
    let expected = expected_documents();
    let ids: Vec<String> = expected.iter().map(|row| row.1.to_owned()).collect();
    let named = Selector::Chunks(ids);
    for selector in [None, Some(&named)] {
        let (hits, _) = store.get("documents", None, selector, 100).unwrap();
        let mut found = expected.iter();
        hits.each(&mut |hit| {
            let (source, chunk_id, metadata, vector) = found.next().expect("a row too many");
            assert_eq!((hit.source_id, hit.chunk_id.as_str()), (*source, *chunk_id));
            assert_eq!(hit.metadata, Some(metadata.as_bytes()));
            assert_eq!(bits(hit.vector), bits(vector));
            Ok(())
        })
        .unwrap();
        assert_eq!(found.len(), 0);
    }
    assert_eq!(store.stats("documents").unwrap().1.sources, 2);
}

fn write(directory: &Path, what: fn(&Arc<Store>)) {
    let store = Store::open(directory, Options::default()).unwrap();
    what(&store);
    store.close().unwrap();
    fs::remove_file(directory.join("LOCK")).unwrap();
    for empty in ["tmp", "trash"] {
        fs::remove_dir(directory.join(empty)).unwrap();
    }
}

/// A copy of the golden directory, gone when dropped.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        Self::of("v1", write_matrices, name)
    }

    fn of(version: &str, what: fn(&Arc<Store>), name: &str) -> Self {
        let golden = &Path::new(GOLDEN).join(version);
        if !golden.exists() && std::env::var_os("INGOT_GOLDEN").is_some_and(|wish| wish == "write") {
            write(golden, what);
        }
        let copy = std::env::temp_dir().join(format!("ingot-golden-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&copy);
        copy_tree(golden, &copy);
        Self(copy)
    }

    fn tenant(&self, id: &str) -> PathBuf {
        self.0.join("tenants").join(tenant_folder(id))
    }

    fn open(&self) -> Arc<Store> {
        Store::open(&self.0, Options::default()).unwrap()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|number| number.to_bits()).collect()
}

fn assert_holds_what_was_written(store: &Store) {
    for (tenant, sub_tenant, rows) in expected() {
        let (hits, more) = store.get(tenant, Some(sub_tenant), None, 100).unwrap();
        assert!(!more);
        let mut found = rows.iter();
        hits.each(&mut |hit| {
            let (source, index, metadata, vector) = found.next().expect("a row too many");
            assert_eq!((hit.source_id, hit.chunk_id), (*source, format!("{source}_{index}")));
            assert_eq!(hit.metadata, metadata.map(str::as_bytes));
            assert_eq!(bits(hit.vector), bits(vector));
            Ok(())
        })
        .unwrap();
        assert_eq!(found.len(), 0, "{tenant} {sub_tenant}");
        for (_, _, _, query) in &rows {
            assert_nearest(store, tenant, sub_tenant, query, &rows);
        }
    }
    let stats = store.stats("first").unwrap().1;
    assert_eq!((stats.rows, stats.sources, stats.visible_lsn), (9, 3, 6));
    assert_eq!(stats.sub_tenants["notes"], 3);
    assert_eq!(store.stats("second").unwrap().1.sources, 1);
}

fn assert_nearest(store: &Store, tenant: &str, sub_tenant: &str, query: &[f32], rows: &[Row]) {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let cosine = |row: &[f32]| 1.0 - dot(query, row) / (dot(query, query) * dot(row, row)).sqrt();
    let mut nearest: Vec<(f64, String)> =
        rows.iter().map(|(source, index, _, vector)| (cosine(vector), format!("{source}_{index}"))).collect();
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut queries = Rows::new(Dimension::new(query.len()).unwrap());
    queries.extend(query);
    for exact in [false, true] {
        let options = SearchOptions { limit: 100, ef: None, exact };
        let search = Search { options, score_threshold: None };
        let found = store.search(tenant, Some(sub_tenant), &queries, search, &|| Ok(())).unwrap();
        let mut best = nearest.iter();
        found[0]
            .each(&mut |hit| {
                let (distance, chunk_id) = best.next().expect("a hit too many");
                assert_eq!(&hit.chunk_id, chunk_id);
                assert!((f64::from(hit.distance) - distance).abs() < 1e-6, "{chunk_id}: {}", hit.distance);
                Ok(())
            })
            .unwrap();
        assert_eq!(best.len(), 0);
    }
}

#[test]
fn a_directory_of_version_1_is_read() {
    let copy = Copy::new("whole");
    let store = copy.open();
    assert_holds_what_was_written(&store);
    store.close().unwrap();
}

#[test]
fn documents_are_read_with_a_checkpoint_with_a_damaged_one_and_from_the_log_alone() {
    let copy = Copy::of("v1-documents", write_documents, "documents");
    // It is closed without a change, so the checkpoint stays as it was written.
    assert_holds_the_documents(&copy.open());
    let mut files = fs::read_dir(copy.tenant("documents")).unwrap().map(|entry| entry.unwrap().path());
    let checkpoint = files.find(|path| path.is_file()).expect("a checkpoint");
    let mut bytes = fs::read(&checkpoint).unwrap();
    let last = bytes.len() - 30;
    bytes[last] ^= 1;
    fs::write(&checkpoint, bytes).unwrap();
    assert_holds_the_documents(&copy.open());
    fs::remove_file(&checkpoint).unwrap();
    assert_holds_the_documents(&copy.open());
}

#[test]
fn the_log_alone_gives_the_same() {
    let copy = Copy::new("log-alone");
    for tenant in ["first", "second"] {
        for entry in fs::read_dir(copy.tenant(tenant)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "log" {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    assert_holds_what_was_written(&copy.open());
}

#[test]
fn a_damaged_checkpoint_is_as_none() {
    let copy = Copy::new("checkpoint");
    for entry in fs::read_dir(copy.tenant("first")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    assert_holds_what_was_written(&copy.open());
}

#[test]
fn a_directory_of_a_later_version_is_refused_and_left_alone() {
    let copy = Copy::new("later");
    fs::write(copy.0.join("FORMAT"), "ingot 2\n").unwrap();
    let refused = Store::open(&copy.0, Options::default()).err();
    assert_eq!(refused, Some(Error::FormatTooNew { found: 2, supported: 1 }));
    assert!(!copy.0.join("tmp").exists() && !copy.0.join("LOCK").exists());
}
