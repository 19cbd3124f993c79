"""What the README tells a newcomer to paste works as it stands."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import REPOSITORY
from tests.http.server import ServerProcess

README = (REPOSITORY / "README.md").read_text()
SETS = ["debian-minilm-384", "openai-ada002-1536"]


def blocks(language: str) -> list[str]:
    """The README's code blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.curl
def test_the_curls_upload_and_find(tmp_path: Path) -> None:
    (script,) = blocks("sh")
    with ServerProcess(tmp_path / "data") as server:
        script = script.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{server.port}")
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
        refused = subprocess.run(
            ["bash", "-euc", script.split("\n\n")[0].replace("0.9, 0.1, 0.1", "1e39, 0.1, 0.1")],
            capture_output=True,
            text=True,
            check=True,
        )
    uploaded, _, found = done.stdout.partition("}[")
    assert json.loads(uploaded + "}")["chunk_ids"] == ["colours_0", "colours_1", "colours_2"]
    (hit,) = json.loads("[" + found)
    assert hit["embedding"]["chunk_id"] == "colours_1"
    assert hit["metadata"] == {"kind": "rgb"}
    (error,) = blocks("json")
    answer = json.loads(refused.stdout)
    answer["detail"]["request_id"] = "..."
    assert answer == json.loads(error)


def upload_and_search(prefix: Path, data: Path) -> float:
    """The recall that the README's script prints."""
    script = blocks("python")[0]
    with ServerProcess(data) as server:
        script = script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        done = subprocess.run(
            [sys.executable, "-c", script, str(prefix)], capture_output=True, text=True, check=True
        )
    label, recall = done.stdout.split()
    assert label == "recall@10"
    return float(recall)


def test_the_script_uploads_searches_and_compares(tmp_path: Path) -> None:
    numbers = np.random.default_rng(7)
    base = numbers.standard_normal((4500, 24)).astype(np.float16)
    queries = numbers.standard_normal((50, 24)).astype(np.float16)

    def unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
        wide = vectors.astype(np.float64)
        lengths: NDArray[np.float64] = np.linalg.norm(wide, axis=1, keepdims=True)
        return wide / lengths

    exact = np.argsort(-(unit(queries) @ unit(base).T), axis=1)[:, :100].astype(np.int32)
    prefix = tmp_path / "made"
    for end, array in ((".f16", base), (".queries.f16", queries), (".gt100.i32", exact)):
        np.save(f"{prefix}{end}.npy", array)
    assert upload_and_search(prefix, tmp_path / "data") >= 0.99


@pytest.mark.data
@pytest.mark.parametrize("name", SETS)
def test_the_script_finds_real_neighbours(name: str, shared_data: Path, tmp_path: Path) -> None:
    assert upload_and_search(shared_data / name, tmp_path / "data") >= 0.99


def test_the_embedded_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[1]], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "['axes_0', 'axes_1', 'axes_2'] ['axes_1', 'axes_2']" in done.stdout


def test_the_script_is_ten_lines() -> None:
    assert len(blocks("python")[0].splitlines()) <= 10
