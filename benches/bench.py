"""What every part of the run shares: a folder, the vectors, the rounds, and a word about how far it is."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bench:
    """`folder` is emptied after the run; `kept` is not: what takes minutes to build lies there, by what it holds."""

    folder: Path
    kept: Path
    rounds: int = 5

    def say(self, text: str) -> None:
        """A line for whoever waits."""
        print(f"  {text}", file=sys.stderr, flush=True)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Says how long a part took."""
        started = time.perf_counter()
        yield
        self.say(f"{name}: {time.perf_counter() - started:.0f} s")
