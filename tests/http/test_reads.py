"""Sections 3, 4, 5 and 9 of the wire contract: search, get, delete, status, tenants, ids."""

import json
import struct
import time

import numpy as np
import pytest

from tests.http.client import DELETE, GET, INSERT, NPY, SEARCH, STATS, STATUS, Client, npy
from tests.http.server import DEADLINE

# Search.


def test_a_search_is_answered_to_the_letter(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1]], file_id="a", document_metadata={"k": [1, "v"]}).ok()
    hits = client.search(tenant, [2, 0]).ok()
    assert hits == [
        {
            "source_id": "a",
            "embedding": {"chunk_id": "a_0", "embedding": None},
            "score": 1.0,
            "distance": 0.0,
            "metadata": {"k": [1, "v"]},
        },
        {
            "source_id": "a",
            "embedding": {"chunk_id": "a_1", "embedding": None},
            "score": 0.0,
            "distance": 1.0,
            "metadata": {"k": [1, "v"]},
        },
    ]


def test_vectors_come_only_when_asked_for(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]], file_id="a").ok()
    assert client.search(tenant, [1, 2], output_fields=["chunk_id"]).ok()[0]["embedding"]["embedding"] is None
    hit = client.search(tenant, [1, 2], output_fields=["embedding", "source_id"]).ok()[0]
    assert hit["embedding"]["embedding"] == [1.0, 2.0]
    client.search(tenant, [1, 2], output_fields=["embeding"]).refused(
        422, "UNKNOWN_FIELD", "did you mean `embedding`?"
    )


def test_a_search_answers_min_of_limit_and_rows(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, i] for i in range(30)], file_id="a").ok()
    assert len(client.search(tenant, [1, 1]).ok()) == 10
    for limit in (1, 29, 30, 31, 1000):
        hits = client.search(tenant, [1, 1], limit=limit).ok()
        assert len(hits) == min(limit, 30)
        assert hits == sorted(hits, key=lambda hit: -hit["score"])


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**30])
def test_a_limit_outside_its_bounds_is_refused(client: Client, tenant: str, limit: int) -> None:
    client.search(tenant, [1, 2], limit=limit).refused(400, "INVALID_LIMIT", "1..1000", field="limit")
    client.get(tenant, limit=limit + 9000 * (limit == 1001)).refused(
        400, "INVALID_LIMIT", "1..10000", field="limit"
    )


def test_a_threshold_cuts_the_answer(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1], [-1, 0]], file_id="a").ok()
    chunk_ids = [
        [
            hit["embedding"]["chunk_id"]
            for hit in client.search(tenant, [1, 0], score_threshold=threshold).ok()
        ]
        for threshold in (1, 0.5, 0, -1)
    ]
    assert chunk_ids == [["a_0"], ["a_0"], ["a_0", "a_1"], ["a_0", "a_1", "a_2"]]


def test_exact_and_ef_find_the_same_in_a_small_collection(client: Client, tenant: str) -> None:
    rows = np.random.default_rng(3).standard_normal((50, 8)).astype(np.float32)
    client.insert(tenant, rows, file_id="a").ok()
    plain = client.search(tenant, rows[7]).ok()
    assert client.search(tenant, rows[7], exact=True).ok() == plain
    assert client.search(tenant, rows[7], ef=200).ok() == plain
    client.search(tenant, rows[7], ef=0).refused(400, "INVALID_LIMIT", "`ef`", field="ef")


