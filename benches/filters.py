"""`python -m benches.filters [NAME..]`: filtered searches over selectivities, ours beside peers: a table, a file."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benches import machine, results
from benches.figure import Figure, number
from benches.peers import venvs
from benches.peers.entries import ENTRIES, Entry
from benches.peers.turn import end
from benches.vectors import load

TAKING_PART = ("ingot", "qdrant-edge", "pgvector")
SHARES = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.99)
ROWS = 40_000
WITHIN = 600.0
#: What the unfiltered search is called among the shares.
ALL = "no filter"


def main() -> int:
    """Exit code 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benches.filters", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of: {' '.join(TAKING_PART)} (default: all)"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows to load (default: {ROWS:,})")
    options = parser.parse_args()
    if unknown := set(options.names) - set(TAKING_PART):
        parser.error(f"no such contestant: {' '.join(sorted(unknown))}")
    here = machine.describe()
    # Not `tempfile`: PostgreSQL runs as another user, who must get there.
    folder = (results.FOLDER / f"filters-{time.time_ns()}").absolute()
    (folder / "data").mkdir(parents=True)
    told: dict[str, dict[str, dict[str, float]]] = {}
    failed = []
    try:
        name = _write(folder / "data", options.rows)
        for entry in ENTRIES:
            if entry.name in (options.names or TAKING_PART):
                try:
                    told[entry.name] = _take(entry, folder)
                except RuntimeError as trouble:
                    failed.append(f"{entry.name}: {trouble}")
    finally:
        shutil.rmtree(folder)
    figures = _figures(told)
    print(f"{here.date} {here.processor}, {here.cores} cores, {here.memory_gb} GB, {here.commit}; {name}")
    print("\n".join(_table(told)))
    print(f"\nwritten to {results.write(here, name, figures)}")
    print("".join(f"not measured: {line}\n" for line in failed), end="", file=sys.stderr)
    return 1 if failed else 0


def _write(folder: Path, rows: int) -> str:
    vectors = load(rows)
    tags = np.random.default_rng(7).permutation(rows)
    for name, array in (("rows", vectors.rows), ("queries", vectors.queries), ("tags", tags)):
        np.save(folder / f"{name}.npy", array)
    (folder / "bounds.json").write_text(json.dumps([max(1, round(rows * share)) for share in SHARES]))
    return f"{rows:,} x {vectors.rows.shape[1]} of {vectors.name}"


def _take(entry: Entry, folder: Path) -> dict[str, dict[str, float]]:
    """Share -> milliseconds and recall of one contestant."""
    venvs.install(entry)
    own = folder / entry.name
    own.mkdir()
    began = time.perf_counter()
    command = [str(entry.python.absolute()), "-m", "benches.peers.narrowed"]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    process = subprocess.Popen(
        [*command, entry.module, str(own), str(folder / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        answer, trouble = process.communicate(timeout=WITHIN)
    except subprocess.TimeoutExpired:
        answer, trouble = "", f"not done within {WITHIN:.0f} s"
    finally:
        end(process.pid)
    if process.wait() or not answer.strip():
        raise RuntimeError((trouble.strip().splitlines() or ["no answer"])[-1])
    print(f"  {entry.name} {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    lines: dict[str, Any] = json.loads(answer.strip().splitlines()[-1])
    return dict(zip([ALL, *map(_percent, SHARES)], lines.values(), strict=True))


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def _figures(told: dict[str, dict[str, dict[str, float]]]) -> list[Figure]:
    ours = told.get("ingot")
    if ours is None:
        return []
    figures = []
    for share in map(_percent, SHARES):
        samples = {f"{name}, ms": [found[share]["ms"]] for name, found in told.items()}
        note = ", ".join(f"{name} recall {found[share]['recall']:.3f}" for name, found in told.items())
        ratio = ours[share]["ms"] / ours[ALL]["ms"]
        figures.append(
            Figure(
                "",
                f"search of which {share} pass, against no filter",
                ratio,
                "x",
                "lower",
                None,
                samples,
                note,
            )
        )
    return figures


def _table(told: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    lines = [f"{'rows that pass':16}" + "".join(f"{name:>24}" for name in told)]
    for share in (ALL, *map(_percent, SHARES)):
        cells = (
            f"{number(found[share]['ms'])} ms, recall {found[share]['recall']:.3f}" for found in told.values()
        )
        lines.append(f"{share:16}" + "".join(f"{cell:>24}" for cell in cells))
    return lines


if __name__ == "__main__":
    sys.exit(main())
