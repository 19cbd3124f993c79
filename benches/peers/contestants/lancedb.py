"""LanceDB in process: a table of files, an index built over it when it is asked for."""

import lancedb
import numpy as np
import pyarrow
from lancedb.index import HnswSq

from benches.peers.contestants.contestant import LINKS, NEAREST, WIDTH, Contestant, Query, Rows, Searcher

TABLE = "peers"
REFINED = 2


class Store(Contestant):
    """`IVF_HNSW_SQ` of one partition, re-ranked with the vectors as they came (`refine_factor`)."""

    how = "files are written, not synced"
    settings = f"IVF_HNSW_SQ, M {LINKS}, ef {WIDTH}, refine {REFINED}"
    atomic = True
    # No narrower than the candidates that are re-ranked.
    efs = tuple(ef for ef in Contestant.efs if ef >= REFINED * NEAREST)

    def start(self) -> None:
        """Connects; makes the table when there is none."""
        self._schema = pyarrow.schema(
            [
                ("id", pyarrow.int64()),
                ("document", pyarrow.int64()),
                ("vector", pyarrow.list_(pyarrow.float32(), self.dimension)),
            ]
        )
        database = lancedb.connect(str(self.folder / "lance"))
        if (self.folder / "lance" / f"{TABLE}.lance").exists():
            self._table = database.open_table(TABLE)
        else:
            self._table = database.create_table(TABLE, schema=self._schema)

    def _batch(self, first: int, rows: Rows) -> pyarrow.Table:
        columns = [
            pyarrow.array(np.arange(first, first + len(rows))),
            pyarrow.array(np.full(len(rows), first)),
            pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.ravel()), self.dimension),
        ]
        return pyarrow.Table.from_arrays(columns, schema=self._schema)

    def insert(self, first: int, rows: Rows) -> None:
        """An Arrow table, one version."""
        self._table.add(self._batch(first, rows))

    def index(self) -> None:
        """Builds it over all rows."""
        config = HnswSq(distance_type="cosine", num_partitions=1, m=LINKS, ef_construction=WIDTH)
        self._table.create_index("vector", config=config)
        told = self._table.index_stats("vector_idx")
        if told is None or told.num_unindexed_rows:
            raise RuntimeError(f"index: {told}")

    def searcher(self) -> Searcher:
        """One call a query; only ids come back."""

        def search(query: Query) -> list[int]:
            asked = (
                self._table.search(query)
                .distance_type("cosine")
                .nprobes(1)
                .ef(self.ef)
                .refine_factor(REFINED)
            )
            found: list[int] = asked.select(["id", "_distance"]).limit(NEAREST).to_arrow()["id"].to_pylist()
            return found

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """One version: a merge by id that deletes what the document has no more."""
        (
            self._table.merge_insert("id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(f"document = {first}")
            .execute(self._batch(first, rows))
        )

    def delete(self, first: int, count: int) -> None:
        """By document."""
        self._table.delete(f"document = {first}")

    def stop(self) -> None:
        """Nothing to do: every version is in its files."""
        del self._table
