"""Examples of the paths of earlier ages: what happens behind the others, in a tenant of its own."""

from typing import Any

from ingot.http.examples import EXAMPLES, Example, uploaded

__all__ = ["EVERY_EXAMPLE", "OLDER"]

_TENANT = "first-age"
_IDS = ["note-1_0", "note-1_1"]


def _said(message: str, **fields: Any) -> dict[str, Any]:
    return {**fields, "success": True, "message": message}


OLDER: tuple[Example, ...] = (
    Example(
        "first_create",
        "tenant",
        "A tenant",
        {"tenant_id": _TENANT},
        _said("Tenant created.", tenant_id=_TENANT, sub_tenant_id="default"),
    ),
    Example(
        "first_insert",
        "upload",
        "Two vectors of a source",
        {
            "tenant_id": _TENANT,
            "file_id": "note-1",
            "embeddings": [[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]],
        },
        {**uploaded("note-1", 2, "a6fab5b8"), "tenant_id": _TENANT},
    ),
    Example(
        "statuses",
        "one",
        "One source",
        {"tenant_id": _TENANT, "file_id": "note-1"},
        {
            "statuses": [
                {
                    "file_id": "note-1",
                    "indexing_status": "completed",
                    "error_code": None,
                    "success": True,
                    "message": "Stored, durable and searchable.",
                    "indexed_rows": 2,
                    "total_rows": 2,
                }
            ]
        },
    ),
    Example(
        "first_update",
        "vectors",
        "Another vector for a row",
        {"tenant_id": _TENANT, "embeddings": {"note-1_1": [0.0, 0.0, 0.0, 1.0]}},
        _said(
            "Embeddings updated successfully.",
            file_id="note-1",
            batch_id="note-1",
            chunk_ids=["note-1_1"],
            updated_count=1,
        ),
        method="PATCH",
    ),
    Example(
        "first_search",
        "nearest",
        "The nearest rows",
        {"tenant_id": _TENANT, "embeddings": [1.0, 0.0, 0.0, 0.0], "max_chunks": 10},
        _said("2 embeddings found.", chunk_ids=_IDS, scores=[1.0, 0.0]),
    ),
    Example(
        "first_get",
        "vectors",
        "A vector, and an id of no row",
        {"tenant_id": _TENANT, "chunk_ids": ["note-1_1", "note-1_7"]},
        _said(
            "1 of 2 embeddings found.",
            embeddings={"note-1_1": [0.0, 0.0, 0.0, 1.0]},
            not_found_chunk_ids=["note-1_7"],
        ),
    ),
    Example(
        "first_stats",
        "default",
        "The default sub-tenant",
        {"tenant_id": _TENANT},
        _said("Tenant counted.", object_count=2, tenant_id=_TENANT, vector_dimension=4),
        method="GET",
    ),
    Example(
        "first_sub_tenants",
        "names",
        "The names",
        {"tenant_id": _TENANT},
        _said("1 sub-tenant.", tenant_id=_TENANT, sub_tenant_ids=["default"], count=1),
        method="GET",
    ),
    Example(
        "first_delete",
        "chunks",
        "A row, and an id of no row",
        {"tenant_id": _TENANT, "chunk_ids": ["note-1_1", "note-1_7"]},
        _said("1 of 2 embeddings deleted.", status={"note-1_1": True, "note-1_7": False}, total_deleted=1),
        method="DELETE",
    ),
)

#: All of them, in the order in which they happen.
EVERY_EXAMPLE: tuple[Example, ...] = (*EXAMPLES, *OLDER)
