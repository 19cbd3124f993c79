"""The document of the service, and the playground that shows it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from ingot.http import playground
from ingot.http.exchange import Exchange
from ingot.http.openapi import document

__all__ = ["Pages"]

# Nothing on the page comes from elsewhere, goes elsewhere, or is framed elsewhere; nothing in its text is run.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_SAFE = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Pages:
    """The handlers of `/openapi.json`, `/docs` and what belongs to it."""

    def __init__(self, version: str, body_limit: int) -> None:
        self._version = version
        self._body_limit = body_limit
        self._document: bytes | None = None
        #: Path -> method -> handler, of all endpoints; set when they are known.
        self.paths: Mapping[str, Mapping[str, Any]] = {}

    async def openapi(self, x: Exchange) -> web.Response:
        """GET /openapi.json."""
        if self._document is None:
            self._document = await asyncio.to_thread(document, self.paths, self._version, self._body_limit)
        return web.Response(body=self._document, content_type="application/json", headers=_headers(x))

    async def home(self, x: Exchange) -> web.Response:
        """GET /."""
        return web.Response(status=302, headers={"Location": "docs", **_headers(x)})

    async def playground(self, x: Exchange) -> web.Response:
        """GET /docs."""
        return await _file(x, playground.PAGE, "text/html")

    async def asset(self, x: Exchange) -> web.Response:
        """GET /docs/{file}; only paths of files that exist lead here."""
        name = x.request.rel_url.path.rpartition("/")[2]
        return await _file(x, playground.path(name), playground.FILES[name])


def _headers(x: Exchange) -> dict[str, str]:
    return {"X-Request-Id": x.request_id, "Server": "ingot", **_SAFE}


async def _file(x: Exchange, path: Path, content_type: str) -> web.Response:
    body = await asyncio.to_thread(path.read_bytes)
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_headers(x))
