"""Section 10 of the wire contract: early verdicts, slow and vanishing clients, limits, drain."""

import json
import socket
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.http.client import INSERT, JSON, NPY, SEARCH, STATS, Answer, Client, npy, read_answer
from tests.http.footprint import sample
from tests.http.server import DEADLINE, ServerProcess

Start = Callable[..., ServerProcess]


def head(path: str, **headers: object) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"Host": "localhost", **headers}.items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()


def upload(tenant: str, rows: int = 2) -> bytes:
    return json.dumps(
        {"tenant_id": tenant, "file_id": "a", "embeddings": [[1, i] for i in range(rows)]}
    ).encode()


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Early verdicts.


def test_a_client_that_asks_is_told_to_go_on(client: Client, tenant: str) -> None:
    body = upload(tenant)
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=len(body), Expect="100-continue"))
        assert sock.recv(1000) == CONTINUE
        sock.sendall(body)
        read_answer(sock).ok()


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (INSERT, {"Content_Type": JSON, "Content_Length": 256 * 1024 * 1024 + 1}, 413, "BODY_TOO_LARGE"),
        (INSERT, {"Content_Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (INSERT, {"Content_Type": JSON, "Content_Encoding": "br"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (INSERT + "?tenat_id=t", {"Content_Type": JSON}, 422, "UNKNOWN_FIELD"),
        (INSERT + "?upsert=maybe&tenant_id=t", {"Content_Type": NPY}, 422, "WRONG_TYPE"),
        (INSERT + "?tenant_id=%01", {"Content_Type": JSON}, 400, "INVALID_ID"),
        (INSERT, {"Content_Type": NPY}, 422, "MISSING_FIELD"),
        (INSERT, {"Content_Type": JSON, "Origin": "http://evil.com"}, 403, "FORBIDDEN"),
        ("/nope", {"Content_Type": JSON}, 404, "NOT_FOUND"),
        ("/healthz", {"Content_Type": JSON}, 405, "METHOD_NOT_ALLOWED"),
    ],
)
@pytest.mark.parametrize("expect", [True, False])
def test_a_verdict_on_the_headers_comes_before_the_body(
    client: Client, path: str, headers: dict[str, object], status: int, code: str, expect: bool
) -> None:
    headers = {"Content_Length": 1000, **headers, **({"Expect": "100-continue"} if expect else {})}
    with client.connect() as sock:
        sock.sendall(head(path, **headers))
        answer = read_answer(sock)
    answer.refused(status, code)
    assert (answer.headers.get("connection") == "close") is expect


def test_an_early_verdict_keeps_the_connection_for_the_next_request(client: Client, tenant: str) -> None:
    body = upload(tenant)
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type="text/plain", Content_Length=300_000))
        read_answer(sock).refused(415, "UNSUPPORTED_MEDIA_TYPE")
        sock.sendall(b"x" * 300_000 + head(INSERT, Content_Type=JSON, Content_Length=len(body)) + body)
        read_answer(sock).ok()


def test_a_verdict_on_the_first_bytes_does_not_wait_for_the_rest(client: Client) -> None:
    with client.connect() as sock:
        sock.sendall(
            head(INSERT, Content_Type=JSON, Content_Length=100_000) + b'{"embeddings": [[1, 2], [NaN'
        )
        sock.sendall(b" " * 50_000)
        read_answer(sock).refused(400, "MALFORMED_JSON")


def test_a_chunked_body_over_the_limit_is_413(start: Start) -> None:
    client = Client(start("--body-limit", "100000").port)
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Transfer_Encoding="chunked"))
        sock.sendall(b"186a1\r\n" + b" " * 100_001 + b"\r\n")
        read_answer(sock).refused(413, "BODY_TOO_LARGE", "100000")
    body = upload("t")
    assert (
        client.request("POST", INSERT, body + b" " * (100_000 - len(body)), {"Content-Type": JSON}).status
        == 200
    )
    client.request("POST", INSERT, body + b" " * (100_001 - len(body)), {"Content-Type": JSON}).refused(
        413, "BODY_TOO_LARGE", "100001", "100000"
    )


