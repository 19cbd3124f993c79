"""One measured figure: a ratio within one run, what it was made of, and the bound it is held to."""

from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Figure:
    """What was measured.

    `row` is the number of the target in `docs/performance.md` ("" when it has none). `samples` are the measurements
    that `value` was made of, a list for each contestant, their unit in its name ("ingot, rows/s"); one sample a round.
    A figure without a `bound` is reported, not held to anything.
    """

    row: str
    name: str
    value: float
    unit: str
    better: Better
    bound: float | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None without one."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.better == "higher" else self.value <= self.bound

    def middle(self) -> dict[str, float]:
        """The median of each contestant's samples."""
        return {name: median(of) for name, of in self.samples.items() if of}

    def best(self) -> dict[str, float]:
        """The best of each contestant's samples: the largest of a rate, the smallest of everything else."""
        return {
            name: (max(of) if name.endswith("/s") else min(of)) for name, of in self.samples.items() if of
        }


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.6f}"
