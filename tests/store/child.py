"""A process of a test's own, told apart from the tests by what it prints."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE = 60.0


class Child:
    """Python code in a process; a context that ends it, and every process that came of it."""

    def __init__(self, code: str, *arguments: object) -> None:
        command = [sys.executable, "-u", "-c", code, *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        self._said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._complaints: list[str] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_complaints)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line.rstrip("\n"))
        self._said.put(None)

    def _read_complaints(self) -> None:
        assert self.process.stderr is not None
        self._complaints.extend(self.process.stderr)

    def line(self) -> str | None:
        """The next line of its output, waited for; None at its end."""
        try:
            return self._said.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"the child says nothing: {self._complaints}") from None

    def expect(self, line: str) -> None:
        """Waits for this line and no other."""
        said = self.line()
        assert said == line, f"{said!r} in place of {line!r}: {''.join(self._complaints)}"

    def rest(self) -> list[str]:
        """All lines up to the end."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        return lines

    def exit_code(self) -> int:
        """Its exit code, waited for."""
        return self.process.wait(DEADLINE)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        # A child of its own, left over, would hold the pipes open and their readers for ever.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
