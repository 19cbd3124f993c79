"""Fixtures of the tests of the body reader."""

import os
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

import ingot.error_words
from ingot._native import BodyReader
from tests.body.verdict import Judge, Structure, Verdict, bits


@pytest.fixture(autouse=True)
def structure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes native calls raise `Structure`."""
    monkeypatch.setattr(ingot.error_words, "from_engine", Structure)


@pytest.fixture
def judge() -> Judge:
    """Reads chunks on the calling thread."""

    def verdict(chunks: Sequence[bytes], form: Any, purpose: Any) -> Verdict:
        try:
            body = BodyReader(form, purpose).read(*chunks)
        except Structure as error:
            return error.verdict()
        return "read", body.envelope, None if body.rows is None else bits(body.rows.numpy())

    return verdict


@pytest.fixture
def chance() -> random.Random:
    """Random numbers; the seed is printed, and taken from INGOT_SEED when that is set."""
    seed = int(os.environ.get("INGOT_SEED", time.time_ns()))
    sys.stdout.write(f"INGOT_SEED={seed}\n")
    return random.Random(seed)
