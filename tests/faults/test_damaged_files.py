"""Bytes that are not what was written are named and never answered; what is derived from the log is done without."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.ledger import Ledger, folder_of, same, segment_of, stored
from tests.faults.patience import until
from tests.http.client import STATUS, Answer, Client
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
DIMENSION = 48


def stop(server: ServerProcess, how: str) -> None:
    """`stop`: everything is saved; `kill`: there is only the log."""
    if how == "kill":
        server.process.kill()
        server.exit_code()
    else:
        server.terminate()
        assert server.exit_code() == 0


def flip(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 0x10
    file.write_bytes(content)


def is_corrupt(server: ServerProcess, ask: Callable[[Client], Answer], client: Client, where: str) -> None:
    """500 without a place in it; the server's log has the place."""
    detail = ask(client).refused(500, "CORRUPT_DATA")
    assert not any(word in detail["message"] for word in ("/", "segment", "offset"))
    server.wait_for_line(where)


def filled(start: Start, seed: int) -> tuple[ServerProcess, Ledger, dict[str, np.ndarray]]:
    """A server with two tenants, and the uploads of `t`: `a`, whose rows fill several blocks, and two more."""
    server = start()
    client, ledger = Client(server.port), Ledger(seed)
    uploads = {
        "a": ledger.rows(1000, DIMENSION),
        "bb-marked": ledger.rows(50, DIMENSION),
        "c": ledger.rows(5, DIMENSION),
    }
    for source, rows in uploads.items():
        client.insert_npy("t", rows, file_id=source).ok()
    ledger.upload(client, "other", "x", ledger.rows(20, DIMENSION)).ok()
    return server, ledger, uploads


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_flipped_bit_in_a_vector_is_never_answered(how: str, start: Start) -> None:
    server, ledger, uploads = filled(start, 6)
    stop(server, how)
    segment = segment_of(server.data, "t")
    place = segment.read_bytes().index(uploads["a"][900].tobytes())
    flip(segment, place + 5)
    server = start(data=server.data)
    client = Client(server.port)
    where = r"segment 1 offset \d+ holds vectors whose checksum does not fit"
    query = uploads["c"][0]
    is_corrupt(server, lambda c: c.search("t", query, exact=True), client, where)
    is_corrupt(
        server, lambda c: c.get("t", source_id="a", limit=2000, output_fields=["embedding"]), client, where
    )
    is_corrupt(server, lambda c: c.get("t", chunk_ids=["a_900"], output_fields=["embedding"]), client, where)
    # What does not need the bytes is answered.
    for source in ("bb-marked", "c"):
        same(stored(client, "t", source), uploads[source])
    got = client.get("t", chunk_ids=["a_0"], output_fields=["embedding"]).ok()
    same(np.array(got[0]["embedding"]["embedding"], np.float32), uploads["a"][0])
    ledger.check(client)
    # Replacing the source leaves the damage behind.
    client.insert_npy("t", uploads["a"], file_id="a").ok()
    assert (
        client.search("t", uploads["a"][900], limit=1, exact=True).ok()[0]["embedding"]["chunk_id"] == "a_900"
    )


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_flipped_bit_in_a_record_header_is_never_believed(how: str, start: Start) -> None:
    server, ledger, uploads = filled(start, 7)
    stop(server, how)
    segment = segment_of(server.data, "t")
    flip(segment, segment.read_bytes().index(b"bb-marked") + 3)
    server = start(data=server.data)
    client = Client(server.port)
    where = r"segment 1 offset \d+ is not the record that was (written|acknowledged) there"
    is_corrupt(server, lambda c: c.search("t", uploads["a"][0], exact=True), client, where)
    is_corrupt(server, lambda c: c.get("t", source_id="bb-marked"), client, where)
    ledger.check(client)
    if how == "stop":
        same(stored(client, "t", "a"), uploads["a"])
    else:
        # Nothing is appended to a log that cannot be read.
        is_corrupt(server, lambda c: c.insert_npy("t", uploads["c"], file_id="d"), client, where)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_damaged_segment_header_stops_its_tenant_alone(how: str, start: Start) -> None:
    server, ledger, uploads = filled(start, 8)
    stop(server, how)
    flip(segment_of(server.data, "t"), 17)
    server = start(data=server.data)
    client = Client(server.port)
    where = "the first 64 bytes are not a segment's"
    is_corrupt(server, lambda c: c.search("t", uploads["a"][0]), client, where)
    is_corrupt(server, lambda c: c.insert_npy("t", uploads["a"]), client, where)
    is_corrupt(server, lambda c: c.get("t", limit=1), client, where)
    ledger.upload(client, "other", "y", ledger.rows(20, DIMENSION)).ok()
    ledger.check(client)


