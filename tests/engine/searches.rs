//! Searches for many queries, and by many threads, find what one thread finds for each.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use ingot_engine::collection::{Found, SearchOptions};
use ingot_engine::error::Error;
use ingot_engine::storage::memory::MemoryDisk;
use ingot_engine::store::{Options, Search, Store};
use ingot_engine::tenant::Upload;
use ingot_engine::vector::{Dimension, Rows};

const COLUMNS: usize = 24;
const BATCH: usize = 2000;

/// Numbers in -1..1 from a seed (xorshift).
struct Random(u64);

impl Random {
    fn rows(&mut self, count: usize) -> Rows {
        let mut rows = Rows::new(Dimension::new(COLUMNS).unwrap());
        for _ in 0..count {
            for value in rows.grow() {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                *value = (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0;
            }
        }
        rows
    }
}

/// A store of `batches` uploads, of which the third is replaced, with everything coded and, if there are enough rows,
/// in the graph.
fn filled(batches: usize, graph_from_rows: usize, seed: u64) -> Arc<Store> {
    let options = Options { graph_from_rows, search_threads: 3, ..Options::default() };
    let store = Store::open_on(Arc::new(MemoryDisk::new()), Path::new("/data"), options).unwrap();
    let mut random = Random(seed);
    for batch in (0..batches).chain([2]) {
        store.insert("tenant", Upload::matrix(format!("source-{batch}"), random.rows(BATCH))).unwrap();
    }
    assert!(store.wait_indexed("tenant", None, &|| Ok(())).unwrap());
    store
}

fn search(store: &Store, queries: &Rows, exact: bool) -> Vec<Vec<Found>> {
    let options = SearchOptions { limit: 10, ef: None, exact };
    let how = Search { options, score_threshold: None, filter: None };
    let hits = store.search("tenant", None, queries, &how, &|| Ok(())).unwrap();
    hits.iter().map(|hits| hits.found().to_vec()).collect()
}

fn alone(queries: &Rows) -> impl Iterator<Item = Rows> {
    (0..queries.len()).map(|query| {
        let mut one = Rows::new(queries.dimension());
        one.extend(queries.row(query));
        one
    })
}

#[test]
fn queries_asked_together_find_what_each_finds_alone() {
    for (seed, graph_from_rows) in [(1, usize::MAX), (2, 4000)] {
        let store = filled(5, graph_from_rows, seed);
        let queries = Random(seed + 10).rows(64);
        for exact in [false, true] {
            let together = search(&store, &queries, exact);
            assert_eq!(together.len(), 64);
            for (query, together) in alone(&queries).zip(&together) {
                assert_eq!(together.len(), 10);
                assert_eq!(*together, search(&store, &query, exact)[0], "seed {seed}, exact: {exact}");
            }
        }
    }
}

#[test]
fn a_scan_by_many_threads_finds_the_nearest_rows() {
    // More than two pieces for one query.
    let store = filled(40, usize::MAX, 3);
    for query in alone(&Random(30).rows(20)) {
        let found = search(&store, &query, false);
        assert_eq!(found, search(&store, &query, true), "seeds 3 and 30");
        let batches: Vec<u32> = found[0].iter().map(|found| found.batch).collect();
        assert!(!batches.contains(&2), "a row that was replaced");
    }
}

#[test]
fn a_long_scan_ends_when_its_caller_wants_to_stop() {
    let store = filled(40, usize::MAX, 4);
    for exact in [false, true] {
        let options = SearchOptions { limit: 10, ef: None, exact };
        let how = Search { options, score_threshold: None, filter: None };
        let queries = Random(40).rows(1);
        let stopped = store.search("tenant", None, &queries, &how, &|| Err(Error::Closed));
        assert_eq!(stopped.err(), Some(Error::Closed));
    }
    assert_eq!(search(&store, &Random(41).rows(1), false)[0].len(), 10);
}
