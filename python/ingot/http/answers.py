"""The answers of section 1.3, 2, 3, 4 and 5 of the wire contract, as JSON bytes."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from ingot import limits
from ingot.errors import IngotError, InvalidLimit
from ingot.http.connection import JsonResponse
from ingot.schemas.checks import Insertion
from ingot.service import Hits, Inserted, SourceStatus, TenantStats

__all__ = [
    "LongResponse",
    "bare_refusal",
    "batch_answer",
    "delete_answer",
    "hits_answer",
    "insert_answer",
    "json_response",
    "parts_response",
    "refusal",
    "stats_answer",
    "status_answer",
]

UPLOADED = "Embeddings uploaded successfully."

# Attributes of an error that stand beside its message.
_PLACES = ("row", "column", "field", "offset")
# Numbers turned into text before the event loop gets a turn: about a millisecond.
_NUMBERS_A_TURN = 16_384
# Parts of about a turn each that are written before the event loop gets one.
_PARTS_A_TURN = 8
# What an item costs besides its vector, in numbers.
_NUMBERS_AN_ITEM = 32
# Small answers of a batch are joined up to here.
_PART_BYTES = 256 * 1024
_NO_METADATA: dict[str, Any] = {}


def json_response(body: bytes, request_id: str) -> JsonResponse:
    """A 200 with these JSON bytes."""
    return JsonResponse(body, request_id)


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "X-Request-Id": request_id, "Server": "ingot"}


class LongResponse(web.StreamResponse):
    """A response that is written in parts: joined and handed over at once they would hold the loop up."""

    def __init__(self, parts: list[bytes], request_id: str) -> None:
        super().__init__(headers=_headers(request_id))
        #: Bytes of the body.
        self.size = self.content_length = sum(map(len, parts))
        #: What the answer holds of a budget; given up once the client has taken it.
        self.held: object = None
        self._parts = parts

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends it, part by part."""
        parts, self._parts = self._parts, []
        held, self.held = self.held, None
        try:
            for number, part in enumerate(parts):
                await self.write(part)
                if number % _PARTS_A_TURN == 0:
                    await asyncio.sleep(0)
            await super().write_eof(data)
        finally:
            # The exception of a client that left keeps this frame until the garbage collector comes by.
            part = b""
            parts.clear()
            del held


def parts_response(parts: list[bytes], request_id: str) -> web.StreamResponse:
    """A response with these parts of JSON text, one behind the other."""
    if len(parts) <= _PARTS_A_TURN:
        return json_response(parts[0] if len(parts) == 1 else b"".join(parts), request_id)
    return LongResponse(parts, request_id)


def refusal(error: IngotError, request_id: str) -> web.Response:
    """The error body of section 2."""
    detail: dict[str, Any] = {
        "success": False,
        "message": error.public or error.message,
        "error_code": error.error_code,
    }
    for name in _PLACES:
        value = getattr(error, name)
        if value is not None:
            detail[name] = value
    detail["request_id"] = request_id
    body = orjson.dumps({"detail": detail})
    response = web.Response(body=body, status=error.status, headers=_headers(request_id))
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.allow is not None:
        response.headers["Allow"] = error.allow
    if error.challenge is not None:
        response.headers["WWW-Authenticate"] = error.challenge
    return response


