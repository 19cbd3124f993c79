"""A turn of one contestant: both phases of its trial, each a process, and its memory watched meanwhile."""

import json
import os
import shlex
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

from benches.peers.entries import Entry
from benches.peers.result import Result
from benches.peers.trial import resident

PHASE_WITHIN = 240.0
LOOK_EVERY = 0.1  # seconds
BLOCK = 512


def take(entry: Entry, result: Result, folder: Path, data: Path, under: str) -> None:
    """Adds one sample of every measure to `result`; raises `RuntimeError` with what went wrong."""
    folder.mkdir(parents=True)
    try:
        with Memory(folder / "processes.json") as memory:
            loaded = _phase(entry, "load", folder, data, result.ef or 0, under)
        disk = on_disk(folder)
        again = _phase(entry, "again", folder, data, loaded["ef"], under)
    finally:
        shutil.rmtree(folder)
    for name in ("ef", "durable", "how", "atomic", "settings"):
        setattr(result, name, loaded[name])
    for measure, value in {**loaded["samples"], **again["samples"]}.items():
        result.add(measure, value)
    result.add("disk", disk / json.loads((data / "rows.json").read_text()))
    result.add("memory", memory.peak)


def _phase(entry: Entry, phase: str, folder: Path, data: Path, ef: int, under: str) -> dict[str, Any]:
    command = [*shlex.split(under), str(entry.python.absolute()), "-m", "benches.peers.trial"]
    command += [phase, entry.module, str(folder), str(data), str(ef)]
    # A venv's python finds nothing of ours but `benches`, by the folder it is started in.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        told, trouble = process.communicate(timeout=None if under else PHASE_WITHIN)
    except subprocess.TimeoutExpired:
        told, trouble = "", f"not done within {PHASE_WITHIN:.0f} s"
    finally:
        end(process.pid)
    if process.wait() or not told.strip():
        raise RuntimeError(f"{phase}: {(trouble.strip().splitlines() or ['no answer'])[-1]}")
    answer: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
    return answer


def end(session: int) -> None:
    """Ends whatever a phase left running; its servers are in its session."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if os.getsid(int(status.parent.name)) == session:
                os.kill(int(status.parent.name), 9)
        except OSError:
            continue


def on_disk(folder: Path) -> int:
    """Blocks of all files, in bytes."""
    return sum(path.lstat().st_blocks * BLOCK for path in folder.rglob("*"))


class Memory(threading.Thread):
    """Watches the processes named in a file, once it is there, and all that they start; `peak` in bytes."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._file = file
        self._done = threading.Event()

    def __enter__(self) -> "Memory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Until the phase is over."""
        while not self._done.wait(LOOK_EVERY):
            if self._file.exists():
                told = json.loads(self._file.read_text())
                self.peak = max(self.peak, sum(map(_held, family(told["processes"]))) - told["before"])


def _held(process: int) -> int:
    try:
        return resident(process)
    except OSError:
        return 0  # it has ended


def family(processes: list[int]) -> set[int]:
    """The processes and their children, and theirs."""
    found: set[int] = set()
    waiting = list(processes)
    while waiting:
        process = waiting.pop()
        if process in found:
            continue
        found.add(process)
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                waiting += map(int, children.read_text().split())
            except OSError:
                continue
    return found
