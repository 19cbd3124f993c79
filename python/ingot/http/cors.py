"""Cross-origin requests of web pages (https://fetch.spec.whatwg.org/#http-cors-protocol).

Off unless some origins are allowed. No cookies are ever involved: a page sends its key itself.
"""

from aiohttp import web

from ingot.http.exchange import Exchange

__all__ = ["CrossOrigin"]

_METHODS = "GET, HEAD, POST, PATCH, DELETE"
_HEADERS = "Authorization, Content-Type, Content-Encoding, Idempotency-Key, X-Request-Id"
_EXPOSED = "X-Request-Id, X-Next-Cursor, Retry-After, Allow"
_REMEMBERED_SECONDS = "600"


class CrossOrigin:
    """Tells browsers which pages may read answers."""

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: tuple[str, ...]) -> None:
        """`origins` as `Origin` headers name them; `*` is all."""
        self._any = "*" in origins
        self._origins = frozenset(origins)

    def is_preflight(self, request: web.BaseRequest) -> bool:
        """Whether a browser asks, without a key, what an allowed page may send."""
        headers = request.headers
        return (
            request.method == "OPTIONS"
            and "Access-Control-Request-Method" in headers
            and self._allowed(headers.get("Origin"))
        )

    async def preflight(self, x: Exchange) -> web.StreamResponse:
        """What every page that is allowed may send."""
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _REMEMBERED_SECONDS,
            "X-Request-Id": x.request_id,
            "Server": "ingot",
        }
        return web.Response(status=204, headers=headers)

    def mark(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Has the browser hand an answer to the page, where it may."""
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin is not None and self._allowed(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED

    def _allowed(self, origin: str | None) -> bool:
        return origin is not None and (self._any or origin in self._origins)
