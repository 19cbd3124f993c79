"""Section 2 of the wire contract: the error body everywhere, broken HTTP included; and the table of errors."""

import ast
import pickle
import re
from pathlib import Path

import pytest

from ingot import error_words, errors, limits
from tests.http.client import DELETE, INSERT, SEARCH, STATS, Client, read_answer

ENGINE = Path(__file__).parents[2] / "rust" / "engine" / "src"


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/docs/",
        "/docs/page.html",
        "/docs/..",
        "/embeddings",
        "/healthz/",
        "//healthz",
        "/%2e%2e",
        "/%C3%A9",
        "/a%00b",
    ],
)
def test_unknown_paths_are_404(client: Client, path: str) -> None:
    client.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).refused(404, "NOT_FOUND")


def test_a_path_that_is_nearly_one_is_404_that_names_it(client: Client) -> None:
    client.post("/embeddings/insert-raw-embedings", {}).refused(404, "NOT_FOUND", INSERT)


def test_an_encoded_path_is_the_path(client: Client) -> None:
    client.request("GET", "/h%65althz").ok()


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", INSERT, "POST"),
        ("PUT", DELETE, "DELETE, POST"),
        ("OPTIONS", SEARCH, "POST"),
        ("POST", STATS, "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("PATCH", "/readyz", "GET, HEAD"),
    ],
)
def test_other_methods_are_405_with_allow(client: Client, method: str, path: str, allow: str) -> None:
    answer = client.request(method, path)
    answer.refused(405, "METHOD_NOT_ALLOWED", method, allow)
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_head_works_wherever_get_does(client: Client, path: str) -> None:
    get, head = client.request("GET", path), client.request("HEAD", path)
    assert get.ok() == {"status": "ok"}
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls\r\n\r\n",
        b"FETCH /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
        b"GET /healthz HTPT/1.1\r\n" + HOST + b"\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET  HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"no colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"Bad Name: x\r\n\r\n",
        b"POST " + INSERT.encode() + b" HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST " + INSERT.encode() + b" HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
        b"POST " + INSERT.encode() + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 2\r\n\r\n12",
        b"POST "
        + INSERT.encode()
        + b" HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"POST "
        + INSERT.encode()
        + b" HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    ],
)
def test_broken_http_gets_the_error_body(client: Client, request_bytes: bytes) -> None:
    answer = client.raw(request_bytes)
    answer.refused(400, "MALFORMED_BODY")
    client.request("GET", "/healthz").ok()


def test_a_broken_chunk_gets_the_error_body(client: Client) -> None:
    head = f"POST {INSERT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with client.connect() as sock:
        sock.sendall(head.encode() + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b'5\r\n{"ten\r\nzz\r\nxx\r\n')
        read_answer(sock).refused(400, "MALFORMED_BODY", "transfer encoding")


def test_a_long_request_line_is_414(client: Client) -> None:
    fits = "/healthz?" + "a" * (16 * 1024 - len("/healthz?"))
    # It fits, and is judged as what it is.
    client.request("GET", STATS + "?" + "a" * (16 * 1024 - len(STATS) - 1)).refused(422, "UNKNOWN_FIELD")
    client.request("GET", fits + "a").refused(414, "URI_TOO_LONG", "16384")
    client.request("GET", "/healthz?" + "a" * 1_000_000).refused(414, "URI_TOO_LONG")


def test_large_headers_are_431(client: Client) -> None:
    client.request("GET", "/healthz", headers={"X-Big": "a" * 16_000}).ok()
    client.request("GET", "/healthz", headers={"X-Big": "a" * 17_000}).refused(431, "HEADERS_TOO_LARGE")
    client.request("GET", "/healthz", headers={f"X-{i}": "a" for i in range(200)}).refused(
        431, "HEADERS_TOO_LARGE"
    )


@pytest.mark.parametrize("sent", ["a", "req-1/2:3", "!" + "~" * 127])
def test_a_valid_request_id_is_kept(client: Client, sent: str) -> None:
    assert client.request("GET", "/healthz", headers={"X-Request-Id": sent}).headers["x-request-id"] == sent
    answer = client.request("GET", "/nope", headers={"X-Request-Id": sent})
    assert answer.refused(404, "NOT_FOUND")["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a" * 129, "\u00e9", "a\tb"])
def test_an_invalid_request_id_is_replaced(client: Client, sent: str) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {sent}\r\n\r\n"
    made = client.raw(head.encode()).headers["x-request-id"]
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", made)


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.evil.com", "10.0.0.1", "evil.com:80", "[::2]", "a@localhost"]
)
def test_a_host_that_is_not_this_machine_is_refused(client: Client, host: str) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"
    client.raw(head.encode()).refused(403, "FORBIDDEN", "Host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:99", "[::1]:80", "x.localhost"]
)
def test_every_loopback_host_is_answered(client: Client, host: str) -> None:
    client.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).ok()


def test_a_foreign_origin_is_refused(client: Client) -> None:
    for origin in ("https://evil.com", "null", "http://localhost:1", f"http://evil.com:{client.port}", "x"):
        client.request("GET", "/healthz", headers={"Origin": origin}).refused(403, "FORBIDDEN", "origin")
    for origin in (f"http://127.0.0.1:{client.port}", f"http://localhost:{client.port}"):
        client.request("GET", "/healthz", headers={"Origin": origin}).ok()


# The table of errors.


def engine_variants() -> dict[str, set[str]]:
    """Variant -> names of its fields, read from the engine's source."""
    return {name: set(re.findall(r"(\w+):", fields)) for name, fields in engine_fields().items()}


