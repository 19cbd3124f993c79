"""The key that a server is given at start (`INGOT_ADMIN_KEY`, `admin_key_file`): admin on all tenants, kept nowhere."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ingot.auth.key import has_shape, hash_of, id_of, is_whole

__all__ = ["ADMIN_KEY", "AdminKey", "AdminKeyError", "read_admin_key"]

#: No flag: the command line of a process is everyone's to read.
ADMIN_KEY = "INGOT_ADMIN_KEY"

# Somebody chose it, and we hash fast: it must be long enough to have been drawn rather than thought of. Without `"` and
# `\`, which a log would write in another way.
_LONG_ENOUGH = re.compile(r"[!#-\[\]-~]{32,255}", re.ASCII)


class AdminKeyError(Exception):
    """A key at start that is none; the message is one line without the key."""


class AdminKey(NamedTuple):
    """The key as the server keeps it, and its text, which no log may show."""

    id: str
    hash: bytes
    text: str


def read_admin_key(environment: Mapping[str, str], file: Path | None) -> AdminKey | None:
    """The key from the variable or the file; None when neither is given. An empty one is an error, not none."""
    given = environment.get(ADMIN_KEY)
    if given is not None and file is not None:
        raise AdminKeyError(f"{ADMIN_KEY} and --admin-key-file are both given: leave one out")
    if file is not None:
        try:
            return _admin_key(file.read_text(encoding="utf-8").strip(), f"--admin-key-file {file}")
        except UnicodeDecodeError as error:
            raise AdminKeyError(f"--admin-key-file {file} is not text") from error
        except OSError as error:
            raise AdminKeyError(f"cannot read --admin-key-file {file}: {error.strerror}") from error
    return None if given is None else _admin_key(given.strip(), ADMIN_KEY)


def _admin_key(text: str, source: str) -> AdminKey:
    if not _LONG_ENOUGH.fullmatch(text):
        raise AdminKeyError(
            f"{source} must be 32..255 visible ASCII characters, no quotes or backslashes; "
            "`openssl rand -hex 32` makes some"
        )
    if has_shape(text) and not is_whole(text):
        raise AdminKeyError(
            f"{source} looks like a key of ingot, but its checksum does not fit: was it mistyped?"
        )
    return AdminKey(id_of(text) if has_shape(text) else "admin", hash_of(text), text)
