"""The envelope: the JSON that is left of a body when its vectors are taken out, read into a request struct.

A document that fits is decoded in one go; only one that does not is walked through for the words of its error.
"""

import functools
import json
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from ingot.errors import MalformedJson, WrongType
from ingot.schemas.fields import convert, field_types, is_strict, json_type, refuse_unknown

__all__ = ["read_envelope"]

T = TypeVar("T", bound=msgspec.Struct)


@functools.cache
def _decoder(struct: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(struct)


_scan = json.JSONDecoder().raw_decode
_WHITE = " \t\r\n"


def read_envelope(struct: type[T], text: bytes) -> T:
    """`text` as a `struct`; raises the error that names the field when it is none."""
    try:
        request: T = _decoder(struct).decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        request = _explain(struct, text)
    return request


def _explain(struct: Any, text: bytes) -> Any:
    """Raises what is wrong with `text`; returns the struct when nothing is (a lone surrogate in metadata)."""
    try:
        members = _members(text.decode())
    except WrongType:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"not valid JSON: {error}") from None
    types = field_types(struct)
    for name in [name for name in members if name not in types]:
        if is_strict(struct):
            refuse_unknown(struct, name)
        del members[name]
    return struct(
        **{
            name: raw if types[name] is Raw else convert(name, types[name], value)
            for name, (value, raw) in members.items()
        }
    )


def _members(text: str) -> dict[str, tuple[Any, Raw]]:
    """The members of the object that `text` is: name -> (value, its text)."""
    value, _ = _scan(text.lstrip(_WHITE))
    if not isinstance(value, dict):
        raise WrongType(f"the body: expected an object, got {json_type(value)}", expected="an object")
    members: dict[str, tuple[Any, Raw]] = {}
    at = text.index("{") + 1
    while True:
        at = _skip(text, at)
        if text[at] == "}":
            return members
        name, at = _scan(text, at)
        at = _skip(text, _skip(text, at) + 1)
        value, end = _scan(text, at)
        members[name] = (value, Raw(text[at:end].encode()))
        at = _skip(text, end)
        if text[at] == ",":
            at += 1


def _skip(text: str, at: int) -> int:
    while text[at] in _WHITE:
        at += 1
    return at
