"""A disk that fails a call: what is said, what can still be done, and what is there afterwards."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.faults.failing_calls import FailingCalls
from tests.faults.ledger import Ledger, folder_of, same, stored
from tests.faults.patience import until
from tests.http.client import Answer, Client
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
DIMENSION = 32


@pytest.fixture
def server(start: Start, calls: FailingCalls) -> ServerProcess:
    """A server with a little of two tenants in it, whose calls fail when told to."""
    return start(environment=calls.environment)


@pytest.fixture
def client(server: ServerProcess) -> Client:
    return Client(server.port)


@pytest.fixture
def ledger(client: Client) -> Ledger:
    ledger = Ledger(4)
    for tenant in ("t", "other"):
        for source in ("a", "b"):
            ledger.upload(client, tenant, source, ledger.rows(20, DIMENSION)).ok()
    return ledger


def log_of(tenant: str) -> str:
    return f"/tenants/{folder_of(tenant)}/log/"


def killed_and_restarted(server: ServerProcess, start: Start) -> Client:
    server.process.kill()
    server.exit_code()
    return Client(start(data=server.data).port)


def whole_or_absent(client: Client, source: str, rows: np.ndarray) -> bool:
    """Whether an upload of unknown outcome is there; never a part of it."""
    got = stored(client, "t", source)
    if got is not None:
        same(got, rows)
    return got is not None


def ready(client: Client) -> Answer:
    return client.request("GET", "/readyz")


@pytest.mark.parametrize("call", ["sync", "write", "torn"])
def test_a_failed_commit_is_of_unknown_outcome_and_the_next_upload_repairs(
    call: str, server: ServerProcess, client: Client, ledger: Ledger, calls: FailingCalls, start: Start
) -> None:
    calls.fail(f"{call} {log_of('t')}")
    unknown = ledger.rows(20, DIMENSION)
    client.insert_npy("t", unknown, file_id="unknown").refused(500, "OUTCOME_UNKNOWN", "send it again")
    # An overwrite that failed has replaced nothing.
    client.insert_npy("t", unknown, file_id="a").refused(503 if call == "sync" else 500, _again(call))
    assert stored(client, "t", "unknown") is None
    ledger.check(client)

    calls.heal()
    ledger.upload(client, "t", "c", ledger.rows(20, DIMENSION)).ok()
    assert stored(client, "t", "unknown") is None
    wait_until_ready(client)
    ledger.check(client)
    # Sending it again settles it.
    ledger.upload(client, "t", "unknown", unknown).ok()
    client = killed_and_restarted(server, start)
    ledger.check(client)
    ledger.upload(client, "t", "d", ledger.rows(20, DIMENSION)).ok()
    ledger.check(client)


def _again(call: str) -> str:
    """The code of an upload after one that failed: where the repair's sync fails too the tenant is read-only."""
    return "TENANT_READ_ONLY" if call == "sync" else "OUTCOME_UNKNOWN"


def test_an_upload_of_unknown_outcome_is_whole_or_absent_after_a_crash(
    server: ServerProcess, client: Client, ledger: Ledger, calls: FailingCalls, start: Start
) -> None:
    calls.fail(f"sync {log_of('t')}")
    unknown = ledger.rows(20, DIMENSION)
    client.insert_npy("t", unknown, file_id="unknown").refused(500, "OUTCOME_UNKNOWN")
    client = killed_and_restarted(server, start)
    ledger.check(client, beside=20)
    before = whole_or_absent(client, "unknown", unknown)
    ledger.upload(client, "t", "c", ledger.rows(20, DIMENSION)).ok()
    assert whole_or_absent(client, "unknown", unknown) == before
    ledger.check(client, beside=20)


def test_a_torn_upload_is_absent_after_a_crash(
    server: ServerProcess, client: Client, ledger: Ledger, calls: FailingCalls, start: Start
) -> None:
    calls.fail(f"torn {log_of('t')}")
    client.insert_npy("t", ledger.rows(20, DIMENSION), file_id="torn").refused(500, "OUTCOME_UNKNOWN")
    client = killed_and_restarted(server, start)
    assert stored(client, "t", "torn") is None
    ledger.upload(client, "t", "c", ledger.rows(20, DIMENSION)).ok()
    ledger.check(client)


