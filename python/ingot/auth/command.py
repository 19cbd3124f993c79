"""`ingot keys create|list|revoke`: what is asked for goes to standard output, the rest to standard error."""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec

from ingot.auth.caller import RIGHTS, Right
from ingot.auth.key import hash_of, id_of, is_whole, new_key
from ingot.auth.key_file import KeyFileError, StoredKey, edit_keys, make_directory, read_keys
from ingot.errors import InvalidId
from ingot.schemas.ids import check_tenant_ids

__all__ = ["KeysError", "add_actions", "run_action"]

_SPAN = re.compile(r"(\d{1,5})([mhdw])", re.ASCII)
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST_NOTE = 200


class KeysError(Exception):
    """What was asked for cannot be done; the message is one line that says what to do."""


def add_actions(parser: argparse.ArgumentParser) -> None:
    """The three commands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="create|list|revoke")
    create = _action(
        actions,
        "create",
        "make a key",
        "Makes a key and writes it to standard output. It is shown this once: only its hash is stored. From the first "
        "key on, every request to the data needs one.",
    )
    create.add_argument(
        "--rights",
        required=True,
        help="some of read,write,admin with commas; write does not include read, admin includes both",
    )
    whose = create.add_mutually_exclusive_group(required=True)
    whose.add_argument(
        "--tenant", action="append", metavar="NAME", help="a tenant that the rights are on; may be repeated"
    )
    whose.add_argument(
        "--all-tenants", action="store_true", help="the rights are on all tenants, also later ones"
    )
    create.add_argument(
        "--expires",
        metavar="WHEN",
        help="after 30m, 12h, 90d or 4w, or at 2031-01-31 or 2031-01-31T12:00:00Z; default never",
    )
    create.add_argument("--note", default="", help="what the key is for; `list` shows it")
    show = _action(
        actions, "list", "list the keys", "Lists the keys that are good; never a key itself, nor its hash."
    )
    show.add_argument("--all", action="store_true", help="those that have expired or were revoked, too")
    show.add_argument("--json", action="store_true", help="as JSON, for programs")
    revoke = _action(
        actions, "revoke", "revoke keys", "Revokes keys. A running server refuses them within a second."
    )
    revoke.add_argument("ids", nargs="+", metavar="ID", help="the id of a key, or the key itself")


def _action(actions: Any, name: str, help: str, description: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(
        name, help=help, description=description, allow_abbrev=False
    )
    action.add_argument("--data", metavar="DIR", help="the data directory (INGOT_DATA)")
    action.add_argument(
        "--config", metavar="FILE", help="TOML file that names the data directory (INGOT_CONFIG)"
    )
    return action


def run_action(data: Path, options: Mapping[str, Any]) -> int:
    """Runs one of them; the exit code. Raises `KeysError`."""
    try:
        match options["action"]:
            case "create":
                _create(data, options)
            case "list":
                _list(data, every=options["all"], as_json=options["json"])
            case _:
                _revoke(data, options["ids"])
    except KeyFileError as error:
        raise KeysError(str(error)) from error
    return 0


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def _create(data: Path, options: Mapping[str, Any]) -> None:
    rights = _rights(options["rights"])
    tenants = None if options["all_tenants"] else _tenants(options["tenant"])
    expires = None if options["expires"] is None else _expiry(options["expires"])
    note: str = options["note"]
    if len(note) > _LONGEST_NOTE or not (note.isprintable() or not note):
        raise KeysError(f"--note must be one line of at most {_LONGEST_NOTE} characters")
    made = make_directory(data)
    first = read_keys(data) is None
    key = new_key()
    stored = StoredKey(
        id=id_of(key),
        sha256=hash_of(key).hex(),
        rights=rights,
        tenants="all" if tenants is None else tenants,
        created_at=_now(),
        expires_at=expires,
        revoked_at=None,
        note=note,
    )
    edit_keys(data, lambda keys: [*keys, stored])
    sys.stdout.write(f"{key}\n")
    sys.stdout.flush()
    if made:
        _say(f"{data} is new: serve it with `ingot serve --data {data}`")
    if first:
        _say("this is the first key: from now on every request needs one")
    until = "" if expires is None else f" until {_text(expires)}"
    _say(f"key {stored.id}: {_what(stored)}{until}. It is not shown again: only its hash is stored")


def _rights(text: str) -> list[Right]:
    asked = [name.strip() for name in text.split(",")]
    if unknown := [name for name in asked if name not in RIGHTS]:
        raise KeysError(f"--rights names {unknown[0]!r}: give some of {','.join(RIGHTS)}")
    return [right for right in RIGHTS if right in asked]


def _tenants(names: list[str]) -> list[str]:
    for name in names:
        try:
            check_tenant_ids(name, None)
        except InvalidId as error:
            raise KeysError(f"--tenant: {error}") from error
    return sorted(set(names))


def _expiry(text: str) -> datetime:
    now = _now()
    try:
        if span := _SPAN.fullmatch(text):
            when = now + timedelta(**{_SPANS[span[2]]: int(span[1])})
        else:
            # Python 3.10 does not know the `Z`.
            when = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
            # A time without a zone is UTC, like all our times.
            when = when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise KeysError(
            f"--expires {text!r} is no time: give 30m, 12h, 90d, 4w, a date 2031-01-31, or 2031-01-31T12:00:00Z"
        ) from None
    if when <= now:
        raise KeysError(f"--expires {_text(when)} is past")
    return when


def _text(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _what(key: StoredKey) -> str:
    tenants = "all tenants" if key.tenants == "all" else ", ".join(_shown(name) for name in key.tenants)
    return f"{','.join(key.rights)} on {tenants}"


def _shown(name: str) -> str:
    # No tenant's name may move the cursor of a terminal, or pass for two.
    return name if re.fullmatch(r"[\w.:/@+-]+", name, re.ASCII) else json.dumps(name)


def _status(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return (
        "expired" if key.expires_at is not None and key.expires_at <= datetime.now(timezone.utc) else "good"
    )


def _list(data: Path, *, every: bool, as_json: bool) -> None:
    stored = read_keys(data)
    if stored is None:
        if not data.is_dir():
            raise KeysError(f"{data} is no directory: name the one that is served")
        _say(f"no key was ever made for {data}: requests need none")
    keys = [key for key in stored or () if every or _status(key) == "good"]
    if as_json:
        sys.stdout.write(json.dumps([_public(key) for key in keys], indent=2) + "\n")
    elif keys:
        rows = [("ID", "STATUS", "CREATED", "EXPIRES", "RIGHTS", "NOTE"), *map(_row, keys)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            sys.stdout.write(line.rstrip() + "\n")


def _row(key: StoredKey) -> tuple[str, ...]:
    expires = "never" if key.expires_at is None else _text(key.expires_at)
    return key.id, _status(key), _text(key.created_at), expires, _what(key), key.note


def _public(key: StoredKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "status": _status(key),
        "rights": key.rights,
        "tenants": key.tenants,
        "created_at": _text(key.created_at),
        "expires_at": None if key.expires_at is None else _text(key.expires_at),
        "revoked_at": None if key.revoked_at is None else _text(key.revoked_at),
        "note": key.note,
    }


def _revoke(data: Path, named: list[str]) -> None:
    ids = [id_of(name) if is_whole(name) else name for name in named]
    now = _now()

    def change(keys: list[StoredKey]) -> list[StoredKey]:
        known = {key.id for key in keys}
        if unknown := [key_id for key_id in ids if key_id not in known]:
            # A key that was mistyped is not to be read in a terminal's history twice.
            shown = unknown[0] if len(unknown[0]) <= 12 else "what was given"
            raise KeysError(f"{shown!r} is the id of no key here, nothing was revoked; see `ingot keys list`")
        return [
            msgspec.structs.replace(key, revoked_at=now) if key.id in ids and key.revoked_at is None else key
            for key in keys
        ]

    if read_keys(data) is None:
        raise KeysError(f"no key was ever made for {data}: name the directory that is served")
    edit_keys(data, change)
    _say(f"revoked {', '.join(ids)}")


def _say(message: str) -> None:
    sys.stderr.write(f"ingot: {message}\n")
