"""Bodies of uploads: npy and JSON, as files that the load generator reads before its clock starts."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benches import vectors

CONTENT_TYPES = {"npy": "application/x-npy", "json": "application/json"}
BATCH = 2000


@dataclass(frozen=True)
class Bodies:
    """Different bodies of one kind: `digits` significant digits a number, 0 for npy."""

    dimension: int
    digits: int
    files: list[Path]

    @property
    def name(self) -> str:
        """As the table shows it."""
        return f"JSON ({self.digits} digits)" if self.digits else "npy"

    @property
    def content_type(self) -> str:
        """What the request says of its body."""
        return CONTENT_TYPES["json" if self.digits else "npy"]


def rows(dimension: int, count: int) -> NDArray[np.float32]:
    """Unit vectors, real ones of 384 numbers where they are."""
    return (vectors.load(count) if dimension == 384 else vectors.clustered(count, dimension)).rows


def npy(batch: NDArray[np.float32]) -> bytes:
    """A batch as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, batch, allow_pickle=False)
    return file.getvalue()


def text(batch: NDArray[np.float32], digits: int) -> bytes:
    """A batch as JSON. Nine digits bring float32 back exactly, seventeen float64: as most clients write them."""
    lines = (",".join([f"{number:.{digits}g}" for number in row]) for row in batch.tolist())
    return f'{{"embeddings":[{",".join(f"[{line}]" for line in lines)}]}}'.encode()


def write(folder: Path, dimension: int, digits: int, count: int) -> Bodies:
    """`count` bodies of 2000 rows."""
    folder.mkdir(exist_ok=True)
    files = []
    for number, batch in enumerate(np.split(rows(dimension, count * BATCH), count)):
        file = folder / f"{dimension}-{digits}-{number}"
        file.write_bytes(text(batch, digits) if digits else npy(batch))
        files.append(file)
    return Bodies(dimension, digits, files)
