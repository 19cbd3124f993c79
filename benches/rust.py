"""The benches of the engine that are written in Rust, built when they have changed."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(bench: str, *arguments: str | Path | int) -> str:
    """Standard output of `cargo bench --bench <bench> -- <arguments>`."""
    command = ["cargo", "bench", "--locked", "--quiet", "--package", "ingot-engine", "--bench", bench, "--"]
    # Cargo runs it in the folder of its package.
    command += [str(value.resolve() if isinstance(value, Path) else value) for value in arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()
