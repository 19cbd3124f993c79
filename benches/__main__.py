"""`python -m benches`: measures uploads, prints one table, writes `.bench/<date>.json`."""

import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benches import machine, uploads, vectors

RESULTS = Path(".bench")


def main() -> int:
    """Exit code 1 if a request failed: a number with errors in it is no number."""
    RESULTS.mkdir(exist_ok=True)
    here = machine.describe()
    data = vectors.load(uploads.REQUESTS * uploads.BATCH)
    print(
        f"{here.date} {here.processor}, {here.cores} cores, {here.memory_gb} GB, Python {here.python}, {here.commit}"
    )
    print(
        f"uploads of {uploads.BATCH} x {data.rows.shape[1]} ({data.name}), client and server on the same cores:"
    )
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=RESULTS))
    try:
        results = uploads.measure(data, folder)
    finally:
        shutil.rmtree(folder)
    print()
    for line in uploads.table(results):
        print(line)
    file = RESULTS / f"{here.date.replace(':', '')}.json"
    file.write_text(
        json.dumps({"machine": asdict(here), "data": data.name, "uploads": uploads.rows(results)}, indent=1)
    )
    print(f"\nwritten to {file}")
    return 1 if any(one.errors for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
