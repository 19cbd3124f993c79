"""The rules for requests about tenants themselves, as `checks` has them for requests about what is in them."""

from typing import NamedTuple

from ingot import limits
from ingot.errors import InvalidLimit, WrongType
from ingot.schemas.checks import check_limit, check_tenant, shown
from ingot.schemas.ids import check_tenant_ids
from ingot.schemas.requests import (
    METRICS,
    NAMES_LIMIT,
    CreateRequest,
    ListRequest,
    SourcesRequest,
    SubTenantRequest,
)

__all__ = ["Creation", "check_create", "check_list", "check_sources", "check_sub_tenant"]


class Creation(NamedTuple):
    """What a new tenant is to be; None is not asked for."""

    tenant_id: str
    dimension: int | None
    metric: str | None


def check_create(request: CreateRequest) -> Creation:
    """The tenant a request asks for."""
    tenant_id = check_tenant(request)
    check_tenant_ids(tenant_id, None)
    dimension = request.embeddings_dimension
    if dimension is not None and not 1 <= dimension <= limits.MAX_COLUMNS:
        raise InvalidLimit(
            f"`embeddings_dimension` is {shown(dimension)}, it must be 1..{limits.MAX_COLUMNS}",
            field="embeddings_dimension",
            limit=limits.MAX_COLUMNS,
        )
    if request.is_embeddings_tenant is False:
        raise WrongType(
            "`is_embeddings_tenant` is false: this server holds embeddings, nothing else; send true, or leave it out",
            field="is_embeddings_tenant",
        )
    if request.metric is not None and request.metric not in METRICS:
        raise WrongType(f"`metric`: expected one of {', '.join(METRICS)}", field="metric")
    return Creation(tenant_id, dimension, request.metric)


def check_sub_tenant(request: SubTenantRequest) -> tuple[str, str | None]:
    """Tenant and sub-tenant."""
    tenant_id = check_tenant(request)
    check_tenant_ids(tenant_id, request.sub_tenant_id)
    return tenant_id, request.sub_tenant_id or None


def check_sources(request: SourcesRequest) -> tuple[str, str | None, int, str | None]:
    """Tenant, sub-tenant, how many, and from where on."""
    tenant_id = check_tenant(request)
    check_tenant_ids(tenant_id, request.sub_tenant_id)
    return tenant_id, request.sub_tenant_id or None, check_limit(request.limit, NAMES_LIMIT), request.cursor


def check_list(request: ListRequest) -> tuple[int, str | None]:
    """How many, and from where on."""
    return check_limit(request.limit, NAMES_LIMIT), request.cursor
