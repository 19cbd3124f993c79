"""Connections: aiohttp's protocol with our words for broken HTTP. The one file that leans on aiohttp's inside."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_exceptions import (
    BadHttpMessage,
    BadHttpMethod,
    BadStatusLine,
    HttpProcessingError,
    LineTooLong,
)
from aiohttp.http_writer import HttpVersion11, StreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_server import Server
from multidict import CIMultiDict

from ingot import limits
from ingot.errors import HeadersTooLarge, IngotError, InternalError, MalformedBody, UriTooLong

__all__ = ["HttpServer", "JsonResponse", "answer_as_http11", "forgive"]

Refuse = Callable[[web.BaseRequest, IngotError], web.StreamResponse]

# How long a client that broke HTTP may go on sending before the connection is cut, so that it sees its answer.
_LAST_WORDS_SECONDS = 1.0
# A body over this waits until the client takes it.
_UNDRAINED = 64 * 1024


def broken_http(error: BaseException | None) -> IngotError:
    """What the parser's complaint means in the contract's words."""
    match error:
        case LineTooLong() if error.args[1] == limits.MAX_REQUEST_LINE:
            return UriTooLong(
                f"the request line is over {limits.MAX_REQUEST_LINE} bytes: send long fields in a JSON body"
            )
        case LineTooLong():
            return HeadersTooLarge(f"a header field is over {limits.MAX_HEADER_FIELD} bytes")
        case BadHttpMessage() if "Too many headers" in str(error):
            return HeadersTooLarge(f"more than {limits.MAX_HEADERS} header fields")
        case BadHttpMethod():
            return MalformedBody("not HTTP: the request line does not begin with a known method")
        case BadStatusLine():
            return MalformedBody("not HTTP: the request line is not `METHOD /path HTTP/1.1`")
        case HttpProcessingError():
            return MalformedBody(f"not valid HTTP: {_first_line(error.message)}")
        case _:
            return InternalError("unexpected error in a connection")


def _first_line(text: str) -> str:
    line = text.partition("\n")[0].strip(" :")
    return line.encode("ascii", "backslashreplace").decode()[:200] or "it cannot be parsed"


def answer_as_http11(request: web.BaseRequest) -> None:
    """Has the answer to a request of a version that does not exist written in one that does."""
    # `version` was read before, and is cached.
    request._cache["version"] = HttpVersion11


def forgive(content: StreamReader) -> None:
    """Makes a body readable again that was ended by an exception of ours."""
    if isinstance(content.exception(), IngotError):
        content._exception = None


class JsonResponse(web.StreamResponse):
    """A 200 with JSON text, head and body in one write.

    aiohttp's own gathers its headers in a dictionary, looks through them and writes them out: a sixth of what a small
    request costs the event loop.
    """

    def __init__(self, body: bytes, request_id: str) -> None:
        # Nothing of what aiohttp keeps for a response is used, but for these two.
        self._status = 200
        self._keep_alive: bool | None = None
        self._json = body
        self._request_id = request_id
        self._request: web.BaseRequest | None = None
        self._sent = False
        self._further: CIMultiDict[str] | None = None

    @property
    def headers(self) -> CIMultiDict[str]:
        """Those beside what every answer has; few have any."""
        if self._further is None:
            self._further = CIMultiDict()
        return self._further

    async def prepare(self, request: web.BaseRequest) -> None:
        """The head goes out with the body."""
        self._request = request

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends all of it, once."""
        request, body = self._request, self._json
        if self._sent or request is None:
            return
        self._sent = True
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        major, minor = request.version
        connection = ""
        if self._keep_alive and minor == 0:
            connection = "Connection: keep-alive\r\n"
        elif not self._keep_alive and minor > 0:
            connection = "Connection: close\r\n"
        further = (
            "".join(f"{name}: {value}\r\n" for name, value in self._further.items()) if self._further else ""
        )
        head = (
            f"HTTP/{major}.{minor} 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: {self._request_id}\r\n"
            f"Server: ingot\r\nContent-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n"
            f"{connection}{further}\r\n"
        ).encode()
        writer = cast(StreamWriter, request.writer)
        writer._writelines((head,) if request.method == "HEAD" else (head, body))
        if len(body) > _UNDRAINED:
            await writer.drain()


class Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_broken", "_lost", "_refuse")

    def __init__(
        self, server: "HttpServer", *, refuse: Refuse, loop: asyncio.AbstractEventLoop, **kwargs: Any
    ) -> None:
        super().__init__(server, loop=loop, **kwargs)
        self._refuse = refuse
        self._broken = False
        self._lost: asyncio.Future[None] | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    @property
    def busy(self) -> bool:
        """Whether a request is being answered or waits to be."""
        return self._request_in_progress or bool(self._messages)

    def data_received(self, data: bytes) -> None:
        """Parses what arrived; after broken HTTP everything is dropped."""
        if self._broken:
            return
        super().data_received(data)
        last = self._messages[-1][0] if self._messages else None
        if last is not None and not hasattr(last, "method"):
            self._broken = True
            # A body that breaks off in the middle of its request: the parser forgets to tell the reader.
            request = self._current_request
            if request is not None and not request.content.is_eof():
                request.content.set_exception(
                    RequestPayloadError(_first_line(str(getattr(last, "message", ""))))
                )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what aiohttp itself could not make sense of."""
        if isinstance(exc, ConnectionError):
            # The client has left: it gets no answer, and it is no error of ours.
            raise exc
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, another cannot follow")
        response = self._refuse(request, broken_http(exc))
        response.force_close()
        return response

    def _make_error_handler(
        self, err_info: Any
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            response = self.handle_error(request, err_info.status, err_info.exc, err_info.message)
            await response.prepare(request)
            await response.write_eof()
            # Closing on unread bytes would reset the connection under the answer.
            transport = self.transport
            if transport is not None and transport.can_write_eof():
                transport.write_eof()
            if self.transport is not None:
                self._lost = self._loop.create_future()
                await asyncio.wait([self._lost], timeout=_LAST_WORDS_SECONDS)
            return response

        return answer


class HttpServer(Server):
    """Makes connections, and knows which are open."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        refuse: Refuse,
        *,
        keep_alive: float,
    ) -> None:
        super().__init__(
            handler,
            refuse=refuse,
            keepalive_timeout=keep_alive,
            max_line_size=limits.MAX_REQUEST_LINE,
            max_field_size=limits.MAX_HEADER_FIELD,
            max_headers=limits.MAX_HEADERS,
            # Beyond twice this a connection is not read from before its reader has had its turn: of all that a fast
            # client has sent, one round of the loop takes no more, and others are heard (`benches/uploads.py`).
            read_bufsize=1 << 17,
            # Whoever answers reads the body, or drops it within its limits.
            lingering_time=0.0,
            auto_decompress=False,
            access_log=None,
        )

    def __call__(self) -> RequestHandler:
        """A connection that was just made."""
        return Connection(self, loop=self._loop, **self._kwargs)

    @property
    def busy(self) -> int:
        """Connections with a request in progress."""
        return sum(connection.busy for connection in self._connections if isinstance(connection, Connection))
