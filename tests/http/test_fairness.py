"""One tenant sends as much as it can: another's request is served after a few of its, not after all of them."""

import asyncio
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ingot.turns import Turns
from tests.faults.patience import until
from tests.http.client import Client
from tests.http.footprint import sample
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
LOUD = 40
# Those in progress, and as many again that end while the quiet one's request is read, served and logged.
FEW = 20


def order(server: ServerProcess) -> list[str]:
    """Whose requests were answered, in that order."""
    lines = (json.loads(line) for line in server.lines if '"route": "POST' in line)
    return [line["tenant"] for line in lines if line["tenant"] in ("loud", "quiet")]


def flooded(server: ServerProcess, loud: Callable[[], None], quiet: Callable[[], None], begun: str) -> None:
    """Asks for `loud` over many connections, and for `quiet` when all of those are being served or wait for it."""
    client = Client(server.port)
    # Both have been here within the last second, again and again.
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            client.get("other", limit=1)

    before = len(order(server)), sample(client, begun)
    with ThreadPoolExecutor(LOUD + 1) as pool:
        background = pool.submit(go_on)
        try:
            sent = [pool.submit(loud) for _ in range(LOUD)]
            until(lambda: sample(client, begun) > before[1])
            answered = order(server)[before[0] :].count("loud")
            quiet()
            until(lambda: "quiet" in order(server)[before[0] :])
            served = order(server)[before[0] :]
            assert served[: served.index("quiet")].count("loud") <= answered + FEW, served
        finally:
            stop.set()
        background.result()
        for one in sent:
            one.result()


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_search_is_served_after_a_few_of_a_flood(start: Start, threads: str) -> None:
    server = start("--log-format", "json", "--search-threads", threads)
    client = Client(server.port)
    rows = np.random.default_rng(1).standard_normal((2000, 256)).astype(np.float32)
    for number in range(4):
        client.insert_npy("loud", rows, file_id=str(number)).ok()
    client.insert_npy("quiet", rows[:10], file_id="a").ok()
    client.insert_npy("other", rows[:1], file_id="a").ok()
    queries = {"tenant_id": "loud", "query_embeddings": rows[:60].tolist(), "exact": True}
    body = json.dumps(queries).encode()
    path = "/embeddings/search-raw-embeddings"
    flooded(
        server,
        lambda: client.post(path, body).ok(),
        lambda: client.search("quiet", rows[0]).ok(),
        "ingot_queries_total",
    )


@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_upload_is_served_after_a_few_of_a_flood(start: Start, threads: str) -> None:
    server = start("--log-format", "json", "--commit-threads", threads)
    client = Client(server.port)
    rows = np.random.default_rng(1).standard_normal((2000, 512)).astype(np.float32)
    for tenant in ("loud", "quiet", "other"):
        client.insert_npy(tenant, rows[:1], file_id="first").ok()
    flooded(
        server,
        lambda: client.insert_npy("loud", rows).ok(),
        lambda: client.insert("quiet", rows[:1], file_id="a").ok(),
        "ingot_body_bytes_in_flight",
    )


# The order itself.


async def _noted(clock: list[float]) -> list[str]:
    turns = Turns(lambda: clock[0])
    log: list[str] = []

    async def call(tenant: str) -> None:
        turn = turns.enter(tenant)
        if turn is not None:
            await turn
        log.append(tenant)
        await asyncio.sleep(0)
        turns.leave(tenant)

    assert turns.enter("quiet") is None
    turns.leave("quiet")
    calls = [asyncio.ensure_future(call("loud")) for _ in range(1000)]
    await asyncio.sleep(0)
    calls.append(asyncio.ensure_future(call("quiet")))
    await asyncio.gather(*calls)
    return log


def test_a_tenant_waits_for_its_own_calls_only() -> None:
    log = asyncio.run(_noted([0.0]))
    assert len(log) == 1001
    assert log.index("quiet") <= 16