def bare_refusal(error: IngotError, request_id: str) -> bytes:
    """The same as all that a connection gets, before anything came over it."""
    response = refusal(error, request_id)
    body = response.body
    assert isinstance(body, bytes)
    headers = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
    head = (
        f"HTTP/1.1 {response.status} {response.reason}\r\n{headers}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def insert_answer(inserted: Inserted, insertion: Insertion) -> bytes:
    """What an upload is answered."""
    file_id = inserted.file_id
    ids = orjson.Fragment(orjson.dumps(list(inserted.chunk_ids)))
    message = UPLOADED
    if inserted.existed and insertion.upsert:
        message += f" Existing embeddings with file_id '{file_id}' have been overwritten."
    answer: dict[str, Any] = {
        "success": True,
        "status": "success",
        "message": message,
        "file_id": file_id,
        "batch_id": file_id,
        "chunk_ids": ids,
        "insert_count": len(inserted),
        "ids": ids,
        "error": None,
        "tenant_id": insertion.tenant_id,
        "sub_tenant_id": inserted.sub_tenant_id,
        "dimension": inserted.dimension,
        "overwritten": inserted.overwritten,
        "crc32c": f"{inserted.crc32c:08x}",
    }
    if insertion.dry_run:
        answer["dry_run"] = True
    return orjson.dumps(answer)


async def hits_answer(hits: Hits, *, scored: bool) -> list[bytes]:
    """The list of items of a search (`scored`) or a get, in parts; a long one takes turns with the event loop."""
    vectors = hits.embeddings
    numbers = 1 if vectors is None else vectors.shape[1]
    step = max(1, _NUMBERS_A_TURN // (_NUMBERS_AN_ITEM + numbers))
    source_ids, chunk_ids, metadata = hits.source_ids, hits.chunk_ids, hits.metadata
    scores, distances = (hits.scores.tolist(), hits.distances.tolist()) if scored else ([], [])
    parts: list[bytes] = []
    size = 0
    for first in range(0, len(source_ids), step):
        if first:
            await asyncio.sleep(0)
        page: list[dict[str, Any]] = []
        # As doubles: the shortest text of a float32 is not always the one that a double rounds back from.
        some = None if vectors is None else vectors[first : first + step].astype(np.float64)
        for row in range(first, min(first + step, len(source_ids))):
            item: dict[str, Any] = {
                "source_id": source_ids[row],
                "embedding": {
                    "chunk_id": chunk_ids[row],
                    "embedding": None if some is None else some[row - first],
                },
            }
            if scored:
                item["score"] = scores[row]
                item["distance"] = distances[row]
            text = metadata[row]
            item["metadata"] = _NO_METADATA if text is None else orjson.Fragment(text)
            page.append(item)
        # A part of the list's text: its brackets make room for the comma between two parts.
        text_of_page = orjson.dumps(page, option=orjson.OPT_SERIALIZE_NUMPY)
        parts.append((b"," if first else b"[") + text_of_page[1:-1])
        size += len(text_of_page)
        if not scored and size > limits.MAX_PAGE_BYTES:
            raise InvalidLimit(
                f"the first {first + len(page)} rows are over {limits.MAX_PAGE_BYTES} bytes already, and cursors to "
                "the rest are not offered by this server yet: lower `limit`, or select fewer rows",
                field="limit",
            )
    parts.append(b"]" if parts else b"[]")
    return parts


async def batch_answer(found: list[Hits]) -> list[bytes]:
    """A list of the lists of a search, one a query, in parts."""
    parts: list[bytes] = []
    some, size = [b"["], 0
    for number, hits in enumerate(found):
        some += await hits_answer(hits, scored=True)
        some.append(b"," if number + 1 < len(found) else b"]")
        size += sum(map(len, some[-3:]))
        if size > _PART_BYTES:
            parts.append(b"".join(some))
            some, size = [], 0
    parts.append(b"".join(some))
    return parts


def delete_answer(count: int) -> bytes:
    """What a delete is answered."""
    return orjson.dumps({"delete_count": count, "success": True, "error": None})


def status_answer(file_id: str, status: SourceStatus | None) -> Mapping[str, Any]:
    """How far one source is; None: it is not there."""
    if status is None:
        return {
            "file_id": file_id,
            "indexing_status": "errored",
            "error_code": "NOT_FOUND",
            "success": False,
            "message": "no such source",
        }
    return {
        "file_id": file_id,
        "indexing_status": "completed",
        "error_code": None,
        "success": True,
        "message": "Stored, durable and searchable.",
        "indexed_rows": status.indexed_rows,
        "total_rows": status.total_rows,
    }


def stats_answer(stats: TenantStats) -> bytes:
    """One tenant, counted."""
    return orjson.dumps(
        {
            "tenant_id": stats.tenant_id,
            "dimension": stats.dimension,
            "metric": stats.metric,
            "rows": stats.rows,
            "indexed_rows": stats.indexed_rows,
            "sources": stats.sources,
            "sub_tenants": stats.sub_tenants,
            "groups": stats.groups,
        }
    )
