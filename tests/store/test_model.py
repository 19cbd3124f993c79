"""Random use of the store, compared with a plain dict at every step."""

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ingot
from ingot.errors import (
    AlreadyExists,
    ConflictingFields,
    DimensionMismatch,
    NotFound,
    SubTenantNotFound,
    TenantNotFound,
)
from tests.store.model import Model, Row, check_same_rows, check_search

TENANTS = ["t", "u", "ü/.."]
SUB_TENANTS = [None, "", "default", "s", "s_0"]
SOURCES = ["a", "a_1", "b", "b_0_0", "emb_1", "ß"]
SECONDS = 4.0


class Walk:
    """One random walk through the operations, on a store and its model."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.generator = np.random.default_rng(seed)
        self.path = path
        self.model = Model()
        self.store = ingot.open(path)
        self.recalls: list[float] = []

    def name(self) -> tuple[str, str | None, str]:
        sub_tenant = self.random.choice(SUB_TENANTS)
        return self.random.choice(TENANTS), sub_tenant, sub_tenant or "default"

    def vectors(self, dimension: int) -> NDArray[np.float32]:
        rows = self.random.choice([1, 1, 2, 3, 7, 40, 300])
        vectors = self.generator.standard_normal((rows, dimension)).astype(np.float32)
        kind = self.random.randrange(6)
        if kind == 0:
            vectors[:] = vectors[0]  # ties
        elif kind == 1:
            vectors *= np.float32(10) ** self.generator.integers(-18, 18, (rows, 1)).astype(np.float32)
        elif kind == 2:
            vectors = np.round(vectors) + np.eye(1, dimension, dtype=np.float32)
            vectors[~vectors.any(axis=1)] = 1
        return np.ascontiguousarray(vectors, np.float32)

    def held(self, tenant: str, sub_tenant: str) -> list[Row] | None:
        """Rows of a sub-tenant; None when there is none of that name."""
        found = self.model.tenants.get(tenant)
        return None if found is None or sub_tenant not in found.sub_tenants else found.rows(sub_tenant)

    def missing(self, tenant: str) -> type[Exception]:
        return TenantNotFound if tenant not in self.model.tenants else SubTenantNotFound

    def insert(self) -> None:
        tenant, given, sub_tenant = self.name()
        source = self.random.choice(SOURCES)
        held = self.model.tenants.get(tenant)
        dimension = held.dimension if held else self.random.choice([1, 3, 16, 17, 64])
        vectors = self.vectors(dimension)
        metadata, text = self.metadata()
        if held and self.random.random() < 0.1:
            with pytest.raises(DimensionMismatch):
                self.store.insert(tenant, np.ones((2, dimension + 1)), file_id=source, sub_tenant_id=given)
        arguments: dict[str, Any] = {"file_id": source, "sub_tenant_id": given, "document_metadata": metadata}
        exists = held is not None and (sub_tenant, source) in held.sources
        if self.random.random() < 0.2:
            dry = self.store.insert(tenant, vectors, dry_run=True, **arguments)
            assert (dry.existed, dry.lsn) == (exists, 0)
        if exists and self.random.random() < 0.2:
            # Numbers that no upload had: those of one that is stored would make it a retry, which is no conflict.
            other = self.generator.standard_normal(vectors.shape)
            with pytest.raises(AlreadyExists):
                self.store.insert(tenant, other, upsert=False, **arguments)
        replaced = self.model.insert(tenant, sub_tenant, source, vectors, text)
        inserted = self.store.insert(tenant, vectors, **arguments)
        assert (inserted.overwritten, inserted.existed) == (replaced, exists)
        assert inserted.crc32c == ingot.crc32c(vectors)
        if self.random.random() < 0.2:
            again = self.store.insert(tenant, vectors, upsert=False, **arguments)
            assert (again.overwritten, again.existed, again.lsn) == (0, False, 0)

    def metadata(self) -> tuple[dict[str, Any] | None, bytes | None]:
        """Some metadata, and its text."""
        metadata = self.random.choice([None, {}, {"n": self.random.random(), "ü": ["🜚"]}])
        if metadata is None:
            return None, None
        return metadata, json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()

    def insert_documents(self) -> None:
        tenant, given, sub_tenant = self.name()
        held = self.model.tenants.get(tenant)
        dimension = held.dimension if held else self.random.choice([1, 3, 16, 17, 64])
        rows = self.held(tenant, sub_tenant) or []
        names = [f"{source}_{index}" for source in SOURCES for index in (0, 1, 2, 6, 39)]
        names += ["x", "y", "a_00", "_1", "_", "ß"]
        names += [row.chunk_id for row in self.random.sample(rows, min(len(rows), 5))]
        ids = self.random.sample(sorted(set(names)), self.random.choice([1, 2, 5, 20]))
        sources = self.random.sample(SOURCES, min(len(ids), self.random.choice([1, 1, 2, 3])))
        documents, expected = [], []
        for number, source in enumerate(sources):
            metadata, text = self.metadata()
            of_source = ids[number :: len(sources)]
            vectors = self.generator.standard_normal((len(of_source), dimension)).astype(np.float32)
            documents.append(ingot.Document(source, of_source, vectors, metadata))
            expected.append((source, of_source, vectors, text))
        taken = {row.chunk_id for row in rows} & set(ids)
        if taken and self.random.random() < 0.3:
            with pytest.raises(AlreadyExists):
                self.store.insert_documents(tenant, documents, sub_tenant_id=given, upsert=False)
        if self.random.random() < 0.2:
            dry = self.store.insert_documents(tenant, documents, sub_tenant_id=given, dry_run=True)
            assert (dry.overwritten, dry.lsn) == (len(taken), 0)
        replaced = self.model.insert_documents(tenant, sub_tenant, expected)
        inserted = self.store.insert_documents(tenant, documents, sub_tenant_id=given)
        assert inserted.overwritten == replaced == len(taken)
        assert list(inserted.chunk_ids) == [chunk_id for _, ids, _, _ in expected for chunk_id in ids]
        if self.random.random() < 0.3:
            again = self.store.insert_documents(tenant, documents, sub_tenant_id=given, upsert=False)
            assert (again.overwritten, again.lsn, again.crc32c) == (0, 0, inserted.crc32c)

    def update(self) -> None:
        tenant, given, sub_tenant = self.name()
        rows = self.held(tenant, sub_tenant)
        if not rows:
            return
        source = self.random.choice(rows).source_id
        of_source = [row.chunk_id for row in rows if row.source_id == source]
        ids = self.random.sample(of_source, min(len(of_source), self.random.choice([1, 2, 10])))
        dimension = self.model.tenants[tenant].dimension
        vectors = self.generator.standard_normal((len(ids), dimension)).astype(np.float32)
        wrong = {**dict(zip(ids, vectors, strict=True)), "nowhere": vectors[0]}
        with pytest.raises(NotFound):
            self.store.update(tenant, wrong, sub_tenant_id=given)
        others = [row.chunk_id for row in rows if row.source_id != source]
        if others:
            wrong = {ids[0]: vectors[0], self.random.choice(others): vectors[0]}
            with pytest.raises(ConflictingFields):
                self.store.update(tenant, wrong, sub_tenant_id=given)
        self.model.insert_documents(tenant, sub_tenant, [(source, ids, vectors, None)])
        updated = self.store.update(tenant, vectors, chunk_ids=ids, sub_tenant_id=given)
        assert (updated.file_id, updated.overwritten, list(updated.chunk_ids)) == (source, len(ids), ids)

    def delete_source(self) -> None:
        tenant, given, sub_tenant = self.name()
        source = self.random.choice(SOURCES)
        if self.held(tenant, sub_tenant) is None:
            with pytest.raises(self.missing(tenant)):
                self.store.delete(tenant, source_id=source, sub_tenant_id=given)
            return
        expected = self.model.delete_source(tenant, sub_tenant, source)
        assert self.store.delete(tenant, source_id=source, sub_tenant_id=given) == expected

    def some_ids(self, rows: list[Row]) -> list[str]:
        ids = [
            row.chunk_id for row in self.random.sample(rows, min(len(rows), self.random.choice([1, 2, 10])))
        ]
        ids += self.random.choices(["a_0", "a_00", "a_1_0", "b_299", "b_300", "x", "ß_1", "_"], k=3)
        return ids + self.random.choices(ids, k=2)

    def delete_chunks(self) -> None:
        tenant, given, sub_tenant = self.name()
        rows = self.held(tenant, sub_tenant)
        if rows is None:
            return
        ids = self.some_ids(rows)
        expected = self.model.delete_chunks(tenant, sub_tenant, ids)
        assert self.store.delete(tenant, chunk_ids=ids, sub_tenant_id=given) == expected

    def search(self) -> None:
        tenant, given, sub_tenant = self.name()
        rows = self.held(tenant, sub_tenant)
        if rows is None:
            found = self.model.tenants.get(tenant)
            with pytest.raises(self.missing(tenant)):
                self.store.search(tenant, np.ones(found.dimension if found else 3), sub_tenant_id=given)
            return
        dimension = self.model.tenants[tenant].dimension
        query = self.generator.standard_normal(dimension).astype(np.float32)
        if rows and self.random.random() < 0.3:
            query = self.random.choice(rows).vector
        limit = self.random.choice([1, 3, 10, 100, 1000])
        exact = self.random.random() < 0.5
        embeddings = self.random.random() < 0.3
        hits = self.store.search(
            tenant, query, sub_tenant_id=given, limit=limit, exact=exact, with_embeddings=embeddings
        )
        recall = check_search(hits, rows, query, limit, exact)
        if not exact:
            self.recalls.append(recall)

    def get(self) -> None:
        tenant, given, sub_tenant = self.name()
        rows = self.held(tenant, sub_tenant)
        if rows is None:
            with pytest.raises(self.missing(tenant)):
                self.store.get(tenant, sub_tenant_id=given)
            return
        limit = self.random.choice([0, 1, 5, 100, 10_000])
        check_same_rows(self.store.get(tenant, sub_tenant_id=given, limit=limit), rows[:limit])
        source = self.random.choice(SOURCES)
        of_source = [row for row in rows if row.source_id == source]
        check_same_rows(
            self.store.get(tenant, sub_tenant_id=given, source_id=source, limit=limit), of_source[:limit]
        )
        ids = self.some_ids(rows)
        named = [row for row in rows if row.chunk_id in ids]
        check_same_rows(
            self.store.get(tenant, sub_tenant_id=given, chunk_ids=ids, limit=limit), named[:limit]
        )

    def count(self) -> None:
        for name in TENANTS:
            held = self.model.tenants.get(name)
            if held is None:
                with pytest.raises(TenantNotFound):
                    self.store.stats(name)
                continue
            stats = self.store.stats(name)
            counts = {sub: len(held.rows(sub)) for sub in held.sub_tenants}
            assert stats.sub_tenants == counts
            assert (stats.rows, stats.sources) == (sum(counts.values()), len(held.sources))
            assert (stats.tenant_id, stats.dimension, stats.metric) == (name, held.dimension, "cosine")
            assert stats.indexed_rows <= stats.rows
        tenant, given, sub_tenant = self.name()
        source = self.random.choice(SOURCES)
        rows = [row for row in self.held(tenant, sub_tenant) or [] if row.source_id == source]
        if rows:
            assert self.store.status(tenant, source, sub_tenant_id=given).total_rows == len(rows)
        elif self.held(tenant, sub_tenant) is not None:
            with pytest.raises(NotFound):
                self.store.status(tenant, source, sub_tenant_id=given)

    def reopen(self) -> None:
        self.store.close()
        for checkpoint in self.path.glob("tenants/*/checkpoint-*") if self.random.random() < 0.3 else ():
            checkpoint.unlink()  # the log has it all
        # Few enough that tenants are closed and opened in between, too.
        self.store = ingot.open(self.path, max_open_tenants=self.random.choice([1, 2, 100]))

    def step(self) -> None:
        choices = [
            self.insert,
            self.insert_documents,
            self.update,
            self.delete_source,
            self.delete_chunks,
            self.search,
            self.get,
            self.count,
            self.reopen,
        ]
        self.random.choices(choices, [20, 20, 5, 6, 8, 30, 10, 5, 2])[0]()

    def check_everything(self) -> None:
        for tenant, sub_tenant in self.model.pairs():
            rows = self.held(tenant, sub_tenant)
            assert rows is not None
            check_same_rows(self.store.get(tenant, sub_tenant_id=sub_tenant, limit=10**6), rows)


@pytest.mark.parametrize("number", range(3))
def test_a_store_is_what_a_plain_dict_says(data: Path, number: int, seed: int, times: int) -> None:
    walk = Walk(data, seed + number)
    end = time.monotonic() + SECONDS * times
    steps = 0
    try:
        while time.monotonic() < end or steps < 100:
            walk.step()
            steps += 1
        walk.check_everything()
        walk.reopen()
        walk.check_everything()
    finally:
        walk.store.close()
    assert np.mean(walk.recalls) >= 0.99, f"recall {np.mean(walk.recalls)} of {len(walk.recalls)} searches"
