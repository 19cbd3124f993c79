"""The ids of an upload: a sequence of strings that are made when asked for."""

from collections.abc import Sequence

import numpy as np
import pytest

import ingot


@pytest.fixture
def ids(store: ingot.Store) -> tuple[ingot.ChunkIds, list[str]]:
    inserted = store.insert("t", np.ones((23, 2), np.float32), file_id="a_7_b")
    return inserted.chunk_ids, [f"a_7_b_{index}" for index in range(23)]


Ids = tuple[ingot.ChunkIds, list[str]]


def test_they_are_the_strings_a_list_would_hold(ids: Ids) -> None:
    lazy, expected = ids
    assert len(lazy) == 23
    assert list(lazy) == expected
    assert [lazy[index] for index in range(-23, 23)] == [expected[index] for index in range(-23, 23)]


@pytest.mark.parametrize("index", [23, -24, 2**31, 2**32, 2**63 - 1, -(2**63)])
def test_an_index_out_of_range_is_an_index_error(ids: Ids, index: int) -> None:
    with pytest.raises(IndexError):
        ids[0][index]


def test_an_index_too_large_for_any_sequence_is_an_index_error(ids: Ids) -> None:
    for index in (2**63, 2**100, -(2**100)):
        with pytest.raises(IndexError):
            ids[0][index]


@pytest.mark.parametrize("index", [1.0, "1", None, (1,)])
def test_an_index_that_is_no_integer_is_a_type_error(ids: Ids, index: object) -> None:
    with pytest.raises(TypeError):
        ids[0][index]  # type: ignore[call-overload]


def test_a_numpy_integer_is_an_index(ids: Ids) -> None:
    assert ids[0][np.int64(3)] == "a_7_b_3"


STEPS = [None, 1, 2, 5, 30, -1, -2, -5, -30]
ENDS = [None, 0, 1, 5, 22, 23, 24, 100, 2**70, -1, -5, -22, -23, -24, -100]


@pytest.mark.parametrize("step", STEPS)
def test_every_slice_is_that_of_a_list(ids: Ids, step: int | None) -> None:
    lazy, expected = ids
    for start in ENDS:
        for stop in ENDS:
            assert lazy[start:stop:step] == expected[start:stop:step]


def test_a_slice_of_step_zero_is_a_value_error(ids: Ids) -> None:
    with pytest.raises(ValueError, match="zero"):
        ids[0][::0]


def test_in_is_true_for_exactly_these_strings(ids: Ids) -> None:
    lazy, expected = ids
    assert all(name in lazy for name in expected)
    others = [
        "a_7_b_23",
        "a_7_b_00",
        "a_7_b_01",
        "a_7_b_",
        "a_7_b",
        "a_7_b_-1",
        "a_7_b_+1",
        "a_7_b_1 ",
        "a_0",
        "",
    ]
    assert not any(name in lazy for name in others)
    for thing in (0, None, b"a_7_b_0", ("a_7_b_0",), "\ud800"):
        assert thing not in lazy


def test_it_is_a_sequence(ids: Ids) -> None:
    lazy, expected = ids
    assert isinstance(lazy, Sequence)
    assert list(reversed(lazy)) == expected[::-1]
    assert lazy.index("a_7_b_5") == 5
    assert lazy.count("a_7_b_5") == 1
    assert lazy.count("a_7_b_23") == 0
    for arguments in (
        ("a_7_b_23",),
        ("a_7_b_5", 6),
        ("a_7_b_5", 0, 5),
        ("a_7_b_5", -17),
        ("a_7_b_5", 0, -18),
    ):
        with pytest.raises(ValueError, match="chunk id"):
            lazy.index(*arguments)
    assert lazy.index("a_7_b_5", 5, 6) == lazy.index("a_7_b_5", -18, -17) == 5


def test_it_outlives_the_store(store: ingot.Store) -> None:
    inserted = store.insert("t", np.ones((2, 2), np.float32), file_id="a")
    store.close()
    assert list(inserted.chunk_ids) == ["a_0", "a_1"]
    assert "a_0" in repr(inserted.chunk_ids)


def test_ids_that_are_made_are_new_and_grow(store: ingot.Store) -> None:
    made = [store.insert("t", np.ones((1, 2), np.float32)).file_id for _ in range(50)]
    assert made == sorted(set(made))
    assert all(name.startswith("emb_") and len(name) == 30 for name in made)
