"""Filters mean what the contract says, whatever was uploaded, replaced and deleted before."""

import random
from pathlib import Path

import numpy as np
import pytest

import ingot
from tests.store.filter_reference import Maker, Row, evaluate

ROUNDS = 2500


class Mirror:
    """A store, and what it holds: rows by sub-tenant in insertion order."""

    def __init__(self, store: ingot.Store, seed: int) -> None:
        self.store = store
        self.make = Maker(seed)
        self.random = random.Random(seed)
        self.rows: dict[str, list[Row]] = {"default": [], "other": []}

    def upload(self, sub_tenant: str, source_id: str) -> None:
        count = self.random.choice((1, 1, 2, 3))
        metadata = self.make.metadata() if self.random.random() < 0.9 else None
        vectors = np.random.default_rng(self.random.randrange(1 << 30)).standard_normal((count, 4))
        # As a server hands it over: the text of the client.
        self.store._store.insert(
            "t",
            vectors.astype(np.float32),
            file_id=source_id,
            sub_tenant_id=sub_tenant,
            metadata=None if metadata is None else metadata.encode(),
        )
        self.rows[sub_tenant] = [row for row in self.rows[sub_tenant] if row.source_id != source_id]
        self.rows[sub_tenant] += [Row(source_id, f"{source_id}_{index}", metadata) for index in range(count)]

    def matching(self, sub_tenant: str, expression: object) -> list[str]:
        return [row.chunk_id for row in self.rows[sub_tenant] if evaluate(expression, row)]  # type: ignore[arg-type]

    def forget(self, sub_tenant: str, chunk_ids: list[str]) -> None:
        gone = set(chunk_ids)
        self.rows[sub_tenant] = [row for row in self.rows[sub_tenant] if row.chunk_id not in gone]

    def ids(self, sub_tenant: str) -> list[str]:
        return [id for row in self.rows[sub_tenant] for id in (row.source_id, row.chunk_id)]


def test_filters_agree_with_a_plain_evaluation(data: Path, seed: int, times: int) -> None:
    with ingot.open(data) as store:
        mirror = Mirror(store, seed)
        names = [f"s{number}" for number in range(150)] + ["a", "ab", "a_b", "ä", "🦀", "a%b", "it's", "a_0"]
        for name in names:
            mirror.upload("default", name)
            if mirror.random.random() < 0.2:
                mirror.upload("other", name)
        query = np.array([1, 2, 3, 4], dtype=np.float32)
        sizes = []
        for number in range(ROUNDS * times):
            sub_tenant = "other" if mirror.random.random() < 0.1 else "default"
            ids = mirror.ids(sub_tenant) or ["a"]
            # New batches, and some that die, between filters: indexes are brought up to date.
            if number % 50 == 0:
                mirror.upload(sub_tenant, mirror.random.choice(names))
            expression = mirror.make.expression(ids)
            text = mirror.make.text(expression)
            if len(text.encode()) > 16 * 1024:
                continue
            wanted = mirror.matching(sub_tenant, expression)
            sizes.append(len(wanted))
            got = store.get("t", sub_tenant_id=sub_tenant, filter=text, limit=10_000, with_embeddings=False)
            assert got.chunk_ids == wanted, (seed, number, text)
            if number % 5 == 0:
                exact = number % 10 == 0
                hits = store.search(
                    "t", query, sub_tenant_id=sub_tenant, filter=text, limit=1000, exact=exact
                )
                assert sorted(hits.chunk_ids) == sorted(wanted), (seed, number, text)
            if number % 40 == 7 and len(wanted) < 20:
                assert store.delete("t", sub_tenant_id=sub_tenant, filter=text) == len(wanted), (seed, text)
                mirror.forget(sub_tenant, wanted)
                for name in {chunk_id.rsplit("_", 1)[0] for chunk_id in wanted}:
                    mirror.upload(sub_tenant, name)
        assert min(sizes) == 0
        assert max(sizes) > 200, "expressions that hold of many rows"
        assert sum(0 < size < 50 for size in sizes) > ROUNDS * times / 20, (
            "expressions that hold of some rows"
        )
    with ingot.open(data) as store:
        mirror.store = store
        for number in range(50):
            expression = mirror.make.expression(mirror.ids("default"))
            text = mirror.make.text(expression)
            got = store.get("t", filter=text, limit=10_000, with_embeddings=False)
            assert got.chunk_ids == mirror.matching("default", expression), (seed, "reopened", number, text)


