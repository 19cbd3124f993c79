"""The native module: the engine behind `ingot.Store` and the HTTP service. Private; use `import ingot`.

Every function raises the exceptions of `ingot.errors` (the module calls `ingot.error_words.from_engine(code, fields)`
with the engine's error as structure; the words are made there).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, final, overload

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Body",
    "BodyReader",
    "ChunkIds",
    "Completions",
    "Hits",
    "Inserted",
    "Rows",
    "SourceStatus",
    "Store",
    "StoreMetrics",
    "TenantStats",
    "Tenants",
    "check_filter",
    "crc32c",
    "give_back_memory",
    "keep_memory",
    "new_file_id",
]

_Metric = Literal["cosine", "ip", "l2"]

@final
class ChunkIds(Sequence[str]):
    """The ids of the rows of one upload; each string is made when it is asked for."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> str: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[str]: ...
    def __iter__(self) -> Iterator[str]: ...
    def __contains__(self, value: object, /) -> bool: ...

@final
class Inserted:
    """What an upload did. `lsn` is 0 for a dry run or a retry that changed nothing."""

    file_ids: list[str]
    sub_tenant_id: str
    chunk_ids: ChunkIds
    dimension: int
    overwritten: int
    existed: bool
    crc32c: int
    lsn: int
    @property
    def file_id(self) -> str:
        """The only source; raises `ValueError` when there are several."""
    def __len__(self) -> int: ...

@final
class Hits:
    """The rows a search or a get found, best (or first) first, as columns of equal length."""

    def __len__(self) -> int: ...
    @property
    def source_ids(self) -> list[str]: ...
    @property
    def chunk_ids(self) -> list[str]: ...
    @property
    def metadata(self) -> list[bytes | None]:
        """JSON text exactly as it was sent, None where none was."""
    @property
    def distances(self) -> NDArray[np.float32]:
        """float32, empty for a get."""
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def embeddings(self) -> NDArray[np.float32] | None:
        """float32 of shape (len, dimension); None unless vectors were asked for."""

@final
class SourceStatus:
    """How far the graph has come with a source's live rows."""

    total_rows: int
    indexed_rows: int

@final
class TenantStats:
    """One tenant, counted at one moment."""

    tenant_id: str
    dimension: int | None
    metric: _Metric
    rows: int
    indexed_rows: int
    sources: int
    sub_tenants: dict[str, int]
    visible_lsn: int
    groups: int
    """Groups of records written since the tenant was opened: one write and one sync each."""

@final
class StoreMetrics:
    """Counts of what is open, for an operator."""

    open_tenants: int
    refusing_tenants: int
    rows: int
    unindexed_rows: int
    sources: int
    groups: int
    """Groups of records written since the store was opened: one write and one sync each."""

@final
class Rows:
    """Validated-shape float32 rows that a body reader made: 2-D, whole rows, every value finite."""

    @property
    def shape(self) -> tuple[int, int]: ...
    def numpy(self) -> NDArray[np.float32]:
        """A copy, for tests and tools."""

@final
class Completions:
    """Where finished native work is reported to an event loop: a mailbox behind an eventfd.

    `fileno()` becomes readable when something is in it; `drain()` empties it. One wake-up may bring many.
    """

    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[tuple[int, Any, BaseException | None]]:
        """(token, result, None) or (token, None, exception) of everything finished since the last call."""
    def close(self) -> None: ...

@final
class Body:
    """A body that was read whole."""

    @property
    def envelope(self) -> bytes:
        """The JSON text with every array of numbers at a known path replaced by the number of its row
        (`{"tenant_id": "t", "embeddings": [0, 1, 2]}`), and a binary form by what its rows as lists would leave;
        `b"{}"` for npy."""
    @property
    def rows(self) -> Rows | None:
        """All the arrays of numbers in the order of the body; None when there was none."""
    @property
    def one_dimensional(self) -> bool:
        """Whether an npy array had one dimension (it is given as one row)."""

@final
class BodyReader:
    """One request body, parsed on a native thread while it arrives.

    `format`: "json" or "npy". `purpose` names the limits and the known paths of number arrays: "insert"
    (`embeddings[*]`, `embeddings[*].embeddings[*].embedding`, `embeddings.<chunk id>`) or "search"
    (`query_embedding`, `query_embeddings[*]`, and `embeddings` for the first-age search). In the place of such an array
    may stand `{"data", "dtype", "shape"}`, with its bytes as base64. `encoding` is undone first; what it unpacks to may
    be `limit` bytes.
    """

    def __new__(
        cls,
        format: Literal["json", "npy"],
        purpose: Literal["insert", "search"],
        encoding: Literal["gzip", "deflate", "zstd"] | None = None,
        limit: int = ...,
    ) -> BodyReader: ...
    @property
    def unpacked(self) -> int:
        """Bytes unpacked so far; 0 for a body without an encoding."""
    @property
    def parsed(self) -> bool:
        """Whether everything fed so far is parsed."""
    def belongs_to(self, owner: str) -> None:
        """Whose turns this is parsed in: bodies of one owner take those of one."""
    def feed(self, chunk: bytes) -> int:
        """Hands a chunk over and returns at once with the bytes not parsed yet. Raises the error of an
        earlier chunk as soon as it is known. An encoded one lies there until `when_drained` or `finish`."""
    def when_drained(self, completions: Completions, token: int) -> None:
        """Completes with None when everything fed so far is parsed, or with the error found. Of an encoded body a
        MiB is unpacked: look at `unpacked` and `parsed`, and call it again."""
    def finish(self, completions: Completions, token: int) -> None:
        """Completes with the `Body`, or with the error found."""
    def read(self, *chunks: bytes) -> Body:
        """Parses these chunks and ends, on the calling thread with the GIL released (for tests and tools)."""

