"""What must not grow with the corpus: uploads, starts, and the memory of tenants that nobody asks for.

The directories are built once, without syncs, and kept in `.bench/kept`: a million rows of 384 numbers and their graph
take about five minutes, a million uploads of one row two, 100,000 tenants one.
"""

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches import rust
from benches.bench import Bench
from benches.ceiling import PATH
from benches.figure import Figure
from benches.indexing import BATCH, SEARCH, npy
from benches.resident import anonymous
from benches.vectors import clustered

ROUNDS = 3
SMALL = 10_000
INDEXED_WITHIN = 120.0
UPLOADS = 15
TENANTS = 100_000
COLD_TENANTS = 40
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
# A directory of another format is not what this code writes: graphs might be made again while something is measured.
FORMAT = hashlib.sha256((rust.ROOT / "docs/format.md").read_bytes()).hexdigest()[:8]


def measure(bench: Bench) -> list[Figure]:
    """Uploads into a large tenant, starts with one, and with very many small ones."""
    large = _kept(bench, "rows", 1_000_000, 384, 2000)
    single = _kept(bench, "rows", 1_000_000, 128, 1)
    tenants = _kept(bench, "tenants", TENANTS, 10, 128)
    figures = _tenants(bench, tenants)
    figures += _restart(bench, large, "500 uploads of 2000 x 384")
    figures += _restart(bench, single, "1,000,000 uploads of 1 x 128")
    return [*figures, *_uploads(bench, large)]


# What is measured


def _uploads(bench: Bench, kept: "Kept") -> list[Figure]:
    """Row 14. Nothing else is indexed while an upload is timed."""
    rows = clustered(SMALL + UPLOADS * BATCH, 384).rows
    directory = kept.copy(bench.folder / "uploads")
    milliseconds: dict[str, list[float]] = {"10,000 rows, ms": [], "1,000,000 rows, ms": []}
    single: dict[str, list[float]] = {"10,000 rows, ms": [], "1,000,000 rows, ms": []}
    with _Server(directory) as server, _connection(server.port) as connection:
        boot = anonymous(server.process.pid)
        _search(connection, "bench", kept.queries[0])
        _settle(connection, "bench", 1_000_000)
        resident = (anonymous(server.process.pid) - boot) / 1_000_000
        counts = {"small": 0, "bench": 1_000_000}

        def upload(tenant: str, numbers: NDArray[np.float32]) -> float:
            body = npy(numbers)
            started = time.perf_counter()
            _request(connection, "POST", f"{PATH}?tenant_id={tenant}", body, "application/x-npy")
            taken = 1000 * (time.perf_counter() - started)
            counts[tenant] += len(numbers)
            return taken

        for first in range(0, SMALL, BATCH):
            upload("small", rows[first : first + BATCH])
        _settle(connection, "small", SMALL)
        for number in range(UPLOADS):
            batch = rows[SMALL + number * BATCH :][:BATCH]
            for tenant, name in (("small", "10,000 rows, ms"), ("bench", "1,000,000 rows, ms")):
                milliseconds[name].append(upload(tenant, batch))
                _settle(connection, tenant, counts[tenant])
                for row in range(10):
                    single[name].append(upload(tenant, batch[row : row + 1]))
                _settle(connection, tenant, counts[tenant])
    return [
        _against(
            "14", "upload p50 of 2000 x 384 with 1,000,000 rows: against 10,000", milliseconds, bound=1.15
        ),
        _against("14", "upload p50 of 1 x 384 with 1,000,000 rows: against 10,000", single, bound=1.15),
        Figure("13", "memory of an indexed row, cosine, 1,000,000 rows", resident, "bytes", "lower", 700),
    ]


