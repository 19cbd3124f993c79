"""Calls of a server that fail when told to: `failing_calls.c`, compiled and preloaded."""

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def build(folder: Path) -> Path:
    """The shim as a shared library in `folder`."""
    library = folder / "failing_calls.so"
    compiler = os.environ.get("CC") or "cc"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl"],
        check=True,
    )
    return library


class FailingCalls:
    """What fails in the servers that were started with `environment`."""

    def __init__(self, library: Path, control: Path) -> None:
        self._control = control
        self.environment = {"LD_PRELOAD": str(library), "INGOT_FAULTS": str(control)}

    def fail(self, *rules: str) -> None:
        """From now on these fail: a call (`sync`, `truncate`, `allocate`, `write`, `torn`) and a part of a path."""
        beside = self._control.with_suffix(".new")
        beside.write_text("".join(rule + "\n" for rule in rules))
        beside.rename(self._control)

    def heal(self) -> None:
        """From now on nothing fails."""
        self._control.unlink(missing_ok=True)
