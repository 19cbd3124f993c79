"""A small sample: 240 sentences about everyday things in twelve families, and their vectors.

The sentences were written for ingot and the vectors made from them by `ingot.sample.embedding`; both are under
ingot's own licence. They exist to try the store with; the embedding knows letters, not meaning.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """The sentences, the family of each, and their vectors: float32 of shape (240, 96), rows of length 1."""

    texts: list[str]
    families: list[str]
    vectors: NDArray[np.float32]


def texts() -> tuple[list[str], list[str]]:
    """The sentences and the family of each."""
    lines = (_FOLDER / "texts.tsv").read_text(encoding="utf-8").splitlines()
    families, sentences = zip(*(line.split("\t") for line in lines), strict=True)
    return list(sentences), list(families)


def load() -> Sample:
    """Reads the sample that was shipped."""
    sentences, families = texts()
    vectors = np.load(_FOLDER / "vectors.npy", allow_pickle=False)
    return Sample(sentences, families, vectors.astype(np.float32))
