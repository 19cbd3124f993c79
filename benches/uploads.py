"""Uploads of 2000 x 384 over HTTP, as npy and as JSON: ours, the bare ceiling and the naive handler in turn."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benches.bench import Bench
from benches.ceiling import PATH
from benches.contestant import Contestant, bare, ours
from benches.figure import Figure
from benches.load import Load
from benches.vectors import load

BATCH = 2000
REQUESTS = 10
CLIENTS = (1, 4)
CONTENT_TYPES = {"npy": "application/x-npy", "json": "application/json"}


def npy(rows: NDArray[np.float32]) -> bytes:
    """A batch as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()


def text(rows: NDArray[np.float32]) -> bytes:
    """A batch as JSON, nine digits a number, as float32 needs to come back exactly."""
    lines = (",".join(f"{number:.9g}" for number in row) for row in rows.tolist())
    return f'{{"embeddings":[{",".join(f"[{line}]" for line in lines)}]}}'.encode()


def measure(bench: Bench) -> list[Figure]:
    """Every server, body and number of clients in turn, `bench.rounds` times over."""
    bodies = _write_bodies(load(REQUESTS * BATCH).rows, bench.folder)
    speeds: dict[tuple[str, int], dict[str, list[float]]] = {}
    with ours(bench.folder / "data") as ingot, bare("read") as ceiling, bare("naive") as naive:
        for number in range(bench.rounds):
            for body, files in bodies.items():
                for clients in CLIENTS:
                    tenant = f"bench-{body}-{clients}-{number}"
                    samples = speeds.setdefault((body, clients), {})
                    for server in (ceiling, ingot, naive):
                        sent = _send(server, tenant, body, files, clients)
                        if sent.errors:
                            raise RuntimeError(f"{server.name}: {sent.errors}")
                        samples.setdefault(f"{server.name}, rows/s", []).append(
                            sent.answered * BATCH / sent.seconds
                        )
                    ingot.settle(tenant, REQUESTS * BATCH)
            bench.say(f"round {number + 1} of {bench.rounds} done")
    return [
        Figure(
            row="",
            name=f"{body} upload {BATCH} x 384, {clients} clients: against {other}",
            value=max(samples["ingot, rows/s"]) / max(samples[f"{other}, rows/s"]),
            unit="x",
            better="higher",
            samples=samples,
        )
        for (body, clients), samples in speeds.items()
        for other in ("read", "naive")
    ]


def _write_bodies(rows: NDArray[np.float32], folder: Path) -> dict[str, list[Path]]:
    bodies: dict[str, list[Path]] = {"npy": [], "json": []}
    for first in range(0, len(rows), BATCH):
        batch = rows[first : first + BATCH]
        for body, encode in (("npy", npy), ("json", text)):
            file = folder / f"{first}.{body}"
            file.write_bytes(encode(batch))
            bodies[body].append(file)
    return bodies


def _send(server: Contestant, tenant: str, body: str, files: list[Path], clients: int) -> Load:
    command = [
        sys.executable,
        "-m",
        "benches.load",
        f"{server.url}{PATH}?tenant_id={tenant}",
        *map(str, files),
    ]
    command += ["--content-type", CONTENT_TYPES[body], "--clients", str(clients), "--requests", str(REQUESTS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    return Load(**json.loads(done.stdout))
