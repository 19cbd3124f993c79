"""The rules a request must keep that its types cannot say; each returns what the engine is asked for.

`check_present` judges only what is there, so that parameters are judged before the body is read.
"""

import math
import re
from typing import Any, Literal, NamedTuple, NoReturn

import msgspec
from msgspec import Raw

from ingot import limits
from ingot.errors import (
    ConflictingFields,
    EmptyEmbeddings,
    InvalidLimit,
    MissingField,
    TooManyRows,
    UnknownField,
    WrongType,
)
from ingot.schemas.documents import Documents
from ingot.schemas.fields import json_type, refuse_type
from ingot.schemas.idempotency import derived_file_id
from ingot.schemas.ids import check_chunk_ids, check_source_id, check_tenant_ids
from ingot.schemas.metadata import check_metadata, metadata_file_id
from ingot.schemas.requests import (
    EMBEDDING_FORMATS,
    OUTPUT_FIELDS,
    PAGE_LIMIT,
    SEARCH_LIMIT,
    DeleteRequest,
    GetRequest,
    InsertRequest,
    SearchRequest,
    StatusRequest,
)
from ingot.settings import nearest

__all__ = [
    "Selection",
    "check_batch",
    "check_delete",
    "check_get",
    "check_insert",
    "check_limit",
    "check_matrix",
    "check_present",
    "check_queries",
    "check_query",
    "check_search",
    "check_status",
    "check_tenant",
    "shown",
]

#: How vectors are answered.
VectorFormat = Literal["none", "list", "base64"]

_CRC32C = re.compile(r"[0-9a-f]{8}", re.ASCII)


def check_present(request: Any) -> None:
    """Raises for what is given and wrong; says nothing about what is missing."""
    check_tenant_ids(
        request.tenant_id if request.tenant_id is not None else "-", getattr(request, "sub_tenant_id", None)
    )
    match request:
        case InsertRequest():
            _check_insert_present(request)
        case SearchRequest():
            check_limit(request.limit, SEARCH_LIMIT)
            _ef(request.ef)
            _vectors(request)
        case GetRequest():
            check_limit(request.limit, PAGE_LIMIT)
            _vectors(request)


def check_tenant(request: Any) -> str:
    """The tenant's id, which every request needs."""
    tenant_id: str | None = request.tenant_id
    if tenant_id is None:
        raise MissingField("`tenant_id` is missing: name the tenant", field="tenant_id")
    return tenant_id


class Insertion(NamedTuple):
    """What an upload asks for; `file_id` None is to be made, `metadata` None is none. The document form has
    `documents`, and neither of these."""

    tenant_id: str
    sub_tenant_id: str | None
    file_id: str | None
    metadata: bytes | None
    upsert: bool
    dry_run: bool
    crc32c: int | None
    documents: Documents | None


def _check_insert_present(request: InsertRequest) -> tuple[str | None, bytes | None]:
    file_id = request.file_id
    if file_id is not None:
        _file_id("file_id", file_id)
    text = bytes(request.document_metadata)
    metadata = None if text in (b"", b"null") else text
    if metadata is not None:
        check_metadata(metadata)
        inner = metadata_file_id(metadata)
        if inner is not None:
            _file_id("document_metadata.file_id", inner)
            if file_id is not None and inner != file_id:
                raise ConflictingFields(
                    "`file_id` and `document_metadata.file_id` differ: send one", field="file_id"
                )
            file_id = inner
    if request.crc32c is not None and not _CRC32C.fullmatch(request.crc32c):
        raise WrongType("`crc32c`: expected 8 lowercase hexadecimal digits", field="crc32c")
    return file_id, metadata


def _file_id(field: str, value: str) -> None:
    if not value:
        raise MissingField(f"`{field}` is empty: leave it out to have an id made, or name one", field=field)
    check_source_id(field, value)


def check_insert(
    request: InsertRequest, key: str | None = None, documents: Documents | None = None
) -> Insertion:
    """The upload a request asks for, its vectors apart; `key` is its idempotency key."""
    tenant_id, sub_tenant_id = check_tenant(request), request.sub_tenant_id or None
    check_tenant_ids(tenant_id, sub_tenant_id)
    file_id, metadata = _check_insert_present(request)
    if documents is not None:
        for field, given in (("file_id", file_id), ("document_metadata", metadata)):
            if given is not None:
                raise ConflictingFields(
                    f"`{field}` and documents in `embeddings` exclude each other: each document has its own",
                    field=field,
                )
    elif file_id is None and key is not None:
        file_id = derived_file_id(tenant_id, sub_tenant_id, key)
    return Insertion(
        tenant_id,
        sub_tenant_id,
        file_id,
        metadata,
        request.upsert is not False,
        request.dry_run is True,
        None if request.crc32c is None else int(request.crc32c, 16),
        documents,
    )


