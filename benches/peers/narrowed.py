"""One turn of filtered searches, run by the Python of the store's venv, with MODULE FOLDER DATA.

Prints, as JSON, milliseconds and recall for each bound; `null` is the search without a filter.
"""

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benches.peers.contestants.contestant import NEAREST, WIDTH, Contestant, Query

WARM = 5
SECONDS = 3.0
FEWEST = 20


def main() -> None:
    """Loads, builds, searches."""
    module, folder, data = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    rows, queries, tags = (np.load(data / f"{name}.npy") for name in ("rows", "queries", "tags"))
    bounds = json.loads((data / "bounds.json").read_text())
    store: Contestant = importlib.import_module(f"benches.peers.contestants.{module}").Store(
        folder, rows.shape[1]
    )
    store.start()
    try:
        store.widen(WIDTH)
        store.load_tagged(rows, tags)
        store.index()
        search, narrowed = store.searcher(), store.narrowed()
        told = {"null": measured(search, queries, rows, np.ones(len(rows), bool))}
        for below in bounds:
            told[str(below)] = measured(functools.partial(narrowed, below=below), queries, rows, tags < below)
    finally:
        store.stop()
    print(json.dumps(told))


def measured(
    search: Callable[[Query], list[int]], queries: np.ndarray, rows: np.ndarray, passing: np.ndarray
) -> dict[str, float]:
    """The median of searches by one thread, and the mean share of the true nearest."""
    places = np.flatnonzero(passing)
    among = rows[places]
    for query in queries[:WARM]:
        search(query)
    took, shares = [], []
    ends = time.perf_counter() + SECONDS
    for query in queries:
        started = time.perf_counter()
        found = search(query)
        took.append((time.perf_counter() - started) * 1000)
        true = places[np.argsort(-(among @ query), kind="stable")[:NEAREST]]
        shares.append(len(set(true.tolist()) & set(found)) / max(1, len(true)))
        if time.perf_counter() > ends and len(took) >= FEWEST:
            break
    return {"ms": median(took), "recall": float(np.mean(shares))}


if __name__ == "__main__":
    main()
