"""The answers, as typed structs: what the document of the service says of them, and what tests hold them against.

The bytes themselves are written by `ingot.http.answers`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

__all__ = [
    "Alive",
    "CreateAnswer",
    "DeleteAnswer",
    "DoneAnswer",
    "FirstDeleteAnswer",
    "FirstGetAnswer",
    "FirstSearchAnswer",
    "FirstStatsAnswer",
    "FirstSubTenantsAnswer",
    "FirstTenantAnswer",
    "FirstUpdateAnswer",
    "Found",
    "Hit",
    "InsertAnswer",
    "Ready",
    "Refusal",
    "SourcesAnswer",
    "StatsAnswer",
    "StatusAnswer",
    "StatusesAnswer",
    "SubTenantsAnswer",
    "TenantsAnswer",
]


def _said(description: str, **schema: Any) -> Meta:
    return Meta(description=description, extra_json_schema=schema)


class Answer(msgspec.Struct, kw_only=True):
    """Answers only gain fields: clients ignore those that they do not know."""


Count = Annotated[int, _said("A number of rows.", minimum=0)]
RowIds = Annotated[
    list[str],
    _said("The ids of the rows, in order: as they were sent, or the source's, `_`, and the number from 0."),
]


class InsertAnswer(Answer):
    """The upload is on stable storage, and the next search finds it."""

    success: Literal[True]
    status: Literal["success"]
    message: Annotated[str, _said("Says so too when the source existed and was overwritten.")]
    file_id: Annotated[str, _said("The id of the source, sent or made; null when there are several.")] | None
    batch_id: Annotated[str, _said("The same as `file_id`.")] | None
    chunk_ids: RowIds
    insert_count: Count
    ids: Annotated[list[str], _said("The same as `chunk_ids`.")]
    error: None
    tenant_id: str
    sub_tenant_id: str
    dimension: Annotated[int, _said("Numbers in a row.", minimum=1)]
    overwritten: Annotated[int, _said("Rows that were there before and that are replaced.", minimum=0)]
    crc32c: Annotated[
        str, _said("CRC-32C of the rows as float32, little-endian, in order.", pattern="^[0-9a-f]{8}$")
    ]
    file_ids: Annotated[list[str], _said("The ids of several sources, in order.")] | UnsetType = UNSET
    dry_run: Annotated[Literal[True], _said("There when nothing was stored.")] | UnsetType = UNSET


class Chunk(Answer):
    """One row."""

    chunk_id: str
    embedding: Annotated[
        list[float] | str | None,
        _said(
            "The numbers, as doubles that are the stored float32, or base64 of their bytes where `embedding_format` "
            "asks for it; null unless `output_fields` asks for them."
        ),
    ]


class Found(Answer):
    """One row, with its source."""

    source_id: str
    embedding: Chunk
    metadata: Annotated[dict[str, Any], _said("The source's, exactly as sent.")]


class Hit(Found):
    """One row that a search found."""

    score: Annotated[
        float,
        _said("Higher is more similar: cosine; with `ip` the dot product; with `l2` the negative distance."),
    ]
    distance: Annotated[
        float,
        _said("Lower is more similar: 1 - cosine; with `ip` the negative dot product; with `l2` Euclid's."),
    ]


class DeleteAnswer(Answer):
    """The rows are gone, durably."""

    delete_count: Count
    success: Literal[True]
    error: None


class StatusAnswer(Answer):
    """How far one source is."""

    file_id: str
    indexing_status: Annotated[
        Literal["completed", "errored"],
        _said("`completed` from the acknowledgement on: the source is searchable."),
    ]
    error_code: Literal["NOT_FOUND"] | None
    success: bool
    message: str
    indexed_rows: (
        Annotated[int, _said("Rows that the graph holds, or that need none.", minimum=0)] | UnsetType
    ) = UNSET
    total_rows: Count | UnsetType = UNSET


class StatusesAnswer(Answer):
    """How far several sources are, in the order they were asked about."""

    statuses: list[StatusAnswer]


class StatsAnswer(Answer):
    """One tenant, counted."""

    tenant_id: str
    dimension: Annotated[int | None, _said("Numbers in a row; null before it is fixed.", minimum=1)]
    metric: Literal["cosine", "ip", "l2"]
    rows: Count
    indexed_rows: Count
    sources: Annotated[int, _said("Sources with at least one row.", minimum=0)]
    sub_tenants: Annotated[dict[str, Count], _said("Rows by sub-tenant.")]
    groups: Annotated[int, _said("How often its log was written and synced since it was opened.", minimum=0)]


class CreateAnswer(Answer):
    """The tenant is there, durably, and as asked for."""

    status: Literal["success"]
    tenant_id: str
    message: Annotated[str, _said("Says whether it was there already.")]


class DoneAnswer(Answer):
    """It is done, durably."""

    success: Literal[True]
    message: str


class SubTenantsAnswer(Answer):
    """The sub-tenants of a tenant."""

    sub_tenant_ids: Annotated[list[str], _said("Sorted; `default` is always among them.")]
    message: str


class TenantsAnswer(Answer):
    """Some of the tenants."""

    tenant_ids: Annotated[list[str], _said("In the order of a hash of theirs, which does not change.")]


class SourceRows(Answer):
    """One source."""

    source_id: str
    rows: Annotated[int, _said("How many it has.", minimum=1)]


class SourcesAnswer(Answer):
    """Some of the sources of a sub-tenant."""

    sources: Annotated[list[SourceRows], _said("In the order of their first rows.")]


class FirstAnswer(Answer):
    """What all answers of the first age have."""

    success: Literal[True]
    message: str


class FirstUpdateAnswer(FirstAnswer):
    """The new vectors are on stable storage, and the next search finds them."""

    file_id: Annotated[str, _said("The source that the rows belong to.")]
    batch_id: Annotated[str, _said("The same as `file_id`.")]
    chunk_ids: Annotated[list[str], _said("The ids of the rows, as sent.")]
    updated_count: Count


class FirstSearchAnswer(FirstAnswer):
    """What a search of the first age found, best first."""

    chunk_ids: list[str]
    scores: Annotated[list[float], _said("One for each id; higher is more similar.")]


class FirstGetAnswer(FirstAnswer):
    """Vectors by the ids of their rows."""

    embeddings: Annotated[
        dict[str, list[float]], _said("Row id -> its numbers, as doubles that are the stored float32.")
    ]
    not_found_chunk_ids: Annotated[
        list[str], _said("Ids of no row, in the order in which they were asked for.")
    ]


class FirstDeleteAnswer(FirstAnswer):
    """The rows are gone, durably."""

    status: Annotated[dict[str, bool], _said("Row id -> whether there was such a row to delete.")]
    total_deleted: Count


class FirstTenantAnswer(FirstAnswer):
    """The tenant is there."""

    tenant_id: str
    sub_tenant_id: Annotated[str, _said("The sub-tenant that always exists.")]


class FirstStatsAnswer(FirstAnswer):
    """One sub-tenant, counted."""

    object_count: Count
    tenant_id: str
    vector_dimension: Annotated[int | None, _said("Numbers in a row; null while none is fixed.")]


class FirstSubTenantsAnswer(FirstAnswer):
    """The sub-tenants of a tenant, by name."""

    tenant_id: str
    sub_tenant_ids: list[str]
    count: Annotated[int, _said("How many there are.", minimum=1)]


class Alive(Answer):
    """The process lives."""

    status: Literal["ok"]


class Ready(Answer):
    """Writes are taken."""

    status: Annotated[Literal["ok", "degraded"], _said("`degraded`: some tenants refuse writes.")]
    refusing_tenants: Annotated[int, _said("How many tenants refuse writes.", minimum=1)] | UnsetType = UNSET


class Detail(Answer):
    """What is wrong, where, and what would be right. Positions count from 0."""

    success: Literal[False]
    message: str
    error_code: str
    request_id: Annotated[str, _said("The same as the header `X-Request-Id`.")]
    row: Annotated[int, _said("The row that is wrong.", minimum=0)] | UnsetType = UNSET
    column: Annotated[int, _said("The number in the row that is wrong.", minimum=0)] | UnsetType = UNSET
    field: Annotated[str, _said("The field, parameter or header that is wrong.")] | UnsetType = UNSET
    offset: Annotated[int, _said("The byte of the body that is wrong.", minimum=0)] | UnsetType = UNSET


class Refusal(Answer):
    """The body of every error."""

    detail: Detail
