"""Deleting and reading back (contract, section 4), in process."""

from typing import Any

import numpy as np
import pytest

import ingot
from ingot.errors import InvalidId, InvalidLimit, NotFound, SubTenantNotFound, TenantNotFound

ROWS = np.arange(1, 16, dtype=np.float32).reshape(5, 3)


@pytest.fixture
def filled(store: ingot.Store) -> ingot.Store:
    for name in ("a", "b", "c"):
        store.insert("t", ROWS + ord(name), file_id=name)
    return store


def ids(store: ingot.Store, **selection: Any) -> list[str]:
    return store.get("t", limit=10_000, **selection).chunk_ids


def test_a_deleted_source_is_gone_from_everything(filled: ingot.Store) -> None:
    assert filled.delete("t", source_id="b") == 5
    assert ids(filled, source_id="b") == []
    assert ids(filled) == [f"{name}_{index}" for name in "ac" for index in range(5)]
    for exact in (False, True):
        found = filled.search("t", ROWS[0] + ord("b"), limit=100, exact=exact)
        assert sorted(found.chunk_ids) == sorted(ids(filled))
    with pytest.raises(NotFound):
        filled.status("t", "b")
    assert (filled.stats("t").rows, filled.stats("t").sources) == (10, 2)
    assert filled.delete("t", source_id="b") == 0


def test_deleted_rows_are_gone_and_the_others_keep_their_ids(filled: ingot.Store) -> None:
    assert filled.delete("t", chunk_ids=["b_3", "c_0", "b_1"]) == 3
    assert ids(filled, source_id="b") == ["b_0", "b_2", "b_4"]
    assert filled.status("t", "b").total_rows == 3
    rows = filled.get("t", chunk_ids=["b_4"]).embeddings
    assert rows is not None
    assert rows.tolist() == (ROWS[4:] + ord("b")).tolist()
    assert filled.delete("t", source_id="b") == 3


def test_a_row_named_twice_is_counted_once(filled: ingot.Store) -> None:
    assert filled.delete("t", chunk_ids=["a_1", "a_1", "a_2", "a_1"]) == 2
    assert filled.delete("t", chunk_ids=["a_1", "a_2"]) == 0


@pytest.mark.parametrize(
    "name", ["a_00", "a_01", "a_5", "a_", "a", "_0", "a_-1", "a_+1", "a_1 ", "A_1", "a_4294967296"]
)
def test_what_is_no_chunk_id_is_not_there(filled: ingot.Store, name: str) -> None:
    assert filled.get("t", chunk_ids=[name]).chunk_ids == []
    assert filled.delete("t", chunk_ids=[name]) == 0
    assert filled.delete("t", source_id=name if name != "a" else "z") == 0
    assert filled.stats("t").rows == 15


def test_ids_of_a_shorter_later_upload_are_gone(filled: ingot.Store) -> None:
    filled.insert("t", ROWS[:2], file_id="a")
    assert filled.get("t", chunk_ids=["a_1", "a_2", "a_4"]).chunk_ids == ["a_1"]
    assert filled.delete("t", chunk_ids=["a_2", "a_4"]) == 0
    assert filled.delete("t", chunk_ids=["a_1", "a_4"]) == 1


def test_sources_whose_names_look_like_chunk_ids_are_apart(store: ingot.Store) -> None:
    for name in ("a", "a_1", "a_1_1", "_", "1"):
        store.insert("t", ROWS[:3] * len(name), file_id=name)
    assert ids(store, source_id="a_1") == ["a_1_0", "a_1_1", "a_1_2"]
    assert store.get("t", chunk_ids=["a_1", "a_1_1", "a_1_1_1", "__2", "1_0"]).source_ids == [
        "a", "a_1", "a_1_1", "_", "1"
    ]  # fmt: skip
    assert store.delete("t", chunk_ids=["a_1_1"]) == 1
    assert ids(store, source_id="a") == ["a_0", "a_1", "a_2"]
    assert ids(store, source_id="a_1") == ["a_1_0", "a_1_2"]


def test_deletes_are_durable(filled: ingot.Store) -> None:
    filled.delete("t", source_id="a")
    filled.delete("t", chunk_ids=["b_0", "b_4"])
    before = ids(filled)
    filled.close()
    for _ in range(2):
        with ingot.open(filled.path) as store:
            assert ids(store) == before == ["b_1", "b_2", "b_3", "c_0", "c_1", "c_2", "c_3", "c_4"]
            assert store.delete("t", source_id="a") == 0


def test_exactly_one_selector_deletes(filled: ingot.Store) -> None:
    with pytest.raises(TypeError):
        filled.delete("t")
    with pytest.raises(TypeError):
        filled.delete("t", source_id="a", chunk_ids=["a_0"])
    with pytest.raises(TypeError):
        filled.delete("t", chunk_ids="a_0")
    with pytest.raises(TypeError):
        filled.get("t", source_id="a", chunk_ids=["a_0"])
    assert filled.delete("t", chunk_ids=[]) == 0
    assert filled.get("t", chunk_ids=[]).chunk_ids == []
    assert filled.stats("t").rows == 15


