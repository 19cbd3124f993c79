"""`query_embeddings`: many queries in one search, section 3 of the wire contract."""

import itertools
from typing import Any

import numpy as np
import pytest

from tests.http.client import NPY, SEARCH, Answer, Client, npy


def batch(client: Client, tenant: str, queries: Any, **fields: Any) -> Answer:
    if isinstance(queries, np.ndarray):
        queries = queries.tolist()
    return client.post(SEARCH, {"tenant_id": tenant, "query_embeddings": queries, **fields})


@pytest.fixture
def rows(client: Client, tenant: str) -> np.ndarray:
    """300 rows of 8 numbers, stored as `a`, with metadata."""
    stored = np.random.default_rng(11).standard_normal((300, 8)).astype(np.float32)
    client.insert(tenant, stored, file_id="a", document_metadata={"k": 1}).ok()
    return stored


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_a_batch_is_answered_as_its_queries_one_by_one(
    client: Client, tenant: str, rows: np.ndarray, count: int
) -> None:
    fields: dict[str, Any]
    for fields in (
        {},
        {"limit": 3},
        {"exact": True},
        {"ef": 200},
        {"score_threshold": 0.2},
        {"limit": 2, "output_fields": ["embedding"]},
    ):
        answer = batch(client, tenant, rows[:count], **fields).ok()
        assert answer == [client.search(tenant, query, **fields).ok() for query in rows[:count]]


def test_the_lists_of_a_batch_are_in_query_order(client: Client, tenant: str, rows: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(300)
    answer = batch(client, tenant, rows[order], limit=1).ok()
    assert [hits[0]["embedding"]["chunk_id"] for hits in answer] == [f"a_{row}" for row in order]


def test_a_two_dimensional_array_is_a_batch(client: Client, tenant: str, rows: np.ndarray) -> None:
    params = {"tenant_id": tenant, "limit": 3}
    for count in (1, 5):
        answer = client.request("POST", SEARCH, npy(rows[:count]), {"Content-Type": NPY}, params).ok()
        assert answer == batch(client, tenant, rows[:count], limit=3).ok()
    one = client.request("POST", SEARCH, npy(rows[0]), {"Content-Type": NPY}, params).ok()
    assert one == client.search(tenant, rows[0], limit=3).ok()


def test_a_batch_to_an_empty_tenant_is_a_list_of_empty_lists(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]], sub_tenant_id="other").ok()
    assert batch(client, tenant, [[1, 2], [3, 4]]).ok() == [[], []]
    batch(client, tenant + "x", [[1, 2]]).refused(404, "TENANT_NOT_FOUND")


def test_a_thousand_queries_are_a_batch_and_one_more_is_none(
    client: Client, tenant: str, rows: np.ndarray
) -> None:
    many = np.tile(rows, (4, 1))[:1000]
    answer = batch(client, tenant, many, limit=100).ok()
    assert [len(hits) for hits in answer] == [100] * 1000
    batch(client, tenant, np.vstack([many, many[:1]])).refused(422, "TOO_MANY_ROWS", "1000")


def test_queries_times_limit_is_bounded(client: Client, tenant: str, rows: np.ndarray) -> None:
    batch(client, tenant, rows[:101], limit=1000).refused(
        400, "INVALID_LIMIT", "101 queries", "101000", "100000", field="limit"
    )
    assert len(batch(client, tenant, rows[:100], limit=1000).ok()) == 100


def test_the_vectors_of_a_batch_are_bounded_in_all(client: Client, tenant: str) -> None:
    client.insert(tenant, np.eye(3, 3024)).ok()
    wanted = {"limit": 200, "output_fields": ["embedding"]}
    batch(client, tenant, np.eye(28, 3024), **wanted).refused(
        400, "INVALID_LIMIT", "28 queries", "5600 vectors of 3024", field="limit"
    )
    assert len(batch(client, tenant, np.eye(27, 3024), **wanted).ok()) == 27


