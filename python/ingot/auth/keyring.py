"""The keys of a running server: read at start and again when another process changed them, asked with every request."""

import hmac
import math
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ingot.auth.admin_key import AdminKey
from ingot.auth.caller import Caller
from ingot.auth.key import hash_of, id_of, is_whole
from ingot.auth.key_file import KEYS, KeyFileError, StoredKey, edit_keys, parse_keys
from ingot.errors import Unauthenticated

__all__ = ["Keyring"]

# A look at the file's times costs about as much as a whole check of a key: not with every request.
_LOOK_SECONDS = 0.25

Stamp = tuple[int, int, int, int]


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class _Held(NamedTuple):
    hash: bytes
    caller: Caller
    expires: float
    revoked: bool


class Keyring:
    """Knows a key when it sees one. Not for threads."""

    def __init__(self, data: Path, admin: AdminKey | None, tell: Callable[[str], None]) -> None:
        """Reads the keys of a data directory; `tell` hears of changes. Raises `KeyFileError`."""
        self._path = data / KEYS
        self._tell = tell
        self._keys: dict[str, _Held] = {}
        self._admin = None if admin is None else _Held(admin.hash, _administrator(admin), math.inf, False)
        self._protected = admin is not None
        self._stamp: Stamp | None = None
        self._next_look = -math.inf
        self._complaint = ""
        # What a key is compared with when its id is not known: that takes as long, and is never equal.
        self._stranger = _Held(
            secrets.token_bytes(32), Caller("-", frozenset(), frozenset()), math.inf, False
        )
        self._read()

    @property
    def protected(self) -> bool:
        """Whether a key was ever made. Never becomes false again."""
        return self._protected

    def look(self, now: float) -> None:
        """Reads the keys again if they changed; `now` in seconds of any clock, the same one each time."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        try:
            if (there := self._there()) == self._stamp:
                return
            # Remembered even if it cannot be read: it is judged once.
            self._stamp = there
            self._read()
            said = f"{self._path} has changed, keys in it: {len(self._keys)}"
        except KeyFileError as error:
            said = f"{error}; until then the keys read before hold"
            if said == self._complaint:
                return
            self._complaint = said
        self._tell(said)

    def caller(self, key: str) -> Caller:
        """Whose key this is; raises `Unauthenticated` for none, or one that is no longer good."""
        if not key.isascii():
            raise _unknown(key)
        sent = hash_of(key)
        held = self._keys.get(id_of(key), self._stranger)
        if not hmac.compare_digest(sent, held.hash):
            # The key given at start need not have an id.
            held = self._admin or self._stranger
            if not hmac.compare_digest(sent, held.hash):
                raise _unknown(key)
        if held.revoked:
            raise _stale(f"the key `{held.caller.key_id}` was revoked: use another")
        if time.time() >= held.expires:
            raise _stale(f"the key `{held.caller.key_id}` has expired: use another")
        return held.caller

    def remember_protection(self) -> None:
        """Leaves a mark in a data directory that was given its first key at start. Raises `KeyFileError`."""
        if self._protected and self._stamp is None:
            edit_keys(self._path.parent, lambda keys: keys)
            self._read()

    def _there(self) -> Stamp | None:
        try:
            return _stamp(self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise KeyFileError(f"cannot read {self._path}: {error.strerror}") from error

    def _read(self) -> None:
        try:
            with self._path.open("rb") as file:
                self._stamp = _stamp(os.fstat(file.fileno()))
                keys = parse_keys(file.read(), self._path)
        except (FileNotFoundError, NotADirectoryError):
            self._stamp = None
            if self._keys:
                raise KeyFileError(f"{self._path} is gone: restore it") from None
            return
        except OSError as error:
            raise KeyFileError(f"cannot read {self._path}: {error.strerror}") from error
        self._keys = {key.id: _held(key) for key in keys}
        self._protected = True
        self._complaint = ""


def _administrator(admin: AdminKey) -> Caller:
    return Caller(admin.id, frozenset({"admin"}), None)


def _held(key: StoredKey) -> _Held:
    tenants = None if key.tenants == "all" else frozenset(key.tenants)
    return _Held(
        bytes.fromhex(key.sha256),
        Caller(key.id, frozenset(key.rights), tenants),
        math.inf if key.expires_at is None else key.expires_at.timestamp(),
        key.revoked_at is not None,
    )


def _stale(message: str) -> Unauthenticated:
    return Unauthenticated(message, challenge='Bearer realm="ingot", error="invalid_token"')


def _unknown(key: str) -> Unauthenticated:
    if is_whole(key):
        return _stale("this key is not known here: was it made for another data directory?")
    return _stale(
        "this is not a whole key: send all of `ingot_<id>_<secret>` as it was shown when it was made"
    )
