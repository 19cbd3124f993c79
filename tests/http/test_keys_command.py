"""`ingot keys`: what it makes, stores, shows and refuses."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ingot.auth.key import KEY_PATTERN, is_whole, redacted
from ingot.auth.key_file import StoredKey, edit_keys
from ingot.cli import main
from tests.http.client import Client
from tests.http.keys import KeyClient, create, key_id, keys, revoke
from tests.http.server import DEADLINE, ServerProcess

Start = Callable[..., ServerProcess]

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def here(*arguments: str, data: Path) -> tuple[int, str, str]:
    """The command in this process, which is quicker: its exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(["keys", *arguments, "--data", str(data)])
        except SystemExit as ended:
            code = int(str(ended.code))
    return code, out.getvalue(), err.getvalue()


def refused(*arguments: str, data: Path) -> str:
    """Asserts one line on standard error and exit code 2; the line."""
    code, out, err = here(*arguments, data=data)
    assert (code, out) == (2, ""), err
    assert err.splitlines(keepends=True) == [err]
    assert err.startswith("ingot")
    return err


def listed(data: Path, *flags: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(here("list", "--json", *flags, data=data)[1])
    return found


# Making.


def test_a_key_is_the_only_line_of_standard_output(data: Path) -> None:
    made = keys("create", "--rights", "admin", "--all-tenants", data=data)
    assert made.returncode == 0
    assert re.fullmatch(KEY_PATTERN + "\n", made.stdout)
    assert "every request needs one" in made.stderr


def test_only_the_hash_of_a_key_is_stored_where_only_its_owner_reads(data: Path) -> None:
    key = create(data, "read,write", "a")
    text = (data / "keys.json").read_text()
    assert key not in text
    assert key.split("_")[2][:20] not in text
    [stored] = json.loads(text)["keys"]
    assert stored["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert (data / "keys.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data.iterdir()] == ["keys.json"]


def test_a_key_ends_in_its_checksum(data: Path) -> None:
    key = create(data, "read")
    number = 0
    for digit in key[-6:]:
        number = number * 62 + DIGITS.index(digit)
    assert number == zlib.crc32(key[:-6].encode())
    assert is_whole(key)
    assert not is_whole(key[:-1] + DIGITS[DIGITS.index(key[-1]) - 1])
    assert redacted(f"x {key} y {key[:-9]}") == f"x ingot_{key_id(key)}_*** y ingot_{key_id(key)}_***"


def test_no_two_keys_are_alike(data: Path) -> None:
    first, second = create(data, "read"), create(data, "read")
    assert key_id(first) != key_id(second)
    assert first[19:40] != second[19:40]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "create|list|revoke"),
        (["create"], "--rights"),
        (["create", "--rights", "read"], "--tenant"),
        (["create", "--rights", "read", "--tenant", "a", "--all-tenants"], "--all-tenants"),
        (["create", "--rights", "reed", "--tenant", "a"], "'reed'"),
        (["create", "--rights", "", "--tenant", "a"], "--rights"),
        (["create", "--rights", "read", "--tenant", ""], "--tenant"),
        (["create", "--rights", "read", "--tenant", "a\nb"], "U+000A"),
        (["create", "--rights", "read", "--all-tenants", "--expires", "soon"], "'soon'"),
        (["create", "--rights", "read", "--all-tenants", "--expires", "2020-01-31"], "past"),
        (["create", "--rights", "read", "--all-tenants", "--expires", "0d"], "past"),
        (["create", "--rights", "read", "--all-tenants", "--note", "a\nb"], "--note"),
        (["list"], "data"),
        (["revoke"], "ID"),
        (["revoke", "0123456789ab"], "no key"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_makes_nothing(
    data: Path, arguments: list[str], words: str
) -> None:
    assert words in refused(*arguments, data=data)
    assert not data.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("2099-01-31", datetime(2099, 1, 31, tzinfo=timezone.utc)),
        ("2099-01-31T12:00:00Z", datetime(2099, 1, 31, 12, tzinfo=timezone.utc)),
        ("2099-01-31T12:00:00+02:00", datetime(2099, 1, 31, 10, tzinfo=timezone.utc)),
    ],
)
def test_a_key_expires_when_it_was_told_to(data: Path, text: str, expected: timedelta | datetime) -> None:
    assert here("create", "--rights", "read", "--all-tenants", "--expires", text, data=data)[0] == 0
    [key] = listed(data)
    expires, created = (
        datetime.fromisoformat(str(key[name])[:-1] + "+00:00") for name in ("expires_at", "created_at")
    )
    assert (expires if isinstance(expected, datetime) else expires - created) == expected


