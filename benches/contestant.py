"""A server that takes part: started on a free port, asked over HTTP, stopped."""

import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

READY_WITHIN = 30.0
INDEXED_WITHIN = 60.0


class Contestant:
    """One server process; a context manager."""

    def __init__(self, name: str, module: list[str]) -> None:
        self.name = name
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._command = [sys.executable, "-m", *module, "--port", str(self.port)]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process_id(self) -> int:
        """Of the server."""
        return self._process.pid

    def __enter__(self) -> "Contestant":
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_WITHIN
        while self._status("/readyz")[0] != 200:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"{' '.join(self._command)}: not ready (exit code {self._process.wait()})")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)

    def _status(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        return 0, b""

    def cpu_seconds(self) -> float:
        """CPU seconds of the process so far, all threads, user and system."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def monitor(self, tenant: str) -> dict[str, Any]:
        """The counts of a tenant."""
        status, answer = self._status(f"/tenants/monitor?tenant_id={tenant}")
        if status != 200:
            raise RuntimeError(f"{self.name}: /tenants/monitor answered {status}")
        counts: dict[str, Any] = json.loads(answer)
        return counts

    def upload(self, tenant: str, rows: NDArray[np.float32]) -> None:
        """Stores rows as a source of their own."""
        file = io.BytesIO()
        np.save(file, rows, allow_pickle=False)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            path = f"/embeddings/insert-raw-embeddings?tenant_id={tenant}"
            connection.request("POST", path, file.getvalue(), {"Content-Type": "application/x-npy"})
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(
                    f"{self.name}: an upload was answered {response.status} {response.read()!r}"
                )

    def settle(self, tenant: str, rows: int) -> None:
        """Returns when all `rows` are in the tenant's graph, so that the next server has the machine to itself."""
        deadline = time.monotonic() + INDEXED_WITHIN
        while time.monotonic() < deadline:
            counts = self.monitor(tenant)
            if counts["rows"] != rows:
                raise RuntimeError(
                    f"{self.name}: {tenant} holds {counts['rows']} rows, {rows} were acknowledged"
                )
            if counts["indexed_rows"] >= rows:
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name}: {tenant} was not indexed within {INDEXED_WITHIN:.0f} s")


def ours(data: Path) -> Contestant:
    """`ingot serve`, every upload on disk before its answer."""
    return Contestant("ingot", ["ingot", "serve", "--data", str(data)])


def bare(handler: str, *options: str) -> Contestant:
    """One of `benches.ceiling`."""
    return Contestant(handler, ["benches.ceiling", handler, *options])
