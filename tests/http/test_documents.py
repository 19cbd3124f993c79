"""The document form of an upload: many sources, chunk ids of the client's; and `Idempotency-Key`."""

import hashlib
import json
import struct
from typing import Any

import numpy as np
import pytest

import ingot
from tests.http.client import INSERT, NPY, Client, npy

VECTORS = [[1.0, 0.0, 2.0], [0.5, 0.5, 0.5], [0.0, -1.0, 0.25]]


def document(source_id: str, chunks: dict[str, Any], **more: Any) -> dict[str, Any]:
    items = [{"chunk_id": chunk_id, "embedding": vector} for chunk_id, vector in chunks.items()]
    return {"source_id": source_id, **more, "embeddings": items}


def rows(client: Client, tenant: str, **selector: Any) -> list[tuple[str, str, Any, list[float]]]:
    """Source, chunk id, metadata and vector of each row, in insertion order."""
    items = client.get(tenant, output_fields=["embedding"], limit=10_000, **selector).ok()
    return [
        (item["source_id"], item["embedding"]["chunk_id"], item["metadata"], item["embedding"]["embedding"])
        for item in items
    ]


def ids(client: Client, tenant: str, **selector: Any) -> list[tuple[str, str]]:
    return [row[:2] for row in rows(client, tenant, **selector)]


# What is stored and answered.


def test_documents_are_stored_with_the_ids_of_the_client(client: Client, tenant: str) -> None:
    first = document("book", {"p1": VECTORS[0], "p/2 🦀": VECTORS[1]}, metadata={"lang": "de"})
    second = document("note", {"n": VECTORS[2]})
    assert client.insert(tenant, [first, second]).ok() == {
        "success": True,
        "status": "success",
        "message": "Embeddings uploaded successfully.",
        "file_id": None,
        "batch_id": None,
        "file_ids": ["book", "note"],
        "chunk_ids": ["p1", "p/2 🦀", "n"],
        "insert_count": 3,
        "ids": ["p1", "p/2 🦀", "n"],
        "error": None,
        "tenant_id": tenant,
        "sub_tenant_id": "default",
        "dimension": 3,
        "overwritten": 0,
        "crc32c": f"{ingot.crc32c(np.array(VECTORS, np.float32)):08x}",
    }
    assert rows(client, tenant) == [
        ("book", "p1", {"lang": "de"}, VECTORS[0]),
        ("book", "p/2 🦀", {"lang": "de"}, VECTORS[1]),
        ("note", "n", {}, VECTORS[2]),
    ]
    assert rows(client, tenant, chunk_ids=["n", "p1"]) == [
        ("book", "p1", {"lang": "de"}, VECTORS[0]),
        ("note", "n", {}, VECTORS[2]),
    ]
    found = client.search(tenant, VECTORS[1], limit=1).ok()[0]
    assert (found["source_id"], found["embedding"]["chunk_id"], found["metadata"]) == (
        "book",
        "p/2 🦀",
        {"lang": "de"},
    )


def test_one_document_is_answered_with_its_source(client: Client, tenant: str) -> None:
    answer = client.insert(tenant, [document("book", {"p": VECTORS[0]})], sub_tenant_id="s").ok()
    assert (answer["file_id"], answer["batch_id"], answer["sub_tenant_id"]) == ("book", "book", "s")
    assert "file_ids" not in answer


def test_a_source_is_built_of_several_uploads(client: Client, tenant: str) -> None:
    client.insert(tenant, [document("book", {"p1": VECTORS[0], "p2": VECTORS[1]}, metadata={"v": 1})]).ok()
    answer = client.insert(tenant, [document("book", {"p2": VECTORS[2], "p3": VECTORS[0]})]).ok()
    assert (answer["overwritten"], answer["message"]) == (1, "Embeddings uploaded successfully.")
    assert rows(client, tenant) == [
        ("book", "p1", {"v": 1}, VECTORS[0]),
        ("book", "p2", {"v": 1}, VECTORS[2]),
        ("book", "p3", {"v": 1}, VECTORS[0]),
    ]
    client.insert(tenant, [document("book", {"p4": VECTORS[1]}, metadata={"v": 2})]).ok()
    assert [row[1:3] for row in rows(client, tenant)] == [
        (name, {"v": 2}) for name in ("p1", "p2", "p3", "p4")
    ]
    status = client.request(
        "POST", "/ingestion/verify-processing", params={"tenant_id": tenant, "file_id": "book"}
    ).ok()
    assert status["total_rows"] == 4


