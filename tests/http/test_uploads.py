"""Section 1 of the wire contract: what an upload means."""

import json
import re
import threading

import numpy as np
import pytest

from tests.http.client import INSERT, JSON, NPY, SEARCH, STATS, Client, npy

ROWS = [[0.1, 0.2, 0.3], [0.4, 0.5, -0.6]]


def test_an_upload_is_answered_to_the_letter(client: Client, tenant: str) -> None:
    answer = client.insert(tenant, [[1, 2], [3, 4]], file_id="emb_123456").ok()
    assert answer == {
        "success": True,
        "status": "success",
        "message": "Embeddings uploaded successfully.",
        "file_id": "emb_123456",
        "batch_id": "emb_123456",
        "chunk_ids": ["emb_123456_0", "emb_123456_1"],
        "insert_count": 2,
        "ids": ["emb_123456_0", "emb_123456_1"],
        "error": None,
        "tenant_id": tenant,
        "sub_tenant_id": "default",
        "dimension": 2,
        "overwritten": 0,
        # CRC-32C of 1.0 2.0 3.0 4.0 as little-endian float32.
        "crc32c": "9eba690a",
    }


def test_an_overwrite_says_so_to_the_letter(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, file_id="emb_123456").ok()
    answer = client.insert(tenant, ROWS[:1], file_id="emb_123456").ok()
    assert answer["message"] == (
        "Embeddings uploaded successfully. Existing embeddings with file_id 'emb_123456' have been overwritten."
    )
    assert answer["overwritten"] == 2
    assert answer["chunk_ids"] == ["emb_123456_0"]


def test_an_overwrite_replaces_vectors_ids_and_metadata(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, file_id="a", document_metadata={"v": 1}).ok()
    client.insert(tenant, ROWS[1:], file_id="a").ok()
    items = client.get(tenant, output_fields=["embedding"]).ok()
    assert [item["embedding"]["chunk_id"] for item in items] == ["a_0"]
    assert items[0]["metadata"] == {}
    stored = np.array(items[0]["embedding"]["embedding"], np.float32)
    assert stored.tolist() == np.array(ROWS[1], np.float32).tolist()


def test_an_overwrite_is_never_seen_half_done(client: Client, tenant: str) -> None:
    def version(number: int) -> None:
        rows = np.full((5 + number % 2, 8), 1.0 + number)
        client.insert(tenant, rows, file_id="a", document_metadata={"version": number}).ok()

    def overwrite() -> None:
        for number in range(1, 60):
            version(number)

    version(0)
    writer = threading.Thread(target=overwrite)
    writer.start()
    seen: set[int] = set()
    while writer.is_alive():
        for items in (client.get(tenant).ok(), client.search(tenant, [1.0] * 8, limit=100).ok()):
            (number,) = {item["metadata"]["version"] for item in items}
            assert len(items) == 5 + number % 2
            seen.add(number)
    writer.join()
    assert len(client.get(tenant).ok()) == 6
    assert len(seen) > 1


def test_the_same_upload_twice_leaves_the_state_of_once(client: Client, tenant: str) -> None:
    first = client.insert(tenant, ROWS, file_id="a", document_metadata={"k": "v"}).ok()
    before = client.get(tenant, output_fields=["embedding"]).ok()
    second = client.insert(tenant, ROWS, file_id="a", document_metadata={"k": "v"}).ok()
    assert client.get(tenant, output_fields=["embedding"]).ok() == before
    assert first["chunk_ids"] == second["chunk_ids"]
    assert client.request("GET", STATS, params={"tenant_id": tenant}).ok()["rows"] == 2


def test_made_ids_are_ulids_that_only_grow(client: Client, tenant: str) -> None:
    ids = [client.insert(tenant, ROWS).ok()["file_id"] for _ in range(20)]
    assert all(re.fullmatch(r"emb_[0-9A-HJKMNP-TV-Z]{26}", file_id) for file_id in ids)
    assert ids == sorted(set(ids))


