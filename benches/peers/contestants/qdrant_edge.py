"""Qdrant Edge: Qdrant's engine in process, with its write-ahead log; the graph is made when it is asked for."""

from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HnswIndexConfig,
    PayloadSchemaType,
    Point,
    QueryRequest,
    RangeFloat,
    SearchParams,
    UpdateOperation,
)
from qdrant_edge import (
    Query as EdgeQuery,
)

from benches.peers.contestants.contestant import (
    LINKS,
    NEAREST,
    WIDTH,
    Contestant,
    Narrowed,
    Query,
    Rows,
    Searcher,
    Tags,
)


class Store(Contestant):
    """One segment with a graph after `index`."""

    durable = True
    how = "`flush` after every insert"
    settings = f"M {LINKS}, ef {WIDTH}, one segment"
    atomic = False

    def start(self) -> None:
        """Loads the shard, or makes it."""
        path = self.folder / "shard"
        if path.exists():
            self._shard = EdgeShard.load(str(path))
            return
        path.mkdir()
        config = EdgeConfig(
            vectors=EdgeVectorParams(size=self.dimension, distance=Distance.Cosine),
            hnsw_config=HnswIndexConfig(m=LINKS, ef_construct=WIDTH, full_scan_threshold=1),
            optimizers=EdgeOptimizersConfig(default_segment_number=1),
        )
        self._shard = EdgeShard.create(str(path), config)

    def insert(self, first: int, rows: Rows) -> None:
        """One operation, and a flush, without which it is in the page cache only."""
        points = [Point(first + number, row) for number, row in enumerate(rows.tolist())]
        self._shard.update(UpdateOperation.upsert_points(points))
        self._shard.flush()

    def index(self) -> None:
        """Builds the graph."""
        self._shard.optimize()
        told = self._shard.info()
        if told.indexed_vectors_count < told.points_count:
            raise RuntimeError(f"{told.indexed_vectors_count} of {told.points_count} points are indexed")

    def searcher(self) -> Searcher:
        """One call a query."""

        def search(query: Query) -> list[int]:
            asked = QueryRequest(
                limit=NEAREST,
                query=EdgeQuery.Nearest(query.tolist()),
                params=SearchParams(hnsw_ef=self.ef),
                with_payload=False,
            )
            return [point.id for point in self._shard.query(asked)]

        return search

    def load_tagged(self, rows: Rows, tags: Tags) -> None:
        """The number as a payload with an index."""
        self._shard.update(UpdateOperation.create_field_index("tag", PayloadSchemaType.Integer))
        for first in range(0, len(rows), 2000):
            some = zip(rows[first : first + 2000].tolist(), tags[first : first + 2000].tolist(), strict=True)
            points = [Point(first + number, row, {"tag": tag}) for number, (row, tag) in enumerate(some)]
            self._shard.update(UpdateOperation.upsert_points(points))
        self._shard.flush()

    def narrowed(self) -> Narrowed:
        """One call a query."""

        def search(query: Query, below: int) -> list[int]:
            asked = QueryRequest(
                limit=NEAREST,
                query=EdgeQuery.Nearest(query.tolist()),
                filter=Filter(must=[FieldCondition(key="tag", range=RangeFloat(lt=below))]),
                params=SearchParams(hnsw_ef=WIDTH),
                with_payload=False,
            )
            return [point.id for point in self._shard.query(asked)]

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """Two operations: upsert, delete of the rest."""
        points = [Point(first + number, row) for number, row in enumerate(rows.tolist())]
        self._shard.update(UpdateOperation.upsert_points(points))
        self.delete(first + len(rows), count - len(rows))

    def delete(self, first: int, count: int) -> None:
        """By ids."""
        self._shard.update(UpdateOperation.delete_points(list(range(first, first + count))))
        self._shard.flush()

    def stop(self) -> None:
        """Flushes and closes."""
        self._shard.close()
