"""Results as tables: for a terminal, best and median; for a document, the best of each column in bold."""

from collections.abc import Sequence

from benches.figure import number
from benches.peers.result import BULK, DAILY, Column, Result

NOTHING = "n/a"


def lines(results: Sequence[Result]) -> list[str]:
    """For a terminal: a contestant after the other, every measure with best and median."""
    told: list[str] = []
    for one in results:
        told += [
            "",
            f"{plain(one.title)} ({one.kind}): {durability(one)}; {one.settings}, search ef {one.ef}",
        ]
        if one.trouble:
            told.append(f"    did not take part to the end: {one.trouble}")
        for column in (*BULK, *DAILY):
            best, middle = column.best(one), column.median(one)
            if best is None or middle is None:
                told.append(f"    {column.title:<28} {NOTHING:>12}")
            else:
                told.append(
                    f"    {column.title:<28} {shown(column, best):>12}   median {shown(column, middle)}"
                )
        told.append(f"    {'the next search finds it':<28} {yes(one.seen_at_once):>12}")
        told.append(f"    {'replace is atomic':<28} {yes(one.atomic):>12}")
    return told


def markdown(results: Sequence[Result]) -> list[str]:
    """For a document: loading and searching; then what every day brings; then how each keeps its data."""
    return [
        *_table(results, BULK),
        "",
        *_table(results, DAILY),
        "",
        "| | survives a power cut once acknowledged | the next search finds it | a replacement is atomic | settings |",
        "|---|---|---|---|---|",
        *(
            f"| {one.title} | {one.trouble or durability(one)} | {yes(one.seen_at_once)} | {yes(one.atomic)} | "
            f"{one.settings}, search ef {one.ef or NOTHING} |"
            for one in results
        ),
    ]


def leaders(results: Sequence[Result], column: Column) -> set[str]:
    """The names of those whose figure, as it is shown, nobody's is better than."""
    figures = {one.name: best for one in results if (best := column.best(one)) is not None}
    if not figures:
        return set()
    top = shown(column, max(figures.values()) if column.better == "higher" else min(figures.values()))
    return {name for name, best in figures.items() if shown(column, best) == top}


def behind(results: Sequence[Result]) -> list[str]:
    """A sentence for each column that none of ours leads."""
    titles = {one.name: plain(one.title) for one in results}
    told = []
    for column in (*BULK, *DAILY):
        first = leaders(results, column)
        ours = {one.name for one in results if not one.packages}
        if first and not first & ours:
            told.append(f"{column.title} ({', '.join(titles[name] for name in titles if name in first)})")
    return told


def durability(result: Result) -> str:
    """Yes or no, and by what."""
    return f"{yes(result.durable)}: {result.how}" if result.how else yes(result.durable)


def yes(answer: bool | None) -> str:
    """A word for it."""
    return NOTHING if answer is None else "yes" if answer else "no"


def plain(title: str) -> str:
    """Without the marks of a document."""
    return title.replace("*", "").replace("`", "")


def shown(column: Column, value: float) -> str:
    """As many digits as say something."""
    return number(value) if column.digits is None else f"{value:.{column.digits}f}"


def _table(results: Sequence[Result], columns: Sequence[Column]) -> list[str]:
    told = [f"| | {' | '.join(column.title for column in columns)} |", "|---" * (len(columns) + 1) + "|"]
    first = {column.measure: leaders(results, column) for column in columns}
    for one in results:
        cells = []
        for column in columns:
            best = column.best(one)
            text = NOTHING if best is None else shown(column, best)
            cells.append(f"**{text}**" if one.name in first[column.measure] else text)
        told.append(f"| {one.title} | {' | '.join(cells)} |")
    return told