def test_metadata_outlives_the_chunk_it_came_with(client: Client, tenant: str) -> None:
    client.insert(tenant, [document("book", {"p1": VECTORS[0]}, metadata={"v": 1})]).ok()
    client.insert(tenant, [document("book", {"p2": VECTORS[1]}, metadata={"v": 2})]).ok()
    assert client.delete(tenant, chunk_ids=["p2"]).ok()["delete_count"] == 1
    assert rows(client, tenant) == [("book", "p1", {"v": 2}, VECTORS[0])]
    assert client.search(tenant, VECTORS[0]).ok()[0]["metadata"] == {"v": 2}
    # A source that is gone, and one made anew, has none.
    client.delete(tenant, source_id="book").ok()
    client.insert(tenant, [document("book", {"p1": VECTORS[0]})]).ok()
    assert rows(client, tenant) == [("book", "p1", {}, VECTORS[0])]


def test_metadata_comes_back_as_it_was_sent(client: Client, tenant: str) -> None:
    text = b'{"n": 1.0, "file_id": "other", "a":[ ]}'
    body = b'{"tenant_id": "%s", "embeddings": [ {"metadata": %s, "source_id": "s", "embeddings": [%s]}]}'
    chunk = b'{"embedding": [1, 2], "chunk_id": "c"}'
    client.post(INSERT, body % (tenant.encode(), text, chunk)).ok()
    assert text in client.get(tenant).body
    assert ids(client, tenant) == [("s", "c")]
    client.post(INSERT, body % (tenant.encode(), b"null", chunk)).ok()
    assert text in client.get(tenant).body, "null is as good as absent"


# An id names one row, whichever form made it.


def test_a_document_takes_over_a_row_of_a_matrix(client: Client, tenant: str) -> None:
    client.insert(tenant, VECTORS, file_id="a", document_metadata={"of": "a"}).ok()
    answer = client.insert(tenant, [document("b", {"a_1": VECTORS[0], "a_01": VECTORS[1]})]).ok()
    assert answer["overwritten"] == 1
    assert ids(client, tenant) == [("a", "a_0"), ("a", "a_2"), ("b", "a_1"), ("b", "a_01")]
    assert ids(client, tenant, source_id="a") == [("a", "a_0"), ("a", "a_2")]
    assert ids(client, tenant, chunk_ids=["a_1"]) == [("b", "a_1")]


def test_a_matrix_takes_over_ids_that_its_rows_get(client: Client, tenant: str) -> None:
    named = {"a_0": VECTORS[0], "a_2": VECTORS[1], "a_3": VECTORS[2], "a_00": VECTORS[0], "a_": VECTORS[1]}
    client.insert(tenant, [document("b", named)]).ok()
    client.insert(tenant, VECTORS, file_id="a", upsert=False).refused(409, "ALREADY_EXISTS", "'a_0'")
    answer = client.insert(tenant, VECTORS, file_id="a").ok()
    assert (answer["overwritten"], answer["message"]) == (2, "Embeddings uploaded successfully.")
    assert ids(client, tenant) == [
        ("b", "a_3"),
        ("b", "a_00"),
        ("b", "a_"),
        ("a", "a_0"),
        ("a", "a_1"),
        ("a", "a_2"),
    ]


def test_a_matrix_replaces_a_source_of_documents(client: Client, tenant: str) -> None:
    client.insert(tenant, [document("a", {"x": VECTORS[0], "a_1": VECTORS[1]}, metadata={"v": 1})]).ok()
    answer = client.insert(tenant, VECTORS[:2], file_id="a").ok()
    assert answer["overwritten"] == 2
    assert "Existing embeddings with file_id 'a' have been overwritten." in answer["message"]
    assert rows(client, tenant) == [("a", "a_0", {}, VECTORS[0]), ("a", "a_1", {}, VECTORS[1])]


def test_a_chunk_moves_to_the_source_that_names_it_last(client: Client, tenant: str) -> None:
    client.insert(tenant, [document("a", {"x": VECTORS[0]}, metadata={"of": "a"})]).ok()
    client.insert(tenant, [document("b", {"x": VECTORS[1]}, metadata={"of": "b"})]).ok()
    assert rows(client, tenant) == [("b", "x", {"of": "b"}, VECTORS[1])]
    assert client.request("GET", "/tenants/monitor", params={"tenant_id": tenant}).ok()["sources"] == 1
    client.insert(tenant, [document("a", {"x": VECTORS[2]})], sub_tenant_id="other").ok()
    assert ids(client, tenant) == [("b", "x")], "another sub-tenant is another place"


