"""Section 8 of the wire contract: who is let in, to what, and what a key can learn."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from ingot.cli import main
from ingot.http.needs import ON_A_TENANT, ON_ITS_TENANTS
from tests.faults.patience import until
from tests.http import older
from tests.http.client import (
    CREATE_TENANT,
    DELETE,
    DELETE_SUB_TENANT,
    DELETE_TENANT,
    GET,
    INSERT,
    JSON,
    NPY,
    SEARCH,
    SOURCES,
    STATS,
    STATUS,
    SUB_TENANTS,
    TENANTS,
    Answer,
    Client,
    pages,
    read_answer,
)
from tests.http.keys import KeyClient, create, key_id, revoke
from tests.http.server import ServerProcess
from tests.http.test_command import refuses_to_start

Start = Callable[..., ServerProcess]

#: One request of each path, for a tenant; the fields in a JSON body, but where there can be none.
REQUESTS: dict[str, tuple[str, dict[str, object]]] = {
    INSERT: ("POST", {"embeddings": [[1, 2]], "dry_run": True}),
    SEARCH: ("POST", {"query_embedding": [1, 2]}),
    GET: ("POST", {}),
    DELETE: ("POST", {"source_id": "nothing"}),
    STATUS: ("POST", {"file_ids": ["a"]}),
    STATS: ("GET", {}),
    "/tenants/stats": ("GET", {}),
    CREATE_TENANT: ("POST", {"metric": "cosine"}),
    SUB_TENANTS: ("GET", {}),
    SOURCES: ("GET", {}),
    DELETE_SUB_TENANT: ("DELETE", {"sub_tenant_id": "s"}),
    DELETE_TENANT: ("DELETE", {}),
    **older.REQUESTS,
}


def ask(client: Client, path: str, tenant: str) -> Answer:
    method, fields = REQUESTS[path]
    if method in ("GET", "DELETE"):
        return client.request(method, path, params={"tenant_id": tenant, **fields})
    body = json.dumps({"tenant_id": tenant, **fields}).encode()
    return client.request(method, path, body, {"Content-Type": JSON})


class Kept:
    """A server with keys: for everything, and for each right on tenant `mine` alone. There is a tenant `theirs`."""

    def __init__(self, data: Path) -> None:
        self.keys = {right: create(data, right, "mine") for right in ("read", "write", "admin")}
        self.keys["all"] = create(data, "admin")
        self.server = ServerProcess(data, "--log-format", "json", "--host", "0.0.0.0")
        self.fill("mine")
        self.fill("theirs")

    def fill(self, tenant: str) -> None:
        """What the tests of all paths find there; some of them delete it."""
        self.client("all").insert(tenant, [[1, 2], [3, 4]], file_id="a").ok()
        self.client("all").insert(tenant, [[1, 2]], file_id="a", sub_tenant_id="s").ok()

    def client(self, right: str | None) -> KeyClient:
        return KeyClient(self.server.port, None if right is None else self.keys[right])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = Kept(tmp_path_factory.mktemp("kept") / "data")
    with kept.server:
        yield kept


# Which paths need which key.


def test_every_path_that_takes_a_tenant_is_tried_here() -> None:
    assert set(REQUESTS) == set(ON_A_TENANT)


@pytest.mark.parametrize("path", [*REQUESTS, "/metrics", "/nope", "/docs/../metrics", "/embeddings/%69nsert"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_without_a_key_every_path_is_401(kept: Kept, path: str, method: str) -> None:
    answer = kept.client(None).request(method, path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="ingot"'
    if method != "HEAD":
        answer.refused(401, "UNAUTHENTICATED", "Authorization: Bearer ingot_")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("key", [None, "nonsense"])
def test_health_needs_no_key(kept: Kept, path: str, key: str | None) -> None:
    KeyClient(kept.server.port, key).request("GET", path).ok()


@pytest.mark.parametrize("path", ["/docs", "/docs/a.js", "/openapi.json", "/"])
def test_the_page_and_the_description_need_no_key(kept: Kept, path: str) -> None:
    assert kept.client(None).request("GET", path).status != 401


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("right", ["read", "write", "admin", "all"])
def test_a_path_takes_the_right_it_needs(kept: Kept, path: str, right: str) -> None:
    kept.fill("mine")
    answer = ask(kept.client(right), path, "mine")
    if right in ("admin", "all", ON_A_TENANT[path]):
        answer.ok()
    else:
        answer.refused(403, "FORBIDDEN", f"`{ON_A_TENANT[path]}`", key_id(kept.keys[right]))


def test_the_rights_are_those_that_are_documented() -> None:
    written = {INSERT, DELETE, DELETE_SUB_TENANT, older.UPLOAD, older.UPDATE, older.FIRST_DELETE}
    written |= {older.UNDERSCORED[INSERT], older.UNDERSCORED[DELETE]}
    assert {path for path, right in ON_A_TENANT.items() if right == "write"} == written
    administered = {CREATE_TENANT, DELETE_TENANT, older.CREATE}
    assert {path for path, right in ON_A_TENANT.items() if right == "admin"} == administered
    text = (Path(__file__).parents[2] / "docs/http.md").read_text()
    for path, right in [*ON_A_TENANT.items(), *ON_ITS_TENANTS.items()]:
        assert re.search(rf"^\| `[^|]*{path}[^|]*` \| {right} \|", text, re.MULTILINE), path


@pytest.mark.parametrize(("right", "status"), [("read", 403), ("write", 403), ("admin", 403), ("all", 200)])
def test_metrics_are_for_an_admin_of_all_tenants(kept: Kept, right: str, status: int) -> None:
    assert kept.client(right).request("GET", "/metrics").status == status


def test_a_good_key_is_told_of_a_path_that_does_not_exist(kept: Kept) -> None:
    kept.client("read").request("GET", "/nope").refused(404, "NOT_FOUND")
    kept.client("write").request("GET", INSERT).refused(405, "METHOD_NOT_ALLOWED")


# What a key can learn of another's tenant.


def without_its_id(answer: Answer) -> tuple[int, dict[str, str], str]:
    """All of an answer but what differs with every request."""
    own = answer.headers["x-request-id"]
    headers = {name: value.replace(own, "") for name, value in answer.headers.items() if name != "date"}
    return answer.status, headers, answer.body.decode().replace(own, "")


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("right", ["read", "write", "admin"])
def test_a_tenant_of_others_answers_like_one_that_does_not_exist(kept: Kept, path: str, right: str) -> None:
    answers = [ask(kept.client(right), path, tenant) for tenant in ("theirs", "nobodys")]
    assert without_its_id(answers[0]) == without_its_id(answers[1])
    answers[0].refused(403, "FORBIDDEN")
    assert "theirs" not in answers[0].body.decode()


@pytest.mark.parametrize("path", REQUESTS)
def test_a_tenant_in_a_parameter_is_judged_like_one_in_the_body(kept: Kept, path: str) -> None:
    method, fields = REQUESTS[path]
    client = kept.client("admin")
    with_body = method in ("POST", "PATCH")
    body, headers = (json.dumps(fields).encode(), {"Content-Type": JSON}) if with_body else (None, {})
    parameters = {} if with_body else fields
    for tenant, status in (("theirs", 403), ("nobodys", 403), ("mine", 200)):
        kept.fill("mine")
        params = {"tenant_id": tenant, **parameters}
        assert client.request(method, path, body, headers, params).status == status


@pytest.mark.parametrize("right", ["read", "admin"])
def test_a_key_is_told_of_its_own_tenants_and_of_no_other(kept: Kept, right: str) -> None:
    kept.fill("mine")
    client = kept.client(right)
    answer = client.request("GET", TENANTS, params={"limit": 1})
    assert answer.ok() == {"tenant_ids": ["mine"]}
    assert "x-next-cursor" not in answer.headers
    before = without_its_id(answer)
    # Neither a tenant that comes nor a cursor of somebody who sees it says more.
    kept.client("all").insert("theirs too", [[1]]).ok()
    assert without_its_id(client.request("GET", TENANTS, params={"limit": 1})) == before
    named = set()
    for page in pages(kept.client("all"), TENANTS, limit=1):
        named |= set(page.json["tenant_ids"])
        cursor = page.headers.get("x-next-cursor")
        if cursor is not None:
            found = client.request("GET", TENANTS, params={"cursor": cursor}).ok()["tenant_ids"]
            assert set(found) <= {"mine"}
    assert {"mine", "theirs", "theirs too"} <= named
    kept.client("write").request("GET", TENANTS).refused(403, "FORBIDDEN", "`read`")


def test_a_cursor_of_another_tenant_tells_nothing_of_it(kept: Kept) -> None:
    kept.fill("mine")
    mine, everything = kept.client("admin"), kept.client("all")
    foreign = everything.get("theirs", limit=1).headers["x-next-cursor"]
    mine.get("mine", limit=1, cursor=foreign).refused(422, "CONFLICTING_FIELDS", field="cursor")
    mine.get("theirs", limit=1, cursor=foreign).refused(403, "FORBIDDEN")
    params = {"tenant_id": "mine", "cursor": foreign}
    mine.request("GET", SOURCES, params=params).refused(422, "CONFLICTING_FIELDS")


def test_a_tenant_of_others_is_refused_whatever_its_dimension(kept: Kept) -> None:
    client, wide = kept.client("admin"), np.ones((1, 7), np.float32)
    for tenant in ("theirs", "nobodys"):
        client.insert(tenant, wide).refused(403, "FORBIDDEN")
        client.insert_npy(tenant, wide).refused(403, "FORBIDDEN")
        client.search(tenant, [1] * 7).refused(403, "FORBIDDEN")
        client.insert(tenant, [[1, 2]], file_id="a", upsert=False).refused(403, "FORBIDDEN")
    kept.client("all").request("GET", STATS, params={"tenant_id": "nobodys"}).refused(404, "TENANT_NOT_FOUND")


@pytest.mark.parametrize(
    "tenant", ["Mine", "mine ", "mine/../theirs", "mi\u0301ne", "min", "mine,theirs", "*", "all"]
)
def test_a_tenant_is_named_to_the_byte(kept: Kept, tenant: str) -> None:
    kept.client("read").get(tenant).refused(403, "FORBIDDEN")


def test_a_write_key_makes_its_own_tenant_and_no_other(start: Start, tmp_path: Path) -> None:
    key = create(tmp_path / "data", "write", "new one")
    client = KeyClient(start().port, key)
    client.insert("new one", [[1, 2]]).ok()
    client.insert("another", [[1, 2]]).refused(403, "FORBIDDEN")


def test_a_full_server_does_not_tell_how_much_others_send(start: Start, tmp_path: Path) -> None:
    mine, other = create(tmp_path / "data", "admin", "mine"), create(tmp_path / "data", "write", "theirs")
    client = KeyClient(start("--bytes-in-flight", "5000").port, mine)
    with client.connect() as sock:
        sock.sendall(
            f"POST {INSERT}?tenant_id=theirs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {other}\r\n"
            f"Content-Type: {NPY}\r\nContent-Length: 4321\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        detail = client.insert_npy("mine", np.ones((100, 10), np.float32)).refused(503, "OVERLOADED")
    assert "4321" not in detail["message"]


# Keys that are none.


def test_a_key_that_is_not_good_is_401_and_never_repeated(kept: Kept) -> None:
    good, stranger = kept.keys["read"], create(kept.server.data.parent / "elsewhere", "admin")
    forged = good[:19] + stranger[19:]
    for sent in (stranger, forged, good[:-1], good + "x", good.upper(), "x", "ingot_" + "a" * 12, "é" * 20):
        answer = Client(kept.server.port).request(
            "GET", STATS, headers={"Authorization": f"Bearer {sent}".encode().decode("latin-1")}
        )
        answer.refused(401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"].endswith('error="invalid_token"')
        assert sent not in answer.body.decode() or sent == "x"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "{}", "Basic {}", "Bearer {} {}", "Bearer: {}", "bearer{}"]
)
def test_a_header_of_another_form_is_401(kept: Kept, header: str) -> None:
    key = kept.keys["all"]
    answer = Client(kept.server.port).request(
        "GET", STATS, headers={"Authorization": header.replace("{}", key)}
    )
    answer.refused(401, "UNAUTHENTICATED")
    assert key not in answer.body.decode()


def test_the_scheme_is_read_in_any_case(kept: Kept) -> None:
    headers = {"Authorization": f"bEARER {kept.keys['read']}"}
    Client(kept.server.port).request("GET", STATS, headers=headers, params={"tenant_id": "mine"}).ok()


def test_two_keys_in_a_request_are_none(kept: Kept) -> None:
    sent = "".join(f"Authorization: Bearer {kept.keys[right]}\r\n" for right in ("read", "all"))
    head = f"GET {STATS}?tenant_id=mine HTTP/1.1\r\nHost: x\r\n{sent}\r\n"
    Client(kept.server.port).raw(head.encode()).refused(401, "UNAUTHENTICATED", "twice")


def test_a_key_is_judged_before_the_body_is_asked_for(kept: Kept) -> None:
    for key, status, code in ((None, 401, "UNAUTHENTICATED"), ("read", 403, "FORBIDDEN")):
        sent = "" if key is None else f"Authorization: Bearer {kept.keys[key]}\r\n"
        with Client(kept.server.port).connect() as sock:
            sock.sendall(
                f"POST {INSERT} HTTP/1.1\r\nHost: x\r\n{sent}Content-Type: {JSON}\r\nContent-Length: 100\r\n"
                "Expect: 100-continue\r\n\r\n".encode()
            )
            read_answer(sock).refused(status, code)


def test_a_tenant_in_a_parameter_is_judged_before_the_body_is_asked_for(kept: Kept) -> None:
    with Client(kept.server.port).connect() as sock:
        sock.sendall(
            f"POST {INSERT}?tenant_id=theirs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {kept.keys['admin']}\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        read_answer(sock).refused(403, "FORBIDDEN")


# The log.


def test_the_log_names_the_id_of_a_key_and_never_a_key(kept: Kept) -> None:
    client, key = kept.client("all"), kept.keys["all"]
    client.get("mine").ok()
    # Where no key belongs, and people put one all the same.
    client.get(key).refused(404, "TENANT_NOT_FOUND")
    client.request("GET", f"/{key}")
    client.request("GET", "/healthz", params={"api_key": key})
    client.request("GET", "/healthz", headers={"X-Request-Id": key})
    Client(kept.server.port).raw(f"GET / HTTP/1.1\r\nAuthorization: Bearer {key}\x01\r\n\r\n".encode())
    client.request("GET", "/healthz", headers={"X-Request-Id": "the-last"}).ok()
    kept.client("read").insert("mine", [[1, 2]], file_id="not-allowed").refused(403, "FORBIDDEN")
    kept.server.wait_for_line(f'"{key_id(kept.keys["read"])}".*insert-raw.*403')
    kept.server.wait_for_line("the-last")
    log = "\n".join(kept.server.lines)
    assert f'"key_id": "{key_id(key)}"' in log
    for key in kept.keys.values():
        assert key.split("_")[2][:20] not in log


# Without a restart.


def test_the_first_key_closes_a_running_server(start: Start, tmp_path: Path) -> None:
    server = start()
    Client(server.port).insert("t", [[1, 2]]).ok()
    key = create(tmp_path / "data", "read")
    until(lambda: Client(server.port).get("t").status == 401)
    KeyClient(server.port, key).get("t").ok()
    server.wait_for_line("has changed, keys in it: 1")


def test_a_revoked_key_is_refused_and_the_others_are_not(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    key, other = create(data, "read"), create(data, "admin")
    server = start()
    KeyClient(server.port, other).insert("t", [[1, 2]]).ok()
    KeyClient(server.port, key).get("t").ok()
    revoke(data, key_id(key))
    until(lambda: KeyClient(server.port, key).get("t").status == 401)
    KeyClient(server.port, key).get("t").refused(401, "UNAUTHENTICATED", "was revoked")
    KeyClient(server.port, other).get("t").ok()


def test_an_open_connection_does_not_outlive_its_key(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = create(data, "admin")
    with Client(start().port).connect() as sock:

        def ask() -> Answer:
            sock.sendall(f"GET /nope HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
            return read_answer(sock)

        ask().refused(404, "NOT_FOUND")
        revoke(data, key)
        until(lambda: ask().status == 401)


def test_a_key_expires_while_the_server_runs(start: Start, tmp_path: Path) -> None:
    create(tmp_path / "data", "admin")
    server = start()
    # Once the server runs: what is left of the time is for one command and one look at the file.
    soon = datetime.now(timezone.utc) + timedelta(seconds=4)
    key = create(tmp_path / "data", "read", flags=("--expires", soon.strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
    client = KeyClient(server.port, key)
    until(lambda: client.get("t").status == 404)
    until(lambda: client.get("t").status == 401)
    client.get("t").refused(401, "UNAUTHENTICATED", "has expired")
    assert datetime.now(timezone.utc) >= soon


def test_with_its_last_key_gone_a_server_stays_closed_for_ever(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = create(data, "admin")
    revoke(data, key)
    server = start()
    Client(server.port).get("t").refused(401, "UNAUTHENTICATED")
    (data / "keys.json").unlink()
    Client(server.port).get("t").refused(401, "UNAUTHENTICATED")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 1, "keys": "none"}', b"\xff", None])
def test_a_damaged_key_file_changes_nothing(start: Start, tmp_path: Path, damage: bytes | None) -> None:
    file = tmp_path / "data/keys.json"
    key = create(file.parent, "admin")
    server = start()
    good = file.read_bytes()
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    # A request has the server look.
    until(lambda: KeyClient(server.port, key).get("t").status == 404 and "hold" in "".join(server.lines))
    Client(server.port).get("t").refused(401, "UNAUTHENTICATED")
    file.write_bytes(good.replace(b'"admin"', b'"write"'))
    until(lambda: KeyClient(server.port, key).get("t").status == 403)


# Without any key, and with one at start.


def test_without_a_key_only_this_machine_is_served_and_told_how_to_make_one(tmp_path: Path) -> None:
    line = refuses_to_start("serve", "--data", str(tmp_path / "data"), "--host", "0.0.0.0")
    assert f"ingot keys create --data {tmp_path / 'data'} --rights admin --all-tenants" in line
    assert "--insecure" in line


def test_with_a_key_any_address_and_host_will_do(kept: Kept) -> None:
    head = f"GET {STATS}?tenant_id=mine HTTP/1.1\r\nHost: db.example.com\r\nOrigin: https://a.example\r\n"
    Client(kept.server.port).raw(f"{head}Authorization: Bearer {kept.keys['read']}\r\n\r\n".encode()).ok()
    kept.server.wait_for_line("without TLS")


ADMIN_KEY = "0123456789abcdef" * 4


def test_a_key_may_be_given_at_start(start: Start, tmp_path: Path) -> None:
    server = start("--host", "0.0.0.0", environment={"INGOT_ADMIN_KEY": ADMIN_KEY})
    client = KeyClient(server.port, ADMIN_KEY)
    client.insert("t", [[1, 2]]).ok()
    client.get(ADMIN_KEY).refused(404, "TENANT_NOT_FOUND")
    Client(server.port).get("t").refused(401, "UNAUTHENTICATED")
    KeyClient(server.port, ADMIN_KEY[:-1]).get("t").refused(401, "UNAUTHENTICATED")
    # Beside keys from the command, and in no file.
    key = create(tmp_path / "data", "read")
    until(lambda: KeyClient(server.port, key).get("t").status == 200)
    client.get("t").ok()
    assert ADMIN_KEY not in (tmp_path / "data/keys.json").read_text()
    server.wait_for_line("key_id=admin tenant=t ")
    server.terminate()
    server.exit_code()
    assert ADMIN_KEY not in "\n".join(server.lines)


def test_a_key_given_at_start_closes_the_directory_for_ever(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    key = create(tmp_path / "elsewhere", "read")
    file.write_text(key + "\n")
    server = start("--admin-key-file", str(file))
    KeyClient(server.port, key).insert("t", [[1, 2]]).ok()
    server.wait_for_line(f"key_id={key_id(key)} ")
    server.terminate()
    assert server.exit_code() == 0
    client = Client(start().port)
    client.get("t").refused(401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "32..255"),
        ("x" * 31, "32..255"),
        ("x y " * 20, "32..255"),
        ("é" * 40, "32..255"),
        ('"' * 40, "32..255"),
        ("mistyped", "checksum"),
    ],
)
def test_a_key_at_start_that_is_none_refuses_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, words: str
) -> None:
    if key == "mistyped":
        key = "ingot_" + "a" * 12 + "_" + "b" * 49
    file = tmp_path / "admin.key"
    file.write_text(key)

    def refused(*flags: str) -> str:
        assert main(["serve", "--data", str(tmp_path / "data"), *flags]) == 2
        return capsys.readouterr().err

    assert words in refused("--admin-key-file", str(file))
    assert "no-such-file" in refused("--admin-key-file", str(tmp_path / "no-such-file"))
    monkeypatch.setenv("INGOT_ADMIN_KEY", key)
    line = refused()
    assert words in line
    assert not key or key not in line
    assert "both" in refused("--admin-key-file", str(file))
    assert not (tmp_path / "data").exists()