# As many as there are processors, two at least; and when the quiet one has not asked for a while.
JUST_NOW = max(2, os.cpu_count() or 2)
OF_LATE = max(8, JUST_NOW)


async def _let_in(turns: Turns, tenant: str) -> int:
    """How many of a thousand calls may begin at once."""
    return [turns.enter(tenant) for _ in range(1000)].count(None)


async def _once(turns: Turns, tenant: str) -> None:
    assert turns.enter(tenant) is None
    turns.leave(tenant)


def test_the_fewer_calls_of_one_tenant_the_shorter_ago_a_quiet_one_asked() -> None:
    async def run() -> None:
        clock = [0.0]
        for since, most in ((0.05, JUST_NOW), (0.5, OF_LATE), (1.5, 1000)):
            turns = Turns(lambda: clock[0])
            await _once(turns, "loud")
            await _once(turns, "quiet")
            await _once(turns, "loud")
            clock[0] += since
            assert await _let_in(turns, "loud") == most, since

    asyncio.run(run())


def test_loud_tenants_do_not_hold_up_each_other() -> None:
    async def run() -> None:
        clock = [0.0]
        turns = Turns(lambda: clock[0])
        assert turns.enter("a") is None
        assert turns.enter("a") is None
        # While it is not known of the second whether it is loud, too, the first has few.
        assert turns.enter("b") is None
        assert turns.enter("b") is None
        assert await _let_in(turns, "a") < 1000
        clock[0] += 0.9
        assert turns.enter("b") is None
        clock[0] += 0.2
        assert await _let_in(turns, "b") == 1000
        await _once(turns, "quiet")
        assert await _let_in(turns, "b") == 0

    asyncio.run(run())


def test_a_tenant_that_is_alone_waits_for_nobody() -> None:
    clock = [0.0]
    turns = Turns(lambda: clock[0])
    assert turns.enter("quiet") is None
    turns.leave("quiet")
    clock[0] = 5.0
    # The first call of another tenant begins a second in which both are served.
    assert turns.enter("loud") is None
    clock[0] = 7.0
    assert [turns.enter("loud") for _ in range(1000)] == [None] * 1000


def test_a_loud_tenant_is_not_quiet_between_its_calls() -> None:
    async def run() -> None:
        clock = [0.0]
        turns = Turns(lambda: clock[0])
        assert turns.enter("loud") is None
        await _once(turns, "loud")
        turns.leave("loud")
        await _once(turns, "quiet")
        await _once(turns, "loud")
        assert turns.is_quiet("quiet")
        assert not turns.is_quiet("loud")
        # What it did counts for a second.
        clock[0] += 1.1
        await _once(turns, "quiet")
        await _once(turns, "loud")
        assert turns.is_quiet("loud")

    asyncio.run(run())


def test_of_loud_tenants_that_are_gone_nothing_is_remembered() -> None:
    clock = [0.0]
    turns = Turns(lambda: clock[0])
    for number in range(10_000):
        tenant = f"t{number}"
        for _ in range(2):
            assert turns.enter(tenant) is None
        for _ in range(2):
            turns.leave(tenant)
        clock[0] += 0.01
    assert len(turns._loud_until) < 3000
    assert not turns._in_progress


def test_calls_that_are_cancelled_while_they_wait_leave_no_gap() -> None:
    async def run() -> None:
        turns = Turns(lambda: 0.0)
        turns.enter("quiet")
        turns.leave("quiet")
        waiting = [turn for _ in range(JUST_NOW + 12) if (turn := turns.enter("loud")) is not None]
        assert len(waiting) == 12
        for turn in waiting[:5]:
            turn.cancel()
        for _ in range(7):
            turns.leave("loud")
        assert [turn.done() for turn in waiting] == [True] * 12
        for _ in range(JUST_NOW):
            turns.leave("loud")
        assert turns.enter("loud") is None

    asyncio.run(run())
