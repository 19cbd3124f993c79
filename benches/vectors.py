"""The vectors that are measured with: real ones by path where they are, clustered ones made here otherwise."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REAL = "debian-minilm-384"
SEED = 20_260


@dataclass(frozen=True)
class Vectors:
    """Unit vectors, float32 of shapes (rows, dimension) and (queries, dimension), and where they come from."""

    name: str
    rows: NDArray[np.float32]
    queries: NDArray[np.float32]


def load(rows: int) -> Vectors:
    """The first `rows` vectors of 384 numbers, and queries that are not among them."""
    folder = Path(os.environ.get("INGOT_BENCH_DATA") or "../shared/data")
    if (folder / f"{REAL}.f16.npy").is_file():
        base = np.load(folder / f"{REAL}.f16.npy", mmap_mode="r", allow_pickle=False)[:rows]
        queries = np.load(folder / f"{REAL}.queries.f16.npy", allow_pickle=False)
        return Vectors(REAL, _unit(base), _unit(queries))
    return clustered(rows, 384)


def clustered(rows: int, dimension: int, queries: int = 1000) -> Vectors:
    """Points around one centre for every fifty rows, as texts of a few subjects would lie."""
    random = np.random.default_rng(SEED)
    total = rows + queries
    centres = random.standard_normal((max(1, total // 50), dimension), np.float32)
    points = centres[random.integers(len(centres), size=total)]
    points += 0.5 * random.standard_normal((total, dimension), np.float32)
    points = _unit(points)
    return Vectors(f"clustered-{dimension} (seed {SEED})", points[:rows], points[rows:])


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    wide = np.ascontiguousarray(vectors, np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide
