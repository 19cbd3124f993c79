"""A real `ingot serve` process on a free port, and what it wrote to standard error."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

DEADLINE = 30.0


class ServerProcess:
    """One server; a context that ends it."""

    def __init__(
        self,
        data: Path,
        *flags: str,
        environment: dict[str, str] | None = None,
        port: int = 0,
        descriptors: tuple[str, int] | None = None,
    ) -> None:
        """`descriptors`: how many it may have, as a soft limit ("S"), or as both ("")."""
        self.data = data
        self.lines: list[str] = []
        self._changed = threading.Condition()
        command = [sys.executable, "-m", "ingot", "serve", "--data", str(data), "--port", str(port), *flags]
        if descriptors is not None:
            limit, count = descriptors
            command = ["sh", "-c", f'ulimit -{limit}n {count} && exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        # Not the last such line: the address is told once.
        address = self.wait_for_line(r"listening on https?://(?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d+)")
        self.port = int(address.group(1))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.lines.append("(end)")
            self._changed.notify_all()

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """The first line of standard error that matches, waiting for it."""
        deadline = time.monotonic() + DEADLINE
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    seen += 1
                    found = re.search(pattern, line)
                    if found:
                        return found
                    if line == "(end)":
                        raise AssertionError(
                            f"the server ended without a line like {pattern!r}: {self.lines}"
                        )
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"no line like {pattern!r} in {self.lines}")

    def terminate(self) -> None:
        """Asks the server to stop."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """The exit code, waiting for the end."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self.process.stderr is not None
        self.process.stderr.close()
