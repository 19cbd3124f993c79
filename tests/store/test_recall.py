"""Searches find the nearest rows at the defaults: before the graph has them, after, and when it is loaded again."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ingot

Floats = NDArray[np.float32]
BATCH = 2000


def clusters(count: int, dimension: int, seed: int) -> Floats:
    """Rows around a few hundred centres of unequal size, neighbours in the same upload: as text comes in."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((300, dimension))
    chosen = np.sort((generator.random(count) ** 2 * len(centres)).astype(int))
    noise = generator.standard_normal((count, dimension)) * 0.35
    rows: Floats = (centres[chosen] + noise).astype(np.float32)
    return rows


def unit(rows: Floats) -> Floats:
    normed: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normed


def nearest(rows: Floats, queries: Floats, count: int = 10) -> NDArray[np.int64]:
    similarities = unit(queries) @ unit(rows).T
    return np.argsort(-similarities, axis=1, kind="stable")[:, :count]


def upload(store: ingot.Store, rows: Floats) -> None:
    for start in range(0, len(rows), BATCH):
        store.insert("t", rows[start : start + BATCH], file_id=f"s{start // BATCH}")


def number(chunk_id: str) -> int:
    source, index = chunk_id.removeprefix("s").split("_")
    return int(source) * BATCH + int(index)


def recall(store: ingot.Store, queries: Floats, truth: NDArray[np.integer]) -> float:
    """The mean share of the true 10 nearest among the 10 found."""
    shares = []
    for start in range(0, len(queries), 500):
        for hits, true in zip(
            store.search_batch("t", queries[start : start + 500]),
            truth[start : start + 500, :10],
            strict=True,
        ):
            assert len(hits) == 10
            shares.append(len({number(name) for name in hits.chunk_ids} & set(true.tolist())) / 10)
    return float(np.mean(shares))


def test_recall_holds_before_during_and_after_indexing(data: Path) -> None:
    rows = clusters(12_000, 64, seed=1)
    queries = rows[::60] + np.random.default_rng(2).standard_normal((200, 64)).astype(
        np.float32
    ) * np.float32(0.2)
    truth = nearest(rows, queries)
    with ingot.open(data) as store:
        upload(store, rows)
        assert recall(store, queries, truth) >= 0.99
        assert store.wait_indexed("t")
        stats = store.stats("t")
        assert (stats.indexed_rows, stats.rows) == (12_000, 12_000)
        assert recall(store, queries, truth) >= 0.99
        indexed = store.status("t", "s3")
        assert (indexed.indexed_rows, indexed.total_rows) == (2000, 2000)
    with ingot.open(data) as store:
        assert recall(store, queries, truth) >= 0.99
        assert store.wait_indexed("t")
        assert recall(store, queries, truth) >= 0.99


def test_recall_holds_when_two_in_five_rows_are_deleted(data: Path) -> None:
    rows = clusters(20_000, 48, seed=3)
    generator = np.random.default_rng(4)
    queries = rows[::100] + generator.standard_normal((200, 48)).astype(np.float32) * np.float32(0.2)
    dead = generator.permutation(20_000)[:8000]
    living = np.setdiff1d(np.arange(20_000), dead)
    truth = living[nearest(rows[living], queries)]
    with ingot.open(data) as store:
        upload(store, rows)
        store.wait_indexed("t")
        for start in range(0, len(dead), 1000):
            part = [f"s{row // BATCH}_{row % BATCH}" for row in dead[start : start + 1000].tolist()]
            assert store.delete("t", chunk_ids=part) == 1000
        assert recall(store, queries, truth) >= 0.99
        check_living(store, rows, living)
        assert store.wait_indexed("t")
        assert recall(store, queries, truth) >= 0.99
        check_living(store, rows, living)
    with ingot.open(data) as store:
        assert recall(store, queries, truth) >= 0.99
        check_living(store, rows, living)


def check_living(store: ingot.Store, rows: Floats, living: NDArray[np.int64]) -> None:
    """Each row that lives is the first to be found by its own numbers."""
    assert store.stats("t").rows == len(living)
    sample = living[::7]
    for start in range(0, len(sample), 1000):
        asked = sample[start : start + 1000]
        found = [number(hits.chunk_ids[0]) for hits in store.search_batch("t", rows[asked], limit=1)]
        missed = int((np.array(found) != asked).sum())
        assert missed <= len(asked) // 200, f"{missed} of {len(asked)} rows are not found"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["debian-minilm-384", "openai-ada002-1536"])
def test_recall_holds_on_real_embeddings(data: Path, shared_data: Path, name: str) -> None:
    rows = np.load(shared_data / f"{name}.f16.npy", allow_pickle=False)
    queries = unit(np.load(shared_data / f"{name}.queries.f16.npy", allow_pickle=False).astype(np.float32))
    truth = np.load(shared_data / f"{name}.gt100.i32.npy", allow_pickle=False)
    with ingot.open(data) as store:
        upload(store, rows)
        assert recall(store, queries, truth) >= 0.99
        assert store.wait_indexed("t")
        assert recall(store, queries, truth) >= 0.99
    with ingot.open(data) as store:
        assert recall(store, queries, truth) >= 0.99
