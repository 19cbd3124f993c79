"""`python -m benches.accounting`: where the processors' time goes while rows come in, by thread.

The rows of a table are the threads of the server, by name, and the load generator; a number is CPU milliseconds of an
upload (of 1000 rows, where everything is indexed). *Busy* is their sum against what all cores had in that time: near
100 % nothing could have been faster without less work. The bare handler's line is what receiving alone takes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from benches import bodies, indexing, results
from benches.bodies import BATCH, Bodies
from benches.ceiling import PATH
from benches.contestant import Contestant, bare, ours
from benches.load import Load, read
from benches.vectors import load

# Dimension, digits (0: npy), clients, requests.
UPLOADS = (
    (384, 0, 1, 60),
    (3024, 0, 1, 20),
    (384, 9, 1, 60),
    (384, 9, 4, 60),
    (1536, 9, 1, 30),
    (1536, 17, 1, 30),
    (1536, 17, 4, 30),
)
ROWS = 45_000
_TICK = os.sysconf("SC_CLK_TCK")
_CORES = os.cpu_count() or 1

Seconds = dict[str, float]


def by_thread(process_id: int) -> Seconds:
    """CPU seconds, user and system, of a process by the names of its threads."""
    found: Seconds = defaultdict(float)
    for task in Path(f"/proc/{process_id}/task").iterdir():
        head, _, rest = (task / "stat").read_text().rpartition(")")
        fields = rest.split()
        found[head.partition("(")[2]] += (int(fields[11]) + int(fields[12])) / _TICK
    return found


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> Seconds:
    """What came between two looks at a process."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}


def line(what: str, wall: float, cpu: Seconds, pieces: float) -> str:
    """One line of the table: milliseconds a piece."""
    busy = sum(cpu.values()) / (wall * _CORES)
    shares = ", ".join(
        f"{name} {1000 * seconds / pieces:.2f}"
        for name, seconds in sorted(cpu.items(), key=lambda pair: -pair[1])
        if seconds > 0
    )
    return f"{what}: {1000 * wall / pieces:.2f} ms, busy {busy:.0%}: {shares}"


def uploads(
    server: Contestant, sent: Bodies, clients: int, requests: int, tenant: str
) -> tuple[float, Seconds]:
    """Wall seconds of the uploads, and CPU seconds by thread."""
    command = [sys.executable, "-m", "benches.load", f"{server.url}{PATH}?tenant_id={tenant}"]
    command += [*map(str, sent.files), "--content-type", sent.content_type]
    command += ["--clients", str(clients), "--requests", str(requests)]
    before = by_thread(server.process_id)
    told: Load = read(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300).stdout)
    cpu = spent(before, by_thread(server.process_id))
    return told.seconds, {**cpu, "load": told.cpu_seconds}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benches.accounting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    results.FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=results.FOLDER) as name:
        folder = Path(name)
        for dimension, digits, clients, requests in UPLOADS:
            sent = bodies.write(folder / f"bodies-{dimension}-{digits}", dimension, digits, 4)
            what = f"{sent.name} {BATCH} x {dimension}, {clients} clients"
            for number in range(options.rounds):
                with ours(folder / f"{dimension}-{digits}-{clients}-{number}") as server:
                    print(line(what, *uploads(server, sent, clients, requests, "t"), requests), flush=True)
                with bare("receive") as ceiling:
                    told = uploads(ceiling, sent, clients, requests, "t")
                    print(line(f"  bare, {what}", *told, requests), flush=True)
        rows = load(ROWS).rows
        parts = [indexing.npy(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH)]
        for number in range(options.rounds):
            with ours(folder / f"index-{number}") as server:
                before, started = by_thread(server.process_id), time.process_time()
                wall = indexing.upload_all(server, parts, len(rows))
                cpu = spent(before, by_thread(server.process_id))
                cpu["load"] = time.process_time() - started
            print(
                line(f"{len(rows)} rows until all are indexed, per 1000", wall, cpu, len(rows) / 1000),
                flush=True,
            )


if __name__ == "__main__":
    main()