def test_an_npy_query_is_a_query(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1]], file_id="a").ok()
    params = {"tenant_id": tenant, "limit": 1, "exact": "true", "output_fields": ["embedding"]}
    answer = client.request("POST", SEARCH, npy(np.array([0.0, 2.0])), {"Content-Type": NPY}, params).ok()
    assert [hit["embedding"] for hit in answer] == [{"chunk_id": "a_1", "embedding": [0.0, 1.0]}]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ([], 422, "EMPTY_EMBEDDINGS"),
        (None, 422, "MISSING_FIELD"),
        ([[1, 2]], 422, "WRONG_TYPE"),
        ("x", 422, "WRONG_TYPE"),
        (0, 422, "WRONG_TYPE"),
        (False, 422, "WRONG_TYPE"),
        ([1, "x"], 422, "WRONG_TYPE"),
        ([1, True], 422, "WRONG_TYPE"),
        ([0, -0.0], 400, "ZERO_VECTOR"),
        ([1, 1e39], 400, "NON_FINITE_VALUE"),
        ([1, 2, 3], 400, "DIMENSION_MISMATCH"),
    ],
)
def test_a_query_that_cannot_be_searched_is_named(
    client: Client, tenant: str, query: object, status: int, code: str
) -> None:
    client.insert(tenant, [[1, 2]], file_id="a").ok()
    client.search(tenant, query).refused(status, code)


def test_what_is_not_there_is_404(client: Client, tenant: str) -> None:
    client.search(tenant, [1, 2]).refused(404, "TENANT_NOT_FOUND")
    client.request("GET", STATS, params={"tenant_id": tenant}).refused(404, "TENANT_NOT_FOUND")
    client.insert(tenant, [[1, 2]], file_id="a").ok()
    client.search(tenant, [1, 2], sub_tenant_id="nowhere").refused(404, "SUB_TENANT_NOT_FOUND")


# Numbers come back as they were sent.


def test_every_float32_comes_back_bit_for_bit(client: Client, tenant: str) -> None:
    bits = [0x80000000, 1, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x15AE43FD, 0x3F800001]
    bits += np.random.default_rng(11).integers(0, 0x7F7FFFFF, 1000).tolist()
    row = np.array(bits, np.uint32).view(np.float32)
    assert struct.pack("<f", float(row[0])) == b"\0\0\0\x80"
    for source, answer in (
        ("json", client.insert(tenant, [[float(x) for x in row]], file_id="json")),
        ("npy", client.insert_npy(tenant, row[None, :], file_id="npy")),
    ):
        answer.ok()
        text = client.get(tenant, source_id=source, output_fields=["embedding"]).ok()[0]["embedding"][
            "embedding"
        ]
        assert np.array(text, np.float64).astype(np.float32).tobytes() == row.tobytes()


def test_scores_are_doubles_of_the_exact_float32(client: Client, tenant: str) -> None:
    rows = np.random.default_rng(5).standard_normal((40, 16)).astype(np.float32)
    client.insert(tenant, rows, file_id="a").ok()
    for hit in client.search(tenant, rows[0], limit=40).ok():
        for name in ("score", "distance"):
            assert float(np.float32(hit[name])) == hit[name]


def test_an_answer_of_many_vectors_is_whole(client: Client, tenant: str) -> None:
    rows = np.random.default_rng(9).standard_normal((1000, 64)).astype(np.float32)
    client.insert_npy(tenant, rows, file_id="a").ok()
    items = client.get(tenant, limit=1000, output_fields=["embedding"]).ok()
    assert [item["embedding"]["chunk_id"] for item in items] == [f"a_{i}" for i in range(1000)]
    assert (
        np.array([item["embedding"]["embedding"] for item in items], np.float32).tobytes() == rows.tobytes()
    )


# Get.


def test_a_get_is_answered_to_the_letter_in_insertion_order(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0]], file_id="z", document_metadata={"k": 1}).ok()
    client.insert(tenant, [[0, 1]], file_id="a").ok()
    assert client.get(tenant).ok() == [
        {"source_id": "z", "embedding": {"chunk_id": "z_0", "embedding": None}, "metadata": {"k": 1}},
        {"source_id": "a", "embedding": {"chunk_id": "a_0", "embedding": None}, "metadata": {}},
    ]


