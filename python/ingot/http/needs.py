"""What each path needs of its caller's key. The server refuses to start with a path that stands nowhere here."""

from ingot.auth.caller import Caller, Right
from ingot.http.ages import UNDERSCORES

__all__ = ["ON_A_TENANT", "ON_ITS_TENANTS", "check_need", "is_open", "need_of"]

#: For whoever comes, key or not. In `/docs` lie the files of the page.
_OPEN = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json", "/"})
_OPEN_FOLDER = "/docs"

#: The right it takes, on the tenant that the request names.
ON_A_TENANT: dict[str, Right] = {
    "/embeddings/insert-raw-embeddings": "write",
    "/embeddings/search-raw-embeddings": "read",
    "/embeddings/filter-raw-embeddings": "read",
    "/embeddings/delete-raw-embeddings": "write",
    "/ingestion/verify-processing": "read",
    "/tenants/create": "admin",
    "/tenants/monitor": "read",
    "/tenants/stats": "read",
    "/tenants/sub_tenant_ids": "read",
    "/tenants/sources": "read",
    "/tenants/delete": "admin",
    "/tenant/delete_sub_tenant": "write",
    "/upload/upload_embeddings": "write",
    "/upload/update_embeddings": "write",
    "/upload/verify_processing": "read",
    "/embeddings/search": "read",
    "/embeddings/retrieve_by_ids": "read",
    "/embeddings/delete": "write",
    "/embeddings/create_tenant": "admin",
    "/tenant/stats": "read",
    "/tenant/sub_tenant_ids": "read",
}
ON_A_TENANT |= {older: ON_A_TENANT[path] for older, path in UNDERSCORES.items()}

#: The right it takes on any tenant; of those that the caller has rights on it tells, and of no other.
ON_ITS_TENANTS: dict[str, Right] = {"/tenants/list": "read"}

#: The right `admin` on all tenants.
_ON_ALL_TENANTS = frozenset({"/metrics"})


def is_open(path: str) -> bool:
    """Whether a path needs no key."""
    return path in _OPEN or path.rpartition("/")[0] == _OPEN_FOLDER


def need_of(path: str) -> Right | None:
    """The right that a path needs; None for one that needs none, or does not exist."""
    return "admin" if path in _ON_ALL_TENANTS else ON_A_TENANT.get(path) or ON_ITS_TENANTS.get(path)


def check_need(path: str, caller: Caller) -> None:
    """Raises `Forbidden` where no tenant could make this caller's rights suffice."""
    right = need_of(path)
    if right is not None:
        caller.check_right(right)
        if right == "admin" and path in _ON_ALL_TENANTS:
            caller.check_everywhere()
