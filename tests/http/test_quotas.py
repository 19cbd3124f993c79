"""Budgets of keys and of the server: who is over one is told when to come again, and nothing of others."""

import contextlib
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.faults.patience import until
from tests.http.client import INSERT, NPY, Answer, Client
from tests.http.keys import KeyClient, create
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]


def two_tenants(server: ServerProcess) -> tuple[KeyClient, KeyClient]:
    """Two clients, each with a key for a tenant of its own."""
    clients = [KeyClient(server.port, create(server.data, "read,write", name)) for name in ("one", "other")]
    for client, name in zip(clients, ("one", "other"), strict=True):
        until(lambda: client.insert(name, [[1, 2]], file_id="first").status == 200)  # noqa: B023
    return clients[0], clients[1]


def until_refused(ask: Callable[[], Answer], status: int, code: str) -> Answer:
    """Asks until it is refused, soon."""
    for _ in range(1000):
        answer = ask()
        if answer.status != 200:
            answer.refused(status, code)
            return answer
    raise AssertionError("it is never refused")


def comes_back(ask: Callable[[], Answer], refused: Answer) -> None:
    """What `Retry-After` promises is kept."""
    promised = time.monotonic() + int(refused.headers["retry-after"])
    until(lambda: time.monotonic() >= promised)
    ask().ok()


def test_a_key_over_its_rate_is_429_and_the_others_are_served(start: Start) -> None:
    one, other = two_tenants(start("--key-requests-per-second", "5"))

    def ask() -> Answer:
        return one.get("one")

    refused = until_refused(ask, 429, "OVER_QUOTA")
    assert refused.headers["retry-after"] == "1"
    until(lambda: other.get("other").status == 200)
    comes_back(ask, refused)
    # The health of a server is nobody's quota.
    for _ in range(20):
        one.request("GET", "/healthz").ok()


def test_rows_over_a_keys_rate_wait_for_as_long_as_it_says(start: Start) -> None:
    one, other = two_tenants(start("--key-rows-per-second", "100"))

    def ask() -> Answer:
        return one.insert_npy("one", np.ones((1, 2), np.float32), file_id="b")

    # One upload alone always fits, however large; what it is over is owed.
    one.insert_npy("one", np.ones((300, 2), np.float32), file_id="a").ok()
    refused = ask()
    refused.refused(429, "OVER_QUOTA", "100 rows a second")
    assert int(refused.headers["retry-after"]) in (1, 2, 3)
    # Searches are no rows, and the rows of one are not those of another.
    one.search("one", [1, 2]).ok()
    other.insert_npy("other", np.ones((1, 2), np.float32)).ok()
    assert "b" not in [item["source_id"] for item in one.get("one", limit=1000).ok()]
    comes_back(ask, refused)


def test_rows_over_the_rate_are_refused_before_the_body_is_asked_for(start: Start) -> None:
    server = start("--key-rows-per-second", "10")
    client = Client(server.port)
    client.insert_npy("t", np.ones((1000, 2), np.float32)).ok()
    with client.connect() as sock:
        sock.sendall(
            f"POST {INSERT}?tenant_id=t HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NPY}\r\n"
            "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert sock.recv(1000).startswith(b"HTTP/1.1 429")


@pytest.mark.parametrize("flag", ["--requests-per-second", "--rows-per-second"])
def test_a_server_over_its_rate_is_503_for_all_and_says_nothing_of_the_load(start: Start, flag: str) -> None:
    one, other = two_tenants(start(flag, "4"))
    until_refused(lambda: one.insert("one", [[1, 2]] * 7, file_id="a"), 503, "OVERLOADED")
    refused = other.insert("other", [[1, 2]], file_id="a")
    detail = refused.refused(503, "OVERLOADED")
    assert refused.headers["retry-after"] == "1"
    assert not any(character.isdigit() for character in detail["message"])
    until(lambda: other.insert("other", [[1, 2]], file_id="a").status == 200)


class Held(contextlib.ExitStack):
    """Uploads whose bodies the server waits for, until the end of the context."""

    def take(self, client: KeyClient, tenant: str, size: int) -> Answer | None:
        """One more, of `size` bytes; what it is refused with, if it is."""
        sock = self.enter_context(client.connect())
        key = "" if client.key is None else f"Authorization: Bearer {client.key}\r\n"
        sock.sendall(
            f"POST {INSERT}?tenant_id={tenant} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Type: {NPY}\r\n"
            f"Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        first = sock.recv(1000)
        if first.startswith(b"HTTP/1.1 100"):
            return None
        head, _, body = first.partition(b"\r\n\r\n")
        pairs = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
        return Answer(int(first[9:12]), {name.lower(): value for name, value in pairs}, body)

    def refuses(self, client: KeyClient, tenant: str, size: int, status: int, code: str, *words: str) -> None:
        """One more is refused."""
        answer = self.take(client, tenant, size)
        assert answer is not None
        answer.refused(status, code, *words)


def test_the_bodies_of_one_key_cannot_fill_the_server(start: Start) -> None:
    one, other = two_tenants(start("--bytes-in-flight", "1000000"))
    with Held() as held:
        assert held.take(one, "one", 300_000) is None
        held.refuses(one, "one", 300_000, 429, "OVER_QUOTA", "500000")
        assert held.take(one, "one", 190_000) is None
        assert held.take(other, "other", 450_000) is None
    until(lambda: one.insert_npy("one", np.ones((1000, 2), np.float32)).status == 200)


def test_a_full_server_is_503_for_a_key_within_its_own_budget(start: Start) -> None:
    one, other = two_tenants(start("--bytes-in-flight", "1000000", "--key-bytes-in-flight", "900000"))
    with Held() as held:
        assert held.take(one, "one", 600_000) is None
        assert held.take(other, "other", 300_000) is None
        held.refuses(other, "other", 300_000, 503, "OVERLOADED", "1000000")


def test_without_keys_there_is_nobody_to_be_kept_from_the_whole(start: Start) -> None:
    server = start("--bytes-in-flight", "1000000")
    client = KeyClient(server.port, None)
    with Held() as held:
        assert held.take(client, "t", 600_000) is None
        assert held.take(client, "t", 300_000) is None
        held.refuses(client, "t", 300_000, 503, "OVERLOADED")


def test_one_body_over_its_keys_budget_is_taken_when_it_is_alone(start: Start) -> None:
    one, _ = two_tenants(start("--key-bytes-in-flight", "1000"))
    one.insert_npy("one", np.ones((1000, 2), np.float32)).ok()
    one.insert_npy("one", np.ones((1000, 2), np.float32)).ok()
