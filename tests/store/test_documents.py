"""The document form and updates, in process."""

import json
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ingot
from ingot import Document, errors
from tests.store.child import Child
from tests.store.model import Model, check_same_rows

EYE = np.eye(3, dtype=np.float32)


def items(hits: ingot.Hits) -> list[tuple[str, str, bytes | None]]:
    return list(zip(hits.source_ids, hits.chunk_ids, hits.metadata, strict=True))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
def test_arrays_of_any_kind_become_one_upload(store: ingot.Store, dtype: Any) -> None:
    first = Document("a", ["x", "y"], np.array([[1, 2, 3], [4, 5, 6]], dtype), {"n": 1})
    second = Document("b", ("z",), [[7, 8, 9]])
    inserted = store.insert_documents("t", [first, second])
    assert (inserted.file_ids, len(inserted)) == (["a", "b"], 3)
    with pytest.raises(ValueError, match="file_ids"):
        _ = inserted.file_id
    assert list(inserted.chunk_ids) == ["x", "y", "z"]
    assert (inserted.chunk_ids[-1], inserted.chunk_ids[1:]) == ("z", ["y", "z"])
    assert "y" in inserted.chunk_ids
    assert inserted.chunk_ids.index("z") == 2
    with pytest.raises(IndexError):
        inserted.chunk_ids[3]
    hits = store.get("t")
    assert items(hits) == [("a", "x", b'{"n":1}'), ("a", "y", b'{"n":1}'), ("b", "z", None)]
    assert hits.embeddings is not None
    assert hits.embeddings.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert inserted.crc32c == ingot.crc32c(hits.embeddings)


def test_documents_that_do_not_fit_are_refused_by_name(store: ingot.Store) -> None:
    good = Document("a", ["x"], EYE[:1])
    with pytest.raises(errors.ConflictingFields, match=r"documents\[1\].*2 chunk ids for 3 rows"):
        store.insert_documents("t", [good, Document("b", ["y", "z"], EYE)])
    with pytest.raises(errors.RaggedRows, match=r"documents\[1\].*2 numbers.*3") as refused:
        store.insert_documents("t", [good, Document("b", ["y"], [[1, 2]])])
    assert refused.value.row == 1
    with pytest.raises(errors.WrongType, match="rows, dimension"):
        store.insert_documents("t", [Document("b", ["y"], [1, 2, 3])])
    with pytest.raises(errors.DuplicateChunkId, match=r"row 1.*'x'.*row 0") as twice:
        store.insert_documents("t", [good, Document("b", ["x"], EYE[1:2])])
    assert twice.value.row == 1
    with pytest.raises(errors.ConflictingFields, match=r"'a'.*twice"):
        store.insert_documents("t", [good, Document("a", ["y"], EYE[1:2])])
    with pytest.raises(errors.InvalidId, match="row 1: `chunk_id`"):
        store.insert_documents("t", [good, Document("b", ["y\n"], EYE[1:2])])
    with pytest.raises(errors.EmptyEmbeddings):
        store.insert_documents("t", [])
    with pytest.raises(errors.TenantNotFound):
        store.get("t")


def test_an_update_keeps_ids_and_metadata(store: ingot.Store) -> None:
    store.insert("t", EYE, file_id="a", document_metadata={"v": 1})
    updated = store.update("t", {"a_2": [1, 1, 1], "a_0": [2, 2, 2]})
    assert (updated.file_id, updated.overwritten, list(updated.chunk_ids)) == ("a", 2, ["a_2", "a_0"])
    hits = store.get("t")
    assert items(hits) == [("a", "a_1", b'{"v":1}'), ("a", "a_2", b'{"v":1}'), ("a", "a_0", b'{"v":1}')]
    assert hits.embeddings is not None
    assert hits.embeddings.tolist() == [[0, 1, 0], [1, 1, 1], [2, 2, 2]]
    store.insert("t", EYE[:1], file_id="a")
    assert items(store.get("t")) == [("a", "a_0", None)], "an overwrite replaces them as ever"


def test_an_update_of_what_is_not_all_there_changes_nothing(store: ingot.Store) -> None:
    with pytest.raises(errors.TenantNotFound):
        store.update("t", {"a_0": [1, 1, 1]})
    store.insert("t", EYE, file_id="a")
    store.insert_documents("t", [Document("b", ["x"], EYE[:1])])
    with pytest.raises(errors.NotFound, match="'a_3'"):
        store.update("t", {"a_0": [1, 1, 1], "a_3": [1, 1, 1]})
    with pytest.raises(errors.ConflictingFields, match=r"'x'.*'b'.*'a'"):
        store.update("t", {"a_0": [1, 1, 1], "x": [1, 1, 1]})
    with pytest.raises(errors.DimensionMismatch):
        store.update("t", {"a_0": [1, 1]})
    with pytest.raises(errors.ConflictingFields, match="2 chunk ids for 1 rows"):
        store.update("t", EYE[:1], chunk_ids=["a_0", "a_1"])
    with pytest.raises(errors.SubTenantNotFound):
        store.update("t", {"a_0": [1, 1, 1]}, sub_tenant_id="s")
    with pytest.raises(TypeError):
        store.update("t", EYE)
    hits = store.get("t")
    assert hits.embeddings is not None
    assert hits.embeddings.tolist() == [*EYE.tolist(), EYE[0].tolist()]


