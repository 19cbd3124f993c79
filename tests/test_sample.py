"""The shipped sample is small, whole, and what its generator makes."""

from collections import Counter
from pathlib import Path

import numpy as np

import ingot.sample
from ingot.sample.embedding import DIMENSION, embed
from ingot.tour import QUESTION

FOLDER = Path(ingot.sample.__file__).parent


def test_the_vectors_are_those_of_the_sentences() -> None:
    sample = ingot.sample.load()
    made = np.stack([embed(text) for text in sample.texts])
    np.testing.assert_allclose(sample.vectors, made, atol=1e-3)


def test_the_sample_is_240_different_sentences_in_twelve_even_families() -> None:
    sample = ingot.sample.load()
    assert sample.vectors.shape == (240, DIMENSION)
    assert len(set(sample.texts)) == 240
    assert set(Counter(sample.families).values()) == {20}


def test_the_sample_is_under_200_kilobytes() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.is_file()) < 200_000


def test_the_question_of_the_tour_finds_what_a_person_would() -> None:
    sample = ingot.sample.load()
    nearest = np.argsort(-(sample.vectors @ embed(QUESTION)))[:5]
    assert sample.texts[nearest[0]] == "A handsaw is a tool for cutting wood along a line."
    assert {sample.families[row] for row in nearest} == {"tool"}


def test_a_text_without_a_word_that_counts_is_all_zero() -> None:
    assert not embed("to the and of").any()
