"""One turn of one store, in the Python of its own venv: `python -m benches.peers.trial PHASE MODULE FOLDER DATA EF`.

`load`: upload in batches, wait for the index, search. `again`, in a new process: open what `load` left behind, then
single rows and documents. Prints one line of JSON. It imports the standard library and NumPy, for whatever Python.
"""

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers.contestants.contestant import NEAREST, THREADS, Contestant, Rows, Unsupported

BATCH = 2000
RECALL = 0.98
CALIBRATION = 200  # queries
SEARCHING = 1.5  # seconds
SINGLES = 300  # rows, or
SINGLES_WITHIN = 3.0  # seconds
LOOKED_FOR = 20
VISIBLE_WITHIN = 10.0
DOCUMENTS = 5
DOCUMENT = 100  # rows; replaced by fewer, as new texts are of other lengths
REPLACEMENT = 90


class Data:
    """What every store is fed: `rows` are uploaded, `more` comes later; `exact` are the ten nearest of `rows`."""

    def __init__(self, folder: Path) -> None:
        self.rows: Rows = np.load(folder / "rows.npy")
        self.more: Rows = np.load(folder / "more.npy")
        self.queries: Rows = np.load(folder / "queries.npy")
        self.exact: NDArray[np.int32] = np.load(folder / "exact.npy")


