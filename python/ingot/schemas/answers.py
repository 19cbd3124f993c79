"""The answers, as typed structs: what the document of the service says of them, and what tests hold them against.

The bytes themselves are written by `ingot.http.answers`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

__all__ = [
    "Alive",
    "DeleteAnswer",
    "Found",
    "Hit",
    "InsertAnswer",
    "Ready",
    "Refusal",
    "StatsAnswer",
    "StatusAnswer",
    "StatusesAnswer",
]


def _said(description: str, **schema: Any) -> Meta:
    return Meta(description=description, extra_json_schema=schema)


class Answer(msgspec.Struct, kw_only=True):
    """Answers only gain fields: clients ignore those that they do not know."""


Count = Annotated[int, _said("A number of rows.", minimum=0)]
RowIds = Annotated[
    list[str], _said("The ids of the rows, in order: the source's, `_`, and the number from 0.")
]


class InsertAnswer(Answer):
    """The upload is on stable storage, and the next search finds it."""

    success: Literal[True]
    status: Literal["success"]
    message: Annotated[str, _said("Says so too when the source existed and was overwritten.")]
    file_id: Annotated[str, _said("The id of the source, sent or made.")]
    batch_id: Annotated[str, _said("The same as `file_id`.")]
    chunk_ids: RowIds
    insert_count: Count
    ids: Annotated[list[str], _said("The same as `chunk_ids`.")]
    error: None
    tenant_id: str
    sub_tenant_id: str
    dimension: Annotated[int, _said("Numbers in a row.", minimum=1)]
    overwritten: Annotated[int, _said("Rows that the source had before and that are replaced.", minimum=0)]
    crc32c: Annotated[
        str, _said("CRC-32C of the rows as float32, little-endian, in order.", pattern="^[0-9a-f]{8}$")
    ]
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
    dimension: Annotated[int, _said("Numbers in a row.", minimum=1)]
    metric: Literal["cosine", "ip", "l2"]
    rows: Count
    indexed_rows: Count
    sources: Annotated[int, _said("Sources with at least one row.", minimum=0)]
    sub_tenants: Annotated[dict[str, Count], _said("Rows by sub-tenant.")]
    groups: Annotated[int, _said("How often its log was written and synced since it was opened.", minimum=0)]


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