def test_an_upload_is_searchable_with_its_200(client: Client, tenant: str) -> None:
    for number in range(10):
        client.insert(tenant, [[1.0, float(number)]], file_id=f"f{number}").ok()
        hits = client.search(tenant, [1.0, float(number)], limit=1).ok()
        assert hits[0]["source_id"] == f"f{number}"


# Ids and where they come from.


def test_metadata_may_name_the_source(client: Client, tenant: str) -> None:
    answer = client.insert(tenant, ROWS, document_metadata={"file_id": "inner"}).ok()
    assert answer["file_id"] == "inner"
    same = client.insert(tenant, ROWS, file_id="inner", document_metadata={"file_id": "inner"}).ok()
    assert same["overwritten"] == 2
    escaped = (
        b'{"tenant_id": "%s", "embeddings": [[1, 2, 3]], "document_metadata": {"file\\u005fid": "inner2"}}'
    )
    assert client.post(INSERT, escaped % tenant.encode()).ok()["file_id"] == "inner2"


def test_two_names_for_a_source_are_a_conflict(client: Client, tenant: str) -> None:
    answer = client.insert(tenant, ROWS, file_id="a", document_metadata={"file_id": "b"})
    answer.refused(422, "CONFLICTING_FIELDS", "document_metadata.file_id")


@pytest.mark.parametrize("fields", [{"file_id": ""}, {"document_metadata": {"file_id": ""}}])
def test_an_empty_file_id_is_refused(client: Client, tenant: str, fields: dict[str, object]) -> None:
    client.insert(tenant, ROWS, **fields).refused(422, "MISSING_FIELD", "empty")


def test_a_file_id_that_is_no_string_is_refused(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, document_metadata={"file_id": 7}).refused(
        422, "WRONG_TYPE", "document_metadata.file_id"
    )


def test_null_is_absent(client: Client, tenant: str) -> None:
    answer = client.insert(
        tenant,
        ROWS,
        sub_tenant_id=None,
        file_id=None,
        document_metadata=None,
        upsert=None,
        dry_run=None,
        crc32c=None,
    ).ok()
    assert answer["sub_tenant_id"] == "default"
    assert answer["file_id"].startswith("emb_")
    assert (
        client.insert(tenant, ROWS, file_id="n", document_metadata={"file_id": None}).ok()["file_id"] == "n"
    )


@pytest.mark.parametrize("name", [None, "", "default"])
def test_the_default_sub_tenant_has_three_spellings(client: Client, tenant: str, name: str | None) -> None:
    client.insert(tenant, ROWS, file_id="a").ok()
    assert client.insert(tenant, ROWS, file_id="a", sub_tenant_id=name).ok()["overwritten"] == 2
    assert len(client.get(tenant, sub_tenant_id=name).ok()) == 2


def test_a_source_belongs_to_its_sub_tenant(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, file_id="a", sub_tenant_id="one").ok()
    assert client.insert(tenant, ROWS, file_id="a", sub_tenant_id="two").ok()["overwritten"] == 0
    assert len(client.search(tenant, ROWS[0], sub_tenant_id="one").ok()) == 2
    assert client.request("GET", STATS, params={"tenant_id": tenant}).ok()["sub_tenants"] == {
        "default": 0,
        "one": 2,
        "two": 2,
    }


def test_tenant_id_may_be_a_parameter(client: Client, tenant: str) -> None:
    client.post(INSERT, {"embeddings": ROWS}, {"tenant_id": tenant}).ok()
    client.post(INSERT, {"embeddings": ROWS, "tenant_id": tenant}, {"tenant_id": tenant}).ok()
    answer = client.post(INSERT, {"embeddings": ROWS, "tenant_id": tenant}, {"tenant_id": "other"})
    answer.refused(422, "CONFLICTING_FIELDS", "tenant_id", field="tenant_id")