def test_a_log_that_cannot_be_repaired_makes_its_tenant_read_only_and_no_other(
    server: ServerProcess, client: Client, ledger: Ledger, calls: FailingCalls, start: Start
) -> None:
    calls.fail(f"sync {log_of('t')}", f"truncate {log_of('t')}")
    unknown = ledger.rows(20, DIMENSION)
    client.insert_npy("t", unknown, file_id="unknown").refused(500, "OUTCOME_UNKNOWN")
    for _ in range(2):
        refused = client.insert_npy("t", unknown, file_id="unknown")
        detail = refused.refused(503, "TENANT_READ_ONLY")
        assert "/" not in detail["message"]
        client.delete("t", source_id="a").refused(503, "TENANT_READ_ONLY")
    ledger.check(client)
    ledger.upload(client, "other", "c", ledger.rows(20, DIMENSION)).ok()
    assert ready(client).ok() == {"status": "degraded", "refusing_tenants": 1}

    calls.heal()
    ledger.upload(client, "t", "c", ledger.rows(20, DIMENSION)).ok()
    wait_until_ready(client)
    calls.fail(f"sync {log_of('t')}", f"truncate {log_of('t')}")
    client.insert_npy("t", unknown, file_id="unknown").refused(500, "OUTCOME_UNKNOWN")
    client = killed_and_restarted(server, start)
    ledger.check(client, beside=20)
    whole_or_absent(client, "unknown", unknown)


def test_a_tenant_whose_log_cannot_be_begun_counts_as_refusing(
    server: ServerProcess, client: Client, ledger: Ledger, calls: FailingCalls, start: Start
) -> None:
    server.process.kill()
    server.exit_code()
    calls.fail(f"truncate {log_of('t')}")
    client = Client(start(data=server.data, environment=calls.environment).port)
    client.insert("t", ledger.rows(1, DIMENSION)).refused(503, "TENANT_READ_ONLY")
    ledger.check(client)
    assert ready(client).ok() == {"status": "degraded", "refusing_tenants": 1}
    calls.heal()
    ledger.upload(client, "t", "c", ledger.rows(20, DIMENSION)).ok()
    ledger.check(client)


@pytest.mark.parametrize("rule", ["sync /tmp/{}", "write /tmp/{}", "sync /data/tenants"])
def test_a_tenant_that_cannot_be_made_durably_is_not_made(
    rule: str, server: ServerProcess, client: Client, ledger: Ledger, calls: FailingCalls, start: Start
) -> None:
    calls.fail(rule.format(folder_of("new")))
    refused = client.insert("new", [[1.0, 2.0]])
    assert refused.status == 500
    refused.refused(500, refused.json["detail"]["error_code"])
    client.get("new").refused(404, "TENANT_NOT_FOUND")
    calls.heal()
    # Its dimension is not locked either.
    ledger.upload(client, "new", "a", ledger.rows(2, 3)).ok()
    ledger.check(killed_and_restarted(server, start))


def test_a_server_that_cannot_save_what_is_derived_stops_well(
    server: ServerProcess, client: Client, ledger: Ledger, calls: FailingCalls, start: Start
) -> None:
    calls.fail("allocate checkpoint", "write checkpoint")
    server.terminate()
    assert server.exit_code() == 0
    assert not any("Traceback" in line for line in server.lines), server.lines
    assert any("checkpoint" in line or "saving" in line for line in server.lines), server.lines
    ledger.check(Client(start(data=server.data).port))


def wait_until_ready(client: Client) -> None:
    """A probe is good for a second: only one that begins later says how it is now."""
    until(lambda: (answer := ready(client)).status == 200 and answer.json == {"status": "ok"})


# The whole directory refuses writes.


def test_a_directory_that_refuses_writes_is_not_ready(
    client: Client, ledger: Ledger, calls: FailingCalls
) -> None:
    calls.fail("sync /data/tmp/probe")
    detail = ready(client).refused(503, "STORAGE_FAILED")
    assert "/" not in detail["message"]
    client.request("GET", "/healthz").ok()
    ledger.check(client)
    calls.heal()
    wait_until_ready(client)
