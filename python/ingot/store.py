"""The embedded store: NumPy arrays in, NumPy arrays out, everything durable when a call returns.

It knows the native module and the errors; it does not know HTTP.
"""

import json
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ingot import _native, error_words, errors
from ingot._native import Hits, Inserted, SourceStatus, TenantStats
from ingot.limits import MAX_SEARCH_LIMIT

Path = str | os.PathLike[str]


def open(path: Path, *, create: bool = True, **options: Any) -> "Store":
    """Open the data directory at `path`, making it if it is not there.

    `create=False` refuses to make one. `options`: `index_threads`, `max_open_tenants`, `auto_create_tenants`
    (see `ingot serve --help` for what they mean).

    Raises `ingot.errors.DirectoryInUse` (its `pid` is the other process), `FormatTooNew`, `StorageFailed`.

    >>> import numpy as np, tempfile
    >>> with open(tempfile.mkdtemp()) as store:
    ...     inserted = store.insert("demo", np.eye(3, dtype=np.float32), file_id="axes")
    ...     hits = store.search("demo", np.array([0.1, 0.9, 0.2], dtype=np.float32), limit=1)
    >>> list(inserted.chunk_ids)
    ['axes_0', 'axes_1', 'axes_2']
    >>> hits.chunk_ids
    ['axes_1']
    """
    return Store(path, create=create, **options)


def _array(vectors: ArrayLike) -> NDArray[Any]:
    """An array as it is; a list of lists is converted, its shape judged by the native module."""
    if isinstance(vectors, np.ndarray):
        if np.ma.is_masked(vectors):
            raise errors.WrongType(
                "`embeddings`: expected numbers, got masked ones; fill them first: array.filled(...)",
                field="embeddings",
            )
        return vectors
    try:
        return np.asarray(vectors, dtype=np.float32)
    except OverflowError:
        return np.asarray(vectors, dtype=np.float64)