def test_a_missing_field_is_named(client: Client, tenant: str) -> None:
    client.post(INSERT, {"embeddings": ROWS}).refused(422, "MISSING_FIELD", field="tenant_id")
    client.post(INSERT, {"tenant_id": None, "embeddings": ROWS}).refused(
        422, "MISSING_FIELD", field="tenant_id"
    )
    client.post(INSERT, {"tenant_id": tenant}).refused(422, "MISSING_FIELD", field="embeddings")
    client.post(INSERT, {"tenant_id": tenant, "embeddings": None}).refused(
        422, "MISSING_FIELD", field="embeddings"
    )


def test_an_unknown_field_is_named_with_the_nearest_known_one(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, sub_tenent_id="x").refused(
        422, "UNKNOWN_FIELD", "`sub_tenent_id`", "did you mean `sub_tenant_id`?", field="sub_tenent_id"
    )
    client.post(INSERT, {"tenant_id": tenant, "embeddings": ROWS}, {"tenat_id": "x"}).refused(
        422, "UNKNOWN_FIELD", "did you mean `tenant_id`?", field="tenat_id"
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"file_id": 1}, "file_id"),
        ({"sub_tenant_id": ["a"]}, "sub_tenant_id"),
        ({"upsert": "yes"}, "upsert"),
        ({"dry_run": 1}, "dry_run"),
        ({"document_metadata": [1]}, "document_metadata"),
        ({"document_metadata": "{}"}, "document_metadata"),
        ({"crc32c": "ABCDEF01"}, "crc32c"),
        ({"crc32c": 7}, "crc32c"),
    ],
)
def test_a_value_of_another_type_is_refused(
    client: Client, tenant: str, fields: dict[str, object], field: str
) -> None:
    client.insert(tenant, ROWS, **fields).refused(422, "WRONG_TYPE", field, field=field)


# upsert, dry_run, digest.


def test_upsert_false_refuses_an_existing_source_and_changes_nothing(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, file_id="a", upsert=False).ok()
    client.insert(tenant, ROWS[:1], file_id="a", upsert=False).refused(409, "ALREADY_EXISTS", "'a'")
    client.insert(tenant, ROWS, file_id="a", upsert=False, document_metadata={"x": 1}).refused(
        409, "ALREADY_EXISTS"
    )
    assert len(client.get(tenant).ok()) == 2


def test_a_retry_is_no_conflict(client: Client, tenant: str) -> None:
    first = client.insert(tenant, ROWS, file_id="a", upsert=False, document_metadata={"x": 1}).ok()
    second = client.insert(tenant, ROWS, file_id="a", upsert=False, document_metadata={"x": 1}).ok()
    assert second["chunk_ids"] == first["chunk_ids"]


def test_a_dry_run_validates_all_and_stores_nothing(client: Client, tenant: str) -> None:
    answer = client.insert(tenant, ROWS, file_id="a", dry_run=True).ok()
    assert answer["dry_run"] is True
    assert answer["chunk_ids"] == ["a_0", "a_1"]
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")
    client.insert(tenant, [[1, 2], [0, 0]], dry_run=True).refused(400, "ZERO_VECTOR", "row 1", row=1)


def test_a_wrong_digest_stores_nothing(client: Client, tenant: str) -> None:
    good = client.insert(tenant, ROWS, file_id="a", dry_run=True).ok()["crc32c"]
    bad = "00000000" if good != "00000000" else "00000001"
    client.insert(tenant, ROWS, file_id="a", crc32c=bad).refused(
        400, "DIGEST_MISMATCH", bad, good, field="crc32c"
    )
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")
    assert client.insert(tenant, ROWS, file_id="a", crc32c=good).ok()["crc32c"] == good


# The dimension lock.


