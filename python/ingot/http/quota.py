"""Requests and rows a second: of the server, and of each key. What is over a budget is refused, nothing waits."""

import math
import time

from ingot.auth.caller import Caller
from ingot.errors import Overloaded, OverQuota
from ingot.settings import Settings

__all__ = ["AnswerBudget", "Bucket", "Quotas"]

# What may come at once: this many seconds' worth.
_BURST_SECONDS = 1.0


# Answers up to here are not counted: those of uploads among them, which must not be refused when all is done.
_SMALL_ANSWER = 4 * 1024 * 1024


class AnswerBudget:
    """Large answers that their clients have not taken yet."""

    __slots__ = ("held", "left_memory", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        #: Bytes of them.
        self.held = 0
        #: Whether all are gone, and the allocator may hold what they had.
        self.left_memory = False

    def hold(self, size: int) -> object:
        """Counts an answer for as long as what is returned lives. Raises `Overloaded`; one alone always fits."""
        if size <= _SMALL_ANSWER:
            return None
        if self.held and self.held + size > self.most:
            raise Overloaded(
                f"answers that their clients are still taking fill the {self.most} bytes that are held at a time: "
                "try again in a moment, or ask for less"
            )
        return _Held(self, size)


class _Held:
    """The bytes of one answer."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: AnswerBudget, size: int) -> None:
        self._budget = budget
        self._size = size
        budget.held += size

    def __del__(self) -> None:
        # Whatever becomes of an answer, this is not forgotten.
        self._budget.held -= self._size
        self._budget.left_memory |= self._budget.held == 0


class Bucket:
    """A rate. Something is let in while nothing is owed; it may be more than there is, and is owed then."""

    __slots__ = ("_paid", "_rate")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        #: The moment at which all that was taken is paid for.
        self._paid = -math.inf

    def owed(self, now: float) -> float:
        """Seconds until something is let in again; 0 or less: now."""
        return self._paid - now

    def take(self, amount: int, now: float) -> None:
        """Takes an amount, whatever is there."""
        self._paid = max(self._paid, now - _BURST_SECONDS) + amount / self._rate


class _Share:
    """What one key has used."""

    __slots__ = ("requests", "rows")

    def __init__(self, settings: Settings) -> None:
        self.requests = _bucket(settings.key_requests_per_second)
        self.rows = _bucket(settings.key_rows_per_second)


def _bucket(rate: int) -> Bucket | None:
    return Bucket(rate) if rate else None


class Quotas:
    """The budgets of a server and its keys. A request without a key, where none is needed, is of one caller."""

    __slots__ = ("_limits_keys", "_requests", "_rows", "_settings", "_shares")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._requests = _bucket(settings.requests_per_second)
        self._rows = _bucket(settings.rows_per_second)
        self._limits_keys = bool(settings.key_requests_per_second or settings.key_rows_per_second)
        # Only of callers who were let in: no more than there are keys.
        self._shares: dict[str, _Share] = {}

    def take_request(self, caller: Caller) -> None:
        """Counts a request; raises `OverQuota` or `Overloaded` when it is one too many."""
        if not self._limits_keys and self._requests is None:
            return
        now = time.monotonic()
        own = self._share(caller).requests if self._limits_keys else None
        _check(own, self._requests, now, "requests", self._settings.key_requests_per_second)
        if own is not None:
            own.take(1, now)
        if self._requests is not None:
            self._requests.take(1, now)

    def check_rows(self, caller: Caller) -> None:
        """Raises `OverQuota` or `Overloaded` when no upload may begin."""
        if self._limits_keys or self._rows is not None:
            own = self._share(caller).rows if self._limits_keys else None
            _check(own, self._rows, time.monotonic(), "rows", self._settings.key_rows_per_second)

    def take_rows(self, caller: Caller, rows: int) -> None:
        """Counts rows; raises as `check_rows` does. One upload alone always fits."""
        if not self._limits_keys and self._rows is None:
            return
        self.check_rows(caller)
        now = time.monotonic()
        if self._limits_keys and (own := self._share(caller).rows) is not None:
            own.take(rows, now)
        if self._rows is not None:
            self._rows.take(rows, now)

    def _share(self, caller: Caller) -> _Share:
        share = self._shares.get(caller.key_id)
        if share is None:
            share = self._shares[caller.key_id] = _Share(self._settings)
        return share


def _check(own: Bucket | None, everyones: Bucket | None, now: float, what: str, rate: int) -> None:
    if own is not None and (owed := own.owed(now)) > 0:
        raise OverQuota(
            f"this key may send {rate} {what} a second: wait {math.ceil(owed)} s", retry_after=math.ceil(owed)
        )
    if everyones is not None and everyones.owed(now) > 0:
        # Not by how much: that is what others send.
        raise Overloaded(f"the server takes no more {what} for the moment: try again shortly")