def test_a_get_selects_by_source_or_chunk_ids(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1], [1, 1]], file_id="a").ok()
    client.insert(tenant, [[1, 0]], file_id="b").ok()

    def ids(**fields: object) -> list[str]:
        return [item["embedding"]["chunk_id"] for item in client.get(tenant, **fields).ok()]

    assert ids(source_id="a") == ["a_0", "a_1", "a_2"]
    assert ids(source_id="a", limit=2) == ["a_0", "a_1"]
    assert sorted(ids(chunk_ids=["b_0", "a_2", "a_9", "a_00", "nope"])) == ["a_2", "b_0"]
    assert ids(source_id="nope") == []
    assert ids(chunk_ids=[]) == []
    client.get(tenant, source_id="a", chunk_ids=["a_0"]).refused(422, "CONFLICTING_FIELDS")


# Delete.


def test_a_delete_by_source_is_answered_to_the_letter(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1]], file_id="a").ok()
    assert client.delete(tenant, source_id="a").ok() == {"delete_count": 2, "success": True, "error": None}
    assert client.delete(tenant, source_id="a").ok() == {"delete_count": 0, "success": True, "error": None}
    assert client.get(tenant).ok() == []
    assert client.search(tenant, [1, 0]).ok() == []


def test_a_delete_by_chunk_ids_takes_parameters_and_bodies(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, i] for i in range(6)], file_id="a").ok()
    assert client.delete(tenant, chunk_ids=["a_0", "a_5", "a_9"]).ok()["delete_count"] == 2
    body = {"tenant_id": tenant, "chunk_ids": ["a_1"]}
    assert client.post(DELETE, body).ok()["delete_count"] == 1
    text = json.dumps({**body, "chunk_ids": ["a_2"]}).encode()
    headers = {"Content-Type": "application/json"}
    assert client.request("DELETE", DELETE, text, headers).ok()["delete_count"] == 1
    assert len(client.get(tenant).ok()) == 2


def test_a_delete_needs_exactly_one_selector_and_deletes_nothing_without(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1]], file_id="a").ok()
    client.delete(tenant).refused(422, "MISSING_FIELD")
    client.delete(tenant, source_id="a", chunk_ids=["a_0"]).refused(422, "CONFLICTING_FIELDS")
    client.delete(tenant, source_id="a", filter_expr="x").refused(400, "FILTER_SYNTAX")
    client.delete(tenant, source_id="a", filter_expr="source_id == 'a'").refused(422, "CONFLICTING_FIELDS")
    client.delete(tenant, filter_expr="").refused(400, "FILTER_SYNTAX", "empty")
    client.delete(tenant, source="a").refused(422, "UNKNOWN_FIELD", "`source_id`")
    client.post(DELETE, {"tenant_id": tenant, "chunk_ids": ["x"] * 10_001}).refused(
        422, "TOO_MANY_ROWS", "10000"
    )
    client.post(DELETE, {"tenant_id": tenant, "chunk_ids": ["a_0", 1]}).refused(
        422, "WRONG_TYPE", field="chunk_ids[1]"
    )
    assert len(client.get(tenant).ok()) == 2


# Status and tenants.


def test_a_stored_source_is_completed(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1]], file_id="a").ok()
    status = client.request("POST", STATUS, params={"tenant_id": tenant, "file_id": "a"}).ok()
    assert isinstance(status.pop("message"), str)
    assert status == {
        "file_id": "a",
        "indexing_status": "completed",
        "error_code": None,
        "success": True,
        "indexed_rows": 2,
        "total_rows": 2,
    }


