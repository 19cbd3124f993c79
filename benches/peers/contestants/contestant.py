"""What a trial asks of every store. Rows have numbers as ids, counted from 0; a document is a run of them."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Query = NDArray[np.float32]
Tags = NDArray[np.int64]
Searcher = Callable[[Query], list[int]]


class Narrowed(Protocol):
    """A search among the rows whose number is below another."""

    def __call__(self, query: Query, below: int) -> list[int]:
        """The ids of the ten nearest."""


# The same graph for all that build one.
LINKS = 16
WIDTH = 128
THREADS = 2
NEAREST = 10


class Unsupported(Exception):
    """The store has no such operation."""


class Contestant(ABC):
    """A store in `folder`, for unit vectors of `dimension` numbers compared by cosine.

    `durable`: whether what `insert` acknowledged survives a power cut. `how`: by what, or what is missing.
    `atomic`: whether a search, or a crash, can find `replace` half done; None where there is no `replace`.
    `efs`: the widths of a search that are tried, in turn, until recall is high enough.
    """

    durable: bool = False
    how: str = ""
    settings: str = f"M {LINKS}, ef {WIDTH}"
    atomic: bool | None = None
    efs: tuple[int, ...] = (10, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 200, 256, 320, 400, 512)

    def __init__(self, folder: Path, dimension: int) -> None:
        self.folder = folder
        self.dimension = dimension
        self.ef = self.efs[0]

    @abstractmethod
    def start(self) -> None:
        """Opens what is in the folder, makes it when there is nothing. A server is started, and answers."""

    @abstractmethod
    def insert(self, first: int, rows: Rows) -> None:
        """Stores one document, the rows `first..`; returns when it is acknowledged, durably where the store can."""

    @abstractmethod
    def index(self) -> None:
        """Returns when every row is in the index; fails if the store says otherwise."""

    @abstractmethod
    def searcher(self) -> Searcher:
        """A search for one thread: a query to the ids of the ten nearest rows, through the index, width `self.ef`."""

    @abstractmethod
    def stop(self) -> None:
        """Closes the store, so that `start` finds everything again. A server is stopped."""

    def widen(self, ef: int) -> None:
        """Later searches are `ef` wide."""
        self.ef = ef

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """Puts `rows` in the place of the document `first..first + count`, durably where the store can."""
        raise Unsupported

    def delete(self, first: int, count: int) -> None:
        """Deletes the document `first..first + count`, durably where the store can."""
        raise Unsupported

    def load_tagged(self, rows: Rows, tags: Tags) -> None:
        """In the place of `insert`: stores all rows, each with a number that searches may ask for."""
        raise Unsupported

    def narrowed(self) -> Narrowed:
        """A search as `searcher` gives it, among the rows whose number is below another."""
        raise Unsupported

    def processes(self) -> list[int]:
        """The processes that hold the store; their children belong to them."""
        return [os.getpid()]
