"""The playground: complete without another host, and shown, filled in and sent in a real browser."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ingot.http import playground
from tests.http.chromium import Chromium
from tests.http.client import Client
from tests.http.server import ServerProcess

FOLDER = Path(playground.__file__).parent
OURS = ["page.html", "playground.css", "playground.js"]
KEY = "ingot_playground_secret"


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{name}" for name in playground.FILES)])
def test_every_file_of_the_page_is_served_and_kept_in_its_place(client: Client, path: str) -> None:
    answer = client.request("GET", path)
    assert answer.status == 200
    name = path.rpartition("/")[2]
    assert answer.body == (FOLDER / ("page.html" if name == "docs" else name)).read_bytes()
    assert answer.headers["content-type"] == f"{playground.FILES.get(name, 'text/html')}; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    for sources in policy.values():
        assert set(sources.split()) <= {"'none'", "'self'", "data:"}, sources
    head = client.request("HEAD", path)
    assert (head.body, head.headers["content-length"]) == (b"", str(len(answer.body)))


def test_the_root_leads_to_the_page(client: Client) -> None:
    answer = client.request("GET", "/")
    assert (answer.status, answer.headers["location"]) == (302, "docs")


def test_what_is_vendored_is_what_was_published() -> None:
    for name, digest in playground.VENDORED.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
    there = {file.name for file in FOLDER.iterdir() if file.name != "__pycache__"}
    assert there == {"__init__.py", *OURS, *playground.VENDORED}
    assert set(playground.FILES) == there - {"__init__.py", "page.html"}
    assert "Apache License" in (FOLDER / "swagger-ui.LICENSE.txt").read_text()
    version = playground.VENDORED_VERSION.encode()
    assert version in (FOLDER / "swagger-ui-bundle.js").read_bytes()


@pytest.mark.parametrize("name", OURS)
def test_no_file_of_ours_names_another_host(name: str) -> None:
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.", (FOLDER / name).read_text()) == []


def test_no_validator_is_told_of_the_document() -> None:
    assert re.search(r"^  validatorUrl: null,$", (FOLDER / "playground.js").read_text(), re.MULTILINE)


# In a browser.


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


def open_page(browser: Chromium, server: ServerProcess, path: str = "/docs") -> None:
    browser.open("about:blank")
    browser.messages()
    browser.open(f"http://127.0.0.1:{server.port}{path}")
    browser.find(".opblock")


def give_key(browser: Chromium) -> None:
    browser.click(".auth-wrapper .authorize")
    browser.type("#auth-bearer-value", KEY)
    browser.click(".auth-btn-wrapper .authorize")
    browser.click(".auth-btn-wrapper .btn-done")


def unfold(browser: Chromium, operation: str) -> str:
    """Opens an operation; the selector of what belongs to it."""
    block = f"#operations-{operation}"
    browser.click(f"{block} .opblock-summary-control")
    browser.find(f"{block} .execute")
    return block


def execute(browser: Chromium, block: str) -> tuple[int, str]:
    """Sends what is filled in; status and body of the answer, as the page shows them."""
    browser.click(f"{block} .execute")
    shown = f"{block} .live-responses-table"
    status = browser.text(f"{shown} .response .response-col_status")
    return int(status.split()[0]), browser.text(f"{shown} .response .highlight-code code")


def snippet(browser: Chromium, block: str, title: str) -> str:
    """The request that was sent, in another language."""
    tabs = f"{block} .request-snippets .curl-command .btn"
    browser.find(tabs)
    browser.run(
        "[...document.querySelectorAll(arguments[0])].find((tab) => tab.innerText === arguments[1]).click()",
        tabs,
        title,
    )
    return browser.text(f"{block} .request-snippets pre code")


def run_in_page(browser: Chromium, source: str) -> str:
    """Runs JavaScript as a module of the page; what it logged."""
    told: str = browser.run(
        "const lines = []; const console = {log: (...words) => lines.push(words.join(' '))};\n"
        f"return (async () => {{\n{source}\nreturn lines.join('\\n');\n}})();"
    )
    return told


def run_command(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


UPLOAD = {"tenant_id": "browser", "file_id": "page/1 'ä'", "embeddings": [[1, 0, 0], [0.5, 0.25, 0.125]]}
QUERY = {"tenant_id": "browser", "query_embedding": [1, 0, 0], "limit": 1, "exact": True}


@pytest.mark.chromium
@pytest.mark.curl
def test_the_playground_uploads_and_finds(
    browser: Chromium, start: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = start()
    open_page(browser, server, "/")
    assert browser.run("return location.pathname") == "/docs"
    assert "A self-hosted store for embeddings." in browser.text(".info")
    give_key(browser)

    block = unfold(browser, "Embeddings-insert")
    browser.type(f"{block} .body-param__text", json.dumps(UPLOAD))
    status, body = execute(browser, block)
    assert (status, json.loads(body)["chunk_ids"]) == (200, ["page/1 'ä'_0", "page/1 'ä'_1"])

    block = unfold(browser, "Embeddings-search")
    browser.type(f"{block} .body-param__text", json.dumps(QUERY))
    status, body = execute(browser, block)
    shown = json.loads(body)
    assert status == 200
    assert [(hit["embedding"]["chunk_id"], hit["score"]) for hit in shown] == [("page/1 'ä'_0", 1.0)]
    browser.run("arguments[0].scrollIntoView()", browser.find(f"{block} .responses-wrapper"))
    browser.screenshot(tmp_path / "playground.png")
    assert (tmp_path / "playground.png").read_bytes().startswith(b"\x89PNG")

    # The same request in every language that the page writes, each with the key and the same answer.
    curl = snippet(browser, block, "curl")
    assert f"Authorization: Bearer {KEY}" in curl
    assert json.loads(run_command("bash", "-c", curl)) == shown
    for title in ("Python", "Python, async"):
        source = snippet(browser, block, title)
        assert f'"Bearer {KEY}"' in source
        assert "True" in source
        (tmp_path / "snippet.py").write_text(source)
        status_line, _, answer = run_command(sys.executable, str(tmp_path / "snippet.py")).partition(" ")
        assert (status_line, json.loads(answer)) == ("200", shown)
    javascript = snippet(browser, block, "JavaScript")
    assert f'"Bearer {KEY}"' in javascript
    status_line, _, answer = run_in_page(browser, javascript).partition(" ")
    assert (status_line, json.loads(answer)) == ("200", shown)

    # Nothing was refused by the page's policy, and nothing came from elsewhere.
    assert browser.messages() == []
    loaded = browser.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    origin = f"http://127.0.0.1:{server.port}/"
    assert {name for name in loaded if not name.startswith((origin, "data:"))} == set()


@pytest.mark.chromium
def test_every_example_of_the_playground_is_answered_as_filled_in(
    browser: Chromium, start: Callable[..., ServerProcess]
) -> None:
    server = start()
    open_page(browser, server)
    for operation in (
        "Embeddings-insert",
        "Embeddings-search",
        "Embeddings-get",
        "Embeddings-status",
        "Tenants-stats",
        "Embeddings-delete",
        "Embeddings-delete_2",
        "Server-alive",
        "Server-ready",
    ):
        block = unfold(browser, operation)
        status, body = execute(browser, block)
        assert status == 200, (operation, body)
        browser.click(f"{block} .opblock-summary-control")
    assert browser.messages() == []


@pytest.mark.chromium
def test_the_playground_shows_a_refusal(browser: Chromium, start: Callable[..., ServerProcess]) -> None:
    server = start()
    open_page(browser, server)
    block = unfold(browser, "Embeddings-insert")
    browser.type(f"{block} .body-param__text", '{"tenant_id": "t", "embeddings": [[1, 1e39]]}')
    status, body = execute(browser, block)
    assert (status, json.loads(body)["detail"]["error_code"]) == (400, "NON_FINITE_VALUE")
    assert json.loads(body)["detail"]["column"] == 1


@pytest.mark.chromium
@pytest.mark.curl
def test_the_playground_uploads_a_file(
    browser: Chromium, start: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = start()
    np.save(tmp_path / "vectors.npy", np.eye(3, dtype=np.float32))
    open_page(browser, server)
    block = unfold(browser, "Embeddings-insert")
    browser.choose(f"{block} .body-param-content-type select", "application/x-npy")
    browser.type(f"{block} input[placeholder=tenant_id]", "from a file")
    browser.type(f"{block} input[type=file]", str(tmp_path / "vectors.npy"))
    status, body = execute(browser, block)
    assert (status, json.loads(body)["insert_count"]) == (200, 3)
    for title in ("Python", "Python, async"):
        source = snippet(browser, block, title)
        (tmp_path / "snippet.py").write_text(source)
        done = subprocess.run(
            [sys.executable, "snippet.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.startswith("200 "), source
