"""Section 11 of the wire contract: the command, its settings, its log."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingot.settings import Settings, SettingsError, load
from tests.http.client import Client
from tests.http.server import DEADLINE, ServerProcess

Start = Callable[..., ServerProcess]


def run(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ingot", *arguments]
    environment = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment)


def refuses_to_start(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """Asserts one line on standard error and exit code 2; the line."""
    ended = run(*arguments, environment=environment)
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert ended.stderr.splitlines(keepends=True) == [ended.stderr]
    assert ended.stderr.startswith("ingot")
    return ended.stderr


# Starting.


def test_the_version_is_told() -> None:
    ended = run("--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith("ingot 0")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "COMMAND"),
        (["serve"], "--data DIR"),
        (["serve", "--data", ""], "--data"),
        (["serve", "--data", "x", "--port", "99999"], "0..65535"),
        (["serve", "--data", "x", "--port", "http"], "--port"),
        (["serve", "--data", "x", "--prot", "1"], "--prot"),
        (["serve", "--data", "x", "--log-format", "xml"], "text, json"),
        (["serve", "--data", "x", "--drain-timeout", "-1"], "--drain-timeout"),
        (["serve", "--data", "x", "--body-timeout", "nan"], "--body-timeout"),
        (["serve", "--data", "x", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (["serve", "--data", "x", "--host", "0.0.0.0"], "--insecure"),
        (["serve", "--data", "x", "--host", "::"], "--insecure"),
        (["serve", "--data", "x", "--host", "no.such.host.invalid"], "--host"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(flags: list[str], words: str) -> None:
    assert words in refuses_to_start(*flags)


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        line = refuses_to_start("serve", "--data", str(tmp_path / "data"), "--port", port)
    assert port in line
    assert "--port" in line
    assert not (tmp_path / "data").exists()


def test_a_directory_in_use_is_one_line_with_the_process(start: Start) -> None:
    server = start()
    line = refuses_to_start("serve", "--data", str(server.data), "--port", "0")
    assert str(server.process.pid) in line
    assert "another" in line
    Client(server.port).request("GET", "/readyz").ok()


@pytest.mark.parametrize("below", ["a-file/data", "a-file"])
def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path, below: str) -> None:
    (tmp_path / "a-file").write_text("x")
    line = refuses_to_start("serve", "--data", str(tmp_path / below), "--port", "0")
    assert str(tmp_path / below) in line


def test_a_directory_of_a_newer_format_is_refused_untouched(start: Start) -> None:
    server = start()
    Client(server.port).insert("t", [[1, 2]]).ok()
    server.terminate()
    assert server.exit_code() == 0
    format_file = server.data / "FORMAT"
    format_file.write_text(format_file.read_text().replace("1", "2"))
    before = sorted((path, path.stat().st_mtime_ns) for path in server.data.rglob("*"))
    line = refuses_to_start("serve", "--data", str(server.data), "--port", "0")
    assert "format version 2" in line
    assert "upgrade ingot" in line
    assert sorted((path, path.stat().st_mtime_ns) for path in server.data.rglob("*")) == before


def test_tenants_need_not_be_made_on_first_use(start: Start) -> None:
    client = Client(start("--no-auto-create-tenants").port)
    client.insert("t", [[1, 2]]).refused(404, "TENANT_NOT_FOUND")


def test_an_insecure_server_takes_every_host(start: Start) -> None:
    client = Client(start("--insecure", "--host", "0.0.0.0").port)
    client.raw(b"GET /healthz HTTP/1.1\r\nHost: example.com\r\nOrigin: http://a.b\r\n\r\n").ok()


def test_readyz_is_200_once_writes_are_taken(start: Start) -> None:
    assert Client(start().port).request("GET", "/readyz").ok() == {"status": "ok"}


# Settings.


def test_a_flag_wins_over_a_variable_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "ingot.toml"
    config.write_text('data = "from-file"\nport = 1\nbody_limit = "2MiB"\nkeep_alive = 5\n')
    environment = {"INGOT_CONFIG": str(config), "INGOT_PORT": "2", "INGOT_DATA": "from-env", "OTHER": "x"}
    assert load({}, environment) == Settings(
        data=Path("from-env"), port=2, body_limit=2 << 20, keep_alive=5.0
    )
    assert load({"port": "3"}, environment).port == 3
    assert load({"insecure": True}, environment).insecure is True
    assert load({}, {**environment, "INGOT_INSECURE": "true"}).insecure is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "did you mean `port`?"),
        ("[serve]\nport = 1", "serve"),
        ("port = true", "whole number"),
        ("port = ", "not TOML"),
        ("insecure = 1", "true or false"),
        ("host = 1", "text"),
    ],
)
def test_a_config_file_with_an_unknown_or_wrong_key_is_refused(tmp_path: Path, text: str, words: str) -> None:
    config = tmp_path / "ingot.toml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=words.replace("?", r"\?")):
        load({"data": "x", "config": str(config)}, {})
    assert words in refuses_to_start("serve", "--data", "x", "--config", str(config))


def test_every_setting_is_a_flag_with_help() -> None:
    text = run("serve", "--help").stdout
    for name in Settings.__dataclass_fields__:
        assert "--" + name.replace("_", "-") in text


# The log.


def test_json_log_lines_tell_the_request_and_no_vectors(start: Start) -> None:
    server = start("--log-format", "json")
    client = Client(server.port)
    tenant = 'te\u2028nant "x" \U0001f600'
    client.insert(tenant, [[0.12345, 2], [3, 4]]).ok()
    client.request(
        "GET",
        "/no\u200bpe".encode().decode("latin-1").replace("\xe2\x80\x8b", "%0A"),
        headers={"X-Request-Id": "mine"},
    )
    server.wait_for_line('"mine"')
    line = json.loads(next(line for line in server.lines if "insert-raw" in line))
    assert line.pop("time").endswith("Z")
    assert isinstance(line.pop("ms"), float)
    assert len(line.pop("request_id")) == 26
    assert line.pop("bytes") > 20
    assert line == {
        "key_id": "-",
        "tenant": tenant,
        "route": "POST /embeddings/insert-raw-embeddings",
        "status": 200,
        "rows": 2,
    }
    assert not any("0.12345" in line for line in server.lines)
    assert all(line.isascii() for line in server.lines)


def test_text_log_lines_cannot_be_forged(start: Start) -> None:
    server = start()
    client = Client(server.port)
    client.get('x status=200\u0085"', limit=1).refused(400, "INVALID_ID")
    client.get('x status=200 "y"', limit=1).refused(404, "TENANT_NOT_FOUND")
    server.wait_for_line(
        r'tenant="x status=200 \\"y\\"" route="POST /embeddings/filter-raw-embeddings" status=404'
    )
    assert all(line.isascii() and line.isprintable() for line in server.lines)