# Conflicts and retries.


def test_upsert_false_refuses_a_chunk_that_exists_and_no_source(client: Client, tenant: str) -> None:
    client.insert(tenant, [document("a", {"x": VECTORS[0]})], upsert=False).ok()
    client.insert(tenant, [document("a", {"y": VECTORS[1]})], upsert=False).ok()
    more = [document("c", {"z": VECTORS[2]}), document("b", {"y": VECTORS[0]})]
    client.insert(tenant, more, upsert=False).refused(409, "ALREADY_EXISTS", "'y'", "upsert")
    assert ids(client, tenant) == [("a", "x"), ("a", "y")], "nothing of it was stored"


def test_the_retry_of_a_stored_upload_is_no_conflict(client: Client, tenant: str) -> None:
    upload = [
        document("a", {"x": VECTORS[0], "y": VECTORS[1]}, metadata={"v": 1}),
        document("b", {"z": VECTORS[2]}),
    ]
    first = client.insert(tenant, upload, upsert=False).ok()
    assert client.insert(tenant, upload, upsert=False).ok() == first
    # In another order, and a part of it: every chunk is there just so.
    parts = [document("b", {"z": VECTORS[2]}), document("a", {"x": VECTORS[0]})]
    client.insert(tenant, parts, upsert=False).ok()
    assert ids(client, tenant) == [("a", "x"), ("a", "y"), ("b", "z")]
    for other in (
        [document("a", {"x": VECTORS[1]})],
        [document("b", {"x": VECTORS[0]})],
        [document("a", {"x": VECTORS[0]}, metadata={"v": 2})],
        [document("a", {"x": VECTORS[0], "new": VECTORS[0]})],
    ):
        client.insert(tenant, other, upsert=False).refused(409, "ALREADY_EXISTS", "'x'")


def test_a_dry_run_of_documents_stores_nothing(client: Client, tenant: str) -> None:
    answer = client.insert(tenant, [document("a", {"x": VECTORS[0]})], dry_run=True).ok()
    assert (answer["dry_run"], answer["ids"]) == (True, ["x"])
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


def test_the_digest_is_that_of_all_rows_in_order(client: Client, tenant: str) -> None:
    upload = [document("a", {"x": VECTORS[0]}), document("b", {"y": VECTORS[1], "z": VECTORS[2]})]
    right = f"{ingot.crc32c(np.array(VECTORS, np.float32)):08x}"
    client.insert(tenant, upload, crc32c="00000000").refused(400, "DIGEST_MISMATCH", right)
    assert client.insert(tenant, upload, crc32c=right).ok()["crc32c"] == right


# Refusals: where, and nothing stored.


def test_an_id_that_is_there_twice_is_refused(client: Client, tenant: str) -> None:
    upload = [document("a", {"x": VECTORS[0], "y": VECTORS[1]}), document("b", {"x": VECTORS[2]})]
    client.insert(tenant, upload).refused(400, "DUPLICATE_CHUNK_ID", "row 2", "'x'", "row 0", row=2)
    upload = [document("a", {"x": VECTORS[0]}), document("a", {"y": VECTORS[2]})]
    client.insert(tenant, upload).refused(422, "CONFLICTING_FIELDS", "'a'", "twice")
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


CHUNK = {"chunk_id": "c", "embedding": [1, 2]}
GOOD = {"source_id": "s", "embeddings": [CHUNK]}


