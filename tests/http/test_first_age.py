"""Section 6 of the wire contract: the paths of the first age, with their own requests and answers."""

import json
import threading
from typing import Any

import numpy as np
import pytest

from tests.http.client import JSON, NPY, Answer, Client, npy
from tests.http.older import (
    CREATE,
    FIRST_DELETE,
    FIRST_SEARCH,
    FIRST_STATS,
    RETRIEVE,
    ROWS,
    SUB_TENANTS,
    UPDATE,
    UPLOAD,
    VERIFY,
)


def send(client: Client, method: str, path: str, fields: Any, **params: Any) -> Answer:
    return client.request(method, path, json.dumps(fields).encode(), {"Content-Type": JSON}, params)


@pytest.fixture
def filled(client: Client, tenant: str) -> str:
    """A tenant with a source of three rows and one of one."""
    client.insert(tenant, ROWS, file_id="a", document_metadata={"lang": "en"}).ok()
    client.insert(tenant, [[-1.0, 0.0]], file_id="b").ok()
    return tenant


def test_a_first_age_upload_is_answered_as_those_of_today(client: Client, tenant: str) -> None:
    answer = send(client, "POST", UPLOAD, {"embeddings": ROWS, "file_id": "a"}, tenant_id=tenant).ok()
    assert answer == client.insert(f"{tenant}x", ROWS, file_id="a").ok() | {"tenant_id": tenant}
    made = send(client, "POST", UPLOAD, {"embeddings": ROWS}, tenant_id=tenant, sub_tenant_id="s").ok()
    assert made["file_id"].startswith("emb_")
    assert made["sub_tenant_id"] == "s"
    send(client, "POST", UPLOAD, {"embeddings": ROWS}).refused(422, "MISSING_FIELD", field="tenant_id")
    send(client, "POST", UPLOAD, {}, tenant_id=tenant).refused(422, "MISSING_FIELD", field="embeddings")


def test_a_first_age_search_is_answered_with_ids_and_scores(client: Client, filled: str) -> None:
    answer = client.post(FIRST_SEARCH, {"tenant_id": filled, "embeddings": [1.0, 0.0]}).ok()
    root = float(np.float32(1 / np.sqrt(2)))
    assert answer == {
        "chunk_ids": ["a_0", "a_2", "a_1", "b_0"],
        "scores": [1.0, pytest.approx(root), 0.0, -1.0],
        "success": True,
        "message": "4 embeddings found.",
    }
    today = client.search(filled, [1.0, 0.0]).ok()
    assert answer["scores"] == [hit["score"] for hit in today]
    assert client.post(FIRST_SEARCH, {"tenant_id": filled, "embeddings": [1, 0], "max_chunks": 2}).ok()[
        "chunk_ids"
    ] == ["a_0", "a_2"]
    body, headers = npy(np.array([1.0, 0.0])), {"Content-Type": NPY}
    assert client.request("POST", FIRST_SEARCH, body, headers, {"tenant_id": filled}).ok() == answer


def test_max_chunks_is_10_by_default_and_200_at_most(client: Client, tenant: str) -> None:
    client.insert(tenant, np.ones((300, 2))).ok()
    for most, got in ((None, 10), (1, 1), (200, 200)):
        fields = {"tenant_id": tenant, "embeddings": [1, 0], "max_chunks": most}
        assert len(client.post(FIRST_SEARCH, fields).ok()["chunk_ids"]) == got
    for most in (0, 201, -1, 10**30):
        fields = {"tenant_id": tenant, "embeddings": [1, 0], "max_chunks": most}
        client.post(FIRST_SEARCH, fields).refused(400, "INVALID_LIMIT", "1..200", field="max_chunks")


@pytest.mark.parametrize(
    ("embeddings", "status", "code"),
    [
        (None, 422, "MISSING_FIELD"),
        ([], 422, "EMPTY_EMBEDDINGS"),
        ("x", 422, "WRONG_TYPE"),
        ([[1, 0]], 422, "WRONG_TYPE"),
        ([1, None], 422, "WRONG_TYPE"),
        ([1, 2, 3], 400, "DIMENSION_MISMATCH"),
        ([0, 0], 400, "ZERO_VECTOR"),
        ([1, 1e39], 400, "NON_FINITE_VALUE"),
    ],
)
def test_a_first_age_query_is_judged_like_every_query(
    client: Client, filled: str, embeddings: Any, status: int, code: str
) -> None:
    client.post(FIRST_SEARCH, {"tenant_id": filled, "embeddings": embeddings}).refused(status, code)