@pytest.mark.parametrize("place", [0, 20, 40, 80, -1])
def test_a_damaged_checkpoint_is_done_without(place: int, start: Start) -> None:
    server, ledger, uploads = filled(start, 9)
    for source, rows in uploads.items():
        ledger.upload(Client(server.port), "t", source, rows).ok()
    Client(server.port).delete("t", source_id="c").ok()
    ledger.forget("t", "c")
    stop(server, "stop")
    (checkpoint,) = (server.data / "tenants" / folder_of("t")).glob("checkpoint-*")
    flip(checkpoint, place)
    client = Client(start(data=server.data).port)
    ledger.check(client)
    assert stored(client, "t", "c") is None


class Graphed:
    """A data directory with a collection large enough for a graph, stopped well; and its vectors."""

    def __init__(self, folder: Path) -> None:
        ledger = Ledger(10)
        self.rows = ledger.rows(12_000, 16)
        self.data = folder / "data"
        with ServerProcess(self.data) as server:
            client = Client(server.port)
            for number in range(6):
                part = self.rows[2000 * number : 2000 * (number + 1)]
                ledger.upload(client, "t", f"s{number}", part).ok()
            self._wait(client)
            stop(server, "stop")

    def _wait(self, client: Client) -> None:
        def indexed() -> bool:
            params = {"tenant_id": "t", "file_id": "s0"}
            status = client.request("POST", STATUS, params=params).ok()
            return bool(status["indexed_rows"] == status["total_rows"])

        until(indexed)

    def restored(self, start: Start) -> ServerProcess:
        """A server on a copy of it."""
        copy = self.data.parent / f"copy{len(list(self.data.parent.iterdir()))}"
        shutil.copytree(self.data, copy)
        return start(data=copy)

    def check(self, client: Client) -> None:
        """Every row is its own nearest, before the graph is whole again and after."""
        for _ in range(2):
            for row in range(0, 12_000, 997):
                for exact in (False, True):
                    found = client.search("t", self.rows[row], limit=3, exact=exact).ok()
                    assert found[0]["embedding"]["chunk_id"] == f"s{row // 2000}_{row % 2000}"
            self._wait(client)


@pytest.fixture(scope="module")
def graphed(tmp_path_factory: pytest.TempPathFactory) -> Graphed:
    return Graphed(tmp_path_factory.mktemp("graphed"))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
@pytest.mark.parametrize("what", ["codes", "graph"])
def test_damaged_codes_or_graph_are_derived_again(
    what: str, damage: str, graphed: Graphed, start: Start
) -> None:
    server = graphed.restored(start)
    stop(server, "stop")
    (file,) = (server.data / "tenants" / folder_of("t")).glob(f"{what}-*")
    if damage == "flip":
        flip(file, file.stat().st_size // 2)
    else:
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size // 2 if damage == "cut" else 0)
    client = Client(start(data=server.data).port)
    graphed.check(client)


# A file cut by somebody else while it is mapped.


@pytest.fixture
def cut(start: Start) -> tuple[ServerProcess, Ledger, dict[str, np.ndarray]]:
    """A server whose segment of `t` was cut within `a`, which is in memory as checked."""
    server, ledger, uploads = filled(start, 11)
    segment = segment_of(server.data, "t")
    place = segment.read_bytes().index(uploads["a"][500].tobytes())
    Client(server.port).search("t", uploads["a"][900], exact=True).ok()
    with segment.open("r+b") as opened:
        opened.truncate(place)
    return server, ledger, uploads


Cut = tuple[ServerProcess, Ledger, dict[str, np.ndarray]]


def test_a_segment_cut_while_it_is_mapped_is_an_error_and_not_the_end(cut: Cut) -> None:
    server, ledger, uploads = cut
    client = Client(server.port)
    where = r"segment 1 offset \d+"
    for _ in range(2):
        is_corrupt(server, lambda c: c.search("t", uploads["a"][900], exact=True), client, where)
        is_corrupt(server, lambda c: c.get("t", source_id="c", output_fields=["embedding"]), client, where)
    assert client.request("GET", "/healthz").ok()
    ledger.upload(client, "other", "y", ledger.rows(20, DIMENSION)).ok()
    ledger.check(client)
    assert server.process.poll() is None


def test_a_segment_that_was_cut_is_not_grown_again_over_the_hole(cut: Cut) -> None:
    server, ledger, uploads = cut
    client = Client(server.port)
    # The missing pages have not been looked at since: an upload must not put zeros in their place.
    client.insert_npy("t", ledger.rows(500, DIMENSION), file_id="d").refused(500, "CORRUPT_DATA")
    client.delete("t", source_id="a").refused(500, "CORRUPT_DATA")
    client.search("t", uploads["a"][900], exact=True).refused(500, "CORRUPT_DATA")
    ledger.check(client)
    stop(server, "stop")