@pytest.mark.parametrize(
    ("queries", "status", "code", "words", "places"),
    [
        ("[[1,2],[3,1e39]]", 400, "NON_FINITE_VALUE", ["1e39"], {"row": 1, "column": 1}),
        ("[[1,2],[0,1],[0,0]]", 400, "ZERO_VECTOR", [], {"row": 2}),
        ("[[1,2],[3]]", 422, "RAGGED_ROWS", [], {"row": 1}),
        ('[[1,2],[3,"a"]]', 422, "WRONG_TYPE", ["query_embeddings"], {"row": 1, "column": 1}),
        ("[[1,2],3]", 422, "WRONG_TYPE", ["query_embeddings"], {"field": "query_embeddings"}),
        ("[[1,2,3]]", 400, "DIMENSION_MISMATCH", ["2", "3"], {}),
        ("[]", 422, "EMPTY_EMBEDDINGS", ["query_embeddings"], {"field": "query_embeddings"}),
        ("[[]]", 422, "EMPTY_EMBEDDINGS", ["query_embeddings"], {"field": "query_embeddings"}),
        ("{}", 422, "MISSING_FIELD", ["query_embeddings"], {"field": "query_embeddings.data"}),
        ("7", 422, "WRONG_TYPE", ["query_embeddings"], {"field": "query_embeddings"}),
        ("null", 422, "MISSING_FIELD", ["query_embeddings"], {"field": "query_embedding"}),
        (
            '{"data":"AACAPwAAgD8=","dtype":"float32","shape":[2]}',
            422,
            "WRONG_TYPE",
            ["two integers"],
            {"field": "query_embeddings.shape"},
        ),
    ],
)
def test_what_is_wrong_with_a_batch_is_told_with_its_place(
    client: Client,
    tenant: str,
    queries: str,
    status: int,
    code: str,
    words: list[str],
    places: dict[str, Any],
) -> None:
    client.insert(tenant, [[1, 2]]).ok()
    body = f'{{"tenant_id":"{tenant}","query_embeddings":{queries}}}'.encode()
    client.post(SEARCH, body).refused(status, code, *words, **places)


def test_one_query_and_a_batch_exclude_each_other(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]]).ok()
    fields = [("query_embedding", [1, 2]), ("query_embeddings", [[1, 2], [3, 4]])]
    for order in itertools.permutations(fields):
        client.post(SEARCH, {"tenant_id": tenant, **dict(order)}).refused(
            422, "CONFLICTING_FIELDS", "query_embeddings", field="query_embeddings"
        )
    assert batch(client, tenant, [[1, 2]], query_embedding=None).ok()
    assert client.search(tenant, [1, 2], query_embeddings=None).ok()


def test_queries_are_no_parameter(client: Client, tenant: str) -> None:
    client.post(SEARCH, {"tenant_id": tenant}, {"query_embeddings": "[[1]]"}).refused(
        422, "UNKNOWN_FIELD", "body", field="query_embeddings"
    )


def test_names_and_metadata_come_back_as_they_were_sent(client: Client, tenant: str) -> None:
    for name in ('quo"te', "back\\slash", "ünïcödé \N{GRINNING FACE}", "/../ &<>"):
        metadata = {'k"\\': [name, 1e-7, None]}
        client.insert(tenant, [[1, 2]], file_id=name, document_metadata=metadata).ok()
        (hits,) = batch(client, tenant, [[1, 2]]).ok()
        (hit,) = (hit for hit in hits if hit["source_id"] == name)
        assert hit["embedding"]["chunk_id"] == name + "_0"
        assert hit["metadata"] == metadata


def test_distances_parse_to_the_exact_float32(client: Client, tenant: str) -> None:
    random = np.random.default_rng(5)
    stored = (random.standard_normal((200, 3)) * 10.0 ** random.integers(-18, 18, (200, 1))).astype(
        np.float32
    )
    client.insert(tenant, stored, file_id="a").ok()
    (hits,) = batch(client, tenant, stored[:1], limit=200).ok()
    for hit in hits:
        for number in (hit["score"], hit["distance"]):
            assert float(np.float32(number)) == number


def test_a_batch_whose_metadata_is_too_much_is_refused(client: Client, tenant: str) -> None:
    client.insert(tenant, np.eye(100), document_metadata={"k": "x" * 60_000}).ok()
    batch(client, tenant, np.eye(45, 100), limit=100).refused(
        400, "INVALID_LIMIT", "metadata", str(256 * 2**20), field="limit"
    )
