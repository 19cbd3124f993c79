"""hnswlib: a graph in memory."""

import hnswlib
import numpy as np

from benches.peers.contestants.contestant import (
    LINKS,
    NEAREST,
    THREADS,
    WIDTH,
    Contestant,
    Query,
    Rows,
    Searcher,
)

CAPACITY = 50_000


class Store(Contestant):
    """float32, as it comes."""

    how = "memory only; a file when it is saved"
    atomic = False

    def start(self) -> None:
        """Loads the saved file, if there is one."""
        self._file = self.folder / "index.hnswlib"
        self._index = hnswlib.Index(space="cosine", dim=self.dimension)
        if self._file.exists():
            self._index.load_index(str(self._file), max_elements=CAPACITY)
        else:
            self._index.init_index(max_elements=CAPACITY, ef_construction=WIDTH, M=LINKS)
        self._index.set_num_threads(THREADS)
        self._index.set_ef(self.ef)

    def insert(self, first: int, rows: Rows) -> None:
        """Straight into the graph."""
        self._index.add_items(rows, np.arange(first, first + len(rows)))

    def index(self) -> None:
        """There already."""

    def widen(self, ef: int) -> None:
        """Of the index."""
        super().widen(ef)
        self._index.set_ef(ef)

    def searcher(self) -> Searcher:
        """One call a query."""

        def search(query: Query) -> list[int]:
            found: list[int] = self._index.knn_query(query, NEAREST, num_threads=1)[0][0].tolist()
            return found

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """A label that is there is given its new vector; the rest is deleted."""
        self.insert(first, rows)
        self.delete(first + len(rows), count - len(rows))

    def delete(self, first: int, count: int) -> None:
        """Row by row."""
        for label in range(first, first + count):
            self._index.mark_deleted(label)

    def stop(self) -> None:
        """Saves."""
        self._index.save_index(str(self._file))
        del self._index
