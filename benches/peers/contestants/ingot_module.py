"""Ours in process: `import ingot`."""

from concurrent.futures import ThreadPoolExecutor

import ingot
from benches.peers.contestants.contestant import (
    NEAREST,
    Contestant,
    Narrowed,
    Query,
    Rows,
    Searcher,
    Tags,
)

TENANT = "peers"


class Store(Contestant):
    """`ingot.open` with nothing but its defaults."""

    durable = True
    how = "every insert is synced before it returns"
    settings = "defaults"
    atomic = True

    def start(self) -> None:
        """Opens the directory."""
        self._store = ingot.open(self.folder / "data")

    def insert(self, first: int, rows: Rows) -> None:
        """One call."""
        self._store.insert(TENANT, rows, file_id=str(first))

    def index(self) -> None:
        """Waits for the graph."""
        if not self._store.wait_indexed(TENANT, timeout=300):
            raise RuntimeError("not indexed within 300 s")

    def searcher(self) -> Searcher:
        """One call a query."""

        def search(query: Query) -> list[int]:
            hits = self._store.search(TENANT, query, limit=NEAREST, ef=self.ef)
            parts = (chunk.split("_") for chunk in hits.chunk_ids)
            return [int(document) + int(index) for document, index in parts]

        return search

    def load_tagged(self, rows: Rows, tags: Tags) -> None:
        """A source for each row, its number in the metadata; many at once share a sync."""

        def store(row: int) -> None:
            self._store.insert(
                TENANT, rows[row : row + 1], file_id=str(row), document_metadata={"tag": int(tags[row])}
            )

        with ThreadPoolExecutor(32) as pool:
            for _ in pool.map(store, range(len(rows))):
                pass

    def narrowed(self) -> Narrowed:
        """One call a query."""

        def search(query: Query, below: int) -> list[int]:
            hits = self._store.search(TENANT, query, limit=NEAREST, filter=f'metadata["tag"] < {below}')
            return [int(source) for source in hits.source_ids]

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """The same insert again."""
        self.insert(first, rows)

    def delete(self, first: int, count: int) -> None:
        """By document."""
        self._store.delete(TENANT, source_id=str(first))

    def stop(self) -> None:
        """Saves the graph."""
        self._store.close()
