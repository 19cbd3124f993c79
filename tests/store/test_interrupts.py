"""Ctrl-C stops scans and waits; an upload is finished first, and then it stops."""

import signal
from pathlib import Path

import numpy as np

import ingot
from tests.store.child import Child

# The signal is sent when the call has begun, as far as one can tell from outside: another thread, which runs as
# soon as the GIL is free, says so.
PREPARE = """
import sys, threading
import numpy as np
import ingot

store = ingot.open(sys.argv[1])
begun = threading.Event()

def tell():
    begun.wait()
    print("begun")

threading.Thread(target=tell, daemon=True).start()
"""

SEARCH = (
    PREPARE
    + """
rows = np.random.default_rng(1).standard_normal((2000, 64), np.float32)
for index in range(10):
    store.insert("t", rows + index, file_id=f"s{index}")
# Hours of work, in queries that take milliseconds each, or (one query) a single scan after the other.
queries = np.tile(rows[:500], (2, 1))
try:
    begun.set()
    while True:
        QUERY
except KeyboardInterrupt:
    print("interrupted")
assert len(store.search("t", rows[0], exact=True)) == 10
store.insert("t", rows, file_id="after")
store.close()
print("closed")
"""
)


def test_ctrl_c_stops_a_long_search(data: Path) -> None:
    code = SEARCH.replace("QUERY", "store.search_batch('t', queries, exact=True, limit=1000)")
    with Child(code, data) as child:
        child.expect("begun")
        child.process.send_signal(signal.SIGINT)
        child.expect("interrupted")
        child.expect("closed")
        assert child.exit_code() == 0


def test_a_search_is_stopped_before_its_end(data: Path) -> None:
    code = SEARCH.replace(
        "    while True:\n        QUERY",
        "    store.search_batch('t', queries, exact=True)\n    print('ended')",
    )
    code = code.replace("(2000, 64)", "(2000, 512)")
    with Child(code, data) as child:
        child.expect("begun")
        child.process.send_signal(signal.SIGINT)
        child.expect("interrupted")
        child.expect("closed")


def test_a_handler_of_ones_own_raises_its_own(data: Path) -> None:
    code = (
        "import signal\nclass Stop(Exception): pass\ndef stop(*_): raise Stop\n"
        "signal.signal(signal.SIGUSR1, stop)\n"
        + SEARCH.replace("QUERY", "store.search_batch('t', queries, exact=True)").replace(
            "KeyboardInterrupt", "Stop"
        )
    )
    with Child(code, data) as child:
        child.expect("begun")
        child.process.send_signal(signal.SIGUSR1)
        child.expect("interrupted")
        child.expect("closed")


def test_a_signal_that_raises_nothing_stops_nothing(data: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)\n" + SEARCH.replace(
        "    while True:\n        QUERY",
        "    store.search_batch('t', queries, exact=True)\n    print('ended')",
    )
    with Child(code, data) as child:
        child.expect("begun")
        child.process.send_signal(signal.SIGUSR1)
        child.expect("ended")
        child.expect("closed")


WAIT = (
    PREPARE
    + """
generator = np.random.default_rng(1)
for index in range(30):
    store.insert("t", generator.standard_normal((2000, 256), np.float32), file_id=f"s{index}")
try:
    begun.set()
    store.wait_indexed("t")
    print("indexed")
except KeyboardInterrupt:
    print("interrupted")
print(store.stats("t").rows)
store.close()
print("closed")
"""
)


def test_ctrl_c_stops_a_wait_for_the_graph(data: Path) -> None:
    with Child(WAIT, data) as child:
        child.expect("begun")
        child.process.send_signal(signal.SIGINT)
        child.expect("interrupted")
        child.expect("60000")
        child.expect("closed")
        assert child.exit_code() == 0


INSERT = (
    PREPARE
    + """
rows = np.ones((2000, 3024), np.float32)
count = 0
try:
    while True:
        rows[:, 0] = count + 1
        print("insert", count)
        begun.set()
        store.insert("t", rows, file_id=f"s{count}")
        count += 1
except KeyboardInterrupt:
    print("interrupted", count)
store.close()
print("closed")
"""
)


def test_an_upload_that_ctrl_c_meets_is_whole_and_then_it_stops(data: Path) -> None:
    with Child(INSERT, data) as child:
        said = [child.line()]
        while said.count("insert 1") == 0:
            said.append(child.line())
        child.process.send_signal(signal.SIGINT)
        rest = child.rest()
        assert rest[-1] == "closed"
        counted = int(rest[-2].removeprefix("interrupted "))
    with ingot.open(data) as store:
        rows = store.stats("t").rows
        # The one that was under way when the signal came is there or had not begun; never a part of it.
        assert rows in (counted * 2000, (counted + 1) * 2000)
        for index in range(rows // 2000):
            found = store.get("t", source_id=f"s{index}", limit=2000).embeddings
            assert found is not None
            assert found.shape == (2000, 3024)
            assert (found[:, 0] == index + 1).all()
            assert (found[:, 1:] == 1).all()


# A signal sent by the thread that has just handed its rows over, from within the call.
DURING = """
import os, signal, sys, threading
import numpy as np
import ingot

store = ingot.open(sys.argv[1])
store.insert("t", np.ones((1, 3024), np.float32), file_id="first")
rows = np.ones((2000, 3024), np.float32)
started, done = threading.Event(), threading.Event()

def send():
    started.wait()
    # The main thread has let go of the GIL, and does so next within the call.
    os.kill(os.getpid(), signal.SIGINT)
    done.set()

threading.Thread(target=send, daemon=True).start()
sys.setswitchinterval(100)
try:
    started.set()
    store.insert("t", rows, file_id="a")
    done.wait()
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", store.status("t", "a").total_rows)
store.close()
"""


def test_ctrl_c_during_an_upload_lets_it_finish_and_then_raises(data: Path) -> None:
    with Child(DURING, data) as child:
        child.expect("interrupted 2000")
        assert child.exit_code() == 0
    with ingot.open(data) as store:
        found = store.get("t", source_id="a", limit=2000).embeddings
        assert found is not None
        assert np.array_equal(found, np.ones((2000, 3024), np.float32))
