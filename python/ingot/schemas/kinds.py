"""The values that fields take: their types, with what is said of them and of their limits.

What stands here judges nothing: the document of the service is made from it, and `checks` keeps the same rules.
"""

from typing import Annotated, Any

from msgspec import Meta, Raw

from ingot import limits

__all__ = [
    "EMBEDDING_FORMATS",
    "OUTPUT_FIELDS",
    "ChunkIds",
    "Crc32c",
    "DryRun",
    "Ef",
    "EmbeddingFormat",
    "Exact",
    "FileId",
    "FileIds",
    "Matrix",
    "Metadata",
    "OutputFields",
    "PageLimit",
    "Queries",
    "Query",
    "ScoreThreshold",
    "SearchLimit",
    "SourceId",
    "SubTenantId",
    "TenantId",
    "Upsert",
]

#: What `output_fields` may name; everything but `embedding` always comes.
OUTPUT_FIELDS = ("chunk_id", "source_id", "embedding", "score", "distance", "metadata")
#: What `embedding_format` may be.
EMBEDDING_FORMATS = ("list", "base64")

# No character of Unicode's category Cc.
_NO_CONTROL = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
# The double halfway between the largest float32 and the power of two above it. It would round to infinity; the shortest
# text of it, which is what JSON has, is a little less and does not.
_LARGEST = float((1 << 128) - (1 << 103))

#: A number of a vector.
NUMBER: dict[str, Any] = {
    "type": "number",
    "minimum": -_LARGEST,
    "maximum": _LARGEST,
}
#: A vector.
VECTOR: dict[str, Any] = {
    "type": "array",
    "items": NUMBER,
    "minItems": 1,
    "maxItems": limits.MAX_COLUMNS,
}


def _binary(*shape: int) -> dict[str, Any]:
    """Numbers as base64, in an array of at most this shape."""
    return {
        "type": "object",
        "title": "base64",
        "properties": {
            "data": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "The little-endian numbers, row by row (RFC 4648, section 4: padded, no white space).",
            },
            "dtype": {"type": "string", "enum": ["float32", "float16", "int8"]},
            "shape": {
                "type": "array",
                "prefixItems": [{"type": "integer", "minimum": 1, "maximum": most} for most in shape],
                "minItems": len(shape),
                "maxItems": len(shape),
            },
        },
        "required": ["data", "dtype", "shape"],
        "additionalProperties": False,
    }


def _rows(most: int) -> list[dict[str, Any]]:
    """Rows as lists of numbers, or as base64."""
    listed = {"type": "array", "title": "list", "items": VECTOR, "minItems": 1, "maxItems": most}
    return [listed, _binary(most, limits.MAX_COLUMNS)]


def _said(description: str, **schema: Any) -> Meta:
    return Meta(description=description, extra_json_schema=schema)


def _each(**schema: Any) -> Meta:
    return Meta(extra_json_schema=schema)


def _id(most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most, "pattern": _NO_CONTROL}


def _id_text(most: int) -> str:
    return f"1 to {most} bytes of UTF-8 without control characters, compared as bytes"


