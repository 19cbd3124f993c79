//! How long a search takes where no graph holds the rows, while rows are coming, and for many queries at once.
//!
//! `cargo bench -p ingot-engine --bench search_latency -- PART FOLDER ROUNDS`, PART one of `flat`,
//! `ingest`, `ingest-one-worker`, `many`; the folder is for stores. Rows are clustered ones of 384 numbers from a seed.
//! Prints one JSON object a line, times in seconds.

mod shared;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ingot_engine::store::{Options, Store};
use ingot_engine::vector::Rows;
use shared::{Outcome, TENANT, Vectors, filled, how, indexed, search, upload};

const SEED: u64 = 4;
const COLUMNS: usize = 384;
const LIMIT: usize = 10;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let [part, folder, rounds] = arguments.as_slice() else {
        println!("skipped: wants PART FOLDER ROUNDS");
        return Ok(());
    };
    let (folder, rounds) = (Path::new(folder), rounds.parse()?);
    match part.as_str() {
        "flat" => flat(folder, rounds),
        "ingest" => ingest(folder, rounds, Options::default().index_threads),
        "ingest-one-worker" => ingest(folder, rounds, 1),
        "many" => many(folder, rounds),
        other => Err(format!("no such part: {other}").into()),
    }
}

/// A store that keeps no graph.
fn without_graph() -> Options {
    Options { graph_from_rows: usize::MAX, ..Options::default() }
}

/// The last rows, which are not stored, one by one.
fn queries(rows: &Vectors, stored: usize) -> Outcome<Vec<Rows>> {
    (stored..rows.len()).map(|row| rows.rows(row, 1)).collect()
}

fn timed(search: impl FnOnce() -> Outcome<Vec<u64>>) -> Outcome<f64> {
    let started = Instant::now();
    search()?;
    Ok(started.elapsed().as_secs_f64())
}

fn part_of(times: &mut [f64], hundredth: usize) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[(times.len() * hundredth / 100).min(times.len() - 1)]
}

