"""`python -m benches.pages`: what a write costs into memory that the system has not used before.

Files grow by 24 MB a write, as a log does, and are synced after each. The first ones take new pages into the page
cache; those after a file was removed take the pages that it had. On a virtual machine whose host takes free memory back
the new ones are many times slower, and so is whatever writes files that it keeps.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from benches import results

WRITE = bytes(24 << 20)


def grown(folder: Path, writes: int) -> list[float]:
    """Milliseconds of each `pwrite` to the end of a new file, which is removed; the syncs are not counted."""
    took = []
    path = folder / "file"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        for number in range(writes):
            started = time.perf_counter()
            written = os.pwrite(file, WRITE, number * len(WRITE))
            took.append((time.perf_counter() - started) * 1e3)
            assert written == len(WRITE)
            os.fdatasync(file)
    finally:
        os.close(file)
        path.unlink()
    return took


def main() -> None:
    """Both, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m benches.pages", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--writes", type=int, default=200, help="of 24 MB, into new pages; a quarter of them again"
    )
    writes = parser.parse_args().writes
    results.FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=results.FOLDER) as folder:
        for what, count in (("new pages", writes), ("pages that were just freed", writes // 4)):
            took = grown(Path(folder), count)
            print(
                f"{what}: median {statistics.median(took):.1f} ms, best {min(took):.1f}, worst {max(took):.1f}"
            )


if __name__ == "__main__":
    main()