def test_the_first_vectors_lock_the_dimension(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, file_id="a").ok()
    client.insert(tenant, [[1, 2]], sub_tenant_id="other").refused(400, "DIMENSION_MISMATCH", "2", "3")
    client.search(tenant, [1, 2]).refused(400, "DIMENSION_MISMATCH", "2", "3")
    client.delete(tenant, source_id="a").ok()
    client.insert(tenant, [[1, 2]]).refused(400, "DIMENSION_MISMATCH", "2", "3")


def test_a_failed_first_upload_locks_nothing_and_makes_no_tenant(client: Client, tenant: str) -> None:
    client.insert(tenant, [[0, 0, 0]]).refused(400, "ZERO_VECTOR", row=0)
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")
    client.insert(tenant, [[1, 2]]).ok()


# Shapes and numbers.


@pytest.mark.parametrize(
    ("embeddings", "status", "code", "places"),
    [
        ([], 422, "EMPTY_EMBEDDINGS", {}),
        ([[]], 422, "EMPTY_EMBEDDINGS", {}),
        ([[1, 2], [3]], 422, "RAGGED_ROWS", {"row": 1}),
        ([[1, 2], [3, 4, 5]], 422, "RAGGED_ROWS", {"row": 1}),
        ([[1, 2], [3, True]], 422, "WRONG_TYPE", {"row": 1, "column": 1}),
        ([[1, "2"]], 422, "WRONG_TYPE", {"row": 0, "column": 1}),
        ([[1, None]], 422, "WRONG_TYPE", {"row": 0, "column": 1}),
        ([[1, [2]]], 422, "WRONG_TYPE", {"row": 0, "column": 1}),
        ([1, 2], 422, "WRONG_TYPE", {}),
        ("x", 422, "WRONG_TYPE", {}),
        (7, 422, "WRONG_TYPE", {}),
        (True, 422, "WRONG_TYPE", {}),
        ([[1, 2], [3, 1e39]], 400, "NON_FINITE_VALUE", {"row": 1, "column": 1}),
        ([[3.5e38]], 400, "NON_FINITE_VALUE", {"row": 0, "column": 0}),
        ([[1, 2], [-0.0, 0]], 400, "ZERO_VECTOR", {"row": 1}),
    ],
)
def test_vectors_that_cannot_be_stored_are_named(
    client: Client, tenant: str, embeddings: object, status: int, code: str, places: dict[str, int]
) -> None:
    client.insert(tenant, embeddings).refused(status, code, **places)
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


def test_a_number_that_overflows_float32_is_named_as_it_was_sent(client: Client, tenant: str) -> None:
    body = b'{"tenant_id": "%s", "embeddings": [[1, 2], [3, 1e39]]}' % tenant.encode()
    detail = client.post(INSERT, body).refused(400, "NON_FINITE_VALUE", row=1, column=1)
    assert detail["message"] == "row 1, column 1: 1e39 is not finite as float32"


@pytest.mark.parametrize(
    "text",
    [b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b".5", b"1.", b"1e", b"0x1", b"1,", b"--1", b"1 2"],
)
def test_numbers_are_strict_json(client: Client, tenant: str, text: bytes) -> None:
    body = b'{"tenant_id": "%s", "embeddings": [[1, %s]]}' % (tenant.encode(), text)
    client.post(INSERT, body).refused(400, "MALFORMED_JSON")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"tenant_id": "t", "embeddings": [[1]]',
        b'{"tenant_id": "t", "embeddings": [[1]]} x',
        b'{"tenant_id": "t", "embeddings": [[1]],}',
        b"{'tenant_id': 't'}",
        b'{"tenant_id": "\xff", "embeddings": [[1]]}',
        b'{"tenant_id": "a\nb", "embeddings": [[1]]}',
        b'\xef\xbb\xbf{"tenant_id": "t", "embeddings": [[1]]}',
        b'{"tenant_id": "t", "tenant_id": "t", "embeddings": [[1]]}',
        b'{"tenant_id": "t", "embeddings": [[1]], "embeddings": [[1]]}',
        b'{"a":' + b"[" * 100_000,
        b'{"tenant_id": "t", "embeddings": [[1]], "document_metadata": {"a": "\\ud800"}}',
    ],
)
def test_a_body_that_is_no_strict_json_is_refused(client: Client, body: bytes) -> None:
    client.post(INSERT, body).refused(400, "MALFORMED_JSON")