def test_indexed_rows_catch_up_with_total_rows(client: Client, tenant: str) -> None:
    # As many as make a graph.
    rows = np.random.default_rng(8).standard_normal((12_000, 8)).astype(np.float32)
    for first in range(0, len(rows), 2000):
        client.insert_npy(tenant, rows[first : first + 2000], file_id=f"f{first}").ok()
        params = {"tenant_id": tenant, "file_id": f"f{first}"}
        status = client.request("POST", STATUS, params=params).ok()
        assert (status["indexing_status"], status["total_rows"]) == ("completed", 2000)
        assert 0 <= status["indexed_rows"] <= 2000
    several: dict[str, object] = {
        "tenant_id": tenant,
        "file_ids": [f"f{first}" for first in range(0, len(rows), 2000)],
    }
    deadline = time.monotonic() + DEADLINE
    while True:
        statuses = client.request("POST", STATUS, params=several).ok()["statuses"]
        assert {item["indexing_status"] for item in statuses} == {"completed"}
        if all(item["indexed_rows"] == 2000 for item in statuses):
            break
        assert time.monotonic() < deadline, statuses


def test_an_unknown_source_is_404_and_an_item_in_a_batch(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0]], file_id="a").ok()
    params = {"tenant_id": tenant, "file_id": "nope"}
    client.request("POST", STATUS, params=params).refused(404, "NOT_FOUND")
    statuses = client.request("POST", STATUS, params={"tenant_id": tenant, "file_ids": ["a", "nope"]}).ok()[
        "statuses"
    ]
    assert [
        (item["file_id"], item["indexing_status"], item["success"], item["error_code"]) for item in statuses
    ] == [
        ("a", "completed", True, None),
        ("nope", "errored", False, "NOT_FOUND"),
    ]
    assert (
        len(client.request("POST", STATUS, params={"tenant_id": tenant, "file_ids": ["a"]}).ok()["statuses"])
        == 1
    )
    client.delete(tenant, source_id="a").ok()
    client.request("POST", STATUS, params={"tenant_id": tenant, "file_id": "a"}).refused(404, "NOT_FOUND")
    client.request("POST", STATUS, params={"tenant_id": tenant}).refused(
        422, "MISSING_FIELD", field="file_id"
    )
    both = {"tenant_id": tenant, "file_id": "a", "file_ids": ["b"]}
    client.request("POST", STATUS, params=both).refused(422, "CONFLICTING_FIELDS")


def test_a_tenant_is_counted(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0], [0, 1]], file_id="a").ok()
    client.insert(tenant, [[1, 0]], file_id="a", sub_tenant_id="s").ok()
    stats = client.request("GET", STATS, params={"tenant_id": tenant}).ok()
    assert stats == {
        "tenant_id": tenant,
        "dimension": 2,
        "metric": "cosine",
        "rows": 3,
        "indexed_rows": 3,
        "sources": 2,
        "sub_tenants": {"default": 2, "s": 1},
        "groups": 2,
    }
    head = client.request("HEAD", STATS, params={"tenant_id": tenant})
    assert (head.status, head.body) == (200, b"")
    client.request("GET", STATS).refused(422, "MISSING_FIELD", field="tenant_id")
    client.request("GET", STATS, params={"tenant_id": tenant, "sub_tenant_id": "s"}).refused(
        422, "UNKNOWN_FIELD"
    )


def test_the_default_sub_tenant_is_one_in_body_and_parameter(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 0]], file_id="a").ok()
    for body in (None, "", "default"):
        for parameter in ("", "default"):
            fields = {"tenant_id": tenant, "sub_tenant_id": body}
            assert len(client.post(GET, fields, {"sub_tenant_id": parameter}).ok()) == 1
            client.post(GET, {**fields, "sub_tenant_id": "x"}, {"sub_tenant_id": parameter}).refused(
                422, "CONFLICTING_FIELDS", field="sub_tenant_id"
            )


# Ids.

WEIRD = [
    "😀",
    "a/b",
    "..",
    ".",
    " ",
    "a b ",
    "%2F",
    "+",
    "?&=#",
    "é",
    "e\u0301",
    "\u2028",
    "\u00a0",
    '"',
    "\\",
    "'",
    "0",
]


