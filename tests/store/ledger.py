"""What was sent and what was acknowledged, and whether what is there after a crash can have come of it."""

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

DIMENSION = 24
DEADLINE = 60.0

#: A source by tenant and id.
Key = tuple[str, str]
#: What is stored of a source: version as the metadata tells it, chunk ids, vectors. None: nothing.
Stored = tuple[int, list[str], NDArray[np.float32]] | None


def content(key: Key, version: int) -> NDArray[np.float32]:
    """The rows that version `version` of a source has; both sides make them up alike. Large ones now and then."""
    generator = np.random.default_rng([zlib.crc32("\0".join(key).encode()), version])
    rows = 700 if version % 9 == 8 else int(generator.integers(1, 60))
    return generator.standard_normal((rows, DIMENSION)).astype(np.float32)


def is_delete(version: int) -> bool:
    """Whether version `version` of a source is that there is none."""
    return version % 5 == 4


@dataclass
class Entry:
    acknowledged: int | None = None
    #: Versions sent after the one that was acknowledged last.
    open: list[int] = field(default_factory=list)
    next: int = 0


class Ledger:
    """Each source is written by one thread at a time, version after version."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.acknowledgements = 0
        self.overwritten = 0
        self._changed = threading.Condition()

    def sends(self, key: Key) -> int:
        """A version is about to be sent; its number."""
        with self._changed:
            entry = self.entries.setdefault(key, Entry())
            version = entry.next
            self.sent(key, version)
            return version

    def sent(self, key: Key, version: int) -> None:
        """Version `version` is about to be sent."""
        with self._changed:
            entry = self.entries.setdefault(key, Entry())
            entry.open.append(version)
            entry.next = version + 1

    def acknowledge(self, key: Key, version: int) -> None:
        """Version `version` was acknowledged."""
        with self._changed:
            entry = self.entries[key]
            self.overwritten += entry.acknowledged is not None
            entry.acknowledged = version
            entry.open = [later for later in entry.open if later > version]
            self.acknowledgements += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Returns at the `count`-th acknowledgement."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.acknowledgements >= count, DEADLINE), "no progress"

    def settle(self, read: Callable[[Key], Stored]) -> dict[str, int]:
        """Asserts that each source is one of the versions it can be, whole; rows by tenant. What is there now has to
        be there from now on."""
        rows: dict[str, int] = {}
        for key, entry in self.entries.items():
            found = read(key)
            version = self._version_of(key, entry, found)
            if version is not None:
                entry.acknowledged = version
            entry.open = []
            rows[key[0]] = rows.get(key[0], 0) + (len(found[1]) if found else 0)
        return rows

    def _version_of(self, key: Key, entry: Entry, found: Stored) -> int | None:
        possible = [version for version in (entry.acknowledged, *entry.open) if version is not None]
        context = f"{key}: acknowledged {entry.acknowledged}, under way {entry.open}"
        if found is None:
            gone = [version for version in possible if is_delete(version)]
            assert entry.acknowledged is None or gone, f"{context}, and nothing is there"
            return gone[-1] if gone else None
        version, chunk_ids, vectors = found
        assert version in possible, f"{context}, and version {version} is there"
        assert not is_delete(version)
        expected = content(key, version)
        assert chunk_ids == [f"{key[1]}_{index}" for index in range(len(expected))], (
            f"{context}: a part of {version}"
        )
        assert vectors.tobytes() == expected.tobytes(), f"{context}: not the numbers of {version}"
        return version
