"""The answers of section 1.3, 2, 3, 4 and 5 of the wire contract, as JSON bytes."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from ingot.errors import IngotError
from ingot.http.connection import JsonResponse
from ingot.schemas.checks import Insertion
from ingot.service import Inserted, SourceStatus, TenantStats

__all__ = [
    "LongResponse",
    "bare_refusal",
    "create_answer",
    "creation_message",
    "delete_answer",
    "done_answer",
    "insert_answer",
    "json_response",
    "page_response",
    "parts_response",
    "refusal",
    "sources_answer",
    "stats_answer",
    "status_answer",
    "sub_tenants_answer",
]

UPLOADED = "Embeddings uploaded successfully."

# Attributes of an error that stand beside its message.
_PLACES = ("row", "column", "field", "offset")
# Parts of about a turn each that are written before the event loop gets one.
_PARTS_A_TURN = 8


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


def page_response(parts: list[bytes], next_cursor: str | None, request_id: str) -> web.StreamResponse:
    """One page of an answer, and where the next begins, if there may be one."""
    response = parts_response(parts, request_id)
    if next_cursor is not None:
        response.headers["X-Next-Cursor"] = next_cursor
    return response


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
    if error.accept_encoding is not None:
        response.headers["Accept-Encoding"] = error.accept_encoding
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
    documents, file_ids = insertion.documents, inserted.file_ids
    file_id = file_ids[0] if len(file_ids) == 1 else None
    chunk_ids = list(inserted.chunk_ids) if documents is None else documents.chunk_ids
    ids = orjson.Fragment(orjson.dumps(chunk_ids))
    message = UPLOADED
    if documents is None and inserted.existed and insertion.upsert:
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
    if file_id is None:
        answer["file_ids"] = file_ids
    if insertion.dry_run:
        answer["dry_run"] = True
    return orjson.dumps(answer)


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


def creation_message(*, made: bool) -> str:
    """What is said of the making of a tenant that was, or was not, there before."""
    return "Tenant created." if made else "Tenant exists already, with these settings."


def create_answer(tenant_id: str, *, made: bool) -> bytes:
    """What the making of a tenant is answered."""
    message = creation_message(made=made)
    return orjson.dumps({"status": "success", "tenant_id": tenant_id, "message": message})


def done_answer(message: str) -> bytes:
    """What a deletion is answered."""
    return orjson.dumps({"success": True, "message": message})


def sub_tenants_answer(names: list[str]) -> bytes:
    """The sub-tenants of a tenant."""
    count = f"{len(names)} sub-tenant{'' if len(names) == 1 else 's'}."
    return orjson.dumps({"sub_tenant_ids": names, "message": count})


def sources_answer(sources: list[tuple[str, int]]) -> bytes:
    """A page of sources."""
    return orjson.dumps({"sources": [{"source_id": name, "rows": rows} for name, rows in sources]})