/// 200,000 rows, all coded, none in a graph.
fn flat(folder: &Path, rounds: usize) -> Outcome {
    const ROWS: usize = 200_000;
    const QUERIES: usize = 100;
    let rows = Vectors::clustered(ROWS + QUERIES, COLUMNS, SEED);
    let store = filled(folder.join("flat"), &rows, ROWS, without_graph())?;
    indexed(&store)?;
    let asked = queries(&rows, ROWS)?;
    let mut found = 0;
    for query in &asked {
        let truth = search(&store, query, how(LIMIT, None, true))?;
        let got = search(&store, query, how(LIMIT, None, false))?;
        found += truth.iter().filter(|row| got.contains(row)).count();
    }
    println!(r#"{{"recall": {}}}"#, found as f64 / (LIMIT * asked.len()) as f64);
    for _ in 0..rounds {
        let mut times = asked
            .iter()
            .map(|query| timed(|| search(&store, query, how(LIMIT, None, false))))
            .collect::<Outcome<Vec<f64>>>()?;
        println!(r#"{{"p50": {}, "p99": {}}}"#, part_of(&mut times, 50), part_of(&mut times, 99));
    }
    store.close()?;
    Ok(())
}

/// 64 queries in one call and one after the other: 20,000 rows without a graph, and with one.
fn many(folder: &Path, rounds: usize) -> Outcome {
    const ROWS: usize = 20_000;
    const QUERIES: usize = 64;
    let rows = Vectors::clustered(ROWS + QUERIES, COLUMNS, SEED);
    let flat = filled(folder.join("flat"), &rows, ROWS, without_graph())?;
    let graph = filled(folder.join("graph"), &rows, ROWS, Options::default())?;
    indexed(&flat)?;
    indexed(&graph)?;
    let (single, together) = (queries(&rows, ROWS)?, rows.rows(ROWS, QUERIES)?);
    for _ in 0..rounds {
        for (name, store) in [("flat", &flat), ("graph", &graph)] {
            let one_by_one = timed(|| {
                for query in &single {
                    search(store, query, how(LIMIT, None, false))?;
                }
                Ok(Vec::new())
            })?;
            let at_once = timed(|| search(store, &together, how(LIMIT, None, false)))?;
            println!(r#"{{"of": "{name}", "one_by_one": {one_by_one}, "at_once": {at_once}}}"#);
        }
    }
    flat.close()?;
    graph.close()?;
    Ok(())
}

/// Time between two searches; a search that is late is measured from when it was due.
const PACE: Duration = Duration::from_millis(5);
/// Rows that are there, in the graph, before any round.
const BASE: usize = 30_000;
/// Rows that wait to be indexed when uploads come at full rate.
const BACKLOG: usize = 20_000;
/// Rows of a paced upload.
const UPLOAD: usize = 500;

/// Searches at a steady pace: idle; while uploads come at 0.8 of the rate at which they are indexed; while as many come
/// as keep a backlog of unindexed rows; idle in a tenant whose as many rows no graph holds. `index_threads` of 1 leaves
/// the searches a core.
fn ingest(folder: &Path, rounds: usize, index_threads: usize) -> Outcome {
    const QUERIES: usize = 500;
    let rows = Vectors::clustered(BASE + BACKLOG + QUERIES, COLUMNS, SEED);
    let asked = queries(&rows, BASE + BACKLOG)?;
    let flat = filled(folder.join("flat"), &rows, BACKLOG, without_graph())?;
    indexed(&flat)?;
    for round in 0..rounds {
        let folder = folder.join(format!("round-{round}"));
        let store = filled(folder.clone(), &rows, BASE, Options { index_threads, ..Options::default() })?;
        indexed(&store)?;
        let mut next = BASE;
        let mut send = |count: usize| {
            let first = next;
            next += count;
            upload(&store, &rows, first, count)
        };
        let idle = searches(&store, &asked, Duration::from_secs(3))?;
        let unindexed = searches(&flat, &asked, Duration::from_secs(3))?;

        let started = Instant::now();
        (0..5).try_for_each(|_| send(2000))?;
        indexed(&store)?;
        let rate = 10_000.0 / started.elapsed().as_secs_f64();

        let pause = Duration::from_secs_f64(UPLOAD as f64 / (0.8 * rate));
        let paced = during(&store, &asked, |over| {
            let mut due = Instant::now();
            while !over.load(Ordering::Relaxed) {
                send(UPLOAD)?;
                due += pause;
                wait_until(due);
            }
            Ok(())
        })?;
        indexed(&store)?;
        let full = during(&store, &asked, |over| {
            while !over.load(Ordering::Relaxed) {
                let (_, stats) = store.stats(TENANT)?;
                if stats.rows - stats.indexed_rows + 2000 <= BACKLOG as u64 {
                    send(2000)?;
                } else {
                    wait_until(Instant::now() + Duration::from_millis(2));
                }
            }
            Ok(())
        })?;
        for (name, mut times) in [("idle", idle), ("unindexed", unindexed), ("paced", paced), ("full", full)]
        {
            let (p50, p90, p99) = (part_of(&mut times, 50), part_of(&mut times, 90), part_of(&mut times, 99));
            println!(r#"{{"during": "{name}", "rate": {rate}, "p50": {p50}, "p90": {p90}, "p99": {p99}}}"#);
        }
        store.close()?;
        std::fs::remove_dir_all(folder)?;
    }
    flat.close()?;
    Ok(())
}

/// Searches for a few seconds while `work` runs beside them, which is told when they are over.
fn during(
    store: &Arc<Store>,
    asked: &[Rows],
    work: impl FnOnce(&AtomicBool) -> Outcome + Send,
) -> Outcome<Vec<f64>> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(&over));
        // The first uploads have come.
        wait_until(Instant::now() + Duration::from_millis(200));
        let times = searches(store, asked, Duration::from_secs(3));
        over.store(true, Ordering::Relaxed);
        worker.join().map_err(|_| "the uploads panicked")??;
        times
    })
}

fn searches(store: &Store, asked: &[Rows], time: Duration) -> Outcome<Vec<f64>> {
    let mut times = Vec::new();
    let mut due = Instant::now();
    let end = due + time;
    for query in asked.iter().cycle() {
        due += PACE;
        if due > end {
            break;
        }
        wait_until(due);
        search(store, query, how(LIMIT, None, false))?;
        times.push(due.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn wait_until(due: Instant) {
    let (_open, never) = channel::<()>();
    let left = due.saturating_duration_since(Instant::now());
    let _ = never.recv_timeout(left);
}
