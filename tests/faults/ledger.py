"""What a server acknowledged, and whether it is all there."""

import hashlib
from pathlib import Path

import numpy as np

from tests.http.client import STATS, Answer, Client


class Ledger:
    """Uploads of one server that were answered 200, by tenant and source."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._stored: dict[tuple[str, str], np.ndarray] = {}

    def rows(self, count: int, dimension: int) -> np.ndarray:
        """New vectors."""
        return self._random.standard_normal((count, dimension), dtype=np.float32)

    def upload(self, client: Client, tenant: str, source: str, rows: np.ndarray) -> Answer:
        """Uploads, and remembers if that was acknowledged."""
        answer = client.insert_npy(tenant, rows, file_id=source)
        if answer.status == 200:
            self._stored[tenant, source] = rows
        return answer

    def forget(self, tenant: str, source: str) -> None:
        """It was deleted."""
        del self._stored[tenant, source]

    def check(self, client: Client, *, beside: int = 0) -> None:
        """Every acknowledged vector is there, bit for bit, and found; `beside`: so many others may be there too."""
        count = 0
        for (tenant, source), rows in self._stored.items():
            same(stored(client, tenant, source), rows)
            found = client.search(tenant, rows[0], limit=1, exact=True).ok()
            assert found[0]["embedding"]["chunk_id"] == f"{source}_0"
            count += len(rows)
        tenants = {tenant for tenant, _ in self._stored}
        there = sum(client.request("GET", STATS, params={"tenant_id": name}).ok()["rows"] for name in tenants)
        assert count <= there <= count + beside


def stored(client: Client, tenant: str, source: str) -> np.ndarray | None:
    """The vectors of a source, None when it is not there."""
    items = client.get(tenant, source_id=source, output_fields=["embedding"], limit=10_000).ok()
    assert [item["embedding"]["chunk_id"] for item in items] == [f"{source}_{i}" for i in range(len(items))]
    return np.array([item["embedding"]["embedding"] for item in items], np.float32) if items else None


def same(got: np.ndarray | None, rows: np.ndarray) -> None:
    """Vectors are there, bit for bit."""
    assert got is not None
    np.testing.assert_array_equal(got, rows)


def folder_of(tenant: str) -> str:
    """The name of a tenant's folder."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]


def segment_of(data: Path, tenant: str) -> Path:
    """The first segment of a tenant's log."""
    return data / "tenants" / folder_of(tenant) / "log" / "00000001-0.log"
