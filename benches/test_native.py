"""The store in process, through the module: inserts of 2000 x 384 and searches, with pytest-benchmark."""

from collections.abc import Iterator
from itertools import count, cycle
from typing import Any

import pytest

import ingot
from benches import vectors

ROWS = 20_000
BATCH = 2000


@pytest.fixture(scope="module")
def data() -> vectors.Vectors:
    return vectors.load(ROWS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, data: vectors.Vectors) -> Iterator[Any]:
    """A store whose tenant `full` holds all rows in its graph."""
    with ingot.open(tmp_path_factory.mktemp("store")) as opened:
        for first in range(0, ROWS, BATCH):
            opened.insert("full", data.rows[first : first + BATCH], file_id=f"batch-{first}")
        assert opened.wait_indexed("full", timeout=120)
        yield opened


def test_insert_a_batch(benchmark: Any, store: Any, data: vectors.Vectors) -> None:
    number = count()
    rows = data.rows[:BATCH]
    benchmark.pedantic(
        lambda: store.insert("inserts", rows, file_id=f"batch-{next(number)}"), rounds=20, warmup_rounds=2
    )


def test_insert_one_row(benchmark: Any, store: Any, data: vectors.Vectors) -> None:
    number = count()
    row = data.rows[:1]
    benchmark.pedantic(
        lambda: store.insert("single", row, file_id=f"row-{next(number)}"), rounds=200, warmup_rounds=10
    )


@pytest.mark.parametrize("exact", [False, True], ids=["graph", "exact"])
def test_search_ten_nearest(benchmark: Any, store: Any, data: vectors.Vectors, exact: bool) -> None:
    queries = cycle(data.queries)
    benchmark(lambda: store.search("full", next(queries), limit=10, exact=exact))


def test_search_64_queries_at_once(benchmark: Any, store: Any, data: vectors.Vectors) -> None:
    benchmark(lambda: store.search_batch("full", data.queries[:64], limit=10))
