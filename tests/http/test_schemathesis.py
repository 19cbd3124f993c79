"""Requests made up from `/openapi.json`, valid ones and broken ones, sent to a real server by schemathesis."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.http.client import Client
from tests.http.server import ServerProcess
from tests.http.test_openapi import documented

REPOSITORY = Path(__file__).parents[2]
SEED = 20
EXAMPLES = 15


def test_schemathesis_finds_no_failure(
    start: Callable[..., ServerProcess], tmp_path: Path, torture: bool
) -> None:
    server = start()
    document = Client(server.port).request("GET", "/openapi.json").ok()
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"http://127.0.0.1:{server.port}/openapi.json",
            f"--seed={SEED}",
            f"--max-examples={EXAMPLES * (20 if torture else 1)}",
            "--phases=examples,coverage,fuzzing",
            "--checks=all",
            "--continue-on-failure",
            "--generation-database=none",
            "--no-color",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
            "SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks",
            "MADE_UP_PORT": str(server.port),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
    # It would find nothing either if nothing had come through, or nothing had been refused.
    counted: Counter[tuple[str, bool]] = Counter()
    for line in list(server.lines):
        if told := re.search(r'route="([^"]+)" status=(\d)', line):
            counted[told[1], told[2] == "2"] += 1
    for method, path, operation in documented(document):
        if operation["tags"] != ["Server"]:
            assert counted[f"{method} {path}", True] >= 5, (method, path, counted)
            # A request of one field can be broken in few ways.
            assert counted[f"{method} {path}", False] >= 3, (method, path, counted)
