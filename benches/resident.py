"""Anonymous memory of a store that holds an indexed tenant: `python -m benches.resident DIRECTORY ROWS.npy`.

Prints one JSON object of bytes: when the store was empty, when everything was in the graph, and when that had been
saved. The rows are mapped, so that they count as page cache.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

import ingot

BATCH = 2000


def anonymous(process: int | str = "self") -> int:
    """Anonymous memory of a process that is resident, in bytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{process}/status has no RssAnon")


def main() -> None:
    """One tenant, uploaded by `BATCH` rows."""
    directory, rows = Path(sys.argv[1]), np.load(sys.argv[2], mmap_mode="r", allow_pickle=False)
    with ingot.open(directory) as store:
        empty = anonymous()
        for first in range(0, len(rows), BATCH):
            store.insert("bench", rows[first : first + BATCH], file_id=f"upload-{first}")
        assert store.wait_indexed("bench", timeout=120)
        indexed = anonymous()
        # The graph is saved next; what building it has left free is given back then.
        while not list(directory.glob("tenants/*/graph-?-?")):
            time.sleep(0.01)
        time.sleep(0.5)
        saved = anonymous()
    print(json.dumps({"empty": empty, "indexed": indexed, "saved": saved}))


if __name__ == "__main__":
    main()