def check_matrix(embeddings: Raw, rows: int | None) -> None:
    """Raises unless the envelope's `embeddings` is the matrix form and stands for `rows` rows."""
    text = bytes(embeddings)
    if text in (b"", b"null"):
        raise MissingField("`embeddings` is missing: send a list of vectors", field="embeddings")
    value = msgspec.json.decode(text)
    if isinstance(value, list):
        if not value:
            raise EmptyEmbeddings("`embeddings` is empty: send at least one vector", field="embeddings")
        if len(value) > limits.MAX_ROWS:
            raise TooManyRows(
                f"more than {limits.MAX_ROWS} rows: send several uploads",
                field="embeddings",
                limit=limits.MAX_ROWS,
            )
        if value == list(range(rows or 0)):
            return
    raise WrongType(
        f"`embeddings`: expected an array of arrays of numbers, got {_element(value)}",
        field="embeddings",
        expected="an array of arrays of numbers",
    )


def _element(value: Any) -> str:
    if isinstance(value, list):
        return "an array with other elements"
    return json_type(value)


def check_queries(request: SearchRequest, rows: int | None) -> bool:
    """Whether the envelope asks a batch; raises unless it has one vector, or a list of them, and not both."""
    one, many = bytes(request.query_embedding), bytes(request.query_embeddings)
    if many in (b"", b"null"):
        if one in (b"", b"null"):
            raise MissingField(
                "`query_embedding` is missing: send one vector, or a list of them as `query_embeddings`",
                field="query_embedding",
            )
        check_query("query_embedding", one, rows)
        return False
    if one not in (b"", b"null"):
        raise ConflictingFields(
            "`query_embedding` and `query_embeddings` exclude each other: send one", field="query_embeddings"
        )
    if msgspec.json.decode(many) != list(range(rows or 0)) or not rows:
        return _refuse_query("query_embeddings", many, "vector")
    return True


def check_query(field: str, text: bytes, rows: int | None) -> None:
    """Raises unless `text`, which the envelope has in `field`, stands for the only vector of the body."""
    # What every search but a batch says: the reader left the number of the only row.
    if text != b"0" or rows != 1:
        _refuse_query(field, text, "number")


def _refuse_query(field: str, text: bytes, element: str) -> NoReturn:
    value = msgspec.json.decode(text)
    if value == []:
        raise EmptyEmbeddings(f"`{field}` is empty: send at least one {element}", field=field)
    refuse_type(field, None, json_type(value))


class Search(NamedTuple):
    """What a search asks for."""

    tenant_id: str
    sub_tenant_id: str | None
    limit: int
    ef: int | None
    exact: bool
    score_threshold: float | None
    vectors: VectorFormat
    filter: str | None


def check_search(request: SearchRequest) -> Search:
    """The search a request asks for, its query apart."""
    check_tenant_ids(check_tenant(request), request.sub_tenant_id)
    threshold = request.score_threshold
    if threshold is not None and not math.isfinite(threshold):
        refuse_type("score_threshold", float | None, "a number that no double holds")
    return Search(
        check_tenant(request),
        request.sub_tenant_id or None,
        check_limit(request.limit, SEARCH_LIMIT),
        _ef(request.ef),
        request.exact is True,
        threshold,
        _vectors(request),
        request.filter_expr,
    )


def check_batch(search: Search, shape: tuple[int, int]) -> None:
    """Raises when a batch of queries of this shape asks for more than one answer may hold."""
    queries, columns = shape
    results = queries * search.limit
    if results > limits.MAX_BATCH_RESULTS:
        raise InvalidLimit(
            f"`limit` is {search.limit}: {queries} queries ask for {results} results, at most "
            f"{limits.MAX_BATCH_RESULTS} are answered at once: lower `limit`, or send fewer queries at a time",
            field="limit",
            limit=limits.MAX_BATCH_RESULTS,
        )
    if search.vectors != "none" and results * columns > limits.MAX_BATCH_NUMBERS:
        raise InvalidLimit(
            f"`limit` is {search.limit}: {queries} queries ask for {results} vectors of {columns} numbers, at most "
            f"{limits.MAX_BATCH_NUMBERS} numbers are answered at once: lower `limit`, send fewer queries at a time, or "
            "leave `embedding` out of `output_fields`",
            field="limit",
            limit=limits.MAX_BATCH_NUMBERS,
        )


