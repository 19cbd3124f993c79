"""Requests that a proxy could cut in other places than we do: refused, and nothing behind them is answered."""

import contextlib
import re
from collections.abc import Callable

import pytest

from tests.http.client import JSON, SEARCH, Client
from tests.http.server import ServerProcess

BODY = b'{"tenant_id":"t","query_embedding":[1,2]}'
SIZE = len(BODY)
HOST = b"Host: localhost\r\n"
TYPE = f"Content-Type: {JSON}\r\n".encode()
LINE = f"POST {SEARCH} HTTP/1.1\r\n".encode()
HEAD = LINE + HOST + TYPE
LENGTH = b"Content-Length: %d\r\n" % SIZE
CODED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)
NEXT = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def with_length(value: bytes) -> bytes:
    return HEAD + b"Content-Length: " + value + b"\r\n\r\n" + BODY


def with_coding(value: bytes) -> bytes:
    return HEAD + b"Transfer-Encoding: " + value + b"\r\n\r\n" + CHUNKS


def with_field(field: bytes) -> bytes:
    return HEAD + field + LENGTH + b"\r\n" + BODY


def with_chunks(chunks: bytes) -> bytes:
    return HEAD + CODED + b"\r\n" + chunks


REFUSED = {
    "a length and chunks": HEAD + LENGTH + CODED + b"\r\n" + CHUNKS,
    "chunks and a length": HEAD + CODED + LENGTH + b"\r\n" + CHUNKS,
    "two lengths": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "two different lengths": HEAD + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY,
    "a list of lengths": with_length(b"%d, %d" % (SIZE, SIZE)),
    "a length with a plus": with_length(b"+%d" % SIZE),
    "a negative length": with_length(b"-1"),
    "a hexadecimal length": with_length(b"0x%x" % SIZE),
    "a length with a space in it": with_length(b"4 1"),
    "a length with an underscore": with_length(b"4_1"),
    "a length in other digits": with_length("٤١".encode()),
    "no length where one is named": with_length(b""),
    "a length beyond 64 bits": with_length(b"9" * 25),
    "a folded header": with_field(b"X-A: b\r\n c\r\n"),
    "a folded length": with_length(b"\r\n %d" % SIZE),
    "a folded first header": LINE + b" X-A: b\r\n" + HOST + TYPE + LENGTH + b"\r\n" + BODY,
    "a space before the colon": HEAD + b"Content-Length : %d\r\n\r\n" % SIZE + BODY,
    "a coding with a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
    "a space before the name": HEAD + b" " + LENGTH + b"\r\n" + BODY,
    "bare line feeds": (HEAD + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "one bare line feed": with_field(b"X-A: b\n"),
    "a bare carriage return": with_field(b"X-A: b\rX-B: c\r\n"),
    "NUL in a value": with_field(b"X-A: b\0c\r\n"),
    "NUL in a name": with_field(b"X\0A: b\r\n"),
    "NUL in the target": HEAD.replace(b" HTTP", b"\0 HTTP", 1) + LENGTH + b"\r\n" + BODY,
    "no name": with_field(b": b\r\n"),
    "no colon": with_field(b"X-A\r\n"),
    "a parenthesis in a name": with_field(b"X(A): b\r\n"),
    "another coding": with_coding(b"xchunked"),
    "the coding identity": with_coding(b"identity"),
    "identity and a length": HEAD + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + BODY,
    "chunked, then identity": with_coding(b"chunked, identity"),
    "compressed, then chunked": with_coding(b"gzip, chunked"),
    "chunked in quotes": with_coding(b'"chunked"'),
    "a vertical tab before chunked": with_coding(b"\x0bchunked"),
    "chunked twice": HEAD + CODED + CODED + b"\r\n" + CHUNKS,
    "chunked, then another coding": HEAD + CODED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS,
    "chunks in HTTP/1.0": with_coding(b"chunked").replace(b"1.1", b"1.0", 1),
    "a line feed in a chunk's extension": with_chunks(b"%x;a\nb\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)),
    "a chunk beyond 64 bits": with_chunks(b"1000000000000000%x\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)),
    "a negative chunk": with_chunks(b"-" + CHUNKS),
    "a chunk with a plus": with_chunks(b"+" + CHUNKS),
    "a chunk with 0x": with_chunks(b"0x" + CHUNKS),
    "a space behind a chunk's size": with_chunks(b"%x \r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)),
    "a bare line feed behind a chunk's size": with_chunks(b"%x\n%s\r\n0\r\n\r\n" % (SIZE, BODY)),
    "a bare line feed behind a chunk": with_chunks(b"%x\r\n%s\n0\r\n\r\n" % (SIZE, BODY)),
    "nothing behind a chunk": with_chunks(b"%x\r\n%s0\r\n\r\n" % (SIZE, BODY)),
    "a chunk that is longer than it says": with_chunks(b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE - 1, BODY)),
    "a chunk without a size": with_chunks(b"\r\n%s\r\n0\r\n\r\n" % BODY),
    "a length behind the chunks": with_chunks(CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n"),
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "a target of another host": b"GET http://evil.example/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target of another port": b"GET http://localhost:1/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /healthz\r\n",
    "HTTP/1.2": b"GET /healthz HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/1.10": b"GET /healthz HTTP/1.10\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tabs in the request line": b"GET\t/healthz\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "a small method": b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes beyond ASCII in the target": b"GET /healthz\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
}

TAKEN = {
    "a length": with_length(b"%d" % SIZE),
    "chunks": with_coding(b"chunked"),
    "chunks in capitals": with_coding(b"CHUNKED"),
    "an extension of a chunk": with_chunks(b"%x;a=b\r\n%s\r\n0;c\r\n\r\n" % (SIZE, BODY)),
    "a trailer": with_chunks(CHUNKS[:-2] + b"X-A: b\r\n\r\n"),
    "zeros before a chunk's size": with_chunks(b"0000" + CHUNKS),
    "a name that only looks like the length": with_field(b"Content_Length: 3\r\n"),
    "an absolute target": b"GET http://localhost/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "a body that looks like a request": b"GET /healthz HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: %d\r\n\r\n" % len(NEXT)
    + NEXT,
    "an empty line before": b"\r\n" + NEXT,
}

UPGRADES = {
    "HTTP/2 in the clear": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "a web socket": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
}


@pytest.fixture(scope="module")
def filled(server: ServerProcess) -> Client:
    client = Client(server.port)
    client.insert("t", [[1, 2]], file_id="a").ok()
    return client


def statuses(client: Client, data: bytes, answers: int) -> list[int]:
    """Those of the answers until there are so many, or until the server hangs up."""
    received = b""
    with client.connect() as sock:
        sock.sendall(data)
        while len(found := re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)) < answers or answers == 0:
            part = b""
            with contextlib.suppress(ConnectionError):
                part = sock.recv(1 << 16)
            if not part:
                break
            received += part
    return [int(status) for status in found]


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_can_be_understood_in_two_ways_is_refused(filled: Client, data: bytes) -> None:
    # The connection ends: what comes behind is nobody's request.
    assert statuses(filled, data + NEXT, 0) == [400]


@pytest.mark.parametrize("data", TAKEN.values(), ids=TAKEN.keys())
def test_what_can_be_understood_in_one_way_is_answered(filled: Client, data: bytes) -> None:
    assert statuses(filled, data + NEXT, 2) == [200, 200]


@pytest.mark.parametrize("fields", UPGRADES.values(), ids=UPGRADES.keys())
def test_nothing_behind_a_protocol_that_is_not_spoken_is_swallowed(filled: Client, fields: bytes) -> None:
    data = b"GET /healthz HTTP/1.1\r\n" + HOST + fields + b"\r\n"
    with filled.connect() as sock:
        sock.sendall(data + NEXT)
        received = b""
        while part := sock.recv(1 << 16):
            received += part
    # Answered in HTTP/1.1, and the client is told that its next request has to go over another connection.
    assert received.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in received


def test_an_asterisk_is_no_path(filled: Client) -> None:
    assert statuses(filled, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, 2) == [404, 200]


def test_garbage_behind_a_request_ends_the_connection(filled: Client) -> None:
    for garbage in (b"\0" * 100, b"garbage\r\n\r\n", b"\xff" * 100_000, NEXT[1:]):
        with filled.connect() as sock:
            sock.sendall(NEXT)
            assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200")
            sock.sendall(garbage + NEXT)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while part := sock.recv(1 << 16):
                    answer += part
            assert re.findall(rb"HTTP/1\.[01] (\d{3})", answer) == [b"400"]


def test_a_body_that_is_shorter_than_it_says_takes_nothing_of_the_next(filled: Client) -> None:
    # What is missing of the body is taken from what follows: it is one body, and no request.
    with filled.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (SIZE + len(NEXT)) + BODY + NEXT)
        answer = sock.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"MALFORMED_JSON" in answer


def test_a_body_that_is_longer_than_it_says_is_not_read_on(filled: Client) -> None:
    # The first answer may be about the request or about what follows; nothing that follows is a request.
    assert set(statuses(filled, with_length(b"%d" % (SIZE - 1)) + NEXT, 0)) == {400}


def test_two_clients_never_share_an_answer(start: Callable[..., ServerProcess]) -> None:
    client = Client(start().port)
    client.insert("t", [[1, 2]], file_id="a").ok()
    with client.connect() as one, client.connect() as other:
        one.sendall(REFUSED["chunks and a length"] + NEXT)
        other.sendall(NEXT)
        assert b"MALFORMED_BODY" in one.recv(1 << 16)
        assert other.recv(1 << 16).startswith(b"HTTP/1.1 200")
        one.settimeout(10)
        assert one.recv(1 << 16) == b""
        other.sendall(NEXT)
        assert other.recv(1 << 16).startswith(b"HTTP/1.1 200")
