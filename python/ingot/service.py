"""What the server does for a request, once it is read: the engine's calls as awaitables.

The only floor, with the bridge below it, that knows the native module; does not know HTTP.
"""

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from ingot import _native, limits
from ingot._native import Body, BodyReader, Hits, Inserted, Rows, SourceStatus, StoreMetrics, TenantStats
from ingot.completions import CompletionBridge
from ingot.errors import Draining, InvalidLimit, Starting, TooManyRows
from ingot.loop_share import LoopShare
from ingot.schemas.checks import Insertion, Search, Selection, VectorFormat
from ingot.turns import Turns

__all__ = [
    "Body",
    "BodyFeed",
    "Hits",
    "Inserted",
    "Purpose",
    "Rows",
    "Service",
    "SourceStatus",
    "TenantStats",
]

Format = Literal["json", "npy"]
Purpose = Literal["insert", "search"]
Encoding = Literal["gzip", "deflate", "zstd"]

# Freed bytes at the end of a heap: the pieces of two bodies that are not parsed yet. Threads have heaps of their own,
# and nothing but the allocator itself gives the end of those back.
_KEPT_MEMORY = 8 << 20
# A client that had the engine to itself for so long is alone: its searches need not change threads.
_ALONE_SECONDS = 0.01


class BodyFeed:
    """One body on its way into the native reader."""

    __slots__ = ("_bridge", "_reader", "encoded")

    def __init__(
        self,
        bridge: CompletionBridge,
        format: Format,
        purpose: Purpose,
        encoding: Encoding | None,
        limit: int,
    ) -> None:
        self._bridge = bridge
        self._reader = BodyReader(format, purpose, encoding, limit)
        #: Whether the body has an encoding: then nothing is parsed but in `drained`, a part at a time.
        self.encoded = encoding is not None

    def belongs_to(self, owner: str) -> None:
        """Bodies of one owner take the turns of one while they are parsed."""
        self._reader.belongs_to(owner)

    def feed(self, chunk: bytes) -> int:
        """Hands a chunk over; the bytes not parsed yet. Raises what is wrong as soon as it is known."""
        return self._reader.feed(chunk)

    def read(self, body: bytes) -> Body:
        """The whole body, parsed here and now: for small ones of which nothing was fed."""
        return self._reader.read(body)

    def drained(self) -> asyncio.Future[None]:
        """When everything fed so far is parsed; of an encoded body, when another part is."""
        return self._bridge.call(self._reader.when_drained)

    @property
    def parsed(self) -> bool:
        """Whether everything fed so far is parsed."""
        return self._reader.parsed

    @property
    def unpacked(self) -> int:
        """Bytes that an encoded body has been unpacked to."""
        return self._reader.unpacked

    def finish(self) -> asyncio.Future[Body]:
        """The whole body."""
        return self._bridge.call(self._reader.finish)


