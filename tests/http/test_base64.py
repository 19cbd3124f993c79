"""Section 7 of the wire contract: vectors as base64, sent and answered; and the digest of every form of body."""

import base64
import gzip
import itertools
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ingot import _native
from tests.http.client import GET, INSERT, JSON, NPY, SEARCH, Client, npy

DTYPES = {"float32": "<f4", "float16": "<f2", "int8": "i1"}


def binary(array: NDArray[Any], dtype: str = "float32") -> dict[str, Any]:
    data = base64.b64encode(array.astype(DTYPES[dtype]).tobytes()).decode()
    return {"data": data, "dtype": dtype, "shape": list(array.shape)}


def whole_numbers(*shape: int) -> NDArray[np.float32]:
    """What every type holds exactly."""
    return np.random.default_rng(7).integers(-128, 128, shape).astype(np.float32)


def stored(client: Client, tenant: str, source_id: str) -> NDArray[np.float32]:
    rows = client.get(tenant, source_id=source_id, output_fields=["embedding"], limit=10_000).ok()
    return np.array([row["embedding"]["embedding"] for row in rows], dtype=np.float32)


def digest(array: NDArray[Any]) -> str:
    return f"{_native.crc32c(np.ascontiguousarray(array, dtype=np.float32)):08x}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_upload_in_base64_is_the_upload_as_lists(client: Client, tenant: str, dtype: str) -> None:
    array = whole_numbers(37, 21)
    one = client.insert(tenant, binary(array, dtype), file_id="a").ok()
    two = client.insert(tenant, array, file_id="a").ok()
    assert {**one, "message": "", "overwritten": 0} == {**two, "message": "", "overwritten": 0}
    assert one["crc32c"] == digest(array)
    client.insert(tenant, binary(array, dtype), file_id="b").ok()
    assert np.array_equal(stored(client, tenant, "b"), array)


def test_the_keys_may_come_in_any_order(client: Client, tenant: str) -> None:
    array = whole_numbers(3, 5)
    for order in itertools.permutations(binary(array).items()):
        client.insert(tenant, dict(order), file_id="a").ok()
        assert np.array_equal(stored(client, tenant, "a"), array)


def test_the_largest_upload_in_base64(client: Client, tenant: str) -> None:
    array = np.random.default_rng(8).standard_normal((2000, 3024), np.float32)
    form = binary(array)
    for keys in (("shape", "dtype", "data"), ("data", "shape", "dtype")):
        answer = client.insert(tenant, {key: form[key] for key in keys}, file_id="a", dry_run=True).ok()
        assert answer["crc32c"] == digest(array)


def test_every_float16_is_stored_exactly(client: Client, tenant: str) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    array = np.append(finite, np.ones(-len(finite) % 1000, np.float16)).reshape(-1, 1000)
    client.insert(tenant, binary(array, "float16"), file_id="a").ok()
    got = stored(client, tenant, "a")
    assert np.array_equal(got.view(np.uint32), array.astype(np.float32).view(np.uint32))
    for bad in halves[~np.isfinite(halves)][:: 1 << 8]:
        row = np.ones((2, 1000), np.float16)
        row[1, 3] = bad
        client.insert(tenant, binary(row, "float16")).refused(400, "NON_FINITE_VALUE", row=1, column=3)


def test_a_search_in_base64_is_the_search_as_lists(client: Client, tenant: str) -> None:
    array = whole_numbers(50, 8)
    client.insert(tenant, array, file_id="a").ok()
    for dtype in DTYPES:
        fields = {"tenant_id": tenant, "limit": 5}
        one = client.post(SEARCH, {**fields, "query_embedding": binary(array[3], dtype)}).ok()
        assert one == client.search(tenant, array[3], limit=5).ok()
        many = client.post(SEARCH, {**fields, "query_embeddings": binary(array[:4], dtype)}).ok()
        assert many == [client.search(tenant, query, limit=5).ok() for query in array[:4]]


