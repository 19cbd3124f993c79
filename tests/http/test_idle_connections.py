"""Connections that do nothing: thousands are held, cheaply; more than that are turned away, and told why."""

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.patience import until
from tests.http.client import Client, read_answer
from tests.http.footprint import footprint, resident, sample
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
IDLE = 10_000
# Theirs and ours, with room for a server's own.
NEEDED = 15_000


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As many descriptors for this process as the system allows it; skips where those are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < NEEDED:
        assert os.environ.get("CI") != "true", f"{hard} descriptors are too few"
        pytest.skip(
            f"a process may have {hard} descriptors here (`ulimit -Hn`), {IDLE} connections need {NEEDED}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, NEEDED), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_idle_connections_are_held_and_others_served(
    start: Start, many_descriptors: None
) -> None:
    server = start()
    client = Client(server.port)
    client.insert("t", [[1, 2]], file_id="a").ok()
    footprint(client)
    before, memory = footprint(client), resident(server)
    with contextlib.ExitStack() as stack:
        idle = []
        for number in range(IDLE):
            sock = stack.enter_context(client.connect())
            idle.append(sock)
            if number % 2:
                # Half of them have been used.
                sock.sendall(ALIVE)
                read_answer(sock, "GET").ok()
        until(lambda: footprint(client).connections == before.connections + IDLE)
        each = (resident(server) - memory) / IDLE
        sys.stdout.write(f"{each / 1024:.1f} KiB a connection\n")
        assert each < 32 * 1024
        for _ in range(50):
            client.search("t", [1, 2]).ok()
            client.insert("t", [[1, 2]], file_id="a").ok()
        for sock in (idle[0], idle[1], idle[-1]):
            sock.sendall(ALIVE)
            read_answer(sock, "GET").ok()
    until(lambda: footprint(client) == before)
    until(lambda: resident(server) < memory + (64 << 20))


def test_idle_connections_are_closed_in_time(start: Start) -> None:
    server = start("--keep-alive", "0.3")
    client = Client(server.port)
    with client.connect() as unused, client.connect() as used:
        used.sendall(ALIVE)
        read_answer(used, "GET").ok()
        assert (unused.recv(10), used.recv(10)) == (b"", b"")


def test_connections_beyond_the_limit_are_told_so(start: Start) -> None:
    server = start("--max-connections", "5")
    client = Client(server.port)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(client.connect()) for _ in range(5)]
        for sock in held:
            sock.sendall(ALIVE)
            read_answer(sock, "GET").ok()
        for _ in range(3):
            answer = client.request("GET", "/healthz")
            answer.refused(503, "OVERLOADED")
            assert answer.headers["connection"] == "close"
        # Those who are in stay in.
        for sock in held:
            sock.sendall(ALIVE)
            read_answer(sock, "GET").ok()
    until(lambda: client.request("GET", "/healthz").status == 200)
    assert sample(client, "ingot_connections_cut_total", reason="surplus") >= 3
    server.wait_for_line(r"connections were turned away: 5 were open already")


def test_far_too_many_connections_are_cut_off_without_a_word(start: Start) -> None:
    server = start("--max-connections", "5")
    client = Client(server.port)
    with contextlib.ExitStack() as stack:
        socks: list[socket.socket] = [stack.enter_context(client.connect()) for _ in range(600)]
        answers = []
        for sock in socks[5:]:
            with contextlib.suppress(ConnectionError):
                answers.append(sock.recv(1 << 16))
        assert {answer[:12] for answer in answers} <= {b"", b"HTTP/1.1 503"}
    until(lambda: client.request("GET", "/healthz").status == 200)
    until(lambda: footprint(client).connections == 0)


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(start: Start) -> None:
    server = start(descriptors=("S", 128))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert line.split()[3:5] == [str(hard), str(hard)]
