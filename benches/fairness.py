"""The p99 of a quiet tenant's small searches and uploads: beside a tenant that sends all it can, and alone.

The bound is 3 x. `python -m benches fairness`. The flood's own processes run when nobody else wants the processor
(`SCHED_IDLE`): a tenant brings its own machine.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benches.bench import Bench
from benches.contestant import READY_WITHIN, Contestant, ours
from benches.figure import Figure
from benches.requests import INSERT, SEARCH, batch_bodies, fill, number_text, query_bodies, send
from benches.vectors import Vectors, load

QUIET_ROWS = 2_000
# Without a graph every search scans.
LOUD_ROWS = 9_900
ASKED = 10_000
# Connections of a flood: single searches, batches of 64, uploads of one row, uploads of 500.
FLOODS = {
    "one that sends all it can": {"singles": 16, "batches": 4, "rows": 16, "files": 2},
    "one searcher and one uploader": {"singles": 1, "files": 1},
}

BOUND = 3.0


def measure(bench: Bench) -> list[Figure]:
    """Rounds of alone and beside, in turn."""
    vectors = load(LOUD_ROWS)
    probes = {
        "search": (SEARCH, query_bodies("quiet", vectors.queries)),
        "upload": (INSERT, _rows("quiet", vectors)),
    }
    samples: dict[tuple[str, str], dict[str, list[float]]] = {
        (name, flood): {"alone, p99 ms": [], "beside, p99 ms": []} for flood in FLOODS for name in probes
    }
    files = {}
    for name, (_, lines) in probes.items():
        files[name] = bench.folder / f"quiet-{name}.jsonl"
        files[name].write_text("\n".join(lines))
    for number, (place, flood) in itertools.product(range(bench.rounds), enumerate(FLOODS)):
        # What a flood leaves to be done, in the index and on the disk, is no part of being alone.
        data = bench.folder / f"data-{number}-{place}"
        with ours(data) as ingot:
            fill(ingot, "quiet", vectors.rows[:QUIET_ROWS])
            fill(ingot, "loud", vectors.rows)
            for name, (path, _) in probes.items():
                samples[name, flood]["alone, p99 ms"].append(_p99(ingot, path, files[name]))
            with _flood(bench, ingot, vectors, FLOODS[flood]):
                for name, (path, _) in probes.items():
                    samples[name, flood]["beside, p99 ms"].append(_p99(ingot, path, files[name]))
        # A flood writes gigabytes. Where they stayed, later rounds were slower (`pages.py`).
        shutil.rmtree(data)
        os.sync()
        bench.say(f"round {number + 1} of {bench.rounds} done")
    return [
        Figure(
            "",
            f"{name} of a quiet tenant beside {flood}: p99 against alone",
            float(np.median(of["beside, p99 ms"]) / np.median(of["alone, p99 ms"])),
            "x",
            "lower",
            BOUND,
            of,
        )
        for (name, flood), of in samples.items()
    ]


def _p99(ingot: Contestant, path: str, bodies: Path) -> float:
    return send(ingot, path, bodies, 1, ASKED, warm_up=50).percentile(0.99) * 1e3


def _rows(tenant: str, vectors: Vectors) -> list[str]:
    return [
        f'{{"tenant_id":"{tenant}","file_id":"s","embeddings":[{number_text(row)}]}}'
        for row in vectors.rows[:500]
    ]


def _upload(tenant: str, rows: NDArray[np.float32]) -> str:
    return f'{{"tenant_id":"{tenant}","file_id":"many","embeddings":[{",".join(map(number_text, rows))}]}}'


def _answered(ingot: Contestant, path: str) -> float:
    """Requests of a path that were answered."""
    with urllib.request.urlopen(f"{ingot.url}/metrics", timeout=30) as response:
        text = response.read().decode()
    name = 'ingot_http_requests_total{method="POST",route="' + path
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def _until_at_work(ingot: Contestant) -> None:
    """Returns when the flood has been answered hundreds of times, of each kind."""
    begun = {path: _answered(ingot, path) for path in (SEARCH, INSERT)}
    deadline = time.monotonic() + READY_WITHIN
    while any(_answered(ingot, path) < count + 200 for path, count in begun.items()):
        if time.monotonic() > deadline:
            raise RuntimeError("the flood does not begin")
        time.sleep(0.05)


@contextmanager
def _flood(bench: Bench, ingot: Contestant, vectors: Vectors, connections: dict[str, int]) -> Iterator[None]:
    """Requests of the tenant `loud` until the end of the context."""
    kinds = {
        "singles": (SEARCH, query_bodies("loud", vectors.queries)),
        "batches": (SEARCH, batch_bodies("loud", vectors.queries)),
        "rows": (INSERT, _rows("loud", vectors)),
        "files": (INSERT, [_upload("loud", vectors.rows[:500])]),
    }
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, clients in connections.items():
            path, lines = kinds[name]
            file = bench.folder / f"loud-{name}.jsonl"
            file.write_text("\n".join(lines))
            command = [
                sys.executable,
                "-m",
                "benches.prebuilt",
                f"127.0.0.1:{ingot.port}",
                path,
                os.fspath(file),
            ]
            command += ["--clients", str(clients), "--requests", str(10**9)]
            running.append(subprocess.Popen(["chrt", "-i", "0", *command], stdout=subprocess.DEVNULL))
        _until_at_work(ingot)
        yield
        died = [process.args for process in running if process.poll() is not None]
        if died:
            raise RuntimeError(f"the flood ended early: {died}")
    finally:
        for process in running:
            process.send_signal(signal.SIGKILL)
            process.wait()
