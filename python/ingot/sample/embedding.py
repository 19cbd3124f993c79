"""A tiny embedding, the same on every machine: text in, 96 numbers out, without a model.

A text becomes a bag of features: its words, and the runs of four letters inside them, so that `saw` is near
`handsaw`. The 96 bits of a feature's BLAKE2b hash are its direction, +1 or -1 in each of 96 dimensions: that is a
random projection whose matrix need not be stored (Achlioptas, "Database-friendly random projections", 2003). A text
is the weighted sum of its features, scaled to length 1.
"""

import hashlib
import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

DIMENSION = 96

_WORD_WEIGHT = 1.0
_LETTERS_WEIGHT = 0.4
# Words that say nothing about the subject of a sentence.
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a all along an and are around as at before between by each for from has have in inside into
        is it its of off on one onto or out over that the their them they this through to two under
        when where while who whose with without you your
        """,
    )
)


def _features(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    words = Counter(word for word in re.findall(r"[a-z]+", text.lower()) if word not in _EMPTY_WORDS)
    for word, times in words.items():
        weights[word] = _WORD_WEIGHT * times
        padded = f"<{word}>"
        for start in range(len(padded) - 3):
            letters = padded[start : start + 4]
            weights[f"#{letters}"] = weights.get(f"#{letters}", 0.0) + _LETTERS_WEIGHT * times
    return weights


def _direction(feature: str) -> NDArray[np.float64]:
    digest = hashlib.blake2b(feature.encode(), digest_size=DIMENSION // 8).digest()
    bits = np.unpackbits(np.frombuffer(digest, np.uint8))
    return bits.astype(np.float64) * 2 - 1


def embed(text: str) -> NDArray[np.float32]:
    """The vector of a text: float32 of shape (96,), of length 1; all zero if it has no word that counts."""
    total = np.zeros(DIMENSION)
    for feature, weight in sorted(_features(text).items()):
        total += weight * _direction(feature)
    length = np.sqrt(np.sum(total * total))
    return (total / length if length else total).astype(np.float32)
