//! Power cuts, failing operations and flipped bits, at every point of a workload.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ingot_engine::error::{Error, Result};
use ingot_engine::log::Sizes;
use ingot_engine::storage::Storage;
use ingot_engine::storage::memory::{Fault, MemoryDisk};
use ingot_engine::store::{Options, Store};
use ingot_engine::tenant::{Content, Selector, Upload};
use ingot_engine::vector::{Dimension, Rows};

const ROOT: &str = "/data";
const COLUMNS: usize = 8;

fn options() -> Options {
    Options {
        index_threads: 1,
        search_threads: 1,
        commit_threads: 1,
        // Small enough that the workload seals segments.
        sizes: Sizes { segment: 16 << 10, first_allocation: 4 << 10, last_allocation: 8 << 10 },
        ..Options::default()
    }
}

fn open(disk: &MemoryDisk) -> Result<Arc<Store>> {
    Store::open_on(Arc::new(disk.clone()), Path::new(ROOT), options())
}

/// A source is a number; every number of its vectors says which version of it they are.
type Version = (u32, usize);
/// What each source should be: version and rows.
type Model = BTreeMap<u32, Version>;

fn upload(source: u32, (version, rows): Version) -> Upload {
    let mut vectors = Rows::new(Dimension::new(COLUMNS).unwrap());
    for row in 0..rows {
        let mut numbers = [0.5; COLUMNS];
        (numbers[0], numbers[1], numbers[2]) = (source as f32 + 1.0, version as f32, row as f32);
        vectors.extend(&numbers);
    }
    let metadata = Some(format!("{{\"version\": {version}}}").into_bytes());
    let content = Content::Matrix { source_id: format!("s{source}"), metadata };
    Upload { content, ..Upload::matrix(String::new(), vectors) }
}

/// What the store holds; fails if any source is there in part, or as a mix of versions.
fn state(store: &Store) -> Result<Model> {
    let hits = match store.get("t", None, None, 1 << 20) {
        Ok((hits, _)) => hits,
        Err(Error::TenantNotFound) => return Ok(Model::new()),
        Err(other) => return Err(other),
    };
    let mut rows: BTreeMap<u32, Vec<(u32, String)>> = BTreeMap::new();
    hits.each(&mut |hit| {
        let source: u32 = hit.source_id[1..].parse().unwrap();
        assert_eq!(hit.vector[0], source as f32 + 1.0, "a vector under another source");
        let metadata = format!("{{\"version\": {}}}", hit.vector[1]);
        assert_eq!(hit.metadata, Some(metadata.as_bytes()), "metadata of another version");
        let of_source = rows.entry(source).or_default();
        assert_eq!(hit.chunk_id, format!("s{source}_{}", of_source.len()));
        assert_eq!(hit.vector[2], of_source.len() as f32, "a row out of place");
        of_source.push((hit.vector[1] as u32, hit.chunk_id));
        Ok(())
    })?;
    Ok(rows
        .into_iter()
        .map(|(source, rows)| {
            assert!(rows.iter().all(|(version, _)| *version == rows[0].0), "a mix of versions of s{source}");
            assert_eq!(rows.len(), rows_of(source, rows[0].0), "part of s{source}");
            (source, (rows[0].0, rows.len()))
        })
        .collect())
}

fn rows_of(source: u32, version: u32) -> usize {
    1 + ((source * 7 + version * 13) % 40) as usize
}

/// One request of the workload.
#[derive(Clone, Copy, Debug)]
enum Step {
    Upload(u32),
    Delete(u32),
    Reopen,
}

const WORKLOAD: [Step; 22] = [
    Step::Upload(0),
    Step::Upload(1),
    Step::Upload(0),
    Step::Delete(1),
    Step::Upload(2),
    Step::Reopen,
    Step::Upload(3),
    Step::Upload(0),
    Step::Upload(4),
    Step::Upload(5),
    Step::Delete(0),
    Step::Upload(6),
    Step::Upload(0),
    Step::Upload(5),
    Step::Upload(2),
    Step::Reopen,
    Step::Upload(7),
    Step::Upload(7),
    Step::Delete(7),
    Step::Upload(1),
    Step::Upload(8),
    Step::Reopen,
];

/// What is acknowledged, and what the request under way may have added to it.
struct Outcome {
    model: Model,
    maybe: Option<Model>,
    refused: Vec<Error>,
}

/// Runs the workload until something is refused, or to the end if `persistent`.
fn run(disk: &MemoryDisk, persistent: bool) -> Outcome {
    let mut outcome = Outcome { model: Model::new(), maybe: None, refused: Vec::new() };
    let mut store = match open(disk) {
        Ok(store) => store,
        Err(refused) => {
            outcome.refused.push(refused);
            return outcome;
        }
    };
    for (number, step) in (1..).zip(WORKLOAD) {
        let mut next = outcome.model.clone();
        let done = match step {
            Step::Upload(source) => {
                let version = (number, rows_of(source, number));
                next.insert(source, version);
                store.insert("t", upload(source, version)).map(|_| ())
            }
            Step::Delete(source) => {
                next.remove(&source);
                store.delete("t", None, &Selector::Source(format!("s{source}"))).map(|_| ())
            }
            Step::Reopen => store.close().and_then(|()| open(disk)).map(|opened| store = opened),
        };
        match done {
            Ok(()) => outcome.model = next,
            Err(refused) => {
                if refused == Error::OutcomeUnknown || !persistent {
                    outcome.maybe = Some(next);
                }
                outcome.refused.push(refused);
                if !persistent {
                    return outcome;
                }
                if let Step::Reopen = step {
                    let _ = store.close();
                    store = open(disk).expect("the fault was a single one");
                }
                let found = state(&store).expect("reading goes on after a failed write");
                assert!(
                    found == outcome.model || Some(&found) == outcome.maybe.as_ref(),
                    "step {number} {step:?}: {:?}\nfound {found:?}\nmodel {:?}",
                    outcome.refused,
                    outcome.model
                );
                outcome.model = found;
                outcome.maybe = None;
            }
        }
    }
    store.close().unwrap();
    outcome
}

