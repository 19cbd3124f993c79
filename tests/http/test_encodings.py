"""Section 7 of the wire contract: `Content-Encoding` around any body, undone while it arrives, and bounded."""

import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from tests.http.client import DELETE, GET, INSERT, JSON, NPY, SEARCH, STATUS, Client, npy, read_answer
from tests.http.server import DEADLINE, ServerProcess
from tests.http.test_connections import CONTINUE, head

Start = Callable[..., ServerProcess]
Pack = Callable[[bytes], bytes]

MiB = 1 << 20
ROWS = [[1.0, 2.0], [3.0, -4.5]]


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(body)


PACKS: dict[str, tuple[str, Pack]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("Deflate", raw_deflate),
    "zstd": ("zstd", zstd),
    "identity": ("identity", bytes),
    "nothing": ("", bytes),
    "capitals": (" GZip ", gzip.compress),
}
packed = pytest.mark.parametrize(("coding", "pack"), PACKS.values(), ids=PACKS)
REAL = {name: PACKS[name] for name in ("gzip", "deflate", "raw deflate", "zstd")}
really_packed = pytest.mark.parametrize(("coding", "pack"), REAL.values(), ids=REAL)


def upload(tenant: str, rows: Any = ROWS, **fields: Any) -> bytes:
    return json.dumps({"tenant_id": tenant, "file_id": "a", "embeddings": rows, **fields}).encode()


@packed
def test_every_body_may_be_encoded(client: Client, tenant: str, coding: str, pack: Pack) -> None:
    headers = {"Content-Encoding": coding}

    def post(path: str, fields: bytes) -> Any:
        return client.post(path, pack(fields), headers=headers).ok()

    assert post(INSERT, upload(tenant, document_metadata={"a": 1}))["insert_count"] == 2
    array = np.arange(8, dtype=">i4").reshape(4, 2, order="F")
    query = {"tenant_id": tenant, "file_id": "b"}
    client.request("POST", INSERT, pack(npy(array)), {"Content-Type": NPY, **headers}, query).ok()
    name = tenant.encode()
    found = post(SEARCH, b'{"tenant_id": "%s", "query_embedding": [3, -4.5], "limit": 1}' % name)
    assert found[0]["embedding"]["chunk_id"] == "a_1"
    client.request(
        "POST", SEARCH, pack(npy(array[0])), {"Content-Type": NPY, **headers}, {"tenant_id": tenant}
    ).ok()
    got = post(GET, b'{"tenant_id": "%s", "output_fields": ["embedding"]}' % name)
    assert [row["embedding"]["embedding"] for row in got] == ROWS + array.tolist()
    assert post(STATUS, b'{"tenant_id": "%s", "file_id": "a"}' % name)["total_rows"] == 2
    assert post(DELETE, b'{"tenant_id": "%s", "source_id": "a"}' % name)["delete_count"] == 2
    answer = client.request(
        "DELETE",
        DELETE,
        pack(b'{"tenant_id": "%s", "source_id": "b"}' % name),
        {"Content-Type": JSON, **headers},
    )
    assert answer.ok()["delete_count"] == 4


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        ("br", ("`br`", "gzip, deflate, zstd")),
        ("gzip, gzip", ("2 codings",)),
        ("identity, gzip", ("2 codings",)),
        ("gzip;q=1", ("not understood",)),
    ],
)
@pytest.mark.parametrize("expect", [True, False])
def test_another_encoding_is_refused_before_the_body_is_asked_for(
    client: Client, coding: str, words: tuple[str, ...], expect: bool
) -> None:
    more = {"Expect": "100-continue"} if expect else {}
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=1000, Content_Encoding=coding, **more))
        answer = read_answer(sock)
    answer.refused(415, "UNSUPPORTED_MEDIA_TYPE", *words)
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"


def test_encodings_in_two_headers_are_two(client: Client, tenant: str) -> None:
    body = gzip.compress(gzip.compress(upload(tenant)))
    lines = head(INSERT, Content_Type=JSON, Content_Length=len(body))[:-2]
    twice = b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n"
    client.raw(lines + twice + body).refused(415, "UNSUPPORTED_MEDIA_TYPE", "2 codings")