def test_a_body_that_is_no_object_is_refused(client: Client) -> None:
    client.post(INSERT, b"[1]").refused(422, "WRONG_TYPE", "an object")
    client.post(SEARCH, b'"x"').refused(422, "WRONG_TYPE", "an object")


def test_2000_rows_and_3024_columns_are_the_most(client: Client, tenant: str) -> None:
    ids = client.insert(tenant, np.ones((2000, 2)), file_id="a").ok()["chunk_ids"]
    assert ids == [f"a_{i}" for i in range(2000)]
    client.insert(tenant, np.ones((2001, 2))).refused(422, "TOO_MANY_ROWS", "2000")
    client.insert_npy(tenant, np.ones((2001, 2), np.float32)).refused(422, "TOO_MANY_ROWS", "2000")
    client.insert(tenant + "w", np.ones((1, 3024))).ok()
    client.insert(tenant + "w", np.ones((1, 3025))).refused(422, "TOO_MANY_COLUMNS", "3024")
    client.insert_npy(tenant + "w", np.ones((1, 3025), np.float32)).refused(422, "TOO_MANY_COLUMNS", "3024")


# The binary form.


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2", "i1", "<i4", ">i8", "u1", "<u2"])
def test_npy_arrays_of_all_kinds_are_stored(client: Client, tenant: str, kind: str) -> None:
    array = np.array([[1, 2, 3], [4, 5, 6]]).astype(kind)
    answer = client.insert_npy(
        tenant, array, file_id="a", document_metadata='{"lang":"de"}', upsert="true"
    ).ok()
    assert answer["chunk_ids"] == ["a_0", "a_1"]
    client.insert_npy(tenant, np.asfortranarray(array), file_id="b").ok()
    for source in ("a", "b"):
        items = client.get(tenant, source_id=source, output_fields=["embedding"]).ok()
        assert [item["embedding"]["embedding"] for item in items] == [[1, 2, 3], [4, 5, 6]]
    assert client.get(tenant, source_id="a").ok()[0]["metadata"] == {"lang": "de"}


def test_npy_and_json_of_the_same_rows_have_the_same_digest(client: Client, tenant: str) -> None:
    array = np.random.default_rng(7).standard_normal((3, 5)).astype(np.float32)
    a = client.insert_npy(tenant, array, file_id="a").ok()
    b = client.insert(tenant, array, file_id="b").ok()
    assert a["crc32c"] == b["crc32c"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "MALFORMED_NPY"),
        (b"\x93NUMPY", 400, "MALFORMED_NPY"),
        (npy(np.ones((2, 2)))[:-1], 400, "MALFORMED_NPY"),
        (npy(np.ones((2, 2))) + b"x", 400, "MALFORMED_NPY"),
        (npy(np.array([[object()]], dtype=object).astype("U1")), 400, "MALFORMED_NPY"),
        (npy(np.ones((2, 2), complex)), 400, "MALFORMED_NPY"),
        (npy(np.ones(3)), 422, "WRONG_TYPE"),
        (npy(np.ones((2, 0))), 422, "EMPTY_EMBEDDINGS"),
        (npy(np.ones((0, 2))), 422, "EMPTY_EMBEDDINGS"),
        (npy(np.array([[1, np.nan]], np.float32)), 400, "NON_FINITE_VALUE"),
        (npy(np.array([[1, 1e39]], np.float64)), 400, "NON_FINITE_VALUE"),
    ],
)
def test_a_broken_npy_body_is_refused(
    client: Client, tenant: str, body: bytes, status: int, code: str
) -> None:
    answer = client.request("POST", INSERT, body, {"Content-Type": NPY}, {"tenant_id": tenant})
    answer.refused(status, code)
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


