"""Section 4 of the wire contract: pages of rows, all of one snapshot, whatever happens between them."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from ingot import limits
from tests.http.client import Answer, Client
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
CURSOR = "x-next-cursor"
DIMENSION = 4


def walk(client: Client, tenant: str, **fields: Any) -> Iterator[Answer]:
    """The pages of one request; an error is the last."""
    while True:
        answer = client.get(tenant, **fields)
        yield answer
        if CURSOR not in answer.headers:
            return
        fields["cursor"] = answer.headers[CURSOR]


def ids(answer: Answer) -> list[str]:
    return [item["embedding"]["chunk_id"] for item in answer.json]


def rows(version: int, count: int) -> np.ndarray:
    """Every number says which upload it is of."""
    return np.full((count, DIMENSION), version + 1, np.float32)


def test_pages_are_the_whole_in_insertion_order(client: Client, tenant: str) -> None:
    for number in range(4):
        client.insert_npy(tenant, rows(number, 5), file_id=f"s{number}").ok()
    whole = [f"s{number}_{row}" for number in range(4) for row in range(5)]
    for limit in (1, 3, 5, 19, 20, 21):
        found = list(walk(client, tenant, limit=limit))
        assert [name for page in found for name in ids(page)] == whole
        assert all(len(ids(page)) == limit for page in found[:-1])
        assert len(found) == -(-20 // limit)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"source_id": "b"}, [f"b_{row}" for row in range(7)]),
        ({"chunk_ids": ["c_1", "b_2", "a_0", "nothing", "b_2", "b_9"]}, ["a_0", "b_2", "c_1"]),
        ({"source_id": "nothing"}, []),
    ],
)
def test_every_selection_comes_in_pages(
    client: Client, tenant: str, selector: dict[str, Any], expected: list[str]
) -> None:
    for name in "abc":
        client.insert_npy(tenant, rows(0, 7), file_id=name).ok()
    for limit in (1, 2, 100):
        found = [name for page in walk(client, tenant, limit=limit, **selector) for name in ids(page)]
        assert found == expected


def test_a_page_may_be_longer_than_the_one_before_and_have_vectors(client: Client, tenant: str) -> None:
    client.insert_npy(tenant, rows(0, 10), file_id="a").ok()
    cursor = client.get(tenant, limit=2).headers[CURSOR]
    rest = client.get(tenant, limit=5, cursor=cursor, output_fields=["embedding"])
    assert ids(rest) == [f"a_{row}" for row in range(2, 7)]
    assert rest.json[0]["embedding"]["embedding"] == [1.0] * DIMENSION
    # A cursor is good for more than one request.
    assert ids(client.get(tenant, limit=1, cursor=cursor)) == ["a_2"]


def test_a_page_ends_before_64_mib(client: Client, tenant: str) -> None:
    vectors = np.random.default_rng(4).standard_normal((1200, 3024)).astype(np.float32)
    client.insert_npy(tenant, vectors, file_id="a", document_metadata='{"k":"v"}').ok()
    found = list(walk(client, tenant, limit=1200, output_fields=["embedding"]))
    assert len(found) == 2
    assert 0.99 * limits.MAX_PAGE_BYTES < len(found[0].body) <= limits.MAX_PAGE_BYTES + 2
    items = [item for page in found for item in orjson.loads(page.body)]
    assert [item["embedding"]["chunk_id"] for item in items] == [f"a_{row}" for row in range(1200)]
    answered = np.array([item["embedding"]["embedding"] for item in items], np.float32)
    assert answered.tobytes() == vectors.tobytes()
    assert len(client.get(tenant, limit=1200).ok()) == 1200


def churn(client: Client, tenant: str, chooser: random.Random, version: int) -> None:
    """One change: an overwrite, a new source, or deletions."""
    name = f"s{chooser.randrange(12)}"
    match chooser.randrange(4):
        case 0:
            client.delete(tenant, source_id=name).ok()
        case 1:
            client.delete(tenant, chunk_ids=[f"{name}_{row}" for row in range(0, 40, 3)]).ok()
        case 2:
            client.insert_npy(
                tenant, rows(version, chooser.randrange(1, 40)), file_id=f"new{version % 30}"
            ).ok()
        case _:
            client.insert_npy(tenant, rows(version, chooser.randrange(1, 40)), file_id=name).ok()


@pytest.mark.parametrize("seed", range(6))
def test_all_pages_show_the_moment_of_the_first(client: Client, tenant: str, seed: int) -> None:
    chooser = random.Random(seed)
    version = 0
    for version in range(40):
        churn_or_fill(client, tenant, chooser, version)
    selectors: list[dict[str, Any]] = [
        {},
        {"source_id": "s3"},
        {"chunk_ids": [f"s{source}_{row}" for source in range(12) for row in range(0, 40, 2)]},
    ]
    shown = 0
    for turn in range(6):
        for selector in selectors:
            whole = client.get(tenant, limit=10_000, output_fields=["embedding"], **selector).ok()
            found: list[Any] = []
            limit = chooser.randrange(1, 40)
            for page in walk(client, tenant, limit=limit, output_fields=["embedding"], **selector):
                if page.status == 410:
                    # So much has died that what lives is laid out anew.
                    page.refused(410, "CURSOR_EXPIRED")
                    whole = whole[: len(found)]
                    break
                found += page.ok()
                for _ in range(chooser.randrange(3)):
                    version += 1
                    churn(client, tenant, chooser, version)
            else:
                shown += 1
            assert found == whole, f"seed {seed}, turn {turn}, {selector}"
    assert shown > 9, f"seed {seed}: {shown} of 18 were shown to their end"


def test_walks_of_one_snapshot_at_the_same_time_find_the_same(client: Client, tenant: str) -> None:
    """Two walks from one cursor, and what changes beside them; each row as the snapshot had it, once."""
    for version in range(12):
        client.insert_npy(tenant, rows(version, 20), file_id=f"s{version}").ok()
    over = threading.Event()
    problems: list[object] = []

    def change(seed: int) -> None:
        chooser = random.Random(seed)
        version = 1000 * seed
        while not over.is_set():
            version += 1
            try:
                churn(client, tenant, chooser, version)
            except AssertionError as problem:
                problems.append(problem)
                return

    threads = [threading.Thread(target=change, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    shown = 0
    try:
        for limit in range(3, 40, 3):
            first = client.get(tenant, limit=1)
            cursor = first.headers[CURSOR]
            whole = client.get(tenant, limit=10_000, cursor=cursor, output_fields=["embedding"])
            found: list[Any] = []
            pages = walk(client, tenant, limit=limit, output_fields=["embedding"], cursor=cursor)
            for page in pages:
                if page.status == 410:
                    break
                found += page.ok()
            else:
                shown += 1
                assert whole.status == 200
            if whole.status == 200:
                assert found == whole.json[: len(found)], limit
                names = ids(first) + ids(whole)
                assert len(names) == len(set(names)), "a row twice, or of two versions"
                # All rows of a source are of one upload, whatever was deleted of it.
                versions: dict[str, set[float]] = {}
                for item in whole.json:
                    versions.setdefault(item["source_id"], set()).update(item["embedding"]["embedding"])
                assert all(len(some) == 1 for some in versions.values())
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert shown > 3


def churn_or_fill(client: Client, tenant: str, chooser: random.Random, version: int) -> None:
    if version < 12:
        client.insert_npy(tenant, rows(version, 20), file_id=f"s{version}").ok()
    else:
        churn(client, tenant, chooser, version)


def test_a_cursor_ends_when_its_moment_cannot_be_shown_any_more(client: Client, tenant: str) -> None:
    for number in range(4):
        client.insert_npy(tenant, rows(number, 1000), file_id=f"s{number}").ok()
    first = client.get(tenant, limit=1500)
    cursor = first.headers[CURSOR]
    client.delete(tenant, source_id="s0").ok()
    second = client.get(tenant, limit=10_000, cursor=cursor)
    whole = [f"s{number}_{row}" for number in range(4) for row in range(1000)]
    assert ids(first) + ids(second) == whole
    # So much is dead now that what lives is laid out anew.
    client.delete(tenant, source_id="s1").ok()
    for _ in range(3000):
        answer = client.get(tenant, limit=10_000, cursor=cursor)
        if answer.status != 200:
            break
        assert ids(answer) == whole[1500:]
    answer.refused(410, "CURSOR_EXPIRED", "without", field="cursor")
    later = client.get(tenant, limit=1500)
    assert ids(later) + ids(client.get(tenant, limit=1500, cursor=later.headers[CURSOR])) == whole[2000:]


def test_a_cursor_belongs_to_its_request(client: Client, tenant: str) -> None:
    for name in ("a", "b"):
        client.insert_npy(tenant, rows(0, 5), file_id=name).ok()
        client.insert_npy(tenant, rows(0, 5), file_id=name, sub_tenant_id="s").ok()
        client.insert_npy(f"{tenant} 2", rows(0, 5), file_id=name).ok()
    requests: list[tuple[str, dict[str, Any]]] = [
        (tenant, {}),
        (f"{tenant} 2", {}),
        (tenant, {"sub_tenant_id": "s"}),
        (tenant, {"source_id": "a"}),
        (tenant, {"source_id": "b"}),
        (tenant, {"chunk_ids": ["a_0", "a_1"]}),
        (tenant, {"chunk_ids": ["a_0", "a_2"]}),
    ]
    cursors = [client.get(name, limit=1, **fields).headers[CURSOR] for name, fields in requests]
    for at, cursor in enumerate(cursors):
        for other, (name, fields) in enumerate(requests):
            answer = client.get(name, limit=1, cursor=cursor, **fields)
            if at == other:
                assert len(answer.ok()) == 1
            else:
                answer.refused(422, "CONFLICTING_FIELDS", "another request", field="cursor")


def test_what_is_no_cursor_is_400_and_a_changed_one_never_works(client: Client, tenant: str) -> None:
    client.insert_npy(tenant, rows(0, 5), file_id="a").ok()
    cursor = client.get(tenant, limit=1).headers[CURSOR]
    for text in ("", "x", "0", cursor[:-1], cursor + "0", cursor.upper(), "é", "0" * len(cursor)):
        client.get(tenant, limit=1, cursor=text).refused(400, "INVALID_ID", "`cursor`", field="cursor")
    for at in range(len(cursor)):
        changed = cursor[:at] + ("1" if cursor[at] == "0" else "0") + cursor[at + 1 :]
        client.get(tenant, limit=1, cursor=changed).refused(400, "INVALID_ID")


def test_a_cursor_ends_with_its_tenant_and_its_sub_tenant(client: Client, tenant: str) -> None:
    def fill(name: str) -> None:
        client.insert_npy(name, rows(0, 5), file_id="a", sub_tenant_id="s").ok()

    fill(tenant)
    cursor = client.get(tenant, limit=1, sub_tenant_id="s").headers[CURSOR]
    client.delete_sub_tenant(tenant, "s").ok()
    client.get(tenant, limit=1, sub_tenant_id="s", cursor=cursor).refused(404, "SUB_TENANT_NOT_FOUND")
    fill(tenant)
    client.get(tenant, limit=1, sub_tenant_id="s", cursor=cursor).refused(410, "CURSOR_EXPIRED")
    cursor = client.get(tenant, limit=1, sub_tenant_id="s").headers[CURSOR]
    client.delete_tenant(tenant).ok()
    client.get(tenant, limit=1, sub_tenant_id="s", cursor=cursor).refused(404, "TENANT_NOT_FOUND")
    fill(tenant)
    client.get(tenant, limit=1, sub_tenant_id="s", cursor=cursor).refused(410, "CURSOR_EXPIRED")


def test_a_tenant_of_the_same_name_and_content_does_not_take_a_cursor(client: Client, tenant: str) -> None:
    cursors = []
    for _ in range(2):
        client.insert_npy(tenant, rows(0, 5), file_id="a").ok()
        cursors.append(client.get(tenant, limit=1).headers[CURSOR])
        if len(cursors) == 1:
            client.delete_tenant(tenant).ok()
    client.get(tenant, limit=1, cursor=cursors[0]).refused(410, "CURSOR_EXPIRED")
    assert len(client.get(tenant, limit=9, cursor=cursors[1]).ok()) == 4


def test_across_a_restart_a_cursor_goes_on_or_has_ended(start: Start) -> None:
    """Never wrong: it goes on unless what a checkpoint has forgotten is needed, when something died after it."""
    server = start()
    outcomes = set()
    for turn in range(4):
        client, tenant = Client(server.port), f"t{turn}"
        for number in range(6):
            client.insert_npy(tenant, rows(number, 10), file_id=f"s{number}").ok()
        client.delete(tenant, source_id="s1").ok()
        whole = ids(client.get(tenant, limit=1000))
        cursor = client.get(tenant, limit=25).headers[CURSOR]
        if turn % 3 == 0:
            # Deleted after the moment that the cursor shows: a checkpoint does not know when.
            client.delete(tenant, source_id="s5").ok()
        if turn % 2:
            server.process.kill()
        else:
            server.terminate()
        server.exit_code()
        server = start(data=server.data)
        answer = Client(server.port).get(tenant, limit=1000, cursor=cursor)
        if answer.status == 200:
            assert ids(answer) == whole[25:]
        else:
            answer.refused(410, "CURSOR_EXPIRED")
        outcomes.add((turn, answer.status))
    # Stopped: ended if something died since. Killed: nothing is forgotten.
    assert outcomes == {(0, 410), (1, 200), (2, 200), (3, 200)}


def test_a_tenant_closed_for_others_keeps_its_cursors(start: Start) -> None:
    client = Client(start("--max-open-tenants", "1").port)
    client.insert_npy("t", rows(0, 50), file_id="a").ok()
    found = []
    for number, page in enumerate(walk(client, "t", limit=20)):
        found += ids(page)
        client.insert_npy(f"other {number}", rows(0, 1)).ok()
    assert found == [f"a_{row}" for row in range(50)]
