"""kill -9 under load: what was acknowledged is there and whole, what was not is whole or absent."""

import http.client
import json
import random
import threading
from pathlib import Path

import numpy as np

import ingot
from ingot.errors import TenantNotFound
from tests.http.client import Client
from tests.http.server import ServerProcess
from tests.store.child import Child
from tests.store.ledger import Key, Ledger, Stored, content, is_delete

THREADS = 4
ROUNDS = 6
#: The latest acknowledgement of a round that the process dies at.
LATEST = 150


def key_of(chooser: random.Random, turn: int, thread: int) -> Key:
    """A source that only this thread writes: one to overwrite, a new one, or one of a tenant of this round."""
    kind = chooser.randrange(10)
    if kind < 7:
        return "t", f"old{thread}-{chooser.randrange(5)}"
    if kind < 9:
        return "t", f"new{turn}-{thread}-{chooser.randrange(10**9)}"
    return f"t{turn}-{chooser.randrange(3)}", f"s{thread}"


def upload_until_the_server_dies(
    client: Client, ledger: Ledger, chooser: random.Random, turn: int, thread: int
) -> None:
    while True:
        key = key_of(chooser, turn, thread)
        version = ledger.sends(key)
        tenant, source = key
        rows = content(key, version)
        try:
            if is_delete(version):
                answer = client.delete(tenant, source_id=source)
                assert answer.status == 200 or answer.json["detail"]["error_code"] == "TENANT_NOT_FOUND"
            elif chooser.random() < 0.5:
                client.insert(tenant, rows, file_id=source, document_metadata={"v": version}).ok()
            else:
                metadata = json.dumps({"v": version})
                client.insert_npy(tenant, rows, file_id=source, document_metadata=metadata).ok()
        except (OSError, http.client.HTTPException):
            return
        ledger.acknowledge(key, version)


def read_by_http(client: Client, key: Key) -> Stored:
    answer = client.get(key[0], source_id=key[1], limit=2000, output_fields=["embedding"])
    if answer.status == 404:
        answer.refused(404, "TENANT_NOT_FOUND")
        return None
    items = answer.ok()
    if not items:
        return None
    versions = {item["metadata"]["v"] for item in items}
    assert len(versions) == 1, f"{key}: a mix of versions {versions}"
    vectors = np.array([item["embedding"]["embedding"] for item in items], np.float32)
    return versions.pop(), [item["embedding"]["chunk_id"] for item in items], vectors


def test_a_server_killed_under_load_keeps_every_acknowledged_upload(
    data: Path, seed: int, times: int
) -> None:
    ledger = Ledger()
    chooser = random.Random(seed)
    for turn in range(ROUNDS * times):
        with ServerProcess(data) as server:
            client = Client(server.port)
            rows = ledger.settle(lambda key, client=client: read_by_http(client, key))  # type: ignore[misc]
            for tenant, count in rows.items():
                answer = client.request("GET", "/tenants/monitor", params={"tenant_id": tenant})
                assert (answer.json["rows"] if answer.status == 200 else 0) == count
            threads = [
                threading.Thread(
                    target=upload_until_the_server_dies,
                    args=(client, ledger, random.Random(chooser.randrange(2**32)), turn, thread),
                )
                for thread in range(THREADS)
            ]
            count = ledger.acknowledgements + chooser.randrange(1, LATEST)
            for thread in threads:
                thread.start()
            ledger.wait_for(count)
            server.process.kill()
            for thread in threads:
                thread.join()
    assert ledger.overwritten > 0
    with ingot.open(data) as store:
        check(store, ledger)


def read_by_store(store: ingot.Store, key: Key) -> Stored:
    try:
        hits = store.get(key[0], source_id=key[1], limit=2000)
    except TenantNotFound:
        return None
    if not len(hits):
        return None
    assert len(set(hits.metadata)) == 1, f"{key}: a mix of versions {set(hits.metadata)}"
    assert hits.metadata[0] is not None
    assert hits.embeddings is not None
    return json.loads(hits.metadata[0])["v"], hits.chunk_ids, hits.embeddings


def check(store: ingot.Store, ledger: Ledger) -> None:
    for tenant, count in ledger.settle(lambda key: read_by_store(store, key)).items():
        try:
            stats = store.stats(tenant)
        except TenantNotFound:
            assert count == 0
            continue
        assert stats.rows == count
        if count:
            # What is found is what is there, by the codes and by the numbers.
            for exact in (False, True):
                found = store.search(tenant, np.ones(stats.dimension), limit=1000, exact=exact)
                assert len(found) == min(1000, count)
                assert set(found.source_ids) <= {source for name, source in ledger.entries if name == tenant}


# Several threads; each says what it is about to do and what was done, in lines that cannot tear.
UPLOADER = """
import json, os, random, sys, threading
import ingot
from ingot.errors import TenantNotFound
from tests.store.ledger import content, is_delete
from tests.store.test_crashes import key_of

store = ingot.open(sys.argv[1])
seed, turn = int(sys.argv[2]), int(sys.argv[3])
versions = {tuple(key): version for key, version in json.loads(sys.argv[4])}

def say(*words):
    os.write(1, (json.dumps(words) + "\\n").encode())

def upload(thread):
    chooser = random.Random(seed + thread)
    while True:
        key = key_of(chooser, turn, thread)
        version = versions.get(key, 0)
        versions[key] = version + 1
        say("sends", key, version)
        try:
            if is_delete(version):
                store.delete(key[0], source_id=key[1])
            else:
                store.insert(key[0], content(key, version), file_id=key[1], document_metadata={"v": version})
        except TenantNotFound:
            pass
        say("acknowledged", key, version)

for thread in range(4):
    threading.Thread(target=upload, args=(thread,)).start()
"""


def test_a_process_killed_under_load_keeps_every_acknowledged_upload(
    data: Path, seed: int, times: int
) -> None:
    ledger = Ledger()
    chooser = random.Random(seed)
    for turn in range(ROUNDS * times):
        versions = json.dumps([[key, entry.next] for key, entry in ledger.entries.items() if entry.next])
        count = ledger.acknowledgements + chooser.randrange(1, LATEST)
        with Child(UPLOADER, data, chooser.randrange(2**32), turn, versions) as child:
            killed = False
            while (line := child.line()) is not None:
                word, (tenant, source), version = json.loads(line)
                if word == "sends":
                    ledger.sent((tenant, source), version)
                else:
                    ledger.acknowledge((tenant, source), version)
                if ledger.acknowledgements >= count and not killed:
                    child.process.kill()
                    killed = True
            assert killed, "the child ended by itself"
        # Every other round the next child finds the directory as the crash left it.
        if turn % 2:
            with ingot.open(data) as store:
                check(store, ledger)
    assert ledger.overwritten > 0
