"""A hostile network: clients that dribble, never read, flood, lie and vanish. Each costs little, nothing remains."""

import contextlib
import os
import random
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.patience import until
from tests.http.client import GET, INSERT, JSON, NPY, SEARCH, Client, npy, read_answer
from tests.http.footprint import Footprint, footprint, resident, sample
from tests.http.keys import create
from tests.http.server import DEADLINE, ServerProcess

Start = Callable[..., ServerProcess]
TLS = Path(__file__).parent / "tls"
FIRST_CERTIFICATE, FIRST_KEY = TLS / "first.pem", TLS / "first.key.pem"
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
MIB = 1 << 20


@contextlib.contextmanager
def nothing_remains(server: ServerProcess, most: int) -> Iterator[Client]:
    """Connections, descriptors, tasks and bodies are what they were afterwards; memory grew by `most` at most."""
    client = Client(server.port)
    client.insert("before", [[1, 2]], file_id="a").ok()
    client.search("before", [1, 2]).ok()
    footprint(client)
    before, memory = footprint(client), resident(server)
    yield client
    last: list[Footprint] = []

    def as_before() -> bool:
        last[:] = [footprint(client)]
        return last == [before]

    try:
        until(as_before)
    except AssertionError as error:
        raise AssertionError(f"{before} before, {last} after") from error
    until(lambda: resident(server) < memory + most)
    client.search("before", [1, 2]).ok()
    assert [line for line in server.lines if "Traceback" in line or "status=500" in line] == []