@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        ({"data": "AAAA"}, 422, "CONFLICTING_FIELDS", ("3 bytes", "16")),
        ({"shape": [3, 2]}, 422, "CONFLICTING_FIELDS", ("16 bytes", "24")),
        ({"shape": [1, 2]}, 422, "CONFLICTING_FIELDS", ("more", "8")),
        ({"data": "AACAPwAAgD8AAIA/AACAPw="}, 400, "MALFORMED_BODY", ("`embeddings.data`", "padding")),
        ({"data": "AACAPwAAgD8AAIA/AACAPx=="}, 400, "MALFORMED_BODY", ("bits",)),
        ({"data": "AACAPwAAgD8AAIA_AACAPw=="}, 400, "MALFORMED_BODY", ("alphabet",)),
        ({"data": "AACAPwAAgD8A\nAIA/AACAPw=="}, 400, "MALFORMED_BODY", ("alphabet",)),
        ({"data": "AACAPwAAgD8AAIA/AACAfw=="}, 400, "NON_FINITE_VALUE", ("row 1, column 1: inf",)),
        ({"data": None}, 422, "WRONG_TYPE", ("`embeddings.data`", "null")),
        ({"dtype": "float64"}, 422, "WRONG_TYPE", ("`embeddings.dtype`", "float32, float16 or int8")),
        ({"shape": [4]}, 422, "WRONG_TYPE", ("`embeddings.shape`", "two integers")),
        ({"shape": [2, 2.5]}, 422, "WRONG_TYPE", ("integer",)),
        ({"shape": [-2, 2]}, 422, "WRONG_TYPE", ("integer",)),
        ({"shape": [0, 2]}, 422, "EMPTY_EMBEDDINGS", ("`embeddings`",)),
        ({"shape": [2001, 2]}, 422, "TOO_MANY_ROWS", ("2000",)),
        ({"shape": [1, 3025]}, 422, "TOO_MANY_COLUMNS", ("3024",)),
        ({"order": "C"}, 422, "UNKNOWN_FIELD", ("`embeddings.order`",)),
    ],
)
@pytest.mark.parametrize("first", ["data", "shape"])
def test_what_is_wrong_is_named_and_stores_nothing(
    client: Client,
    tenant: str,
    change: dict[str, Any],
    status: int,
    code: str,
    words: tuple[str, ...],
    first: str,
) -> None:
    form = {**binary(np.ones((2, 2), np.float32)), **change}
    form = {first: form.pop(first), **form}
    client.insert(tenant, form).refused(status, code, *words)
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")


@pytest.mark.parametrize("lost", ["data", "dtype", "shape"])
def test_what_is_missing_is_named(client: Client, tenant: str, lost: str) -> None:
    form = binary(np.ones((2, 2), np.float32))
    del form[lost]
    client.insert(tenant, form).refused(422, "MISSING_FIELD", field=f"embeddings.{lost}")
    query = binary(np.ones(2, np.float32))
    del query[lost]
    fields = {"tenant_id": tenant, "query_embedding": query}
    client.post(SEARCH, fields).refused(422, "MISSING_FIELD", field=f"query_embedding.{lost}")


def test_a_key_twice_is_400(client: Client, tenant: str) -> None:
    text = b'{"tenant_id": "%s", "embeddings": {"shape": [1, 1], "sh\\u0061pe": [1, 1]}}' % tenant.encode()
    client.post(INSERT, text).refused(400, "MALFORMED_JSON", "`embeddings.shape` appears twice")


def test_slashes_may_be_escaped(client: Client, tenant: str) -> None:
    """As PHP writes them."""
    array = np.array([[-1, -1, -1, 63]], np.float32)
    text = json.dumps({"tenant_id": tenant, "file_id": "a", "embeddings": binary(array, "int8")})
    assert "/" in text
    client.post(INSERT, text.replace("/", "\\/").encode()).ok()
    assert np.array_equal(stored(client, tenant, "a"), array)


# How vectors are answered.


def decoded(text: Any) -> NDArray[np.float32]:
    assert isinstance(text, str)
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")


