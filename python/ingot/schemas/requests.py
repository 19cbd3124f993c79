"""The fields of every request, as typed structs. `None` is absent; an empty `Raw` is absent.

`LATER` names fields of the contract that come with a later version, and what to do until then.
"""

from typing import ClassVar

import msgspec
from msgspec import Raw

from ingot import limits

__all__ = [
    "DeleteRequest",
    "GetRequest",
    "InsertRequest",
    "Request",
    "SearchRequest",
    "StatsRequest",
    "StatusRequest",
]

_NO_FILTERS = "filters are not offered by this server yet"


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, dict=False):
    """What all requests to a tenant have in common."""

    #: Fields of the contract that are not offered yet -> what to do instead.
    LATER: ClassVar[dict[str, str]] = {}
    #: Fields that hold vectors: never a query parameter.
    VECTORS: ClassVar[frozenset[str]] = frozenset()

    tenant_id: str | None = None
    sub_tenant_id: str | None = None


class InsertRequest(Request):
    """POST /embeddings/insert-raw-embeddings, the matrix form."""

    VECTORS = frozenset({"embeddings"})

    embeddings: Raw = Raw()
    file_id: str | None = None
    document_metadata: Raw = Raw()
    upsert: bool | None = None
    dry_run: bool | None = None
    crc32c: str | None = None


class SearchRequest(Request):
    """POST /embeddings/search-raw-embeddings with one query or a batch of them."""

    VECTORS = frozenset({"query_embedding", "query_embeddings"})
    LATER = {
        "filter_expr": f"{_NO_FILTERS}: leave `filter_expr` out and filter the answers",
        "embedding_format": "base64 vectors are not offered by this server yet: leave `embedding_format` out",
    }

    query_embedding: Raw = Raw()
    query_embeddings: Raw = Raw()
    limit: int | None = None
    output_fields: list[str] | None = None
    exact: bool | None = None
    ef: int | None = None
    score_threshold: float | None = None


class GetRequest(Request):
    """POST /embeddings/filter-raw-embeddings: by source, by chunk ids, or all."""

    LATER = {
        "filter_expr": f"{_NO_FILTERS}: select by `source_id` or `chunk_ids`",
        "cursor": "cursors are not offered by this server yet: raise `limit` (1..10000), or select by `source_id`",
        "embedding_format": "base64 vectors are not offered by this server yet: leave `embedding_format` out",
    }

    source_id: str | None = None
    chunk_ids: list[str] | None = None
    output_fields: list[str] | None = None
    limit: int | None = None


class DeleteRequest(Request):
    """DELETE or POST /embeddings/delete-raw-embeddings."""

    LATER = {"filter_expr": f"{_NO_FILTERS}; nothing was deleted: delete by `source_id` or `chunk_ids`"}

    source_id: str | None = None
    chunk_ids: list[str] | None = None


class StatusRequest(Request):
    """POST /ingestion/verify-processing."""

    file_id: str | None = None
    file_ids: list[str] | None = None


class StatsRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """GET /tenants/monitor."""

    LATER: ClassVar[dict[str, str]] = {}
    VECTORS: ClassVar[frozenset[str]] = frozenset()

    tenant_id: str | None = None


#: What `output_fields` may name; everything but `embedding` always comes.
OUTPUT_FIELDS = ("chunk_id", "source_id", "embedding", "score", "distance", "metadata")

#: The default and the largest `limit` of a search and of a get.
SEARCH_LIMIT = (limits.DEFAULT_SEARCH_LIMIT, limits.MAX_SEARCH_LIMIT)
PAGE_LIMIT = (limits.DEFAULT_PAGE_LIMIT, limits.MAX_PAGE_LIMIT)
