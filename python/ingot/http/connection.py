"""Connections: aiohttp's protocol with our words for broken HTTP. The one file that leans on aiohttp's inside."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
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
from ingot.http.watch import ConnectionWatch

__all__ = ["HttpServer", "JsonResponse", "answer_as_http11", "check_framing", "forgive", "next_piece"]

Refuse = Callable[[web.BaseRequest, IngotError], web.StreamResponse]

# How long a client that broke HTTP may go on sending before the connection is cut, so that it sees its answer.
_LAST_WORDS_SECONDS = 1.0
# Surplus connections that are told why they are turned away; beyond it they are cut.
_TOLD_APART = 256
# Where `struct tcp_info` has the bytes that the other side has acknowledged.
_ACKNOWLEDGED = slice(120, 128)
# A body over this waits until the client takes it.
_UNDRAINED = 64 * 1024
# Not worth a copy to save a call.
_LARGE_PIECE = 64 * 1024


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


def _taken(wire: asyncio.Transport) -> int:
    """Bytes that the client has taken so far."""
    info = wire.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.stop)
    return int.from_bytes(info[_ACKNOWLEDGED], sys.byteorder)


def answer_as_http11(request: web.BaseRequest) -> None:
    """Has the answer to a request of a version that does not exist written in one that does."""
    # `version` was read before, and is cached.
    request._cache["version"] = HttpVersion11


def check_framing(request: web.BaseRequest) -> bool:
    """Whether another request may follow on the connection; raises `MalformedBody` for what a proxy on the way may have
    understood in another way than we do."""
    message = request._message
    if message.chunked:
        coding = message.headers["Transfer-Encoding"].strip().lower()
        if coding != "chunked" or message.version < HttpVersion11:
            raise MalformedBody("`Transfer-Encoding` can be `chunked` only, and not in HTTP/1.0")
    if not message.path.startswith("/"):
        if message.method == "CONNECT":
            raise MalformedBody("this server is no proxy")
        host = message.headers.get("Host", "")
        if message.url.absolute and message.url.raw_authority.lower() != host.lower():
            raise MalformedBody("the request's target and its `Host` name different servers")
    # aiohttp loses what came together with a request that asks for a protocol that it does not know.
    return not message.upgrade


async def next_piece(content: StreamReader) -> bytes:
    """What arrived next of a body. Several pieces are joined only when the first is small: a large one is handed on as
    it came, without a copy."""
    # Where there is no body there is none.
    buffer: Sequence[bytes] = getattr(content, "_buffer", ())
    if len(buffer) < 2 or len(buffer[0]) < _LARGE_PIECE or content.exception() is not None:
        return await content.readany()
    return content._read_nowait_chunk(-1)


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
        #: What the answer holds of a budget; given up once the client has taken it.
        self.held: object = None
        self._further: CIMultiDict[str] | None = None

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self._json)

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
        # aiohttp keeps the response until the next request of the connection comes: not what was in it.
        self._json = b""
        held, self.held = self.held, None
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
        # A client that sends and never reads gets no further than one answer that does not fit into its socket.
        if len(body) > _UNDRAINED or request.protocol.writing_paused:
            try:
                await writer.drain()
            finally:
                # The exception of a client that left keeps this frame until the garbage collector comes by.
                del body, held


class Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_broken", "_head_since", "_lost", "_refuse", "_stall", "_wire")

    def __init__(
        self, server: "HttpServer", *, refuse: Refuse, loop: asyncio.AbstractEventLoop, **kwargs: Any
    ) -> None:
        super().__init__(server, loop=loop, **kwargs)
        self._refuse = refuse
        self._broken = False
        self._lost: asyncio.Future[None] | None = None
        #: When the first bytes of a head came that is not whole; 0: there are none.
        self._head_since = 0.0
        #: Since when bytes wait for the client, and how many it had taken by then.
        self._stall: tuple[float, int] | None = None
        # aiohttp forgets its own when it closes, though an answer may still be waiting to be taken.
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come."""
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)
        server = cast(HttpServer, self._manager)
        server.watch.accepted += 1
        surplus = server.open_connections - server.watch.most
        if surplus > 0:
            server.watch.cut["surplus"] += 1
            self._broken = True
            self._turn_away(server.no_room() if surplus <= _TOLD_APART else b"")

    def _turn_away(self, words: bytes) -> None:
        wire = self._wire
        if wire is None or not words:
            if wire is not None:
                wire.abort()
            return
        wire.write(words)
        if wire.can_write_eof():
            wire.write_eof()
        # Closing on unread bytes would reset the connection under the answer.
        self._loop.call_later(_LAST_WORDS_SECONDS, wire.abort)

    def judge(self, now: float, watch: ConnectionWatch) -> None:
        """Ends the connection of a client that keeps others from it: by a head that does not end, or an answer that
        it does not take."""
        wire = self._wire
        if wire is None:
            return
        if self.busy:
            self._head_since = 0.0
        elif self._head_since and now - self._head_since > watch.head_timeout:
            self._head_since = 0.0
            watch.cut["head"] += 1
            wire.abort()
            return
        if not wire.get_write_buffer_size():
            self._stall = None
            return
        taken = _taken(wire)
        if self._stall is None:
            self._stall = now, taken
        elif now - self._stall[0] > watch.send_timeout:
            if taken - self._stall[1] < watch.fewest_taken:
                watch.cut["answer"] += 1
                wire.abort()
            self._stall = now, taken

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        self._wire = None
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
        if not self._messages:
            if not self._head_since and not self._request_in_progress:
                self._head_since = self._loop.time()
            return
        self._head_since = 0.0
        last = self._messages[-1][0]
        if not hasattr(last, "method"):
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
        no_room: Callable[[], bytes],
        watch: ConnectionWatch,
        *,
        keep_alive: float,
    ) -> None:
        """`no_room` is all that one connection too many is sent."""
        super().__init__(
            handler,
            refuse=refuse,
            keepalive_timeout=keep_alive,
            max_line_size=limits.MAX_REQUEST_LINE,
            max_field_size=limits.MAX_HEADER_FIELD,
            max_headers=limits.MAX_HEADERS,
            # Beyond twice this a connection is not read from before its reader has had its turn. uvloop reads 250 KiB
            # at a time: a round of the loop takes one read of each connection, and others are heard
            # (`benches/uploads.py`).
            read_bufsize=1 << 16,
            # Whoever answers reads the body, or drops it within its limits.
            lingering_time=0.0,
            auto_decompress=False,
            access_log=None,
        )
        self.no_room = no_room
        self.watch = watch

    def __call__(self) -> RequestHandler:
        """A connection that was just made."""
        return Connection(self, loop=self._loop, **self._kwargs)

    @property
    def busy(self) -> int:
        """Connections with a request in progress."""
        return sum(connection.busy for connection in self._connections if isinstance(connection, Connection))

    @property
    def open_connections(self) -> int:
        """Connections that are open."""
        return len(self._connections)

    def judge_connections(self, now: float) -> None:
        """Has every connection judged."""
        for connection in list(self._connections):
            if isinstance(connection, Connection):
                connection.judge(now, self.watch)
