import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ingot


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> Iterator[ingot.Store]:
    """An empty store."""
    with ingot.open(data) as opened:
        yield opened


@pytest.fixture
def seed() -> int:
    """Where random numbers start; it is printed, and taken from INGOT_SEED when that is set."""
    found = int(os.environ.get("INGOT_SEED", time.time_ns()))
    sys.stdout.write(f"INGOT_SEED={found}\n")
    return found


@pytest.fixture(scope="session")
def times() -> int:
    """How many times the usual load a random test takes: 20 in a campaign (`make torture`)."""
    return 20 if os.environ.get("INGOT_TORTURE") else 1
