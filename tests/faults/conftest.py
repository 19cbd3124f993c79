import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.faults.failing_calls import FailingCalls, build
from tests.faults.small_disk import CannotMount, SmallDisk

# The fixture is asked for by name in every file here.
from tests.http.conftest import start as start


@pytest.fixture(scope="session")
def unavailable() -> Callable[[str], NoReturn]:
    """Skips a test that the machine cannot run; where `CI` is `true` that is a failure."""

    def leave_out(reason: str) -> NoReturn:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must be able to run this: {reason}")
        pytest.skip(reason)

    return leave_out


@pytest.fixture
def small_disk(tmp_path: Path, unavailable: Callable[[str], NoReturn]) -> Iterator[Callable[..., SmallDisk]]:
    """Makes a disk of a kind (`tmpfs`, `ext4`) and so many megabytes."""
    with contextlib.ExitStack() as mounted:

        def mount(kind: str, megabytes: int) -> SmallDisk:
            try:
                return mounted.enter_context(SmallDisk(kind, tmp_path, megabytes))
            except CannotMount as refused:
                unavailable(f"no small {kind}: {refused}")

        yield mount


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def calls(shim: Path, tmp_path: Path) -> FailingCalls:
    """What is to fail in servers started with its environment."""
    return FailingCalls(shim, tmp_path / "faults")