class Store:
    """A data directory, open. Safe to use from many threads; a context manager; not usable after `fork`.

    Every method raises subclasses of `ingot.IngotError`, which carry what they name (`row`, `column`, ...).
    """

    def __init__(self, path: Path, *, create: bool = True, **options: Any) -> None:
        """See `ingot.open`."""
        self._store = _native.Store(os.fspath(path), options={"create": create, **options})

    @property
    def path(self) -> str:
        """The data directory."""
        return self._store.path

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._store.closed

    def close(self) -> None:
        """Wait for uploads in flight, save what makes the next start fast, free the directory. Idempotent."""
        self._store.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ingot.Store {self.path}{' closed' if self.closed else ''}>"

    def insert(
        self,
        tenant_id: str,
        embeddings: ArrayLike,
        *,
        file_id: str | None = None,
        sub_tenant_id: str | None = None,
        document_metadata: Mapping[str, Any] | None = None,
        upsert: bool = True,
        dry_run: bool = False,
        crc32c: int | None = None,
    ) -> Inserted:
        """Store the vectors of one source; when this returns they are on stable storage and searchable.

        `embeddings`: shape (rows, dimension), 1..2000 x 1..3024. A float32 C-contiguous array is validated where
        it lies; other float and integer arrays are converted once, and rounded once to float32. A `file_id` that
        exists is replaced as a whole (`upsert=False`: `AlreadyExists` instead); without one an id is made.
        The tenant's first vectors fix its dimension.

        Returns an `Inserted`: `file_id`, lazy `chunk_ids`, `overwritten` (rows replaced), `crc32c` of the rows.

        Raises `NonFiniteValue`, `ZeroVector` (cosine), `DimensionMismatch`, `DigestMismatch` and the other
        subclasses of `ingot.errors.InputError`, with nothing stored; `AlreadyExists`; `DiskFull`;
        `OutcomeUnknown` when the sync to disk failed: the upload is then there whole or not at all.
        """
        metadata = None if document_metadata is None else _metadata(document_metadata)
        return self._store.insert(
            tenant_id,
            _array(embeddings),
            file_id=_native.new_file_id() if file_id is None else file_id,
            sub_tenant_id=sub_tenant_id,
            metadata=metadata,
            upsert=upsert,
            dry_run=dry_run,
            crc32c=crc32c,
        )

    def search(
        self,
        tenant_id: str,
        query: ArrayLike,
        *,
        sub_tenant_id: str | None = None,
        limit: int = 10,
        ef: int | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        with_embeddings: bool = False,
        filter: str | None = None,
    ) -> Hits:
        """Find the rows nearest to `query` (shape (dimension,)), best first, by exact float32 distances.

        `limit`: 1..1000. `ef`: candidates kept in the graph; more is slower and finds more. `exact=True` compares
        with every row. `score_threshold`: keep scores at least this high. `filter`: an expression that the rows have to
        satisfy, such as `'metadata["lang"] == "en" and metadata["year"] >= 2020'` (see docs/filters.md).

        Returns `Hits`, columns of equal length: `chunk_ids`, `source_ids`, `metadata` (JSON text), `distances`
        and `scores` (float32), `embeddings` (float32, shape (len, dimension)) if asked for.

        Raises `TenantNotFound`, `SubTenantNotFound`, `DimensionMismatch`, `InvalidLimit`, `FilterSyntax`,
        `CorruptData`.
        """
        array = _array(query)
        if array.ndim != 1:
            raise ValueError(
                f"query must have shape (dimension,), got {array.shape}; for many use search_batch"
            )
        return self.search_batch(
            tenant_id,
            array,
            sub_tenant_id=sub_tenant_id,
            limit=limit,
            ef=ef,
            exact=exact,
            score_threshold=score_threshold,
            with_embeddings=with_embeddings,
            filter=filter,
        )[0]

    def search_batch(
        self,
        tenant_id: str,
        queries: ArrayLike,
        *,
        sub_tenant_id: str | None = None,
        limit: int = 10,
        ef: int | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        with_embeddings: bool = False,
        filter: str | None = None,
    ) -> list[Hits]:
        """Search for each row of `queries` (shape (n, dimension), n <= 1000): one `Hits` a query, in order."""
        if limit < 0:  # the native module counts without a sign
            raise error_words.from_engine("InvalidLimit", {"got": limit, "maximum": MAX_SEARCH_LIMIT})
        return self._store.search(
            tenant_id,
            _array(queries),
            sub_tenant_id=sub_tenant_id,
            limit=limit,
            ef=ef,
            exact=exact,
            score_threshold=score_threshold,
            with_embeddings=with_embeddings,
            filter=filter,
        )

    def get(
        self,
        tenant_id: str,
        *,
        sub_tenant_id: str | None = None,
        source_id: str | None = None,
        chunk_ids: Sequence[str] | None = None,
        filter: str | None = None,
        limit: int = 100,
        with_embeddings: bool = True,
    ) -> Hits:
        """Read rows back in insertion order: of a source, by chunk id, by filter, or (none given) all; `limit` at most.

        What is not there is not among them.
        """
        hits, _ = self._store.get(
            tenant_id,
            sub_tenant_id=sub_tenant_id,
            source_id=source_id,
            chunk_ids=chunk_ids,
            filter=filter,
            limit=limit,
            with_embeddings=with_embeddings,
        )
        return hits

    def delete(
        self,
        tenant_id: str,
        *,
        sub_tenant_id: str | None = None,
        source_id: str | None = None,
        chunk_ids: Sequence[str] | None = None,
        filter: str | None = None,
    ) -> int:
        """Delete a source, or rows by chunk id or filter; return how many rows that were, durably deleted."""
        return self._store.delete(
            tenant_id, sub_tenant_id=sub_tenant_id, source_id=source_id, chunk_ids=chunk_ids, filter=filter
        )

    def status(self, tenant_id: str, source_id: str, *, sub_tenant_id: str | None = None) -> SourceStatus:
        """How many rows a source has, and how many of them the graph holds. Raises `NotFound`."""
        return self._store.status(tenant_id, source_id, sub_tenant_id=sub_tenant_id)

    def stats(self, tenant_id: str) -> TenantStats:
        """Dimension, metric and counts of a tenant. Raises `TenantNotFound`."""
        return self._store.stats(tenant_id)

    def wait_indexed(self, tenant_id: str, timeout: float | None = None) -> bool:
        """Wait until the graphs hold every row (searches find all rows before that, too).

        `timeout` in seconds; False when it passes first.
        """
        return self._store.wait_indexed(tenant_id, timeout)


def _metadata(metadata: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