def resident(process: int) -> int:
    """The memory of a process in bytes; a page that n processes share counts as an n-th."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def clocked(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def load(store: Contestant, data: Data, ef: int, started_with: int) -> dict[str, Any]:
    """Everything from an empty folder to searches."""
    store.start()
    told = {"processes": store.processes(), "before": started_with if os.getpid() in store.processes() else 0}
    (store.folder / "processes.tmp").write_text(json.dumps(told))
    (store.folder / "processes.tmp").rename(store.folder / "processes.json")
    began = time.perf_counter()
    for first in range(0, len(data.rows), BATCH):
        store.insert(first, data.rows[first : first + BATCH])
    acknowledged = time.perf_counter() - began
    store.index()
    indexed = time.perf_counter() - began
    recall = calibrate(store, data, ef)
    samples = {
        "acknowledged": len(data.rows) / acknowledged,
        "indexed": len(data.rows) / indexed,
        "recall": recall,
        "searches_1": searches(store, data, 1),
        "searches_2": searches(store, data, THREADS),
    }
    store.stop()
    return {
        "samples": samples,
        "ef": store.ef,
        "durable": store.durable,
        "how": store.how,
        "atomic": store.atomic,
        "settings": store.settings,
    }


def recall_of(store: Contestant, data: Data, queries: int) -> float:
    """The share of the ten nearest that is found."""
    search = store.searcher()
    found = 0
    for query, exact in zip(data.queries[:queries], data.exact[:queries], strict=True):
        found += len(set(search(query)) & set(exact.tolist()))
    return found / (queries * NEAREST)


def calibrate(store: Contestant, data: Data, least: int) -> float:
    """Leaves the store as narrow as recall allows; returns the recall of all queries."""
    recall = 0.0
    for ef in (width for width in store.efs if width >= least):
        store.widen(ef)
        if recall_of(store, data, CALIBRATION) >= RECALL - 0.005:
            recall = recall_of(store, data, len(data.queries))
            if recall >= RECALL:
                return recall
    return recall or recall_of(store, data, len(data.queries))


def searches(store: Contestant, data: Data, clients: int) -> float:
    """Searches a second, one after the other in each of `clients` threads."""
    counts: list[int] = []
    start = threading.Barrier(clients + 1)

    def client(number: int) -> None:
        search = store.searcher()
        for query in data.queries[:50]:
            search(query)
        start.wait(60)
        deadline = time.perf_counter() + SEARCHING
        count = 0
        while time.perf_counter() < deadline:
            search(data.queries[(count + 500 * number) % len(data.queries)])
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=client, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    start.wait(60)
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if len(counts) < clients:
        raise RuntimeError("a client failed")
    return sum(counts) / took


def again(store: Contestant, data: Data, ef: int) -> dict[str, Any]:
    """What is there after a restart; single rows; documents."""
    store.ef = ef
    found: list[int] = []

    def restart() -> None:
        store.start()
        found.extend(store.searcher()(data.queries[0]))

    samples: dict[str, float] = {"restart": clocked(restart)}
    store.widen(ef)
    if len(set(found) & set(data.exact[0].tolist())) < 8:
        raise RuntimeError(f"after a restart {found}, should be {data.exact[0].tolist()}")
    if recall_of(store, data, CALIBRATION) < RECALL - 0.02:
        raise RuntimeError("after a restart recall is not what it was")
    first = len(data.rows)
    first += single_rows(store, data, first, samples)
    first += visibility(store, data, first, samples)
    documents(store, data, first, samples)
    store.stop()
    return {"samples": samples}


def single_rows(store: Contestant, data: Data, first: int, samples: dict[str, float]) -> int:
    """Rows one at a time, by one client."""
    began = time.perf_counter()
    count = 0
    while count < SINGLES and time.perf_counter() - began < SINGLES_WITHIN:
        store.insert(first + count, data.more[count : count + 1])
        count += 1
    samples["singles"] = count / (time.perf_counter() - began)
    return count


def visibility(store: Contestant, data: Data, first: int, samples: dict[str, float]) -> int:
    """From the acknowledgement of a row to the end of the first search that finds it; the slowest of all."""
    search = store.searcher()
    slowest = 0.0
    at_once = 0
    for number in range(LOOKED_FOR):
        row = data.more[SINGLES + number]
        store.insert(first + number, row[np.newaxis])
        acknowledged = time.perf_counter()
        looks = 1
        while first + number not in search(row):
            looks += 1
            if time.perf_counter() - acknowledged > VISIBLE_WITHIN:
                raise RuntimeError(f"row {first + number} was not found within {VISIBLE_WITHIN} s")
        slowest = max(slowest, time.perf_counter() - acknowledged)
        at_once += looks == 1
    samples["visible_at_once"] = at_once / LOOKED_FOR
    samples["visible"] = slowest
    return LOOKED_FOR


def documents(store: Contestant, data: Data, first: int, samples: dict[str, float]) -> None:
    """Documents replaced, then deleted; that it was done is looked up."""
    search = store.searcher()
    at = SINGLES + LOOKED_FOR
    firsts = [first + number * DOCUMENT for number in range(DOCUMENTS)]
    old = [data.more[at + number * DOCUMENT :][:DOCUMENT] for number in range(DOCUMENTS)]
    new = [data.more[at + (DOCUMENTS + number) * DOCUMENT :][:REPLACEMENT] for number in range(DOCUMENTS)]
    for one, rows in zip(firsts, old, strict=True):
        store.insert(one, rows)
    try:
        took = []
        for one, before, rows in zip(firsts, old, new, strict=True):
            took.append(clocked(partial(store.replace, one, DOCUMENT, rows)))
            if one + 3 not in search(rows[3]) or one + 95 in search(before[95]):
                raise RuntimeError("a replaced document is not what it should be")
        samples["replace"] = min(took)
        took = []
        for one, rows in zip(firsts, new, strict=True):
            took.append(clocked(partial(store.delete, one, REPLACEMENT)))
            if one + 3 in search(rows[3]):
                raise RuntimeError("a deleted document is found")
        samples["delete"] = min(took)
    except Unsupported:
        pass


def main(phase: str, module: str, folder: str, source: str, ef: str) -> None:
    """One phase."""
    data = Data(Path(source))
    started_with = resident(os.getpid())
    store = importlib.import_module(f"benches.peers.contestants.{module}").Store(
        Path(folder), data.rows.shape[1]
    )
    told = load(store, data, int(ef), started_with) if phase == "load" else again(store, data, int(ef))
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
