"""Uploads of 2000 x 384 over HTTP, as npy and as JSON: ours, the bare ceiling and the naive handler in turn."""

import io
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benches.ceiling import PATH
from benches.contestant import Contestant, bare, ours
from benches.load import Load
from benches.vectors import Vectors

BATCH = 2000
ROUNDS = 5
REQUESTS = 10
CLIENTS = (1, 4)
CONTENT_TYPES = {"npy": "application/x-npy", "json": "application/json"}


@dataclass(frozen=True)
class Uploads:
    """Rows acknowledged a second by one server for one kind of body, best and median of the rounds."""

    server: str
    body: str
    clients: int
    megabytes: float
    best: float
    median: float
    errors: dict[str, int]


def npy(rows: NDArray[np.float32]) -> bytes:
    """A batch as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()


def text(rows: NDArray[np.float32]) -> bytes:
    """A batch as JSON, nine digits a number, as float32 needs to come back exactly."""
    lines = (",".join(f"{number:.9g}" for number in row) for row in rows.tolist())
    return f'{{"embeddings":[{",".join(f"[{line}]" for line in lines)}]}}'.encode()


def measure(vectors: Vectors, folder: Path) -> list[Uploads]:
    """Every server, body and number of clients in turn, `ROUNDS` times over."""
    bodies = _write_bodies(vectors.rows, folder)
    loads: dict[tuple[str, str, int], list[Load]] = {}
    with ours(folder / "data") as ingot, bare("read") as ceiling, bare("naive") as naive:
        for number in range(ROUNDS):
            for body, files in bodies.items():
                for clients in CLIENTS:
                    tenant = f"bench-{body}-{clients}-{number}"
                    for server in (ceiling, ingot, naive):
                        load = _send(server, tenant, body, files, clients)
                        loads.setdefault((server.name, body, clients), []).append(load)
                    ingot.settle(tenant, loads[ingot.name, body, clients][-1].answered * BATCH)
            print(f"  round {number + 1} of {ROUNDS} done", flush=True)
    megabytes = {
        body: sum(file.stat().st_size for file in files) / len(files) / 1e6 for body, files in bodies.items()
    }
    return [_summary(*which, megabytes[which[1]], runs) for which, runs in loads.items()]


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


def _summary(server: str, body: str, clients: int, megabytes: float, runs: list[Load]) -> Uploads:
    speeds = [run.answered * BATCH / run.seconds for run in runs]
    errors: dict[str, int] = {}
    for run in runs:
        for trouble, times in run.errors.items():
            errors[trouble] = errors.get(trouble, 0) + times
    return Uploads(
        server, body, clients, round(megabytes, 1), round(max(speeds)), round(median(speeds)), errors
    )


def table(results: list[Uploads]) -> list[str]:
    """The results as lines to read; the ratios are ours over each of the others, best over best, then medians."""
    by = {(one.server, one.body, one.clients): one for one in results}
    lines = [
        f"body  clients  MB each |  {'rows/s, best (median)':<67} |  ingot against",
        f"                       |  {'ingot':<21}  {'read only':<21}  {'naive':<21} |  {'read only':<11}  naive",
    ]
    for body in CONTENT_TYPES:
        for clients in CLIENTS:
            mine, read, naive = (by[name, body, clients] for name in ("ingot", "read", "naive"))
            cells = "".join(f"  {f'{one.best:,} ({one.median:,})':<21}" for one in (mine, read, naive))
            ratios = "".join(
                f"  {f'{mine.best / other.best:.2f} ({mine.median / other.median:.2f})':<11}"
                for other in (read, naive)
            )
            lines.append(f"{body:<5} {clients:>7}  {mine.megabytes:>7} |{cells} |{ratios}".rstrip())
    lines += [
        f"errors of {one.server}, {one.body}, {one.clients} clients: {one.errors}"
        for one in results
        if one.errors
    ]
    return lines


def rows(results: list[Uploads]) -> list[dict[str, object]]:
    """The results for the file."""
    return [asdict(one) for one in results]
