"""Requests and their answers, as the document of the service shows them: what happens in this order on an empty server.

Every number is one that float32, cosine and JSON keep as it is.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["EXAMPLES", "Example", "uploaded"]

TENANT = "playground"


@dataclass(frozen=True)
class Example:
    """One request and what it is answered."""

    #: The handler that answers, and the method where it has several.
    handler: str
    name: str
    summary: str
    fields: dict[str, Any]
    answer: Any
    status: int = 200
    method: str = "POST"


def uploaded(file_id: str, rows: int, crc32c: str, **more: Any) -> dict[str, Any]:
    """What an upload is answered."""
    ids = [f"{file_id}_{row}" for row in range(rows)]
    return {
        "success": True,
        "status": "success",
        "message": "Embeddings uploaded successfully.",
        "file_id": file_id,
        "batch_id": file_id,
        "chunk_ids": ids,
        "insert_count": rows,
        "ids": ids,
        "error": None,
        "tenant_id": TENANT,
        "sub_tenant_id": "default",
        "dimension": 4,
        "overwritten": 0,
        "crc32c": crc32c,
        **more,
    }


def _document(source_id: str, chunk_id: str, embedding: list[float], **more: Any) -> dict[str, Any]:
    return {"source_id": source_id, "embeddings": [{"chunk_id": chunk_id, "embedding": embedding}], **more}


def _refused(error_code: str, message: str, **places: Any) -> dict[str, Any]:
    return {
        "detail": {
            "success": False,
            "message": message,
            "error_code": error_code,
            **places,
            "request_id": "example",
        }
    }


def _row(
    row: int, metadata: dict[str, Any], embedding: list[float] | str | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "source_id": "article-1",
        "embedding": {"chunk_id": f"article-1_{row}", "embedding": embedding},
        **more,
        "metadata": metadata,
    }


_ROWS = [[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]]
_METADATA = {"lang": "en", "year": 2026}

EXAMPLES: tuple[Example, ...] = (
    Example(
        "insert",
        "upload",
        "Two vectors of a source",
        {
            "tenant_id": TENANT,
            "file_id": "article-1",
            "embeddings": _ROWS,
            "document_metadata": _METADATA,
        },
        uploaded("article-1", 2, "a6fab5b8"),
    ),
    Example(
        "insert",
        "dry_run",
        "Judged, not stored",
        {"tenant_id": TENANT, "file_id": "article-2", "embeddings": [[0.0, 1.0, 0.0, 0.0]], "dry_run": True},
        uploaded("article-2", 1, "d8607922", dry_run=True),
    ),
    Example(
        "insert",
        "documents",
        "Chunks of two sources, with ids of your own; judged, not stored",
        {
            "tenant_id": TENANT,
            "embeddings": [
                _document("book-1", "page-7", [0.0, 0.0, 1.0, 0.0], metadata={"lang": "de"}),
                _document("book-2", "page-1", [0.0, 0.0, 0.0, 1.0]),
            ],
            "dry_run": True,
        },
        {
            **uploaded("book", 2, "a4b13722"),
            "file_id": None,
            "batch_id": None,
            "chunk_ids": ["page-7", "page-1"],
            "ids": ["page-7", "page-1"],
            "file_ids": ["book-1", "book-2"],
            "dry_run": True,
        },
    ),
    Example(
        "insert",
        "base64",
        "Vectors as base64",
        {
            "tenant_id": TENANT,
            "file_id": "article-2",
            "embeddings": {"dtype": "int8", "shape": [1, 4], "data": "AAEAAA=="},
            "dry_run": True,
        },
        uploaded("article-2", 1, "d8607922", dry_run=True),
    ),
    Example(
        "insert",
        "not_finite",
        "A number that float32 cannot hold",
        {"tenant_id": TENANT, "embeddings": [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1e39, 0.0]]},
        _refused("NON_FINITE_VALUE", "row 1, column 2: 1e+39 is not finite as float32", row=1, column=2),
        400,
    ),
    Example(
        "insert",
        "other_dimension",
        "Another dimension than the tenant's",
        {"tenant_id": TENANT, "embeddings": [[1.0, 0.0]]},
        _refused("DIMENSION_MISMATCH", "vectors of dimension 2 were sent, the tenant has dimension 4"),
        400,
    ),
    Example(
        "insert",
        "exists",
        "A source that exists, where `upsert` is false",
        {
            "tenant_id": TENANT,
            "file_id": "article-1",
            "embeddings": [[0.0, 1.0, 0.0, 0.0]],
            "upsert": False,
        },
        _refused("ALREADY_EXISTS", "a source 'article-1' exists already and `upsert` is false"),
        409,
    ),
    Example(
        "search",
        "nearest",
        "The nearest rows",
        {"tenant_id": TENANT, "query_embedding": [1.0, 0.0, 0.0, 0.0], "limit": 10},
        [
            _row(0, _METADATA, score=1.0, distance=0.0),
            _row(1, _METADATA, score=0.5, distance=0.5),
        ],
    ),
    Example(
        "search",
        "with_vectors",
        "With vectors, above a score",
        {
            "tenant_id": TENANT,
            "query_embedding": [1.0, 0.0, 0.0, 0.0],
            "output_fields": ["embedding"],
            "score_threshold": 0.75,
        },
        [_row(0, _METADATA, _ROWS[0], score=1.0, distance=0.0)],
    ),
    Example(
        "search",
        "filtered",
        "The nearest rows among those that a filter holds of",
        {
            "tenant_id": TENANT,
            "query_embedding": [1.0, 0.0, 0.0, 0.0],
            "filter_expr": 'metadata["lang"] in ["en", "de"] and chunk_id != "article-1_0"',
        },
        [_row(1, _METADATA, score=0.5, distance=0.5)],
    ),
    Example(
        "search",
        "no_filter",
        "A filter that is none",
        {
            "tenant_id": TENANT,
            "query_embedding": [1.0, 0.0, 0.0, 0.0],
            "filter_expr": 'metadata["lang"] = "en"',
        },
        _refused(
            "FILTER_SYNTAX",
            "`filter_expr`, at character 17: `=` is written `==`",
            field="filter_expr",
            offset=17,
        ),
        400,
    ),
    Example(
        "search",
        "unknown_field",
        "A field that does not exist",
        {"tenant_id": TENANT, "query_embeding": [1.0, 0.0, 0.0, 0.0]},
        _refused(
            "UNKNOWN_FIELD",
            "unknown field `query_embeding`; did you mean `query_embedding`?",
            field="query_embeding",
        ),
        422,
    ),
    Example(
        "search",
        "no_tenant",
        "A tenant that does not exist",
        {"tenant_id": "nobody", "query_embedding": [1.0, 0.0, 0.0, 0.0]},
        _refused("TENANT_NOT_FOUND", "no such tenant"),
        404,
    ),
    Example(
        "get",
        "source",
        "The rows of a source",
        {"tenant_id": TENANT, "source_id": "article-1"},
        [_row(0, _METADATA), _row(1, _METADATA)],
    ),
    Example(
        "get",
        "chunks",
        "Rows by their ids, with vectors",
        {"tenant_id": TENANT, "chunk_ids": ["article-1_1"], "output_fields": ["embedding"]},
        [_row(1, _METADATA, _ROWS[1])],
    ),
    Example(
        "get",
        "filter",
        "Rows by a filter",
        {"tenant_id": TENANT, "filter_expr": 'exists metadata["lang"] and not chunk_id like "%_0"'},
        [_row(1, _METADATA)],
    ),
    Example(
        "get",
        "base64",
        "With vectors as base64",
        {
            "tenant_id": TENANT,
            "chunk_ids": ["article-1_0"],
            "output_fields": ["embedding"],
            "embedding_format": "base64",
        },
        [_row(0, _METADATA, "AACAPwAAAAAAAAAAAAAAAA==")],
    ),
    Example(
        "status",
        "one",
        "One source",
        {"tenant_id": TENANT, "file_id": "article-1"},
        {
            "file_id": "article-1",
            "indexing_status": "completed",
            "error_code": None,
            "success": True,
            "message": "Stored, durable and searchable.",
            "indexed_rows": 2,
            "total_rows": 2,
        },
    ),
    Example(
        "status",
        "several",
        "Several sources, one of them unknown",
        {"tenant_id": TENANT, "file_ids": ["article-1", "article-9"]},
        {
            "statuses": [
                {
                    "file_id": "article-1",
                    "indexing_status": "completed",
                    "error_code": None,
                    "success": True,
                    "message": "Stored, durable and searchable.",
                    "indexed_rows": 2,
                    "total_rows": 2,
                },
                {
                    "file_id": "article-9",
                    "indexing_status": "errored",
                    "error_code": "NOT_FOUND",
                    "success": False,
                    "message": "no such source",
                },
            ]
        },
    ),
    Example(
        "stats",
        "tenant",
        "One tenant",
        {"tenant_id": TENANT},
        {
            "tenant_id": TENANT,
            "dimension": 4,
            "metric": "cosine",
            "rows": 2,
            "indexed_rows": 2,
            "sources": 1,
            "sub_tenants": {"default": 2},
            "groups": 1,
        },
        method="GET",
    ),
    Example(
        "insert",
        "sub_tenant",
        "Into a sub-tenant",
        {
            "tenant_id": TENANT,
            "sub_tenant_id": "drafts",
            "file_id": "article-1",
            "embeddings": [[0.0, 1.0, 0.0, 0.0]],
        },
        uploaded("article-1", 1, "d8607922", sub_tenant_id="drafts"),
    ),
    Example(
        "sub_tenants",
        "sub_tenants",
        "The sub-tenants of a tenant",
        {"tenant_id": TENANT},
        {"sub_tenant_ids": ["default", "drafts"], "message": "2 sub-tenants."},
        method="GET",
    ),
    Example(
        "sources",
        "sources",
        "The sources of a tenant",
        {"tenant_id": TENANT, "limit": 10},
        {"sources": [{"source_id": "article-1", "rows": 2}]},
        method="GET",
    ),
    Example("tenants", "tenants", "All tenants", {"limit": 10}, {"tenant_ids": [TENANT]}, method="GET"),
    Example("alive", "alive", "The process lives", {}, {"status": "ok"}, method="GET"),
    Example("ready", "ready", "Writes are taken", {}, {"status": "ok"}, method="GET"),
    Example(
        "delete",
        "chunk",
        "One row",
        {"tenant_id": TENANT, "chunk_ids": ["article-1_1"]},
        {"delete_count": 1, "success": True, "error": None},
    ),
    Example(
        "delete",
        "filter",
        "By a filter",
        {"tenant_id": TENANT, "filter_expr": 'metadata["year"] < 2000'},
        {"delete_count": 0, "success": True, "error": None},
    ),
    Example(
        "delete",
        "nothing_selected",
        "Nothing selected",
        {"tenant_id": TENANT},
        _refused(
            "MISSING_FIELD",
            "nothing selected, nothing deleted: send `source_id`, `chunk_ids` or `filter_expr`",
            field="source_id",
        ),
        422,
    ),
    Example(
        "delete",
        "source",
        "A source, whole",
        {"tenant_id": TENANT, "source_id": "article-1"},
        {"delete_count": 1, "success": True, "error": None},
        method="DELETE",
    ),
    Example(
        "delete_sub_tenant",
        "sub_tenant",
        "A sub-tenant with all it holds",
        {"tenant_id": TENANT, "sub_tenant_id": "drafts"},
        {"success": True, "message": "Sub-tenant deleted."},
        method="DELETE",
    ),
    Example(
        "create_tenant",
        "create",
        "A tenant compared by inner product",
        {"tenant_id": "playground-ip", "embeddings_dimension": 3, "metric": "ip"},
        {"status": "success", "tenant_id": "playground-ip", "message": "Tenant created."},
    ),
    Example(
        "create_tenant",
        "again",
        "The same again",
        {"tenant_id": "playground-ip", "embeddings_dimension": 3, "metric": "ip"},
        {
            "status": "success",
            "tenant_id": "playground-ip",
            "message": "Tenant exists already, with these settings.",
        },
    ),
    Example(
        "create_tenant",
        "differs",
        "A tenant that exists with other settings",
        {"tenant_id": TENANT, "embeddings_dimension": 3},
        _refused(
            "TENANT_SETTINGS_DIFFER",
            "the tenant exists with metric cosine and dimension 4, asked for is dimension 3",
        ),
        409,
    ),
    Example(
        "delete_tenant",
        "tenant",
        "A tenant with all it holds",
        {"tenant_id": "playground-ip"},
        {"success": True, "message": "Tenant deleted."},
        method="DELETE",
    ),
)
