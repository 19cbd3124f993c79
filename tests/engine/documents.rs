//! The document form beside the matrix form: what is decided while others are in flight, and what a crash leaves.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod gate;

use std::path::Path;
use std::sync::{Arc, mpsc};

use gate::{Gate, GatedDisk};
use ingot_engine::error::{Error, Result};
use ingot_engine::storage::Storage;
use ingot_engine::storage::memory::{Fault, MemoryDisk};
use ingot_engine::store::{Options, Store};
use ingot_engine::tenant::{Content, Deleted, Document, Inserted, Selector, Upload};
use ingot_engine::vector::{Dimension, Rows};

/// Numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }

    fn metadata(&mut self) -> Option<Vec<u8>> {
        (self.below(2) == 0).then(|| format!("{{\"n\":{}}}", self.below(1000)).into_bytes())
    }

    fn source(&mut self) -> String {
        ["a", "b", "a_1"][self.below(3)].to_owned()
    }

    /// Ids that are named by one form and the other.
    fn chunk_ids(&mut self) -> Vec<String> {
        let count = 1 + self.below(5);
        let mut ids: Vec<String> = Vec::new();
        while ids.len() < count {
            let id = match self.below(6) {
                0 => format!("x{}", self.below(3)),
                1 => format!("a_1_{}", self.below(3)),
                2 => format!("b_{}", self.below(4)),
                _ => format!("a_{}", self.below(6)),
            };
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    fn rows(&mut self, count: usize) -> Vec<f32> {
        (0..count).flat_map(|_| [self.below(1 << 20) as f32, 1.0]).collect()
    }

    fn step(&mut self) -> Step {
        let upsert = self.below(3) > 0;
        match self.below(8) {
            0..3 => {
                let count = 1 + self.below(5);
                let content = Content::Matrix { source_id: self.source(), metadata: self.metadata() };
                Step::Upload(content, self.rows(count), upsert)
            }
            3..6 => {
                let ids = self.chunk_ids();
                let numbers = self.rows(ids.len());
                let first = self.source();
                let second = self.source();
                let split = if first == second { ids.len() } else { self.below(ids.len()) };
                let mut documents = Vec::new();
                for (source_id, rows) in [(first, split), (second, ids.len() - split)] {
                    if rows > 0 {
                        documents.push(Document { source_id, metadata: self.metadata(), rows });
                    }
                }
                Step::Upload(Content::Documents { documents, chunk_ids: Arc::new(ids) }, numbers, upsert)
            }
            6 => {
                let mut ids = self.chunk_ids();
                ids.truncate(2);
                let numbers = self.rows(ids.len());
                Step::Upload(Content::Update { chunk_ids: Arc::new(ids) }, numbers, true)
            }
            _ if self.below(3) == 0 => Step::Delete(Selector::Source(self.source())),
            _ => Step::Delete(Selector::Chunks(self.chunk_ids())),
        }
    }

    /// Requests, some of them a second time.
    fn steps(&mut self, count: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        while steps.len() < count {
            let step = self.step();
            if self.below(5) == 0 {
                steps.push(step.clone());
            }
            steps.push(step);
        }
        steps
    }
}

#[derive(Clone, Debug)]
enum Step {
    Upload(Content, Vec<f32>, bool),
    Delete(Selector),
}

/// How a request ended.
#[derive(Debug, PartialEq)]
enum Outcome {
    Uploaded(Result<Inserted>),
    Deleted(Result<u64>),
}

fn upload(content: Content, numbers: &[f32], upsert: bool) -> Upload {
    let mut rows = Rows::new(Dimension::new(2).unwrap());
    rows.extend(numbers);
    Upload { content, upsert, ..Upload::matrix(String::new(), rows) }
}

fn run(store: &Arc<Store>, step: Step) -> Outcome {
    match step {
        Step::Upload(content, numbers, upsert) => {
            Outcome::Uploaded(store.insert("t", upload(content, &numbers, upsert)))
        }
        Step::Delete(selector) => Outcome::Deleted(store.delete("t", None, &selector)),
    }
}

fn begin(store: &Arc<Store>, place: usize, step: Step, sender: &mpsc::Sender<(usize, Outcome)>) {
    let sender = sender.clone();
    match step {
        Step::Upload(content, numbers, upsert) => {
            let upload = upload(content, &numbers, upsert);
            let done = Box::new(move |outcome| sender.send((place, Outcome::Uploaded(outcome))).unwrap());
            store.begin_insert("t".to_owned(), upload, done);
        }
        Step::Delete(selector) => {
            let done = Box::new(move |outcome: Result<Deleted>| {
                sender.send((place, Outcome::Deleted(outcome.map(|deleted| deleted.rows)))).unwrap();
            });
            store.begin_delete("t".to_owned(), None, selector, done);
        }
    }
}

fn open(storage: Arc<dyn Storage>) -> Result<Arc<Store>> {
    let options = Options { commit_threads: 2, index_threads: 1, search_threads: 1, ..Options::default() };
    Store::open_on(storage, Path::new("/data"), options)
}

/// A tenant with one source, to which requests are made.
fn started(storage: Arc<dyn Storage>) -> Result<Arc<Store>> {
    let store = open(storage)?;
    let content = Content::Matrix { source_id: "a".to_owned(), metadata: None };
    store.insert("t", upload(content, &[1.0, 1.0, 2.0, 1.0, 3.0, 1.0], true))?;
    Ok(store)
}

/// Row by row: id, source, metadata, first number.
type Contents = Vec<(String, String, Option<Vec<u8>>, f32)>;

/// Everything that is there, which every way to read it agrees on.
fn contents(store: &Store) -> Contents {
    let read = |selector: Option<&Selector>| {
        let mut found = Contents::new();
        let (hits, _) = match store.get("t", None, selector, 1 << 20) {
            Err(Error::TenantNotFound) => return found,
            got => got.unwrap(),
        };
        hits.each(&mut |hit| {
            let metadata = hit.metadata.map(<[u8]>::to_vec);
            found.push((hit.chunk_id, hit.source_id.to_owned(), metadata, hit.vector[0]));
            Ok(())
        })
        .unwrap();
        found
    };
    let all = read(None);
    let ids: Vec<String> = all.iter().map(|row| row.0.clone()).collect();
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "an id twice: {ids:?}");
    assert_eq!(read(Some(&Selector::Chunks(ids))), all);
    for source in ["a", "b", "a_1"] {
        let of_source: Contents = all.iter().filter(|row| row.1 == source).cloned().collect();
        let metadata: std::collections::HashSet<_> = of_source.iter().map(|row| &row.2).collect();
        assert!(metadata.len() <= 1, "a source has one metadata: {of_source:?}");
        assert_eq!(read(Some(&Selector::Source(source.to_owned()))), of_source);
    }
    all
}