@pytest.mark.parametrize("name", WEIRD)
def test_every_other_character_works_in_ids(client: Client, tenant: str, name: str) -> None:
    tenant += name
    client.insert(tenant, [[1, 2]], file_id=name, sub_tenant_id=name).ok()
    chunk = f"{name}_0"
    for items in (
        client.search(tenant, [1, 2], sub_tenant_id=name).ok(),
        client.get(tenant, sub_tenant_id=name, source_id=name).ok(),
        client.get(tenant, sub_tenant_id=name, chunk_ids=[chunk]).ok(),
    ):
        assert [(item["source_id"], item["embedding"]["chunk_id"]) for item in items] == [(name, chunk)]
    params = {"tenant_id": tenant, "sub_tenant_id": name, "file_id": name}
    assert client.request("POST", STATUS, params=params).ok()["file_id"] == name
    assert client.delete(tenant, sub_tenant_id=name, chunk_ids=[chunk]).ok()["delete_count"] == 1


def test_ids_are_compared_as_bytes(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]], file_id="\u00e9").ok()
    assert client.insert(tenant, [[1, 2]], file_id="e\u0301").ok()["overwritten"] == 0


@pytest.mark.parametrize(("field", "most"), [("tenant_id", 255), ("sub_tenant_id", 255), ("file_id", 512)])
def test_ids_are_bounded_in_bytes(client: Client, tenant: str, field: str, most: int) -> None:
    def insert(name: str) -> object:
        return client.post(INSERT, {"tenant_id": tenant, "embeddings": [[1, 2]], field: name})

    insert(tenant.ljust(most, "x")).ok()  # type: ignore[attr-defined]
    insert("é" * (most // 2)).ok()  # type: ignore[attr-defined]
    for name in ("x" * (most + 1), "é" * (most // 2 + 1)):
        insert(name).refused(400, "INVALID_ID", str(most), field=field)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["a\x00", "\x1f", "a\x7fb", "\u0085", "\u009f", "line\nbreak"])
@pytest.mark.parametrize("field", ["tenant_id", "sub_tenant_id", "file_id"])
def test_control_characters_are_refused(client: Client, tenant: str, field: str, name: str) -> None:
    answer = client.post(INSERT, {"tenant_id": tenant, "embeddings": [[1, 2]], field: name})
    answer.refused(400, "INVALID_ID", field=field)


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb"])
@pytest.mark.parametrize("field", ["tenant_id", "sub_tenant_id", "file_id"])
def test_lone_surrogates_are_no_text(client: Client, tenant: str, field: str, name: str) -> None:
    answer = client.post(INSERT, {"tenant_id": tenant, "embeddings": [[1, 2]], field: name})
    answer.refused(400, "MALFORMED_JSON", "lone surrogate")


def test_ids_of_every_request_are_judged(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]], file_id="a").ok()
    client.insert("", [[1, 2]]).refused(400, "INVALID_ID", "empty", field="tenant_id")
    client.get(tenant, source_id="").refused(400, "INVALID_ID", field="source_id")
    client.get(tenant, chunk_ids=["x" * 520]).ok()
    client.get(tenant, chunk_ids=["x" * 521]).refused(400, "INVALID_ID", "520", field="chunk_ids[0]")
    client.delete(tenant, chunk_ids=["a_0", "\n"]).refused(400, "INVALID_ID", field="chunk_ids[1]")
    client.request("POST", STATUS, params={"tenant_id": tenant, "file_id": "\x01"}).refused(400, "INVALID_ID")
    client.request("GET", STATS, params={"tenant_id": "\x01"}).refused(400, "INVALID_ID")
    client.search(tenant, [1, 2], sub_tenant_id="\x01").refused(400, "INVALID_ID", field="sub_tenant_id")
    client.request("POST", GET + "?tenant_id=%F0%9F%98%80").refused(404, "TENANT_NOT_FOUND")
