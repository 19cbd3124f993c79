"""What the benches say of their numbers: a regression is found, and the README's tables are those of the files."""

import importlib.metadata
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benches import compare, readme, results
from benches.figure import Figure
from benches.machine import Machine
from benches.peers import table
from benches.peers.entries import ENTRIES
from benches.peers.result import BULK, DAILY, Column, Result
from tests.conftest import REPOSITORY

HERE = Machine("2026-01-02T03:04:05+00:00", "a processor", 2, 8.0, "Linux 6", "3.11.7", {}, "abc1234")
RATE = Figure("1", "upload against the ceiling", 0.8, "x", "higher", 0.7, {"ingot, rows/s": [80.0, 79.0]})
DELAY = Figure("7", "search p50", 0.4, "ms", "lower", 0.5)


def file_of(path: Path, figures: list[Figure], peers: list[Result] | None = None) -> Path:
    content = {"machine": asdict(HERE), "data": "some vectors", "figures": [asdict(one) for one in figures]}
    if peers is not None:
        content["peers"] = [asdict(one) for one in peers]
    path.write_text(json.dumps(content))
    return path


def compared(tmp_path: Path, old: list[Figure], new: list[Figure]) -> int:
    return compare.main([str(file_of(tmp_path / "old", old)), str(file_of(tmp_path / "new", new))])


@pytest.mark.parametrize("figure", [RATE, DELAY], ids=["higher is better", "lower is better"])
def test_a_regression_of_more_than_20_percent_is_found(
    figure: Figure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = 0.79 if figure.better == "higher" else 1 / 0.79
    better = 1 / worse
    tolerated = 0.81 if figure.better == "higher" else 1 / 0.81
    assert compared(tmp_path, [figure], [replace(figure, value=figure.value * worse)]) == 1
    assert f"WORSE    {figure.name}" in capsys.readouterr().out
    assert compared(tmp_path, [figure], [replace(figure, value=figure.value * tolerated)]) == 0
    assert compared(tmp_path, [figure], [replace(figure, value=figure.value * better)]) == 0
    assert "WORSE" not in capsys.readouterr().out


def test_a_figure_that_is_new_or_gone_is_told_and_is_no_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, [RATE], [DELAY]) == 0
    told = capsys.readouterr().out
    assert f"gone     {RATE.name}" in told
    assert f"new      {DELAY.name}" in told


def test_a_comparison_needs_two_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["one.json"]) == 2
    assert "OLD.json NEW.json" in capsys.readouterr().err


def test_a_run_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    file = results.write(HERE, "some vectors", [RATE, DELAY], [asdict(OURS)])
    assert file.name.endswith("-peers.json")
    content, figures = results.read(file)
    assert figures == [RATE, DELAY]
    assert [Result(**one) for one in content["peers"]] == [OURS]


OURS = Result(
    "ingot",
    "**ingot**",
    "in process",
    [],
    durable=True,
    how="synced",
    samples={"acknowledged": [90.0, 100.0], "indexed": [50.0], "visible": [0.001], "singles": [10.0]},
)
OTHER = Result(
    "other",
    "Other 1.0",
    "in memory",
    ["other==1.0"],
    durable=False,
    samples={"acknowledged": [70.0], "indexed": [80.0], "visible": [0.0005], "singles": [1000.0]},
)
ABSENT = Result(
    "absent", "Absent 2.0", "server, SQL", ["absent==2.0"], trouble="not installed: no such wheel"
)


def column(measure: str) -> Column:
    return next(one for one in (*BULK, *DAILY) if one.measure == measure)


def test_the_best_of_a_column_is_bold_whoever_it_is() -> None:
    told = "\n".join(table.markdown([OURS, OTHER, ABSENT]))
    assert "| **ingot** | **100** | 50 | n/a |" in told
    assert "| Other 1.0 | 70 | **80** | n/a |" in told
    assert "| Absent 2.0 | not installed: no such wheel |" in told


def test_where_ours_does_not_lead_it_is_said() -> None:
    assert table.behind([OURS, OTHER, ABSENT]) == [
        "indexed rows/s (Other 1.0)",
        "found after, ms (Other 1.0)",
    ]


def test_a_row_that_one_search_missed_was_not_seen_at_once() -> None:
    assert OURS.seen_at_once is None
    assert replace(OURS, samples={"visible_at_once": [1.0, 1.0]}).seen_at_once is True
    assert replace(OURS, samples={"visible_at_once": [1.0, 0.95]}).seen_at_once is False


def test_memory_alone_acknowledges_nothing_row_by_row() -> None:
    assert column("singles").best(OTHER) is None
    assert table.leaders([OURS, OTHER], column("singles")) == {"ingot"}


def test_equal_figures_lead_together() -> None:
    equal = replace(OTHER, samples={"acknowledged": [100.4]})
    assert table.leaders([OURS, equal], column("acknowledged")) == {"ingot", "other"}


def test_the_section_is_made_of_both_files(tmp_path: Path) -> None:
    file_of(tmp_path / readme.FIGURES, [RATE])
    file_of(tmp_path / readme.PEERS, [], [OURS, OTHER])
    old = f"before\n{readme.BEGIN}\nby hand\n{readme.END}\nafter\n"
    new = readme.replaced(old, tmp_path)
    assert new.startswith(f"before\n{readme.BEGIN}\n")
    assert new.endswith(f"{readme.END}\nafter\n")
    assert "by hand" not in new
    assert "| 1 | upload against the ceiling | 0.8 x | ≥ 0.7 (met) |" in new
    assert "**Where ours does not lead**: indexed rows/s (Other 1.0)" in new
    assert new.count("2026-01-02, commit abc1234: a processor, 2 cores, 8.0 GB") == 2
    assert readme.replaced(new, tmp_path) == new


def test_a_readme_without_its_markers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="end of numbers"):
        readme.replaced("no markers\n", tmp_path)


def test_the_numbers_of_the_readme_are_those_of_the_measurements() -> None:
    text = (REPOSITORY / readme.README).read_text()
    assert text == readme.replaced(text, REPOSITORY / readme.MEASUREMENTS)


def test_every_contestant_is_pinned_and_has_its_adapter() -> None:
    for entry in ENTRIES:
        assert (REPOSITORY / f"benches/peers/contestants/{entry.module}.py").is_file()
        assert all("==" in package for package in entry.packages)
        if entry.packages and entry.name != "pgvector":  # its first package is the server
            assert entry.packages[0].partition("==")[2] in entry.title
    assert [entry.name for entry in ENTRIES if not entry.packages] == ["ingot-http", "ingot"]
    assert importlib.metadata.version("ingot")
