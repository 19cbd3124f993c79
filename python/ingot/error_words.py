"""The words for the engine's errors: the structure it tells becomes an exception here."""

from collections.abc import Callable, Mapping
from typing import Any

from ingot.errors import (
    AlreadyExists,
    Closed,
    ConflictingFields,
    CorruptData,
    CursorExpired,
    DigestMismatch,
    DimensionMismatch,
    DirectoryInUse,
    DiskFull,
    DuplicateChunkId,
    EmptyEmbeddings,
    Forked,
    FormatTooNew,
    GraphFailed,
    IngotError,
    InternalError,
    Interrupted,
    InvalidId,
    InvalidLimit,
    MalformedJson,
    MalformedNpy,
    MetadataTooLarge,
    NonFiniteValue,
    NotFound,
    OutcomeUnknown,
    RaggedRows,
    StorageFailed,
    SubTenantNotFound,
    TenantNotFound,
    TenantReadOnly,
    TenantSettingsDiffer,
    TooManyColumns,
    TooManyRows,
    WrongType,
    ZeroVector,
)

__all__ = ["from_engine", "place"]


def place(row: int | None, column: int | None = None, field: str | None = None) -> str:
    """The words for a position: `row 17, column 803`, with ": " behind; "" when nothing is known."""
    parts = [] if row is None else [f"row {row}"]
    if column is not None:
        parts.append(f"column {column}")
    if not parts and field is not None:
        parts.append(f"`{field}`")
    return ", ".join(parts) + ": " if parts else ""


_Words = Callable[[Mapping[str, Any]], str]


def _where(f: Mapping[str, Any]) -> str:
    return place(f.get("row"), f.get("column"), f.get("field"))


def _settings(metric: str | None, dimension: int | None, without: str) -> str:
    some = [] if metric is None else [f"metric {metric}"]
    some.append(without if dimension is None else f"dimension {dimension}")
    return " and ".join(one for one in some if one)