def test_vectors_are_retrieved_by_their_ids(client: Client, filled: str) -> None:
    fields = {"tenant_id": filled, "chunk_ids": ["b_0", "nope", "a_2", "a_9", "nope", "a_2"]}
    assert client.post(RETRIEVE, fields).ok() == {
        "embeddings": {"a_2": [1.0, 1.0], "b_0": [-1.0, 0.0]},
        "not_found_chunk_ids": ["nope", "a_9"],
        "success": True,
        "message": "2 of 4 embeddings found.",
    }
    assert client.post(RETRIEVE, {"tenant_id": filled, "chunk_ids": []}).ok()["embeddings"] == {}
    client.post(RETRIEVE, {"tenant_id": filled}).refused(422, "MISSING_FIELD", field="chunk_ids")
    client.post(RETRIEVE, {"chunk_ids": []}).refused(422, "MISSING_FIELD", field="tenant_id")
    client.post(RETRIEVE, {"tenant_id": filled, "chunk_ids": ["a\0"]}).refused(400, "INVALID_ID")
    client.post(RETRIEVE, {"tenant_id": f"{filled}x", "chunk_ids": []}).refused(404, "TENANT_NOT_FOUND")


def test_retrieved_vectors_are_the_stored_float32_bit_for_bit(client: Client, tenant: str) -> None:
    rng = np.random.default_rng(6)
    rows = rng.integers(0, 2**32, (300, 50), dtype=np.uint32).view(np.float32)
    rows[~np.isfinite(rows)] = 7.038531e-26
    client.insert_npy(tenant, rows, file_id='ä/"\\ 🦀')
    asked = [f'ä/"\\ 🦀_{row}' for row in range(300)]
    found = client.post(RETRIEVE, {"tenant_id": tenant, "chunk_ids": asked}).ok()["embeddings"]
    assert list(found) == asked
    back = np.array(list(found.values()), dtype=np.float64).astype(np.float32)
    assert (back.view(np.uint32) == rows.view(np.uint32)).all()


def test_retrieved_vectors_are_bounded_in_all(client: Client, tenant: str) -> None:
    rows = np.random.default_rng(7).random((1200, 3024), dtype=np.float32)
    client.insert_npy(tenant, rows, file_id="a").ok()
    for count in (1200, 600):
        answer = client.post(
            RETRIEVE, {"tenant_id": tenant, "chunk_ids": [f"a_{row}" for row in range(count)]}
        )
        if count == 1200:
            answer.refused(422, "TOO_MANY_ROWS", "67108864", field="chunk_ids")
        else:
            assert len(answer.ok()["embeddings"]) == count


def test_a_first_age_delete_tells_of_each_id(client: Client, filled: str) -> None:
    fields = {"tenant_id": filled, "chunk_ids": ["a_1", "a_7", "b_0", "a_1", "nope"]}
    assert send(client, "DELETE", FIRST_DELETE, fields).ok() == {
        "status": {"a_1": True, "a_7": False, "b_0": True, "nope": False},
        "total_deleted": 2,
        "success": True,
        "message": "2 of 4 embeddings deleted.",
    }
    assert [item["embedding"]["chunk_id"] for item in client.get(filled).ok()] == ["a_0", "a_2"]
    again = client.request(
        "DELETE", FIRST_DELETE, params={"tenant_id": filled, "chunk_ids": ["a_1", "a_0"]}
    ).ok()
    assert (again["status"], again["total_deleted"]) == ({"a_1": False, "a_0": True}, 1)
    send(client, "DELETE", FIRST_DELETE, {"tenant_id": filled}).refused(
        422, "MISSING_FIELD", field="chunk_ids"
    )
    assert client.post(FIRST_DELETE, fields).refused(405, "METHOD_NOT_ALLOWED")


