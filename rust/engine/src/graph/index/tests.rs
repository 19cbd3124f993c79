use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::codes::TopCandidates;
use crate::codes::tests::Random;
use crate::graph::Feed;
use crate::vector::{Dimension, Metric};

const COLUMNS: usize = 32;

/// Rows in clusters, each cluster's side by side, as chunks of one document are.
fn clustered(count: usize, seed: u64) -> (Arc<Codes>, Vec<Vec<f32>>) {
    let mut random = Random(seed);
    let codes = Codes::new(Metric::Cosine, Dimension::new(COLUMNS).unwrap());
    let mut center = random.row(COLUMNS);
    let rows: Vec<Vec<f32>> = (0..count)
        .map(|i| {
            if i % 20 == 0 {
                center = random.row(COLUMNS);
            }
            center.iter().map(|x| x + 0.3 * random.float()).collect()
        })
        .collect();
    for row in &rows {
        codes.append(row);
    }
    (Arc::new(codes), rows)
}

fn grown(codes: &Arc<Codes>, threads: usize) -> Graph {
    let graph = Graph::new(Arc::clone(codes), 16, 64, threads).unwrap();
    feed(&graph, threads);
    graph
}

/// Adds every slot, window by window.
fn feed(graph: &Graph, threads: usize) {
    let count = graph.codes().len() as u32;
    for start in (0..count).step_by(4096) {
        let feed = Feed::new(start..count.min(start + 4096), threads);
        thread::scope(|scope| {
            for worker in 0..feed.workers() {
                let part = feed.part(worker);
                scope.spawn(move || part.for_each(|slot| graph.add(slot).unwrap()));
            }
        });
    }
}

fn nearest(codes: &Codes, query: &QueryCode, k: usize, visible: impl Fn(u32) -> bool) -> Vec<(f32, u32)> {
    let mut top = TopCandidates::new(k);
    codes.scan(query, 0..codes.len() as u32, visible, &mut top);
    top.into_sorted()
}

/// Of the ten nearest to queries that resemble the rows, the part that is found.
fn recall(graph: &Graph, rows: &[Vec<f32>], seed: u64, visible: Option<&dyn Fn(u32) -> bool>) -> f64 {
    let mut random = Random(seed);
    let (mut found, mut asked) = (0, 0);
    for _ in 0..100 {
        let near = &rows[random.next() as usize % rows.len()];
        let query: Vec<_> = near.iter().map(|x| x + 0.3 * random.float()).collect();
        let query = graph.codes().encode_query(&query);
        let want = nearest(graph.codes(), &query, 10, |slot| visible.is_none_or(|visible| visible(slot)));
        let got = graph.search(&query, 10, 64, visible).unwrap();
        assert!(got.is_sorted_by(|a, b| a.0 <= b.0));
        asked += want.len();
        found += want.iter().filter(|(_, slot)| got.iter().any(|(_, other)| other == slot)).count();
    }
    found as f64 / asked as f64
}

#[test]
fn rows_fed_by_two_workers_are_all_there_and_found() {
    let (codes, rows) = clustered(9000, 1);
    let graph = grown(&codes, 2);
    assert_eq!(graph.len(), 9000);
    assert!((0..9000).all(|slot| graph.contains(slot)) && !graph.contains(9000));
    assert!(graph.memory_bytes() > 9000 * 128);
    let recall = recall(&graph, &rows, 2, None);
    assert!(recall > 0.95, "recall {recall}, seeds 1 and 2");
}

#[test]
fn the_query_is_measured_on_the_codes() {
    let (codes, rows) = clustered(500, 3);
    let graph = grown(&codes, 1);
    let query = codes.encode_query(&rows[123]);
    let got = graph.search(&query, 5, 64, None).unwrap();
    assert_eq!(got[0].1, 123);
    assert!(got.iter().all(|&(distance, slot)| distance == codes.distance_to(&query, slot)));
}

#[test]
fn a_search_gives_visible_slots_only() {
    let (codes, rows) = clustered(3000, 4);
    let graph = grown(&codes, 1);
    let visible = |slot: u32| slot.is_multiple_of(2);
    let recall = recall(&graph, &rows, 5, Some(&visible));
    assert!(recall > 0.95, "recall {recall}, seeds 4 and 5");
    let query = codes.encode_query(&Random(6).row(COLUMNS));
    assert!(graph.search(&query, 50, 64, Some(&visible)).unwrap().iter().all(|(_, slot)| visible(*slot)));
    assert_eq!(graph.search(&query, 50, 64, Some(&|_| false)).unwrap(), []);
}

#[test]
fn a_saved_graph_answers_as_before_and_grows_on() {
    let (codes, rows) = clustered(3000, 7);
    let graph = Graph::new(Arc::clone(&codes), 16, 64, 2).unwrap();
    (0..2000).for_each(|slot| graph.add(slot).unwrap());
    let bytes = graph.to_bytes();
    let loaded = Graph::from_bytes(Arc::clone(&codes), 16, 64, 2, &bytes).unwrap();
    assert_eq!(loaded.len(), 2000);
    assert!(*loaded.to_bytes() == *bytes);
    let mut random = Random(8);
    for _ in 0..50 {
        let query = codes.encode_query(&random.row(COLUMNS));
        assert_eq!(loaded.search(&query, 10, 64, None), graph.search(&query, 10, 64, None));
    }
    (2000..3000).for_each(|slot| loaded.add(slot).unwrap());
    let recall = recall(&loaded, &rows, 9, None);
    assert!(recall > 0.95, "recall {recall}, seeds 7 and 9");

    let empty = Graph::new(Arc::clone(&codes), 16, 64, 2).unwrap().to_bytes();
    let empty = Graph::from_bytes(codes, 16, 64, 2, &empty).unwrap();
    assert!(empty.is_empty());
    empty.add(5).unwrap();
    assert_eq!(empty.len(), 1);
}