def test_ids_that_cannot_be_are_refused(filled: ingot.Store) -> None:
    for name in ("", "a\n", "a" * 513):
        for call in (filled.delete, filled.get):
            with pytest.raises(InvalidId):
                call("t", source_id=name)
        with pytest.raises(InvalidId):
            filled.status("t", name)
    with pytest.raises(InvalidId):
        filled.delete("t", chunk_ids=["a_0", ""])
    with pytest.raises(InvalidId):
        filled.delete("t", chunk_ids=["a_0", "a" * 521])
    assert filled.stats("t").rows == 15


def test_rows_come_in_insertion_order(filled: ingot.Store) -> None:
    expected = [f"{name}_{index}" for name in "abc" for index in range(5)]
    assert ids(filled) == expected
    assert ids(filled, chunk_ids=["c_1", "a_4", "b_0", "a_0", "a_4"]) == ["a_0", "a_4", "b_0", "c_1"]
    filled.insert("t", ROWS, file_id="a")
    assert ids(filled) == expected[5:] + expected[:5]
    assert ids(filled, chunk_ids=["c_1", "a_4"]) == ["c_1", "a_4"]


def test_a_limit_cuts_behind_the_first_rows(filled: ingot.Store) -> None:
    assert filled.get("t", limit=7).chunk_ids == ids(filled)[:7]
    assert filled.get("t", source_id="b", limit=2).chunk_ids == ["b_0", "b_1"]
    assert filled.get("t", chunk_ids=["c_1", "a_4", "b_0"], limit=2).chunk_ids == ["a_4", "b_0"]
    assert len(filled.get("t", limit=2**64 - 1)) == 15
    assert len(filled.get("t", source_id="b", limit=2**64 - 1)) == 5
    assert len(filled.get("t", limit=15)) == 15


def test_a_hundred_rows_come_unless_more_are_asked_for(store: ingot.Store) -> None:
    store.insert("t", np.ones((150, 2), np.float32))
    assert len(store.get("t")) == 100


def test_vectors_come_only_when_asked_for(filled: ingot.Store) -> None:
    hits = filled.get("t", with_embeddings=False)
    assert hits.embeddings is None
    assert hits.distances.shape == (0,)
    assert filled.search("t", ROWS[0]).embeddings is None
    empty = filled.get("t", source_id="nothing").embeddings
    assert empty is not None
    assert empty.shape == (0, 3)


@pytest.mark.parametrize("limit", [0, 1001, -1, 2**63])
def test_a_search_limit_is_1_to_1000(filled: ingot.Store, limit: int) -> None:
    with pytest.raises(InvalidLimit, match="1000"):
        filled.search("t", ROWS[0], limit=limit)
    assert len(filled.search("t", ROWS[0], limit=1000)) == 15


def test_a_threshold_keeps_scores_at_least_as_high(filled: ingot.Store) -> None:
    everything = filled.search("t", ROWS[0], limit=100)
    assert np.array_equal(everything.scores, np.float32(1) - everything.distances)
    threshold = float(everything.scores[4])
    kept = filled.search("t", ROWS[0], limit=100, score_threshold=threshold)
    assert kept.chunk_ids == [
        name
        for name, score in zip(everything.chunk_ids, everything.scores, strict=True)
        if score >= threshold
    ]
    assert len(filled.search("t", ROWS[0], score_threshold=1.1)) == 0


def test_what_is_not_there_is_named(filled: ingot.Store) -> None:
    calls: list[Any] = [
        lambda tenant, sub: filled.search(tenant, ROWS[0], sub_tenant_id=sub),
        lambda tenant, sub: filled.get(tenant, sub_tenant_id=sub),
        lambda tenant, sub: filled.delete(tenant, sub_tenant_id=sub, source_id="a"),
        lambda tenant, sub: filled.status(tenant, "a", sub_tenant_id=sub),
    ]
    for call in calls:
        with pytest.raises(TenantNotFound):
            call("nobody", None)
        with pytest.raises(SubTenantNotFound):
            call("t", "nobody")
    for other in (filled.stats, filled.wait_indexed):
        with pytest.raises(TenantNotFound):
            other("nobody")
    with pytest.raises(NotFound):
        filled.status("t", "nobody")
    with pytest.raises(LookupError):
        filled.status("t", "nobody")


def test_the_default_sub_tenant_always_exists(store: ingot.Store) -> None:
    store.insert("t", ROWS, sub_tenant_id="other", file_id="a")
    assert len(store.get("t")) == 0
    assert len(store.search("t", ROWS[0])) == 0
    assert store.delete("t", source_id="a") == 0
    with pytest.raises(NotFound):
        store.status("t", "a")
