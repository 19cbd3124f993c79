"""Section 5 of the wire contract: tenants and sub-tenants, made, listed and deleted; every metric."""

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.patience import until
from tests.http.client import (
    CREATE_TENANT,
    DELETE_SUB_TENANT,
    DELETE_TENANT,
    SOURCES,
    STATUS,
    SUB_TENANTS,
    TENANTS,
    Client,
    pages,
)
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]


def sub_tenants(client: Client, tenant: str) -> list[str]:
    names: list[str] = client.request("GET", SUB_TENANTS, params={"tenant_id": tenant}).ok()["sub_tenant_ids"]
    return names


def sources(client: Client, tenant: str, **params: object) -> list[tuple[str, int]]:
    found = pages(client, SOURCES, tenant_id=tenant, **params)
    return [(source["source_id"], source["rows"]) for page in found for source in page.json["sources"]]


# Made.


def test_a_tenant_is_made_and_made_again(client: Client, tenant: str) -> None:
    answer = client.create_tenant(tenant, embeddings_dimension=3, is_embeddings_tenant=True, metric="ip").ok()
    assert answer == {"status": "success", "tenant_id": tenant, "message": "Tenant created."}
    again = client.create_tenant(tenant, embeddings_dimension=3, metric="ip").ok()
    assert again == {**answer, "message": "Tenant exists already, with these settings."}
    stats = client.stats(tenant).ok()
    assert (stats["dimension"], stats["metric"], stats["rows"]) == (3, "ip", 0)
    assert stats["sub_tenants"] == {"default": 0}
    client.insert(tenant, [[1, 2]]).refused(400, "DIMENSION_MISMATCH", "2", "3")
    client.insert(tenant, [[1, 2, 3]]).ok()


def test_what_is_not_asked_for_may_be_anything(client: Client, tenant: str) -> None:
    client.create_tenant(tenant, metric="l2").ok()
    client.insert(tenant, [[1, 2]]).ok()
    for fields in ({}, {"metric": "l2"}, {"embeddings_dimension": 2}, {"metric": None}):
        client.create_tenant(tenant, **fields).ok()
    client.create_tenant(tenant, metric="cosine", embeddings_dimension=3).refused(
        409, "TENANT_SETTINGS_DIFFER", "metric l2", "dimension 2", "metric cosine", "dimension 3"
    )


def test_a_tenant_without_a_dimension_has_it_from_its_first_vectors(client: Client, tenant: str) -> None:
    client.create_tenant(tenant).ok()
    assert client.stats(tenant).ok()["dimension"] is None
    assert client.search(tenant, [1, 2, 3]).ok() == []
    client.create_tenant(tenant, embeddings_dimension=2).refused(
        409, "TENANT_SETTINGS_DIFFER", "no dimension yet", "dimension 2"
    )
    client.insert(tenant, [[math.inf]]).refused(400, "MALFORMED_JSON")
    client.insert(tenant, [[1, 2]], sub_tenant_id="s").ok()
    client.insert(tenant, [[1, 2, 3]]).refused(400, "DIMENSION_MISMATCH")
    # Neither emptying it nor the end of the sub-tenant that fixed it unlocks it.
    client.delete_sub_tenant(tenant, "s").ok()
    client.insert(tenant, [[1, 2, 3]]).refused(400, "DIMENSION_MISMATCH")
    assert client.stats(tenant).ok()["dimension"] == 2


@pytest.mark.parametrize(
    ("fields", "status", "code", "word"),
    [
        ({"embeddings_dimension": 0}, 400, "INVALID_LIMIT", "1..3024"),
        ({"embeddings_dimension": 3025}, 400, "INVALID_LIMIT", "1..3024"),
        ({"embeddings_dimension": "3"}, 422, "WRONG_TYPE", "an integer"),
        ({"metric": "dot"}, 422, "WRONG_TYPE", "cosine, ip, l2"),
        ({"is_embeddings_tenant": False}, 422, "WRONG_TYPE", "leave it out"),
        ({"dimension": 3}, 422, "UNKNOWN_FIELD", "embeddings_dimension"),
    ],
)
def test_what_a_tenant_cannot_be_is_refused_and_makes_none(
    client: Client, tenant: str, fields: dict[str, object], status: int, code: str, word: str
) -> None:
    client.create_tenant(tenant, **fields).refused(status, code, word, field=next(iter(fields)))
    client.stats(tenant).refused(404, "TENANT_NOT_FOUND")


