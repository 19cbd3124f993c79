"""The fields of every request, as typed structs. `None` is absent; an empty `Raw` is absent.

Each field says by its kind what it is; `NEEDED` and `ONE_OF` are the rules of `checks` that no kind can say.
"""

from typing import ClassVar

import msgspec
from msgspec import Raw

from ingot import limits
from ingot.schemas import kinds

__all__ = [
    "CreateRequest",
    "DeleteRequest",
    "GetRequest",
    "InsertRequest",
    "ListRequest",
    "Request",
    "SearchRequest",
    "SourcesRequest",
    "StatsRequest",
    "StatusRequest",
    "SubTenantRequest",
    "TenantRequest",
]


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, dict=False):
    """What all requests to a tenant have in common."""

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
    """POST /embeddings/insert-raw-embeddings, the matrix form and the document form."""

    VECTORS = frozenset({"embeddings"})

    embeddings: kinds.Embeddings = Raw()
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

    query_embedding: kinds.Query = Raw()
    query_embeddings: kinds.Queries = Raw()
    limit: kinds.SearchLimit | None = None
    output_fields: kinds.OutputFields | None = None
    exact: kinds.Exact | None = None
    ef: kinds.Ef | None = None
    score_threshold: kinds.ScoreThreshold | None = None
    filter_expr: kinds.FilterExpr | None = None
    embedding_format: kinds.EmbeddingFormat | None = None


class GetRequest(Request):
    """POST /embeddings/filter-raw-embeddings: by source, by chunk ids, by filter, or all."""

    ONE_OF = ("source_id", "chunk_ids", "filter_expr")

    source_id: kinds.SourceId | None = None
    chunk_ids: kinds.ChunkIds | None = None
    filter_expr: kinds.FilterExpr | None = None
    output_fields: kinds.OutputFields | None = None
    limit: kinds.PageLimit | None = None
    cursor: kinds.Cursor | None = None
    embedding_format: kinds.EmbeddingFormat | None = None


class DeleteRequest(Request):
    """DELETE or POST /embeddings/delete-raw-embeddings."""

    ONE_OF = ("source_id", "chunk_ids", "filter_expr")
    ONE_NEEDED = True

    source_id: kinds.SourceId | None = None
    chunk_ids: kinds.ChunkIds | None = None
    filter_expr: kinds.FilterExpr | None = None


class StatusRequest(Request):
    """POST /ingestion/verify-processing."""

    ONE_OF = ("file_id", "file_ids")
    ONE_NEEDED = True

    file_id: kinds.FileId | None = None
    file_ids: kinds.FileIds | None = None


class StatsRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """GET /tenants/monitor, GET /tenants/stats."""

    VECTORS: ClassVar[frozenset[str]] = frozenset()
    NEEDED: ClassVar[tuple[str, ...]] = ("tenant_id",)
    ONE_OF: ClassVar[tuple[str, ...]] = ()
    ONE_NEEDED: ClassVar[bool] = False

    tenant_id: kinds.TenantId | None = None


class TenantRequest(StatsRequest):
    """GET /tenants/sub_tenant_ids, DELETE /tenants/delete."""


class CreateRequest(StatsRequest):
    """POST /tenants/create."""

    embeddings_dimension: kinds.Dimension | None = None
    is_embeddings_tenant: kinds.HoldsEmbeddings | None = None
    metric: kinds.MetricName | None = None


class SubTenantRequest(StatsRequest):
    """DELETE /tenant/delete_sub_tenant. One that is not named is the default one, which is refused as such."""

    NEEDED = ("tenant_id", "sub_tenant_id")

    sub_tenant_id: kinds.OtherSubTenantId | None = None


class SourcesRequest(Request):
    """GET /tenants/sources."""

    limit: kinds.NamesLimit | None = None
    cursor: kinds.Cursor | None = None


class ListRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """GET /tenants/list."""

    VECTORS: ClassVar[frozenset[str]] = frozenset()
    NEEDED: ClassVar[tuple[str, ...]] = ()
    ONE_OF: ClassVar[tuple[str, ...]] = ()
    ONE_NEEDED: ClassVar[bool] = False

    limit: kinds.NamesLimit | None = None
    cursor: kinds.Cursor | None = None


METRICS = kinds.METRICS
OUTPUT_FIELDS = kinds.OUTPUT_FIELDS
EMBEDDING_FORMATS = kinds.EMBEDDING_FORMATS

#: The default and the largest `limit` of a search, of a get, and of a list of names.
SEARCH_LIMIT = (limits.DEFAULT_SEARCH_LIMIT, limits.MAX_SEARCH_LIMIT)
PAGE_LIMIT = (limits.DEFAULT_PAGE_LIMIT, limits.MAX_PAGE_LIMIT)
NAMES_LIMIT = (limits.DEFAULT_NAMES_LIMIT, limits.MAX_NAMES_LIMIT)