def test_metadata_outlives_its_batch_a_rebuild_and_a_restart(data: Path) -> None:
    """Enough dies that the generation is rebuilt; whether it has been when it is looked at does not matter."""
    rows = np.random.default_rng(1).standard_normal((2000, 8)).astype(np.float32)
    names = [f"c{number}" for number in range(4000)]
    with ingot.open(data) as store:
        store.insert_documents("t", [Document("a", names[:2000], rows, {"v": 1})])
        store.insert_documents("t", [Document("a", names[2000:], rows, {"v": 2})])
        store.delete("t", chunk_ids=names[2000:])
        store.wait_indexed("t", 60)
        assert set(store.get("t", limit=10_000).metadata) == {b'{"v":2}'}
    with ingot.open(data) as store:
        assert set(store.search("t", rows[0], limit=100).metadata) == {b'{"v":2}'}
        assert set(store.get("t", chunk_ids=["c0", "c1999"]).metadata) == {b'{"v":2}'}
    for checkpoint in data.glob("tenants/*/checkpoint-*"):
        checkpoint.unlink()
    with ingot.open(data) as store:
        assert set(store.get("t", source_id="a", limit=10_000).metadata) == {b'{"v":2}'}


def test_a_chunk_that_moves_is_seen_once_wherever_it_is(store: ingot.Store, times: int) -> None:
    moves = 400 * times
    store.insert_documents("t", [Document("x", ["x_0"], [[0, 1]], {"n": 0})])
    failures: list[str] = []
    done = threading.Event()

    def look(read: Any) -> None:
        while not done.is_set():
            hits = read()
            if len(hits) != 1 or hits.chunk_ids != ["x_0"]:
                failures.append(f"{hits.chunk_ids} of {hits.source_ids}")
                return
            number = int(hits.embeddings[0, 0])
            if (hits.source_ids[0], json.loads(hits.metadata[0])["n"]) != (source_of(number), number):
                failures.append(f"row {number} under {hits.source_ids[0]} with {hits.metadata[0]}")
                return

    def source_of(number: int) -> str:
        return ["x", "a", "b", "a"][number % 4]

    def by_id() -> ingot.Hits:
        return store.get("t", chunk_ids=["x_0"])

    def by_search() -> ingot.Hits:
        return store.search("t", [1, 1], with_embeddings=True)

    threads = [threading.Thread(target=look, args=(read,)) for read in (by_id, by_search, by_id)]
    for thread in threads:
        thread.start()
    for number in range(1, moves):
        vector, metadata = [[number, 1]], {"n": number}
        if source_of(number) == "x":
            assert store.insert("t", vector, file_id="x", document_metadata=metadata).overwritten == 1
        else:
            moved = store.insert_documents("t", [Document(source_of(number), ["x_0"], vector, metadata)])
            assert moved.overwritten == 1
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


# kill -9: an upload of documents is there whole or not at all.


def changes(seed: int, number: int) -> list[tuple[str, list[str], np.ndarray, dict[str, int] | None]]:
    """What upload `number` says; both sides make it up alike."""
    chooser = random.Random(f"{seed} {number}")
    names = chooser.sample([f"{source}_{index}" for source in "abc" for index in range(12)], 12)
    documents = []
    for source in chooser.sample("abc", chooser.randint(1, 3)):
        mine, names = names[:4], names[4:]
        vectors = np.full((len(mine), 4), number + 1, np.float32) + np.arange(4, dtype=np.float32)
        documents.append((source, mine, vectors, chooser.choice([None, {"v": number}])))
    return documents


UPLOADER = """
import os, sys
import ingot
from tests.store.test_documents import changes

store = ingot.open(sys.argv[1])
seed, number = int(sys.argv[2]), int(sys.argv[3])
while True:
    documents = changes(seed, number)
    if number % 5 == 4:
        source, _, vectors, metadata = documents[0]
        store.insert("t", vectors, file_id=source, document_metadata=metadata)
    else:
        store.insert_documents("t", [ingot.Document(*document) for document in documents])
    os.write(1, f"{number}\\n".encode())
    number += 1
"""


def apply(model: Model, seed: int, number: int) -> None:
    def text(metadata: dict[str, int] | None) -> bytes | None:
        return None if metadata is None else json.dumps(metadata, separators=(",", ":")).encode()

    documents = [(source, ids, vectors, text(said)) for source, ids, vectors, said in changes(seed, number)]
    if number % 5 == 4:
        source, _, vectors, metadata = documents[0]
        model.insert("t", "default", source, vectors, metadata)
    else:
        model.insert_documents("t", "default", documents)


def test_a_process_killed_keeps_every_acknowledged_document(data: Path, seed: int, times: int) -> None:
    chooser, model, done = random.Random(seed), Model(), 0
    for _ in range(4 * times):
        latest = done + chooser.randrange(1, 60)
        with Child(UPLOADER, data, seed, done) as child:
            while (line := child.line()) is not None:
                apply(model, seed, int(line))
                done = int(line) + 1
                if done == latest:
                    child.process.kill()
        with ingot.open(data) as store:
            hits = store.get("t", limit=10_000)
            try:
                check_same_rows(hits, model.tenants["t"].rows("default"))
            except AssertionError:
                # Stored, and killed before it could say so.
                apply(model, seed, done)
                done += 1
                check_same_rows(hits, model.tenants["t"].rows("default"))
