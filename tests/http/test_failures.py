"""What clients and the log are told when the server fails: an app in this process, its service broken on purpose."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ingot import error_words
from ingot.auth.keyring import Keyring
from ingot.http.access_log import ServerLog
from ingot.http.app import App
from ingot.service import Service
from ingot.settings import Settings
from tests.http.client import Answer, Client


class BrokenService(Service):
    """A service that is open and whose disk does what it is told."""

    outcome: int | Exception = 0

    def admit(self) -> None:
        """Everyone."""

    async def probe(self) -> int:
        """What was set."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def serve_and_ask(
    make: Callable[[], Service], ask: Callable[[Client], Answer], tmp_path: Path
) -> tuple[Answer, str]:
    """One request to a service in this process; the answer and the log."""
    stream = io.StringIO()

    async def main() -> Answer:
        log = ServerLog("text", stream)
        service = make()
        server = App(Settings(data=tmp_path), service, Keyring(tmp_path, None, log.event), log).server()
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        answer: Awaitable[Answer] = asyncio.to_thread(ask, Client(port))
        try:
            return await answer
        finally:
            listening.close()
            server.pre_shutdown()
            await server.shutdown(1)
            await service.close()
            log.close()

    return asyncio.run(main()), stream.getvalue()


def broken(outcome: int | Exception) -> Callable[[], Service]:
    def make() -> Service:
        service = BrokenService()
        service.outcome = outcome
        return service

    return make


def ready(client: Client) -> Answer:
    return client.request("GET", "/readyz", headers={"X-Request-Id": "the-id"})


def test_a_bug_is_a_500_without_insides_and_a_traceback_in_the_log(tmp_path: Path) -> None:
    answer, log = serve_and_ask(broken(RuntimeError("secret /path")), ready, tmp_path)
    answer.refused(500, "INTERNAL")
    assert b"secret" not in answer.body
    assert "the-id" in log
    assert "RuntimeError: secret /path" in log
    assert "Traceback" in log


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (error_words.from_engine("StorageFailed", {"reason": "fsync /data/x: I/O error"}), "STORAGE_FAILED"),
        (error_words.from_engine("DiskFull", {}), "DISK_FULL"),
    ],
)
def test_a_disk_that_refuses_writes_is_not_ready(tmp_path: Path, error: Exception, code: str) -> None:
    answer, log = serve_and_ask(broken(error), ready, tmp_path)
    answer.refused(503, code)
    assert b"/data/x" not in answer.body
    if code == "STORAGE_FAILED":
        assert "/data/x" in log


def test_refusing_tenants_degrade_readiness(tmp_path: Path) -> None:
    answer, _ = serve_and_ask(broken(3), ready, tmp_path)
    assert answer.ok() == {"status": "degraded", "refusing_tenants": 3}


def test_a_server_that_is_starting_says_so_and_lives(tmp_path: Path) -> None:
    serve_and_ask(Service, ready, tmp_path)[0].refused(503, "STARTING")
    serve_and_ask(Service, lambda client: client.get("t"), tmp_path)[0].refused(503, "STARTING")
    serve_and_ask(Service, lambda client: client.request("GET", "/healthz"), tmp_path)[0].ok()