def test_a_chunked_body_is_a_body(client: Client, tenant: str) -> None:
    body = upload(tenant)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7)
    )
    client.raw(head(INSERT, Content_Type=JSON, Transfer_Encoding="chunked") + chunks + b"0\r\n\r\n").ok()
    assert len(client.get(tenant).ok()) == 2


def test_a_body_in_single_bytes_is_a_body(client: Client, tenant: str) -> None:
    body = upload(tenant, 5)
    with client.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=len(body)))
        for byte in body:
            sock.sendall(bytes([byte]))
        assert read_answer(sock).ok()["insert_count"] == 5


def test_pipelined_requests_are_answered_in_order(client: Client, tenant: str) -> None:
    body = upload(tenant)
    one = head(INSERT, Content_Type=JSON, Content_Length=len(body)) + body
    stats = f"GET {STATS}?tenant_id={tenant} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with client.connect() as sock:
        sock.sendall(one + one + stats)
        file = sock.makefile("rb")
        answers = [read_pipelined(file) for _ in range(3)]
    assert [answer.json.get("overwritten", "stats") for answer in answers] == [0, 2, "stats"]


def read_pipelined(file: object) -> Answer:
    status = int(file.readline().split()[1])  # type: ignore[attr-defined]
    headers = {}
    while line := file.readline().strip():  # type: ignore[attr-defined]
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return Answer(status, headers, file.read(int(headers["content-length"])))  # type: ignore[attr-defined]


def test_answers_are_not_compressed(client: Client, tenant: str) -> None:
    headers = {"Accept-Encoding": "gzip, deflate, br, zstd"}
    client.insert_npy(tenant, np.ones((1000, 4), np.float32)).ok()
    for path in ("/openapi.json", "/docs", "/healthz"):
        assert "content-encoding" not in client.request("GET", path, headers=headers).headers
    fields = {"tenant_id": tenant, "query_embedding": [1, 1, 1, 1], "limit": 1000}
    answer = client.post(SEARCH, fields, headers=headers)
    assert "content-encoding" not in answer.headers
    assert len(answer.ok()) == 1000


# Slow and vanishing clients.


def test_a_body_that_stalls_is_408(start: Start) -> None:
    client = Client(start("--body-grace", "0.2", "--body-rate", "1000").port)
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=100_000) + b'{"tenant_id": "t",')
        answer = read_answer(sock)
        answer.refused(408, "BODY_TIMEOUT", "1000 bytes a second")
        assert answer.headers["connection"] == "close"
        assert sock.recv(10) == b""
    client.get("t").refused(404, "TENANT_NOT_FOUND")


def test_a_body_over_its_deadline_is_408(start: Start) -> None:
    client = Client(start("--body-timeout", "0.3", "--body-rate", "0").port)
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=100_000) + b'{"tenant_id": "t",')
        read_answer(sock).refused(408, "BODY_TIMEOUT", "0.3 s")


def test_a_client_that_vanishes_within_its_body_stores_nothing(client: Client, tenant: str) -> None:
    body = upload(tenant)
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        with client.connect() as sock:
            sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=len(body)) + body[:cut])
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


def test_a_client_that_vanishes_after_its_body_stores_all_or_nothing(client: Client, tenant: str) -> None:
    array = np.random.default_rng(1).standard_normal((500, 64)).astype(np.float32)
    body = npy(array)
    path = f"{INSERT}?tenant_id={tenant}&file_id=a"
    for _ in range(5):
        with client.connect() as sock:
            sock.sendall(head(path, Content_Type=NPY, Content_Length=len(body)) + body)
    client.insert_npy(tenant, array[:1], file_id="z").ok()
    assert len(client.get(tenant, source_id="a", limit=1000).ok()) in (0, 500)


# Too much at once.


