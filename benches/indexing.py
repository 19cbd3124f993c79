"""How fast rows come into the graph, and what they take on disk and in memory."""

import contextlib
import http.client
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ingot
from benches import rust
from benches.bench import Bench
from benches.ceiling import PATH
from benches.contestant import Contestant, ours
from benches.figure import Figure
from benches.vectors import Vectors, load

ROWS = 45_000
BATCH = 2000
ROUNDS = 3
SEARCH = "/embeddings/search-raw-embeddings"
# Fewer than a graph needs, so that all that is written is the log.
LOG_ONLY = 8000


def measure(bench: Bench) -> list[Figure]:
    """Rate and recall, then bytes on disk and in memory."""
    data = load(ROWS)
    return [*_rate(bench, data), *_disk(bench, data.rows), *_memory(bench, data.rows)]


def _rate(bench: Bench, data: Vectors) -> list[Figure]:
    bodies = [npy(data.rows[first : first + BATCH]) for first in range(0, len(data.rows), BATCH)]
    truth = _nearest(data)
    (bench.folder / "rows").write_bytes(data.rows.tobytes())
    (bench.folder / "queries").write_bytes(data.queries.tobytes())
    (bench.folder / "truth").write_bytes(truth.astype("<u4").tobytes())
    columns = data.rows.shape[1]
    rates: dict[str, list[float]] = {
        "ingot, rows/s": [],
        "usearch, rows/s": [],
        "usearch in our order, rows/s": [],
    }
    recalls: dict[str, list[float]] = {"ingot": [], "usearch": [], "usearch in our order": []}
    files = [bench.folder / name for name in ("rows", "queries", "truth")]
    rust.run("raw_graph", "nothing")  # built before the clock starts
    for number in range(min(bench.rounds, ROUNDS)):
        with ours(bench.folder / f"data-{number}") as server:
            rates["ingot, rows/s"].append(len(data.rows) / upload_all(server, bodies, len(data.rows)))
            recalls["ingot"].append(_recall(server, data, truth))
        raw = json.loads(rust.run("raw_graph", "build", *files, columns))
        rates["usearch, rows/s"].append(len(data.rows) / raw["seconds"])
        recalls["usearch"].append(raw["recall"])
        rates["usearch in our order, rows/s"].append(len(data.rows) / raw["in_windows"]["seconds"])
        recalls["usearch in our order"].append(raw["in_windows"]["recall"])
        bench.say(
            f"round {number + 1}: {rates['ingot, rows/s'][-1]:.0f} of {rates['usearch, rows/s'][-1]:.0f}"
        )
    rate = max(rates["ingot, rows/s"]) / max(rates["usearch, rows/s"])
    # Worst of ours: a graph that came out worse once is one that somebody has.
    recall = min(recalls["ingot"])
    name = f"{len(data.rows)} x {columns}, first upload to all indexed"
    return [
        Figure("5", f"{name}: against usearch", rate, "x", "higher", 0.95, rates),
        Figure("5", "recall@10 at the default ef", recall, "", "higher", 0.995, recalls, data.name),
        Figure(
            "5", "recall@10 against usearch", recall / min(recalls["usearch"]), "x", "higher", 1.0, recalls
        ),
    ]


def upload_all(server: Contestant, bodies: list[bytes], rows: int) -> float:
    """Seconds from the first upload until all rows are indexed."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        started = time.perf_counter()
        for number, body in enumerate(bodies):
            path = f"{PATH}?tenant_id=bench&file_id={number * BATCH}"
            connection.request("POST", path, body, {"Content-Type": "application/x-npy"})
            answer = connection.getresponse()
            if answer.read() and answer.status != 200:
                raise RuntimeError(f"upload {number} was answered with {answer.status}")
        server.settle("bench", rows)
        return time.perf_counter() - started


def _recall(server: Contestant, data: Vectors, truth: NDArray[np.intp]) -> float:
    found = 0
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        for query, nearest in zip(data.queries, truth, strict=True):
            body = {"tenant_id": "bench", "query_embedding": query.tolist(), "limit": 10}
            connection.request("POST", SEARCH, json.dumps(body), {"Content-Type": "application/json"})
            hits = json.loads(connection.getresponse().read())
            rows = (hit["embedding"]["chunk_id"].split("_") for hit in hits)
            found += len({int(first) + int(index) for first, index in rows} & set(nearest.tolist()))
    return found / truth.size


def _nearest(data: Vectors) -> NDArray[np.intp]:
    """The ten nearest rows of each query, by scalar product of unit vectors."""
    products = data.queries @ data.rows.T
    return np.argpartition(-products, 10, axis=1)[:, :10]


def _disk(bench: Bench, rows: NDArray[np.float32]) -> list[Figure]:
    vector_bytes = rows.itemsize * rows.shape[1]
    directory = bench.folder / "disk"
    with ingot.open(directory) as store:

        def insert(start: int, end: int) -> None:
            for first in range(start, end, BATCH):
                store.insert("bench", rows[first : min(first + BATCH, end)], file_id=f"upload-{first}")

        insert(0, 1)
        before = _written()
        insert(1, LOG_ONLY)
        written = (_written() - before) / (LOG_ONLY - 1)
        insert(LOG_ONLY, len(rows))
        assert store.wait_indexed("bench", timeout=120)
    log = sum(_blocks(path) for path in directory.glob("tenants/*/log/*"))
    everything = sum(_blocks(path) for path in directory.rglob("*"))
    figures = {
        ("blocks on disk, log only", 1.03): log / len(rows),
        ("blocks on disk, with codes and graph", 1.5): everything / len(rows),
        ("bytes written to the log", 1.02): written,
    }
    return [
        Figure("12", f"{name}: against the vectors", per_row / vector_bytes, "x", "lower", bound)
        for (name, bound), per_row in figures.items()
    ]


def _blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def _written() -> int:
    """Bytes that this process has caused to be written to disk."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/io has no write_bytes")


def _memory(bench: Bench, rows: NDArray[np.float32]) -> list[Figure]:
    np.save(bench.folder / "rows.npy", rows)
    command = [sys.executable, "-m", "benches.resident"]
    command += [str(bench.folder / name) for name in ("memory", "rows.npy")]
    taken = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=180).stdout)
    per_row = {"cosine": (taken["saved"] - taken["empty"]) / len(rows)}
    bench.say(
        f"before the graph was saved: {(taken['indexed'] - taken['empty']) / len(rows):.0f} bytes a row"
    )
    # For all metrics alike: codes and graph by themselves.
    for metric in ("cosine", "ip", "l2"):
        parts = json.loads(rust.run("raw_graph", "memory", bench.folder / "rows", rows.shape[1], metric))
        bench.say(f"{metric}, bytes a row: {parts['codes']:.0f} codes, {parts['graph']:.0f} graph")
        per_row.setdefault(metric, parts["codes"] + parts["graph"])
    return [
        Figure(
            row="13",
            name=f"memory of an indexed row, {metric}",
            value=value,
            unit="bytes",
            better="lower",
            bound=700 if metric == "cosine" else 1100,
            note="the store in process" if metric == "cosine" else "codes and graph in process",
        )
        for metric, value in per_row.items()
    ]


def npy(rows: NDArray[np.float32]) -> bytes:
    """A batch as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()