def _restart(bench: Bench, kept: "Kept", name: str) -> list[Figure]:
    """Row 15: how much later than on an empty directory a server is ready and has answered its first search."""
    directory = kept.copy(bench.folder / "restart")
    empty = bench.folder / "empty"
    figures = []
    for cache, prepare in (("warm", kept.warm), ("dropped", kept.drop)):
        ready: dict[str, list[float]] = {"empty, s": [], "full, s": []}
        search: dict[str, list[float]] = {"empty, s": [], "full, s": []}
        for _ in range(min(bench.rounds, ROUNDS)):
            for which, data in (("empty, s", empty), ("full, s", directory)):
                prepare(directory)
                start = _start(data, kept, correct=data == directory)
                ready[which].append(start.ready)
                search[which].append(start.search)
        figures += [
            _later("15", f"restart, {name}, cache {cache}: ready", ready, 0.1),
            _later("15", f"restart, {name}, cache {cache}: first search", search, 1.0),
        ]
    _interrupt(directory, kept.queries.shape[1])
    kept.warm(directory)
    start = _start(directory, kept, correct=True)
    figures.append(
        Figure("", f"restart, {name}, after kill -9: first search", start.search, "s", "lower", None)
    )
    shutil.rmtree(directory)
    return figures


def _tenants(bench: Bench, kept: "Kept") -> list[Figure]:
    """Row 17. A tenant that is asked for the first time is opened for it."""
    ready: dict[str, list[float]] = {"empty, s": [], "full, s": []}
    memory: dict[str, list[float]] = {"empty, MB": [], "full, MB": []}
    first: dict[str, list[float]] = {"cold, ms": []}
    number = 0
    for _ in range(min(bench.rounds, ROUNDS)):
        for which, data in (("empty", bench.folder / "empty"), ("full", kept.directory)):
            with _Server(data) as server:
                ready[f"{which}, s"].append(server.ready)
                memory[f"{which}, MB"].append(anonymous(server.process.pid) / 1e6)
                if which == "full":
                    with _connection(server.port) as connection:
                        for _ in range(COLD_TENANTS):
                            number += 997
                            started = time.perf_counter()
                            _search(connection, f"tenant-{number % TENANTS}", kept.queries[0])
                            first["cold, ms"].append(1000 * (time.perf_counter() - started))
    name = f"{TENANTS:,} tenants"
    longest = max(first["cold, ms"])
    return [
        _later("17", f"{name}: ready", ready, 0.1),
        _later("17", f"{name}: anonymous memory at boot", memory, 20.0, "MB"),
        Figure(
            "17", f"{name}: first search of a cold one, p50", median(first["cold, ms"]), "ms", "lower", 10.0,
            first, f"longest {longest:.1f} ms",
        ),
    ]  # fmt: skip


def _against(row: str, name: str, samples: dict[str, list[float]], bound: float) -> Figure:
    small, large = (median(of) for of in samples.values())
    return Figure(row, name, large / small, "x", "lower", bound, samples)


def _later(row: str, name: str, samples: dict[str, list[float]], bound: float, unit: str = "s") -> Figure:
    empty, full = (min(of) for of in samples.values())
    return Figure(row, f"{name}, more than empty", full - empty, unit, "lower", bound, samples)


# Servers that are timed from their start


@dataclass
class Start:
    """Seconds until a server was ready, and of its first search."""

    ready: float
    search: float


