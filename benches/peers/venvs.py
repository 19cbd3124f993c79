"""A venv for each peer, filled once; nothing of it is shared with `.venv`."""

import subprocess
import sys

from benches.peers.entries import VENVS, Entry

STAMP = "installed.txt"


def install(entry: Entry) -> None:
    """Makes the venv unless it is there with these versions. Raises `RuntimeError` with pip's last line."""
    if entry.venv is None:
        return
    stamp = entry.venv / STAMP
    wanted = "\n".join(entry.packages)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    VENVS.mkdir(parents=True, exist_ok=True)
    print(f"  installing {' '.join(entry.packages)}", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", str(entry.venv)],
        [
            str(entry.python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *entry.packages,
        ],
    ):
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"not installed: {(done.stdout.strip().splitlines() or ['?'])[-1]}")
    stamp.write_text(wanted)
