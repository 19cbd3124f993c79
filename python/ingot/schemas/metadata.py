"""`document_metadata`, or `metadata` of a document: a JSON object kept as the text that was sent."""

import json
import re
from typing import Any

from ingot import limits
from ingot.errors import MalformedJson, MetadataTooLarge, WrongType

__all__ = ["check_metadata", "metadata_file_id", "metadata_from_parameter"]

FIELD = "document_metadata"

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKET = re.compile(rb"[^][{}]+")


def check_metadata(text: bytes, field: str = FIELD) -> None:
    """Raises unless valid JSON `text` is an object within its size and depth; `field` is what the client calls it."""
    if not text.startswith(b"{"):
        raise WrongType(f"`{field}`: expected an object", field=field, expected="an object")
    if len(text) > limits.MAX_METADATA:
        raise MetadataTooLarge(
            f"`{field}` is {len(text)} bytes of JSON, at most {limits.MAX_METADATA} are allowed",
            field=field,
            limit=limits.MAX_METADATA,
        )
    # As many opening brackets as levels allowed cannot nest deeper than that.
    if (
        text.count(b"{") + text.count(b"[") > limits.MAX_METADATA_LEVELS
        and _levels(text) > limits.MAX_METADATA_LEVELS
    ):
        raise WrongType(
            f"`{field}` nests {_levels(text)} levels, at most {limits.MAX_METADATA_LEVELS} are allowed",
            field=field,
            limit=limits.MAX_METADATA_LEVELS,
        )


def _levels(text: bytes) -> int:
    level = deepest = 0
    for bracket in _NOT_BRACKET.sub(b"", _STRING.sub(b"", text)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def metadata_from_parameter(text: str) -> bytes:
    """The bytes of metadata that came as a query parameter, checked to be JSON."""
    try:
        # Numbers stay text: only the grammar matters.
        value = json.loads(text, parse_constant=_refuse_constant, parse_int=str, parse_float=str)
        # As the body reader does: an escaped lone surrogate is no text.
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"the parameter `{FIELD}` is not valid JSON at character {error.pos}: {error.msg}", field=FIELD
        ) from None
    except UnicodeEncodeError:
        raise MalformedJson(f"the parameter `{FIELD}` holds a lone surrogate", field=FIELD) from None
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"the parameter `{FIELD}` is not valid JSON: {error}", field=FIELD) from None
    return text.strip(" \t\r\n").encode()


def _number(text: str) -> object:
    return ...


def metadata_file_id(text: bytes) -> str | None:
    """The `file_id` inside the metadata, which names the source as the field of that name does."""
    # An escape may hide the name.
    if b"file_id" not in text and b"\\u" not in text:
        return None
    value = json.loads(text.decode(), parse_int=_number, parse_float=_number).get("file_id")
    if value is not None and not isinstance(value, str):
        raise WrongType(
            f"`{FIELD}.file_id`: expected a string, it names the source",
            field=f"{FIELD}.file_id",
            expected="a string",
        )
    return value