class _Server:
    """`ingot serve`, asked every millisecond whether it is ready; killed at the end, so that it writes nothing."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __enter__(self) -> "_Server":
        started = time.perf_counter()
        command = [sys.executable, "-m", "ingot", "serve", "--data", str(self.data), "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = next(line for line in self.process.stderr if "listening on" in line)
        self.port = int(line.partition("http://127.0.0.1:")[2].partition(",")[0])
        with _connection(self.port) as connection:
            while True:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    break
                time.sleep(0.001)
        self.ready = time.perf_counter() - started
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(timeout=60)
        assert self.process.stderr is not None
        self.process.stderr.close()


def _start(directory: Path, kept: "Kept", correct: bool) -> Start:
    with _Server(directory) as server, _connection(server.port) as connection:
        query = kept.queries[0]
        started = time.perf_counter()
        hits = _search(connection, "bench", query, missing=not correct)
        taken = time.perf_counter() - started
        if correct:
            exact = _search(connection, "bench", query, exact=True)
            found = {hit["embedding"]["chunk_id"] for hit in hits} & {
                hit["embedding"]["chunk_id"] for hit in exact
            }
            if hits[0]["embedding"]["chunk_id"] != exact[0]["embedding"]["chunk_id"] or len(found) < 9:
                raise RuntimeError(f"the first search found {len(found)} of the ten nearest")
    return Start(server.ready, taken)


def _interrupt(directory: Path, columns: int) -> None:
    """Leaves the directory as a server does that is killed while it is written to."""
    rows = clustered(5 * BATCH, columns).rows
    with _Server(directory) as server, _connection(server.port) as connection:
        for first in range(0, len(rows), BATCH):
            body = npy(rows[first : first + BATCH])
            _request(connection, "POST", f"{PATH}?tenant_id=bench", body, "application/x-npy")


def _settle(connection: http.client.HTTPConnection, tenant: str, rows: int) -> None:
    """Returns when all `rows` are in the tenant's graph."""
    deadline = time.monotonic() + INDEXED_WITHIN
    while time.monotonic() < deadline:
        counts = _request(connection, "GET", f"/tenants/monitor?tenant_id={tenant}", b"", "text/plain")
        if counts["indexed_rows"] >= rows:
            return
        time.sleep(0.02)
    raise RuntimeError(f"{tenant} was not indexed within {INDEXED_WITHIN:.0f} s: {counts}")


@contextlib.contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        yield connection


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes,
    kind: str,
    missing: bool = False,
) -> Any:
    connection.request(method, path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != (404 if missing else 200):
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text)


def _search(
    connection: http.client.HTTPConnection,
    tenant: str,
    query: NDArray[np.float32],
    exact: bool = False,
    missing: bool = False,
) -> Any:
    fields = {"tenant_id": tenant, "query_embedding": query.tolist(), "limit": 10, "exact": exact}
    body = json.dumps(fields).encode()
    return _request(connection, "POST", SEARCH, body, "application/json", missing)


# Directories that are built once


@dataclass(frozen=True)
class Kept:
    """A directory, and queries that lie near some of its rows."""

    directory: Path
    queries: NDArray[np.float32]
    how: set[str] = field(default_factory=set)

    def copy(self, to: Path) -> Path:
        """A directory that may be written to. What a store never writes to again is linked."""
        for folder, _, names in os.walk(self.directory):
            inside = to / Path(folder).relative_to(self.directory)
            inside.mkdir(parents=True)
            names.sort()
            for name in names:
                written_to = name == "LOCK" or (name.endswith(".log") and name == names[-1])
                (shutil.copyfile if written_to else os.link)(Path(folder) / name, inside / name)
        os.sync()
        return to

    def warm(self, directory: Path) -> None:
        """Everything is read once."""
        for path in directory.rglob("*"):
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    while file.read(1 << 24):
                        pass

    def drop(self, directory: Path) -> None:
        """Nothing of the directory is in the page cache: of no file at all when we may, else of its files."""
        os.sync()
        try:
            DROP_CACHES.write_text("1\n")
        except OSError:
            for path in directory.rglob("*"):
                if path.is_file():
                    with path.open("rb") as file:
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _kept(bench: Bench, kind: str, count: int, *sizes: int) -> Kept:
    name = "-".join([kind, *map(str, (count, *sizes)), FORMAT])
    directory = bench.kept / name
    queries = bench.kept / f"{name}.queries"
    if not directory.exists():
        unfinished = bench.kept / f"{name}.new"
        started = time.perf_counter()
        bench.say(f"building {directory} (once; minutes)")
        rust.run("directories", kind, unfinished, count, *sizes)
        os.sync()
        (bench.kept / f"{name}.new.queries").rename(queries)
        unfinished.rename(directory)
        bench.say(f"built in {time.perf_counter() - started:.0f} s")
    columns = sizes[0] if kind == "rows" else sizes[1]
    return Kept(directory, np.fromfile(queries, np.float32).reshape(-1, columns))
