"""Far more tenants than may be open: each answers correctly, and what they cost stays bounded."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ingot import _native
from tests.faults.ledger import same, stored
from tests.http.client import Client
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
TENANTS = 300
OPEN = 8
WORKERS = 6
DIMENSION = 8


def vector(tenant: int, version: int) -> np.ndarray:
    """The one vector that `tenant` has after `version` uploads; no two are alike."""
    return np.random.default_rng([tenant, version]).standard_normal((1, DIMENSION), dtype=np.float32)


def descriptors(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def mapped_logs(server: ServerProcess) -> int:
    return Path(f"/proc/{server.process.pid}/maps").read_text().count(".log\n")


def test_tenants_are_opened_and_closed_in_turn_under_load(start: Start) -> None:
    server = start("--max-open-tenants", str(OPEN))
    idle = descriptors(server)
    versions = [0] * TENANTS
    most = 0

    def work(worker: int) -> None:
        """Each tenant has one writer, so that it is known what must be there; all read all."""
        nonlocal most
        client = Client(server.port)
        order = np.random.default_rng([12, worker]).permutation(TENANTS)
        for version in (1, 2):
            for tenant in map(int, order):
                name = f"tenant {tenant}"
                if tenant % WORKERS == worker:
                    answer = client.insert_npy(name, vector(tenant, version), file_id="s").ok()
                    assert answer["overwritten"] == version - 1
                    versions[tenant] = version
                    same(stored(client, name, "s"), vector(tenant, version))
                elif (before := versions[tenant]) and tenant % 3 == 0:
                    found = client.search(name, vector(tenant, before)[0], output_fields=["embedding"]).ok()
                    seen = np.array([hit["embedding"]["embedding"] for hit in found], np.float32)
                    after = range(before, versions[tenant] + 2)
                    assert any(np.array_equal(seen, vector(tenant, version)) for version in after)
            most = max(most, descriptors(server))

    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work, worker) for worker in range(WORKERS)]:
            done.result()
    # A connection and a tenant on its way a worker, and a few files that are opened for a moment.
    assert most <= idle + OPEN + 5 * WORKERS
    client = Client(server.port)
    for tenant in range(TENANTS):
        same(stored(client, f"tenant {tenant}", "s"), vector(tenant, 2))
    assert descriptors(server) <= idle + OPEN + 2
    assert mapped_logs(server) <= OPEN
    server.process.kill()
    server.exit_code()
    client = Client(start("--max-open-tenants", str(OPEN), data=server.data).port)
    for tenant in range(TENANTS):
        same(stored(client, f"tenant {tenant}", "s"), vector(tenant, 2))


def test_names_of_tenants_that_do_not_exist_cost_nothing(start: Start) -> None:
    server = start("--max-open-tenants", str(OPEN))
    client = Client(server.port)
    client.insert_npy("t", vector(0, 1), file_id="s").ok()
    before = descriptors(server)
    for number in range(2 * TENANTS):
        client.get(f"none {number}").refused(404, "TENANT_NOT_FOUND")
    assert descriptors(server) <= before + 1
    same(stored(client, "t", "s"), vector(0, 1))


def test_open_tenants_stay_bounded_and_what_was_found_outlives_its_tenant(tmp_path: Path) -> None:
    store = _native.Store(str(tmp_path / "data"), options={"max_open_tenants": OPEN})
    store.insert("held", vector(0, 1), file_id="s")
    hits, _ = store.get("held", with_embeddings=True)
    for tenant in range(10 * OPEN):
        store.insert(f"tenant {tenant}", vector(tenant, 1), file_id="s")
    opened = Path("/proc/self/maps").read_text().count(f"{tmp_path}/data/tenants/")
    assert opened <= OPEN
    assert hits.embeddings is not None
    same(hits.embeddings, vector(0, 1))
    store.close()


def test_the_bound_follows_the_limit_of_descriptors(start: Start) -> None:
    server = start(descriptors=("", 128))
    client = Client(server.port)
    for tenant in range(150):
        client.insert_npy(f"tenant {tenant}", vector(tenant, 1), file_id="s").ok()
    assert 16 <= mapped_logs(server) <= 128 // 4
