"""Uploads of 2000 rows: over HTTP against the bare ceiling and the naive handler, in process against the bare disk.

Besides their speed, what they cost others: the latency of `/healthz` beside them, and memory.
"""

import json
import subprocess
import sys
import time
from statistics import median, quantiles

import ingot
from benches import bodies
from benches.bench import Bench
from benches.bodies import BATCH, Bodies
from benches.ceiling import PATH
from benches.contestant import Contestant, bare, ours
from benches.disk import durable_writes
from benches.figure import Figure
from benches.load import Load, read
from benches.memory import Peak, anonymous

# Dimension, bodies of a round, bound.
NPY = ((384, 10, 0.7), (3024, 5, 0.8))
# Dimension, digits, bodies of a round.
JSON = ((384, 9, 10), (384, 17, 10), (1536, 9, 4), (1536, 17, 4))
CLIENTS = (1, 4)
TIMES_NAIVE = 6.0

INSERTS = 10
IN_PROCESS = 0.8

LARGE = 3024
UPLOADERS = 4
UPLOADS = 16
HEALTH_SECONDS = 0.005

TOGETHER = 8
TIMES_VECTORS = 1.3


def measure(bench: Bench) -> list[Figure]:
    """Everything in turn, `bench.rounds` times over (the large ones less often)."""
    with ours(bench.folder / "data") as ingot_server, bare("naive") as naive:
        figures = _times_naive(bench, ingot_server, naive)
        with bare("receive") as ceiling:
            figures += _against_bare(bench, ingot_server, ceiling)
            figures += _health(bench, ingot_server, ceiling)
    figures += _memory(bench)
    figures += _in_process(bench)
    return sorted(figures, key=lambda figure: int(figure.row or 99))


def _against_bare(bench: Bench, server: Contestant, ceiling: Contestant) -> list[Figure]:
    """One client's durable npy upload; what it cannot do without is to be read from the socket, and to be written."""
    figures = []
    for dimension, count, bound in NPY:
        sent = bodies.write(bench.folder / "npy", dimension, 0, count)
        samples: dict[str, list[float]] = {"read, s": [], "write, s": [], "ingot, s": []}
        for number in range(bench.rounds):
            tenant = f"npy-{dimension}-{number}"
            samples["read, s"].append(median(_send(ceiling, tenant, sent, 1, count).latencies))
            parts = [file.read_bytes() for file in sent.files]
            samples["write, s"].append(median(durable_writes(bench.folder, parts)))
            samples["ingot, s"].append(median(_send(server, tenant, sent, 1, count).latencies))
            server.settle(tenant, count * BATCH)
        best = {name: min(of) for name, of in samples.items()}
        figures.append(
            Figure(
                row="1",
                name=f"npy upload {BATCH} x {dimension}, 1 client: (bare read + durable write) / ours",
                value=(best["read, s"] + best["write, s"]) / best["ingot, s"],
                unit="x",
                better="higher",
                bound=bound,
                samples=samples,
            )
        )
    bench.say("npy uploads done")
    return figures


def _times_naive(bench: Bench, server: Contestant, naive: Contestant) -> list[Figure]:
    figures = []
    for dimension, digits, count in JSON:
        sent = bodies.write(bench.folder / "json", dimension, digits, count)
        samples: dict[int, dict[str, list[float]]] = {}
        for number in range(bench.rounds):
            for clients in CLIENTS:
                tenant = f"json-{dimension}-{digits}-{clients}-{number}"
                for contestant in (server, naive):
                    load = _send(contestant, tenant, sent, clients, count)
                    rates = samples.setdefault(clients, {}).setdefault(f"{contestant.name}, rows/s", [])
                    rates.append(load.answered * BATCH / load.seconds)
                server.settle(tenant, count * BATCH)
        figures += [
            Figure(
                row="2",
                name=f"{sent.name} upload {BATCH} x {dimension}, {clients} clients: times the naive handler",
                value=max(rates["ingot, rows/s"]) / max(rates["naive, rows/s"]),
                unit="x",
                better="higher",
                bound=TIMES_NAIVE,
                samples=rates,
            )
            for clients, rates in samples.items()
        ]
    bench.say("JSON uploads done")
    return figures


