"""An overwrite is never seen half done: readers find all of one version, never a mix, never nothing."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import ingot

ROWS = 40
DIMENSION = 8


def version(number: int, rows: int = ROWS) -> NDArray[np.float32]:
    """Rows that say which version they belong to and how many there are of it."""
    array = np.ones((rows, DIMENSION), np.float32)
    array[:, 0] = number
    array[:, 1] = rows
    array[:, 2] = np.arange(rows)
    return array


def check(hits: ingot.Hits, seen: list[int]) -> None:
    rows = hits.embeddings
    assert rows is not None
    assert len(rows), "nothing was found"
    assert len(set(rows[:, 0].tolist())) == 1, f"a mix of versions: {sorted(set(rows[:, 0].tolist()))}"
    assert len(rows) == rows[0, 1], f"{len(rows)} of {rows[0, 1]} rows"
    assert sorted(rows[:, 2].tolist()) == list(range(len(rows)))
    assert all(name == f"a_{int(index)}" for name, index in zip(hits.chunk_ids, rows[:, 2], strict=True))
    assert set(hits.metadata) == {f'{{"v":{int(rows[0, 0])}}}'.encode()}
    seen.append(int(rows[0, 0]))


READERS: dict[str, Callable[[ingot.Store], ingot.Hits]] = {
    "get by source": lambda store: store.get("t", source_id="a", limit=1000),
    "get all": lambda store: store.get("t", limit=1000),
    "get by chunk": lambda store: store.get("t", chunk_ids=[f"a_{i}" for i in range(3 * ROWS)], limit=1000),
    "search": lambda store: store.search("t", version(1)[0], limit=1000, with_embeddings=True),
    "search exact": lambda store: store.search(
        "t", version(1)[0], limit=1000, exact=True, with_embeddings=True
    ),
    "get by filter": lambda store: store.get("t", filter='metadata["v"] >= 0', limit=1000),
    "get by filtered source": lambda store: store.get("t", filter='source_id in ["a", "b"]', limit=1000),
    "search by filter": lambda store: store.search(
        "t", version(1)[0], filter='not metadata["v"] < 0', limit=1000, with_embeddings=True
    ),
    "search by filtered chunks": lambda store: store.search(
        "t", version(1)[0], filter='chunk_id like "a\\_%"', limit=1000, with_embeddings=True
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_an_overwrite_is_never_seen_half_done(store: ingot.Store, reader: str, times: int) -> None:
    store.insert("t", version(0), file_id="a", document_metadata={"v": 0})
    versions = 300 * times
    stop = threading.Event()
    failures: list[BaseException] = []
    seen: list[list[int]] = [[], []]

    def write() -> None:
        try:
            number = 0
            # A reader that was kept waiting gets its turns.
            while number < versions or (
                min(map(len, seen)) < 50 and number < 100 * versions and not failures
            ):
                number += 1
                # Lengths go up and down, so that a mix would show in the count, too.
                store.insert(
                    "t", version(number, ROWS + number % 7 * 10), file_id="a", document_metadata={"v": number}
                )
        except BaseException as failure:  # noqa: BLE001 - raised below
            failures.append(failure)
        finally:
            stop.set()

    def read(mine: list[int]) -> None:
        try:
            while not stop.is_set():
                check(READERS[reader](store), mine)
        except BaseException as failure:  # noqa: BLE001 - raised below
            failures.append(failure)

    threads = [threading.Thread(target=write)]
    threads += [threading.Thread(target=read, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    for mine in seen:
        assert len(set(mine)) > 1
        assert mine == sorted(mine), "a reader went back in time"


def test_what_was_acknowledged_is_in_the_next_search(store: ingot.Store) -> None:
    for number in range(1, 200):
        store.insert("t", version(number, 1 + number % 5), file_id="a", document_metadata={"v": number})
        for reader in READERS.values():
            seen: list[int] = []
            check(reader(store), seen)
            assert seen == [number]


def test_a_source_is_found_while_the_graph_is_built_and_rebuilt(store: ingot.Store) -> None:
    """One source stays while thousands of rows around it are added and deleted: each search finds it."""
    generator = np.random.default_rng(8)
    target = np.zeros((1, 32), np.float32)
    target[0, 0] = 1
    store.insert("t", target, file_id="target")
    stop = threading.Event()
    failures: list[str] = []
    searches = [0]

    def read() -> None:
        while not stop.is_set():
            found = store.search("t", target[0], limit=5)
            searches[0] += 1
            if found.chunk_ids[:1] != ["target_0"]:
                failures.append(f"search {searches[0]} found {found.chunk_ids}")
                return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for index in range(6):
            store.insert("t", generator.standard_normal((2000, 32), np.float32), file_id=f"s{index}")
        store.wait_indexed("t")
        for index in range(0, 6, 2):
            store.delete("t", source_id=f"s{index}")
        store.wait_indexed("t")
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert searches[0] > 10
