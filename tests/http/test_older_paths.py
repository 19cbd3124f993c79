"""Section 6 of the wire contract: paths with underscores, and what is ignored on every path older than hyphens."""

import json
from typing import Any

import numpy as np
import pytest

from ingot.http.ages import FIRST, UNDERSCORES
from tests.http import client as paths
from tests.http.client import JSON, NPY, Answer, Client, npy
from tests.http.documented import routes
from tests.http.older import CREATE, REQUESTS, ROWS, SUB_TENANTS, UNDERSCORED, UPLOAD


def both(client: Client, path: str, fields: dict[str, Any]) -> tuple[Any, Any]:
    """What the path of today and the one with underscores answer."""
    return client.post(path, fields).ok(), client.post(UNDERSCORED[path], fields).ok()


def test_paths_with_underscores_answer_as_those_of_today(client: Client, tenant: str) -> None:
    fields: dict[str, Any] = {"tenant_id": tenant, "embeddings": ROWS, "file_id": "a"}
    first, again = both(client, paths.INSERT, fields)
    assert first | {"message": "", "overwritten": 3} == again | {"message": ""}
    assert again["message"].endswith("with file_id 'a' have been overwritten.")
    today, older = both(client, paths.SEARCH, {"tenant_id": tenant, "query_embedding": [1, 0.5]})
    assert today == older
    assert len(older) == 3
    batch = {"tenant_id": tenant, "query_embeddings": ROWS, "limit": 1, "output_fields": ["embedding"]}
    today, older = both(client, paths.SEARCH, batch)
    assert today == older
    today, older = both(client, paths.GET, {"tenant_id": tenant, "source_id": "a"})
    assert today == older
    assert len(older) == 3
    delete = UNDERSCORED[paths.DELETE]
    params = {"tenant_id": tenant, "chunk_ids": ["a_0", "a_9"]}
    deleted = client.request("DELETE", delete, params=params).ok()
    assert deleted == {"delete_count": 1, "success": True, "error": None}
    assert client.post(delete, {"tenant_id": tenant, "source_id": "a"}).ok()["delete_count"] == 2


def test_an_npy_body_is_taken_on_older_paths(client: Client, tenant: str) -> None:
    rows = np.array(ROWS, dtype=np.float32)
    for path in (UNDERSCORED[paths.INSERT], UPLOAD):
        params = {"tenant_id": tenant, "file_id": "a", "unheard_of": "1"}
        assert (
            client.request("POST", path, npy(rows), {"Content-Type": NPY}, params).ok()["insert_count"] == 3
        )
    params = {"tenant_id": tenant, "limit": "2"}
    answer = client.request("POST", UNDERSCORED[paths.SEARCH], npy(rows[0]), {"Content-Type": NPY}, params)
    assert len(answer.ok()) == 2


def test_a_status_with_underscores_is_always_a_list(client: Client, tenant: str) -> None:
    client.insert(tenant, ROWS, file_id="a").ok()
    path = UNDERSCORED[paths.STATUS]
    one = client.request("POST", path, params={"tenant_id": tenant, "file_id": "a"}).ok()
    assert one == {"statuses": [client.post(paths.STATUS, {"tenant_id": tenant, "file_id": "a"}).ok()]}
    two = client.post(path, {"tenant_id": tenant, "file_ids": ["a", "z"]}).ok()
    assert [item["success"] for item in two["statuses"]] == [True, False]
    gone = client.request("POST", path, params={"tenant_id": tenant, "file_id": "z"}).ok()
    assert [item["error_code"] for item in gone["statuses"]] == ["NOT_FOUND"]
    client.post(path, {"tenant_id": tenant}).refused(422, "MISSING_FIELD", field="file_id")


def ask(client: Client, path: str, tenant: str, params: dict[str, str], more: Any = None) -> Answer:
    method, fields = REQUESTS[path]
    params = {"tenant_id": tenant, **params}
    if method == "GET":
        return client.request(method, path, params=params)
    return client.request(
        method, path, json.dumps({**fields, **(more or {})}).encode(), {"Content-Type": JSON}, params
    )


