"""The examples of docs/filters.md mean what it says, and its grammar names what the parser knows."""

import re
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot import _native, limits

TEXT = (Path(__file__).parents[2] / "docs/filters.md").read_text()
EXAMPLES = re.findall(r"^\| `(.*?)` \| (holds|does not) \|", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> ingot.Store:  # type: ignore[misc]
    metadata = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert metadata
    with ingot.open(tmp_path_factory.mktemp("examples") / "data") as store:
        store._store.insert(
            "t", np.ones((1, 2), np.float32), file_id="report", metadata=metadata[1].strip().encode()
        )
        yield store


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 20
    assert {outcome for _, outcome in EXAMPLES} == {"holds", "does not"}


@pytest.mark.parametrize(("text", "outcome"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
def test_an_example_is_true(filled: ingot.Store, text: str, outcome: str) -> None:
    found = filled.get("t", filter=text, with_embeddings=False).chunk_ids
    assert found == (["report_0"] if outcome == "holds" else [])


def test_the_first_example_is_a_filter_and_the_bounds_are_those_of_the_code() -> None:
    first = re.search(r"```\n(.*?)\n```", TEXT)
    assert first
    _native.check_filter(first[1])
    assert f"{limits.MAX_FILTER // 1024} KiB of UTF-8 and {limits.MAX_FILTER_LEVELS} levels" in TEXT
    limits_of_engine = (Path(__file__).parents[2] / "rust/engine/src/limits.rs").read_text()
    assert "MAX_FILTER: usize = 16 * 1024;" in limits_of_engine
    assert f"MAX_FILTER_LEVELS: usize = {limits.MAX_FILTER_LEVELS};" in limits_of_engine
    assert f"at most {limits.MAX_FILTER_KEYS} different keys" in TEXT
    assert f"MAX_FILTER_KEYS: usize = {limits.MAX_FILTER_KEYS};" in limits_of_engine
    assert "FILTER_MEMORY: usize = 512 << 20;" in limits_of_engine
    assert "512 MiB" in TEXT
