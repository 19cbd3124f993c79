"""The newcomer's first minute: what `make run` prints is true, and what it says to paste works."""

import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WITHIN = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def tour(port: int, data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "ingot.tour", "--port", str(port), "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=WITHIN)


def read_until(process: "subprocess.Popen[bytes]", end: str) -> str:
    """What the tour printed, up to `end`."""
    assert process.stdout is not None
    deadline = time.monotonic() + WITHIN
    printed = b""
    while end.encode() not in printed and time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 0.1)[0]:
            chunk = process.stdout.read1(65536)  # type: ignore[attr-defined]
            if not chunk:
                break
            printed += chunk
    assert end.encode() in printed, printed.decode() + (
        process.stderr.read().decode() if process.stderr else ""
    )
    return printed.decode()


def test_the_first_minute_uploads_searches_serves_and_ends_with_0(tmp_path: Path) -> None:
    port = free_port()
    with tour(port, tmp_path / "data") as process:
        printed = read_until(process, "Ctrl-C stops it")
        assert "Embeddings uploaded successfully.\n" in printed
        assert "everyday_40" in printed
        assert "A handsaw is a tool for cutting wood along a line." in printed
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=WITHIN) == 0
    with tour(port, tmp_path / "data") as process:
        printed = read_until(process, "Ctrl-C stops it")
        assert "Existing embeddings with file_id 'everyday' have been overwritten." in printed
        assert "240 vectors of an earlier run were replaced" in printed


@pytest.mark.curl
def test_what_it_says_to_paste_works(tmp_path: Path) -> None:
    with tour(free_port(), tmp_path / "data") as process:
        printed = read_until(process, "Ctrl-C stops it")
        pasted = re.search(r"^ *curl .*?(?=\n\n)", printed, re.MULTILINE | re.DOTALL)
        assert pasted is not None
        answers = subprocess.run(
            ["bash", "-e"], input=pasted[0], capture_output=True, text=True, timeout=WITHIN
        )
        assert answers.returncode == 0, answers.stderr
        inserted, found = answers.stdout.splitlines()
        assert '"insert_count":3' in inserted.replace(" ", "")
        assert re.findall(r"first_\d", found) == ["first_1", "first_0"]


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        command = [sys.executable, "-m", "ingot.tour", "--port", str(port), "--data", str(tmp_path / "data")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(rf"ingot: port {port} on 127\.0\.0\.1 is taken: .*\n", done.stderr)


def test_a_server_that_cannot_start_says_why_and_its_exit_code_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("not a folder")
    command = [sys.executable, "-m", "ingot.tour", "--port", str(free_port()), "--data", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(file) in done.stderr
