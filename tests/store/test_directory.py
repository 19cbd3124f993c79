"""One process owns a data directory, gives it back when it closes, and touches nothing that is not its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ingot
from ingot.errors import Closed, CorruptData, DirectoryInUse, FormatTooNew, StorageFailed

ROWS = np.eye(3, dtype=np.float32)
CALLS: dict[str, Any] = {
    "insert": lambda store: store.insert("t", ROWS, file_id="a"),
    "search": lambda store: store.search("t", ROWS[0]),
    "search exact": lambda store: store.search("t", ROWS[0], exact=True),
    "search_batch": lambda store: store.search_batch("t", ROWS),
    "get": lambda store: store.get("t"),
    "delete": lambda store: store.delete("t", source_id="a"),
    "status": lambda store: store.status("t", "a"),
    "stats": lambda store: store.stats("t"),
    "wait_indexed": lambda store: store.wait_indexed("t"),
}


def listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything under `folder`: mode, time of change, content."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        seen = path.stat()
        found[str(path)] = (seen.st_mode, seen.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


def test_a_store_is_a_context_manager_that_closes(data: Path) -> None:
    with ingot.open(data) as store:
        before = store.closed
        store.insert("t", ROWS, file_id="a")
    assert (before, store.closed) == (False, True)
    assert "closed" in repr(store)
    assert store.path == str(data)


def test_a_store_closes_when_its_block_raises(data: Path) -> None:
    with pytest.raises(ZeroDivisionError), ingot.open(data) as store:
        raise ZeroDivisionError
    assert store.closed
    ingot.open(data).close()


def test_closing_again_does_nothing(data: Path) -> None:
    store = ingot.open(data)
    store.close()
    with ingot.open(data) as other:
        store.close()
        other.insert("t", ROWS)
        with pytest.raises(DirectoryInUse):
            ingot.open(data)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_after_close_raises_closed(store: ingot.Store, call: str) -> None:
    store.insert("t", ROWS, file_id="a")
    store.close()
    with pytest.raises(Closed):
        CALLS[call](store)


def test_what_was_found_outlives_the_store(store: ingot.Store) -> None:
    store.insert("t", ROWS, file_id="a", document_metadata={"k": 1})
    hits = store.search("t", ROWS[0], limit=1, with_embeddings=True)
    store.close()
    assert hits.chunk_ids == ["a_0"]
    assert hits.metadata == [b'{"k":1}']
    assert hits.embeddings is not None
    assert hits.embeddings.tolist() == ROWS[:1].tolist()


def test_a_directory_opened_again_holds_what_it_held(data: Path) -> None:
    for turn in range(3):
        with ingot.open(data) as store:
            store.insert("t", ROWS * (turn + 1), file_id=f"a{turn}")
            assert store.stats("t").rows == 3 * (turn + 1)


def test_a_second_process_is_refused_with_the_pid_of_the_first(store: ingot.Store, data: Path) -> None:
    code = (
        "import sys, ingot\n"
        "try: ingot.open(sys.argv[1])\n"
        "except ingot.errors.DirectoryInUse as error: print(error.pid, str(error.pid) in str(error))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, data], check=True, capture_output=True, text=True, timeout=60
    )
    assert said.stdout.split() == [str(os.getpid()), "True"]
    store.insert("t", ROWS)


def test_a_second_opening_in_the_same_process_is_refused(store: ingot.Store, data: Path) -> None:
    with pytest.raises(DirectoryInUse) as caught:
        ingot.open(data)
    assert caught.value.pid == os.getpid()
    store.insert("t", ROWS)


def test_a_store_that_is_forgotten_frees_its_directory(data: Path) -> None:
    ingot.open(data).insert("t", ROWS)
    with ingot.open(data) as store:
        assert store.stats("t").rows == 3


def test_create_false_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        ingot.open(tmp_path / "nowhere", create=False)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_refused_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="index_treads"):
        ingot.open(tmp_path / "data", index_treads=2)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_directory_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"precious")
    before = listing(tmp_path)
    with pytest.raises(StorageFailed, match="data"):
        ingot.open(path)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("create", [True, False])
def test_a_folder_of_something_else_is_refused_and_untouched(tmp_path: Path, create: bool) -> None:
    (tmp_path / "data/tenants").mkdir(parents=True)
    (tmp_path / "data/notes.txt").write_bytes(b"precious")
    before = listing(tmp_path)
    with pytest.raises(StorageFailed, match=r"notes\.txt"):
        ingot.open(tmp_path / "data", create=create)
    assert listing(tmp_path) == before


def test_a_directory_of_a_newer_format_is_refused_and_untouched(data: Path) -> None:
    with ingot.open(data) as store:
        store.insert("t", ROWS)
    (data / "FORMAT").write_bytes(b"ingot 2\n")
    (data / "tmp/left").write_bytes(b"over")
    before = listing(data)
    with pytest.raises(FormatTooNew, match="2"):
        ingot.open(data)
    assert listing(data) == before


@pytest.mark.parametrize("text", [b"", b"ingot", b"ingot x\n", b"something\n", b"\xff\xfe"])
def test_a_format_that_says_nothing_is_refused_and_untouched(data: Path, text: bytes) -> None:
    ingot.open(data).close()
    (data / "FORMAT").write_bytes(text)
    before = listing(data)
    with pytest.raises(CorruptData):
        ingot.open(data)
    assert listing(data) == before


def test_a_directory_that_cannot_be_written_is_refused_by_name(data: Path) -> None:
    """As another user, since the tests may run as one who may write everywhere."""
    ingot.open(data).close()
    data.chmod(0o755)
    for parent in [data, *data.parents]:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    code = (
        "import os, sys, ingot, numpy\n"
        "import ingot.errors\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "else: os.chmod(sys.argv[1] + '/LOCK', 0o400)\n"
        "try: ingot.open(sys.argv[1])\n"
        "except ingot.errors.StorageFailed as error: print(error)\n"
    )
    before = listing(data)
    said = subprocess.run(
        [sys.executable, "-c", code, data], check=True, capture_output=True, text=True, timeout=60
    )
    assert str(data) in said.stdout
    assert "ermission" in said.stdout
    after = listing(data)
    assert {name: entry[1:] for name, entry in after.items()} == {
        name: entry[1:] for name, entry in before.items()
    }


def test_an_empty_folder_becomes_a_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with ingot.open(tmp_path / "data") as store:
        store.insert("t", ROWS)


def test_paths_of_every_kind_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "a", str(tmp_path / "b"), tmp_path / "ü 🜚"):
        with ingot.open(path) as store:
            store.insert("t", ROWS)
            assert store.path == str(path)
    monkeypatch.chdir(tmp_path)
    with ingot.open("relative") as store:
        store.insert("t", ROWS)
        monkeypatch.chdir("/")
        store.insert("other", ROWS)
        store.insert("t", ROWS)
    assert len(list((tmp_path / "relative/tenants").iterdir())) == 2


def test_tenant_ids_cannot_lead_out_of_the_directory(store: ingot.Store, data: Path) -> None:
    names = ["..", "../../x", "/etc/passwd", "a/b", ".", "t\u202e", "🜚" * 60, "a b"]
    for name in names:
        store.insert(name, ROWS, file_id=name, sub_tenant_id=name)
        assert store.get(name, sub_tenant_id=name).source_ids == [name] * 3
    assert len(list((data / "tenants").iterdir())) == len(names)
    assert sorted(path.name for path in data.parent.iterdir()) == ["data"]
