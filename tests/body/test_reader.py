"""The reader as the service uses it: fed while the body arrives, answered through the mailbox."""

import os
import random
import select
import sys
import time
from typing import Any

import numpy as np
import pytest

from ingot._native import Body, BodyReader, Completions
from tests.body.verdict import Structure, bits, cut

DEADLINE = 20.0


def collect(completions: Completions, count: int) -> list[tuple[int, Any, BaseException | None]]:
    """What comes in, until there are `count`."""
    arrived: list[tuple[int, Any, BaseException | None]] = []
    while len(arrived) < count:
        assert select.select([completions.fileno()], [], [], DEADLINE)[0], "nothing came"
        arrived += completions.drain()
    return arrived


def matrix(rows: int, columns: int) -> bytes:
    row = ",".join(["0.25"] * columns)
    return ('{"embeddings":[' + ",".join([f"[{row}]"] * rows) + "]}").encode()


def test_a_body_fed_in_chunks_is_the_body_read_at_once(chance: random.Random) -> None:
    completions = Completions()
    text = matrix(300, 50)
    readers = {}
    for token in range(20):
        readers[token] = BodyReader("json", "insert")
        for chunk in cut(chance, text):
            assert readers[token].feed(chunk) >= len(chunk) or chunk == b""
        readers[token].finish(completions, token)
    arrived = collect(completions, 20)
    whole = BodyReader("json", "insert").read(text)
    assert whole.rows is not None
    for token, body, error in arrived:
        readers.pop(token)
        assert error is None
        assert isinstance(body, Body)
        assert body.rows is not None
        assert body.envelope == whole.envelope
        assert bits(body.rows.numpy()) == bits(whole.rows.numpy())
    assert not readers


def test_drained_means_that_nothing_is_left_to_parse() -> None:
    completions = Completions()
    reader = BodyReader("json", "insert")
    text = matrix(2000, 100)
    reader.when_drained(completions, 1)
    assert collect(completions, 1) == [(1, None, None)]
    reader.feed(text[:-1])
    reader.when_drained(completions, 2)
    assert collect(completions, 1) == [(2, None, None)]
    assert reader.feed(text[-1:]) == 1
    reader.finish(completions, 3)
    [(token, body, error)] = collect(completions, 1)
    assert (token, error) == (3, None)
    assert body.rows.shape == (2000, 100)


def test_an_error_is_raised_by_feed_and_given_to_everyone_who_waits() -> None:
    completions = Completions()
    reader = BodyReader("json", "insert")
    reader.feed(b'{"embeddings":[[1,1e39]')
    reader.when_drained(completions, 1)
    [(token, result, error)] = collect(completions, 1)
    verdict = ("NonFinite", {"row": 0, "column": 1, "value": "1e39"}, None)
    assert (token, result) == (1, None)
    assert isinstance(error, Structure)
    assert error.verdict() == verdict
    with pytest.raises(Structure) as raised:
        reader.feed(b"]}")
    assert raised.value.verdict() == verdict
    reader.when_drained(completions, 2)
    reader.finish(completions, 3)
    for _, _, error in collect(completions, 2):
        assert isinstance(error, Structure)
        assert error.verdict() == verdict


def test_a_body_that_ends_too_early_is_an_error_of_finish() -> None:
    completions = Completions()
    for form, kind in (("json", "MalformedJson"), ("npy", "MalformedNpy")):
        reader = BodyReader(form, "insert")  # type: ignore[arg-type]
        reader.finish(completions, 1)
        [(_, _, error)] = collect(completions, 1)
        assert isinstance(error, Structure)
        assert error.kind == kind
        with pytest.raises(ValueError, match="ended"):
            reader.finish(completions, 2)


def test_nothing_is_taken_behind_the_end() -> None:
    completions = Completions()
    reader = BodyReader("json", "insert")
    reader.feed(b"{}")
    reader.finish(completions, 1)
    collect(completions, 1)
    with pytest.raises(ValueError, match="ended"):
        reader.feed(b"{}")
    with pytest.raises(ValueError, match="ended"):
        reader.finish(completions, 2)


def test_a_reader_dropped_unfinished_frees_what_it_was_fed() -> None:
    completions = Completions()
    chunk = b" " * 200_000
    before = sys.getrefcount(chunk)
    for _ in range(10):
        reader = BodyReader("json", "insert")
        for _ in range(10):
            reader.feed(chunk)
        del reader
    deadline = time.monotonic() + DEADLINE
    # What a native thread lets go is freed by the next native call.
    while sys.getrefcount(chunk) > before and time.monotonic() < deadline:
        completions.drain()
        os.sched_yield()
    assert sys.getrefcount(chunk) == before


def test_a_finished_body_is_delivered_although_its_reader_is_gone() -> None:
    completions = Completions()
    reader = BodyReader("json", "insert")
    reader.feed(matrix(500, 100))
    reader.finish(completions, 7)
    del reader
    [(token, body, _)] = collect(completions, 1)
    assert token == 7
    assert body.rows.shape == (500, 100)


def test_the_mailbox_is_readable_exactly_while_something_is_in_it() -> None:
    completions = Completions()
    reader = BodyReader("json", "insert")
    assert select.select([completions.fileno()], [], [], 0)[0] == []
    for token in range(3):
        reader.when_drained(completions, token)
    assert select.select([completions.fileno()], [], [], DEADLINE)[0]
    assert completions.drain() == [(0, None, None), (1, None, None), (2, None, None)]
    assert select.select([completions.fileno()], [], [], 0)[0] == []
    assert completions.drain() == []
    reader.when_drained(completions, 3)
    assert completions.drain() == [(3, None, None)]


def test_a_closed_mailbox_takes_nothing() -> None:
    completions = Completions()
    descriptor = completions.fileno()
    completions.close()
    completions.close()
    BodyReader("json", "insert").when_drained(completions, 1)
    assert completions.drain() == []
    with pytest.raises(ValueError, match="closed"):
        completions.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_reader_reads_once() -> None:
    reader = BodyReader("json", "insert")
    assert reader.read(b"{", b"}").envelope == b"{}"
    with pytest.raises(ValueError, match="ended"):
        reader.read(b"{}")
    with pytest.raises(ValueError, match="format"):
        BodyReader("xml", "insert")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="purpose"):
        BodyReader("json", "delete")  # type: ignore[arg-type]


def test_a_child_process_reads_bodies_of_its_own() -> None:
    completions = Completions()
    before = BodyReader("json", "insert")
    before.feed(b"{}")
    before.finish(completions, 0)
    collect(completions, 1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = Completions()
            reader = BodyReader("json", "insert")
            reader.feed(matrix(2, 2))
            reader.finish(own, 1)
            code = 0 if collect(own, 1)[0][1].rows.shape == (2, 2) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_rows_are_a_copy_in_numpy() -> None:
    body = BodyReader("json", "insert").read(b'{"embeddings":[[1,2],[3,4]]}')
    assert body.rows is not None
    array = body.rows.numpy()
    assert array.dtype == np.float32
    array[0, 0] = 9
    assert body.rows.numpy()[0, 0] == 1
