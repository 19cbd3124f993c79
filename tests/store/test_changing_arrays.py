"""An array that another thread changes during a call never puts unvalidated or unchecksummed numbers in the log."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ingot
from ingot.errors import InputError, NonFiniteValue, ZeroVector

SHAPE = (2000, 512)
INSERTS = 60


@contextmanager
def changing(array: NDArray[np.float32], values: list[float]) -> Iterator[list[int]]:
    """Another thread writes all of `values` over and over, to single places and to whole rows."""
    stop = threading.Event()
    turns = [0]

    def change() -> None:
        generator = np.random.default_rng(3)
        rows, columns = array.shape
        while not stop.is_set():
            # Spoiled now and then (the last value is a good one): or no upload would come through.
            for value in values if turns[0] % 8 == 0 else values[-1:]:
                places = generator.integers(0, rows, 64), generator.integers(0, columns, 64)
                array[places] = value
                array[generator.integers(0, rows)] = value
            array[:] = 1.0
            turns[0] += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield turns
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "values",
    [[np.nan, 2.0], [np.inf, 3.0], [-np.inf, np.nan, 4.0], [0.0, 5.0], [2.0, 3.0]],
    ids=["nan", "inf", "both", "zero", "finite"],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_stored_is_what_was_validated_and_checksummed(
    data: Path, values: list[float], times: int
) -> None:
    array = np.ones(SHAPE, np.float32)
    acknowledged: dict[str, int] = {}
    refused = 0
    with ingot.open(data) as store, changing(array, values) as turns:
        attempts = 0
        # On a busy machine either thread may come late: go on until there is something to look at.
        while attempts < INSERTS * times or (
            (turns[0] < 20 or not acknowledged) and attempts < 100 * INSERTS
        ):
            attempts += 1
            try:
                inserted = store.insert("t", array, file_id=f"a{attempts % 20}")
                acknowledged[inserted.file_id] = inserted.crc32c
            except (NonFiniteValue, ZeroVector):
                refused += 1
    assert acknowledged
    if values == [2.0, 3.0]:
        assert refused == 0
    # Opened again, each block is checked against the log's own checksum when it is first read.
    with ingot.open(data) as store:
        for file_id, digest in acknowledged.items():
            rows = store.get("t", source_id=file_id, limit=SHAPE[0]).embeddings
            assert rows is not None
            assert rows.shape == SHAPE
            assert np.isfinite(rows).all()
            assert rows.any(axis=1).all(), "a zero row was stored"
            assert ingot.crc32c(rows) == digest
        assert store.stats("t").rows == len(acknowledged) * SHAPE[0]


def test_a_declared_digest_is_compared_with_what_is_stored(data: Path) -> None:
    array = np.ones(SHAPE, np.float32)
    declared = ingot.crc32c(array)
    with ingot.open(data) as store, changing(array, [2.0]):
        for _ in range(INSERTS):
            try:
                store.insert("t", array, file_id="a", crc32c=declared)
            except InputError:
                continue
            rows = store.get("t", source_id="a", limit=SHAPE[0]).embeddings
            assert rows is not None
            assert (rows == 1.0).all()


def test_a_query_that_changes_is_answered_finitely_or_refused(store: ingot.Store) -> None:
    rows = np.random.default_rng(4).standard_normal((500, 512), np.float32)
    store.insert("t", rows, file_id="a")
    queries = np.ones((200, 512), np.float32)
    with changing(queries, [np.nan, 2.0, 0.0]):
        for _ in range(20):
            try:
                found = store.search_batch("t", queries, limit=3)
            except (NonFiniteValue, ZeroVector):
                continue
            assert all(np.isfinite(hits.distances).all() for hits in found)