class Service:
    """A data directory that an event loop serves: starting, then ready, then draining."""

    def __init__(self) -> None:
        self._bridge = CompletionBridge()
        self._store: _native.Store | None = None
        self._draining = False
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(self._loop.time)
        # The loop's own clock counts milliseconds.
        self._share = LoopShare(time.perf_counter)
        #: Rows that uploads stored, and queries that were searched for.
        self.stored_rows = 0
        self.queries = 0
        #: When a search last began while other work was in progress.
        self._crowded = 0.0
        #: The connection that the last search came over, and when.
        self._connection: int | None = None
        self._asked = 0.0

    async def open(self, path: Path, options: dict[str, Any]) -> None:
        """Opens the directory; until then every call is refused with `Starting`."""
        self._store = await asyncio.to_thread(_native.Store, str(path), options=options)

    def drain(self) -> None:
        """From now on every call that begins is refused with `Draining`."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether the service is going down."""
        return self._draining

    async def close(self) -> None:
        """Waits for commits in flight and frees the directory."""
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
        self._bridge.close()

    def check_filter(self, text: str | None) -> None:
        """Raises `FilterSyntax` unless `text` is a filter, or None."""
        if text is not None:
            _native.check_filter(text)

    def admit(self) -> None:
        """Lets a new request in; raises `Starting` or `Draining` when none is taken."""
        if self._draining:
            raise Draining("the server is going down: ask another, or try again when it is back")
        if self._store is None:
            raise Starting("the server is still opening its data")

    @property
    def _open_store(self) -> _native.Store:
        # A request that was let in is finished, draining or not.
        if self._store is None:
            raise Starting("the server is still opening its data")
        return self._store

    def body(self, format: Format, purpose: Purpose, encoding: Encoding | None, limit: int) -> BodyFeed:
        """A reader for one body, which may unpack to `limit` bytes."""
        return BodyFeed(self._bridge, format, purpose, encoding, limit)

    async def _call(
        self, begin: Callable[..., bool | None], tenant_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        turn = self._turns.enter(tenant_id)
        if turn is not None:
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._turns.leave(tenant_id)
                raise
        try:
            # A cancelled request abandons the answer only: what the engine began, it ends.
            return await self._bridge.call(begin, tenant_id, *args, **kwargs)
        finally:
            self._turns.leave(tenant_id)

    def _begin_upload(self, begin: Callable[..., bool], *args: Any, **kwargs: Any) -> None:
        if begin(*args, **kwargs):
            # Behind everything that this turn of the loop has read: what came together is synced together.
            self._loop.call_soon(self._open_store.begin_queued)

    async def insert(self, insertion: Insertion, rows: Rows) -> Inserted:
        """Stores one upload; returns when it is on stable storage and searchable."""
        documents, file_id = insertion.documents, insertion.file_id
        if documents is None:
            content: dict[str, Any] = {
                "file_id": file_id if file_id is not None else _native.new_file_id(),
                "metadata": insertion.metadata,
            }
        else:
            content = {"documents": documents.sources, "chunk_ids": documents.chunk_ids}
        inserted: Inserted = await self._call(
            functools.partial(self._begin_upload, self._open_store.begin_insert),
            insertion.tenant_id,
            rows,
            **content,
            sub_tenant_id=insertion.sub_tenant_id,
            upsert=insertion.upsert,
            dry_run=insertion.dry_run,
            crc32c=insertion.crc32c,
        )
        if not insertion.dry_run:
            self.stored_rows += len(inserted)
        return inserted

    async def update(
        self, tenant_id: str, sub_tenant_id: str | None, chunk_ids: list[str], rows: Rows
    ) -> Inserted:
        """Gives chunks of one source, which all have to exist, other vectors; returns when that is on stable storage
        and searchable. Row i of `rows` is that of `chunk_ids[i]`."""
        updated: Inserted = await self._call(
            functools.partial(self._begin_upload, self._open_store.begin_update),
            tenant_id,
            rows,
            chunk_ids=chunk_ids,
            sub_tenant_id=sub_tenant_id,
        )
        return updated

    async def search(self, search: Search, queries: Rows) -> list[Hits]:
        """The nearest rows to each query, best first."""
        self.queries += queries.shape[0]
        hits: list[Hits] = await self._call(
            self._open_store.begin_search,
            search.tenant_id,
            queries,
            sub_tenant_id=search.sub_tenant_id,
            limit=search.limit,
            ef=search.ef,
            exact=search.exact,
            score_threshold=search.score_threshold,
            filter=search.filter,
        )
        return hits

    def _begin_search(
        self, completions: Any, token: int, tenant_id: str, queries: Rows, **kwargs: Any
    ) -> bool:
        # Nobody waits for vectors to become text on the event loop.
        here = kwargs["vectors"] == "none" and self._has_time_for(tenant_id)
        begun = time.perf_counter()
        ended = self._open_store.begin_search_json(
            completions, token, tenant_id, queries, here=here, **kwargs
        )
        if ended:
            self._share.spend(time.perf_counter() - begun)
        return ended

    def _has_time_for(self, tenant_id: str) -> bool:
        """Whether a short search may be done where it stands: without waiting for a thread to get a core, and back."""
        now = self._loop.time()
        # One call is the caller's own.
        if self._bridge.outstanding > 1:
            self._crowded = now
        if now - self._crowded > _ALONE_SECONDS:
            return True
        return self._turns.is_quiet(tenant_id) and self._share.is_left

    def _note_connection(self, connection: int | None) -> None:
        """Searches that end where they stand are never in progress together: who sends them over several connections
        is known by these, or all of them would be done by one thread."""
        now = self._loop.time()
        if connection != self._connection:
            if now - self._asked < _ALONE_SECONDS:
                self._crowded = now
            self._connection = connection
        self._asked = now

    async def search_json(
        self, search: Search, queries: Rows, *, batch: bool, connection: int | None = None
    ) -> tuple[list[bytes], int]:
        """What a search is answered, in parts, and how many rows that shows; of a `batch`, the list of the lists.
        Raises when it is too long. `connection` is the same number for requests that came over the same one."""
        self._note_connection(connection)
        self.queries += queries.shape[0]
        answer: tuple[list[bytes], int] | None = await self._call(
            self._begin_search,
            search.tenant_id,
            queries,
            batch=batch,
            max_bytes=limits.MAX_ANSWER_BYTES if batch else sys.maxsize,
            vectors=search.vectors,
            sub_tenant_id=search.sub_tenant_id,
            limit=search.limit,
            ef=search.ef,
            exact=search.exact,
            score_threshold=search.score_threshold,
            filter=search.filter,
        )
        if answer is None:
            raise InvalidLimit(
                f"`limit` is {search.limit}: with their metadata the results are over {limits.MAX_ANSWER_BYTES} bytes: "
                "lower `limit`, or send fewer queries at a time",
                field="limit",
            )
        return answer

    async def page_json(
        self, selection: Selection, limit: int, vectors: VectorFormat, cursor: str | None
    ) -> tuple[list[bytes], int, str | None]:
        """One page of the selected rows in insertion order: the list's text in parts, how many rows it shows, and the
        cursor to what follows."""
        page: tuple[list[bytes], int, str | None] = await self._call(
            self._open_store.begin_page_json,
            selection.tenant_id,
            max_bytes=limits.MAX_PAGE_BYTES,
            sub_tenant_id=selection.sub_tenant_id,
            source_id=selection.source_id,
            chunk_ids=selection.chunk_ids,
            filter=selection.filter,
            limit=limit,
            vectors=vectors,
            cursor=cursor,
        )
        return page

    async def vectors_json(self, selection: Selection) -> tuple[list[bytes], list[str]]:
        """The vectors of rows by their ids as a JSON object, in parts, and the ids of no row. Raises when it is too
        long."""
        chunk_ids = selection.chunk_ids or []
        answer: tuple[list[bytes], list[str]] | None = await self._call(
            self._open_store.begin_get_json,
            selection.tenant_id,
            chunk_ids,
            max_bytes=limits.MAX_PAGE_BYTES,
            sub_tenant_id=selection.sub_tenant_id,
        )
        if answer is None:
            raise TooManyRows(
                f"`chunk_ids` names {len(chunk_ids)}: their vectors are over {limits.MAX_PAGE_BYTES} bytes: "
                "send several requests",
                field="chunk_ids",
            )
        return answer

    async def delete(self, selection: Selection) -> int:
        """Deletes the selected rows, durably; how many there were."""
        count, _ = await self._delete(selection)
        return count

    async def delete_each(self, selection: Selection) -> list[str]:
        """Deletes rows by their ids, durably; the ids of those that were there."""
        chunk_ids = selection.chunk_ids or []
        _, places = await self._delete(selection)
        return [chunk_ids[place] for place in places]

    async def _delete(self, selection: Selection) -> tuple[int, list[int]]:
        deleted: tuple[int, list[int]] = await self._call(
            self._open_store.begin_delete,
            selection.tenant_id,
            sub_tenant_id=selection.sub_tenant_id,
            source_id=selection.source_id,
            chunk_ids=selection.chunk_ids,
            filter=selection.filter,
        )
        return deleted

    async def status(
        self, tenant_id: str, sub_tenant_id: str | None, ids: list[str]
    ) -> list[SourceStatus | None]:
        """How far each source is; None for one that is not there."""
        statuses: list[SourceStatus | None] = await self._call(
            self._open_store.begin_status, tenant_id, ids, sub_tenant_id=sub_tenant_id
        )
        return statuses

    async def stats(self, tenant_id: str) -> TenantStats:
        """One tenant, counted."""
        stats: TenantStats = await self._call(self._open_store.begin_stats, tenant_id)
        return stats

    async def create_tenant(
        self, tenant_id: str, dimension: int | None = None, metric: str | None = None
    ) -> bool:
        """Makes a tenant, durably; False when it is there with these settings already. What is not asked for may be
        anything; a new tenant gets `cosine`, and its dimension with its first vectors."""
        made: bool = await self._call(
            self._open_store.tenants.begin_create, tenant_id, metric=metric, dimension=dimension
        )
        return made

    async def delete_tenant(self, tenant_id: str) -> None:
        """Deletes a tenant, durably."""
        await self._call(self._open_store.tenants.begin_delete, tenant_id)

    async def delete_sub_tenant(self, tenant_id: str, sub_tenant_id: str | None) -> None:
        """Deletes a sub-tenant, durably."""
        await self._call(self._open_store.tenants.begin_delete_sub_tenant, tenant_id, sub_tenant_id)

    async def sub_tenants(self, tenant_id: str) -> list[str]:
        """The names of a tenant's sub-tenants, sorted; `default` is always there."""
        names: list[str] = await self._call(self._open_store.tenants.begin_sub_tenants, tenant_id)
        return names

    async def sources(
        self, tenant_id: str, sub_tenant_id: str | None, limit: int, cursor: str | None
    ) -> tuple[list[tuple[str, int]], str | None]:
        """One page of the sources that have rows, with how many, and the cursor to what follows."""
        page: tuple[list[tuple[str, int]], str | None] = await self._call(
            self._open_store.tenants.begin_sources,
            tenant_id,
            limit=limit,
            sub_tenant_id=sub_tenant_id,
            cursor=cursor,
        )
        return page

    async def tenants(
        self, among: Iterable[str] | None, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """One page of the ids of the tenants there are, only of those `among` these, and the cursor to what follows."""
        # Of no tenant: it waits for the turn of none.
        page: tuple[list[str], str | None] = await self._bridge.call(
            self._open_store.tenants.begin_ids,
            limit=limit,
            among=None if among is None else list(among),
            cursor=cursor,
        )
        return page

    @staticmethod
    def keep_memory() -> None:
        """Has the process keep freed memory for the next bodies; for a server, before it serves."""
        _native.keep_memory(_KEPT_MEMORY)

    def give_back_memory(self) -> None:
        """Has the system given what the allocator holds free, on another thread."""
        self._loop.run_in_executor(None, _native.give_back_memory)

    async def probe(self) -> int:
        """Writes a small file; how many tenants refuse writes. Raises when the directory takes no write."""
        store = self._open_store
        await asyncio.to_thread(store.probe)
        return await asyncio.to_thread(store.refusing_tenants)

    async def metrics(self) -> StoreMetrics | None:
        """Counts of what is open; None while the data is being opened."""
        return None if self._store is None else await asyncio.to_thread(self._store.metrics)