class Selection(NamedTuple):
    """Rows of one sub-tenant: of a source, by chunk id, by filter, or (all None) all."""

    tenant_id: str
    sub_tenant_id: str | None
    source_id: str | None
    chunk_ids: list[str] | None
    filter: str | None


def _selection(request: GetRequest | DeleteRequest) -> Selection:
    check_tenant_ids(check_tenant(request), request.sub_tenant_id)
    given = [name for name in request.ONE_OF if getattr(request, name) is not None]
    if len(given) > 1:
        raise ConflictingFields(f"`{given[0]}` and `{given[1]}` exclude each other: send one", field=given[1])
    if request.source_id is not None:
        check_source_id("source_id", request.source_id)
    if request.chunk_ids is not None:
        _at_most("chunk_ids", request.chunk_ids, limits.MAX_CHUNK_IDS)
        check_chunk_ids(request.chunk_ids)
    return Selection(
        check_tenant(request),
        request.sub_tenant_id or None,
        request.source_id,
        request.chunk_ids,
        request.filter_expr,
    )


def check_get(request: GetRequest) -> tuple[Selection, int, VectorFormat, str | None]:
    """The rows, how many of them, how with their vectors, and from where on."""
    return (
        _selection(request),
        check_limit(request.limit, PAGE_LIMIT),
        _vectors(request),
        request.cursor,
    )


def check_delete(request: DeleteRequest) -> Selection:
    """The rows to delete: exactly one selector."""
    if all(getattr(request, name) is None for name in request.ONE_OF):
        raise MissingField(
            "nothing selected, nothing deleted: send `source_id`, `chunk_ids` or `filter_expr`",
            field="source_id",
        )
    return _selection(request)


def check_status(request: StatusRequest) -> tuple[str, str | None, list[str], bool]:
    """Tenant, sub-tenant, the sources asked about, and whether they are a batch."""
    check_tenant_ids(check_tenant(request), request.sub_tenant_id)
    if request.file_id is not None and request.file_ids is not None:
        raise ConflictingFields("`file_id` and `file_ids` exclude each other: send one", field="file_ids")
    if request.file_id is None and not request.file_ids:
        raise MissingField("`file_id` is missing: name the source", field="file_id")
    ids = request.file_ids if request.file_id is None else [request.file_id]
    assert ids is not None
    _at_most("file_ids", ids, limits.MAX_FILE_IDS)
    for file_id in ids:
        check_source_id("file_id" if request.file_ids is None else "file_ids", file_id)
    return check_tenant(request), request.sub_tenant_id or None, ids, request.file_ids is not None


def _at_most(field: str, values: list[str], most: int) -> None:
    if len(values) > most:
        raise TooManyRows(
            f"`{field}` names {len(values)}, at most {most} are allowed: send several requests",
            field=field,
            limit=most,
        )


def check_limit(limit: int | None, bounds: tuple[int, int], field: str = "limit") -> int:
    """`limit`, or the default of `bounds`, whose other number is the most."""
    default, most = bounds
    if limit is None:
        return default
    if not 1 <= limit <= most:
        raise InvalidLimit(f"`{field}` is {shown(limit)}, it must be 1..{most}", field=field, limit=most)
    return limit


def _ef(ef: int | None) -> int | None:
    if ef is not None and not 1 <= ef <= limits.MAX_EF:
        raise InvalidLimit(
            f"`ef` is {shown(ef)}, it must be 1..{limits.MAX_EF}", field="ef", limit=limits.MAX_EF
        )
    return ef


def shown(number: int) -> str:
    """A number that a client sent, to be shown to it."""
    # Python refuses to print an integer of more than 4300 digits.
    return str(number) if -(10**20) < number < 10**20 else "a number of more than 20 digits"


def _vectors(request: SearchRequest | GetRequest) -> VectorFormat:
    """How the vectors of rows are answered, if `output_fields` asks for them."""
    for name in request.output_fields or ():
        if name not in OUTPUT_FIELDS:
            hint = nearest(name, OUTPUT_FIELDS) or "; known are " + ", ".join(OUTPUT_FIELDS)
            shown = name[:100].encode(errors="backslashreplace").decode()
            raise UnknownField(f"`output_fields` names `{shown}`{hint}", field="output_fields")
    if request.embedding_format not in (None, *EMBEDDING_FORMATS):
        expected = " or ".join(f"'{name}'" for name in EMBEDDING_FORMATS)
        raise WrongType(
            f"`embedding_format`: expected {expected}", field="embedding_format", expected=expected
        )
    if "embedding" not in (request.output_fields or ()):
        return "none"
    return "base64" if request.embedding_format == "base64" else "list"
