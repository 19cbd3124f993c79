"""The bridge from native threads to an event loop: one mailbox, one file descriptor, one future a call."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from ingot import _native

__all__ = ["CompletionBridge"]


class CompletionBridge:
    """Turns `begin_*(completions, token, ...)` calls into awaitables of the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._completions = _native.Completions()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tokens = itertools.count(1)
        self._fileno = self._completions.fileno()
        self._loop.add_reader(self._fileno, self._drain)

    def call(self, begin: Callable[..., bool | None], *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Begins native work and returns its outcome to come.

        Cancelling the future abandons the answer; the work itself goes on to its end. When `begin` returns True it has
        ended already, and so has the future.
        """
        token = next(self._tokens)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[token] = future
        try:
            ended = begin(self._completions, token, *args, **kwargs)
        except BaseException:
            del self._waiting[token]
            raise
        if ended:
            self._drain()
        return future

    def _drain(self) -> None:
        for token, result, error in self._completions.drain():
            future = self._waiting.pop(token, None)
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    @property
    def outstanding(self) -> int:
        """Calls that have not completed."""
        return len(self._waiting)

    def close(self) -> None:
        """Stops listening; calls that have not completed never will."""
        self._loop.remove_reader(self._fileno)
        self._completions.close()
