"""How long connections may keep the server waiting, how many there may be, and what became of them."""

import asyncio
import resource
from collections.abc import Callable

from ingot.settings import Settings

__all__ = ["ConnectionWatch", "raise_descriptor_limit"]

# Time between two rounds of the connections: no timer a request.
_ROUND_SECONDS = 1.0
# Lines of the log about connections that were turned away come no faster.
_TELL_SECONDS = 10.0
# Of what is not for tenants, the share that is for connections; and how many there are by default at most.
_SHARE = 7 / 8
_MOST_BY_DEFAULT = 16_384


def raise_descriptor_limit() -> None:
    """Allows the process as many descriptors as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            # It has to do with those it has.
            return


def _most(settings: Settings) -> int:
    if settings.max_connections:
        return settings.max_connections
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # As the engine counts them (`most_open` in `store/mod.rs`).
    tenants = settings.max_open_tenants or min(max(descriptors // 4, 16), 4096)
    return min(max(int((descriptors - tenants) * _SHARE), 16), _MOST_BY_DEFAULT)


class ConnectionWatch:
    """The bounds that connections are held to."""

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self.head_timeout = settings.head_timeout
        self.send_timeout = settings.send_timeout
        #: Bytes that a client takes in `send_timeout`, or it is cut off.
        self.fewest_taken = max(1, int(settings.body_rate * settings.send_timeout))
        self.most = _most(settings)
        self.accepted = 0
        self.cut = {"surplus": 0, "head": 0, "answer": 0}
        #: How late the last round began.
        self.lag = 0.0
        self._tell = tell
        self._told = 0
        self._tell_again = 0.0

    async def run(self, judge: Callable[[float], None]) -> None:
        """Calls `judge` with the loop's time about once a second, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _ROUND_SECONDS
            await asyncio.sleep(_ROUND_SECONDS)
            now = loop.time()
            self.lag = max(0.0, now - due)
            judge(now)
            self._report(now)

    def _report(self, now: float) -> None:
        surplus = self.cut["surplus"]
        if surplus > self._told and now >= self._tell_again:
            self._tell(f"{surplus - self._told} connections were turned away: {self.most} were open already")
            self._told = surplus
            self._tell_again = now + _TELL_SECONDS