def test_every_older_path_is_tried_here() -> None:
    assert set(REQUESTS) == {*UNDERSCORES, *FIRST}
    assert set(REQUESTS) <= set(routes())


@pytest.mark.parametrize("path", REQUESTS)
def test_unknown_fields_and_parameters_are_ignored_on_older_paths(
    client: Client, tenant: str, path: str
) -> None:
    client.insert(tenant, ROWS, file_id="a").ok()
    plain = ask(client, path, tenant, {}).ok()
    unknown = {"unheard_of": [1, {"of": None}], "tenant": "x", "Tenant_id": "y"}
    more = ask(client, path, tenant, {"unheard_of": "1", "tenant": "x"}, unknown).ok()
    for answer in (plain, more):
        if isinstance(answer, dict):
            answer.pop("message", None)
            answer.pop("overwritten", None)
    assert plain == more


@pytest.mark.parametrize("path", [UNDERSCORED[paths.INSERT], UPLOAD])
def test_unknown_fields_of_documents_are_ignored_on_older_paths(
    client: Client, tenant: str, path: str
) -> None:
    chunk = {"chunk_id": "c", "embedding": [1, 2], "page": 7}
    documents = [{"source_id": "s", "title": "x", "embeddings": [chunk]}]
    fields = {"tenant_id": tenant, "embeddings": documents}
    client.post(paths.INSERT, fields).refused(422, "UNKNOWN_FIELD")
    assert client.post(path, fields).ok()["ids"] == ["c"]
    del chunk["chunk_id"]
    client.post(path, fields).refused(422, "MISSING_FIELD", field="embeddings[0].embeddings[0].chunk_id")


@pytest.mark.parametrize("path", REQUESTS)
def test_what_is_known_is_judged_on_older_paths(client: Client, tenant: str, path: str) -> None:
    client.insert(tenant, ROWS, file_id="a").ok()
    if path not in (CREATE, SUB_TENANTS):
        ask(client, path, tenant, {"sub_tenant_id": "a\nb"}).refused(400, "INVALID_ID", field="sub_tenant_id")
    method, fields = REQUESTS[path]
    headers = {"Content-Type": JSON}
    twice = f"{path}?tenant_id={tenant}&tenant_id={tenant}"
    client.request(method, twice, b"{}", headers).refused(400, "MALFORMED_BODY", "tenant_id")
    if method != "GET":
        body = json.dumps({**fields, "tenant_id": 7}).encode()
        client.request(method, path, body, headers).refused(422, "WRONG_TYPE", field="tenant_id")
        body = b'{"tenant_id": "x", "tenant_id": "x"}'
        client.request(method, path, body, headers).refused(400, "MALFORMED_JSON")


@pytest.mark.parametrize(
    "path", [paths.INSERT, paths.SEARCH, paths.GET, paths.DELETE, paths.STATUS, paths.STATS]
)
def test_unknown_fields_are_refused_on_the_paths_of_today(client: Client, tenant: str, path: str) -> None:
    method = "GET" if path == paths.STATS else "POST"
    unknown = f"{path}?tenant_id={tenant}&sub_tenant=x"
    client.request(method, unknown, b"{}", {"Content-Type": JSON}).refused(422, "UNKNOWN_FIELD")
    if method == "POST":
        fields = {"tenant_id": tenant, "sub_tenant": "x"}
        client.post(path, fields).refused(422, "UNKNOWN_FIELD", "sub_tenant_id", field="sub_tenant")


def test_older_paths_are_marked_in_the_document(client: Client) -> None:
    document = client.request("GET", "/openapi.json").ok()
    marked = {
        path
        for path, methods in document["paths"].items()
        for one in methods.values()
        if one.get("deprecated")
    }
    assert marked == set(REQUESTS)
