"""`python -m benches [PART..]`: measures, prints one table, writes `.bench/<date>.json`.

Without a name every part is measured. A part is a module with `measure(bench) -> list[Figure]`.
"""

import argparse
import importlib
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from benches import machine, results, table, vectors
from benches.bench import Bench
from benches.figure import Figure

PARTS = ("uploads", "requests", "fairness", "searches", "indexing", "scale")


def main() -> int:
    """Exit code 1 if a part failed, for instance a request of it: a number with errors in it is no number."""
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {' '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="times each contestant has its turn (default: 5)"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {' '.join(sorted(unknown))}")
    results.FOLDER.mkdir(exist_ok=True)
    kept = results.FOLDER / "kept"
    kept.mkdir(exist_ok=True)
    here = machine.describe()
    figures: list[Figure] = []
    failed: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=results.FOLDER))
    try:
        for name in options.parts or PARTS:
            bench = Bench(folder / name, kept, options.rounds)
            bench.folder.mkdir()
            with bench.part(name):
                try:
                    figures += importlib.import_module(f"benches.{name}").measure(bench)
                except Exception:  # noqa: BLE001 - the other parts have taken minutes: their figures are kept
                    traceback.print_exc()
                    failed.append(name)
            shutil.rmtree(bench.folder)
    finally:
        shutil.rmtree(folder)
    print(
        f"{here.date} {here.processor}, {here.cores} cores, {here.memory_gb} GB, Python {here.python}, {here.commit}"
    )
    print("\n".join(table.lines(figures)))
    print(f"\nwritten to {results.write(here, vectors.load(1).name, figures)}")
    if failed:
        print(f"not measured: {' '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