#[test]
fn bytes_that_are_no_graph_over_these_codes_are_refused() {
    let (codes, _) = clustered(400, 10);
    let bytes = grown(&codes, 1).to_bytes();
    let load = |codes: &Arc<Codes>, connectivity, bytes: &[u8]| {
        Graph::from_bytes(Arc::clone(codes), connectivity, 64, 1, bytes).err()
    };
    assert_eq!(load(&codes, 16, &bytes), None);
    assert!(matches!(load(&codes, 12, &bytes), Some(Error::CorruptData { .. })), "connectivity");
    let (fewer, _) = clustered(399, 10);
    assert!(matches!(load(&fewer, 16, &bytes), Some(Error::CorruptData { .. })), "a slot without a code");
    for cut in [0, 3, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(load(&codes, 16, &bytes[..cut]), Some(Error::CorruptData { .. })), "cut at {cut}");
    }
    // A changed byte is refused, or harmless: it may lie in unused room or name another node.
    let mut random = Random(11);
    let query = codes.encode_query(&random.row(COLUMNS));
    for _ in 0..2000 {
        let at = random.next() as usize % bytes.len();
        let mut changed = bytes.to_vec();
        changed[at] ^= (random.next() | 1) as u8;
        if let Ok(graph) = Graph::from_bytes(Arc::clone(&codes), 16, 64, 1, &changed) {
            assert!(graph.search(&query, 10, 64, None).is_some(), "byte {at}, seed 11");
        }
    }
}

#[test]
fn searches_while_the_graph_grows_are_right_or_refused_and_never_hang() {
    let (codes, _) = clustered(20_000, 12);
    // Small enough steps that room runs out while others search (first room, then doubled).
    let graph = Graph::new(Arc::clone(&codes), 8, 32, 2).unwrap();
    let growing = AtomicBool::new(true);
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        let adder = scope.spawn(|| feed(&graph, 2));
        for seed in 0..3 {
            let (graph, codes, growing, answered, refused) = (&graph, &codes, &growing, &answered, &refused);
            scope.spawn(move || {
                let mut random = Random(13 + seed);
                while growing.load(Ordering::Relaxed) {
                    let query = codes.encode_query(&random.row(COLUMNS));
                    let count = if let Some(found) = graph.search(&query, 10, 32, None) {
                        for (distance, slot) in found {
                            assert_eq!(distance, codes.distance_to(&query, slot));
                        }
                        answered
                    } else {
                        refused
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while growing.load(Ordering::Relaxed) {
                let bytes = graph.to_bytes();
                Graph::from_bytes(Arc::clone(&codes), 8, 32, 1, &bytes).unwrap();
            }
        });
        adder.join().unwrap();
        growing.store(false, Ordering::Relaxed);
    });
    assert_eq!(graph.len(), 20_000);
    assert!(answered.load(Ordering::Relaxed) > 0);
    assert!(started.elapsed() < Duration::from_secs(120), "{refused:?} refused, {answered:?} answered");
}

#[test]
fn a_search_that_finds_the_graph_closed_is_refused_at_once() {
    let (codes, rows) = clustered(300, 14);
    let graph = grown(&codes, 1);
    let query = codes.encode_query(&rows[0]);
    let closed = graph.native.exclusive();
    assert_eq!(graph.search(&query, 3, 16, None), None);
    drop(closed);
    assert_eq!(graph.search(&query, 3, 16, None).unwrap().len(), 3);
}

#[test]
fn a_predicate_that_panics_harms_its_caller_only() {
    let (codes, rows) = clustered(300, 15);
    let graph = grown(&codes, 1);
    let query = codes.encode_query(&rows[0]);
    let calls = AtomicUsize::new(0);
    let visible = |_| {
        calls.fetch_add(1, Ordering::Relaxed);
        panic!("on purpose")
    };
    assert!(catch_unwind(AssertUnwindSafe(|| graph.search(&query, 3, 16, Some(&visible)))).is_err());
    assert_eq!(calls.into_inner(), 1, "asked again after it had panicked");
    assert_eq!(graph.search(&query, 3, 16, None).unwrap().len(), 3);
    (0..300).for_each(|slot| assert!(graph.contains(slot)));
}

#[test]
fn a_slot_is_added_once_and_only_with_a_code() {
    let (codes, _) = clustered(10, 16);
    let graph = grown(&codes, 1);
    assert!(matches!(graph.add(10), Err(Error::GraphFailed { .. })));
    assert!(matches!(graph.add(3), Err(Error::GraphFailed { .. })));
    assert_eq!(graph.len(), 10);
}
