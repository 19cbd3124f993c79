"""Bodies: judged by their headers, fed to the native reader while they arrive, or read and dropped."""

import asyncio
from types import TracebackType

from aiohttp import web
from aiohttp.http_writer import HttpVersion10
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from ingot.auth.caller import EVERYONE, Caller
from ingot.errors import (
    BodyTimeout,
    BodyTooLarge,
    MalformedBody,
    Overloaded,
    OverQuota,
    UnsupportedMediaType,
)
from ingot.http.connection import forgive, next_piece
from ingot.http.exchange import Exchange
from ingot.http.quota import Quotas
from ingot.service import Body, BodyFeed, Encoding, Format, Purpose, Service
from ingot.settings import Settings

__all__ = ["ClientGone", "Intake", "IntakeGate"]

# Unparsed bytes beyond which no more is read from the socket.
_UNPARSED = 4 * 1024 * 1024

# A body up to here that is there whole is parsed at once, no thread has to wake: 0.03 ms, a millisecond at worst.
_SMALL = 32 * 1024

# Content codings (RFC 9110, section 8.4.1) and what undoes them.
_ENCODINGS: dict[str, Encoding | None] = {
    "identity": None,
    "gzip": "gzip",
    "x-gzip": "gzip",
    "deflate": "deflate",
    "zstd": "zstd",
}
_ACCEPTED = "gzip, deflate, zstd"

_FORMATS: dict[str, Format] = {"application/json": "json", "application/x-npy": "npy"}


class ClientGone(ConnectionError):
    """The client left before its whole body was here."""


class Pace:
    """Ends a body that arrives too slowly, by an exception in its stream."""

    __slots__ = ("_content", "_handle", "_held", "_held_since", "_loop", "_settings", "_started", "received")

    def __init__(self, content: StreamReader, settings: Settings) -> None:
        self._content = content
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._held = 0.0
        self._held_since: float | None = None
        self.received = 0
        first = min(settings.body_grace, settings.body_timeout)
        self._handle = self._loop.call_at(self._started + first, self._judge)

    def hold(self) -> None:
        """The server itself is behind: its time does not count."""
        self._held_since = self._loop.time()

    def go_on(self) -> None:
        """The client's time counts again."""
        if self._held_since is not None:
            self._held += self._loop.time() - self._held_since
            self._held_since = None

    def _judge(self) -> None:
        settings, now = self._settings, self._loop.time()
        if self._held_since is not None:
            self._handle = self._loop.call_at(now + 0.5, self._judge)
            return
        start = self._started + self._held
        if now - start >= settings.body_timeout:
            self._end(f"the body took longer than {settings.body_timeout:g} s")
        elif now - start >= settings.body_grace and self.received < settings.body_rate * (now - start):
            self._end(
                f"{self.received} bytes of the body arrived in {now - start:.1f} s: after {settings.body_grace:g} s it "
                f"must average {settings.body_rate} bytes a second"
            )
        else:
            due = max(settings.body_grace, self.received / settings.body_rate if settings.body_rate else 1e9)
            # Not more often than that, however tight the race.
            self._handle = self._loop.call_at(
                max(now + 0.05, start + min(due, settings.body_timeout)), self._judge
            )

    def _end(self, reason: str) -> None:
        self._content.set_exception(BodyTimeout(f"{reason}; send it faster, or less at a time"))

    def stop(self) -> None:
        """The body is over."""
        self._handle.cancel()


