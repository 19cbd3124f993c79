"""`keys.json` in the data directory: the hashes of keys and what they may do; drawn in `docs/format.md`.

It is the one file there that a process without the directory's lock may change: always as a whole, by renaming.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ingot.auth.caller import Right

__all__ = ["KEYS", "KeyFileError", "StoredKey", "edit_keys", "make_directory", "parse_keys", "read_keys"]

KEYS = "keys.json"
VERSION = 1

_NEW = "keys.json.new"
_OURS = {KEYS, _NEW, "FORMAT", "LOCK", "tenants", "tmp", "trash"}

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Keys = list["StoredKey"]


class KeyFileError(Exception):
    """Keys that cannot be read or stored; the message is one line that says what to do."""


class StoredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key. What would give more than was meant is required, so that a file that lost a line grants nothing."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-z]{12}$")]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    rights: list[Right]
    tenants: list[str] | Literal["all"]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    note: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    keys: list[StoredKey]


class _Version(msgspec.Struct):
    version: int


def parse_keys(text: bytes, path: Path) -> Keys:
    """The keys in the text of a `keys.json`."""
    try:
        if (version := msgspec.json.decode(text, type=_Version).version) != VERSION:
            raise KeyFileError(
                f"{path} has version {version}, this ingot reads {VERSION}: use the ingot that wrote it"
            )
        keys = msgspec.json.decode(text, type=_File).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path} is damaged ({error}): restore it; without it nobody is let in") from error
    if len({key.id for key in keys}) != len(keys):
        raise KeyFileError(f"{path} is damaged (an id stands there twice): restore it")
    return keys


def read_keys(data: Path) -> Keys | None:
    """The keys of a data directory; None where none was ever made."""
    path = data / KEYS
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
    return parse_keys(text, path)


def make_directory(data: Path) -> bool:
    """Makes a directory that a server will fill, where there is none; whether it did. Refuses one of something else."""
    try:
        data.mkdir(parents=True)
        return True
    except FileExistsError:
        pass
    except OSError as error:
        raise KeyFileError(f"cannot make {data}: {error.strerror}; name another directory") from error
    try:
        names = sorted(entry.name for entry in data.iterdir())
    except OSError as error:
        raise KeyFileError(f"cannot read {data}: {error.strerror}") from error
    foreign = [name for name in names if name not in _OURS]
    if foreign and "FORMAT" not in names:
        raise KeyFileError(
            f"{data} is not an ingot data directory: it holds {foreign[0]!r}; name the one that is served"
        )
    return False


def edit_keys(data: Path, change: Callable[[Keys], Keys]) -> Keys:
    """Replaces the keys by what `change` makes of them, durably and all at once; two who do wait for each other.

    Works beside a server that has the directory open.
    """
    try:
        with _alone(data) as folder:
            keys = change(read_keys(data) or [])
            _replace(folder, keys)
            return keys
    except OSError as error:
        hint = f"; run this as the user who owns {data}" if isinstance(error, PermissionError) else ""
        raise KeyFileError(f"cannot write {data / KEYS}: {error.strerror}{hint}") from error


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[int]:
    # The directory itself, not LOCK: that one is the server's.
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)


def _replace(folder: int, keys: Keys) -> None:
    text = msgspec.json.format(msgspec.json.encode(_File(VERSION, keys)), indent=2) + b"\n"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=folder)  # of someone who was cut off
    file = os.open(_NEW, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        owner = os.fstat(folder)
        if owner.st_uid != os.geteuid():
            # The server must be able to read what an administrator writes.
            os.fchown(file, owner.st_uid, owner.st_gid)
        view = memoryview(text)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
        os.rename(_NEW, KEYS, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(_NEW, dir_fd=folder)
        raise
    finally:
        os.close(file)
    os.fsync(folder)
