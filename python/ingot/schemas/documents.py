"""The document form of `embeddings`: sources with chunks that the client names, numbers of rows in place of vectors.

What fits is decoded in one go; only what does not is walked through for the words of its error.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import Raw

from ingot.errors import (
    ConflictingFields,
    EmptyEmbeddings,
    MalformedJson,
    MissingField,
    UnknownField,
    WrongType,
)
from ingot.schemas.fields import json_type
from ingot.schemas.ids import check_chunk_id, check_source_id
from ingot.schemas.metadata import check_metadata
from ingot.settings import nearest

__all__ = ["Documents", "is_document_form", "read_documents"]


class Chunk(msgspec.Struct, forbid_unknown_fields=True):
    """`{chunk_id, embedding}`"""

    chunk_id: str
    embedding: int


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """`{source_id, metadata?, embeddings: [chunk, ..]}`, or with `chunk_ids` and rows in place of the chunks."""

    source_id: str
    embeddings: Sequence[Chunk | int]
    metadata: Raw = Raw()
    chunk_ids: list[str] | None = None


class OlderChunk(Chunk, forbid_unknown_fields=False):
    """The same, where unknown names are ignored."""


class OlderDocument(Document, forbid_unknown_fields=False):
    """The same, where unknown names are ignored."""

    embeddings: Sequence[OlderChunk | int]


class Documents(NamedTuple):
    """The document form: source, metadata and number of rows of each document; and the ids of all rows in order."""

    sources: list[tuple[str, bytes | None, int]]
    chunk_ids: list[str]


_DECODER = msgspec.json.Decoder(list[Document])
_FORGIVING = msgspec.json.Decoder(list[OlderDocument])
_DOCUMENT = ("source_id", "metadata", "embeddings", "chunk_ids")
_CHUNK = ("chunk_id", "embedding")


def is_document_form(text: bytes) -> bool:
    """Whether `embeddings`, as the body reader leaves it, has documents in it."""
    return text[:1] == b"[" and text[1:].lstrip()[:1] == b"{"


def read_documents(text: bytes, rows: int | None, *, strict: bool = True) -> Documents:
    """The documents in `text`, which have the rows from 0 to `rows` in order; raises the error that names the place.
    Unknown names are one if `strict`."""
    documents: Sequence[Document]
    try:
        documents = (_DECODER if strict else _FORGIVING).decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _explain(text, strict)
    sources: list[tuple[str, bytes | None, int]] = []
    chunk_ids: list[str] = []
    numbers: list[int] = []
    for index, document in enumerate(documents):
        check_source_id(f"embeddings[{index}].source_id", document.source_id)
        metadata = bytes(document.metadata)
        if metadata in (b"", b"null"):
            sources.append((document.source_id, None, len(document.embeddings)))
        else:
            check_metadata(metadata, f"embeddings[{index}].metadata")
            sources.append((document.source_id, metadata, len(document.embeddings)))
        _chunks(index, document, chunk_ids, numbers)
    if numbers != list(range(rows or 0)):
        # The reader numbers what it takes: a vector was named twice, or not at all.
        raise WrongType(
            "`embeddings`: expected one vector for each chunk id, in `embedding` or in a list beside `chunk_ids`",
            field="embeddings",
        )
    return Documents(sources, chunk_ids)


def _chunks(index: int, document: Document, chunk_ids: list[str], numbers: list[int]) -> None:
    """Adds ids and rows of a document to the lists."""
    named, place = document.chunk_ids, f"embeddings[{index}]"
    if not document.embeddings:
        raise EmptyEmbeddings(f"`{place}.embeddings` is empty: send at least one chunk", field="embeddings")
    if named is None:
        for chunk in document.embeddings:
            if not isinstance(chunk, Chunk):
                raise MissingField(
                    f"`{place}.chunk_ids` is missing: name each vector, or send {{chunk_id, embedding}} for each",
                    field=f"{place}.chunk_ids",
                )
            chunk_ids.append(chunk.chunk_id)
            numbers.append(chunk.embedding)
        return
    if len(named) != len(document.embeddings):
        raise ConflictingFields(
            f"`{place}` has {len(named)} chunk ids for {len(document.embeddings)} vectors: give each vector one",
            field=f"{place}.chunk_ids",
        )
    for chunk in document.embeddings:
        if isinstance(chunk, Chunk):
            raise ConflictingFields(
                f"`{place}.chunk_ids` and `chunk_id` in its `embeddings` exclude each other: send one",
                field=f"{place}.chunk_ids",
            )
        numbers.append(chunk)
    chunk_ids += named


def _explain(text: bytes, strict: bool) -> NoReturn:
    """Raises what is wrong with `text`."""
    try:
        documents = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"`embeddings` is not valid JSON: {error}", field="embeddings") from None
    for index, document in enumerate(documents):
        place = f"embeddings[{index}]"
        _object(place, document, _DOCUMENT, strict)
        _string(f"{place}.source_id", document)
        check_source_id(f"{place}.source_id", document["source_id"])
        ids = document.get("chunk_ids")
        if ids is not None:
            _array(f"{place}.chunk_ids", ids, "an array of strings")
            for at, chunk_id in enumerate(ids):
                if not isinstance(chunk_id, str):
                    _refuse(f"{place}.chunk_ids[{at}]", "a string", chunk_id)
                check_chunk_id(f"{place}.chunk_ids[{at}]", chunk_id)
        if document.get("embeddings") is None:
            _missing(f"{place}.embeddings")
        _array(f"{place}.embeddings", document["embeddings"], "an array of chunks")
        for at, chunk in enumerate(document["embeddings"]):
            _explain_chunk(f"{place}.embeddings[{at}]", chunk, strict)
    raise MalformedJson("`embeddings` cannot be read", field="embeddings")


def _explain_chunk(place: str, chunk: Any, strict: bool) -> None:
    if isinstance(chunk, int) and not isinstance(chunk, bool):
        return
    _object(place, chunk, _CHUNK, strict)
    _string(f"{place}.chunk_id", chunk)
    check_chunk_id(f"{place}.chunk_id", chunk["chunk_id"])
    embedding = chunk.get("embedding")
    if embedding is None:
        _missing(f"{place}.embedding")
    if not isinstance(embedding, int) or isinstance(embedding, bool):
        _refuse(f"{place}.embedding", "an array of numbers", embedding)


def _object(place: str, value: Any, known: tuple[str, ...], strict: bool) -> None:
    if not isinstance(value, dict):
        _refuse(place, "an object", value)
    for name in value:
        if strict and name not in known:
            hint = nearest(name, known) or "; known are " + ", ".join(known)
            shown = f"{place}.{name[:100]}".encode(errors="backslashreplace").decode()
            raise UnknownField(f"unknown field `{shown}`{hint}", field=shown)


def _string(place: str, value: dict[str, Any]) -> None:
    given = value.get(place.rpartition(".")[2])
    if given is None:
        _missing(place)
    if not isinstance(given, str):
        _refuse(place, "a string", given)


def _array(place: str, value: Any, expected: str) -> None:
    if not isinstance(value, list):
        _refuse(place, expected, value)


def _missing(place: str) -> NoReturn:
    raise MissingField(f"`{place}` is missing", field=place)


def _refuse(place: str, expected: str, value: Any) -> NoReturn:
    got = json_type(value)
    raise WrongType(f"`{place}`: expected {expected}, got {got}", field=place, expected=expected, got=got)