def test_of_deletes_of_the_same_row_one_says_true(client: Client, tenant: str) -> None:
    client.insert(tenant, np.ones((200, 2)), file_id="a").ok()
    ids = [f"a_{row}" for row in range(200)]
    told: list[dict[str, bool]] = []
    fields = {"tenant_id": tenant, "chunk_ids": ids}
    threads = [
        threading.Thread(
            target=lambda: told.append(send(client, "DELETE", FIRST_DELETE, fields).ok()["status"])
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(status[one] for status in told) for one in ids] == [1] * 200


def test_a_stored_source_is_completed_in_the_first_age_too(client: Client, filled: str) -> None:
    answer = client.request("POST", VERIFY, params={"tenant_id": filled, "file_id": "a"}).ok()
    assert (answer["indexing_status"], answer["total_rows"], answer["success"]) == ("completed", 3, True)
    client.request("POST", VERIFY, params={"tenant_id": filled, "file_id": "z"}).refused(404, "NOT_FOUND")


def test_the_tenant_calls_of_the_first_age(client: Client, tenant: str) -> None:
    made = client.request("POST", CREATE, params={"tenant_id": tenant}).ok()
    assert made == {
        "tenant_id": tenant,
        "sub_tenant_id": "default",
        "success": True,
        "message": "Tenant created.",
    }
    assert client.request("POST", CREATE, params={"tenant_id": tenant}).ok()["success"] is True
    counted = {"object_count": 0, "tenant_id": tenant, "vector_dimension": None, "success": True}
    assert client.request("GET", FIRST_STATS, params={"tenant_id": tenant}).ok() == {
        **counted,
        "message": "Tenant counted.",
    }
    client.insert(tenant, ROWS, sub_tenant_id="s").ok()
    for name, count in (("s", 3), ("", 0), ("default", 0)):
        params = {"tenant_id": tenant, "sub_tenant_id": name}
        answer = client.request("GET", FIRST_STATS, params=params).ok()
        assert (answer["object_count"], answer["vector_dimension"]) == (count, 2)
    params = {"tenant_id": tenant, "sub_tenant_id": "nope"}
    client.request("GET", FIRST_STATS, params=params).refused(404, "SUB_TENANT_NOT_FOUND")
    assert client.request("GET", SUB_TENANTS, params={"tenant_id": tenant}).ok() == {
        "tenant_id": tenant,
        "sub_tenant_ids": ["default", "s"],
        "count": 2,
        "success": True,
        "message": "2 sub-tenants.",
    }
    for method, path in (("GET", FIRST_STATS), ("GET", SUB_TENANTS)):
        client.request(method, path, params={"tenant_id": f"{tenant}x"}).refused(404, "TENANT_NOT_FOUND")
        client.request(method, path).refused(422, "MISSING_FIELD", field="tenant_id")
    client.request("POST", CREATE).refused(422, "MISSING_FIELD", field="tenant_id")
    client.request("POST", CREATE, params={"tenant_id": "a\nb"}).refused(400, "INVALID_ID")


# Updates.


def update(client: Client, tenant: str, vectors: Any, **params: Any) -> Answer:
    return send(client, "PATCH", UPDATE, {"embeddings": vectors}, tenant_id=tenant, **params)


def rows_of(client: Client, tenant: str) -> dict[str, list[float]]:
    found = client.get(tenant, output_fields=["embedding"]).ok()
    return {item["embedding"]["chunk_id"]: item["embedding"]["embedding"] for item in found}


def test_an_update_replaces_vectors_and_nothing_else(client: Client, filled: str) -> None:
    before = rows_of(client, filled)
    assert update(client, filled, {"a_2": [5, 0], "a_0": [0, 6]}).ok() == {
        "success": True,
        "message": "Embeddings updated successfully.",
        "file_id": "a",
        "batch_id": "a",
        "chunk_ids": ["a_2", "a_0"],
        "updated_count": 2,
    }
    assert rows_of(client, filled) == before | {"a_2": [5.0, 0.0], "a_0": [0.0, 6.0]}
    assert client.get(filled, chunk_ids=["a_2"]).ok()[0]["metadata"] == {"lang": "en"}
    assert client.search(filled, [5, 0], limit=1).ok()[0]["embedding"]["chunk_id"] == "a_2"


def test_an_update_of_an_unknown_id_changes_nothing(client: Client, filled: str) -> None:
    before = rows_of(client, filled)
    for unknown in ("a_3", "nope", "z_0"):
        update(client, filled, {"a_0": [9, 9], unknown: [9, 9]}).refused(404, "NOT_FOUND")
    assert rows_of(client, filled) == before


def test_an_update_of_two_sources_changes_nothing(client: Client, filled: str) -> None:
    before = rows_of(client, filled)
    update(client, filled, {"a_0": [9, 9], "b_0": [9, 9]}).refused(422, "CONFLICTING_FIELDS")
    assert rows_of(client, filled) == before


@pytest.mark.parametrize(
    ("vectors", "status", "code"),
    [
        (None, 422, "MISSING_FIELD"),
        ({}, 422, "EMPTY_EMBEDDINGS"),
        ([[1, 2]], 422, "WRONG_TYPE"),
        ("x", 422, "WRONG_TYPE"),
        ({"a_0": "x"}, 422, "WRONG_TYPE"),
        ({"a_0": [1, 2], "a_1": [1]}, 422, "RAGGED_ROWS"),
        ({"a_0": [1, 2, 3]}, 400, "DIMENSION_MISMATCH"),
        ({"a_0": [0, 0]}, 400, "ZERO_VECTOR"),
        ({"a_0": [1, 1e39]}, 400, "NON_FINITE_VALUE"),
        ({"a\0": [1, 1]}, 400, "INVALID_ID"),
        ({"x" * 521: [1, 1]}, 400, "INVALID_ID"),
    ],
)
def test_an_update_is_judged_like_an_upload(
    client: Client, filled: str, vectors: Any, status: int, code: str
) -> None:
    before = rows_of(client, filled)
    update(client, filled, vectors).refused(status, code)
    assert rows_of(client, filled) == before


def test_an_update_names_each_row_once(client: Client, filled: str) -> None:
    body = b'{"embeddings": {"a_0": [1, 2], "a_0": [3, 4]}}'
    answer = client.request("PATCH", UPDATE, body, {"Content-Type": JSON}, {"tenant_id": filled})
    answer.refused(400, "MALFORMED_JSON", "a_0")
