"""The requests of the first age of the API: fields that no other age has, judged by the rules of today.

Names that they do not know are ignored.
"""

from typing import NamedTuple

import msgspec
from msgspec import Raw

from ingot import limits
from ingot.errors import EmptyEmbeddings, MissingField, WrongType
from ingot.schemas import kinds
from ingot.schemas.checks import (
    Search,
    Selection,
    check_delete,
    check_limit,
    check_present,
    check_search,
    check_tenant,
)
from ingot.schemas.fields import json_type
from ingot.schemas.ids import check_chunk_id
from ingot.schemas.parameters import DEFAULT_SUB_TENANT
from ingot.schemas.requests import DeleteRequest, Request, SearchRequest, StatsRequest

__all__ = [
    "FirstChunksRequest",
    "FirstSearchRequest",
    "FirstStatsRequest",
    "FirstTenantRequest",
    "FirstUpdateRequest",
    "Update",
    "check_first_chunks",
    "check_first_search",
    "check_first_stats",
    "check_update",
]

_MAX_CHUNKS = (limits.DEFAULT_CHUNKS, limits.MAX_CHUNKS)


class FirstUpdateRequest(Request, forbid_unknown_fields=False):
    """PATCH /upload/update_embeddings."""

    VECTORS = frozenset({"embeddings"})

    embeddings: kinds.VectorsById = Raw()


class FirstSearchRequest(Request, forbid_unknown_fields=False):
    """POST /embeddings/search."""

    VECTORS = frozenset({"embeddings"})

    embeddings: kinds.Query = Raw()
    max_chunks: kinds.MaxChunks | None = None


class FirstChunksRequest(Request, forbid_unknown_fields=False):
    """POST /embeddings/retrieve_by_ids and DELETE /embeddings/delete."""

    NEEDED = ("tenant_id", "chunk_ids")

    chunk_ids: kinds.ChunkIds | None = None


class FirstTenantRequest(StatsRequest, forbid_unknown_fields=False):
    """POST /embeddings/create_tenant, GET /tenant/sub_tenant_ids."""


class FirstStatsRequest(Request, forbid_unknown_fields=False):
    """GET /tenant/stats."""


class Update(NamedTuple):
    """New vectors for rows that are there: the ids in the order of the vectors."""

    tenant_id: str
    sub_tenant_id: str | None
    chunk_ids: list[str]


def check_update(request: FirstUpdateRequest, rows: int | None) -> Update:
    """The update a request asks for; `rows` is how many vectors its body had."""
    check_present(request)
    text = bytes(request.embeddings)
    if text in (b"", b"null"):
        raise MissingField("`embeddings` is missing: send an object, chunk id -> vector", field="embeddings")
    value = msgspec.json.decode(text)
    if value == {}:
        raise EmptyEmbeddings("`embeddings` is empty: send at least one vector", field="embeddings")
    if not isinstance(value, dict) or list(value.values()) != list(range(rows or 0)):
        raise WrongType(
            f"`embeddings`: expected an object, chunk id -> vector, got {json_type(value)}",
            field="embeddings",
            expected="an object",
        )
    chunk_ids = list(value)
    for chunk_id in chunk_ids:
        check_chunk_id("embeddings", chunk_id)
    return Update(check_tenant(request), request.sub_tenant_id or None, chunk_ids)


def check_first_search(request: FirstSearchRequest) -> Search:
    """The search a request asks for, its query apart."""
    limit = check_limit(request.max_chunks, _MAX_CHUNKS, "max_chunks")
    return check_search(
        SearchRequest(tenant_id=request.tenant_id, sub_tenant_id=request.sub_tenant_id, limit=limit)
    )


def check_first_chunks(request: FirstChunksRequest) -> tuple[Selection, list[str]]:
    """The rows that a request names, and their ids."""
    if request.tenant_id is not None and request.chunk_ids is None:
        raise MissingField("`chunk_ids` is missing: name the rows", field="chunk_ids")
    chunk_ids = request.chunk_ids or []
    selection = check_delete(
        DeleteRequest(tenant_id=request.tenant_id, sub_tenant_id=request.sub_tenant_id, chunk_ids=chunk_ids)
    )
    return selection, chunk_ids


def check_first_stats(request: FirstStatsRequest) -> tuple[str, str]:
    """The names of the tenant and of the sub-tenant."""
    return check_tenant(request), request.sub_tenant_id or DEFAULT_SUB_TENANT