def _in_process(bench: Bench) -> list[Figure]:
    figures = []
    for dimension, bound in ((384, IN_PROCESS), (LARGE, None)):
        batch = bodies.rows(dimension, BATCH)
        samples: dict[str, list[float]] = {"write, s": [], "ingot, s": []}
        with ingot.open(bench.folder / f"in-process-{dimension}") as store:
            for number in range(bench.rounds):
                samples["write, s"].append(median(durable_writes(bench.folder, [batch.tobytes()] * INSERTS)))
                took = []
                for insert in range(INSERTS):
                    started = time.perf_counter()
                    store.insert(f"tenant-{number}", batch, file_id=f"{insert}")
                    took.append(time.perf_counter() - started)
                samples["ingot, s"].append(median(took))
                store.wait_indexed(f"tenant-{number}", timeout=60)
        figures.append(
            Figure(
                row="4" if bound else "",
                name=f"insert of {BATCH} x {dimension} in process: durable write / ours",
                value=min(samples["write, s"]) / min(samples["ingot, s"]),
                unit="x",
                better="higher",
                bound=bound,
                samples=samples,
            )
        )
    return figures


def _health(bench: Bench, server: Contestant, ceiling: Contestant) -> list[Figure]:
    sent = bodies.write(bench.folder / "large", LARGE, 9, 1)
    samples: dict[str, list[float]] = {"ingot, ms": [], "read, ms": []}
    for number in range(_fewer(bench)):
        tenant = f"health-{number}"
        samples["read, ms"].append(1000 * _probed(ceiling, tenant, sent))
        samples["ingot, ms"].append(1000 * _probed(server, tenant, sent))
        server.settle(tenant, UPLOADS * BATCH)
    bench.say("health beside uploads done")
    return [
        Figure(
            row="9",
            name=f"/healthz p99 while {UPLOADERS} clients upload {BATCH} x {LARGE} JSON",
            value=min(samples["ingot, ms"]),
            unit="ms",
            better="lower",
            bound=1000 * HEALTH_SECONDS,
            samples=samples,
        )
    ]


def _probed(server: Contestant, tenant: str, sent: Bodies) -> float:
    """The p99 of `/healthz` from the first upload to the last."""
    probe = subprocess.Popen(
        [sys.executable, "-m", "benches.probe", server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    command = _command(server, f"?tenant_id={tenant}", sent, UPLOADERS, UPLOADS)
    load = subprocess.Popen([*command, "--announce"], stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    assert probe.stdin is not None
    load.stdout.readline()
    probe.stdin.write("go\n")
    probe.stdin.flush()
    read(load.communicate(timeout=120)[0])
    latencies: list[float] = json.loads(probe.communicate(timeout=60)[0])
    return quantiles(latencies, n=100)[98]


def _memory(bench: Bench) -> list[Figure]:
    sent = bodies.write(bench.folder / "large", LARGE, 9, 1)
    vectors = TOGETHER * BATCH * LARGE * 4
    codes = TOGETHER * BATCH * LARGE
    samples: dict[str, list[float]] = {"idle, MB": [], "peak, MB": []}
    for number in range(_fewer(bench)):
        # A server of its own each time: what an allocator keeps of the last round is not this one's.
        with ours(bench.folder / f"memory-{number}") as server:
            idle = anonymous(server.process_id)
            with Peak(server.process_id) as peak:
                # A tenant each: none of them is large enough for a graph.
                command = _command(server, "?tenant_id=memory-{client}", sent, TOGETHER, TOGETHER)
                read(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)
            samples["idle, MB"].append(idle / 1e6)
            samples["peak, MB"].append((peak.bytes - codes) / 1e6)
    bench.say("memory done")
    more = min(samples["peak, MB"]) - min(samples["idle, MB"])
    return [
        Figure(
            row="11",
            name=f"peak anonymous memory of {TOGETHER} uploads of {BATCH} x {LARGE} JSON, less codes and idle server",
            value=more * 1e6 / vectors,
            unit="x",
            better="lower",
            bound=TIMES_VECTORS,
            samples=samples,
            note=f"of their {vectors / 1e6:.0f} MB as float32",
        )
    ]


def _fewer(bench: Bench) -> int:
    """Rounds of what takes long."""
    return max(1, bench.rounds * 3 // 5)


def _send(server: Contestant, tenant: str, sent: Bodies, clients: int, requests: int) -> Load:
    command = _command(server, f"?tenant_id={tenant}", sent, clients, requests)
    return read(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)


def _command(server: Contestant, query: str, sent: Bodies, clients: int, requests: int) -> list[str]:
    command = [sys.executable, "-m", "benches.load", f"{server.url}{PATH}{query}", *map(str, sent.files)]
    command += ["--content-type", sent.content_type, "--clients", str(clients), "--requests", str(requests)]
    return command
