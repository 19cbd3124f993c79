"""What a measurement was made on; a number without it says nothing."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("ingot", "aiohttp", "numpy", "orjson", "uvloop")


@dataclass(frozen=True)
class Machine:
    """Processor, system and versions, at the time of a run."""

    date: str
    processor: str
    cores: int
    memory_gb: float
    system: str
    python: str
    packages: dict[str, str]
    commit: str


def describe() -> Machine:
    """This machine, now."""
    return Machine(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
        commit=_commit(),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"
