"""The server's log on standard error: one line a request, what the server does, and errors with their traceback.

Lines are handed to a thread in batches: an event loop must not wait for whoever reads standard error.
"""

import asyncio
import functools
import json
import queue
import re
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from ingot.auth.key import redacted
from ingot.http.exchange import Exchange
from ingot.settings import LogFormat

__all__ = ["ServerLog"]

# How long a line waits for others, and how many batches wait for the reader before lines are dropped.
_BATCH_SECONDS = 0.02
_BATCHES_WAITING = 256

_PLAIN = re.compile(r"[\w.:/+@-]+", re.ASCII)


class _Clock:
    """The time as RFC 3339 text; the part that changes once a second is kept."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{nanoseconds // 1_000_000:03d}Z"


class ServerLog:
    """Writes lines of text or JSON."""

    def __init__(self, format: LogFormat, stream: TextIO | None = None, secret: str | None = None) -> None:
        """`secret` is a key that no line may hold, like those that look like one."""
        self._secret = secret
        self._json = format == "json"
        self._stream = sys.stderr if stream is None else stream
        self._lines: list[str] = []
        self._clock = _Clock()
        self._dropped = 0
        self._batches: queue.Queue[list[str] | None] = queue.Queue(_BATCHES_WAITING)
        self._thread = threading.Thread(target=self._write_batches, name="ingot-log", daemon=True)
        self._thread.start()

    def request(self, exchange: Exchange, status: int, seconds: float) -> None:
        """The line of one request."""
        # Written out rather than through `json.dumps` of a dict: half of what a small request costs besides aiohttp.
        x, now, ms = exchange, self._clock.now(), seconds * 1000
        if self._json:
            self._line(
                f'{{"time": "{now}", "request_id": {json.dumps(x.request_id)}, "key_id": "{x.caller.key_id}", '
                f'"tenant": {json.dumps(x.tenant_id or "-")}, "route": {json.dumps(x.route)}, "status": {status}, '
                f'"rows": {x.rows}, "bytes": {x.received}, "ms": {ms:.3f}}}'
            )
        else:
            self._line(
                f"time={now} request_id={_text(x.request_id)} key_id={x.caller.key_id} "
                f"tenant={_name(x.tenant_id or '-')} route={_name(x.route)} status={status} "
                f"rows={x.rows} bytes={x.received} ms={ms:.3f}"
            )

    def event(self, message: str, **facts: Any) -> None:
        """What the server does."""
        if self._json:
            self._line(json.dumps({"time": self._clock.now(), "event": message, **facts}))
        else:
            self._line(f"ingot: {message}")

    def failure(self, request_id: str, route: str, error: BaseException) -> None:
        """An error that a client is not told the details of."""
        trace = "".join(traceback.format_exception(error))
        if self._json:
            facts = {"error": repr(error), "request_id": request_id, "route": route, "trace": trace}
            self._line(json.dumps({"time": self._clock.now(), **facts}))
        else:
            self._line(f"ingot: error in request {_text(request_id)} ({route}):\n{trace.rstrip()}")

    def _line(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            try:
                asyncio.get_running_loop().call_later(_BATCH_SECONDS, self._hand_over)
            except RuntimeError:
                self._hand_over()

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(f"ingot: {self._dropped} lines of the log were dropped: standard error was not read")
        try:
            self._batches.put_nowait(lines)
            self._dropped = 0
        except queue.Full:
            self._dropped += len(lines)

    def _write_batches(self) -> None:
        while (lines := self._batches.get()) is not None:
            try:
                self._stream.write(self._clean("\n".join(lines)) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # Nobody reads any more; the server lives on.
                continue

    def _clean(self, text: str) -> str:
        # Nobody logs a key on purpose; but clients put them where they do not belong, and so do tracebacks.
        if self._secret is not None:
            text = text.replace(self._secret, "***")
        return redacted(text)

    def close(self) -> None:
        """Writes what is left; waits a moment at most."""
        if self._lines:
            self._hand_over()
        try:
            self._batches.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(timeout=1)


@functools.lru_cache(maxsize=1024)
def _name(value: str) -> str:
    """As `_text`, for what comes again and again."""
    return _text(value)


def _text(value: str) -> str:
    # ASCII only, so that no client's text can end the line, begin another field, or move the cursor.
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