def engine_fields() -> dict[str, str]:
    """Variant -> its fields and their types as they stand in the engine's source."""
    source = (ENGINE / "error.rs").read_text()
    body = re.search(r"pub enum Error \{(.*?)\n\}", source, re.DOTALL)
    assert body
    text = re.sub(r"//[^\n]*", "", body.group(1))
    variants = re.findall(r"^    (\w+)(?: \{(.*?)^    \})?,", text, re.DOTALL | re.MULTILINE)
    assert len(variants) > 20
    return dict(variants)


SAMPLES = {
    "row": 17,
    "column": 803,
    "value": "1e39",
    "expected": 384,
    "got": 385,
    "field": "embeddings",
    "limit": 2000,
    "offset": 12,
    "reason": "because",
    "encoding": "gzip",
    "bytes": 70_000,
    "maximum": 1000,
    "source_id": "s",
    "chunk_id": "c",
    "other": "o",
    "first": 3,
    "ids": 2,
    "rows": 3,
    "pid": 99,
    "found": 2,
    "supported": 1,
    "metric": "l2",
    "dimension": 384,
    "asked_metric": "ip",
    "asked_dimension": 385,
}


@pytest.mark.parametrize("variant", sorted(engine_variants()))
def test_every_engine_error_has_a_class_and_words(variant: str) -> None:
    fields = {name: SAMPLES[name] for name in engine_variants()[variant]}
    error = error_words.from_engine(variant, fields)
    if variant == "Interrupted":
        assert isinstance(error, KeyboardInterrupt)
        return
    assert isinstance(error, errors.IngotError)
    assert type(error) is not errors.InternalError
    assert str(error)
    for name, value in fields.items():
        if name not in ("bytes", "maximum", "found", "supported"):
            assert getattr(error, name) == value
    optional = dict.fromkeys(re.findall(r"(\w+): Option<", engine_fields()[variant]))
    assert "None" not in str(error_words.from_engine(variant, {**fields, **optional}))


def test_positions_are_written_as_the_contract_does() -> None:
    error = error_words.from_engine("NonFinite", {"row": 17, "column": 803, "value": "1e39"})
    assert str(error) == "row 17, column 803: 1e39 is not finite as float32"
    query = error_words.from_engine("NonFinite", {"row": None, "column": 3, "value": "-inf"})
    assert str(query) == "column 3: -inf is not finite as float32"


def test_errors_stand_alone() -> None:
    """The module runs by itself: neither the engine nor the server is needed to catch its exceptions."""
    path = Path(errors.__file__)
    tree = ast.parse(path.read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"typing"}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_errors_survive_pickling() -> None:
    error = errors.NonFiniteValue("not finite", row=17, column=803, value="1e39")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.row, copy.column, copy.value) == (str(error), 17, 803, "1e39")


def test_every_error_code_is_in_the_contract() -> None:
    codes = {
        "MALFORMED_JSON",
        "MALFORMED_NPY",
        "MALFORMED_BODY",
        "NON_FINITE_VALUE",
        "ZERO_VECTOR",
        "DIMENSION_MISMATCH",
        "INVALID_ID",
        "INVALID_LIMIT",
        "DIGEST_MISMATCH",
        "FILTER_SYNTAX",
        "DUPLICATE_CHUNK_ID",
        "UNAUTHENTICATED",
        "FORBIDDEN",
        "TENANT_NOT_FOUND",
        "SUB_TENANT_NOT_FOUND",
        "NOT_FOUND",
        "METHOD_NOT_ALLOWED",
        "BODY_TIMEOUT",
        "BODY_TOO_LARGE",
        "URI_TOO_LONG",
        "UNSUPPORTED_MEDIA_TYPE",
        "HEADERS_TOO_LARGE",
        "ALREADY_EXISTS",
        "TENANT_SETTINGS_DIFFER",
        "CURSOR_EXPIRED",
        "OVER_QUOTA",
        "MISSING_FIELD",
        "UNKNOWN_FIELD",
        "WRONG_TYPE",
        "CONFLICTING_FIELDS",
        "RAGGED_ROWS",
        "EMPTY_EMBEDDINGS",
        "TOO_MANY_ROWS",
        "TOO_MANY_COLUMNS",
        "OVERLOADED",
        "STARTING",
        "DRAINING",
        "TENANT_READ_ONLY",
        "INTERNAL",
        "OUTCOME_UNKNOWN",
        "STORAGE_FAILED",
        "CORRUPT_DATA",
        "DISK_FULL",
    }

    def tree(cls: type[errors.IngotError]) -> list[type[errors.IngotError]]:
        return [cls, *(found for sub in cls.__subclasses__() for found in tree(sub))]

    assert {cls.error_code for cls in tree(errors.IngotError)} == codes
    shown = errors.__doc__ or ""
    for cls in tree(errors.IngotError):
        assert re.search(rf"\b{cls.__name__}\b", shown), (
            f"{cls.__name__} is not in the tree that the module shows"
        )


def test_limits_are_those_of_the_engine() -> None:
    source = (ENGINE / "limits.rs").read_text()
    for here, there in {
        "MAX_ROWS": "MAX_ROWS",
        "MAX_COLUMNS": "MAX_DIMENSION",
        "MAX_TENANT_ID": "MAX_TENANT_ID",
        "MAX_SOURCE_ID": "MAX_SOURCE_ID",
        "MAX_CHUNK_ID": "MAX_CHUNK_ID",
        "MAX_METADATA": "MAX_METADATA",
        "MAX_SEARCH_LIMIT": "MAX_LIMIT",
        "MAX_NAMES_LIMIT": "MAX_PAGE_NAMES",
    }.items():
        found = re.search(rf"const {there}: usize = ([\d *]+);", source)
        assert found, there
        number = 1
        for factor in found.group(1).split("*"):
            number *= int(factor)
        assert getattr(limits, here) == number
