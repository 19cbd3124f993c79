"""The bare disk: bytes written and synced into space that was allocated ahead, with nothing around it."""

import os
import time
from pathlib import Path


def durable_writes(folder: Path, parts: list[bytes]) -> list[float]:
    """Seconds of each part's write and `fdatasync`, one behind the other in one preallocated file."""
    file = folder / "bare"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        os.posix_fallocate(descriptor, 0, sum(map(len, parts)))
        os.fsync(descriptor)
        offset = 0
        seconds = []
        for part in parts:
            started = time.perf_counter()
            if os.pwrite(descriptor, part, offset) != len(part):
                raise OSError("a short write")
            os.fdatasync(descriptor)
            seconds.append(time.perf_counter() - started)
            offset += len(part)
        return seconds
    finally:
        os.close(descriptor)
        file.unlink()
