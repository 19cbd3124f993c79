"""Faiss, `IndexHNSWFlat`: a graph in memory."""

import faiss
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


class Store(Contestant):
    """Inner product of unit vectors. Rows are numbered in the order in which they come; none can be removed."""

    how = "memory only; a file when it is saved"

    def start(self) -> None:
        """Loads the saved file, if there is one."""
        faiss.omp_set_num_threads(THREADS)
        self._file = self.folder / "index.faiss"
        if self._file.exists():
            self._index = faiss.read_index(str(self._file))
        else:
            self._index = faiss.IndexHNSWFlat(self.dimension, LINKS, faiss.METRIC_INNER_PRODUCT)
            self._index.hnsw.efConstruction = WIDTH
        self._index.hnsw.efSearch = self.ef

    def insert(self, first: int, rows: Rows) -> None:
        """Straight into the graph."""
        if first != self._index.ntotal:
            raise RuntimeError(f"row {self._index.ntotal} comes next, not {first}")
        self._index.add(rows)

    def index(self) -> None:
        """There already."""

    def widen(self, ef: int) -> None:
        """Of the index."""
        super().widen(ef)
        self._index.hnsw.efSearch = ef

    def searcher(self) -> Searcher:
        """One call a query."""

        def search(query: Query) -> list[int]:
            found: list[int] = self._index.search(query[np.newaxis], NEAREST)[1][0].tolist()
            return found

        return search

    def stop(self) -> None:
        """Saves."""
        faiss.write_index(self._index, str(self._file))
        del self._index