@pytest.mark.parametrize(
    ("bad", "status", "code", "words"),
    [
        ({**GOOD, "sorce_id": "s"}, 422, "UNKNOWN_FIELD", ["embeddings[1].sorce_id", "`source_id`"]),
        (
            {"source_id": "s", "embeddings": [{**CHUNK, "chunkid": 1}]},
            422,
            "UNKNOWN_FIELD",
            ["embeddings[1].embeddings[0].chunkid", "`chunk_id`"],
        ),
        ({"embeddings": [CHUNK]}, 422, "MISSING_FIELD", ["embeddings[1].source_id"]),
        ({"source_id": None, "embeddings": [CHUNK]}, 422, "MISSING_FIELD", ["embeddings[1].source_id"]),
        ({"source_id": "s"}, 422, "MISSING_FIELD", ["embeddings[1].embeddings"]),
        ({"source_id": "s", "embeddings": []}, 422, "EMPTY_EMBEDDINGS", ["embeddings"]),
        (
            {"source_id": "s", "embeddings": [{"embedding": [1, 2]}]},
            422,
            "MISSING_FIELD",
            ["embeddings[1].embeddings[0].chunk_id"],
        ),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": "c"}]},
            422,
            "MISSING_FIELD",
            ["embeddings[1].embeddings[0].embedding"],
        ),
        (
            {"source_id": 7, "embeddings": [CHUNK]},
            422,
            "WRONG_TYPE",
            ["embeddings[1].source_id", "a string", "a number"],
        ),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": ["c"], "embedding": [1, 2]}]},
            422,
            "WRONG_TYPE",
            ["embeddings[1].embeddings[0].chunk_id", "an array"],
        ),
        ({**GOOD, "metadata": [1]}, 422, "WRONG_TYPE", ["embeddings[1].metadata", "an object"]),
        ({**GOOD, "metadata": {"a": "x" * 70_000}}, 413, "BODY_TOO_LARGE", ["embeddings[1].metadata"]),
        ({"source_id": "", "embeddings": [CHUNK]}, 400, "INVALID_ID", ["embeddings[1].source_id"]),
        ({"source_id": "s" * 513, "embeddings": [CHUNK]}, 400, "INVALID_ID", ["embeddings[1].source_id"]),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": "c\u0085", "embedding": [1, 2]}]},
            400,
            "INVALID_ID",
            ["row 1", "chunk_id", "control"],
        ),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": "c" * 521, "embedding": [1, 2]}]},
            400,
            "INVALID_ID",
            ["row 1", "521", "520"],
        ),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": "", "embedding": [1, 2]}]},
            400,
            "INVALID_ID",
            ["row 1", "empty"],
        ),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": "c", "embedding": [1]}]},
            422,
            "RAGGED_ROWS",
            ["row 1"],
        ),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": "c", "embedding": [1e39, 0]}]},
            400,
            "NON_FINITE_VALUE",
            ["row 1, column 0"],
        ),
        (
            {"source_id": "s", "embeddings": [{"chunk_id": "c", "embedding": [0, 0]}]},
            400,
            "ZERO_VECTOR",
            ["row 1"],
        ),
        ([1, 2], 422, "WRONG_TYPE", ["embeddings"]),
        (
            {**GOOD, "chunk_ids": ["c"]},
            422,
            "CONFLICTING_FIELDS",
            ["embeddings[1].chunk_ids", "exclude each other"],
        ),
        (
            {**GOOD, "chunk_ids": ["c", "d"]},
            422,
            "CONFLICTING_FIELDS",
            ["embeddings[1]", "2 chunk ids for 1 vectors"],
        ),
    ],
)
def test_what_is_wrong_with_a_document_is_told_by_its_place(
    client: Client, tenant: str, bad: Any, status: int, code: str, words: list[str]
) -> None:
    good = {"source_id": "good", "embeddings": [{"chunk_id": "good", "embedding": [1, 2]}]}
    client.insert(tenant, [good, bad]).refused(status, code, *words)
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


def test_two_vectors_of_one_chunk_are_refused(client: Client, tenant: str) -> None:
    chunk = b'{"chunk_id": "c", "embedding": [1, 2], "embedding": [3, 4]}'
    body = b'{"tenant_id": "%s", "embeddings": [{"source_id": "s", "embeddings": [%s]}]}'
    answer = client.post(INSERT, body % (tenant.encode(), chunk))
    assert answer.status in (400, 422)
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


def test_a_lone_surrogate_is_no_id(client: Client, tenant: str) -> None:
    chunk = rb'{"chunk_id": "\ud800", "embedding": [1, 2]}'
    body = b'{"tenant_id": "%s", "embeddings": [{"source_id": "s", "embeddings": [%s]}]}'
    answer = client.post(INSERT, body % (tenant.encode(), chunk))
    assert answer.status == 400
    assert answer.json["detail"]["error_code"] in ("INVALID_ID", "MALFORMED_JSON")


@pytest.mark.parametrize(
    ("field", "value"), [("file_id", "f"), ("document_metadata", {}), ("document_metadata", {"file_id": "f"})]
)
def test_fields_of_the_matrix_form_are_refused_with_documents(
    client: Client, tenant: str, field: str, value: Any
) -> None:
    client.insert(tenant, [document("a", {"x": VECTORS[0]})], **{field: value}).refused(
        422, "CONFLICTING_FIELDS", "exclude each other"
    )
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


