"""The embedded store: NumPy arrays in, NumPy arrays out, everything durable when a call returns.

It knows the native module and the errors; it does not know HTTP.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ingot import _native, error_words, errors
from ingot._native import Hits, Inserted, SourceStatus, TenantStats
from ingot.limits import MAX_NAMES_LIMIT, MAX_SEARCH_LIMIT

Path = str | os.PathLike[str]
Metric = Literal["cosine", "ip", "l2"]

T = TypeVar("T")


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


@dataclass(frozen=True)
class Document:
    """Chunks of one source, named by the client: `embeddings` of shape (len(chunk_ids), dimension)."""

    source_id: str
    chunk_ids: Sequence[str]
    embeddings: ArrayLike
    #: Takes the place of the source's, when given.
    metadata: Mapping[str, Any] | None = None


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

    def insert_documents(
        self,
        tenant_id: str,
        documents: Sequence[Document],
        *,
        sub_tenant_id: str | None = None,
        upsert: bool = True,
        dry_run: bool = False,
        crc32c: int | None = None,
    ) -> Inserted:
        """Add chunks to sources, all or nothing; when this returns they are on stable storage and searchable.

        A chunk whose id exists is replaced, wherever it is (`upsert=False`: `AlreadyExists` instead); the other chunks
        of a source stay, and so does its metadata unless the document has its own. At most 2000 chunks in all; a
        source, and a chunk id, at most once.

        Returns an `Inserted` as `insert` does, with the `chunk_ids` of all documents in order.

        Raises what `insert` raises; `DuplicateChunkId`; `ConflictingFields` for a source that is there twice.

        >>> import numpy as np, tempfile
        >>> with open(tempfile.mkdtemp()) as store:
        ...     x = Document("book", ["p1", "p2"], np.eye(2, 3), {"lang": "de"})
        ...     first = store.insert_documents("demo", [x, Document("note", ["n"], [[0, 0, 1]])])
        ...     second = store.insert_documents("demo", [Document("book", ["p2", "p3"], np.ones((2, 3)))])
        ...     book = store.get("demo", source_id="book")
        >>> first.file_ids, list(first.chunk_ids), second.overwritten
        (['book', 'note'], ['p1', 'p2', 'n'], 1)
        >>> book.chunk_ids, book.metadata[0]
        (['p1', 'p2', 'p3'], b'{"lang":"de"}')
        """
        arrays: list[NDArray[Any]] = []
        for index, document in enumerate(documents):
            array = _array(document.embeddings)
            _check_document(f"documents[{index}]", document, array, arrays)
            arrays.append(array)
        if not arrays:
            raise errors.EmptyEmbeddings("`documents` is empty: give at least one", field="documents")
        return self._store.insert(
            tenant_id,
            arrays[0] if len(arrays) == 1 else np.concatenate(arrays),
            documents=[
                (
                    document.source_id,
                    None if document.metadata is None else _metadata(document.metadata),
                    len(document.chunk_ids),
                )
                for document in documents
            ],
            chunk_ids=[chunk_id for document in documents for chunk_id in document.chunk_ids],
            sub_tenant_id=sub_tenant_id,
            upsert=upsert,
            dry_run=dry_run,
            crc32c=crc32c,
        )

    def update(
        self,
        tenant_id: str,
        embeddings: Mapping[str, ArrayLike] | ArrayLike,
        *,
        chunk_ids: Sequence[str] | None = None,
        sub_tenant_id: str | None = None,
    ) -> Inserted:
        """Give chunks of one source other vectors, all or nothing; their ids and metadata stay.

        `embeddings`: chunk id -> vector, or an array of shape (len(chunk_ids), dimension) together with `chunk_ids`.

        Raises `NotFound` when a chunk is not there, `ConflictingFields` when they are of several sources; and what
        `insert` raises.

        >>> import numpy as np, tempfile
        >>> with open(tempfile.mkdtemp()) as store:
        ...     inserted = store.insert("demo", np.eye(2, dtype=np.float32), file_id="axes")
        ...     updated = store.update("demo", {"axes_1": [1, 1]})
        ...     rows = store.get("demo", chunk_ids=["axes_1"]).embeddings
        >>> updated.file_id, updated.overwritten, rows
        ('axes', 1, array([[1., 1.]], dtype=float32))
        """
        if isinstance(embeddings, Mapping):
            if chunk_ids is not None:
                raise TypeError("give a mapping, or an array and chunk_ids")
            chunk_ids = list(embeddings)
            embeddings = [np.asarray(vector) for vector in embeddings.values()]
        elif chunk_ids is None:
            raise TypeError("give a mapping, or an array and chunk_ids")
        return self._store.update(
            tenant_id, _array(embeddings), chunk_ids=list(chunk_ids), sub_tenant_id=sub_tenant_id
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

    def create_tenant(self, tenant_id: str, dimension: int | None = None, metric: Metric = "cosine") -> bool:
        """Make a tenant, durably, and return True; False when it is there with these settings already.

        Without `dimension` its first vectors fix it (and one that is there may have any). A first upload makes a
        tenant, too.
        Raises `TenantSettingsDiffer`, which has what the tenant has: `metric`, `dimension`.
        """
        return self._store.tenants.create(tenant_id, metric=metric, dimension=dimension)

    def delete_tenant(self, tenant_id: str) -> None:
        """Delete a tenant with all it holds, durably; also one that cannot be opened. Its name is free at once.

        The space is freed in the background. Raises `TenantNotFound`.
        """
        self._store.tenants.delete(tenant_id)

    def delete_sub_tenant(self, tenant_id: str, sub_tenant_id: str) -> None:
        """Delete a sub-tenant with all it holds, durably. `default` cannot be deleted (`InvalidId`).

        Raises `TenantNotFound`, `SubTenantNotFound`.
        """
        self._store.tenants.delete_sub_tenant(tenant_id, sub_tenant_id)

    def tenants(self) -> Iterator[str]:
        """The ids of all tenants, in no order that means anything, read as they are asked for."""
        yield from _pages(lambda cursor: self._store.tenants.ids(limit=MAX_NAMES_LIMIT, cursor=cursor))

    def sub_tenants(self, tenant_id: str) -> list[str]:
        """The names of a tenant's sub-tenants, sorted; `default` is always among them. Raises `TenantNotFound`."""
        return self._store.tenants.sub_tenants(tenant_id)

    def sources(self, tenant_id: str, *, sub_tenant_id: str | None = None) -> Iterator[tuple[str, int]]:
        """Every source that has rows, and how many, in the order of their first rows, read as they are asked for."""
        yield from _pages(
            lambda cursor: self._store.tenants.sources(
                tenant_id, limit=MAX_NAMES_LIMIT, sub_tenant_id=sub_tenant_id, cursor=cursor
            )
        )

    def status(self, tenant_id: str, source_id: str, *, sub_tenant_id: str | None = None) -> SourceStatus:
        """How many rows a source has, and how many of them the graph holds. Raises `NotFound`."""
        return self._store.status(tenant_id, source_id, sub_tenant_id=sub_tenant_id)

    def stats(self, tenant_id: str) -> TenantStats:
        """Metric, counts and dimension (None before it is fixed) of a tenant. Raises `TenantNotFound`."""
        return self._store.stats(tenant_id)

    def wait_indexed(self, tenant_id: str, timeout: float | None = None) -> bool:
        """Wait until the graphs hold every row (searches find all rows before that, too).

        `timeout` in seconds; False when it passes first.
        """
        return self._store.wait_indexed(tenant_id, timeout)


def _pages(page: Callable[[str | None], tuple[list[T], str | None]]) -> Iterator[T]:
    cursor = None
    while True:
        found, cursor = page(cursor)
        yield from found
        if cursor is None:
            return


def _check_document(
    place: str, document: Document, array: NDArray[Any], before: Sequence[NDArray[Any]]
) -> None:
    """What has to fit before the arrays can become one."""
    if array.ndim != 2:
        raise errors.WrongType(
            f"`{place}.embeddings`: expected an array of shape (rows, dimension), got {array.shape}",
            field="embeddings",
        )
    rows, columns = array.shape
    if rows != len(document.chunk_ids):
        raise errors.ConflictingFields(
            f"`{place}` has {len(document.chunk_ids)} chunk ids for {rows} rows: give each row one",
            field="chunk_ids",
        )
    if before and columns != before[0].shape[1]:
        raise errors.RaggedRows(
            f"`{place}.embeddings`: {columns} numbers a row, the rows before it have {before[0].shape[1]}",
            row=sum(map(len, before)),
            field="embeddings",
        )


def _metadata(metadata: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
