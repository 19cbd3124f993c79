"""One process owns a data directory, for as long as it lives and no longer.

What a refused one says, and that a newer format is left untouched: `tests/http/test_command.py`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from tests.faults.ledger import Ledger
from tests.http.client import Client
from tests.http.server import DEADLINE, ServerProcess

Start = Callable[..., ServerProcess]


def refused(server: ServerProcess) -> str:
    """What a second server on the same directory says."""
    command = [sys.executable, "-m", "ingot", "serve", "--data", str(server.data), "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_a_directory_is_free_once_its_holder_is_killed(start: Start) -> None:
    server = start()
    ledger = Ledger(13)
    for number in range(3):
        ledger.upload(Client(server.port), "t", f"s{number}", ledger.rows(10, 4)).ok()
        assert str(server.process.pid) in refused(server)
        server.process.kill()
        server.exit_code()
        server = start(data=server.data)
        ledger.check(Client(server.port))


def test_a_holder_that_stands_still_still_holds(start: Start) -> None:
    server = start()
    ledger = Ledger(14)
    ledger.upload(Client(server.port), "t", "a", ledger.rows(10, 4)).ok()
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        assert str(server.process.pid) in refused(server)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    ledger.check(Client(server.port))
