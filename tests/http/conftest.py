import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.http.client import Client
from tests.http.server import ServerProcess

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server with default settings for all tests that leave it running."""
    with ServerProcess(tmp_path_factory.mktemp("served") / "data") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Client:
    return Client(server.port)


@pytest.fixture
def tenant() -> str:
    """The name of a tenant that no other test uses."""
    return f"tenant_{next(_numbers)}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers of this test's own; ends them."""
    started: list[ServerProcess] = []

    def start_one(
        *flags: str,
        data: Path | None = None,
        environment: dict[str, str] | None = None,
        descriptors: tuple[str, int] | None = None,
    ) -> ServerProcess:
        where = data or tmp_path / "data"
        started.append(ServerProcess(where, *flags, environment=environment, descriptors=descriptors))
        return started[-1]

    yield start_one
    for process in started:
        process.__exit__()
