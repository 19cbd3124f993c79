"""Calls in progress by tenant: while one asks that has one call at a time, none of the others has more than a few.

What such a quiet tenant's request waits for then, in the event loop and in the engine, does not grow with the
connections of a loud one. A tenant that is alone has as many calls as it sends, and so have several loud ones.
"""

import asyncio
import math
import os
from collections import deque
from collections.abc import Callable

__all__ = ["Turns"]

# A tenant that asked counts for so long, and so does having had several calls at a time.
_OF_LATE_SECONDS = 1.0
#: Calls of one tenant at a time beside a quiet one: enough to have processors and disk busy, and groups of uploads
#: synced at once.
_MOST = 8
# The quiet one asked just now, and will again: as many as there are processors, two at least.
_JUST_NOW_SECONDS = 0.1
_MOST_JUST_NOW = max(2, os.cpu_count() or 2)
# Loud tenants after which those are forgotten whose time is over.
_MOST_REMEMBERED = 1024


class Turns:
    """Who may call now. Not for threads."""

    __slots__ = ("_clock", "_forget_at", "_in_progress", "_last", "_loud_until", "_together", "_waiting")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_progress: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        # Until when it counts that a tenant had several calls.
        self._loud_until: dict[str, float] = {}
        self._forget_at = _MOST_REMEMBERED
        self._last = ""
        # When two tenants last asked one after the other of whom one is quiet.
        self._together = -math.inf

    def enter(self, tenant: str) -> asyncio.Future[None] | None:
        """Begins a call, to be ended by `leave`. A future: it begins when that is done."""
        now = self._clock()
        count = self._in_progress.get(tenant, 0)
        if count:
            self._remember_loud(tenant, now)
        if tenant != self._last:
            if self._last and not (self._is_loud(tenant, now) and self._is_loud(self._last, now)):
                self._together = now
            self._last = tenant
        if count < self._most(now):
            self._in_progress[tenant] = count + 1
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        return turn

    def is_quiet(self, tenant: str) -> bool:
        """Whether the tenant has had one call at a time of late, and is served together with others."""
        now = self._clock()
        return (
            self._in_progress.get(tenant, 0) <= 1
            and now <= self._together + _OF_LATE_SECONDS
            and not self._is_loud(tenant, now)
        )

    def leave(self, tenant: str) -> None:
        """Ends a call; those of the tenant that wait follow."""
        count = self._in_progress[tenant] - 1
        waiting = self._waiting.get(tenant)
        if waiting is not None:
            most = self._most(self._clock())
            while waiting and count < most:
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

    def _most(self, now: float) -> float:
        """Calls that a tenant may have in progress."""
        since = now - self._together
        if since > _OF_LATE_SECONDS:
            return math.inf
        return _MOST_JUST_NOW if since <= _JUST_NOW_SECONDS else max(_MOST, _MOST_JUST_NOW)

    def _is_loud(self, tenant: str, now: float) -> bool:
        return self._loud_until.get(tenant, -math.inf) > now

    def _remember_loud(self, tenant: str, now: float) -> None:
        self._loud_until[tenant] = now + _OF_LATE_SECONDS
        if len(self._loud_until) > self._forget_at:
            self._loud_until = {name: until for name, until in self._loud_until.items() if until > now}
            self._forget_at = max(_MOST_REMEMBERED, 2 * len(self._loud_until))
