"""The values that fields take: their types, with what is said of them and of their limits.

What stands here judges nothing: the document of the service is made from it, and `checks` keeps the same rules.
"""

from typing import Annotated, Any

from msgspec import Meta, Raw

from ingot import limits

__all__ = [
    "EMBEDDING_FORMATS",
    "METRICS",
    "OUTPUT_FIELDS",
    "ChunkIds",
    "Crc32c",
    "Cursor",
    "Dimension",
    "DryRun",
    "Ef",
    "EmbeddingFormat",
    "Embeddings",
    "Exact",
    "FileId",
    "FileIds",
    "FilterExpr",
    "HoldsEmbeddings",
    "MaxChunks",
    "Metadata",
    "MetricName",
    "NamesLimit",
    "OtherSubTenantId",
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
    "VectorsById",
]

#: How two vectors may be compared.
METRICS = ("cosine", "ip", "l2")

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
OtherSubTenantId = Annotated[
    str,
    _said(
        f"A part of the tenant, but for `default`: {_id_text(limits.MAX_TENANT_ID)}.",
        **_id(limits.MAX_TENANT_ID),
        **{"not": {"const": "default"}},
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
_DOCUMENT: dict[str, Any] = {
    "source_id": _id(limits.MAX_SOURCE_ID),
    "metadata": {
        "description": "Takes the place of the source's metadata, which stays when this is left out.",
        "type": ["object", "null"],
    },
}
_CHUNK = {
    "type": "object",
    "properties": {"chunk_id": _id(limits.MAX_CHUNK_ID), "embedding": VECTOR},
    "required": ["chunk_id", "embedding"],
    "additionalProperties": False,
}
#: Sources of the document form: their chunks one by one, or ids beside vectors as base64.
DOCUMENTS: dict[str, Any] = {
    "type": "array",
    "title": "documents",
    "items": {
        "anyOf": [
            {
                "type": "object",
                "title": "chunks",
                "properties": {
                    **_DOCUMENT,
                    "embeddings": {
                        "type": "array",
                        "items": _CHUNK,
                        "minItems": 1,
                        "maxItems": limits.MAX_ROWS,
                    },
                },
                "required": ["source_id", "embeddings"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "title": "base64",
                "properties": {
                    **_DOCUMENT,
                    "chunk_ids": {
                        "description": "As many as there are vectors.",
                        "type": "array",
                        "items": _id(limits.MAX_CHUNK_ID),
                        "minItems": 1,
                        "maxItems": limits.MAX_ROWS,
                    },
                    "embeddings": _binary(limits.MAX_ROWS, limits.MAX_COLUMNS),
                },
                "required": ["source_id", "chunk_ids", "embeddings"],
                "additionalProperties": False,
            },
        ]
    },
    "minItems": 1,
    "maxItems": limits.MAX_ROWS,
}
FilterExpr = Annotated[
    str,
    _said(
        'Which rows, as a boolean expression over `source_id`, `chunk_id` and `metadata["key"]`: `==` `!=` `<` `<=` '
        f"`>` `>=` `in` `not in` `like` `exists` `and` `or` `not`; at most {limits.MAX_FILTER} bytes and "
        f"{limits.MAX_FILTER_LEVELS} levels, {limits.MAX_FILTER_KEYS} different keys.",
        format="filter",
        minLength=1,
        maxLength=limits.MAX_FILTER,
        examples=['metadata["lang"] == "en" and metadata["year"] >= 2020'],
    ),
]
Embeddings = Annotated[
    Raw,
    _said(
        f"The vectors: 1 to {limits.MAX_ROWS} rows of the same 1 to {limits.MAX_COLUMNS} numbers, each finite as "
        "float32; in a cosine tenant no row is all zero. Either the rows of one source, which they replace; or a list "
        "of sources with chunks that have ids of your own, which are added or replaced.",
        anyOf=[*_rows(limits.MAX_ROWS), DOCUMENTS],
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
    _said(
        "Whether what has the same id, source or chunk, is replaced; false refuses the upload with 409, unless it is "
        "stored already.",
        default=True,
    ),
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
MaxChunks = Annotated[
    int,
    _said(
        "How many rows are answered, at most.",
        minimum=1,
        maximum=limits.MAX_CHUNKS,
        default=limits.DEFAULT_CHUNKS,
    ),
]
VectorsById = Annotated[
    Raw,
    _said(
        f"Row id -> its new vector: 1 to {limits.MAX_ROWS} rows of one source, of the tenant's dimension, each number "
        "finite as float32; in a cosine tenant no row is all zero.",
        type="object",
        additionalProperties=VECTOR,
        propertyNames=_id(limits.MAX_CHUNK_ID),
        minProperties=1,
        maxProperties=limits.MAX_ROWS,
    ),
]
PageLimit = Annotated[
    int,
    _said(
        f"How many rows are answered, at most; a page ends before {limits.MAX_PAGE_BYTES} bytes all the same.",
        minimum=1,
        maximum=limits.MAX_PAGE_LIMIT,
        default=limits.DEFAULT_PAGE_LIMIT,
    ),
]
NamesLimit = Annotated[
    int,
    _said(
        "How many are answered, at most.",
        minimum=1,
        maximum=limits.MAX_NAMES_LIMIT,
        default=limits.DEFAULT_NAMES_LIMIT,
    ),
]
Cursor = Annotated[
    str,
    _said(
        "What the header `X-Next-Cursor` of the page before had; everything but `limit` and `output_fields` as before.",
        pattern="^([0-9a-f]{72}|[0-9a-f]{112})$",
    ),
]
Dimension = Annotated[
    int,
    _said(
        "Numbers in a row, for ever; left out, the tenant's first vectors fix it.",
        minimum=1,
        maximum=limits.MAX_COLUMNS,
    ),
]
HoldsEmbeddings = Annotated[bool, _said("This server holds embeddings, nothing else.", enum=[True])]
MetricName = Annotated[
    str,
    _said(
        "How vectors are compared, for ever: by cosine, by inner product, or by Euclidean distance. Left out, a new "
        "tenant gets `cosine`.",
        enum=list(METRICS),
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
