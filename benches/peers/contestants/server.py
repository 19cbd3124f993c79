"""A server of a contestant: a process on a free port."""

import http.client
import socket
import subprocess
import time
from collections.abc import Callable

READY_WITHIN = 60.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`command` as a process, from `start` to `stop`; `ready` says whether it answers."""

    def __init__(self, command: list[str], ready: Callable[[], bool], user: str | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user
        )
        deadline = time.monotonic() + READY_WITHIN
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"{command[0]}: not ready (exit code {self._process.wait()})")
            time.sleep(0.005)

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def stop(self, signal: int) -> None:
        """Sends `signal` and waits for the end."""
        self._process.send_signal(signal)
        self._process.wait(timeout=60)


def answers(port: int, path: str) -> bool:
    """Whether `GET path` is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