def test_vectors_are_answered_in_the_format_asked_for(client: Client, tenant: str) -> None:
    array = np.random.default_rng(9).standard_normal((20, 33), np.float32)
    client.insert(tenant, array, file_id="a", document_metadata={"a": 'é"'}).ok()
    asked = {"tenant_id": tenant, "output_fields": ["embedding"]}
    query = {"query_embedding": array[0].tolist(), "limit": 20}
    batch = {"query_embeddings": array[:3].tolist(), "limit": 4}
    for path, fields in ((SEARCH, query), (SEARCH, batch), (GET, {})):
        lists = client.post(path, {**asked, **fields}).ok()
        assert client.post(path, {**asked, **fields, "embedding_format": "list"}).ok() == lists
        texts = client.post(path, {**asked, **fields, "embedding_format": "base64"}).ok()
        if fields is batch:
            lists, texts = [*itertools.chain(*lists)], [*itertools.chain(*texts)]
        assert len(lists) == len(texts) > 0
        for one, other in zip(lists, texts, strict=True):
            numbers = decoded(other["embedding"].pop("embedding"))
            right = np.array(one["embedding"].pop("embedding"), np.float32)
            assert np.array_equal(numbers.view(np.uint32), right.view(np.uint32))
            assert one == other
    plain = client.get(tenant, embedding_format="base64").ok()
    assert {item["embedding"]["embedding"] for item in plain} == {None}
    as_parameter = {
        "tenant_id": tenant,
        "output_fields": "embedding",
        "embedding_format": "base64",
        "limit": 1,
    }
    found = client.request("POST", SEARCH, npy(array[5]), {"Content-Type": NPY}, as_parameter).ok()
    assert np.array_equal(decoded(found[0]["embedding"]["embedding"]), array[5])


@pytest.mark.parametrize("path", [SEARCH, GET])
def test_another_format_is_422(client: Client, tenant: str, path: str) -> None:
    fields = {"tenant_id": tenant, "embedding_format": "hex"}
    if path == SEARCH:
        fields["query_embedding"] = [1]  # type: ignore[assignment]
    client.post(path, fields).refused(422, "WRONG_TYPE", "'list' or 'base64'", field="embedding_format")


def test_a_large_answer_in_base64_comes_whole(client: Client, tenant: str) -> None:
    array = np.random.default_rng(10).standard_normal((1000, 1024), np.float32)
    client.insert(tenant, binary(array), file_id="a").ok()
    asked = {"limit": 1000, "output_fields": ["embedding"], "embedding_format": "base64"}
    rows = client.get(tenant, **asked).ok()
    assert np.array_equal(np.stack([decoded(row["embedding"]["embedding"]) for row in rows]), array)
    assert len(client.search(tenant, array[0], **asked).ok()) == 1000


# Digests.


def bodies(
    tenant: str, array: NDArray[np.float32], crc32c: str
) -> dict[str, tuple[bytes, str, dict[str, str]]]:
    """The same rows in every form: body, content type, parameters."""
    fields = {"tenant_id": tenant, "crc32c": crc32c}
    forms: dict[str, Any] = {"list": array.tolist(), **{dtype: binary(array, dtype) for dtype in DTYPES}}
    found: dict[str, tuple[bytes, str, dict[str, str]]] = {
        name: (json.dumps({**fields, "embeddings": form}).encode(), JSON, {}) for name, form in forms.items()
    }
    for order, kind in itertools.product("<>", ("f2", "f4", "f8", "i1", "i2", "i4", "i8")):
        found[f"npy {order}{kind}"] = (npy(array.astype(order + kind)), NPY, fields)
        found[f"npy {order}{kind} Fortran"] = (
            npy(np.asfortranarray(array.astype(order + kind))),
            NPY,
            fields,
        )
    return found


def test_the_digest_is_that_of_the_rows_as_stored_whatever_the_form(client: Client, tenant: str) -> None:
    array = whole_numbers(7, 9)
    right = digest(array)
    wrong = f"{int(right, 16) ^ 1:08x}"
    for headers, pack in (({}, bytes), ({"Content-Encoding": "gzip"}, gzip.compress)):
        for name, (body, media, query) in bodies(tenant, array, wrong).items():
            answer = client.request("POST", INSERT, pack(body), {"Content-Type": media, **headers}, query)
            assert answer.status == 400, name
            answer.refused(400, "DIGEST_MISMATCH", wrong, right, field="crc32c")
    client.get(tenant).refused(404, "TENANT_NOT_FOUND")
    for name, (body, media, query) in bodies(tenant, array, right).items():
        answer = client.request("POST", INSERT, body, {"Content-Type": media}, query)
        assert answer.ok()["crc32c"] == right, name


def test_an_unsigned_array_has_the_digest_of_its_rows(client: Client, tenant: str) -> None:
    for kind in ("u1", "<u2", ">u4", "u8"):
        array = np.arange(1, 13).reshape(3, 4).astype(kind)
        query = {"crc32c": digest(array.astype(np.float32)), "document_metadata": json.dumps({"kind": kind})}
        assert client.insert_npy(tenant, array, **query).ok()["insert_count"] == 3
