"""Makes `vectors.npy` from `texts.tsv`: `python -m ingot.sample.make`, after a sentence was changed."""

from pathlib import Path

import numpy as np

from ingot.sample import texts
from ingot.sample.embedding import embed

if __name__ == "__main__":
    sentences, _ = texts()
    vectors = np.stack([embed(sentence) for sentence in sentences]).astype("<f2")
    np.save(Path(__file__).with_name("vectors.npy"), vectors, allow_pickle=False)
