"""Web pages of other origins: only where `cors_origins` says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ingot.settings import SettingsError, load
from tests.http.client import SEARCH, Client
from tests.http.keys import KeyClient, create
from tests.http.server import ServerProcess

Start = Callable[..., ServerProcess]

PAGE = "https://app.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def test_pages_get_nothing_unless_they_are_allowed(start: Start, tmp_path: Path) -> None:
    key = create(tmp_path / "data", "read")
    port = start().port
    Client(port).request("OPTIONS", SEARCH, headers={"Origin": PAGE, **PREFLIGHT}).refused(
        401, "UNAUTHENTICATED"
    )
    answer = KeyClient(port, key).request("GET", "/nope", headers={"Origin": PAGE})
    answer.refused(404, "NOT_FOUND")
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


def test_an_allowed_page_may_ask_with_its_key(start: Start, tmp_path: Path) -> None:
    key = create(tmp_path / "data", "admin")
    port = start("--cors-origins", f"{PAGE}, http://localhost:3000").port
    answer = Client(port).request("OPTIONS", SEARCH, headers={"Origin": PAGE, **PREFLIGHT})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert {"Authorization", "Content-Type"} <= set(
        answer.headers["access-control-allow-headers"].split(", ")
    )
    assert answer.headers["vary"] == "Origin"
    # Answers and errors alike, so that the page can tell which.
    for sent, status in ((key, 404), (None, 401)):
        answer = KeyClient(port, sent).request("GET", "/nope", headers={"Origin": PAGE})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"X-Request-Id", "X-Next-Cursor"} <= set(exposed)
    for other in ("https://evil.example", "http://app.example", f"{PAGE}.evil.example", "null"):
        answer = Client(port).request("OPTIONS", SEARCH, headers={"Origin": other, **PREFLIGHT})
        assert answer.status == 401
        assert "access-control-allow-origin" not in answer.headers


def test_without_keys_an_allowed_page_is_let_in_by_its_name_only(start: Start) -> None:
    port = start("--cors-origins", PAGE).port
    Client(port).request("GET", "/healthz", headers={"Origin": PAGE}).ok()
    assert Client(port).request("OPTIONS", SEARCH, headers={"Origin": PAGE, **PREFLIGHT}).status == 204
    Client(port).request("GET", "/healthz", headers={"Origin": "https://evil.example"}).refused(
        403, "FORBIDDEN"
    )


def test_all_pages_are_not_let_in_where_no_key_protects_the_data(start: Start, tmp_path: Path) -> None:
    port = start("--cors-origins", "*").port
    Client(port).request("GET", "/healthz", headers={"Origin": PAGE}).refused(403, "FORBIDDEN")
    answer = Client(port).request("OPTIONS", SEARCH, headers={"Origin": PAGE, **PREFLIGHT})
    answer.refused(403, "FORBIDDEN")


@pytest.mark.parametrize(
    "value", ["https://a.example/path", "a.example", "https://a.example;https://b.example", "https://*.a"]
)
def test_what_is_no_origin_refuses_to_start(value: str) -> None:
    with pytest.raises(SettingsError, match="origins"):
        load({"data": "x", "cors_origins": value}, {})


def test_origins_are_a_list_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "ingot.toml"
    config.write_text(f'data = "x"\ncors_origins = ["{PAGE}", "http://[::1]:3000"]\n')
    assert load({"config": str(config)}, {}).cors_origins == (PAGE, "http://[::1]:3000")
