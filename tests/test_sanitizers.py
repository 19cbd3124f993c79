"""What is C++ of ours, under the compiler's sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
COMPILER = os.environ.get("CXX", "c++")


@pytest.fixture(params=["address,undefined", "thread"])
def sanitized(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The compiler with a sanitizer that it has the library of."""
    command = [
        COMPILER,
        "-std=c++17",
        "-O1",
        "-g",
        f"-fsanitize={request.param}",
        "-fno-sanitize-recover=all",
    ]
    empty = tmp_path / "empty.cpp"
    empty.write_text("int main() {}")
    tried = subprocess.run(
        [*command, str(empty), "-o", str(tmp_path / "empty")], capture_output=True, text=True
    )
    if tried.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"{COMPILER} has no library of -fsanitize={request.param}")
    assert tried.returncode == 0, tried.stderr
    return command


def test_the_graph_keeps_to_its_memory_and_its_locks(sanitized: list[str], tmp_path: Path) -> None:
    program = tmp_path / "usearch"
    warnings = ["-Werror", "-Wall", "-Wextra", "-Wno-subobject-linkage"]
    source = [f"-I{REPOSITORY / 'rust/engine/vendor'}", str(REPOSITORY / "tests/engine/usearch.cpp")]
    subprocess.run([*sanitized, *warnings, "-DNDEBUG", *source, "-o", str(program), "-pthread"], check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
