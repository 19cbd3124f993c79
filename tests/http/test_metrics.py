"""`/metrics`: what it says is what was done, in the format that Prometheus reads, and of no tenant by name."""

from collections.abc import Callable

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from tests.http.client import INSERT, JSON, SEARCH, Client, npy
from tests.http.footprint import sample, samples
from tests.http.keys import KeyClient, create
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]
POSTED = {"method": "POST"}


def test_the_official_parser_reads_it(start: Start) -> None:
    client = Client(start().port)
    client.insert("t", [[1, 2]]).ok()
    client.request("GET", "/nope").refused(404, "NOT_FOUND")
    answer = client.request("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["x-request-id"]
    families = list(text_string_to_metric_families(answer.body.decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    for family in families:
        assert family.documentation.endswith("."), family
        assert family.type in ("counter", "gauge", "histogram"), family
        assert family.name.startswith(("ingot_", "process_"))
        seen = [(one.name, tuple(one.labels.items())) for one in family.samples]
        assert len(seen) == len(set(seen)), family.name


def test_what_was_done_is_counted(start: Start) -> None:
    server = start()
    client = Client(server.port)
    body = npy(np.ones((3, 2), np.float32))
    client.insert_npy("t", np.ones((3, 2), np.float32), file_id="a").ok()
    client.insert_npy("t", np.ones((3, 2), np.float32), file_id="b").ok()
    client.insert_npy("t", np.ones((2, 2), np.float32), file_id="c", dry_run="true").ok()
    client.insert_npy("t", np.ones((1, 3), np.float32), file_id="d").refused(400, "DIMENSION_MISMATCH")
    client.search("t", [1, 2]).ok()
    client.post(SEARCH, {"tenant_id": "t", "query_embeddings": [[1, 2]] * 5}).ok()
    client.delete("t", source_id="b").ok()
    client.request("GET", "/no/such/path").refused(404, "NOT_FOUND")
    client.request("GET", INSERT).refused(405, "METHOD_NOT_ALLOWED")
    found = samples(client)

    def of(name: str, **labels: str) -> float:
        return found.get((name, tuple(sorted(labels.items()))), 0.0)

    insert, search = {**POSTED, "route": INSERT}, {**POSTED, "route": SEARCH}
    assert of("ingot_http_requests_total", **insert, status="200") == 3
    assert of("ingot_http_requests_total", **insert, status="400") == 1
    assert of("ingot_http_requests_total", **search, status="200") == 2
    assert of("ingot_http_requests_total", method="-", route="-", status="404") == 1
    assert of("ingot_http_refusals_total", **insert, code="DIMENSION_MISMATCH") == 1
    assert of("ingot_http_request_duration_seconds_count", **insert) == 4
    assert of("ingot_http_request_duration_seconds_bucket", **insert, le="+Inf") == 4
    assert 0 < of("ingot_http_request_duration_seconds_sum", **insert) < 60
    assert of("ingot_http_request_bytes_total", **insert) == 2 * len(body) + sum(
        len(npy(np.ones(shape, np.float32))) for shape in ((2, 2), (1, 3))
    )
    assert (of("ingot_stored_rows_total"), of("ingot_queries_total")) == (6, 6)
    assert (of("ingot_open_tenants"), of("ingot_refusing_tenants")) == (1, 0)
    assert (of("ingot_rows"), of("ingot_sources"), of("ingot_unindexed_rows")) == (3, 1, 0)
    assert of("ingot_log_groups_total") == 3
    assert of("ingot_body_bytes_in_flight") == 0
    assert of("ingot_connections") == 1
    assert of("ingot_connections_accepted_total") == 10
    assert of("process_resident_memory_bytes") > 1 << 20
    assert 5 < of("process_open_fds") < of("process_max_fds")


def test_buckets_of_durations_only_grow(client: Client, tenant: str) -> None:
    client.insert(tenant, [[1, 2]]).ok()
    for _ in range(20):
        client.search(tenant, [1, 2]).ok()
    counts = [
        (float(dict(labels)["le"]), value)
        for (name, labels), value in samples(client).items()
        if name == "ingot_http_request_duration_seconds_bucket" and dict(labels)["route"] == SEARCH
    ]
    values = [value for _, value in sorted(counts)]
    assert values == sorted(values)
    assert values[-1] >= 20


def test_what_clients_make_up_adds_no_lines(start: Start) -> None:
    client = Client(start().port)
    client.request("GET", "/metrics")
    before = len(client.request("GET", "/metrics").body.splitlines())
    for number in range(50):
        client.request("GET", f"/nope{number}")
        client.request("PROPFIND" if number % 2 else "LOCK", "/healthz")
        client.insert(f"tenant-{number}", [[1, 2], [3]])
    after = client.request("GET", "/metrics").body
    # A route with its refusals, the paths that are none, two methods that are none.
    assert len(after.splitlines()) < before + 60
    assert b"nope" not in after
    assert b"tenant-" not in after
    assert b"PROPFIND" not in after


def test_keys_that_are_refused_are_counted_and_no_name_is_told(start: Start) -> None:
    server = start()
    everything = create(server.data, "admin")
    mine = create(server.data, "read,write", "secret-name")
    deadline_client = KeyClient(server.port, mine)
    while deadline_client.insert("secret-name", [[1, 2]]).status != 200:
        pass
    for key in (None, "ingot_wrong"):
        KeyClient(server.port, key).request("GET", "/tenants/monitor").refused(401, "UNAUTHENTICATED")
    deadline_client.request("GET", "/metrics").refused(403, "FORBIDDEN")
    admin = KeyClient(server.port, everything)
    answer = admin.request("GET", "/metrics")
    assert sample(admin, "ingot_keys_refused_total") >= 2
    for text in (b"secret-name", mine.split("_")[1].encode(), everything.split("_")[1].encode()):
        assert text not in answer.body


def test_the_counts_are_there_for_head_and_refuse_a_body_type_never(client: Client) -> None:
    head = client.request("HEAD", "/metrics")
    assert (head.status, head.body) == (200, b"")
    assert client.request("GET", "/metrics", b"x", {"Content-Type": JSON}).status == 200
