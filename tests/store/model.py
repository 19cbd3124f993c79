"""The store as a plain dict and a brute-force search in float64: slow, and right by inspection."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

import ingot


@dataclass
class Row:
    chunk_id: str
    source_id: str
    metadata: bytes | None
    vector: NDArray[np.float32]
    #: Place in insertion order.
    number: int


@dataclass
class Tenant:
    dimension: int
    #: (sub-tenant, source) -> rows that are left of it
    sources: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    sub_tenants: set[str] = field(default_factory=lambda: {"default"})

    def rows(self, sub_tenant: str) -> list[Row]:
        found = [row for (sub, _), rows in self.sources.items() if sub == sub_tenant for row in rows]
        return sorted(found, key=lambda row: row.number)


class Model:
    """What a store has to hold."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self._next = 0

    def insert(
        self, tenant: str, sub_tenant: str, source: str, vectors: NDArray[np.float32], metadata: bytes | None
    ) -> int:
        """Replaces a source; how many rows it had, and others that had the ids of its rows."""
        held = self.tenants.setdefault(tenant, Tenant(vectors.shape[1]))
        held.sub_tenants.add(sub_tenant)
        replaced = len(held.sources.pop((sub_tenant, source), []))
        replaced += self.delete_chunks(
            tenant, sub_tenant, [f"{source}_{index}" for index in range(len(vectors))]
        )
        held.sources[sub_tenant, source] = [
            Row(f"{source}_{index}", source, metadata, vector.copy(), self._next + index)
            for index, vector in enumerate(vectors)
        ]
        self._next += len(vectors)
        return replaced

    def insert_documents(
        self,
        tenant: str,
        sub_tenant: str,
        documents: list[tuple[str, list[str], NDArray[np.float32], bytes | None]],
    ) -> int:
        """Adds chunks to sources; how many rows had their ids."""
        held = self.tenants.setdefault(tenant, Tenant(documents[0][2].shape[1]))
        held.sub_tenants.add(sub_tenant)
        before = {
            source: rows[0].metadata for (sub, source), rows in held.sources.items() if sub == sub_tenant
        }
        ids = [chunk_id for _, ids, _, _ in documents for chunk_id in ids]
        replaced = self.delete_chunks(tenant, sub_tenant, ids)
        for source, ids, vectors, metadata in documents:
            rows = held.sources.setdefault((sub_tenant, source), [])
            for chunk_id, vector in zip(ids, vectors, strict=True):
                rows.append(Row(chunk_id, source, None, vector.copy(), self._next))
                self._next += 1
            for row in rows:
                row.metadata = before.get(source) if metadata is None else metadata
        return replaced

    def delete_source(self, tenant: str, sub_tenant: str, source: str) -> int:
        return len(self.tenants[tenant].sources.pop((sub_tenant, source), []))

    def delete_chunks(self, tenant: str, sub_tenant: str, ids: list[str]) -> int:
        held = self.tenants[tenant]
        deleted = 0
        for key in [key for key in held.sources if key[0] == sub_tenant]:
            rows = held.sources[key]
            left = [row for row in rows if row.chunk_id not in ids]
            deleted += len(rows) - len(left)
            if left:
                held.sources[key] = left
            else:
                del held.sources[key]
        return deleted

    def pairs(self) -> Iterator[tuple[str, str]]:
        for name, tenant in self.tenants.items():
            for sub_tenant in tenant.sub_tenants:
                yield name, sub_tenant


def distances(rows: list[Row], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 - cos of each row, in float64."""
    if not rows:
        return np.empty(0)
    vectors = np.array([row.vector for row in rows], np.float64)
    wanted = query.astype(np.float64)
    cosines = vectors @ wanted / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(wanted))
    found: NDArray[np.float64] = 1.0 - np.clip(cosines, -1.0, 1.0)
    return found


def near(got: NDArray[np.float32], want: NDArray[np.float64]) -> bool:
    """Within the rounding to float32."""
    return bool((np.abs(got - want) <= np.abs(want) * 1.2e-7 + 1e-12).all())


def check_same_rows(hits: ingot.Hits, rows: list[Row]) -> None:
    """`hits` are these rows, in this order, bit for bit."""
    assert hits.chunk_ids == [row.chunk_id for row in rows]
    assert hits.source_ids == [row.source_id for row in rows]
    assert hits.metadata == [row.metadata for row in rows]
    if hits.embeddings is not None:
        assert hits.embeddings.tobytes() == b"".join(row.vector.tobytes() for row in rows)


def check_search(
    hits: ingot.Hits, rows: list[Row], query: NDArray[np.float32], limit: int, exact: bool
) -> float:
    """`hits` are true answers, in order and as many as there can be; returns the share that are of the nearest."""
    assert len(hits) == min(limit, len(rows))
    by_id = {row.chunk_id: place for place, row in enumerate(rows)}
    assert len(set(hits.chunk_ids)) == len(hits)
    places = [by_id[name] for name in hits.chunk_ids]
    found = [rows[place] for place in places]
    check_same_rows(hits, found)
    want = distances(rows, query)
    assert near(hits.distances, want[places])
    assert np.array_equal(hits.scores, np.float32(1) - hits.distances)
    order = [(distance, row.number) for distance, row in zip(hits.distances.tolist(), found, strict=True)]
    assert order == sorted(order), "not sorted by distance, then by age"
    best = np.sort(want)[: len(hits)]
    if exact:
        assert near(hits.distances, best)
    if not len(hits):
        return 1.0
    return float(np.mean(hits.distances <= best[-1] + abs(best[-1]) * 1.2e-7 + 1e-12))