class IntakeGate:
    """Lets bodies in while their bytes fit the budget of the server and that of their key, and rows their rates."""

    __slots__ = ("_by_key", "_in_flight", "_key_budget", "quotas", "settings")

    def __init__(self, settings: Settings, quotas: Quotas) -> None:
        self.settings = settings
        self.quotas = quotas
        self._in_flight = 0
        # Only of those who hold some.
        self._by_key: dict[str, int] = {}
        self._key_budget = settings.key_bytes_in_flight or settings.bytes_in_flight // 2

    @property
    def in_flight(self) -> int:
        """Bytes of bodies that are held."""
        return self._in_flight

    def take(self, caller: Caller, size: int, held: int = 0) -> None:
        """Counts bytes in, of a body of which so many are `held` already; raises `OverQuota` or `Overloaded` when they
        do not fit. One body alone always fits."""
        own = self._by_key.get(caller.key_id, 0)
        if (
            own > held
            and own + size > self._key_budget
            and (caller is not EVERYONE or self.settings.key_bytes_in_flight)
        ):
            raise OverQuota(
                f"uploads in progress with this key fill the {self._key_budget} bytes that it may have at a time: "
                "wait for their answers"
            )
        if self._in_flight > held and self._in_flight + size > self.settings.bytes_in_flight:
            raise Overloaded(
                # Not how many are held: they may be those of another tenant.
                f"uploads in progress fill the {self.settings.bytes_in_flight} bytes that are held at a time: "
                "try again in a moment"
            )
        self._in_flight += size
        if size:
            self._by_key[caller.key_id] = own + size

    def give_back(self, caller: Caller, size: int) -> None:
        """Counts bytes out."""
        self._in_flight -= size
        left = self._by_key.get(caller.key_id, 0) - size
        if left:
            self._by_key[caller.key_id] = left
        else:
            self._by_key.pop(caller.key_id, None)


class Intake:
    """The body of one request; a context that gives its share of the budget back."""

    __slots__ = ("_encoding", "_exchange", "_gate", "_reading", "_taken", "format")

    def __init__(self, gate: IntakeGate, exchange: Exchange, formats: tuple[Format, ...]) -> None:
        """Judges the headers: nothing of the body has been read, nor asked for."""
        headers = exchange.request.headers
        self._encoding = _encoding(",".join(headers.getall("Content-Encoding", ())))
        self.format = _format(headers.get("Content-Type"), formats)
        limit = gate.settings.body_limit
        declared = exchange.request.content_length or 0
        if declared > limit:
            raise BodyTooLarge(
                f"the body is {declared} bytes, at most {limit} are allowed: send several uploads",
                limit=limit,
            )
        gate.take(exchange.caller, declared)
        self._gate = gate
        self._exchange = exchange
        self._taken = declared
        self._reading = False

    def __enter__(self) -> "Intake":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._gate.give_back(self._exchange.caller, self._taken)
        self._taken = 0

    async def read(self, service: Service, purpose: Purpose) -> Body:
        """The whole body, parsed while it arrives; the rows of an upload are counted."""
        exchange, quotas = self._exchange, self._gate.quotas
        feed = service.body(self.format, purpose, self._encoding, self._gate.settings.body_limit)
        if purpose != "insert":
            return await self._read(feed)
        quotas.check_rows(exchange.caller)
        body = await self._read(feed)
        if body.rows is not None:
            quotas.take_rows(exchange.caller, body.rows.shape[0])
        return body

    async def _read(self, feed: BodyFeed) -> Body:
        exchange, gate = self._exchange, self._gate
        content = exchange.request.content
        await let_continue(exchange)
        pace = None if content.is_eof() else Pace(content, gate.settings)
        watch: asyncio.Future[None] | None = None
        self._reading = True
        try:
            while chunk := await _next(exchange, content):
                if pace is not None:
                    pace.received = exchange.received
                if exchange.received > self._taken:
                    self._grow(exchange.received)
                first = exchange.received == len(chunk)
                if first and content.is_eof() and len(chunk) <= _SMALL and not feed.encoded:
                    return feed.read(chunk)
                if first:
                    feed.belongs_to(_owner(exchange))
                if feed.encoded:
                    feed.feed(chunk)
                    await self._unpack(feed, pace)
                    continue
                if feed.feed(chunk) > _UNPARSED:
                    if pace is not None:
                        pace.hold()
                    await feed.drained()
                    if pace is not None:
                        pace.go_on()
                elif not content.is_eof() and (watch is None or watch.done()):
                    # What is wrong in these bytes is told now, not when the next ones are here.
                    watch = feed.drained()
                    watch.add_done_callback(self._interrupt)
        finally:
            self._reading = False
            if pace is not None:
                pace.stop()
        return await feed.finish()

    def _interrupt(self, parsed: asyncio.Future[None]) -> None:
        # What is told after the reading ended is known; it must not end the dropping of the rest, too.
        if self._reading and not parsed.cancelled() and (error := parsed.exception()) is not None:
            self._exchange.request.content.set_exception(error)

    async def _unpack(self, feed: BodyFeed, pace: Pace | None) -> None:
        """Has what came unpacked and parsed, and counts it before there is more."""
        if pace is not None:
            pace.hold()
        while not feed.parsed:
            await feed.drained()
            if feed.unpacked > self._taken:
                self._grow(feed.unpacked)
        if pace is not None:
            pace.go_on()

    def _grow(self, received: int) -> None:
        limit = self._gate.settings.body_limit
        if received > limit:
            raise BodyTooLarge(f"the body is over {limit} bytes: send several uploads", limit=limit)
        self._gate.take(self._exchange.caller, received - self._taken, self._taken)
        self._taken = received


