"""Milvus Lite through pymilvus: a server in this process, asked over a local connection."""

from pathlib import Path

from pymilvus import DataType, MilvusClient

from benches.peers.contestants.contestant import LINKS, NEAREST, WIDTH, Contestant, Query, Rows, Searcher

COLLECTION = "peers"


class Store(Contestant):
    """One collection with an HNSW index."""

    how = "a log that is written, not synced"
    atomic = False

    def start(self) -> None:
        """Opens the folder; makes the collection when there is none."""
        self._path = str(self.folder / "milvus.db")
        self._client = MilvusClient(self._path)
        if self._client.has_collection(COLLECTION):
            self._client.load_collection(COLLECTION)
            return
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimension)
        self._client.create_collection(COLLECTION, schema=schema)

    def _records(self, first: int, rows: Rows) -> list[dict[str, object]]:
        return [{"id": first + number, "vector": row} for number, row in enumerate(rows)]

    def insert(self, first: int, rows: Rows) -> None:
        """One request."""
        self._client.insert(COLLECTION, self._records(first, rows))

    def index(self) -> None:
        """A flush makes a segment of what is in memory; loading a collection with an index builds the graphs first."""
        self._client.flush(COLLECTION)
        index = self._client.prepare_index_params()
        graph = {"M": LINKS, "efConstruction": WIDTH}
        index.add_index("vector", index_type="HNSW", metric_type="COSINE", params=graph)
        self._client.create_index(COLLECTION, index)
        self._client.load_collection(COLLECTION)
        if not list(Path(self._path).rglob("*.hnsw.idx")):
            raise RuntimeError("no graph was built")

    def searcher(self) -> Searcher:
        """One request a query, a client for each thread."""
        client = MilvusClient(self._path)

        def search(query: Query) -> list[int]:
            found = client.search(
                COLLECTION,
                data=[query],
                limit=NEAREST,
                search_params={"params": {"ef": self.ef}},
                consistency_level="Strong",
            )
            return [hit["id"] for hit in found[0]]

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """Two requests: upsert, delete of the rest."""
        self._client.upsert(COLLECTION, self._records(first, rows))
        self.delete(first + len(rows), count - len(rows))

    def delete(self, first: int, count: int) -> None:
        """By ids."""
        self._client.delete(COLLECTION, ids=list(range(first, first + count)))

    def stop(self) -> None:
        """Closes the client; the server ends with the process."""
        self._client.close()
