"""`python -m benches.peers [NAME..]`: ours and the peers in turn, one table, and `.bench/<date>-peers.json`.

In every round each contestant has one turn: an empty folder, all vectors, searches, a restart, documents. A peer that
cannot be installed or that fails keeps its row, with the reason.
"""

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benches import machine, results
from benches.peers import table, turn, venvs
from benches.peers.entries import ENTRIES
from benches.peers.result import Result
from benches.vectors import load

ROWS = 40_000
MORE = 2_000  # for what comes after the load
NEAREST = 10


def main() -> int:
    """Exit code 1 if one of ours failed."""
    names = [entry.name for entry in ENTRIES]
    parser = argparse.ArgumentParser(prog="python -m benches.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {' '.join(names)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant (default: 3)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows to load (default: {ROWS:,})")
    parser.add_argument(
        "--under", default="", help="a command that every turn is run under: 'taskset -c 0,1'"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no such contestant: {' '.join(sorted(unknown))}")
    taking_part = [entry for entry in ENTRIES if entry.name in (options.names or names)]
    told = {one.name: Result(one.name, one.title, one.kind, list(one.packages)) for one in taking_part}
    for entry in taking_part:
        try:
            venvs.install(entry)
        except RuntimeError as failed:
            told[entry.name].trouble = str(failed)
    here = machine.describe()
    # Not `tempfile`: PostgreSQL runs as another user, who must get there.
    folder = (results.FOLDER / f"peers-{time.time_ns()}").absolute()
    (folder / "data").mkdir(parents=True)
    try:
        name = _write(folder / "data", options.rows)
        for number in range(options.rounds):
            for entry in taking_part:
                if told[entry.name].trouble:
                    continue
                began = time.perf_counter()
                try:
                    turn.take(entry, told[entry.name], folder / entry.name, folder / "data", options.under)
                except RuntimeError as failed:
                    told[entry.name].trouble = str(failed)
                took = time.perf_counter() - began
                trouble = told[entry.name].trouble
                print(
                    f"  round {number + 1}: {entry.name} {took:.0f} s {trouble}", file=sys.stderr, flush=True
                )
    finally:
        shutil.rmtree(folder)
    results_ = list(told.values())
    print(f"{here.date} {here.processor}, {here.cores} cores, {here.memory_gb} GB, {here.commit}; {name}")
    print("\n".join(table.lines(results_)))
    print(f"\nwritten to {results.write(here, name, [], [asdict(one) for one in results_])}")
    return 1 if any(one.trouble for one in results_ if not one.packages) else 0


def _write(folder: Path, rows: int) -> str:
    """The vectors, and the exact answers among those that are loaded, for every contestant to read."""
    vectors = load(rows + MORE)
    base, more = vectors.rows[:rows], vectors.rows[rows : rows + MORE]
    exact = np.argsort(-(vectors.queries @ base.T), axis=1)[:, :NEAREST].astype(np.int32)
    for name, array in (("rows", base), ("more", more), ("queries", vectors.queries), ("exact", exact)):
        np.save(folder / f"{name}.npy", array)
    (folder / "rows.json").write_text(json.dumps(len(base)))
    return f"{len(base):,} x {base.shape[1]} of {vectors.name}"


if __name__ == "__main__":
    sys.exit(main())
