"""ingot: a store for embeddings, durable and searchable at once.

In process: `store = ingot.open("data")`. As a service: `ingot serve --data data`.
"""

from ingot import errors
from ingot._native import ChunkIds, Hits, Inserted, SourceStatus, TenantStats, crc32c
from ingot.errors import IngotError
from ingot.store import Document, Store, open

__all__ = [
    "ChunkIds",
    "Document",
    "Hits",
    "IngotError",
    "Inserted",
    "SourceStatus",
    "Store",
    "TenantStats",
    "crc32c",
    "errors",
    "open",
]