fn seeds() -> u64 {
    if std::env::var_os("INGOT_TORTURE").is_some() { 200 } else { 8 }
}

fn operations() -> usize {
    let disk = MemoryDisk::new();
    let outcome = run(&disk, false);
    assert_eq!(outcome.refused, []);
    assert!(disk.operations() > 60, "the workload writes");
    disk.operations()
}

#[test]
fn after_a_power_cut_at_any_operation_what_was_acknowledged_is_there_and_whole() {
    let mut cut_short = 0;
    for at in 1..=operations() {
        let disk = MemoryDisk::new();
        disk.fail_operation(at, Fault::PowerCut);
        let outcome = run(&disk, false);
        cut_short += usize::from(!outcome.refused.is_empty());
        let crashes = (0..seeds()).map(|seed| disk.crash(seed).unwrap());
        let extremes = [disk.crash_keeping_nothing().unwrap(), disk.crash_keeping_all().unwrap()];
        for (number, crashed) in extremes.into_iter().chain(crashes).enumerate() {
            let store = open(&crashed).unwrap_or_else(|e| panic!("operation {at} crash {number}: {e:?}"));
            let found = state(&store).unwrap_or_else(|e| panic!("operation {at} crash {number}: {e:?}"));
            assert!(
                found == outcome.model || Some(&found) == outcome.maybe.as_ref(),
                "operation {at} crash {number}: {:?}\nfound {found:?}\nmodel {:?}\nmaybe {:?}",
                outcome.refused,
                outcome.model,
                outcome.maybe
            );
            // And it takes writes again, which last.
            let version = (1000, rows_of(9, 1000));
            store.insert("t", upload(9, version)).unwrap();
            store.close().unwrap();
            let again = state(&open(&crashed.crash_keeping_nothing().unwrap()).unwrap()).unwrap();
            let mut expected = found;
            expected.insert(9, version);
            assert_eq!(again, expected, "operation {at} crash {number}");
        }
    }
    assert!(cut_short > 50);
}

#[test]
fn a_failing_operation_fails_one_request_and_the_store_goes_on() {
    for fault in [Fault::Io, Fault::NoSpace, Fault::TornWrite(100)] {
        for at in 1..=operations() {
            let disk = MemoryDisk::new();
            disk.fail_operation(at, fault);
            let outcome = run(&disk, true);
            assert!(outcome.refused.len() <= 1, "{fault:?} at {at}: {:?}", outcome.refused);
            let after = disk.crash_keeping_nothing().unwrap();
            if let Ok(store) = open(&after) {
                let found = state(&store)
                    .unwrap_or_else(|e| panic!("{fault:?} at {at}: {:?}: {e:?}", outcome.refused));
                assert_eq!(found, outcome.model, "{fault:?} at {at}: {:?}", outcome.refused);
            } else {
                assert_eq!(outcome.model, Model::new(), "{fault:?} at {at}");
            }
        }
    }
}

#[test]
fn a_full_disk_is_told_as_such_and_poisons_nothing() {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    store.insert("t", upload(0, (1, rows_of(0, 1)))).unwrap();
    let mut full = 0;
    for version in 2..200 {
        disk.fail_next(ingot_engine::storage::memory::Action::Allocate, Fault::NoSpace);
        disk.fail_next(ingot_engine::storage::memory::Action::Allocate, Fault::NoSpace);
        match store.insert("t", upload(0, (version, rows_of(0, version)))) {
            Ok(_) => {}
            Err(refused) => {
                assert_eq!(refused, Error::DiskFull);
                full += 1;
            }
        }
        disk.clear_faults();
        store.insert("t", upload(0, (version, rows_of(0, version)))).unwrap();
    }
    assert!(full > 0);
    assert_eq!(store.refusing_tenants(), 0);
}

#[test]
fn a_flipped_bit_is_an_error_or_an_unacknowledged_tail_never_an_answer() {
    let disk = MemoryDisk::new();
    run(&disk, false);
    let settled = disk.crash_keeping_all().unwrap();
    let tenants = settled.list(Path::new("/data/tenants")).unwrap();
    let log = Path::new("/data/tenants").join(&tenants[0]).join("log");
    let model = state(&open(&settled).unwrap()).unwrap();
    let mut refused = 0;
    for name in settled.list(&log).unwrap() {
        let path = log.join(name);
        let length = settled.open(&path).unwrap().len().unwrap();
        for offset in (0..length).step_by(37) {
            let damaged = settled.crash_keeping_all().unwrap();
            damaged.corrupt(&path, offset, &[1 << (offset % 8)]).unwrap();
            let found = open(&damaged).and_then(|store| state(&store));
            match found {
                Ok(found) => assert_eq!(found, model, "{} at {offset}", path.display()),
                Err(Error::CorruptData { .. } | Error::FormatTooNew { .. }) => refused += 1,
                Err(other) => panic!("{} at {offset}: {other:?}", path.display()),
            }
        }
    }
    assert!(refused > 20, "{refused}");
}