def put(store: ingot.Store, source_id: str, metadata: str | None, rows: int = 1, tenant: str = "t") -> None:
    text = None if metadata is None else metadata.encode()
    store._store.insert(tenant, np.ones((rows, 2), np.float32), file_id=source_id, metadata=text)


def found(store: ingot.Store, text: str) -> list[str]:
    return store.get("t", filter=text, limit=10_000, with_embeddings=False).source_ids


@pytest.mark.parametrize(
    ("metadata", "text", "holds"),
    [
        ("{}", 'metadata["a"] != 1', False),
        ("{}", 'metadata["a"] not in [1]', False),
        ("{}", 'not metadata["a"] == 1', True),
        ('{"a": "1"}', 'metadata["a"] != 1', False),
        ('{"a": true}', 'metadata["a"] == 1', False),
        ('{"a": null}', 'metadata["a"] != 1', False),
        ('{"a": null}', 'exists metadata["a"]', True),
        ('{"a": {}}', 'exists metadata["a"]["b"]', False),
        ('{"a": [1, {"b": 2}]}', 'metadata["a"][1]["b"] == 2', True),
        ('{"a": {"0": 1}}', 'metadata["a"][0] == 1', False),
        ('{"a": 1, "a": 2}', 'metadata["a"] == 2 and metadata["a"] != 1', True),
        ('{"a": {"b": 1}, "a": {}}', 'exists metadata["a"]["b"]', False),
        ('{"a": 9007199254740993}', 'metadata["a"] == 9007199254740992.0', False),
        ('{"a": 9007199254740993}', 'metadata["a"] > 9007199254740992.0', True),
        ('{"a": -0.0}', 'metadata["a"] == 0 and metadata["a"] >= 0', True),
        ('{"a": 1e999}', 'metadata["a"] > 1.7976931348623157e308', True),
        ('{"\\u0061": "\\ud83e\\udd80"}', 'metadata["a"] == "🦀"', True),
        ('{"a": "50% off"}', 'metadata["a"] like "50\\% %"', True),
        ('{"a": "50 of"}', 'metadata["a"] like "50\\%%"', False),
        ('{"a": "x_y"}', 'metadata["a"] like "x_y" and not metadata["a"] like "_%"', True),
        ('{"a": "c:\\\\d"}', 'metadata["a"] like "c:\\\\\\\\%"', True),
        ('{"a": "x"}', 'metadata["a"] not in []', True),
        ('{"a": []}', 'metadata["a"] not in []', False),
        ('{"a": 5}', '1 < metadata["a"] <= 5 and not 5 > metadata["a"] > 1', True),
    ],
)
def test_corners(store: ingot.Store, metadata: str, text: str, holds: bool) -> None:
    put(store, "s", metadata)
    assert found(store, text) == (["s"] if holds else [])


def test_a_filter_waits_for_nobody_and_remembers_nothing_of_what_was_replaced(store: ingot.Store) -> None:
    for version in range(20):
        put(store, "s", f'{{"version": {version}}}')
        assert found(store, f'metadata["version"] == {version}') == ["s"]
        assert found(store, f'metadata["version"] == {version - 1}') == []
        assert found(store, f'source_id == "s" and metadata["version"] <= {version}') == ["s"]


def test_chunk_ids_are_looked_at_where_the_rest_leaves_a_question(store: ingot.Store) -> None:
    for name in ("a", "b"):
        put(store, name, f'{{"name": "{name}"}}', rows=3)
    hits = store.get("t", filter='metadata["name"] == "a" and not chunk_id in ["a_1", "b_2"]')
    assert hits.chunk_ids == ["a_0", "a_2"]
    hits = store.get("t", filter='chunk_id like "%_2" or metadata["name"] == "b"')
    assert hits.chunk_ids == ["a_2", "b_0", "b_1", "b_2"]
    assert store.delete("t", filter='chunk_id == "a_0"') == 1
    assert store.delete("t", filter='chunk_id == "a_0"') == 0
    assert found(store, 'source_id == "a"') == ["a", "a"]


def test_exactly_one_selector(store: ingot.Store) -> None:
    put(store, "a", None)
    with pytest.raises(TypeError, match="one of"):
        store.get("t", source_id="a", filter='source_id == "a"')
    with pytest.raises(TypeError, match="give"):
        store.delete("t")
    with pytest.raises(ingot.errors.FilterSyntax):
        store.delete("t", filter="")
    assert store.stats("t").rows == 1
