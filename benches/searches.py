"""Searches in process: beside usearch alone, without a graph, during ingest, for many queries at once.

`graph_search.rs` and `search_latency.rs` measure, from Rust, on both sides; this part runs them and
adds what the Python module costs.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ingot
from benches import rust
from benches.bench import Bench
from benches.figure import Figure
from benches.vectors import REAL, Vectors, load

# As in `rust/engine/src/limits.rs`.
DEFAULT_EF = 144
BATCH = 2000
# A round of it builds a graph.
INGEST_ROUNDS = 2


def measure(bench: Bench) -> list[Figure]:
    """Rows 6, 10 and 16, and what is reported beside 6 and 8."""
    vectors = load(45_000)
    figures = _beside_usearch(bench, vectors)
    bench.say("graph searches done")
    figures += _through_the_module(bench, vectors)
    bench.say("searches through the module done")
    figures += _flat(bench)
    figures += _many(bench)
    bench.say("scans done")
    return figures + _during_ingest(bench)


def _run(name: str, *arguments: str | Path | int) -> Iterator[dict[str, Any]]:
    """The lines of figures that a bench of the engine prints."""
    for line in rust.run(name, *arguments).splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _beside_usearch(bench: Bench, vectors: Vectors) -> list[Figure]:
    rows, queries = bench.folder / "rows.f32", bench.folder / "queries.f32"
    vectors.rows.tofile(rows)
    vectors.queries.tofile(queries)
    rates: dict[tuple[int, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    recalls: dict[int, tuple[float, float]] = {}
    columns = vectors.rows.shape[1]
    for line in _run("graph_search", rows, queries, columns, bench.folder / "graph", bench.rounds):
        if "recall" in line:
            recalls[line["ef"]] = line["recall"], line["plain_recall"]
        else:
            samples = rates[line["ef"], line["threads"]]
            samples["ingot, searches/s"].append(line["ours"])
            samples["usearch, searches/s"].append(line["plain"])
            samples["our graph, nothing scored again, searches/s"].append(line["unscored"])
    figures = []
    for (ef, threads), samples in sorted(rates.items()):
        ours, plain = (max(samples[f"{name}, searches/s"]) for name in ("ingot", "usearch"))
        figures.append(
            Figure(
                row="6",
                name=f"graph search, {threads} {_threads(threads)}, ef {ef}, scored again: against usearch",
                value=ours / plain,
                unit="x",
                better="higher",
                bound=0.9,
                samples=dict(samples),
                note=f"{len(vectors.rows):,} rows of {vectors.name}; usearch holds our int8 codes, its own cosine",
            )
        )
    for ef, (ours, plain) in sorted(recalls.items()):
        least = 0.995 if ef == DEFAULT_EF and vectors.name == REAL else 0.0
        figures.append(
            Figure(
                row="6",
                name=f"recall@10 of these searches, ef {ef}",
                value=ours,
                unit="",
                better="higher",
                bound=max(plain, least),
                note=f"usearch alone: {plain:.4f}",
            )
        )
    return figures


def _through_the_module(bench: Bench, vectors: Vectors) -> list[Figure]:
    figures = []
    queries = vectors.queries
    with ingot.open(bench.folder / "module") as store:
        for first in range(0, len(vectors.rows), BATCH):
            store.insert("bench", vectors.rows[first : first + BATCH], file_id=f"batch-{first}")
        if not store.wait_indexed("bench", timeout=300):
            raise RuntimeError("not indexed within 300 s")

        def ask(part: NDArray[np.float32]) -> None:
            for query in part:
                store.search("bench", query, limit=10)

        for threads in (1, 2):
            rates = []
            with ThreadPoolExecutor(threads) as pool:
                for _ in range(bench.rounds):
                    started = time.perf_counter()
                    list(pool.map(ask, np.array_split(queries, threads)))
                    rates.append(len(queries) / (time.perf_counter() - started))
            figures.append(
                Figure(
                    row="",
                    name=f"graph search through the Python module, {threads} {_threads(threads)}, default ef",
                    value=max(rates),
                    unit="1/s",
                    better="higher",
                    samples={"ingot, searches/s": rates},
                )
            )
    return figures


def _flat(bench: Bench) -> list[Figure]:
    recall, times, tails = 0.0, [], []
    for line in _run("search_latency", "flat", bench.folder / "scans", bench.rounds):
        if "recall" in line:
            recall = line["recall"]
        else:
            times.append(line["p50"] * 1e3)
            tails.append(line["p99"] * 1e3)
    return [
        Figure(
            row="16",
            name="search of 200,000 x 384 rows that no graph holds, p50",
            value=min(times),
            unit="ms",
            better="lower",
            bound=4.0,
            samples={"p50, ms": times, "p99, ms": tails},
            note="all coded, graph switched off by `graph_from_rows`, nothing else running",
        ),
        Figure(
            row="16", name="recall@10 of these searches", value=recall, unit="", better="higher", bound=1.0
        ),
    ]


def _many(bench: Bench) -> list[Figure]:
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in _run("search_latency", "many", bench.folder / "many", bench.rounds):
        of = samples[line["of"]]
        of["one by one, ms"].append(line["one_by_one"] * 1e3)
        of["at once, ms"].append(line["at_once"] * 1e3)
    return [
        Figure(
            row="",
            name=f"64 queries at once in process, 20,000 rows, {kind}: times faster than one by one",
            value=min(of["one by one, ms"]) / min(of["at once, ms"]),
            unit="x",
            better="higher",
            samples=dict(of),
        )
        for kind, of in samples.items()
    ]


def _during_ingest(bench: Bench) -> list[Figure]:
    tails: dict[str, list[float]] = defaultdict(list)
    rates = []
    for line in _run("search_latency", "ingest", bench.folder / "ingest", min(INGEST_ROUNDS, bench.rounds)):
        tails[line["during"]].append(line["p99"] * 1e3)
        rates.append(line["rate"])
    note = (
        f"a search every 5 ms, 30,000 rows in the graph and more, {max(rates):,.0f} rows/s indexed when alone"
    )
    return [
        Figure(
            row="10",
            name=f"search p99 during {what}: against {against}",
            value=min(tails[during]) / min(tails[idle]),
            unit="x",
            better="lower",
            bound=4.0,
            samples={f"{during}, p99 ms": tails[during], f"{idle}, p99 ms": tails[idle]},
            note=note,
        )
        for during, what, idle, against in (
            ("paced", "ingest at 0.8 of the indexing rate", "idle", "idle"),
            ("full", "ingest with 20,000 rows waiting", "unindexed", "idle over 20,000 unindexed rows"),
        )
    ]


def _threads(count: int) -> str:
    return "thread" if count == 1 else "threads"
