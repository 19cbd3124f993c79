"""A client that leaves within its body stores nothing and costs nothing; one that leaves after it is served."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.faults.ledger import same, stored
from tests.faults.patience import until
from tests.http.client import INSERT, Client, npy
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
ROWS, DIMENSION = 2000, 3024
BODY = npy(np.ones((ROWS, DIMENSION), np.float32))


def head(tenant: str, source: str, length: int) -> bytes:
    return (
        f"POST {INSERT}?tenant_id={tenant}&file_id={source} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/x-npy\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def resident(server: ServerProcess) -> int:
    """Bytes of memory of its own that the server has."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no RssAnon")


def leave_within(server: ServerProcess, client: Client, source: str, size: int) -> None:
    """Sends `size` bytes of a body of 24 MB and is gone."""
    with client.connect() as sock:
        sock.sendall(head("t", source, len(BODY)) + BODY[:size])


def test_a_client_that_leaves_within_its_body_stores_nothing_and_costs_nothing(start: Start) -> None:
    server = start()
    client = Client(server.port)
    client.insert_npy("t", np.ones((1, DIMENSION), np.float32), file_id="first").ok()
    leave_within(server, client, "warm", len(BODY) // 2)
    client.insert_npy("t", np.ones((ROWS, DIMENSION), np.float32), file_id="first").ok()
    before = resident(server)
    for number in range(20):
        leave_within(server, client, f"gone{number}", len(BODY) // 2 + number)
    leave_within(server, client, "almost", len(BODY) - 1)
    # One line each in the log, and no error.
    until(lambda: sum("status=499" in line for line in server.lines) == 22)
    assert [line for line in server.lines if "error" in line or "status=500" in line] == []
    # Twenty halves are 240 MB; what is left is less than two of them.
    until(lambda: resident(server) < before + (24 << 20))
    items = client.get("t", limit=10_000).ok()
    assert {item["source_id"] for item in items} == {"first"}
    # Nothing of `bytes_in_flight` is lost either: a full body still goes through.
    client.insert_npy("t", np.ones((ROWS, DIMENSION), np.float32), file_id="last").ok()


def test_bodies_that_were_left_are_given_back_to_the_gate(start: Start) -> None:
    server = start("--bytes-in-flight", str(len(BODY) + 1000))
    client = Client(server.port)
    for number in range(3):
        leave_within(server, client, f"gone{number}", len(BODY) // 2)
    client.insert("t", [[1.0, 2.0]], file_id="a")
    until(lambda: client.insert_npy("t", np.ones((ROWS, 2), np.float32), file_id="b").status == 200)


def test_a_client_that_leaves_after_its_body_is_served(start: Start) -> None:
    server = start()
    client = Client(server.port)
    rows = np.arange(1, 2001 * 16 - 15, dtype=np.float32).reshape(2000, 16)
    client.insert_npy("t", rows[:1], file_id="first").ok()
    body = npy(rows)
    for number in range(5):
        with client.connect() as sock:
            sock.sendall(head("t", f"left{number}", len(body)) + body)
    for number in range(5):
        until(lambda: stored(client, "t", f"left{number}") is not None)  # noqa: B023
        same(stored(client, "t", f"left{number}"), rows)
    server.process.kill()
    server.exit_code()
    client = Client(start(data=server.data).port)
    for number in range(5):
        same(stored(client, "t", f"left{number}"), rows)
