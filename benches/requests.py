"""What one small request over HTTP costs: one-row uploads, single searches, batches of queries.

Rows 3, 7 and 8. Beside ours stand a bare aiohttp handler that reads the body and answers as many bytes as ours does,
and usearch itself (its own package, two threads, int8 codes and parameters as of our graph), in turn.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from benches.bench import Bench
from benches.contestant import Contestant, bare, ours
from benches.figure import Figure
from benches.prebuilt import Load
from benches.vectors import Vectors, load

INSERT = "/embeddings/insert-raw-embeddings"
SEARCH = "/embeddings/search-raw-embeddings"

GRAPH_ROWS = 45_000
# The largest collection that is kept without a graph is smaller than 10,000 (`GRAPH_FROM_ROWS`).
FLAT_ROWS = 9_900
BATCH = 2000
QUERIES = 64
LIMIT = 10
# What our graph is built and searched with (`rust/engine/src/limits.rs`).
CONNECTIVITY, EXPANSION_ADD, EF = 16, 128, 144

UPLOADS = 4000
UPLOADERS = 32
SEARCHES = 4000
SEARCHERS = 8
# Of the closed loop's rate: what the open loop asks for.
OPEN_LOAD = 0.5

Samples = dict[str, list[float]]


def number_text(row: NDArray[np.float32]) -> str:
    """A vector as JSON, nine digits a number, as float32 needs to come back exactly."""
    return "[" + ",".join(f"{number:.9g}" for number in row.tolist()) + "]"


def query_bodies(tenant: str, queries: NDArray[np.float32]) -> list[str]:
    """One search a query."""
    return [f'{{"tenant_id":"{tenant}","query_embedding":{number_text(query)}}}' for query in queries]


def batch_bodies(tenant: str, queries: NDArray[np.float32]) -> list[str]:
    """One search for `QUERIES` queries at a time."""
    return [
        f'{{"tenant_id":"{tenant}","query_embeddings":'
        f"[{','.join(map(number_text, queries[first : first + QUERIES]))}]}}"
        for first in range(0, len(queries) - QUERIES + 1, QUERIES)
    ]


class Raw:
    """usearch from its own package over the same int8 codes as ours holds, with its own cosine.

    `ip` would be twice as fast and find other rows: codes of different rows differ in length (recall@10 0.57).
    """

    def __init__(self, vectors: Vectors, kept: Path) -> None:
        self._index = Index(
            ndim=vectors.rows.shape[1],
            metric="cos",
            dtype="i8",
            connectivity=CONNECTIVITY,
            expansion_add=EXPANSION_ADD,
            expansion_search=EF,
        )
        self._queries = _codes(vectors.queries)
        file = kept / f"usearch-cos-{vectors.name}-{len(vectors.rows)}.index"
        if file.is_file():
            self._index.load(os.fspath(file))
        else:
            self._index.add(np.arange(len(vectors.rows)), _codes(vectors.rows), threads=2)
            self._index.save(os.fspath(file))
        # A loaded index does not remember it.
        self._index.expansion_search = EF

    def rate(self) -> float:
        """Queries a second on two threads."""
        import time

        queries = np.concatenate([self._queries] * 8)
        started = time.perf_counter()
        self._index.search(queries, LIMIT, threads=2)
        return len(queries) / (time.perf_counter() - started)


def _codes(rows: NDArray[np.float32]) -> NDArray[np.int8]:
    scaled = rows * (127 / np.abs(rows).max(axis=1, keepdims=True))
    codes: NDArray[np.int8] = np.rint(scaled).astype(np.int8)
    return codes


def measure(bench: Bench) -> list[Figure]:
    """The three rows, each in rounds of its own."""
    vectors = load(GRAPH_ROWS)
    with ExitStack() as stack:
        ingot = stack.enter_context(ours(bench.folder / "data"))
        fill(ingot, "graph", vectors.rows)
        fill(ingot, "flat", vectors.rows[:FLAT_ROWS])
        figures = _uploads(bench, stack, ingot, vectors)
        figures += _searches(bench, stack, ingot, vectors)
        figures += _batches(bench, ingot, vectors)
    return figures


def _uploads(bench: Bench, stack: ExitStack, ingot: Contestant, vectors: Vectors) -> list[Figure]:
    """Row 3."""
    rows = vectors.rows[:500]
    made = _file(bench, "row", [f'{{"tenant_id":"probe","embeddings":[{number_text(rows[0])}]}}'])
    size = send(ingot, INSERT, made, 1, 20).answer_bytes
    ceiling = stack.enter_context(bare("fixed", "--answer-bytes", str(size)))
    figures = []
    for tenants in (1, UPLOADERS):
        samples: Samples = {}
        for number in range(bench.rounds):
            names = [f"rows-{tenants}-{number}-{tenant}" for tenant in range(tenants)]
            lines = [
                f'{{"tenant_id":"{names[row % tenants]}","embeddings":[{number_text(rows[row])}]}}'
                for row in range(len(rows) // tenants * tenants)
            ]
            bodies = _file(bench, "rows", lines)
            _add(samples, "fixed, requests/s", send(ceiling, INSERT, bodies, UPLOADERS, UPLOADS).rate)
            # So that no sample holds the making of a tenant.
            send(ingot, INSERT, bodies, 1, tenants)
            before = _syncs(ingot, names)
            sent = send(ingot, INSERT, bodies, UPLOADERS, UPLOADS)
            _add(samples, "ingot, requests/s", sent.rate)
            _add(samples, "ingot, p50 ms", sent.percentile(0.5) * 1e3)
            _add(samples, "ingot, p99 ms", sent.percentile(0.99) * 1e3)
            _add(samples, "syncs an upload", (_syncs(ingot, names) - before) / UPLOADS)
        one = tenants == 1
        name = f"1-row JSON uploads, {UPLOADERS} connections, {tenants} tenant{'s' * (not one)}"
        ratio = max(samples["ingot, requests/s"]) / max(samples["fixed, requests/s"])
        syncs = min(samples["syncs an upload"])
        figures += [
            Figure(
                "3", f"{name}: against the bare handler", ratio, "x", "higher", 0.3 if one else None, samples
            ),
            Figure("3", f"{name}: fdatasync", syncs, "an upload", "lower", 0.25 if one else None),
        ]
        bench.say(f"uploads to {tenants} tenants done")
    return figures


def _searches(bench: Bench, stack: ExitStack, ingot: Contestant, vectors: Vectors) -> list[Figure]:
    """Row 7."""
    raw = Raw(vectors, bench.kept)
    bodies = _file(bench, "queries", query_bodies("graph", vectors.queries))
    size = send(ingot, SEARCH, bodies, 1, 100).answer_bytes
    ceiling = stack.enter_context(bare("fixed", "--answer-bytes", str(size)))
    send(ceiling, SEARCH, bodies, 1, 100)
    samples: Samples = {}
    for number in range(bench.rounds):
        _add(samples, "usearch, 2 threads, queries/s", raw.rate())
        before = ceiling.cpu_seconds()
        sent = send(ceiling, SEARCH, bodies, SEARCHERS, SEARCHES)
        _add(samples, "bare, 8 connections, requests/s", sent.rate)
        _add(samples, "w, us", (ceiling.cpu_seconds() - before) / SEARCHES * 1e6)
        _add(samples, "c, us", sent.cpu_seconds * 1e6)
        alone = send(ingot, SEARCH, bodies, 1, SEARCHES // 4)
        _add(samples, "ingot, 1 connection, p50 ms", alone.percentile(0.5) * 1e3)
        _add(
            samples,
            "bare, 1 connection, p50 ms",
            send(ceiling, SEARCH, bodies, 1, SEARCHES // 4).percentile(0.5) * 1e3,
        )
        before = ingot.cpu_seconds()
        together = send(ingot, SEARCH, bodies, SEARCHERS, SEARCHES)
        _add(samples, "ingot, 8 connections, queries/s", together.rate)
        _add(samples, "ingot, CPU us", (ingot.cpu_seconds() - before) / SEARCHES * 1e6)
        rate = OPEN_LOAD * max(samples["ingot, 8 connections, queries/s"])
        due = send(ingot, SEARCH, bodies, UPLOADERS, SEARCHES // 2, rate)
        _add(samples, "ingot, half load open loop, p50 ms", due.percentile(0.5) * 1e3)
        _add(samples, "ingot, half load open loop, p99 ms", due.percentile(0.99) * 1e3)
        bench.say(f"round {number + 1} of {bench.rounds} of searches done")
    best = {name: max(of) if name.endswith("/s") else min(of) for name, of in samples.items()}
    possible = 2 / (2 / best["usearch, 2 threads, queries/s"] + (best["w, us"] + best["c, us"]) / 1e6)
    name = "search over HTTP, 384-d JSON query, k = 10"
    return [
        Figure(
            "7",
            f"{name}: p50, 1 connection",
            best["ingot, 1 connection, p50 ms"],
            "ms",
            "lower",
            0.5,
            samples,
        ),
        Figure(
            "7",
            f"{name}: queries/s, {SEARCHERS} connections, against 2 / (2/s + w + c)",
            best["ingot, 8 connections, queries/s"] / possible,
            "x",
            "higher",
            0.75,
            note=f"2 / (2/s + w + c) = {possible:.0f}/s",
        ),
        Figure(
            "",
            f"{name}: p99, open loop at half load",
            best["ingot, half load open loop, p99 ms"],
            "ms",
            "lower",
        ),
    ]


def _batches(bench: Bench, ingot: Contestant, vectors: Vectors) -> list[Figure]:
    """Row 8."""
    figures = []
    for tenant, bound in (("flat", 3.0), ("graph", None)):
        singles = _file(bench, "singles", query_bodies(tenant, vectors.queries[: QUERIES * 4]))
        batches = _file(bench, "batches", batch_bodies(tenant, vectors.queries[: QUERIES * 4]))
        samples: Samples = {}
        for _ in range(bench.rounds):
            one_by_one = send(ingot, SEARCH, singles, 1, QUERIES * 8, warm_up=20)
            _add(samples, "one by one, queries/s", one_by_one.rate)
            _add(samples, "batch, queries/s", send(ingot, SEARCH, batches, 1, 16, warm_up=2).rate * QUERIES)
        figures.append(
            Figure(
                "8",
                f"batch of {QUERIES} queries over HTTP, {tenant}: against as many requests on one connection",
                max(samples["batch, queries/s"]) / max(samples["one by one, queries/s"]),
                "x",
                "higher",
                bound,
                samples,
            )
        )
    return figures


def _add(samples: Samples, name: str, value: float) -> None:
    samples.setdefault(name, []).append(value)


def _file(bench: Bench, name: str, lines: list[str]) -> Path:
    file = bench.folder / f"{name}.jsonl"
    file.write_text("\n".join(lines))
    return file


def fill(ingot: Contestant, tenant: str, rows: NDArray[np.float32]) -> None:
    """Uploads rows, and waits until they are indexed."""
    for first in range(0, len(rows), BATCH):
        ingot.upload(tenant, rows[first : first + BATCH])
    ingot.settle(tenant, len(rows))


def _syncs(ingot: Contestant, tenants: list[str]) -> int:
    return sum(int(ingot.monitor(tenant)["groups"]) for tenant in tenants)


def send(
    server: Contestant,
    path: str,
    bodies: Path,
    clients: int,
    requests: int,
    rate: float = 0.0,
    warm_up: int = 0,
) -> Load:
    """Sends bodies from a process of its own; `rate` 0 is a closed loop."""
    command = [sys.executable, "-m", "benches.prebuilt", f"127.0.0.1:{server.port}", path, str(bodies)]
    options = {"clients": clients, "requests": requests, "rate": rate, "warm-up": warm_up}
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    answer: dict[str, Any] = json.loads(done.stdout)
    sent = Load(**answer)
    if sent.errors:
        raise RuntimeError(f"{server.name}: {sent.errors}")
    return sent
