"""Chroma over HTTP: `chroma run`, and its client."""

import signal
import sys
from pathlib import Path

import chromadb
from chromadb.config import Settings

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
from benches.peers.contestants.server import Server, answers, free_port

COLLECTION = "peers"


class Store(Contestant):
    """One collection."""

    durable = True
    how = "SQLite commits"
    atomic = False

    def start(self) -> None:
        """The server, the client, the collection."""
        self._port = free_port()
        command = [str(Path(sys.executable).parent / "chroma"), "run"]
        command += ["--path", str(self.folder / "chroma"), "--host", "127.0.0.1", "--port", str(self._port)]
        self._server = Server(command, lambda: answers(self._port, "/api/v2/heartbeat"))
        graph = {"space": "cosine", "max_neighbors": LINKS, "ef_construction": WIDTH, "num_threads": THREADS}
        self._collection = self._client().get_or_create_collection(
            COLLECTION, configuration={"hnsw": {**graph, "ef_search": self.ef}}, embedding_function=None
        )

    def _client(self) -> chromadb.ClientAPI:
        return chromadb.HttpClient(
            host="127.0.0.1", port=self._port, settings=Settings(anonymized_telemetry=False)
        )

    def insert(self, first: int, rows: Rows) -> None:
        """One request."""
        ids = [str(first + number) for number in range(len(rows))]
        self._collection.add(ids=ids, embeddings=rows)

    def index(self) -> None:
        """The graph is brought up to date by the next search."""
        self._collection.query(query_embeddings=[[1.0] * self.dimension], n_results=1, include=[])

    def widen(self, ef: int) -> None:
        """A change of the collection, which a running server does not follow: it is started again."""
        if ef == self.ef:
            return
        super().widen(ef)
        self._collection.modify(configuration={"hnsw": {"ef_search": ef}})
        self.stop()
        self.start()

    def searcher(self) -> Searcher:
        """One request a query, a client for each thread."""
        collection = self._client().get_collection(COLLECTION, embedding_function=None)

        def search(query: Query) -> list[int]:
            found = collection.query(query_embeddings=query[None], n_results=NEAREST, include=[])
            return [int(one) for one in found["ids"][0]]

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """Two requests: upsert, delete of the rest."""
        ids = [str(first + number) for number in range(len(rows))]
        self._collection.upsert(ids=ids, embeddings=rows)
        self.delete(first + len(rows), count - len(rows))

    def delete(self, first: int, count: int) -> None:
        """By ids."""
        self._collection.delete(ids=[str(first + number) for number in range(count)])

    def stop(self) -> None:
        """SIGTERM."""
        self._server.stop(signal.SIGTERM)

    def processes(self) -> list[int]:
        """The server."""
        return [self._server.pid]
