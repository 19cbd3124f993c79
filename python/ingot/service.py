"""What the server does for a request, once it is read: the engine's calls as awaitables.

The only floor, with the bridge below it, that knows the native module; does not know HTTP.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ingot import _native, limits
from ingot._native import Body, BodyReader, Hits, Inserted, Rows, SourceStatus, StoreMetrics, TenantStats
from ingot.completions import CompletionBridge
from ingot.errors import Draining, InvalidLimit, Starting
from ingot.schemas.checks import Insertion, Search, Selection
from ingot.turns import Turns

__all__ = ["Body", "BodyFeed", "Hits", "Inserted", "Rows", "Service", "SourceStatus", "TenantStats"]

Format = Literal["json", "npy"]
Purpose = Literal["insert", "search"]

# A client that had the engine to itself for so long is alone: its searches need not change threads.
_ALONE_SECONDS = 0.01


class BodyFeed:
    """One body on its way into the native reader."""

    __slots__ = ("_bridge", "_reader", "purpose")

    def __init__(self, bridge: CompletionBridge, format: Format, purpose: Purpose) -> None:
        self._bridge = bridge
        self._reader = BodyReader(format, purpose)
        self.purpose = purpose

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
        """When everything fed so far is parsed."""
        return self._bridge.call(self._reader.when_drained)

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
        #: Rows that uploads stored, and queries that were searched for.
        self.stored_rows = 0
        self.queries = 0
        #: When a search last began while other work was in progress.
        self._crowded = 0.0

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

    def body(self, format: Format, purpose: Purpose) -> BodyFeed:
        """A reader for one body."""
        return BodyFeed(self._bridge, format, purpose)

    async def _call(self, begin: Callable[..., None], tenant_id: str, *args: Any, **kwargs: Any) -> Any:
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

    def _begin_insert(self, *args: Any, **kwargs: Any) -> None:
        store = self._open_store
        if store.begin_insert(*args, **kwargs):
            # Behind everything that this turn of the loop has read: what came together is synced together.
            self._loop.call_soon(store.begin_queued)

    async def insert(self, insertion: Insertion, rows: Rows) -> Inserted:
        """Stores one upload; returns when it is on stable storage and searchable."""
        inserted: Inserted = await self._call(
            self._begin_insert,
            insertion.tenant_id,
            rows,
            file_id=insertion.file_id if insertion.file_id is not None else _native.new_file_id(),
            sub_tenant_id=insertion.sub_tenant_id,
            metadata=insertion.metadata,
            upsert=insertion.upsert,
            dry_run=insertion.dry_run,
            crc32c=insertion.crc32c,
        )
        if not insertion.dry_run:
            self.stored_rows += len(inserted)
        return inserted

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
            with_embeddings=search.with_embeddings,
        )
        return hits

    async def search_json(self, search: Search, queries: Rows, *, batch: bool) -> tuple[list[bytes], int]:
        """What a search without vectors is answered, in parts, and how many rows that shows; of a `batch`, the list of
        the lists. Raises when it is too long."""
        self.queries += queries.shape[0]
        now = self._loop.time()
        if self._bridge.outstanding:
            self._crowded = now
        answer: tuple[list[bytes], int] | None = await self._call(
            self._open_store.begin_search_json,
            search.tenant_id,
            queries,
            batch=batch,
            max_bytes=limits.MAX_ANSWER_BYTES if batch else sys.maxsize,
            here=now - self._crowded > _ALONE_SECONDS,
            sub_tenant_id=search.sub_tenant_id,
            limit=search.limit,
            ef=search.ef,
            exact=search.exact,
            score_threshold=search.score_threshold,
        )
        if answer is None:
            raise InvalidLimit(
                f"`limit` is {search.limit}: with their metadata the results are over {limits.MAX_ANSWER_BYTES} bytes: "
                "lower `limit`, or send fewer queries at a time",
                field="limit",
            )
        return answer

    async def get(self, selection: Selection, limit: int, with_embeddings: bool) -> Hits:
        """The first `limit` selected rows in insertion order."""
        answer: tuple[Hits, bool] = await self._call(
            self._open_store.begin_get,
            selection.tenant_id,
            sub_tenant_id=selection.sub_tenant_id,
            source_id=selection.source_id,
            chunk_ids=selection.chunk_ids,
            limit=limit,
            with_embeddings=with_embeddings,
        )
        return answer[0]

    async def delete(self, selection: Selection) -> int:
        """Deletes the selected rows, durably; how many there were."""
        count: int = await self._call(
            self._open_store.begin_delete,
            selection.tenant_id,
            sub_tenant_id=selection.sub_tenant_id,
            source_id=selection.source_id,
            chunk_ids=selection.chunk_ids,
        )
        return count

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

    async def probe(self) -> int:
        """Writes a small file; how many tenants refuse writes. Raises when the directory takes no write."""
        store = self._open_store
        await asyncio.to_thread(store.probe)
        return await asyncio.to_thread(store.refusing_tenants)

    async def metrics(self) -> StoreMetrics | None:
        """Counts of what is open; None while the data is being opened."""
        return None if self._store is None else await asyncio.to_thread(self._store.metrics)