def hung_up(sock: socket.socket) -> bytes:
    """What came until the server hung up."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(1 << 16):
            received += part
    return received


def gone_after(sock: socket.socket, more: bytes) -> bool:
    """Whether the server has hung up, after some more was sent."""
    try:
        sock.sendall(more)
        return sock.recv(10) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


# Heads.


@pytest.mark.parametrize("first", [b"G", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_a_head_that_never_ends_is_cut_off(start: Start, first: bytes) -> None:
    server = start("--head-timeout", "0.3")
    with nothing_remains(server, 8 * MIB) as client:
        with client.connect() as sock:
            sock.sendall(first)
            assert hung_up(sock) == b""
        assert sample(client, "ingot_connections_cut_total", reason="head") == 1


def test_a_head_that_dribbles_is_cut_off_however_lively_it_is(start: Start) -> None:
    server = start("--head-timeout", "0.3")
    with nothing_remains(server, 8 * MIB) as client, client.connect() as sock:
        # The second request of a connection, too.
        sock.sendall(ALIVE)
        read_answer(sock, "GET").ok()
        sock.sendall(b"GET /healthz HTTP/1.1\r\nX-A: ")
        sock.settimeout(0.02)
        deadline = time.monotonic() + DEADLINE
        while not gone_after(sock, b"a"):
            assert time.monotonic() < deadline


def test_an_idle_connection_is_no_head_that_dribbles(start: Start) -> None:
    server = start("--head-timeout", "0.1")
    client = Client(server.port)
    with client.connect() as idle, client.connect() as busy:
        idle.sendall(ALIVE)
        read_answer(idle, "GET").ok()
        # A body may take longer than a head.
        body = b'{"tenant_id": "t", "file_id": "a", "embeddings": [[1, 2]]}'
        busy.sendall(
            f"POST {INSERT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n".encode()
            + b"Content-Length: %d\r\n\r\n" % len(body)
            + body[:10]
        )
        with client.connect() as stuck:
            stuck.sendall(b"G")
            assert hung_up(stuck) == b""
        busy.sendall(body[10:])
        read_answer(busy).ok()
        idle.sendall(ALIVE)
        read_answer(idle, "GET").ok()


def test_a_handshake_that_never_ends_is_cut_off(start: Start) -> None:
    server = start("--head-timeout", "0.3", "--tls-cert", str(FIRST_CERTIFICATE), "--tls-key", str(FIRST_KEY))
    client = Client(server.port)
    with client.connect() as silent, client.connect() as half:
        half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert (hung_up(silent), hung_up(half)) == (b"", b"")
    context = ssl.create_default_context(cafile=FIRST_CERTIFICATE)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(ALIVE)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_heads_and_targets_that_are_too_long_end_early(start: Start) -> None:
    with nothing_remains(start(), 16 * MIB) as client:
        for head, status in (
            (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n", b" 414 "),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, b" 431 "),
            (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200, b" 431 "),
            (b"GET / HTTP/1.1\r\n" + b"X" * 20_000 + b": a", b" 431 "),
        ):
            with client.connect() as sock:
                sock.sendall(head + b"\r\n\r\n")
                assert status in hung_up(sock)[:20]
        # However much follows, none of it is kept.
        for head in (b"GET /", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: "):
            with client.connect() as sock:
                sock.settimeout(DEADLINE)
                with contextlib.suppress(ConnectionError):
                    sock.sendall(head)
                    for _ in range(64):
                        sock.sendall(b"a" * MIB)


# Answers that nobody takes.


def filled(client: Client) -> int:
    """Rows of which the answer to a get is 24 MB or more; how many."""
    rows = np.random.default_rng(1).standard_normal((400, 3000)).astype(np.float32)
    client.insert_npy("large", rows, file_id="a").ok()
    return len(rows)


def ask_for_all(client: Client, rows: int) -> socket.socket:
    body = b'{"tenant_id": "large", "limit": %d, "output_fields": ["embedding"]}' % rows
    sock = socket.socket()
    # A small window: what the system holds for the client is not much.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(DEADLINE)
    sock.connect((client.host, client.port))
    head = f"POST {GET} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)
    return sock


def test_an_answer_that_is_never_read_is_dropped(start: Start) -> None:
    server = start("--send-timeout", "1")
    rows = filled(Client(server.port))
    with nothing_remains(server, 32 * MIB) as client, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(ask_for_all(client, rows))
        until(lambda: sample(client, "ingot_connections_cut_total", reason="answer") == 3)


def test_answers_that_are_never_read_hold_no_more_than_their_budget(start: Start) -> None:
    server = start("--bytes-in-flight", "50MiB")
    rows = filled(Client(server.port))
    with nothing_remains(server, 32 * MIB) as client:
        with contextlib.ExitStack() as stack:
            asking = [stack.enter_context(ask_for_all(client, rows)) for _ in range(4)]
            until(lambda: sum(b" 503 " in sock.recv(20, socket.MSG_PEEK) for sock in asking) >= 2)
            assert 0 < sample(client, "ingot_answer_bytes_in_flight") <= 50 * MIB
        until(lambda: sample(client, "ingot_answer_bytes_in_flight") == 0)
    client.post(GET, {"tenant_id": "large", "limit": rows, "output_fields": ["embedding"]}).ok()


def test_an_answer_that_was_taken_is_not_kept_by_its_connection(start: Start) -> None:
    server = start()
    rows = filled(Client(server.port))
    with nothing_remains(server, 64 * MIB) as client, contextlib.ExitStack() as stack:
        memory = resident(server)
        for _ in range(4):
            sock = stack.enter_context(ask_for_all(client, rows))
            assert len(read_answer(sock).ok()) == rows
        # All of them are open and idle; four answers are 95 MiB.
        until(lambda: resident(server) < memory + 64 * MIB)
        assert sample(client, "ingot_answer_bytes_in_flight") == 0


def test_an_answer_that_is_sipped_is_dropped(start: Start) -> None:
    # The rate is one that 64 bytes a request of ours do not come near on any machine.
    server = start("--send-timeout", "1", "--body-rate", "4MiB")
    rows = filled(Client(server.port))
    with nothing_remains(server, 32 * MIB) as client, ask_for_all(client, rows) as sock:
        deadline = time.monotonic() + DEADLINE
        with contextlib.suppress(ConnectionError):
            while sock.recv(64) and time.monotonic() < deadline:
                if sample(client, "ingot_connections_cut_total", reason="answer"):
                    break
        assert sample(client, "ingot_connections_cut_total", reason="answer") == 1


def test_an_answer_that_is_read_steadily_arrives_whole(start: Start) -> None:
    server = start("--send-timeout", "0.1", "--body-rate", "1KiB")
    rows = filled(Client(server.port))
    with ask_for_all(Client(server.port), rows) as sock:
        assert len(read_answer(sock).ok()) == rows


def test_requests_whose_answers_are_never_read_stop_being_answered(start: Start) -> None:
    server = start("--send-timeout", "1")
    with nothing_remains(server, 32 * MIB) as client, client.connect() as sock:
        memory = resident(server)
        sock.settimeout(1)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 * MIB:
                sent += sock.send(ALIVE * 1000)
        # The server stopped reading, or hung up, long before.
        assert sent < 64 * MIB
        assert resident(server) < memory + 32 * MIB
        client.request("GET", "/healthz").ok()
        until(lambda: sample(client, "ingot_connections_cut_total", reason="answer") == 1)


# Floods.


def test_pipelined_requests_do_not_keep_others_from_being_served(start: Start) -> None:
    server = start()
    with nothing_remains(server, 32 * MIB) as client, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(client.connect()) for _ in range(8)]

        def read(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while sock.recv(1 << 20):
                    pass

        def send(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                for _ in range(20):
                    sock.sendall(ALIVE * 100)

        threads = [threading.Thread(target=work, args=(sock,)) for sock in socks for work in (read, send)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            client.search("before", [1, 2]).ok()
        for sock in socks:
            sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(DEADLINE)


def test_a_flood_of_wrong_keys_costs_nothing(start: Start) -> None:
    server = start()
    key = create(server.data, "admin")
    until(lambda: Client(server.port).request("GET", "/tenants/monitor").status == 401)
    good = {"Authorization": f"Bearer {key}"}
    client = Client(server.port)
    memory = resident(server)
    with contextlib.ExitStack() as stack:
        files = []
        for _ in range(4):
            sock = stack.enter_context(client.connect())
            files.append((sock, stack.enter_context(sock.makefile("rb"))))
        for number in range(500):
            for sock, _ in files:
                # Ids of their own, as long as a header may be.
                wrong = f"ingot_{number:012d}_{'x' * (number * 20)}"
                sock.sendall(
                    b"GET /tenants/monitor HTTP/1.1\r\nHost: localhost\r\n"
                    + f"Authorization: Bearer {wrong}\r\n\r\n".encode()
                )
            for _, file in files:
                assert b" 401 " in file.readline()
                length = 0
                while line := file.readline().strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                file.read(length)
        assert client.request("GET", "/metrics", headers=good).status == 200
    assert resident(server) < memory + 16 * MIB


# Clients that vanish, and nonsense.


def test_clients_that_vanish_anywhere_leave_nothing_behind(start: Start) -> None:
    server = start()
    body = npy(np.ones((500, 500), np.float32))
    head = f"POST {INSERT}?tenant_id=gone HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NPY}\r\n".encode()
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body
    with nothing_remains(server, 32 * MIB) as client:
        for data in (whole, chunked):
            for cut in (1, len(head) - 1, len(head) + 10, len(data) // 3, len(data) - 1):
                for reset in (False, True):
                    sock = client.connect()
                    if reset:
                        # Closing resets the connection.
                        sock.setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4)
                        )
                    sock.sendall(data[:cut])
                    sock.close()
        client.get("gone").refused(404, "TENANT_NOT_FOUND")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("field", ["document_metadata", "embeddings", "tenant_id", "nobody"])
def test_json_that_is_too_deep_is_refused(client: Client, opening: bytes, field: str) -> None:
    for depth in (1000, 200_000):
        text = b'{"%s": %s' % (field.encode(), opening * depth)
        answer = client.request("POST", INSERT, text, {"Content-Type": JSON})
        assert answer.status in (400, 422), answer
        assert client.request("GET", "/healthz").status == 200


def test_nonsense_is_answered_or_hung_up_on_and_nothing_remains(start: Start, torture: bool) -> None:
    seed = int(os.environ.get("INGOT_SEED", random.SystemRandom().getrandbits(32)))
    sys.stdout.write(f"INGOT_SEED={seed}\n")
    random_ = random.Random(seed)
    # What opens no tenant: an open one holds a descriptor.
    body = b'{"tenant_id": "before", "query_embedding": [1, 2], "limit": 10}'
    good = (
        f"POST {SEARCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n".encode()
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )
    pieces = [
        b"\r\n",
        b"\0",
        b"chunked",
        b":",
        b" ",
        b"-1",
        b"\xff",
        b"Transfer-Encoding: chunked\r\n",
        good,
        ALIVE,
    ]
    server = start("--head-timeout", "0.3", "--body-grace", "0.3")
    with nothing_remains(server, 48 * MIB) as client:
        for _ in range(20_000 if torture else 400):
            data = bytearray(good)
            for _ in range(random_.randrange(1, 6)):
                at = random_.randrange(len(data) + 1)
                match random_.randrange(4):
                    case 0:
                        del data[at : at + random_.randrange(1, 40)]
                    case 1:
                        data[at:at] = random_.choice(pieces)
                    case 2:
                        data[at : at + 1] = bytes([random_.randrange(256)])
                    case _:
                        data[at:at] = random_.randbytes(random_.randrange(1, 100))
            with client.connect() as sock:
                sock.settimeout(0.005)
                with contextlib.suppress(OSError):
                    sock.sendall(data)
                    answer = sock.recv(100)
                    assert answer == b"" or answer.startswith(b"HTTP/1."), answer