def _owner(exchange: Exchange) -> str:
    # A key's holder can choose the names of tenants, not the ids of keys.
    return exchange.tenant_id or "" if exchange.caller is EVERYONE else exchange.caller.key_id


def _encoding(header: str) -> Encoding | None:
    codings = [coding.strip().lower() for coding in header.split(",") if coding.strip()]
    if len(codings) > 1:
        raise UnsupportedMediaType(
            f"Content-Encoding: {len(codings)} codings, one behind the other, are not undone: send one of {_ACCEPTED}",
            accept_encoding=_ACCEPTED,
        )
    coding = codings[0] if codings else "identity"
    if coding not in _ENCODINGS:
        shown = coding[:80].encode("ascii", "backslashreplace").decode()
        raise UnsupportedMediaType(
            f"Content-Encoding: `{shown}` is not understood, send {_ACCEPTED}, or none",
            accept_encoding=_ACCEPTED,
        )
    return _ENCODINGS[coding]


def _format(content_type: str | None, formats: tuple[Format, ...]) -> Format:
    media = (content_type or "").partition(";")[0].strip().lower()
    format = _FORMATS.get(media)
    if format is None or format not in formats:
        taken = " or ".join(name for name, known in _FORMATS.items() if known in formats)
        sent = f"`{media[:80]}` is not understood" if media else "the header is missing"
        raise UnsupportedMediaType(
            f"Content-Type: {sent}, send {taken}".encode("ascii", "backslashreplace").decode()
        )
    return format


async def let_continue(exchange: Exchange) -> None:
    """Tells a client that waits for it to send its body."""
    if exchange.continued:
        return
    exchange.continued = True
    request = exchange.request
    if request.version == HttpVersion10 or request.headers["Expect"].lower() != "100-continue":
        return
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The answer itself has not begun.
    request.writer.output_size = 0


async def _next(exchange: Exchange, content: StreamReader) -> bytes:
    try:
        chunk = await next_piece(content)
    except RequestPayloadError as error:
        raise MalformedBody(f"the body's transfer encoding is broken: {str(error).splitlines()[0]}") from None
    except (ConnectionError, RuntimeError) as error:
        # The stream keeps the exception, whose traceback would keep the stream.
        raise ClientGone("the client left before its whole body was here") from error.with_traceback(None)
    exchange.received += len(chunk)
    return chunk


async def drop(exchange: Exchange, settings: Settings) -> bool:
    """Reads and drops what still arrives, within limit and pace; whether all of it did."""
    content = exchange.request.content
    before = exchange.received
    forgive(content)
    pace = Pace(content, settings)
    try:
        while await _next(exchange, content):
            pace.received = exchange.received - before
            if pace.received > settings.body_limit:
                return False
    except (ClientGone, BodyTimeout, MalformedBody):
        return False
    finally:
        pace.stop()
    return True


def has_body(request: web.BaseRequest) -> bool:
    """Whether a body was announced."""
    return request.body_exists
