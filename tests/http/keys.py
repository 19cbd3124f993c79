"""Keys as their users have them: made by the command, sent by a client."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.http.client import Answer, Client
from tests.http.server import DEADLINE


def keys(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    """`ingot keys` in a process of its own."""
    command = [sys.executable, "-m", "ingot", "keys", *arguments, "--data", str(data)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INGOT_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment)


def create(data: Path, rights: str, *tenants: str, flags: tuple[str, ...] = ()) -> str:
    """A new key; no tenants are all."""
    whose = [flag for tenant in tenants for flag in ("--tenant", tenant)] or ["--all-tenants"]
    made = keys("create", "--rights", rights, *whose, *flags, data=data)
    assert made.returncode == 0, made
    key = made.stdout.removesuffix("\n")
    assert key not in made.stderr
    return key


def revoke(data: Path, *named: str) -> None:
    ended = keys("revoke", *named, data=data)
    assert ended.returncode == 0, ended


def key_id(key: str) -> str:
    return key.split("_")[1]


class KeyClient(Client):
    """Sends a key with every request."""

    def __init__(self, port: int, key: str | None, host: str = "127.0.0.1") -> None:
        super().__init__(port, host)
        self.key = key

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        params: Any = None,
    ) -> Answer:
        sent = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return super().request(method, path, body, {**sent, **(headers or {})}, params)
