"""Every file is a room someone would know: a noun, small enough to read, with its dangers on the door."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.imports import rust_code

REPOSITORY = Path(__file__).resolve().parents[1]
LONGEST = 500
CODE = {".rs", ".py", ".pyi", ".sh", ".js"}
SAYS_NOTHING = re.compile(r"(utils?|helpers?|common|misc|types|managers?|.*_v\d+)")

# A registry is the installer's setting, not ours; spelled in two parts, or this file would be the first offender.
REGISTRIES = ["pypi." + "org", "python" + "hosted.org", "crates." + "io", "npm" + "js.", "--index" + "-url"]
LOCK_FILES = {"Cargo.lock"}


def tracked() -> list[Path]:
    """Files of the repository, those not committed yet included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(
        {REPOSITORY / name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()}
    )


def too_long(name: str, text: str) -> bool:
    return Path(name).suffix in CODE and text.count("\n") > LONGEST


def says_nothing(name: str) -> bool:
    path = Path(name)
    return any(SAYS_NOTHING.fullmatch(part) for part in (*path.parts[:-1], path.stem))


def hidden_unsafe(name: str, text: str) -> bool:
    return not name.endswith("_unsafe.rs") and re.search(r"\bunsafe\b", rust_code(text)) is not None


def of_this_machine(text: str) -> list[str]:
    """Paths that exist on one machine only."""
    own = [path for path in (f"{REPOSITORY}/", f"{Path.home()}/") if path.count("/") > 2 and path in text]
    return own + re.findall(r"(?<![\w.~/-])/(?:(?:home|Users)/[\w.-]+|root)/", text)


def texts() -> list[tuple[str, str]]:
    found = []
    for file in tracked():
        try:
            found.append((str(file.relative_to(REPOSITORY)), file.read_text()))
        except UnicodeDecodeError:
            continue  # a binary sample
    return found


def test_no_file_is_longer_than_500_lines() -> None:
    assert [f"{name}: {text.count(chr(10))} lines" for name, text in texts() if too_long(name, text)] == []


def test_every_name_says_something() -> None:
    assert [name for name, _ in texts() if says_nothing(name)] == []


def test_unsafe_code_is_only_in_files_that_say_so() -> None:
    assert [name for name, text in texts() if name.endswith(".rs") and hidden_unsafe(name, text)] == []


def test_every_crate_takes_the_lints_of_the_workspace() -> None:
    # clippy::undocumented_unsafe_blocks among them: each unsafe block has a `SAFETY:` line.
    assert "undocumented_unsafe_blocks" in (REPOSITORY / "Cargo.toml").read_text()
    for manifest in (REPOSITORY / "rust").glob("*/Cargo.toml"):
        assert "[lints]\nworkspace = true" in manifest.read_text(), manifest


def test_no_file_names_a_path_of_one_machine() -> None:
    assert [(name, found) for name, text in texts() if (found := of_this_machine(text))] == []


def test_no_file_names_a_package_registry() -> None:
    named = [(name, host) for name, text in texts() for host in REGISTRIES if host in text]
    assert [(name, host) for name, host in named if name not in LOCK_FILES] == []


# The tests above would be worth nothing if they could not fail.


@pytest.mark.parametrize("name", ["a/utils.rs", "types.py", "store_v2.rs", "helpers/row.py", "common/mod.rs"])
def test_a_name_that_says_nothing_is_found(name: str) -> None:
    assert says_nothing(name)


@pytest.mark.parametrize("name", ["a/segment.rs", "prototypes.py", "commonality.py", "v/row.rs"])
def test_a_noun_passes(name: str) -> None:
    assert not says_nothing(name)


def test_a_long_file_is_found() -> None:
    assert too_long("a.rs", "\n" * 501)
    assert not too_long("a.rs", "\n" * 500)
    assert not too_long("LICENSE", "\n" * 501)


def test_unsafe_code_is_found_and_the_word_is_not() -> None:
    assert hidden_unsafe("map.rs", "fn f() { unsafe { g() } }")
    assert not hidden_unsafe("map_unsafe.rs", "fn f() { unsafe { g() } }")
    assert not hidden_unsafe(
        "map.rs", '// unsafe\n#![deny(unsafe_op_in_unsafe_fn)] const S: &str = "unsafe";'
    )


def test_a_path_of_one_machine_is_found() -> None:
    assert of_this_machine(f"see {REPOSITORY}/Makefile")
    assert of_this_machine('open("' + "/home" + '/ann/data")')
    assert not of_this_machine("https://example.org/home/ann/ and ./home/x/ and ~/data/")
