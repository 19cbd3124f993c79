"""What every test may ask for."""

import os
import shutil
import signal
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def real_data() -> Path | None:
    """The folder of real embeddings: `INGOT_BENCH_DATA`, or `../shared/data` beside the repository, if it is there."""
    folder = Path(os.environ.get("INGOT_BENCH_DATA") or REPOSITORY.parent / "shared/data")
    return folder if any(folder.glob("*.f16.npy")) else None


def pytest_configure() -> None:
    # Ignored in whatever a script starts in the background, and so in every process the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and real_data() is None:
        pytest.skip(
            "no real data: INGOT_BENCH_DATA names no folder of *.f16.npy, and ../shared/data is not there"
        )
    # Where `CI` is `true` the test runs all the same, and fails for what is missing.
    in_ci = os.environ.get("CI") == "true"
    if item.get_closest_marker("curl") and shutil.which("curl") is None and not in_ci:
        pytest.skip("curl is not installed, and `make test` could not install it")
    if item.get_closest_marker("chromium") and not in_ci:
        missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
        if missing:
            pytest.skip(f"{' and '.join(missing)} not installed, and `make test` could not install it")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real embeddings; for tests marked `data`."""
    folder = real_data()
    assert folder is not None, "mark the test with pytest.mark.data"
    return folder


@pytest.fixture(scope="session")
def torture() -> bool:
    """Whether to run the large loads of a campaign (`make torture`)."""
    return bool(os.environ.get("INGOT_TORTURE"))
