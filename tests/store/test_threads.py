"""Other threads go on while one is in a long call; what they see is always whole."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot.errors import Closed

DEADLINE = 60.0


def turns_during(call: Callable[[], object]) -> int:
    """How often a thread that never waits came around between the start of `call` and its end."""
    counts = [0]
    stop = threading.Event()
    ready = threading.Event()

    def count() -> None:
        while not stop.is_set():
            counts[0] += 1
            ready.set()

    thread = threading.Thread(target=count)
    thread.start()
    assert ready.wait(DEADLINE)
    try:
        before = counts[0]
        call()
        return counts[0] - before
    finally:
        stop.set()
        thread.join()


def turns_of_a_held_gil() -> int:
    """The same during a call that holds the GIL: at most what one switch of threads gives."""
    return turns_during(lambda: sorted(range(10)))


@pytest.fixture
def filled(store: ingot.Store) -> ingot.Store:
    generator = np.random.default_rng(5)
    for index in range(10):
        store.insert("t", generator.standard_normal((2000, 256), np.float32), file_id=f"s{index}")
    return store


def test_other_threads_go_on_during_a_search(filled: ingot.Store) -> None:
    queries = np.random.default_rng(6).standard_normal((60, 256), np.float32)
    turns = turns_during(lambda: filled.search_batch("t", queries, exact=True))
    # A held GIL would give the other thread no turn at all within the call.
    assert turns > 1000


def test_other_threads_go_on_during_an_insert(filled: ingot.Store) -> None:
    rows = np.ones((2000, 3024), np.float32)
    assert turns_during(lambda: [filled.insert("wide", rows, file_id="a") for _ in range(5)]) > 1000


def test_other_threads_go_on_during_a_refused_insert(filled: ingot.Store) -> None:
    rows = np.zeros((2000, 3024), np.float32)
    rows[:, -1] = 1
    rows[-1, -1] = 0

    def refused() -> None:
        for _ in range(20):
            with pytest.raises(ingot.errors.ZeroVector):
                filled.insert("wide", rows)

    assert turns_during(refused) > 1000


def run(*bodies: Callable[[], None]) -> None:
    """Runs all at once; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as failure:  # noqa: BLE001 - raised below
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive(), "a thread hangs"
    if failures:
        raise failures[0]


def test_uploads_of_many_threads_to_one_tenant_are_all_there(data: Path) -> None:
    def upload(store: ingot.Store, name: int) -> None:
        for turn in range(25):
            store.insert(
                "t", np.full((3, 4), name * 100 + turn + 1, np.float32), file_id=f"{name}-{turn % 20}"
            )

    with ingot.open(data) as store:
        run(*(lambda name=name: upload(store, name) for name in range(8)))
    with ingot.open(data) as store:
        hits = store.get("t", limit=10_000)
        assert hits.embeddings is not None
        found = dict(zip(hits.chunk_ids, hits.embeddings[:, 0].tolist(), strict=True))
    expected = {
        f"{name}-{turn}_{row}": name * 100 + (turn + 20 if turn < 5 else turn) + 1
        for name in range(8)
        for turn in range(20)
        for row in range(3)
    }
    assert found == expected


def test_threads_that_make_the_same_tenant_make_one(store: ingot.Store, data: Path) -> None:
    start = threading.Barrier(8)

    def upload(name: int) -> None:
        for turn in range(10):
            start.wait(DEADLINE)
            store.insert(f"t{turn}", np.ones((2, 3), np.float32), file_id=f"{name}")

    run(*(lambda name=name: upload(name) for name in range(8)))
    assert len(list((data / "tenants").iterdir())) == 10
    assert [store.stats(f"t{turn}").rows for turn in range(10)] == [16] * 10


def test_one_of_two_dimensions_wins_a_race_for_a_new_tenant(store: ingot.Store) -> None:
    start = threading.Barrier(4)
    won: list[tuple[str, int]] = []

    def upload(dimension: int) -> None:
        for turn in range(20):
            start.wait(DEADLINE)
            try:
                store.insert(f"t{turn}", np.ones((2, dimension), np.float32))
            except ingot.errors.DimensionMismatch:
                continue
            won.append((f"t{turn}", dimension))

    run(*(lambda dimension=dimension: upload(dimension) for dimension in (2, 3, 4, 5)))
    assert len(won) == len(set(won)) == 20
    assert all(store.stats(tenant).dimension == dimension for tenant, dimension in won)


def close_under_uploads(data: Path, tenants: int) -> None:
    store = ingot.open(data)
    acknowledged: list[tuple[str, str]] = []
    under_way = threading.Semaphore(0)

    def upload() -> None:
        while True:
            tenant = f"t{len(acknowledged) % tenants}"
            try:
                inserted = store.insert(tenant, np.ones((2, 3), np.float32))
            except Closed:
                return
            acknowledged.append((tenant, inserted.file_id))
            under_way.release()

    def check() -> None:
        with ingot.open(data) as other:
            for tenant, file_id in list(acknowledged):
                assert other.status(tenant, file_id).total_rows == 2

    def close() -> None:
        for _ in range(12):
            assert under_way.acquire(timeout=DEADLINE)
        store.close()
        # The directory is free from here on: what still wrote to it would write to another's.
        check()

    run(upload, upload, upload, close)
    check()


@pytest.mark.parametrize("tenants", [1, 1000], ids=["one tenant", "ever new tenants"])
def test_closing_under_uploads_loses_none_that_was_acknowledged(data: Path, tenants: int, times: int) -> None:
    for _ in range(8 * times):
        close_under_uploads(data, tenants)
