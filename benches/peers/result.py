"""What is known of one contestant after a run, and the columns that are made of it."""

from dataclasses import dataclass, field
from statistics import median
from typing import Literal


@dataclass
class Result:
    """`samples`: one number a round for each measure; empty, with `trouble`, when it could not take part."""

    name: str
    title: str
    kind: str
    packages: list[str]
    durable: bool | None = None
    how: str = ""
    atomic: bool | None = None
    settings: str = ""
    ef: int | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    trouble: str = ""

    def add(self, measure: str, value: float) -> None:
        """One more sample."""
        self.samples.setdefault(measure, []).append(value)

    @property
    def seen_at_once(self) -> bool | None:
        """Whether the first search after a row's acknowledgement found it, every time; None if nobody looked."""
        shares = self.samples.get("visible_at_once")
        return min(shares) == 1.0 if shares else None

    def middle(self, measure: str) -> float | None:
        """The median of the rounds."""
        of = self.samples.get(measure)
        return median(of) if of else None


@dataclass(frozen=True)
class Column:
    """A measure as it is shown: `scale` makes the unit of the title of what was measured."""

    measure: str
    title: str
    better: Literal["higher", "lower"]
    scale: float = 1.0
    digits: int | None = None
    acknowledged_only: bool = False

    def best(self, result: Result) -> float | None:
        """The best of the rounds, in the unit of the title."""
        of = result.samples.get(self.measure)
        if not of or (self.acknowledged_only and result.kind == "in memory"):
            return None
        return (max(of) if self.better == "higher" else min(of)) * self.scale

    def median(self, result: Result) -> float | None:
        """The median of the rounds, in the unit of the title."""
        middle = result.middle(self.measure)
        return None if middle is None or self.best(result) is None else middle * self.scale


BULK = (
    Column("acknowledged", "acknowledged rows/s", "higher"),
    Column("indexed", "indexed rows/s", "higher"),
    Column("recall", "recall@10", "higher", digits=4),
    Column("searches_1", "searches/s, 1 client", "higher"),
    Column("searches_2", "searches/s, 2 clients", "higher"),
    Column("disk", "bytes on disk a row", "lower"),
    Column("memory", "peak memory, MB", "lower", scale=1e-6),
)
DAILY = (
    Column("singles", "single rows/s", "higher", acknowledged_only=True),
    Column("visible", "found after, ms", "lower", scale=1e3),
    Column("replace", "replace a document, ms", "lower", scale=1e3),
    Column("delete", "delete a document, ms", "lower", scale=1e3),
    Column("restart", "restart to first search, s", "lower"),
)
