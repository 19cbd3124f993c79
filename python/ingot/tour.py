"""The first minute: starts a server, uploads the sample, searches it, and keeps serving until Ctrl-C.

`make run` calls it. It speaks to the server as anyone would, over HTTP with the standard library; only the sample
is taken from the package.
"""

import argparse
import contextlib
import errno
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from ingot.sample import load
from ingot.sample.embedding import embed

TENANT = "sample"
SOURCE = "everyday"
QUESTION = "a tool for cutting wood"
READY_WITHIN = 30.0
POLL = 0.02


class TourEnded(Exception):
    """The tour cannot go on: what to tell the user, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Server:
    """`ingot serve` in a process of its own, with its standard error held back until it is asked for."""

    def __init__(self, host: str, port: int, data: Path) -> None:
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        command = [
            sys.executable,
            "-m",
            "ingot",
            "serve",
            "--data",
            str(data),
            "--host",
            host,
            "--port",
            str(port),
        ]
        # In a process group of its own, so that a Ctrl-C at the terminal reaches it once, through `stop`.
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._said: list[str] = []
        self._aloud = False
        self._stopping = False
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._speech = threading.Lock()
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,), daemon=True)
        self._listener.start()

    def _listen(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            with self._speech:
                self._said.append(line)
                del self._said[:-50]
                if self._aloud:
                    sys.stderr.write(line)
                    sys.stderr.flush()

    def speak(self) -> None:
        """From now on what the server says is shown."""
        with self._speech:
            self._aloud = True

    def ended(self) -> TourEnded:
        """Why the server ended, in its own last words."""
        code = self._process.wait()
        if self._stopping:
            return TourEnded("stopped", code)
        self._listener.join(timeout=5)
        last = next((line.strip() for line in reversed(self._said) if line.strip()), "it said nothing")
        return TourEnded(f"the server ended: {last}" if code < 0 else last, code if code > 0 else 1)

    def wait_ready(self) -> None:
        """Returns once `/readyz` answers 200; raises TourEnded if the server ends or the deadline passes first."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self.ended()
            with contextlib.suppress(OSError, http.client.HTTPException):
                with self._opener.open(f"{self.url}/readyz", timeout=1):
                    pass
                return
            time.sleep(POLL)
        raise TourEnded(f"the server was not ready within {READY_WITHIN:.0f} s", 1)

    def post(self, path: str, body: dict[str, Any]) -> tuple[Any, float]:
        """The answer to a JSON request and the milliseconds it took; raises TourEnded on an error."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        started = time.perf_counter()
        try:
            with self._opener.open(request, timeout=60) as response:
                answer = response.read()
        except urllib.error.HTTPError as refused:
            raise TourEnded(
                f"{path} answered {refused.code}: {refused.read().decode(errors='replace')}", 1
            ) from None
        except OSError as failed:
            if self._process.poll() is not None:
                raise self.ended() from None
            raise TourEnded(f"{path}: {failed}", 1) from None
        return json.loads(answer), (time.perf_counter() - started) * 1e3

    def wait(self) -> int:
        """The exit code, when the server has ended."""
        code = self._process.wait()
        self._listener.join(timeout=5)
        return code

    def stop(self) -> None:
        """Asks for a graceful drain."""
        self._stopping = True
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


def check_port(host: str, port: int) -> None:
    """Raises TourEnded if the port is taken: else another server there would answer in ours' stead."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as refused:
            if refused.errno == errno.EADDRINUSE:
                what = f"port {port} on {host} is taken: stop what listens there, or take another: make run PORT=9000"
            else:
                what = f"cannot listen on {host} port {port}: {os.strerror(refused.errno or 0)}"
            raise TourEnded(what, 2) from None


def heading(text: str) -> str:
    """Bold on a terminal, plain elsewhere."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def say(text: str = "") -> None:
    """A line of the tour, at once."""
    print(text, flush=True)


def upload(server: Server) -> None:
    """Step one: the sample goes in."""
    sample = load()
    body = {
        "tenant_id": TENANT,
        "file_id": SOURCE,
        "document_metadata": {"about": "everyday things"},
        "embeddings": sample.vectors.tolist(),
    }
    answer, ms = server.post("/embeddings/insert-raw-embeddings", body)
    rows, columns = sample.vectors.shape
    say(heading(f"1. Uploaded {rows} sentences as vectors of {columns} numbers"))
    say(
        f"   POST /embeddings/insert-raw-embeddings: {ms:.1f} ms, and they are checked, on disk (fsync) and searchable"
    )
    say(f"   {answer['message']}")
    if answer["overwritten"]:
        say(f"   ({answer['overwritten']} vectors of an earlier run were replaced.)")
    say()


def search(server: Server) -> None:
    """Step two: a question is answered."""
    sample = load()
    query = [float(number) for number in embed(QUESTION)]
    hits, ms = server.post(
        "/embeddings/search-raw-embeddings", {"tenant_id": TENANT, "query_embedding": query, "limit": 5}
    )
    say(heading(f'2. Searched for "{QUESTION}"'))
    say(f"   POST /embeddings/search-raw-embeddings: {ms:.1f} ms")
    say()
    say("   score  chunk id      sentence")
    for hit in hits:
        chunk_id = hit["embedding"]["chunk_id"]
        sentence = sample.texts[int(chunk_id.removeprefix(f"{SOURCE}_"))]
        say(f"   {hit['score']:.3f}  {chunk_id:<12}  {sentence}")
    say()


def next_steps(server: Server, data: Path) -> None:
    """Step three: what to paste."""
    insert = '{"tenant_id": "mine", "file_id": "first", "embeddings": [[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0]]}'
    query = '{"tenant_id": "mine", "query_embedding": [0.9, 0.5, 0, 0], "limit": 2}'
    say(heading("3. Your turn: paste this into another terminal"))
    say(
        textwrap.indent(
            f"curl -sS -w '\\n' -H 'Content-Type: application/json' {server.url}/embeddings/insert-raw-embeddings \\\n"
            f"  -d '{insert}'\n"
            f"curl -sS -w '\\n' -H 'Content-Type: application/json' {server.url}/embeddings/search-raw-embeddings \\\n"
            f"  -d '{query}'",
            "   ",
        )
    )
    say()
    say(f"Serving on {server.url}, data in {data}. Ctrl-C stops it; what was uploaded stays.")


def run(host: str, port: int, data: Path) -> int:
    """The whole tour; returns the exit code."""
    check_port(host, port)
    there = data.exists()
    started = time.perf_counter()
    server = Server(host, port, data)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        server.wait_ready()
        took = time.perf_counter() - started
        found = "found there" if there else "new"
        say(f"ingot is ready on {server.url} after {took:.2f} s, its data in {data} ({found})")
        say()
        upload(server)
        search(server)
        next_steps(server, data)
        server.speak()
        return server.wait()
    finally:
        server.stop()
        server.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m ingot.tour [--host H] [--port P] [--data DIR]`."""
    parser = argparse.ArgumentParser(prog="python -m ingot.tour", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--data", type=Path, default=Path("data"))
    options = parser.parse_args(arguments)
    try:
        return run(options.host, options.port, options.data)
    except TourEnded as ended:
        print(f"ingot: {ended}", file=sys.stderr)
        return ended.code


if __name__ == "__main__":
    sys.exit(main())
