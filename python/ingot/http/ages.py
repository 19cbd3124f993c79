"""The older spellings of paths: clients of each age of the published API exist."""

__all__ = ["FIRST", "UNDERSCORES", "is_older"]

#: A path as it was written with underscores -> as it is written now: the same handler.
UNDERSCORES: dict[str, str] = {
    "/embeddings/insert_raw_embeddings": "/embeddings/insert-raw-embeddings",
    "/embeddings/search_raw_embeddings": "/embeddings/search-raw-embeddings",
    "/embeddings/filter_raw_embeddings": "/embeddings/filter-raw-embeddings",
    "/embeddings/delete_raw_embeddings": "/embeddings/delete-raw-embeddings",
    "/ingestion/verify_processing": "/ingestion/verify-processing",
}

#: The paths of the first age, whose requests and answers had shapes of their own.
FIRST = frozenset(
    {
        "/upload/upload_embeddings",
        "/upload/update_embeddings",
        "/upload/verify_processing",
        "/embeddings/search",
        "/embeddings/retrieve_by_ids",
        "/embeddings/delete",
        "/embeddings/create_tenant",
        "/tenant/stats",
        "/tenant/sub_tenant_ids",
    }
)

_OLDER = FIRST | UNDERSCORES.keys()


def is_older(path: str) -> bool:
    """Whether a path is older than hyphens: there, fields and parameters that it does not know are ignored."""
    return path in _OLDER