@really_packed
def test_what_is_broken_is_400_and_stores_nothing(
    client: Client, tenant: str, coding: str, pack: Pack
) -> None:
    body = pack(upload(tenant))
    checked = len(body) - (5 if coding == "gzip" else 1)
    flipped = body[:checked] + bytes([body[checked] ^ 0x55]) + body[checked + 1 :]
    cases = {
        "cut off": (body[:-1], "ends too early"),
        "cut in half": (body[: len(body) // 2], "ends too early"),
        "empty": (b"", "ends too early"),
        "garbage behind": (body + b"some garbage", "bytes follow its end"),
        "a wrong checksum": (flipped, "check"),
        "no packed body": (b"\xff\xff\xff" + upload(tenant), coding.lower()),
    }
    for name, (sent, words) in cases.items():
        if name == "a wrong checksum" and coding == "Deflate":
            continue  # it has none
        answer = client.post(INSERT, sent, headers={"Content-Encoding": coding})
        answer.refused(400, "MALFORMED_BODY", f"not valid {coding.lower()}", words)
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


@pytest.mark.parametrize(("coding", "pack"), [REAL["gzip"], REAL["zstd"]], ids=["gzip", "zstd"])
def test_several_members_or_frames_are_one_body(client: Client, tenant: str, coding: str, pack: Pack) -> None:
    body = upload(tenant)
    parts = pack(body[:20]) + pack(b"") + pack(body[20:])
    if coding == "zstd":
        parts = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + parts
    assert client.post(INSERT, parts, headers={"Content-Encoding": coding}).ok()["insert_count"] == 2


def test_a_large_zstd_window_is_refused(client: Client, tenant: str) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=24)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = packer.compress(upload(tenant)) + packer.flush()
    answer = client.post(INSERT, body, headers={"Content-Encoding": "zstd"})
    answer.refused(400, "MALFORMED_BODY", "zstd", "window", "8388608")


@really_packed
def test_positions_are_those_of_the_unpacked_text(
    client: Client, tenant: str, coding: str, pack: Pack
) -> None:
    headers = {"Content-Encoding": coding}
    text = b'{"tenant_id": "%s", "embeddings": [[1, 2], [3, 1e39]]}' % tenant.encode()
    client.post(INSERT, pack(text), headers=headers).refused(400, "NON_FINITE_VALUE", row=1, column=1)
    text = b" " * 300_000 + b'{"a": nan}'
    client.post(INSERT, pack(text), headers=headers).refused(400, "MALFORMED_JSON", offset=300_007)


def chunked(body: bytes, size: int) -> bytes:
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@really_packed
def test_an_encoding_and_a_chunked_transfer_go_together(
    client: Client, tenant: str, coding: str, pack: Pack
) -> None:
    rows = np.random.default_rng(1).standard_normal((200, 50)).astype(np.float32)
    body = chunked(pack(upload(tenant, rows.tolist())), 1000)
    start = head(INSERT, Content_Type=JSON, Transfer_Encoding="chunked", Content_Encoding=coding)
    assert client.raw(start + body).ok()["insert_count"] == 200


def test_a_client_that_asks_first_is_told_to_send_its_encoded_body(client: Client, tenant: str) -> None:
    body = gzip.compress(upload(tenant))
    with client.connect() as sock:
        sock.sendall(
            head(
                INSERT,
                Content_Type=JSON,
                Content_Encoding="gzip",
                Content_Length=len(body),
                Expect="100-continue",
            )
        )
        assert sock.recv(1000) == CONTINUE
        sock.sendall(body)
        read_answer(sock).ok()


@really_packed
def test_single_bytes_of_an_encoded_body_are_a_body(
    client: Client, tenant: str, coding: str, pack: Pack
) -> None:
    body = pack(upload(tenant))
    with client.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=len(body), Content_Encoding=coding))
        for byte in body:
            sock.sendall(bytes([byte]))
        assert read_answer(sock).ok()["insert_count"] == 2


def test_the_pace_is_that_of_the_bytes_on_the_wire(start: Start) -> None:
    """A few bytes that unpack to many are as slow as any few bytes."""
    client = Client(start("--body-grace", "0.3", "--body-rate", "100000").port)
    body = gzip.compress(b'{"tenant_id": "t",' + b" " * MiB + b'"embeddings": [[1, 2]]}')
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=len(body), Content_Encoding="gzip"))
        sock.sendall(body[:-10])
        read_answer(sock).refused(408, "BODY_TIMEOUT", f"{len(body) - 10} bytes")


