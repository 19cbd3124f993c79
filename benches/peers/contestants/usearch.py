"""usearch by itself: a graph in memory."""

import numpy as np
from usearch.index import Index

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
    """The number type is what usearch chooses for the processor."""

    how = "memory only; a file when it is saved"
    atomic = False

    def start(self) -> None:
        """Loads the saved file, if there is one."""
        self._file = self.folder / "index.usearch"
        self._index = Index(
            ndim=self.dimension,
            metric="cos",
            connectivity=LINKS,
            expansion_add=WIDTH,
            expansion_search=self.ef,
        )
        if self._file.exists():
            self._index.load(str(self._file))
            self._index.expansion_search = self.ef
        self.settings = f"M {LINKS}, ef {WIDTH}, {self._index.dtype.name.lower()}"

    def insert(self, first: int, rows: Rows) -> None:
        """Straight into the graph."""
        self._index.add(np.arange(first, first + len(rows)), rows, threads=THREADS)

    def index(self) -> None:
        """There already."""

    def widen(self, ef: int) -> None:
        """Of the index."""
        super().widen(ef)
        self._index.expansion_search = ef

    def searcher(self) -> Searcher:
        """One call a query."""

        def search(query: Query) -> list[int]:
            found: list[int] = self._index.search(query, NEAREST, threads=1).keys.tolist()
            return found

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """Removes, then adds."""
        self.delete(first, count)
        self.insert(first, rows)

    def delete(self, first: int, count: int) -> None:
        """Row by row."""
        self._index.remove(np.arange(first, first + count), threads=THREADS)

    def stop(self) -> None:
        """Saves."""
        self._index.save(str(self._file))
        self._index.reset()
