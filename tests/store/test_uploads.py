"""What an upload means (contract, section 1.2), in process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ingot
from ingot.errors import (
    AlreadyExists,
    DigestMismatch,
    DimensionMismatch,
    IngotError,
    InvalidId,
    MetadataTooLarge,
    NonFiniteValue,
    TenantNotFound,
    ZeroVector,
)

ROWS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 10]], np.float32)
BAD = np.array([[1, 2, 3], [4, np.nan, 6]], np.float32)


def tenants(data: Path) -> list[Path]:
    return list((data / "tenants").iterdir())


def state(store: ingot.Store, tenant: str = "t", sub_tenant: str | None = None) -> list[tuple[Any, ...]]:
    hits = store.get(tenant, sub_tenant_id=sub_tenant, limit=10_000)
    assert hits.embeddings is not None
    return list(zip(hits.chunk_ids, hits.source_ids, hits.metadata, hits.embeddings.tolist(), strict=True))


def test_an_upload_says_what_it_did(store: ingot.Store) -> None:
    inserted = store.insert("t", ROWS, file_id="a")
    assert (inserted.file_id, inserted.sub_tenant_id, len(inserted)) == ("a", "default", 3)
    assert list(inserted.chunk_ids) == ["a_0", "a_1", "a_2"]
    assert (inserted.dimension, inserted.overwritten, inserted.existed) == (3, 0, False)
    assert inserted.crc32c == ingot.crc32c(ROWS)


def test_an_overwrite_replaces_all_of_a_source_and_says_so(store: ingot.Store) -> None:
    store.insert("t", ROWS, file_id="a", document_metadata={"v": 1})
    inserted = store.insert("t", ROWS[:1] * 2, file_id="a")
    assert (inserted.existed, inserted.overwritten) == (True, 3)
    assert state(store) == [("a_0", "a", None, [2, 4, 6])]
    assert store.search("t", ROWS[2], limit=10).chunk_ids == ["a_0"]
    assert store.get("t", chunk_ids=["a_1", "a_2"]).chunk_ids == []
    longer = store.insert("t", ROWS, file_id="a")
    assert (longer.existed, longer.overwritten) == (True, 1)
    assert [row[0] for row in state(store)] == ["a_0", "a_1", "a_2"]


def test_the_same_upload_twice_leaves_the_state_of_once(store: ingot.Store) -> None:
    first = store.insert("t", ROWS, file_id="a", document_metadata={"v": 1})
    before = state(store)
    second = store.insert("t", ROWS, file_id="a", document_metadata={"v": 1})
    assert state(store) == before
    assert list(first.chunk_ids) == list(second.chunk_ids)
    assert (second.existed, second.overwritten) == (True, 3)
    assert store.stats("t").rows == 3


def test_an_upload_after_a_delete_overwrites_nothing(store: ingot.Store) -> None:
    store.insert("t", ROWS, file_id="a")
    store.delete("t", source_id="a")
    inserted = store.insert("t", ROWS, file_id="a")
    assert (inserted.existed, inserted.overwritten) == (False, 0)


def test_rows_deleted_before_an_overwrite_are_not_counted(store: ingot.Store) -> None:
    store.insert("t", ROWS, file_id="a")
    store.delete("t", chunk_ids=["a_1"])
    assert store.insert("t", ROWS, file_id="a").overwritten == 2


def test_without_upsert_a_source_that_exists_is_a_conflict_and_stays(store: ingot.Store) -> None:
    store.insert("t", ROWS, file_id="a", document_metadata={"v": 1})
    before = state(store)
    for rows, metadata in [(ROWS * 2, {"v": 1}), (ROWS, {"v": 2}), (ROWS, None), (ROWS[:2], {"v": 1})]:
        with pytest.raises(AlreadyExists) as caught:
            store.insert("t", rows, file_id="a", document_metadata=metadata, upsert=False)
        assert caught.value.source_id == "a"
    assert state(store) == before
    store.insert("t", ROWS, file_id="b", upsert=False)
    store.insert("t", ROWS * 2, file_id="a", sub_tenant_id="other", upsert=False)


def test_without_upsert_a_retry_is_no_conflict(data: Path) -> None:
    with ingot.open(data) as store:
        first = store.insert("t", ROWS, file_id="a", document_metadata={"v": 1}, upsert=False)
        before = state(store)
    with ingot.open(data) as store:
        for _ in range(2):
            again = store.insert("t", ROWS, file_id="a", document_metadata={"v": 1}, upsert=False)
            assert (again.crc32c, list(again.chunk_ids)) == (first.crc32c, list(first.chunk_ids))
            assert (again.existed, again.overwritten) == (False, 0)
        assert state(store) == before


def test_without_upsert_a_source_that_lost_a_row_is_a_conflict(store: ingot.Store) -> None:
    store.insert("t", ROWS, file_id="a")
    for chunk in ("a_2", "a_0"):
        store.delete("t", chunk_ids=[chunk])
        with pytest.raises(AlreadyExists):
            store.insert("t", ROWS, file_id="a", upsert=False)
    store.delete("t", chunk_ids=["a_1"])
    assert not store.insert("t", ROWS, file_id="a", upsert=False).existed


def test_the_first_vectors_fix_the_dimension_for_ever(data: Path) -> None:
    with ingot.open(data) as store:
        store.insert("t", ROWS, file_id="a")
        for sub_tenant in (None, "new"):
            with pytest.raises(DimensionMismatch) as caught:
                store.insert("t", ROWS[:, :2], file_id="b", sub_tenant_id=sub_tenant)
            assert (caught.value.expected, caught.value.got) == (3, 2)
            assert "3" in str(caught.value)
            assert "2" in str(caught.value)
        assert store.delete("t", source_id="a") == 3
        with pytest.raises(DimensionMismatch):
            store.insert("t", ROWS[:, :2], file_id="b")
        assert store.stats("t").sub_tenants == {"default": 0}
    for _ in range(2):
        with ingot.open(data) as store:
            assert store.stats("t").dimension == 3
            with pytest.raises(DimensionMismatch):
                store.insert("t", ROWS[:, :2], file_id="b")


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (NonFiniteValue, {"embeddings": BAD}),
        (ZeroVector, {"embeddings": np.zeros((1, 3), np.float32)}),
        (DigestMismatch, {"crc32c": 1}),
        (InvalidId, {"file_id": ""}),
        (InvalidId, {"file_id": "a\n"}),
        (InvalidId, {"file_id": "a\x85"}),
        (InvalidId, {"file_id": "ä" * 257}),
        (InvalidId, {"sub_tenant_id": "\0"}),
        (InvalidId, {"sub_tenant_id": "s" * 256}),
        (InvalidId, {"tenant_id": ""}),
        (InvalidId, {"tenant_id": "t" * 256}),
        (InvalidId, {"tenant_id": "t\x7f"}),
        (MetadataTooLarge, {"document_metadata": {"k": "v" * 65536}}),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_refused_upload_changes_nothing_and_makes_no_tenant(
    store: ingot.Store, data: Path, error: type[IngotError], arguments: dict[str, Any], dry_run: bool
) -> None:
    given = {"tenant_id": "t", "embeddings": ROWS, "file_id": "a", "dry_run": dry_run, **arguments}
    with pytest.raises(error):
        store.insert(**given)
    assert tenants(data) == []
    assert list((data / "tmp").iterdir()) == []
    with pytest.raises(TenantNotFound):
        store.stats("t")
    # Nor does it lock a dimension.
    store.insert("t", ROWS[:, :2], file_id="a", document_metadata={"v": 1})
    before, lsn = state(store), store.stats("t").visible_lsn
    given["embeddings"] = given["embeddings"][:, :2]
    with pytest.raises(error):
        store.insert(**given)
    assert state(store) == before
    assert store.stats("t").visible_lsn == lsn
    assert store.stats("t").sub_tenants == {"default": 3}


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_a_lone_surrogate_is_no_id(store: ingot.Store, data: Path, text: str) -> None:
    for arguments in ({"tenant_id": text}, {"file_id": text}, {"sub_tenant_id": text}):
        given: dict[str, Any] = {"tenant_id": "t", "file_id": "a", **arguments}
        with pytest.raises(ValueError, match="surrogates"):
            store.insert(embeddings=ROWS, **given)
    assert tenants(data) == []


def test_the_longest_ids_are_taken(data: Path) -> None:
    tenant, sub_tenant, source = "ä" * 127 + "t", "s" * 255, "🜚" * 128
    for _ in range(2):
        with ingot.open(data) as store:
            store.insert(tenant, ROWS, file_id=source, sub_tenant_id=sub_tenant)
            found = store.get(tenant, sub_tenant_id=sub_tenant, chunk_ids=[f"{source}_2"])
            assert found.source_ids == [source]
            assert store.stats(tenant).tenant_id == tenant


def test_a_dry_run_decides_everything_and_stores_nothing(store: ingot.Store, data: Path) -> None:
    dry = store.insert("t", ROWS, file_id="a", dry_run=True)
    assert (dry.crc32c, list(dry.chunk_ids), dry.lsn) == (ingot.crc32c(ROWS), ["a_0", "a_1", "a_2"], 0)
    assert tenants(data) == []
    store.insert("t", ROWS, file_id="a")
    before, lsn = state(store), store.stats("t").visible_lsn
    dry = store.insert("t", ROWS * 2, file_id="a", sub_tenant_id=None, dry_run=True)
    assert (dry.existed, dry.overwritten) == (True, 3)
    assert not store.insert("t", ROWS, file_id="a", sub_tenant_id="new", dry_run=True).existed
    with pytest.raises(AlreadyExists):
        store.insert("t", ROWS * 2, file_id="a", upsert=False, dry_run=True)
    with pytest.raises(DimensionMismatch):
        store.insert("t", ROWS[:, :1], file_id="b", dry_run=True)
    assert state(store) == before
    assert store.stats("t").visible_lsn == lsn
    assert store.stats("t").sub_tenants == {"default": 3}


def test_a_digest_that_differs_stores_nothing(store: ingot.Store) -> None:
    digest = ingot.crc32c(ROWS)
    store.insert("t", ROWS, file_id="a", crc32c=digest)
    with pytest.raises(DigestMismatch, match=f"{digest:08x}") as caught:
        store.insert("t", ROWS * 2, file_id="a", crc32c=digest)
    assert caught.value.expected == digest
    assert caught.value.got == ingot.crc32c(ROWS * 2)
    assert state(store)[2] == ("a_2", "a", None, [7, 8, 10])


def test_the_digest_is_crc32c() -> None:
    # RFC 3720, B.4: 32 bytes of zeros; 32 bytes of ones.
    assert ingot.crc32c(np.zeros((2, 4), np.float32)) == 0x8A9136AA
    assert ingot.crc32c(np.frombuffer(b"\xff" * 32, np.float32).reshape(1, 8)) == 0x62A8AB43


@pytest.mark.parametrize("text", [{}, {"ü": "🜚", "n": 1e300, "l": [1, None, True]}, {"a": {"b": {}}}])
def test_metadata_comes_back_byte_for_byte(data: Path, text: dict[str, Any]) -> None:
    expected = json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode()
    with ingot.open(data) as store:
        store.insert("t", ROWS, file_id="a", document_metadata=text)
    with ingot.open(data) as store:
        assert store.get("t").metadata == [expected] * 3
        assert store.search("t", ROWS[0], limit=1).metadata == [expected]
        store.insert("t", ROWS, file_id="b")
        assert store.get("t", source_id="b").metadata == [None] * 3


def test_metadata_of_64_kib_is_taken(store: ingot.Store) -> None:
    text = {"k": "v" * (65536 - len('{"k":""}'))}
    store.insert("t", ROWS, file_id="a", document_metadata=text)
    assert store.get("t", limit=1).metadata == [json.dumps(text, separators=(",", ":")).encode()]
    with pytest.raises(MetadataTooLarge):
        store.insert("t", ROWS, file_id="a", document_metadata={"k": text["k"] + "v"})


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {"x": object()}, [1], "text", {"x": "\ud800"}])
def test_metadata_that_is_no_json_object_is_refused(store: ingot.Store, data: Path, metadata: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.insert("t", ROWS, file_id="a", document_metadata=metadata)
    assert tenants(data) == []


def test_the_default_sub_tenant_has_three_spellings(store: ingot.Store) -> None:
    for index, name in enumerate((None, "", "default")):
        inserted = store.insert("t", ROWS * (index + 1), file_id="a", sub_tenant_id=name)
        assert inserted.sub_tenant_id == "default"
        assert inserted.overwritten == (3 if index else 0)
    assert state(store) == state(store, sub_tenant="") == state(store, sub_tenant="default")
    assert store.stats("t").sub_tenants == {"default": 3}


def test_sub_tenants_are_apart(store: ingot.Store) -> None:
    store.insert("t", ROWS, file_id="a", sub_tenant_id="x")
    store.insert("t", ROWS * 2, file_id="a", sub_tenant_id="X")
    store.insert("u", ROWS * 3, file_id="a", sub_tenant_id="x")
    assert state(store) == []
    assert [row[3] for row in state(store, sub_tenant="x")] == ROWS.tolist()
    assert [row[3] for row in state(store, sub_tenant="X")] == (ROWS * 2).tolist()
    assert store.delete("t", sub_tenant_id="x", source_id="a") == 3
    assert len(state(store, sub_tenant="X")) == 3
    assert store.stats("t").sub_tenants == {"default": 0, "x": 0, "X": 3}
    assert store.stats("t").sources == 1


def test_a_tenant_is_not_made_where_that_is_turned_off(data: Path) -> None:
    with ingot.open(data) as store:
        store.insert("t", ROWS)
    with ingot.open(data, auto_create_tenants=False) as store:
        store.insert("t", ROWS)
        with pytest.raises(TenantNotFound):
            store.insert("u", ROWS)
    assert len(tenants(data)) == 1
