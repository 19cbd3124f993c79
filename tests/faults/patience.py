"""Waiting for what comes by itself."""

import time
from collections.abc import Callable

from tests.http.server import DEADLINE


def until(true: Callable[[], bool]) -> None:
    """Asks again and again; fails after a deadline."""
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        # Leaves the processor to whom it waits for.
        time.sleep(0.01)