def test_a_tenant_may_be_made_by_parameters(client: Client, tenant: str) -> None:
    params = {"tenant_id": tenant, "embeddings_dimension": 2, "metric": "l2", "is_embeddings_tenant": "true"}
    client.request("POST", CREATE_TENANT, params=params).ok()
    assert client.stats(tenant).ok()["metric"] == "l2"
    client.request("POST", CREATE_TENANT).refused(422, "MISSING_FIELD", field="tenant_id")


def test_tenants_made_at_the_same_moment_are_one(client: Client, tenant: str) -> None:
    answers: list[str] = []

    def make(number: int) -> None:
        answer = client.create_tenant(tenant, embeddings_dimension=2 + number % 2)
        answers.append(answer.json["message"] if answer.status == 200 else str(answer.status))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count("Tenant created.") == 1
    assert answers.count("409") == 6


def test_with_auto_create_off_a_tenant_has_to_be_made(start: Start) -> None:
    server = start("--no-auto-create-tenants")
    client = Client(server.port)
    client.insert("t", [[1, 2]]).refused(404, "TENANT_NOT_FOUND")
    client.insert("t", [[1, 2]], dry_run=True).refused(404, "TENANT_NOT_FOUND")
    client.insert_npy("t", np.ones((1, 2), np.float32)).refused(404, "TENANT_NOT_FOUND")
    client.create_tenant("t").ok()
    client.insert("t", [[1, 2]], sub_tenant_id="sub-tenants are made").ok()
    client.delete_tenant("t").ok()
    client.insert("t", [[1, 2]]).refused(404, "TENANT_NOT_FOUND")
    assert list((server.data / "tenants").iterdir()) == []


# Counted and listed.


def test_monitor_and_stats_are_one(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]]).ok()
    answers = [
        client.request("GET", f"/tenants/{name}", params={"tenant_id": tenant}).ok()
        for name in ("monitor", "stats")
    ]
    assert answers[0] == answers[1]


def test_sub_tenants_are_sorted_and_default_is_always_there(client: Client, tenant: str) -> None:
    client.create_tenant(tenant).ok()
    assert sub_tenants(client, tenant) == ["default"]
    for name in ("é", "b", "default", "a"):
        client.insert(tenant, [[1, 2]], sub_tenant_id=name, file_id="x").ok()
    assert sub_tenants(client, tenant) == ["a", "b", "default", "é"]
    # Emptied, not deleted.
    client.delete(tenant, sub_tenant_id="a", source_id="x").ok()
    assert sub_tenants(client, tenant) == ["a", "b", "default", "é"]
    assert client.search(tenant, [1, 2], sub_tenant_id="a").ok() == []
    client.request("GET", SUB_TENANTS, params={"tenant_id": tenant + "?"}).refused(404, "TENANT_NOT_FOUND")


def test_sources_are_listed_with_their_rows_in_order(client: Client, tenant: str) -> None:
    for number in range(5):
        client.insert(tenant, [[1, 2]] * (number + 1), file_id=f"s{number}").ok()
    client.insert(tenant, [[1, 2]], file_id="s1", sub_tenant_id="other").ok()
    client.insert(tenant, [[1, 2]] * 9, file_id="s2").ok()
    client.delete(tenant, chunk_ids=["s3_0", "s3_3", "s4_0"]).ok()
    client.delete(tenant, source_id="s0").ok()
    expected = [("s1", 2), ("s3", 2), ("s4", 4), ("s2", 9)]
    for limit in (1, 2, 3, 4, 5, 1000):
        assert sources(client, tenant, limit=limit) == expected, limit
    assert sources(client, tenant) == expected
    assert sources(client, tenant, sub_tenant_id="other") == [("s1", 1)]
    params = {"tenant_id": tenant, "sub_tenant_id": "none"}
    client.request("GET", SOURCES, params=params).refused(404, "SUB_TENANT_NOT_FOUND")