@final
class Store:
    """A data directory, open. Thread-safe; every call but `begin_*` blocks with the GIL released."""

    def __new__(cls, path: str, *, options: dict[str, Any] | None = None) -> Store:
        """`options`: `create` (bool, default True), `index_threads` (int), `search_threads` (int),
        `commit_threads` (int), `max_open_tenants` (int), `auto_create_tenants` (bool, default True)."""
    @property
    def path(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    @property
    def tenants(self) -> Tenants: ...
    def close(self) -> None:
        """Waits for commits in flight, writes checkpoints, codes and graphs, frees the directory. Idempotent."""
    def insert(
        self,
        tenant_id: str,
        embeddings: NDArray[Any] | Rows,
        *,
        file_id: str | None = None,
        metadata: bytes | None = None,
        documents: list[tuple[str, bytes | None, int]] | None = None,
        chunk_ids: list[str] | None = None,
        sub_tenant_id: str | None = None,
        upsert: bool = True,
        dry_run: bool = False,
        crc32c: int | None = None,
    ) -> Inserted:
        """Matrix form: `file_id` and `metadata`. Document form: `documents` (source, metadata, number of rows) and
        the `chunk_ids` of all rows in order."""
    def update(
        self,
        tenant_id: str,
        embeddings: NDArray[Any] | Rows,
        *,
        chunk_ids: list[str],
        sub_tenant_id: str | None = None,
    ) -> Inserted: ...
    def begin_insert(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        rows: Rows,
        *,
        file_id: str | None = None,
        metadata: bytes | None = None,
        documents: list[tuple[str, bytes | None, int]] | None = None,
        chunk_ids: list[str] | None = None,
        sub_tenant_id: str | None = None,
        upsert: bool = True,
        dry_run: bool = False,
        crc32c: int | None = None,
    ) -> bool:
        """Takes the rows over (`Rows` is empty afterwards) and completes with `Inserted` once the upload is
        on stable storage and visible. A small one waits for others: True asks the caller, once for all that will
        wait, to call `begin_queued` in a moment."""
    def begin_update(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        rows: Rows,
        *,
        chunk_ids: list[str],
        sub_tenant_id: str | None = None,
    ) -> bool:
        """As `begin_insert`."""
    def begin_queued(self) -> None:
        """Begins the uploads that wait; those of one tenant are written and synced together."""
    def search(
        self,
        tenant_id: str,
        queries: NDArray[Any] | Rows,
        *,
        sub_tenant_id: str | None = None,
        limit: int = 10,
        ef: int | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        with_embeddings: bool = False,
        filter: str | None = None,
    ) -> list[Hits]:
        """One `Hits` a query, in query order."""
    def begin_search(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        queries: Rows,
        *,
        sub_tenant_id: str | None = None,
        limit: int = 10,
        ef: int | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        with_embeddings: bool = False,
        filter: str | None = None,
    ) -> None: ...
    def begin_search_json(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        queries: Rows,
        *,
        batch: bool,
        max_bytes: int,
        here: bool = False,
        vectors: Literal["none", "list", "base64"] = "none",
        sub_tenant_id: str | None = None,
        limit: int = 10,
        ef: int | None = None,
        exact: bool = False,
        score_threshold: float | None = None,
        filter: str | None = None,
    ) -> bool:
        """Completes with the JSON text of what one query found, or of the list of what each found (`batch`), in
        parts, and the number of rows it shows; with None when the text would be longer than `max_bytes`. `here`
        lets a single query without `filter` be searched for before this returns, if that will take well under a
        millisecond; True: so it was."""
    def get(
        self,
        tenant_id: str,
        *,
        sub_tenant_id: str | None = None,
        source_id: str | None = None,
        chunk_ids: Sequence[str] | None = None,
        limit: int = 100,
        with_embeddings: bool = False,
        filter: str | None = None,
    ) -> tuple[Hits, bool]:
        """The rows in insertion order and whether more follow; at most one selector, none = all rows."""
    def delete(
        self,
        tenant_id: str,
        *,
        sub_tenant_id: str | None = None,
        source_id: str | None = None,
        chunk_ids: Sequence[str] | None = None,
        filter: str | None = None,
    ) -> int:
        """Rows deleted, durably. Exactly one selector."""
    def begin_page_json(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        *,
        max_bytes: int,
        sub_tenant_id: str | None = None,
        source_id: str | None = None,
        chunk_ids: Sequence[str] | None = None,
        filter: str | None = None,
        limit: int = 100,
        vectors: Literal["none", "list", "base64"] = "none",
        cursor: str | None = None,
    ) -> None:
        """Completes with one page of rows in insertion order: the JSON text of their list in parts, the number of rows
        it shows, and the cursor to what follows (None: nothing does). A page ends before its text is longer than
        `max_bytes`, but has one row at least. All pages show what was there when the first was read."""
    def begin_delete(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        *,
        sub_tenant_id: str | None = None,
        source_id: str | None = None,
        chunk_ids: Sequence[str] | None = None,
        filter: str | None = None,
    ) -> None:
        """Completes with the number of rows deleted, and the places in `chunk_ids` of those that were there."""
    def begin_get_json(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        chunk_ids: Sequence[str],
        *,
        max_bytes: int,
        sub_tenant_id: str | None = None,
    ) -> None:
        """Completes with the JSON text of an object, chunk id -> vector, in parts, and the ids of no row; with None
        when the text would be longer than `max_bytes`."""
    def status(self, tenant_id: str, source_id: str, *, sub_tenant_id: str | None = None) -> SourceStatus: ...
    def begin_status(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        source_ids: Sequence[str],
        *,
        sub_tenant_id: str | None = None,
    ) -> None:
        """Completes with a list of `SourceStatus | None` (None: no such source) in the order asked."""
    def stats(self, tenant_id: str) -> TenantStats: ...
    def begin_stats(self, completions: Completions, token: int, tenant_id: str) -> None: ...
    def wait_indexed(self, tenant_id: str, timeout: float | None = None) -> bool:
        """Blocks until the graphs of the tenant hold every live row; False when `timeout` seconds pass first."""
    def probe(self) -> None:
        """Writes, syncs and removes a small file in the directory; raises when that is refused."""
    def refusing_tenants(self) -> int:
        """How many open tenants take no writes at present."""
    def metrics(self) -> StoreMetrics:
        """Counts of what is open; waits for no tenant."""

@final
class Tenants:
    """The tenants of a store. Thread-safe; every call but `begin_*` blocks with the GIL released."""

    def create(self, tenant_id: str, *, metric: str | None = None, dimension: int | None = None) -> bool:
        """Makes a tenant; False when it is there, with these settings."""
    def begin_create(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        *,
        metric: str | None = None,
        dimension: int | None = None,
    ) -> None: ...
    def delete(self, tenant_id: str) -> None: ...
    def begin_delete(self, completions: Completions, token: int, tenant_id: str) -> None: ...
    def delete_sub_tenant(self, tenant_id: str, sub_tenant_id: str | None) -> None: ...
    def begin_delete_sub_tenant(
        self, completions: Completions, token: int, tenant_id: str, sub_tenant_id: str | None
    ) -> None: ...
    def sub_tenants(self, tenant_id: str) -> list[str]:
        """Sorted; `default` is always there."""
    def begin_sub_tenants(self, completions: Completions, token: int, tenant_id: str) -> None: ...
    def sources(
        self, tenant_id: str, *, limit: int, sub_tenant_id: str | None = None, cursor: str | None = None
    ) -> tuple[list[tuple[str, int]], str | None]:
        """Sources with their rows, in the order of their first rows, and the cursor to what follows."""
    def begin_sources(
        self,
        completions: Completions,
        token: int,
        tenant_id: str,
        *,
        limit: int,
        sub_tenant_id: str | None = None,
        cursor: str | None = None,
    ) -> None: ...
    def ids(
        self, *, limit: int, among: Sequence[str] | None = None, cursor: str | None = None
    ) -> tuple[list[str], str | None]:
        """Ids of tenants, only of those `among` these, and the cursor to what follows."""
    def begin_ids(
        self,
        completions: Completions,
        token: int,
        *,
        limit: int,
        among: Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> None: ...

def check_filter(text: str) -> None:
    """Raises `FilterSyntax` unless `text` is a filter."""

def give_back_memory() -> None:
    """Gives the system what the allocator holds free: milliseconds, with the GIL released."""

def keep_memory(bytes: int) -> None:
    """Has the allocator keep up to so many freed bytes at the end of each of its heaps, instead of giving them back to
    the system and asking for them again. For a process of one's own; glibc only."""

def new_file_id() -> str:
    """`emb_` + ULID, strictly increasing as a string within the process."""

def crc32c(array: NDArray[Any]) -> int:
    """CRC-32C (RFC 3720, Castagnoli) over the float32 little-endian rows in order."""
