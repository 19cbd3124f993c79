"""`filter_expr` on search, get and delete: sections 3 and 4 of the wire contract."""

import json
from typing import Any

import numpy as np
import pytest

from tests.http.client import DELETE, GET, JSON, NPY, SEARCH, Client, npy, read_answer

EN = 'metadata["lang"] == "en"'


@pytest.fixture
def filled(client: Client, tenant: str) -> str:
    """Six sources of two rows; even ones are English, each has its number."""
    for number in range(6):
        metadata = {"lang": "de" if number % 2 else "en", "n": number, "deep": {"list": [number, "ü"]}}
        client.insert(
            tenant, [[1, number], [1, -number - 1]], file_id=f"s{number}", document_metadata=metadata
        ).ok()
    return tenant


def sources(items: list[dict[str, Any]]) -> list[str]:
    return [item["source_id"] for item in items]


def test_a_search_finds_only_what_the_filter_holds_of(client: Client, filled: str) -> None:
    found = client.search(filled, [1, 3], filter_expr=EN).ok()
    assert sorted(sources(found)) == ["s0", "s0", "s2", "s2", "s4", "s4"]
    assert [item["score"] for item in found] == sorted((item["score"] for item in found), reverse=True)
    everything = {
        item["embedding"]["chunk_id"]: item for item in client.search(filled, [1, 3], limit=50).ok()
    }
    assert all(everything[item["embedding"]["chunk_id"]] == item for item in found)
    assert len(client.search(filled, [1, 3], filter_expr=EN, limit=4).ok()) == 4
    assert client.search(filled, [1, 3], filter_expr=EN, exact=True).ok() == found
    assert client.search(filled, [1, 3], filter_expr=EN, output_fields=["embedding"]).ok()[0]["embedding"][
        "embedding"
    ]
    assert client.search(filled, [1, 3], filter_expr='metadata["lang"] == "fr"').ok() == []
    assert client.search(filled, [1, 3], filter_expr=None, limit=50).ok() == list(everything.values())
    strict = client.search(filled, [1, 3], filter_expr=EN, score_threshold=found[1]["score"]).ok()
    assert strict == found[: len(strict)]
    assert 0 < len(strict) < 6


def test_a_batch_has_one_filter(client: Client, filled: str) -> None:
    queries = [[1, 3], [-1, 2]]
    answer = client.post(SEARCH, {"tenant_id": filled, "query_embeddings": queries, "filter_expr": EN}).ok()
    assert answer == [client.search(filled, query, filter_expr=EN).ok() for query in queries]


def test_an_array_comes_with_its_filter_as_a_parameter(client: Client, filled: str) -> None:
    params = {"tenant_id": filled, "filter_expr": 'metadata["deep"]["list"][1] == "ü" and metadata["n"] < 2'}
    answer = client.request(
        "POST", SEARCH, npy(np.array([1, 3], np.float32)), {"Content-Type": NPY}, params
    ).ok()
    assert sorted(sources(answer)) == ["s0", "s0", "s1", "s1"]


def test_a_get_reads_what_the_filter_holds_of_in_order(client: Client, filled: str) -> None:
    text = 'metadata["n"] >= 2 and not chunk_id like "%_1"'
    found = client.get(filled, filter_expr=text).ok()
    assert [item["embedding"]["chunk_id"] for item in found] == ["s2_0", "s3_0", "s4_0", "s5_0"]
    assert client.request("POST", GET, params={"tenant_id": filled, "filter_expr": text}).ok() == found
    assert client.get(filled, filter_expr=text, limit=2).ok() == found[:2]
    client.get(filled, filter_expr=text, source_id="s1").refused(
        422, "CONFLICTING_FIELDS", field="filter_expr"
    )
    client.get(filled, filter_expr=text, chunk_ids=["s1_0"]).refused(
        422, "CONFLICTING_FIELDS", field="filter_expr"
    )


def test_a_delete_removes_what_the_filter_holds_of(client: Client, filled: str) -> None:
    assert client.delete(filled, filter_expr='metadata["n"] == 9').ok()["delete_count"] == 0
    assert client.delete(filled, filter_expr=EN).ok() == {"delete_count": 6, "success": True, "error": None}
    assert sources(client.get(filled).ok()) == ["s1", "s1", "s3", "s3", "s5", "s5"]
    body = {"tenant_id": filled, "filter_expr": 'source_id in ["s1", "s3"] and chunk_id != "s3_0"'}
    assert client.post(DELETE, body).ok()["delete_count"] == 3
    text = json.dumps({"tenant_id": filled, "filter_expr": "metadata['n'] <= 3"}).encode()
    assert client.request("DELETE", DELETE, text, {"Content-Type": JSON}).ok()["delete_count"] == 1
    assert sources(client.get(filled).ok()) == ["s5", "s5"]
    for selector in ({"source_id": "s5"}, {"chunk_ids": ["s5_0"]}):
        client.delete(filled, filter_expr=EN, **selector).refused(422, "CONFLICTING_FIELDS")
    assert len(client.get(filled).ok()) == 2


def test_a_filter_that_is_none_is_refused_with_its_place_and_deletes_nothing(
    client: Client, filled: str
) -> None:
    wrong = "metadata['ü'] = 1"
    for answer in (
        client.search(filled, [1, 3], filter_expr=wrong),
        client.search(filled, [1, 3], filter_expr=wrong, output_fields=["embedding"]),
        client.get(filled, filter_expr=wrong),
        client.delete(filled, filter_expr=wrong),
        client.post(DELETE, {"tenant_id": filled, "filter_expr": wrong}),
    ):
        answer.refused(400, "FILTER_SYNTAX", "character 14", "`==`", field="filter_expr", offset=14)
    client.delete(filled, filter_expr="").refused(400, "FILTER_SYNTAX", offset=0)
    client.post(GET, {"tenant_id": filled, "filter_expr": 5}).refused(422, "WRONG_TYPE", field="filter_expr")
    long = " or ".join(['metadata["n"] == 1'] * 1000)
    client.get(filled, filter_expr=long).refused(400, "FILTER_SYNTAX", "16384", offset=16384)
    assert len(client.get(filled).ok()) == 12


def test_a_filter_in_a_parameter_is_judged_before_the_body_is_asked_for(client: Client, filled: str) -> None:
    head = (
        f"POST {SEARCH}?tenant_id={filled}&filter_expr=a HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {NPY}\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    )
    with client.connect() as sock:
        sock.sendall(head.encode())
        read_answer(sock).refused(400, "FILTER_SYNTAX")


def test_unknown_tenants_are_404_whatever_the_filter(client: Client, tenant: str) -> None:
    client.search(tenant, [1, 2], filter_expr=EN).refused(404, "TENANT_NOT_FOUND")
    client.get(tenant, filter_expr=EN).refused(404, "TENANT_NOT_FOUND")
    client.delete(tenant, filter_expr=EN).refused(404, "TENANT_NOT_FOUND")
    client.insert(tenant, [[1, 2]], sub_tenant_id="a").ok()
    assert client.search(tenant, [1, 2], filter_expr=EN).ok() == []
    client.get(tenant, sub_tenant_id="b", filter_expr=EN).refused(404, "SUB_TENANT_NOT_FOUND")
    assert client.delete(tenant, filter_expr=EN).ok()["delete_count"] == 0