def test_a_list_of_sources_goes_on_behind_what_was_shown(client: Client, tenant: str) -> None:
    for number in range(6):
        client.insert(tenant, [[1, 2]] * 3, file_id=f"s{number}").ok()
    shown = []
    for page in pages(client, SOURCES, tenant_id=tenant, limit=2):
        shown += [source["source_id"] for source in page.json["sources"]]
        if len(shown) == 2:
            # Of what was shown, what comes, and what comes later again.
            client.delete(tenant, source_id="s0").ok()
            client.delete(tenant, chunk_ids=["s2_0"]).ok()
            client.insert(tenant, [[1, 2]], file_id="s3").ok()
    assert shown == ["s0", "s1", "s2", "s4", "s5", "s3"]


@pytest.mark.parametrize("path", [SOURCES, TENANTS])
def test_a_list_has_bounds_and_takes_no_cursor_that_is_none(client: Client, tenant: str, path: str) -> None:
    client.insert(tenant, [[1, 2]]).ok()
    params: dict[str, object] = {"tenant_id": tenant} if path == SOURCES else {}
    for limit in (0, 1001, -1):
        client.request("GET", path, params={**params, "limit": limit}).refused(
            400, "INVALID_LIMIT", "1..1000", field="limit"
        )
    for cursor in ("", "x", "0" * 72, "0" * 112, "é"):
        client.request("GET", path, params={**params, "cursor": cursor}).refused(
            400, "INVALID_ID", "`cursor`", field="cursor"
        )


def test_every_tenant_is_listed_once_page_by_page(start: Start) -> None:
    server = start("--max-open-tenants", "3")
    client = Client(server.port)
    assert client.request("GET", TENANTS).ok() == {"tenant_ids": []}
    names = {f"tenant {number}" for number in range(30)} | {"é" * 127, "../x"}
    for name in names:
        client.create_tenant(name).ok()
    for limit in (1, 7, 32, 1000):
        listed = [page.json["tenant_ids"] for page in pages(client, TENANTS, limit=limit)]
        assert all(len(page) <= limit for page in listed)
        found = [name for page in listed for name in page]
        assert (len(found), set(found)) == (32, names)
    # Those deleted between two pages are not listed, the others are, once.
    first = client.request("GET", TENANTS, params={"limit": 10})
    gone = set(found[5:15])
    for name in gone:
        client.delete_tenant(name).ok()
    client.create_tenant("new").ok()
    cursor = first.headers["x-next-cursor"]
    rest = client.request("GET", TENANTS, params={"limit": 1000, "cursor": cursor}).ok()["tenant_ids"]
    assert [name for name in rest if name != "new"] == found[15:]


def test_a_tenant_whose_log_is_no_log_is_not_listed_and_can_be_deleted(start: Start) -> None:
    server = start("--max-open-tenants", "1")
    client = Client(server.port)
    for name in ("damaged", "whole"):
        client.insert(name, [[1, 2]]).ok()
    [log] = [
        path for path in (server.data / "tenants").glob("*/log/*.log") if b"damaged" in path.read_bytes()
    ]
    log.write_bytes(b"\0" * 1000)
    for derived in log.parents[1].glob("checkpoint-*"):
        derived.unlink()
    client.stats("damaged").refused(500, "CORRUPT_DATA")
    assert client.request("GET", TENANTS).ok() == {"tenant_ids": ["whole"]}
    client.delete_tenant("damaged").ok()
    client.stats("damaged").refused(404, "TENANT_NOT_FOUND")
    client.insert("damaged", [[1, 2, 3]]).ok()


# Deleted.


def test_a_deleted_tenant_is_gone_and_its_name_is_free(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]], file_id="a").ok()
    client.insert(tenant, [[1, 2]], file_id="a", sub_tenant_id="s").ok()
    assert client.delete_tenant(tenant).ok() == {"success": True, "message": "Tenant deleted."}
    client.stats(tenant).refused(404, "TENANT_NOT_FOUND")
    client.search(tenant, [1, 2]).refused(404, "TENANT_NOT_FOUND")
    client.delete_tenant(tenant).refused(404, "TENANT_NOT_FOUND")
    client.request("DELETE", DELETE_TENANT).refused(422, "MISSING_FIELD", field="tenant_id")
    client.create_tenant(tenant, embeddings_dimension=5, metric="l2").ok()
    assert client.get(tenant).ok() == []
    assert sub_tenants(client, tenant) == ["default"]
    client.insert(tenant, [[0] * 5], file_id="a").ok()
    assert client.search(tenant, [0, 0, 3, 4, 0]).ok()[0]["distance"] == 5.0


