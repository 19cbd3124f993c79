"""What a body reader says of a body, as structure, whatever words `ingot.errors` makes of it."""

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: ("read", envelope, bits of the rows) or (kind of error, its fields without words, None).
Verdict = tuple[str, Any, Any]
Judge = Callable[[Sequence[bytes], str, str], Verdict]


class Structure(Exception):
    """An engine error before words are made of it."""

    def __init__(self, kind: str, fields: dict[str, Any]) -> None:
        super().__init__(kind, fields)
        self.kind = kind
        self.fields = fields

    def verdict(self) -> Verdict:
        return self.kind, {name: value for name, value in self.fields.items() if name != "reason"}, None


def bits(rows: NDArray[np.float32]) -> list[list[int]]:
    """Rows as the bits of their numbers."""
    numbers: list[list[int]] = rows.view(np.uint32).tolist()
    return numbers


def torture(count: int) -> int:
    """How often to try: `count`, or 20 times as often in a campaign (`make torture`)."""
    return count * (20 if os.environ.get("INGOT_TORTURE") else 1)


def cut(chance: random.Random, text: bytes) -> list[bytes]:
    """`text` in chunks of random sizes: sometimes whole, sometimes single bytes."""
    average = chance.choice([1, 3, 20, 100, 500, len(text) or 1])
    chunks = []
    at = 0
    while at < len(text):
        size = len(text) if average >= len(text) else chance.randint(1, 2 * average)
        chunks.append(text[at : at + size])
        at += size
    return chunks