def test_no_key_is_put_into_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("x")
    line = refused("create", "--rights", "read", "--all-tenants", data=tmp_path)
    assert "photo.jpg" in line
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_keys_made_at_the_same_moment_are_all_there(data: Path) -> None:
    command = [sys.executable, "-m", "ingot", "keys", "create", "--rights", "read", "--all-tenants"]
    makers = [
        subprocess.Popen(
            [*command, "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    made = {key_id(maker.communicate(timeout=DEADLINE)[0].strip()) for maker in makers}
    assert len(made) == 6
    assert {key["id"] for key in listed(data)} == made


def test_who_changes_keys_has_the_directory_to_himself(data: Path) -> None:
    def change(keys: list[StoredKey]) -> list[StoredKey]:
        second = os.open(data, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(second)
        return keys

    data.mkdir()
    assert edit_keys(data, change) == []


def test_what_a_killed_command_left_is_in_nobodys_way(data: Path, start: Start) -> None:
    data.mkdir()
    (data / "keys.json.new").write_text("{")
    server = start(data=data)
    Client(server.port).insert("t", [[1, 2]]).ok()
    key = create(data, "admin")
    assert not (data / "keys.json.new").exists()
    assert key_id(key) in keys("list", data=data).stdout


def test_a_key_may_be_made_before_the_server_first_starts(data: Path, start: Start) -> None:
    key = create(data, "admin")
    client = KeyClient(start(data=data).port, key)
    client.insert("t", [[1, 2]]).ok()


@pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="only root gives files away")
def test_what_root_makes_belongs_to_whom_the_directory_belongs(data: Path) -> None:
    data.mkdir()
    os.chown(data, 12345, 23456)
    create(data, "read")
    owner = (data / "keys.json").stat()
    assert (owner.st_uid, owner.st_gid) == (12345, 23456)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ('{"version": 1, "keys": [{"id": "0123456789ab"}]}', "damaged"),
        ('{"version": 1, "keys": [], "more": 1}', "damaged"),
        ('{"version": 2, "keys": []}', "version 2"),
    ],
)
def test_keys_that_cannot_be_read_are_left_as_they_are(data: Path, text: str, words: str) -> None:
    data.mkdir()
    (data / "keys.json").write_text(text)
    for command in (["create", "--rights", "read", "--all-tenants"], ["list"], ["revoke", "0123456789ab"]):
        assert words in refused(*command, data=data)
    assert (data / "keys.json").read_text() == text
    # Nor does a server start, as if nobody had ever made one.
    ended = subprocess.run(
        [sys.executable, "-m", "ingot", "serve", "--data", str(data), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (ended.returncode, words in ended.stderr) == (2, True), ended


# Listing, revoking.


def test_a_list_shows_everything_but_the_key(data: Path) -> None:
    key = create(data, "write,read", "b", "a\u200b b", flags=("--note", "the nightly job"))
    text = keys("list", data=data).stdout
    for word in (key_id(key), "good", "never", 'read,write on "a\\u200b b", b', "the nightly job"):
        assert word in text
    assert (
        listed(data)[0].items()
        >= {
            "id": key_id(key),
            "rights": ["read", "write"],
            "tenants": ["a\u200b b", "b"],
            "status": "good",
            "expires_at": None,
            "note": "the nightly job",
        }.items()
    )
    stored = json.loads((data / "keys.json").read_text())["keys"][0]
    for shown in (text, json.dumps(listed(data))):
        assert key.split("_")[2] not in shown
        assert stored["sha256"] not in shown


def test_a_list_of_no_keys_says_that_none_are_needed(data: Path) -> None:
    data.mkdir()
    ended = keys("list", data=data)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "requests need none" in ended.stderr


def test_what_is_revoked_leaves_the_list(data: Path) -> None:
    kept, by_id, by_key = (create(data, "read") for _ in range(3))
    revoke(data, key_id(by_id), by_key)
    assert [key["id"] for key in listed(data)] == [key_id(kept)]
    assert [key["status"] for key in listed(data, "--all")] == ["good", "revoked", "revoked"]


def test_an_unknown_id_revokes_nothing(data: Path) -> None:
    key = create(data, "read")
    before = (data / "keys.json").read_bytes()
    line = refused("revoke", key_id(key), "zzzzzzzzzzzz", data=data)
    assert "zzzzzzzzzzzz" in line
    assert key[:-1] not in refused("revoke", key[:-1], data=data)
    assert (data / "keys.json").read_bytes() == before


def test_the_directory_may_come_from_the_variable(data: Path) -> None:
    command = [sys.executable, "-m", "ingot", "keys", "create", "--rights", "read", "--all-tenants"]
    environment = {**os.environ, "INGOT_DATA": str(data)}
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE, env=environment)
    assert len(listed(data)) == 1
