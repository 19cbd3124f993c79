"""Ours as a service: uploads as npy, searches as JSON, over connections that stay open."""

import http.client
import io
import signal
import sys
import time
from typing import Any

import numpy as np
import orjson

from benches.peers.contestants.contestant import NEAREST, Contestant, Query, Rows, Searcher
from benches.peers.contestants.server import Server, answers, free_port

TENANT = "peers"


class Store(Contestant):
    """`ingot serve` with nothing but its defaults."""

    durable = True
    how = "every upload is synced before its answer"
    settings = "defaults"
    atomic = True

    def start(self) -> None:
        """The server, and one connection for the uploads."""
        self._port = free_port()
        data = str(self.folder / "data")
        command = [sys.executable, "-m", "ingot", "serve", "--data", data, "--port", str(self._port)]
        self._server = Server(command, lambda: answers(self._port, "/readyz"))
        self._uploads = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        self._rows = 0

    def _ask(self, connection: http.client.HTTPConnection, path: str, body: bytes, kind: str) -> Any:
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {answer[:200]!r}")
        return orjson.loads(answer)

    def insert(self, first: int, rows: Rows) -> None:
        """One upload."""
        np.save(body := io.BytesIO(), rows, allow_pickle=False)
        path = f"/embeddings/insert-raw-embeddings?tenant_id={TENANT}&file_id={first}"
        self._ask(self._uploads, path, body.getvalue(), "application/x-npy")
        self._rows += len(rows)

    def index(self) -> None:
        """Asks until the graph has them all."""
        while True:
            self._uploads.request("GET", f"/tenants/monitor?tenant_id={TENANT}")
            counts = orjson.loads(self._uploads.getresponse().read())
            if counts["rows"] != self._rows:
                raise RuntimeError(f"{counts['rows']} rows, {self._rows} were acknowledged")
            if counts["indexed_rows"] >= self._rows:
                return
            time.sleep(0.01)

    def searcher(self) -> Searcher:
        """One search a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

        def search(query: Query) -> list[int]:
            asked = {"tenant_id": TENANT, "query_embedding": query, "limit": NEAREST, "ef": self.ef}
            body = orjson.dumps(asked, option=orjson.OPT_SERIALIZE_NUMPY)
            hits = self._ask(connection, "/embeddings/search-raw-embeddings", body, "application/json")
            parts = (hit["embedding"]["chunk_id"].split("_") for hit in hits)
            return [int(document) + int(index) for document, index in parts]

        return search

    def replace(self, first: int, count: int, rows: Rows) -> None:
        """The same upload again."""
        self.insert(first, rows)

    def delete(self, first: int, count: int) -> None:
        """By document."""
        asked = orjson.dumps({"tenant_id": TENANT, "source_id": str(first)})
        self._ask(self._uploads, "/embeddings/delete-raw-embeddings", asked, "application/json")

    def stop(self) -> None:
        """SIGTERM: it saves its graph and ends."""
        self._uploads.close()
        self._server.stop(signal.SIGTERM)

    def processes(self) -> list[int]:
        """The server."""
        return [self._server.pid]
