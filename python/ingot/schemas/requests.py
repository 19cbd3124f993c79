"""The fields of every request, as typed structs. `None` is absent; an empty `Raw` is absent.

`LATER` names fields of the contract that come with a later version, and what to do until then. Each field says by its
kind what it is; `NEEDED` and `ONE_OF` are the rules of `checks` that no kind can say.
"""

from typing import ClassVar

import msgspec
from msgspec import Raw

from ingot import limits
from ingot.schemas import kinds

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
    #: Fields that have to be given, beside the vectors.
    NEEDED: ClassVar[tuple[str, ...]] = ("tenant_id",)
    #: Fields that exclude each other, and whether one of them has to be given.
    ONE_OF: ClassVar[tuple[str, ...]] = ()
    ONE_NEEDED: ClassVar[bool] = False

    tenant_id: kinds.TenantId | None = None
    sub_tenant_id: kinds.SubTenantId | None = None


class InsertRequest(Request):
    """POST /embeddings/insert-raw-embeddings, the matrix form."""

    VECTORS = frozenset({"embeddings"})

    embeddings: kinds.Matrix = Raw()
    file_id: kinds.FileId | None = None
    document_metadata: kinds.Metadata = Raw()
    upsert: kinds.Upsert | None = None
    dry_run: kinds.DryRun | None = None
    crc32c: kinds.Crc32c | None = None


class SearchRequest(Request):
    """POST /embeddings/search-raw-embeddings with one query or a batch of them."""

    VECTORS = frozenset({"query_embedding", "query_embeddings"})
    ONE_OF = ("query_embedding", "query_embeddings")
    ONE_NEEDED = True
    LATER = {
        "filter_expr": f"{_NO_FILTERS}: leave `filter_expr` out and filter the answers",
    }

    query_embedding: kinds.Query = Raw()
    query_embeddings: kinds.Queries = Raw()
    limit: kinds.SearchLimit | None = None
    output_fields: kinds.OutputFields | None = None
    exact: kinds.Exact | None = None
    ef: kinds.Ef | None = None
    score_threshold: kinds.ScoreThreshold | None = None
    embedding_format: kinds.EmbeddingFormat | None = None


class GetRequest(Request):
    """POST /embeddings/filter-raw-embeddings: by source, by chunk ids, or all."""

    LATER = {
        "filter_expr": f"{_NO_FILTERS}: select by `source_id` or `chunk_ids`",
        "cursor": "cursors are not offered by this server yet: raise `limit` (1..10000), or select by `source_id`",
    }

    ONE_OF = ("source_id", "chunk_ids")

    source_id: kinds.SourceId | None = None
    chunk_ids: kinds.ChunkIds | None = None
    output_fields: kinds.OutputFields | None = None
    limit: kinds.PageLimit | None = None
    embedding_format: kinds.EmbeddingFormat | None = None


class DeleteRequest(Request):
    """DELETE or POST /embeddings/delete-raw-embeddings."""

    LATER = {"filter_expr": f"{_NO_FILTERS}; nothing was deleted: delete by `source_id` or `chunk_ids`"}

    ONE_OF = ("source_id", "chunk_ids")
    ONE_NEEDED = True

    source_id: kinds.SourceId | None = None
    chunk_ids: kinds.ChunkIds | None = None


class StatusRequest(Request):
    """POST /ingestion/verify-processing."""

    ONE_OF = ("file_id", "file_ids")
    ONE_NEEDED = True

    file_id: kinds.FileId | None = None
    file_ids: kinds.FileIds | None = None


class StatsRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """GET /tenants/monitor."""

    LATER: ClassVar[dict[str, str]] = {}
    VECTORS: ClassVar[frozenset[str]] = frozenset()
    NEEDED: ClassVar[tuple[str, ...]] = ("tenant_id",)
    ONE_OF: ClassVar[tuple[str, ...]] = ()
    ONE_NEEDED: ClassVar[bool] = False

    tenant_id: kinds.TenantId | None = None


OUTPUT_FIELDS = kinds.OUTPUT_FIELDS
EMBEDDING_FORMATS = kinds.EMBEDDING_FORMATS

#: The default and the largest `limit` of a search and of a get.
SEARCH_LIMIT = (limits.DEFAULT_SEARCH_LIMIT, limits.MAX_SEARCH_LIMIT)
PAGE_LIMIT = (limits.DEFAULT_PAGE_LIMIT, limits.MAX_PAGE_LIMIT)
