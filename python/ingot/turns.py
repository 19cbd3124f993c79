"""Calls in progress by tenant: while several tenants are being served, none has more than a few.

What a quiet tenant's request waits for then, in the event loop and in the engine, does not grow with the connections of
a loud one. A tenant that is alone has as many as it sends.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable

__all__ = ["Turns"]

#: Calls of one tenant at a time: enough to have processors and disk busy, and groups of uploads synced at once.
_MOST = 8
# Tenants are served together while calls of another came within this time.
_TOGETHER_SECONDS = 1.0


class Turns:
    """Who may call now. Not for threads."""

    __slots__ = ("_clock", "_in_progress", "_last", "_together_until", "_waiting")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_progress: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._last = ""
        self._together_until = -math.inf

    def enter(self, tenant: str) -> asyncio.Future[None] | None:
        """Begins a call, to be ended by `leave`. A future: it begins when that is done."""
        if tenant != self._last:
            if self._last:
                self._together_until = self._clock() + _TOGETHER_SECONDS
            self._last = tenant
        count = self._in_progress.get(tenant, 0)
        if count < _MOST or self._clock() > self._together_until:
            self._in_progress[tenant] = count + 1
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        return turn

    def is_quiet(self, tenant: str) -> bool:
        """Whether the tenant has at most one call in progress while it is served together with others."""
        return self._in_progress.get(tenant, 0) <= 1 and self._clock() <= self._together_until

    def leave(self, tenant: str) -> None:
        """Ends a call; those of the tenant that wait follow."""
        count = self._in_progress[tenant] - 1
        waiting = self._waiting.get(tenant)
        if waiting is not None:
            alone = self._clock() > self._together_until
            while waiting and (count < _MOST or alone):
                turn = waiting.popleft()
                # One that is done was cancelled: its client left.
                if not turn.done():
                    turn.set_result(None)
                    count += 1
            if not waiting:
                del self._waiting[tenant]
        if count:
            self._in_progress[tenant] = count
        else:
            del self._in_progress[tenant]