def test_npy_parameters_are_judged_like_fields(client: Client, tenant: str) -> None:
    array = np.ones((1, 2), np.float32)
    headers = {"Content-Type": NPY}
    client.request("POST", INSERT, npy(array), headers).refused(422, "MISSING_FIELD", field="tenant_id")
    client.insert_npy(tenant, array, upsert="maybe").refused(422, "WRONG_TYPE", field="upsert")
    client.insert_npy(tenant, array, document_metadata="{").refused(400, "MALFORMED_JSON")
    client.insert_npy(tenant, array, document_metadata="[]").refused(422, "WRONG_TYPE")
    client.insert_npy(tenant, array, document_metadata='{"a": NaN}').refused(400, "MALFORMED_JSON")
    client.insert_npy(tenant, array, document_metadata='{"a": "\\ud800"}').refused(400, "MALFORMED_JSON")
    client.insert_npy(tenant, array, embeddings="[[1]]").refused(422, "UNKNOWN_FIELD", "body")
    client.request("POST", INSERT + "?tenant_id=a&tenant_id=a", npy(array), headers).refused(
        400, "MALFORMED_BODY", "twice"
    )
    client.request("POST", INSERT + "?tenant_id=%ff", npy(array), headers).refused(
        400, "MALFORMED_BODY", "UTF-8"
    )


# Metadata.


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{ "b" : 1.50, "a":[ 1e2,true,null ] }',
        b'{"x":"\\u00e9\\n","y":"\xc3\xa9"}',
        b'{"big":123456789012345678901234567890,"small":1e-400}',
        b'{"twice":1,"twice":2}',
    ],
)
def test_metadata_comes_back_exactly_as_it_was_sent(client: Client, tenant: str, text: bytes) -> None:
    body = b'{"tenant_id": "%s", "file_id": "a", "embeddings": [[1, 2]], "document_metadata": %s}'
    client.post(INSERT, body % (tenant.encode(), text)).ok()
    assert b'"metadata":' + text in client.get(tenant).body
    assert b'"metadata":' + text in client.search(tenant, [1, 2]).body


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def test_metadata_is_bounded(client: Client, tenant: str) -> None:
    body = b'{"tenant_id": "%s", "embeddings": [[1, 2]], "document_metadata": %s}'
    name = tenant.encode()
    largest = b'{"a":"' + b"x" * (64 * 1024 - 8) + b'"}'
    assert len(largest) == 64 * 1024
    client.post(INSERT, body % (name, largest)).ok()
    client.post(INSERT, body % (name, largest.replace(b"x", b"xx", 1))).refused(
        413, "BODY_TOO_LARGE", "65537", "65536", field="document_metadata"
    )
    client.post(INSERT, body % (name, nested(16))).ok()
    client.post(INSERT, body % (name, nested(17))).refused(422, "WRONG_TYPE", "17", "16")
    # Brackets in strings are no levels.
    client.post(INSERT, body % (name, b'{"a":"' + b"[{" * 50 + b'\\"["}')).ok()


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", ""]
)
def test_other_content_types_are_refused(client: Client, tenant: str, media: str) -> None:
    body = json.dumps({"tenant_id": tenant, "embeddings": ROWS}).encode()
    headers = {"Content-Type": media} if media else {}
    client.request("POST", INSERT, body, headers).refused(415, "UNSUPPORTED_MEDIA_TYPE", JSON, NPY)


def test_a_charset_beside_the_content_type_is_fine(client: Client, tenant: str) -> None:
    body = json.dumps({"tenant_id": tenant, "embeddings": ROWS}).encode()
    client.request("POST", INSERT, body, {"Content-Type": "Application/JSON; charset=UTF-8"}).ok()
