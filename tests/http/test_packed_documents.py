"""Section 7 of the wire contract: the vectors of a source of the document form in base64, named by `chunk_ids`."""

import base64

import numpy as np

from tests.http.client import Client


def packed(rows: np.ndarray, **fields: object) -> dict[str, object]:
    data = base64.b64encode(np.ascontiguousarray(rows, "<f4").tobytes()).decode()
    return {"embeddings": {"data": data, "dtype": "float32", "shape": list(rows.shape)}, **fields}


def test_the_vectors_of_a_source_may_be_packed(client: Client, tenant: str) -> None:
    rows = np.random.default_rng(5).standard_normal((3, 4)).astype(np.float32)
    plain = {
        "source_id": "plain",
        "embeddings": [{"chunk_id": f"p{i}", "embedding": row.tolist()} for i, row in enumerate(rows)],
    }
    documents = [packed(rows[::-1], source_id="packed", chunk_ids=["a", "b", "c"], metadata={"k": 1}), plain]
    answer = client.insert(tenant, documents).ok()
    assert answer["ids"] == ["a", "b", "c", "p0", "p1", "p2"]
    items = client.get(tenant, source_id="packed", output_fields=["embedding"]).ok()
    assert [item["embedding"]["chunk_id"] for item in items] == ["a", "b", "c"]
    assert [item["embedding"]["embedding"] for item in items] == rows[::-1].astype(float).tolist()
    assert {str(item["metadata"]) for item in items} == {"{'k': 1}"}


def test_packed_vectors_have_one_id_each(client: Client, tenant: str) -> None:
    rows = np.ones((2, 4), np.float32)
    for ids in (["a"], ["a", "b", "c"]):
        answer = client.insert(tenant, [packed(rows, source_id="s", chunk_ids=ids)])
        answer.refused(422, "CONFLICTING_FIELDS", field="embeddings[0].chunk_ids")
    client.insert(tenant, [packed(rows, source_id="s")]).refused(
        422, "MISSING_FIELD", field="embeddings[0].chunk_ids"
    )
    client.insert(tenant, [packed(rows, source_id="s", chunk_ids=["a", "a"])]).refused(
        400, "DUPLICATE_CHUNK_ID"
    )
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")
