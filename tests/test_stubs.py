"""The stubs of the native module say what the module has."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_stubs_of_the_native_module_match_it() -> None:
    check = [
        sys.executable,
        "-m",
        "mypy.stubtest",
        "--concise",
        "--mypy-config-file",
        "pyproject.toml",
        "ingot._native",
    ]
    done = subprocess.run(check, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
