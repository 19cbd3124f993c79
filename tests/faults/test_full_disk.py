"""A disk that is full refuses uploads, each whole, and nothing else; with space they go on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, folder_of, stored
from tests.faults.small_disk import SmallDisk
from tests.http.client import STATS, Client
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
DIMENSION = 64


def fill_with_uploads(client: Client, ledger: Ledger, rows: int, prefix: str) -> int:
    """Uploads until one is refused; how many were not."""
    for number in range(10_000):
        answer = ledger.upload(client, "t", f"{prefix}{number}", ledger.rows(rows, DIMENSION))
        if answer.status != 200:
            detail = answer.refused(507, "DISK_FULL", "nothing was stored")
            assert "/" not in detail["message"]
            assert stored(client, "t", f"{prefix}{number}") is None
            return number
    raise AssertionError("the disk never became full")


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_refuses_uploads_whole_and_nothing_else(
    kind: str, small_disk: Callable[..., SmallDisk], start: Start
) -> None:
    disk = small_disk(kind, 32)
    data = disk.path / "data"
    server = start(data=data)
    client, ledger = Client(server.port), Ledger(1)
    ledger.upload(client, "t", "first", ledger.rows(10, DIMENSION)).ok()
    disk.fill(leave=6 << 20)
    assert fill_with_uploads(client, ledger, 2000, "large") >= 2
    # What is smaller still fits, to the last row.
    fill_with_uploads(client, ledger, 100, "small")
    fill_with_uploads(client, ledger, 1, "row")

    # A tenant that cannot be made does not exist, in memory or on the disk.
    client.insert("new", [[1.0, 2.0]]).refused(507, "DISK_FULL")
    client.get("new").refused(404, "TENANT_NOT_FOUND")
    assert not (data / "tenants" / folder_of("new")).exists()
    assert not (data / "tmp" / folder_of("new")).exists()

    # An overwrite that does not fit leaves what it would have replaced.
    client.insert_npy("t", ledger.rows(2000, DIMENSION), file_id="first").refused(507, "DISK_FULL")
    ledger.check(client)

    # Deletes are small; where nothing at all is left they are refused as cleanly.
    deleted = client.delete("t", source_id="small0")
    if deleted.status == 200:
        assert deleted.ok()["delete_count"] == 100
        ledger.forget("t", "small0")
        assert stored(client, "t", "small0") is None
    else:
        deleted.refused(507, "DISK_FULL")
    ledger.check(client)

    disk.empty()
    for number in range(3):
        ledger.upload(client, "t", f"again{number}", ledger.rows(500, DIMENSION)).ok()
    ledger.upload(client, "new", "a", ledger.rows(2, 2)).ok()
    client.request("GET", "/readyz").ok()
    ledger.check(client)

    server.process.kill()
    server.exit_code()
    ledger.check(Client(start(data=data).port))


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_delete_goes_on_where_no_upload_fits(
    kind: str, small_disk: Callable[..., SmallDisk], start: Start
) -> None:
    disk = small_disk(kind, 32)
    server = start(data=disk.path / "data")
    client, ledger = Client(server.port), Ledger(2)
    for number in range(4):
        ledger.upload(client, "t", f"s{number}", ledger.rows(2000, DIMENSION)).ok()
    disk.fill(leave=0)
    fill_with_uploads(client, ledger, 2000, "large")
    assert client.delete("t", source_id="s1").ok()["delete_count"] == 2000
    ledger.forget("t", "s1")
    ledger.check(client)
    server.process.kill()
    server.exit_code()
    # Opening needs no space either.
    client = Client(start(data=disk.path / "data").port)
    ledger.check(client)


def test_a_server_stops_and_starts_on_a_full_disk(small_disk: Callable[..., SmallDisk], start: Start) -> None:
    disk = small_disk("tmpfs", 32)
    data = disk.path / "data"
    server = start(data=data)
    client, ledger = Client(server.port), Ledger(3)
    for tenant in ("t", "u"):
        ledger.upload(client, tenant, "a", ledger.rows(100, DIMENSION)).ok()
    disk.fill(leave=0)
    client.request("GET", "/readyz").refused(503, "DISK_FULL")
    # What is derived cannot be saved: that is no reason to stop badly.
    server.terminate()
    assert server.exit_code() == 0
    closing = server.lines.index("ingot: closing the data directory")
    assert server.lines[closing + 1 :] == ["ingot: stopped", "(end)"]
    assert leftovers(data) == []
    client = Client(start(data=data).port)
    ledger.check(client)
    client.request("GET", STATS, params={"tenant_id": "u"}).ok()


def leftovers(data: Path) -> list[Path]:
    """Files that were to be renamed and hold space."""
    return [path for path in data.rglob("*.new") if path.stat().st_size]