def test_two_thousand_chunks_are_taken_and_not_one_more(client: Client, tenant: str) -> None:
    documents = [document(f"s{n}", {f"c{n}-{i}": [n, i + 1] for i in range(20)}) for n in range(100)]
    answer = client.insert(tenant, documents).ok()
    assert answer["insert_count"] == len(set(answer["ids"])) == 2000
    assert len(answer["file_ids"]) == 100
    documents.append(document("more", {"more": [1, 1]}))
    client.insert(tenant, documents).refused(422, "TOO_MANY_ROWS", "2000")
    # As many sources as rows, in the order they came.
    single = [document(f"one{n}", {f"c{n}-0": [n, 1]}) for n in range(100)]
    assert client.insert(tenant, single).ok()["overwritten"] == 100
    assert ids(client, tenant)[-100:] == [(f"one{n}", f"c{n}-0") for n in range(100)]


# The id of a source, made of a key.


def derived(tenant: str, sub_tenant: str, key: str) -> str:
    parts = [part.encode() for part in (tenant, sub_tenant, key)]
    framed = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return "emb_" + hashlib.sha256(framed).hexdigest()[:32]


def test_an_idempotency_key_makes_the_same_id_again(client: Client, tenant: str) -> None:
    body = json.dumps({"tenant_id": tenant, "embeddings": VECTORS}).encode()
    headers = {"Idempotency-Key": "order-17"}
    first = client.post(INSERT, body, headers=headers).ok()
    assert first["file_id"] == derived(tenant, "default", "order-17")
    again = client.post(INSERT, body, headers=headers).ok()
    assert (again["file_id"], again["ids"], again["overwritten"]) == (first["file_id"], first["ids"], 3)
    assert len(rows(client, tenant)) == 3
    by_npy = client.request(
        "POST",
        INSERT,
        npy(np.array(VECTORS, np.float32)),
        {"Content-Type": NPY, **headers},
        {"tenant_id": tenant, "sub_tenant_id": "default"},
    ).ok()
    assert by_npy["file_id"] == first["file_id"]
    body = json.dumps({"tenant_id": tenant, "embeddings": VECTORS, "upsert": False}).encode()
    client.post(INSERT, body, headers=headers).ok()
    assert len(rows(client, tenant)) == 3


def test_tenant_sub_tenant_and_key_cannot_be_confused(client: Client, tenant: str) -> None:
    made = set()
    for sub_tenant, key in [(None, "k"), ("s", "k"), ("sk", "k"), ("s", "kk"), ("default", "k2")]:
        body = json.dumps({"tenant_id": tenant, "sub_tenant_id": sub_tenant, "embeddings": VECTORS}).encode()
        answer = client.post(INSERT, body, headers={"Idempotency-Key": key}).ok()
        assert answer["file_id"] == derived(tenant, sub_tenant or "default", key)
        made.add(answer["file_id"])
    assert len(made) == 5


def test_with_a_file_id_the_key_changes_nothing(client: Client, tenant: str) -> None:
    headers = {"Idempotency-Key": "k"}
    named = {"tenant_id": tenant, "embeddings": VECTORS}
    assert client.post(INSERT, {**named, "file_id": "f"}, headers=headers).ok()["file_id"] == "f"
    inner = {**named, "document_metadata": {"file_id": "g"}}
    assert client.post(INSERT, inner, headers=headers).ok()["file_id"] == "g"
    documents = {"tenant_id": tenant, "embeddings": [document("h", {"x": VECTORS[0]})]}
    assert client.post(INSERT, documents, headers=headers).ok()["file_id"] == "h"


@pytest.mark.parametrize("key", ["", "with space", "k" * 256, "é", "\x7f"])
def test_other_keys_are_refused_before_the_body(client: Client, tenant: str, key: str) -> None:
    head = (
        f"POST {INSERT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: {key}\r\nContent-Length: 100000\r\n\r\n"
    )
    answer = client.raw(head.encode())
    assert answer.status in (400, 422)
    if key != "\x7f":
        answer.refused(422, "WRONG_TYPE", "Idempotency-Key", "255", field="Idempotency-Key")


def test_the_longest_key_is_taken(client: Client, tenant: str) -> None:
    body = {"tenant_id": tenant, "embeddings": VECTORS}
    key = "~!" + "k" * 253
    assert client.post(INSERT, body, headers={"Idempotency-Key": key}).ok()["file_id"] == derived(
        tenant, "default", key
    )
