"""A short search is answered where it stands, without a change of threads: of a client that is alone, and of a tenant
that asks for little beside others, as long as the event loop has time left for it."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np

from ingot.loop_share import LoopShare
from ingot.schemas.checks import Insertion, Search
from ingot.service import Rows, Service
from tests.http.client import npy

LIMIT = 1 << 20


def rows(service: Service, array: np.ndarray) -> Rows:
    read = service.body("npy", "insert", None, LIMIT).read(npy(array)).rows
    assert read is not None
    return read


def search(service: Service, tenant: str, connection: int = 1, **others: Any) -> Coroutine[Any, Any, Any]:
    asked = Search(tenant, None, 10, None, False, None, "none", None)._replace(**others)
    query = rows(service, np.ones(8, np.float32))
    return service.search_json(asked, query, batch=False, connection=connection)


def ends_at_once(coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Whether it has an outcome before the event loop goes round."""
    try:
        coroutine.send(None)
    except StopIteration:
        return True
    coroutine.close()
    return False


async def _served(path: Path, tenants: str, ask: Callable[[Service], Coroutine[Any, Any, None]]) -> None:
    service = Service()
    await service.open(path, {})
    for tenant in tenants:
        insertion = Insertion(tenant, None, "s", None, True, False, None, None)
        await service.insert(insertion, rows(service, np.eye(8, dtype=np.float32)))
        # How long its searches take is known then, and the collection rests.
        await search(service, tenant)
    try:
        await ask(service)
    finally:
        await service.close()


# A search that was slow, or interrupted, is not followed by one that ends at once: some have to be tried.
TRIES = 500


def test_a_client_that_is_alone_does_not_change_threads(tmp_path: Path) -> None:
    async def ask(service: Service) -> None:
        at_once = 0
        for _ in range(TRIES):
            await search(service, "a")
            await asyncio.sleep(0.02)
            at_once += ends_at_once(search(service, "a"))
            assert not ends_at_once(search(service, "a", exact=True))
            assert not ends_at_once(search(service, "a", vectors="list"))
            if at_once:
                return
        raise AssertionError("never")

    asyncio.run(_served(tmp_path, "a", ask))


def test_searches_over_several_connections_change_threads(tmp_path: Path) -> None:
    async def ask(service: Service) -> None:
        loop, compared = asyncio.get_running_loop(), 0
        for number in range(TRIES):
            # One after the other, so that no two are ever in progress together.
            begun = loop.time()
            await search(service, "a", connection=number)
            at_once = ends_at_once(search(service, "a", connection=-1))
            # What is longer ago than a hundredth of a second does not count.
            if loop.time() - begun < 0.009:
                assert not at_once
                compared += 1
        assert compared

    asyncio.run(_served(tmp_path, "a", ask))


def test_beside_others_one_with_few_calls_does_not_change_threads(tmp_path: Path) -> None:
    async def ask(service: Service) -> None:
        for _ in range(TRIES):
            await search(service, "a")
            loud = [asyncio.ensure_future(search(service, "b", exact=True)) for _ in range(4)]
            await asyncio.sleep(0)
            beside = sum(not one.done() for one in loud) > 1
            at_once = ends_at_once(search(service, "a"))
            await asyncio.gather(*loud)
            if beside and at_once:
                return
        raise AssertionError("never")

    asyncio.run(_served(tmp_path, "ab", ask))


def test_the_loop_gives_a_share_of_its_time() -> None:
    clock = [10.0]
    share = LoopShare(lambda: clock[0])
    taken = 0.0
    for _ in range(10_000):
        if share.is_left:
            share.spend(0.0003)
            taken += 0.0003
        clock[0] += 0.0004
    assert 0.24 < taken / (clock[0] - 10.0) < 0.26
    # What was not used is not kept for long.
    clock[0] += 100.0
    burst = 0
    while share.is_left:
        share.spend(0.0005)
        burst += 1
    assert burst <= 11
    # One long search does not shut the others out for long, either.
    share.spend(100.0)
    clock[0] += 0.05
    assert share.is_left