# Variant of the engine's error -> the class and its words.
_TABLE: dict[str, tuple[type[IngotError], _Words]] = {
    "NonFinite": (NonFiniteValue, lambda f: f"{_where(f)}{f['value']} is not finite as float32"),
    "ZeroVector": (
        ZeroVector,
        lambda f: f"{_where(f)}all numbers are zero: such a vector has no cosine with any other",
    ),
    "DimensionMismatch": (
        DimensionMismatch,
        lambda f: f"vectors of dimension {f['got']} were sent, the tenant has dimension {f['expected']}",
    ),
    "RaggedRows": (
        RaggedRows,
        lambda f: f"{_where(f)}{f['got']} numbers, the rows before it have {f['expected']}",
    ),
    "EmptyEmbeddings": (EmptyEmbeddings, lambda f: f"`{f['field']}` is empty: send at least one number"),
    "TooManyRows": (TooManyRows, lambda f: f"more than {f['limit']} rows: send several uploads"),
    "TooManyColumns": (TooManyColumns, lambda f: f"{_where(f)}more than {f['limit']} numbers"),
    "WrongType": (
        WrongType,
        lambda f: f"`{f['field']}`: {_where({**f, 'field': None})}expected {f['expected']}, got {f['got']}",
    ),
    "MalformedJson": (MalformedJson, lambda f: f"not valid JSON at byte {f['offset']}: {f['reason']}"),
    "DuplicateField": (MalformedJson, lambda f: f"the field `{f['field']}` appears twice"),
    "MalformedNpy": (MalformedNpy, lambda f: f"not a .npy array that can be stored: {f['reason']}"),
    "InvalidId": (InvalidId, lambda f: f"{place(f.get('row'))}`{f['field']}` {f['reason']}"),
    "DuplicateChunkId": (
        DuplicateChunkId,
        lambda f: (
            f"{place(f['row'])}the chunk id '{f['chunk_id']}' is that of row {f['first']} already: name each chunk once"
        ),
    ),
    "DuplicateSource": (
        ConflictingFields,
        lambda f: f"the source '{f['source_id']}' is there twice: put all its chunks into one document",
    ),
    "IdCount": (
        ConflictingFields,
        lambda f: f"{f['ids']} chunk ids for {f['rows']} rows: give each row one",
    ),
    "SeveralSources": (
        ConflictingFields,
        lambda f: (
            f"the chunk '{f['chunk_id']}' is of the source '{f['other']}', the first of '{f['source_id']}': "
            "update one source at a time"
        ),
    ),
    "MetadataTooLarge": (
        MetadataTooLarge,
        lambda f: f"`document_metadata` is {f['bytes']} bytes of JSON, at most {f['limit']} are allowed",
    ),
    "InvalidLimit": (InvalidLimit, lambda f: f"`limit` is {f['got']}, it must be 1..{f['maximum']}"),
    "CursorOfAnother": (
        ConflictingFields,
        lambda f: (
            "`cursor` belongs to another request: send it with the tenant, the sub-tenant and the selector that it "
            "came with, or begin again without one"
        ),
    ),
    "DigestMismatch": (
        DigestMismatch,
        lambda f: f"`crc32c` is {f['expected']:08x}, the rows that arrived have {f['got']:08x}",
    ),
    "TenantNotFound": (TenantNotFound, lambda f: "no such tenant"),
    "SubTenantNotFound": (SubTenantNotFound, lambda f: "no such sub-tenant"),
    "NotFound": (NotFound, lambda f: "no such source"),
    "CursorExpired": (
        CursorExpired,
        lambda f: "the rows that `cursor` leads to have changed since: begin again without one",
    ),
    "TenantSettingsDiffer": (
        TenantSettingsDiffer,
        lambda f: (
            f"the tenant exists with {_settings(f['metric'], f['dimension'], 'no dimension yet')}, "
            f"asked for is {_settings(f['asked_metric'], f['asked_dimension'], '')}"
        ),
    ),
    "ChunkNotFound": (NotFound, lambda f: f"no chunk '{f['chunk_id']}'; nothing was changed"),
    "AlreadyExists": (
        AlreadyExists,
        lambda f: f"a source '{f['source_id']}' exists already and `upsert` is false",
    ),
    "ChunkExists": (
        AlreadyExists,
        lambda f: f"a chunk '{f['chunk_id']}' exists already and `upsert` is false",
    ),
    "DiskFull": (DiskFull, lambda f: "no space left on the disk; nothing was stored"),
    "OutcomeUnknown": (
        OutcomeUnknown,
        lambda f: (
            "the sync to disk failed: the upload is there whole or not at all; send it again to settle it"
        ),
    ),
    "TenantReadOnly": (TenantReadOnly, lambda f: f"the tenant takes no writes at present: {f['reason']}"),
    "StorageFailed": (StorageFailed, lambda f: f"storage failed: {f['reason']}"),
    "CorruptData": (CorruptData, lambda f: f"corrupt data: {f['reason']}"),
    "GraphFailed": (GraphFailed, lambda f: f"the graph failed: {f['reason']}"),
    "DirectoryInUse": (
        DirectoryInUse,
        lambda f: (
            "another process has the directory open"
            + (f" (process {f['pid']})" if f.get("pid") is not None else "")
            + ": stop it, or choose another directory"
        ),
    ),
    "FormatTooNew": (
        FormatTooNew,
        lambda f: (
            f"the directory has format version {f['found']}, this ingot reads up to {f['supported']}: "
            "upgrade ingot, or choose another directory"
        ),
    ),
    "Closed": (Closed, lambda f: "the store is closed"),
    "Forked": (Forked, lambda f: "the store was opened before a fork: open it again in the child"),
}

# The engine's names for details that have another name here.
_RENAMED = {"maximum": "limit"}
_FIELD_OF = {
    InvalidLimit: "limit",
    MetadataTooLarge: "document_metadata",
    DigestMismatch: "crc32c",
    ConflictingFields: "cursor",
    CursorExpired: "cursor",
}


def from_engine(kind: str, fields: Mapping[str, Any]) -> IngotError | KeyboardInterrupt:
    """The exception for the engine's error variant `kind` with its fields; native code raises what it returns."""
    if kind == "Interrupted":
        return Interrupted("interrupted")
    entry = _TABLE.get(kind)
    if entry is None:
        return InternalError(f"unknown engine error {kind}: {dict(fields)!r}")
    cls, words = entry
    details = {_RENAMED.get(name, name): value for name, value in fields.items()}
    if cls in _FIELD_OF:
        details.setdefault("field", _FIELD_OF[cls])
    return cls(words(fields), **details)
