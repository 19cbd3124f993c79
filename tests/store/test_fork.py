"""After a fork the store is the parent's: every call of the child raises, and the child may go in peace."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot.errors import DirectoryInUse
from tests.store.child import Child

CALLS = {
    "insert": "store.insert('t', rows, file_id='b')",
    "insert into a new tenant": "store.insert('u', rows, file_id='b')",
    "dry run": "store.insert('t', rows, file_id='b', dry_run=True)",
    "search": "store.search('t', rows[0])",
    "search exact": "store.search('t', rows[0], exact=True)",
    "search_batch": "store.search_batch('t', rows[:3])",
    "get": "store.get('t')",
    "delete": "store.delete('t', source_id='a')",
    "status": "store.status('t', 'a')",
    "stats": "store.stats('t')",
    "wait_indexed": "store.wait_indexed('t')",
    "close": "store.close()",
}

# `LEAVE` is how the child goes. The threads of the parent are at work when it forks.
FORK = """
import gc, os, sys, threading, warnings
import numpy as np
import ingot
from ingot.errors import Forked

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: that is what is tried here
store = ingot.open(sys.argv[1])
rows = np.ones((2000, 32), np.float32)
for index in range(6):
    store.insert("t", rows + np.random.default_rng(index).random((2000, 32), np.float32), file_id=f"s{index}")
store.insert("t", rows, file_id="a")
child = os.fork()
if child == 0:
    for call in sys.argv[2:]:
        try:
            eval(call)
            print("no error:", call)
        except Forked:
            print("forked")
    LEAVE
print("child ended", os.waitpid(child, 0)[1])
store.insert("t", rows, file_id="later")
print(len(store.get("t", limit=100_000)), len(store.search("t", rows[0])))
try:
    input()
except EOFError:
    pass
store.close()
print("closed")
"""


@pytest.mark.parametrize(
    "leave",
    [
        "os._exit(0)",
        "sys.exit(0)",
        "del store; gc.collect(); os._exit(0)",
        "del store; gc.collect(); sys.exit(0)",
    ],
)
def test_every_call_of_a_child_raises_and_the_parent_goes_on(data: Path, leave: str) -> None:
    with Child(FORK.replace("LEAVE", leave), data, *CALLS.values()) as parent:
        for _ in CALLS:
            parent.expect("forked")
        parent.expect("child ended 0")
        parent.expect("16000 10")
        # The child is gone, and the lock is still the parent's.
        with pytest.raises(DirectoryInUse) as caught:
            ingot.open(data)
        assert caught.value.pid == parent.process.pid
        assert parent.process.stdin is not None
        parent.process.stdin.close()
        parent.expect("closed")
        assert parent.exit_code() == 0
    with ingot.open(data) as store:
        assert store.stats("t").rows == 16000


# Whatever lock the parent's threads hold or wait for at that moment, the child's own store must not meet it.
OWN = """
import os, sys, warnings
import numpy as np
import ingot

warnings.simplefilter("ignore", DeprecationWarning)
store = ingot.open(sys.argv[1])
rows = np.random.default_rng(0).random((2000, 32), np.float32)
for index in range(12):
    store.insert("t", rows, file_id=str(index))
    child = os.fork()
    if child == 0:
        own = ingot.open(f"{sys.argv[1]}-{index}")
        own.insert("t", rows)
        print(own.stats("t").rows)
        own.close()
        sys.exit(0)
    print("child ended", os.waitpid(child, 0)[1])
"""


def test_a_child_may_open_a_store_of_its_own(data: Path) -> None:
    with Child(OWN, data) as parent:
        for _ in range(12):
            parent.expect("2000")
            parent.expect("child ended 0")


# The child outlives its parent with all it inherited.
ORPHAN = """
import os, sys, warnings
import numpy as np
import ingot

warnings.simplefilter("ignore", DeprecationWarning)
store = ingot.open(sys.argv[1])
store.insert("t", np.ones((2, 2), np.float32), file_id="a")
if os.fork() == 0:
    input()
    os._exit(0)
END
print("gone")
"""


@pytest.mark.parametrize("end", ["store.close()", "del store"])
def test_a_child_that_lives_on_does_not_hold_the_directory(data: Path, end: str) -> None:
    with Child(ORPHAN.replace("END", end), data) as parent:
        parent.expect("gone")
        with ingot.open(data) as store:
            assert store.stats("t").rows == 2
        assert parent.process.stdin is not None
        parent.process.stdin.close()
        assert parent.exit_code() == 0


def test_what_was_found_before_a_fork_can_be_read_in_the_child(data: Path) -> None:
    code = (
        "import os, sys, numpy as np, ingot, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "store = ingot.open(sys.argv[1])\n"
        "inserted = store.insert('t', np.eye(2), file_id='a')\n"
        "hits = store.get('t')\n"
        "if os.fork() == 0:\n"
        "    print(list(inserted.chunk_ids), hits.chunk_ids, hits.embeddings.tolist())\n"
        "    sys.exit(0)\n"
        "os.wait()\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, data], check=True, capture_output=True, text=True, timeout=60
    )
    assert said.stdout.strip() == "['a_0', 'a_1'] ['a_0', 'a_1'] [[1.0, 0.0], [0.0, 1.0]]"
    assert os.path.lexists(data)


def test_a_process_that_never_closes_its_store_exits_and_keeps_all(data: Path) -> None:
    code = (
        "import sys, numpy as np, ingot\n"
        "store = ingot.open(sys.argv[1])\n"
        "for i in range(8): store.insert('t', np.random.default_rng(i).random((2000, 64)), file_id=str(i))\n"
        "keep = [store]; keep.append(keep)\n"
    )
    subprocess.run([sys.executable, "-c", code, data], check=True, timeout=60)
    with ingot.open(data) as store:
        assert store.stats("t").rows == 16000
        assert len(store.search("t", np.ones(64))) == 10
