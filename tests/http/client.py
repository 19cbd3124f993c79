"""A plain client of the service, and the one place that knows what an error looks like."""

import http.client
import io
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np

from tests.http.documented import undocumented

INSERT = "/embeddings/insert-raw-embeddings"
SEARCH = "/embeddings/search-raw-embeddings"
GET = "/embeddings/filter-raw-embeddings"
DELETE = "/embeddings/delete-raw-embeddings"
STATUS = "/ingestion/verify-processing"
STATS = "/tenants/monitor"
CREATE_TENANT = "/tenants/create"
DELETE_TENANT = "/tenants/delete"
DELETE_SUB_TENANT = "/tenant/delete_sub_tenant"
SUB_TENANTS = "/tenants/sub_tenant_ids"
SOURCES = "/tenants/sources"
TENANTS = "/tenants/list"

JSON = "application/json"
NPY = "application/x-npy"


@dataclass
class Answer:
    """Status, headers (names in lower case) and bytes of a response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def ok(self) -> Any:
        """The parsed body of a 200."""
        assert self.status == 200, (self.status, self.body[:500])
        assert self.headers["content-type"] == JSON
        assert self.headers["x-request-id"]
        return self.json

    def refused(self, status: int, code: str, *words: str, **places: Any) -> dict[str, Any]:
        """Asserts the error body of section 2 of the contract; its `detail`."""
        assert self.status == status, (self.status, self.body[:500])
        assert self.headers["content-type"] == JSON
        body = self.json
        assert list(body) == ["detail"]
        detail: dict[str, Any] = body["detail"]
        assert detail["success"] is False
        assert detail["error_code"] == code, detail
        assert isinstance(detail["message"], str)
        assert detail["message"]
        assert detail["request_id"] == self.headers["x-request-id"]
        assert re.fullmatch(r"[!-~]{1,128}", detail["request_id"])
        assert set(detail) <= {
            "success",
            "message",
            "error_code",
            "request_id",
            "row",
            "column",
            "field",
            "offset",
        }
        for word in words:
            assert word in detail["message"], detail
        for name, value in places.items():
            assert detail.get(name) == value, detail
        if status in (429, 503):
            assert int(self.headers["retry-after"]) > 0
        if status == 405:
            assert self.headers["allow"]
        if "row" in detail:
            assert f"row {detail['row']}" in detail["message"]
        if "row" in detail and "column" in detail:
            assert f"row {detail['row']}, column {detail['column']}" in detail["message"]
        return detail


def parse_answer(response: http.client.HTTPResponse) -> Answer:
    """The answer, read whole."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def npy(array: np.ndarray) -> bytes:
    """The `.npy` file of an array."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


class Client:
    """Sends requests, each on a connection of its own."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        params: Any = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        if params:
            path += "?" + urlencode(params, doseq=True)
        try:
            connection.request(method, path, body, headers or {})
            answer = parse_answer(connection.getresponse())
            # Every test of an error is one of the document too.
            assert undocumented(method, path, answer.status, answer.body) is None
            return answer
        finally:
            connection.close()

    def post(
        self, path: str, fields: Any, params: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """A JSON request; `fields` may be JSON text already."""
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        return self.request("POST", path, body, {"Content-Type": JSON, **(headers or {})}, params)

    def insert(self, tenant: str, embeddings: Any, **fields: Any) -> Answer:
        if isinstance(embeddings, np.ndarray):
            embeddings = embeddings.tolist()
        return self.post(INSERT, {"tenant_id": tenant, "embeddings": embeddings, **fields})

    def insert_npy(self, tenant: str, array: np.ndarray, **params: Any) -> Answer:
        return self.request(
            "POST", INSERT, npy(array), {"Content-Type": NPY}, {"tenant_id": tenant, **params}
        )

    def search(self, tenant: str, query: Any, **fields: Any) -> Answer:
        if isinstance(query, np.ndarray):
            query = query.tolist()
        return self.post(SEARCH, {"tenant_id": tenant, "query_embedding": query, **fields})

    def get(self, tenant: str, **fields: Any) -> Answer:
        return self.post(GET, {"tenant_id": tenant, **fields})

    def delete(self, tenant: str, **params: Any) -> Answer:
        return self.request("DELETE", DELETE, params={"tenant_id": tenant, **params})

    def create_tenant(self, tenant: str, **fields: Any) -> Answer:
        return self.post(CREATE_TENANT, {"tenant_id": tenant, **fields})

    def delete_tenant(self, tenant: str) -> Answer:
        return self.request("DELETE", DELETE_TENANT, params={"tenant_id": tenant})

    def delete_sub_tenant(self, tenant: str, sub_tenant: str | None = None) -> Answer:
        params = {"tenant_id": tenant} | ({} if sub_tenant is None else {"sub_tenant_id": sub_tenant})
        return self.request("DELETE", DELETE_SUB_TENANT, params=params)

    def stats(self, tenant: str) -> Answer:
        return self.request("GET", STATS, params={"tenant_id": tenant})

    def raw(self, data: bytes, *, half_close: bool = False) -> Answer:
        """Sends bytes as they are; the first answer."""
        with self.connect() as sock:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            return read_answer(sock)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=60)


def pages(client: Client, path: str, **params: Any) -> Iterator[Answer]:
    """The answers of a `GET` to one request, page by page."""
    cursor: dict[str, str] = {}
    while True:
        answer = client.request("GET", path, params={**params, **cursor})
        answer.ok()
        yield answer
        if "x-next-cursor" not in answer.headers:
            return
        cursor = {"cursor": answer.headers["x-next-cursor"]}


def read_answer(sock: socket.socket, method: str = "POST") -> Answer:
    """One answer from a raw socket."""
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
        return parse_answer(response)
    finally:
        response.close()
