"""Figures as lines to read, for a terminal and for a README."""

from collections.abc import Iterable

from benches.figure import Figure, number

MARKS = {True: "met", False: "missed", None: ""}


def by_row(figures: Iterable[Figure]) -> list[Figure]:
    """Those with a target first, in the order of the targets."""
    return sorted(figures, key=lambda one: int(one.row or 1000))


def lines(figures: Iterable[Figure]) -> list[str]:
    """For a terminal: the figure, its bound, and the samples below it."""
    told = []
    for one in by_row(figures):
        told.append(
            f"{one.row:>3}  {one.name:<78} {number(one.value):>9} {one.unit:<5} {_bound(one):<10} {MARKS[one.met]}"
        )
        best, middle = one.best(), one.middle()
        told.extend(
            f"       {name}: best {number(best[name])}, median {number(middle[name])}" for name in best
        )
        if one.note:
            told.append(f"       {one.note}")
    return told


def markdown(figures: Iterable[Figure]) -> list[str]:
    """For a document: a row a figure."""
    told = ["| # | measured | figure | target |", "|---|---|---|---|"]
    told.extend(
        f"| {one.row} | {one.name} | {number(one.value)} {one.unit} | "
        f"{_bound(one)}{'' if one.met is None else f' ({MARKS[one.met]})'} |"
        for one in by_row(figures)
    )
    return told


def _bound(one: Figure) -> str:
    if one.bound is None:
        return ""
    return f"{'≥' if one.better == 'higher' else '≤'} {number(one.bound)}"
