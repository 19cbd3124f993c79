"""How much of its time the event loop may spend on the short searches of tenants that are not alone."""

from collections.abc import Callable

__all__ = ["LoopShare"]

# Of a core: as much as a client that sends one search after the other needs, so that the loop is there for the rest.
_SHARE = 0.25
# Seconds that may be saved up.
_MOST = 0.005


class LoopShare:
    """A share of time that is spent and comes back. Not for threads."""

    __slots__ = ("_clock", "_credit", "_since")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._credit = _MOST
        self._since = clock()

    @property
    def is_left(self) -> bool:
        """Whether another search may be begun."""
        now = self._clock()
        self._credit = min(_MOST, self._credit + _SHARE * (now - self._since))
        self._since = now
        return self._credit > 0

    def spend(self, seconds: float) -> None:
        """Takes what a search took, also more than there is."""
        self._credit = max(self._credit - seconds, -_MOST)
