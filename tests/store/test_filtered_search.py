"""A filtered search finds among the rows that the filter holds of what another would: as many, and as well."""

import itertools
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ingot

Floats = NDArray[np.float32]

ROWS, DIMENSION, A_SOURCE = 40_000, 32, 4
CLUSTERS = 100
QUERIES = 60
SHARES = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99)


class Scene:
    """Rows around centres, in sources of a few rows with a random number and the centre in their metadata."""

    def __init__(self) -> None:
        generator = np.random.default_rng(1)
        centres = generator.standard_normal((CLUSTERS, DIMENSION))
        self.cluster = np.sort(generator.integers(0, CLUSTERS, ROWS // A_SOURCE)).repeat(A_SOURCE)
        self.rows: Floats = (
            centres[self.cluster] + generator.standard_normal((ROWS, DIMENSION)) * 0.5
        ).astype(np.float32)
        self.part = generator.permutation(ROWS // A_SOURCE).repeat(A_SOURCE)
        near = generator.integers(0, ROWS, QUERIES)
        noise = generator.standard_normal((QUERIES, DIMENSION)) * 0.3
        self.queries: Floats = (self.rows[near] + noise).astype(np.float32)
        self.units = self.rows / np.linalg.norm(self.rows, axis=1, keepdims=True)

    def fill(self, store: ingot.Store, sources: range) -> None:
        for source in sources:
            first = source * A_SOURCE
            store.insert(
                "t",
                self.rows[first : first + A_SOURCE],
                file_id=f"s{source}",
                document_metadata={"part": int(self.part[first]), "cluster": int(self.cluster[first])},
            )

    def recall(self, matching: NDArray[np.bool_], query: int, hits: ingot.Hits, limit: int) -> float:
        """The share of the true nearest; every hit has to match, and there are as many as there can be."""
        places = np.flatnonzero(matching)
        found = [
            int(s[1:]) * A_SOURCE + int(c.rsplit("_", 1)[1])
            for s, c in zip(hits.source_ids, hits.chunk_ids, strict=True)
        ]
        assert len(found) == len(set(found)) == min(limit, len(places))
        assert matching[found].all()
        vector = self.queries[query]
        order = np.argsort(-(self.units[places] @ vector), kind="stable")[:limit]
        return len(set(places[order].tolist()) & set(found)) / len(found) if found else 1.0

    def check(self, store: ingot.Store, text: str, matching: NDArray[np.bool_], **options: object) -> None:
        batch = store.search_batch("t", self.queries, filter=text, **options)  # type: ignore[arg-type]
        shares = [self.recall(matching, query, hits, 10) for query, hits in enumerate(batch)]
        one = store.search("t", self.queries[0], filter=text, **options)  # type: ignore[arg-type]
        shares.append(self.recall(matching, 0, one, 10))
        assert np.mean(shares) >= (1 if options.get("exact") else 0.99), (text, options)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture(scope="module")
def indexed(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> ingot.Store:  # type: ignore[misc]
    with ingot.open(tmp_path_factory.mktemp("store") / "data") as store:
        scene.fill(store, range(1000))
        # Before there is a graph, or the first codes.
        for share in SHARES:
            check_share(scene, store, share, 1000)
        scene.fill(store, range(1000, ROWS // A_SOURCE))
        # While the graph grows.
        for share in SHARES[2:]:
            check_share(scene, store, share, ROWS // A_SOURCE)
        assert store.wait_indexed("t")
        yield store


def check_share(scene: Scene, store: ingot.Store, share: float, sources: int, **options: object) -> None:
    below = int(ROWS // A_SOURCE * share)
    there = np.arange(ROWS) < sources * A_SOURCE
    scene.check(store, f'metadata["part"] < {below}', (scene.part < below) & there, **options)


@pytest.mark.parametrize("share", SHARES)
def test_recall_holds_at_every_selectivity(scene: Scene, indexed: ingot.Store, share: float) -> None:
    check_share(scene, indexed, share, ROWS // A_SOURCE)
    check_share(scene, indexed, share, ROWS // A_SOURCE, exact=True)
    count = int(ROWS // A_SOURCE * share) * A_SOURCE
    hits = indexed.get(
        "t", filter=f'metadata["part"] < {count // A_SOURCE}', limit=10_000, with_embeddings=False
    )
    assert len(hits) == min(count, 10_000)


def test_recall_holds_where_nothing_near_the_query_passes(scene: Scene, indexed: ingot.Store) -> None:
    shares = []
    centres = np.stack([scene.units[scene.cluster == c].mean(axis=0) for c in range(CLUSTERS)])
    for query, left_out in itertools.product(range(0, QUERIES, 3), (1, 3, 10, 20)):
        near = np.argsort(-(centres @ scene.queries[query]))[:left_out].tolist()
        text = f'metadata["cluster"] not in {near}'
        hits = indexed.search("t", scene.queries[query], filter=text)
        shares.append(scene.recall(~np.isin(scene.cluster, near), query, hits, 10))
        only = indexed.search("t", scene.queries[query], filter=f'metadata["cluster"] == {near[-1]}')
        assert scene.recall(scene.cluster == near[-1], query, only, 10) == 1
    assert np.mean(shares) >= 0.99
    assert min(shares) >= 0.8


def test_every_limit_is_filled(scene: Scene, indexed: ingot.Store) -> None:
    for limit in (1, 3, 100, 1000):
        for share in SHARES:
            below = int(ROWS // A_SOURCE * share)
            hits = indexed.search("t", scene.queries[1], filter=f'metadata["part"] < {below}', limit=limit)
            assert len(hits) == min(limit, below * A_SOURCE)


def test_what_is_deleted_by_filter_is_gone_from_filters_and_from_searches(data: Path) -> None:
    with ingot.open(data) as store:
        for number in range(300):
            store.insert(
                "t",
                np.eye(8, dtype=np.float32),
                file_id=f"s{number}",
                document_metadata={"n": number, "odd": number % 2},
            )
        query = np.ones(8, np.float32)
        assert store.delete("t", filter='metadata["odd"] == 1 and metadata["n"] < 200') == 800
        assert store.delete("t", filter='metadata["odd"] == 1 and metadata["n"] < 200') == 0
        store.wait_indexed("t")
        left = {f"s{n}" for n in range(300) if not (n % 2 and n < 200)}
        for name in ("first", "reopened"):
            hits = store.get("t", filter='metadata["odd"] != 2', limit=10_000, with_embeddings=False)
            assert set(hits.source_ids) == left, name
            hits = store.search("t", query, filter='metadata["odd"] == 1', limit=1000)
            assert Counter(hits.source_ids) == Counter({f"s{n}": 8 for n in range(201, 300, 2)}), name
            store.close()
            store = ingot.open(data)
        store.close()


def test_deletes_by_filter_and_uploads_at_once_account_for_every_row(data: Path, times: int) -> None:
    """Whatever the order was: every row stored is there, or was replaced or deleted by exactly one who says so."""
    rounds, writers = 150 * times, 3
    with ingot.open(data) as store:
        store.insert("t", np.ones((1, 4), np.float32), file_id="first", document_metadata={"k": 0})
        stored, taken = [1], [0]
        failures: list[BaseException] = []
        lock = threading.Lock()

        def write(writer: int) -> None:
            generator = np.random.default_rng(writer)
            try:
                for number in range(rounds):
                    rows = int(generator.integers(1, 6))
                    inserted = store.insert(
                        "t",
                        np.ones((rows, 4), np.float32),
                        file_id=f"s{generator.integers(0, 40)}",
                        document_metadata={"k": int(generator.integers(0, 5)), "by": f"{writer}.{number}"},
                    )
                    with lock:
                        stored[0] += rows
                        taken[0] += inserted.overwritten
            except BaseException as failure:  # noqa: BLE001 - raised below
                failures.append(failure)

        def delete(deleter: int) -> None:
            filters = [
                'metadata["k"] == 1',
                'metadata["k"] in [0, 3] and chunk_id like "%_0"',
                'source_id < "s2"',
                'not metadata["k"] < 4 or chunk_id == "s7_1"',
            ]
            try:
                for number in range(rounds):
                    count = store.delete("t", filter=filters[(number + deleter) % 4])
                    with lock:
                        taken[0] += count
            except BaseException as failure:  # noqa: BLE001 - raised below
                failures.append(failure)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
        threads += [threading.Thread(target=delete, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        left = store.get("t", limit=10_000, with_embeddings=False)
        assert len(left) == len(set(left.chunk_ids)) == store.stats("t").rows
        assert stored[0] - taken[0] == len(left)
        assert store.delete("t", filter='metadata["k"] == 1') == sum(
            b'"k":1' in (m or b"") for m in left.metadata
        )
        names = store.get("t", limit=10_000, with_embeddings=False).chunk_ids
    with ingot.open(data) as store:
        assert store.get("t", limit=10_000, with_embeddings=False).chunk_ids == names


@pytest.mark.parametrize("a_source", [1, 2, 3])
def test_rows_between_those_that_pass_are_not_found(data: Path, a_source: int) -> None:
    generator = np.random.default_rng(a_source)
    rows = generator.standard_normal((1500 * a_source, 16)).astype(np.float32)
    odd = generator.integers(0, 2, 1500)
    with ingot.open(data) as store:
        for source in range(1500):
            of_source = rows[source * a_source : (source + 1) * a_source]
            store.insert("t", of_source, file_id=f"s{source}", document_metadata={"odd": int(odd[source])})
        assert store.wait_indexed("t")
        passing = np.flatnonzero(np.repeat(odd, a_source))
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for query in rows[:20]:
            hits = store.search("t", query, filter='metadata["odd"] == 1')
            nearest = passing[np.argsort(-(units[passing] @ query), kind="stable")[:10]]
            found = [
                int(s[1:]) * a_source + int(c.rsplit("_", 1)[1])
                for s, c in zip(hits.source_ids, hits.chunk_ids, strict=True)
            ]
            assert found == nearest.tolist()