TenantId = Annotated[
    str,
    _said(
        f"The tenant: {_id_text(limits.MAX_TENANT_ID)}. Its first vectors fix its dimension.",
        **_id(limits.MAX_TENANT_ID),
    ),
]
SubTenantId = Annotated[
    str,
    _said(
        f"A part of the tenant: {_id_text(limits.MAX_TENANT_ID)}. Left out, null or empty it is `default`.",
        **_id(limits.MAX_TENANT_ID, 0),
    ),
]
FileId = Annotated[
    str,
    _said(f"The id of the source: {_id_text(limits.MAX_SOURCE_ID)}.", **_id(limits.MAX_SOURCE_ID)),
]
SourceId = Annotated[
    str,
    _said(
        f"The source, which an upload calls `file_id`: {_id_text(limits.MAX_SOURCE_ID)}.",
        **_id(limits.MAX_SOURCE_ID),
    ),
]
FileIds = Annotated[
    list[Annotated[str, _each(**_id(limits.MAX_SOURCE_ID))]],
    _said(
        f"Up to {limits.MAX_FILE_IDS} sources, answered as a batch.",
        minItems=1,
        maxItems=limits.MAX_FILE_IDS,
    ),
]
ChunkIds = Annotated[
    list[Annotated[str, _each(**_id(limits.MAX_CHUNK_ID))]],
    _said(
        f"Up to {limits.MAX_CHUNK_IDS} rows by their ids, each {_id_text(limits.MAX_CHUNK_ID)}.",
        maxItems=limits.MAX_CHUNK_IDS,
    ),
]
Matrix = Annotated[
    Raw,
    _said(
        f"The vectors: 1 to {limits.MAX_ROWS} rows of the same 1 to {limits.MAX_COLUMNS} numbers, each finite as "
        "float32; in a cosine tenant no row is all zero.",
        anyOf=_rows(limits.MAX_ROWS),
    ),
]
Query = Annotated[
    Raw,
    _said(
        "The vector whose nearest rows are looked for, of the tenant's dimension; in a cosine tenant not all zero.",
        anyOf=[{"title": "list", **VECTOR}, _binary(limits.MAX_COLUMNS)],
    ),
]
Queries = Annotated[
    Raw,
    _said(
        f"In the place of `query_embedding`, 1 to {limits.MAX_QUERIES} vectors of the tenant's dimension; the answer "
        "is a list of lists, in query order.",
        anyOf=_rows(limits.MAX_QUERIES),
    ),
]
Metadata = Annotated[
    Raw,
    _said(
        f"Kept with the source and answered exactly as sent: at most {limits.MAX_METADATA} bytes and "
        f"{limits.MAX_METADATA_LEVELS} levels. A `file_id` in it names the source.",
        type=["object", "null"],
        properties={"file_id": {**_id(limits.MAX_SOURCE_ID), "type": ["string", "null"]}},
    ),
]
Upsert = Annotated[
    bool,
    _said("Whether a source of the same id is replaced; false refuses the upload with 409.", default=True),
]
DryRun = Annotated[bool, _said("Judge everything and store nothing.", default=False)]
Crc32c = Annotated[
    str,
    _said(
        "CRC-32C of the rows as float32, little-endian, in order: another one is refused, nothing is stored.",
        pattern="^[0-9a-f]{8}$",
    ),
]
SearchLimit = Annotated[
    int,
    _said(
        "How many rows are answered, at most.",
        minimum=1,
        maximum=limits.MAX_SEARCH_LIMIT,
        default=limits.DEFAULT_SEARCH_LIMIT,
    ),
]
PageLimit = Annotated[
    int,
    _said(
        f"How many rows are answered, at most; together they may be {limits.MAX_PAGE_BYTES} bytes.",
        minimum=1,
        maximum=limits.MAX_PAGE_LIMIT,
        default=limits.DEFAULT_PAGE_LIMIT,
    ),
]
Ef = Annotated[
    int,
    _said(
        "How many candidates the graph keeps: more is slower and finds more.",
        minimum=1,
        maximum=limits.MAX_EF,
    ),
]
Exact = Annotated[
    bool,
    _said("Compare with every row, not by the graph. The distances are exact either way.", default=False),
]
ScoreThreshold = Annotated[float, _said("Rows of a lower score are left out.")]
OutputFields = Annotated[
    list[Annotated[str, _each(enum=list(OUTPUT_FIELDS))]],
    _said("`embedding` has the vectors answered; everything else always comes."),
]
EmbeddingFormat = Annotated[
    str,
    _said(
        "How `embedding` is answered: as a list of numbers, or as base64 of their float32 little-endian bytes.",
        enum=list(EMBEDDING_FORMATS),
        default="list",
    ),
]