def test_bodies_beyond_the_budget_are_503(start: Start) -> None:
    client = Client(start("--bytes-in-flight", "1MiB").port)
    body = upload("t")
    with client.connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=1 << 20, Expect="100-continue"))
        assert sock.recv(1000) == CONTINUE
        client.request("POST", INSERT, body, {"Content-Type": JSON}).refused(503, "OVERLOADED")
        client.request("GET", "/healthz").ok()
    deadline = time.monotonic() + DEADLINE
    while (answer := client.request("POST", INSERT, body, {"Content-Type": JSON})).status == 503:
        assert time.monotonic() < deadline
    answer.ok()


def test_one_body_over_the_budget_is_taken_when_nothing_else_is(start: Start) -> None:
    client = Client(start("--bytes-in-flight", "10").port)
    body = upload("t")
    client.request("POST", INSERT, body, {"Content-Type": JSON}).ok()
    start_of_chunked = head(INSERT, Content_Type=JSON, Transfer_Encoding="chunked")
    with client.connect() as sock:
        # In two pieces, each alone over the budget; the first is counted before the second is sent.
        sock.sendall(start_of_chunked + b"%x\r\n%s\r\n" % (20, body[:20]))
        deadline = time.monotonic() + DEADLINE
        while sample(client, "ingot_body_bytes_in_flight") < 20:
            assert time.monotonic() < deadline
        sock.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) - 20, body[20:]))
        read_answer(sock).ok()


def test_healthz_answers_during_a_large_json_upload(client: Client, tenant: str) -> None:
    text = json.dumps(np.random.default_rng(2).standard_normal((500, 3024)).tolist()).encode()
    body = b'{"tenant_id": "%s", "file_id": "a", "embeddings": %s}' % (tenant.encode(), text)
    answers: list[Answer] = []
    sending = threading.Thread(
        target=lambda: answers.append(client.request("POST", INSERT, body, {"Content-Type": JSON}))
    )
    sending.start()
    asked = 0
    while sending.is_alive():
        client.request("GET", "/healthz").ok()
        asked += 1
    sending.join()
    assert asked > 0
    assert answers[0].ok()["insert_count"] == 500


# Stopping.


def test_a_stop_finishes_what_was_begun_and_exits_0(start: Start) -> None:
    server = start()
    client = Client(server.port)
    body = upload("t")
    with client.connect() as busy, client.connect() as idle:
        idle.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_answer(idle).ok()
        busy.sendall(head(INSERT, Content_Type=JSON, Content_Length=len(body), Expect="100-continue"))
        assert busy.recv(1000) == CONTINUE
        server.terminate()
        server.wait_for_line("SIGTERM received, draining")
        # New connections are refused, the open one hears why.
        with pytest.raises(ConnectionError):
            client.connect()
        idle.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = read_answer(idle)
        answer.refused(503, "DRAINING")
        assert answer.headers["connection"] == "close"
        busy.sendall(body)
        answer = read_answer(busy)
        answer.ok()
        assert answer.headers["connection"] == "close"
    assert server.exit_code() == 0
    server.wait_for_line("stopped")
    again = start(data=server.data)
    assert len(Client(again.port).get("t").ok()) == 2


def test_a_stop_cuts_off_what_takes_too_long(start: Start) -> None:
    server = start("--drain-timeout", "0.2")
    with Client(server.port).connect() as sock:
        sock.sendall(head(INSERT, Content_Type=JSON, Content_Length=10, Expect="100-continue"))
        assert sock.recv(1000) == CONTINUE
        server.terminate()
        assert server.exit_code() == 0
        server.wait_for_line("1 requests are cut off")


def test_a_stop_with_nothing_to_do_is_quick_and_keeps_the_data(start: Start) -> None:
    server = start()
    Client(server.port).insert("t", [[1, 2]], file_id="a").ok()
    with Client(server.port).connect():
        server.terminate()
        assert server.exit_code() == 0
    again = start(data=server.data)
    assert [item["source_id"] for item in Client(again.port).get("t").ok()] == ["a"]