def test_the_space_of_deleted_tenants_is_given_back(start: Start) -> None:
    server = start()
    client = Client(server.port)
    for _ in range(3):
        client.insert_npy("t", np.ones((500, 500), np.float32)).ok()
        client.delete_tenant("t").ok()
    until(lambda: not list((server.data / "trash").iterdir()))
    assert list((server.data / "tenants").iterdir()) == []


def test_what_an_earlier_process_left_in_the_trash_is_removed(start: Start, tmp_path: Path) -> None:
    left = tmp_path / "data" / "trash" / "left-0" / "log"
    left.mkdir(parents=True)
    (left / "00000001-0.log").write_bytes(b"x" * 1000)
    (left.parents[1] / "file").write_bytes(b"x")
    server = start()
    until(lambda: not list((server.data / "trash").iterdir()))


def test_uploads_and_searches_during_deletions_have_clear_outcomes(client: Client, tenant: str) -> None:
    over = threading.Event()
    problems: list[str] = []

    def note(answer: object) -> None:
        problems.append(repr(answer)[:300])

    def upload(number: int) -> None:
        rows = np.full((3, 4), number + 1.0, np.float32)
        while not over.is_set():
            answer = client.insert_npy(tenant, rows, file_id=f"s{number}")
            if answer.status != 200 and answer.json["detail"]["error_code"] != "TENANT_NOT_FOUND":
                note(answer)

    def search() -> None:
        while not over.is_set():
            answer = client.search(tenant, [1, 1, 1, 1], limit=100)
            if answer.status == 200:
                ids = [hit["embedding"]["chunk_id"] for hit in answer.json]
                whole = {f"s{number}_{row}" for number in range(3) for row in range(3)}
                if len(ids) % 3 or not set(ids) <= whole:
                    note(ids)
            elif answer.json["detail"]["error_code"] != "TENANT_NOT_FOUND":
                note(answer)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(3)]
    threads += [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        deleted = 0
        while deleted < 40 and not problems:
            answer = client.delete_tenant(tenant)
            assert answer.status in (200, 404), answer
            deleted += answer.status == 200
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert problems == []
    client.insert(tenant, [[1] * 4], file_id="last").ok()
    assert "last" in {item["source_id"] for item in client.get(tenant).ok()}


def test_a_deleted_sub_tenant_is_gone_and_its_name_is_free(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]], file_id="kept").ok()
    client.insert(tenant, [[1, 2], [3, 4]], file_id="a", sub_tenant_id="s").ok()
    assert client.stats(tenant).ok()["sources"] == 2
    answer = client.delete_sub_tenant(tenant, "s").ok()
    assert answer == {"success": True, "message": "Sub-tenant deleted."}
    assert sub_tenants(client, tenant) == ["default"]
    stats = client.stats(tenant).ok()
    assert (stats["rows"], stats["sources"], stats["sub_tenants"]) == (1, 1, {"default": 1})
    for refused in (
        client.search(tenant, [1, 2], sub_tenant_id="s"),
        client.get(tenant, sub_tenant_id="s"),
        client.delete(tenant, sub_tenant_id="s", source_id="a"),
        client.delete_sub_tenant(tenant, "s"),
        client.post(STATUS, {"tenant_id": tenant, "sub_tenant_id": "s", "file_id": "a"}),
    ):
        refused.refused(404, "SUB_TENANT_NOT_FOUND")
    made = client.insert(tenant, [[5, 6]], file_id="a", sub_tenant_id="s", upsert=False).ok()
    assert made["overwritten"] == 0
    assert [item["embedding"]["chunk_id"] for item in client.get(tenant, sub_tenant_id="s").ok()] == ["a_0"]


def test_the_default_sub_tenant_cannot_be_deleted(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]]).ok()
    for name in (None, "", "default"):
        client.delete_sub_tenant(tenant, name).refused(
            400, "INVALID_ID", "every tenant has", field="sub_tenant_id"
        )
    assert client.stats(tenant).ok()["rows"] == 1
    client.request("DELETE", DELETE_SUB_TENANT).refused(422, "MISSING_FIELD", field="tenant_id")
    client.delete_sub_tenant(tenant + "?", "s").refused(404, "TENANT_NOT_FOUND")