# Bombs.


def resident(server: ServerProcess) -> int:
    """Anonymous memory of a server, and the most it ever had."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this system does not tell VmHWM")


def bomb(coding: str, start: bytes, filling: bytes, mebibytes: int) -> bytes:
    """A body that begins so and goes on for so long, a thousandth of its size; it has no end."""
    if coding == "zstd":
        return zstd(start) + zstd(filling * MiB) * mebibytes
    packer = zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    # What follows a full flush refers to nothing before it.
    block = packer.compress(filling * MiB) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * mebibytes


@pytest.fixture(scope="module")
def bombs() -> dict[tuple[str, str], bytes]:
    """White space within a row up to the limit of all bodies, and text up to that of what is no row."""
    rows = b'{"tenant_id": "t", "embeddings": [[1,'
    text = b'{"tenant_id": "t", "x": "'
    return {
        (coding, name): bomb(coding, start, filling, mebibytes)
        for coding in ("gzip", "deflate", "zstd")
        for name, start, filling, mebibytes in (("rows", rows, b" ", 260), ("text", text, b"a", 20))
    }


def test_a_bomb_is_413_and_costs_no_memory(start: Start, bombs: dict[tuple[str, str], bytes]) -> None:
    server = start()
    client = Client(server.port)
    client.insert("t", ROWS).ok()
    before = resident(server)
    for (coding, name), body in bombs.items():
        assert len(body) < MiB // 2
        begun = time.monotonic()
        words = ("unpacks to more than 268435456",) if name == "rows" else ("16777216",)
        client.post(INSERT, body, headers={"Content-Encoding": coding}).refused(413, "BODY_TOO_LARGE", *words)
        # Speed is no promise here; that it ends is.
        assert time.monotonic() - begun < DEADLINE
    # The text that is kept may be 16 MiB, in a buffer that doubles; zstd's window 8 MiB.
    assert resident(server) - before < 80 * MiB
    client.insert("t", ROWS).ok()


def test_the_limit_is_that_of_what_comes_out(start: Start) -> None:
    client = Client(start("--body-limit", "100000").port)
    body = upload("t")
    for coding, pack in REAL.values():
        headers = {"Content-Encoding": coding}
        client.post(INSERT, pack(body + b" " * (100_000 - len(body))), headers=headers).ok()
        client.post(INSERT, pack(body + b" " * (100_001 - len(body))), headers=headers).refused(
            413, "BODY_TOO_LARGE", "100000"
        )


def test_what_comes_out_counts_against_the_budget(start: Start) -> None:
    """One body alone always fits; beside another what it unpacks to must."""
    client = Client(start("--bytes-in-flight", "8MiB").port)
    packed = gzip.compress(upload("t") + b" " * (12 * MiB))
    headers = {"Content-Encoding": "gzip"}
    client.post(INSERT, packed, headers=headers).ok()
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=100, Expect="100-continue"))
        assert sock.recv(1000) == CONTINUE
        client.post(INSERT, packed, headers=headers).refused(503, "OVERLOADED")
        # What came out is given back.
        client.post(INSERT, gzip.compress(upload("t")), headers=headers).ok()
        sock.sendall(b"x" * 100)
        read_answer(sock).refused(400, "MALFORMED_JSON")
    client.post(INSERT, packed, headers=headers).ok()


def test_healthz_answers_while_a_bomb_unpacks(client: Client, bombs: dict[tuple[str, str], bytes]) -> None:
    body = bombs["gzip", "rows"]
    with client.connect() as sock:
        sock.sendall(
            head(INSERT, Content_Type=JSON, Content_Length=len(body), Content_Encoding="gzip") + body
        )
        slowest = 0.0
        for _ in range(20):
            begun = time.monotonic()
            client.request("GET", "/healthz").ok()
            slowest = max(slowest, time.monotonic() - begun)
        read_answer(sock).refused(413, "BODY_TOO_LARGE")
    assert slowest < DEADLINE