/// What is beside the contents: LSNs differ where a request that changes nothing waited in one store only.
fn without_lsn(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Uploaded(Ok(inserted)) => Outcome::Uploaded(Ok(Inserted { lsn: 0, ..inserted })),
        other => other,
    }
}

/// Random numbers from a seed, which is shown when the test fails.
fn random(seed: usize) -> Random {
    println!("seed {seed}");
    Random((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn times() -> usize {
    if std::env::var_os("INGOT_TORTURE").is_some() { 50 } else { 1 }
}

#[test]
fn what_is_in_flight_is_decided_as_if_it_were_applied() {
    for round in 0..60 * times() {
        let mut random = random(round);
        let (disk, gate) = (MemoryDisk::new(), Arc::new(Gate::default()));
        let one_by_one = started(Arc::new(MemoryDisk::new())).unwrap();
        let store = started(Arc::new(GatedDisk(disk.clone(), Arc::clone(&gate)))).unwrap();
        for _ in 0..3 {
            // The first is being synced and held back; the others are decided meanwhile.
            let (sender, receiver) = mpsc::channel();
            let held = Step::Upload(
                Content::Matrix { source_id: "held".to_owned(), metadata: None },
                vec![1.0, 1.0],
                true,
            );
            let mut steps = vec![held];
            steps.extend(random.steps(1 + round % 12));
            gate.set_shut(true);
            let before = gate.syncs();
            begin(&store, 0, steps[0].clone(), &sender);
            gate.wait_for_syncs(before + 1);
            for (place, step) in steps.iter().cloned().enumerate().skip(1) {
                begin(&store, place, step, &sender);
            }
            // Answered in its turn: all before it are in the queue.
            begin(&store, usize::MAX, Step::Delete(Selector::Source(String::new())), &sender);
            let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
            loop {
                match receiver.recv().unwrap() {
                    (usize::MAX, _) => break,
                    refused => outcomes.push(refused),
                }
            }
            gate.set_shut(false);
            while outcomes.len() < steps.len() {
                outcomes.push(receiver.recv().unwrap());
            }
            outcomes.sort_by_key(|(place, _)| *place);
            for (step, (_, outcome)) in steps.into_iter().zip(outcomes) {
                let shown = format!("{step:?}");
                let alone = run(&one_by_one, step);
                assert_eq!(without_lsn(outcome), without_lsn(alone), "{shown}");
            }
            assert_eq!(contents(&store), contents(&one_by_one));
        }
        let expected = contents(&store);
        let crashed = open(Arc::new(disk.crash_keeping_nothing().unwrap())).unwrap();
        assert_eq!(contents(&crashed), expected, "after a power cut");
        store.close().unwrap();
        let reopened = open(Arc::new(disk.crash_keeping_nothing().unwrap())).unwrap();
        assert_eq!(contents(&reopened), expected, "from a checkpoint");
        // What the checkpoint says of ids and metadata is what the log says.
        for step in random.steps(6) {
            let shown = format!("{step:?}");
            let outcomes =
                [&one_by_one, &crashed, &reopened].map(|store| without_lsn(run(store, step.clone())));
            assert_eq!(outcomes[0], outcomes[1], "{shown}");
            assert_eq!(outcomes[0], outcomes[2], "{shown}");
        }
        assert_eq!(contents(&reopened), contents(&one_by_one));
        assert_eq!(reopened.stats("t").unwrap().1.sources, one_by_one.stats("t").unwrap().1.sources);
    }
}

/// Runs steps until one is refused by the disk; how many were acknowledged, the first upload included.
fn acknowledged(disk: &MemoryDisk, steps: &[Step]) -> usize {
    let Ok(mut store) = started(Arc::new(disk.clone())) else { return 0 };
    for (done, step) in (1..).zip(steps) {
        let refused = match run(&store, step.clone()) {
            Outcome::Uploaded(outcome) => outcome.err(),
            Outcome::Deleted(outcome) => outcome.err(),
        };
        let by_the_disk = [Error::OutcomeUnknown, Error::DiskFull];
        if refused.is_some_and(|refused| {
            by_the_disk.contains(&refused)
                || matches!(refused, Error::StorageFailed { .. } | Error::TenantReadOnly { .. })
        }) {
            return done;
        }
        if done % 9 == 0 {
            if store.close().is_err() {
                return done + 1;
            }
            match open(Arc::new(disk.clone())) {
                Ok(opened) => store = opened,
                Err(_) => return done + 1,
            }
        }
    }
    let _ = store.close();
    steps.len() + 1
}

#[test]
fn after_a_power_cut_at_any_operation_documents_are_there_and_whole() {
    for round in 0..times() {
        let steps = random(round).steps(24);
        let clean = MemoryDisk::new();
        let store = started(Arc::new(MemoryDisk::new())).unwrap();
        let mut states = vec![Contents::new(), contents(&store)];
        for step in &steps {
            run(&store, step.clone());
            states.push(contents(&store));
        }
        assert_eq!(acknowledged(&clean, &steps), steps.len() + 1);
        for at in 1..=clean.operations() {
            let disk = MemoryDisk::new();
            disk.fail_operation(at, Fault::PowerCut);
            let done = acknowledged(&disk, &steps);
            for crashed in [disk.crash_keeping_nothing(), disk.crash_keeping_all(), disk.crash(at as u64)]
                .map(|crashed| crashed.unwrap())
            {
                let found = contents(&open(Arc::new(crashed)).unwrap());
                assert!(
                    found == states[done] || states.get(done + 1) == Some(&found),
                    "operation {at}, {done} acknowledged: {found:?}\n{:?}",
                    states[done]
                );
            }
        }
    }
}