def test_a_sub_tenant_used_and_deleted_by_many_is_never_a_mix(client: Client, tenant: str) -> None:
    """Uploads, deletions and new uses of the name in one queue: what is found is one upload, whole."""
    over = threading.Event()
    problems: list[object] = []

    def upload(number: int) -> None:
        rows = np.full((number + 2, 2), number + 1.0, np.float32)
        while not over.is_set():
            answer = client.insert_npy(tenant, rows, file_id="s", sub_tenant_id="x")
            if answer.status != 200:
                problems.append(answer)

    def look() -> None:
        while not over.is_set():
            answer = client.get(tenant, sub_tenant_id="x", output_fields=["embedding"])
            if answer.status == 200:
                vectors = {tuple(item["embedding"]["embedding"]) for item in answer.json}
                if len(vectors) > 1 or any(len(answer.json) != vector[0] + 1 for vector in vectors):
                    problems.append(answer.json)
            elif answer.json["detail"]["error_code"] not in ("SUB_TENANT_NOT_FOUND", "TENANT_NOT_FOUND"):
                problems.append(answer)

    client.insert(tenant, [[1, 2]], file_id="kept").ok()
    threads = [threading.Thread(target=upload, args=(number,)) for number in range(3)]
    threads += [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        deleted = 0
        while deleted < 40 and not problems:
            answer = client.delete_sub_tenant(tenant, "x")
            assert answer.status in (200, 404), answer
            deleted += answer.status == 200
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert client.stats(tenant).ok()["sub_tenants"]["default"] == 1


# Metrics.


def distance(metric: str, a: np.ndarray, b: np.ndarray) -> float:
    """In double precision, by the contract's words."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "ip":
        return -float(a @ b)
    if metric == "l2":
        return float(np.linalg.norm(a - b))
    return 1 - float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("rows", [50, 3000])
def test_distances_and_scores_are_those_of_the_metric(
    client: Client, tenant: str, metric: str, rows: int
) -> None:
    random = np.random.default_rng(rows)
    vectors = random.standard_normal((rows, 24)).astype(np.float32)
    client.create_tenant(tenant, metric=metric, embeddings_dimension=24).ok()
    for first in range(0, rows, 2000):
        client.insert_npy(tenant, vectors[first : first + 2000], file_id=f"s{first}").ok()
    for query in random.standard_normal((5, 24)).astype(np.float32):
        expected = np.array([distance(metric, query, vector) for vector in vectors])
        for exact in (False, True):
            hits = client.search(tenant, query, limit=20, exact=exact, output_fields=["embedding"]).ok()
            found = np.array([hit["distance"] for hit in hits])
            np.testing.assert_allclose(found, np.sort(expected)[:20], rtol=1e-5, atol=1e-5)
            for hit in hits:
                vector = np.array(hit["embedding"]["embedding"], np.float32)
                assert math.isclose(
                    hit["distance"], distance(metric, query, vector), rel_tol=1e-5, abs_tol=1e-5
                )
                score = 1 - hit["distance"] if metric == "cosine" else -hit["distance"]
                assert math.isclose(hit["score"], score, rel_tol=1e-6, abs_tol=1e-6)
        threshold = hits[9]["score"]
        kept = client.search(tenant, query, limit=20, exact=True, score_threshold=threshold).ok()
        assert [hit["score"] for hit in kept] == [hit["score"] for hit in hits if hit["score"] >= threshold]


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_a_row_of_zeros_is_a_vector_where_there_is_no_cosine(
    client: Client, tenant: str, metric: str
) -> None:
    client.create_tenant(tenant, metric=metric).ok()
    client.insert(tenant, [[0, 0], [-0.0, 0], [3, 4]], file_id="a").ok()
    hits = client.search(tenant, [0, 0]).ok()
    assert [hit["distance"] for hit in hits] == ([0.0, 0.0, 0.0] if metric == "ip" else [0.0, 0.0, 5.0])
    assert [hit["score"] for hit in hits] == [-hit["distance"] for hit in hits]


def test_sums_beyond_float32_are_clamped_never_infinite(client: Client, tenant: str) -> None:
    largest = float(np.finfo(np.float32).max)
    for metric in ("cosine", "ip", "l2"):
        name = f"{tenant} {metric}"
        client.create_tenant(name, metric=metric).ok()
        client.insert(name, [[largest] * 8, [-largest] * 8], file_id="a").ok()
        for hit in client.search(name, [largest] * 8).ok():
            assert abs(hit["distance"]) <= largest
            assert abs(hit["score"]) <= largest
