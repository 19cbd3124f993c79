"""What a server holds: read from the system and from `/metrics`, as an operator would."""

from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.http.client import Client
from tests.http.server import ServerProcess

Labels = tuple[tuple[str, str], ...]


def samples(client: Client) -> dict[tuple[str, Labels], float]:
    """Every sample of `/metrics` by its name and its labels, in alphabetical order."""
    answer = client.request("GET", "/metrics")
    assert answer.status == 200, answer
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def sample(client: Client, name: str, **labels: str) -> float:
    """One of them; 0 if nothing was counted yet."""
    return samples(client).get((name, tuple(sorted(labels.items()))), 0.0)


def resident(server: ServerProcess) -> int:
    """Bytes of memory of its own that the server has."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no RssAnon")


@dataclass(frozen=True)
class Footprint:
    """Connections, descriptors, tasks, and bytes of bodies; without those of the request that asks."""

    connections: int
    descriptors: int
    tasks: int
    bodies: int


def footprint(client: Client) -> Footprint:
    """What the server holds now."""
    found = samples(client)
    names = (
        "ingot_connections",
        "process_open_fds",
        "ingot_asyncio_tasks",
        "ingot_body_bytes_in_flight",
    )
    connections, descriptors, tasks, bodies = (int(found[name, ()]) for name in names)
    # Each connection has a task and a descriptor, a request one task more.
    return Footprint(connections - 1, descriptors - 1, tasks - 2, bodies)
