"""What a request struct's fields are called and which values they take; and the errors that say so."""

import difflib
import functools
import math
from typing import Any, NoReturn, TypeVar, cast, get_type_hints

import msgspec
from msgspec import Raw

from ingot.errors import UnknownField, WrongType

__all__ = ["convert", "field_types", "forgiving", "is_strict", "json_type", "refuse_unknown"]

S = TypeVar("S", bound=msgspec.Struct)

# The type of a field -> what the client is told belongs there.
_WORDS: dict[Any, str] = {
    str | None: "a string",
    int | None: "an integer",
    float | None: "a number",
    bool | None: "true or false",
    list[str] | None: "a list of strings",
    Raw: "a JSON value",
}


@functools.cache
def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Name -> type of every field, without what its kind says of it."""
    bare = get_type_hints(struct)
    return {field.encode_name: bare[field.name] for field in msgspec.structs.fields(struct)}


def is_strict(struct: type[msgspec.Struct]) -> bool:
    """Whether a name that is no field of the struct is an error; otherwise it is ignored."""
    return struct.__struct_config__.forbid_unknown_fields


@functools.cache
def _forgiving(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        f"Older{struct.__name__}", [], bases=(struct,), forbid_unknown_fields=False, kw_only=True
    )


def forgiving(struct: type[S]) -> type[S]:
    """The struct, or one like it, that ignores names it does not know."""
    return cast(type[S], _forgiving(struct)) if is_strict(struct) else struct


def words(kind: Any) -> str:
    """What belongs into a field of this type."""
    return _WORDS.get(kind, "another value")


def json_type(value: object) -> str:
    """What JSON calls the type of a parsed value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def refuse_unknown(struct: Any, name: str, what: str = "field") -> NoReturn:
    """Raises the error for a name that is no field: the nearest known one is named."""
    if name in struct.VECTORS:
        raise UnknownField(f"`{name}` cannot be a {what}: send it as the body", field=name)
    near = difflib.get_close_matches(name, field_types(struct), n=1, cutoff=0.5)
    shown = name if len(name) <= 100 else name[:100] + "..."
    hint = f"; did you mean `{near[0]}`?" if near else "; known are " + ", ".join(field_types(struct))
    # A lone surrogate cannot be answered.
    shown = shown.encode(errors="backslashreplace").decode()
    raise UnknownField(f"unknown {what} `{shown}`{hint}", field=shown)


def convert(name: str, kind: Any, value: Any) -> Any:
    """`value`, which JSON gave, if it is of a field's type; raises `WrongType` naming the field."""
    if kind == list[str] | None and isinstance(value, list):
        for index, item in enumerate(value):
            if not isinstance(item, str):
                refuse_type(f"{name}[{index}]", str | None, json_type(item))
        return value
    if isinstance(value, float) and not math.isfinite(value):
        refuse_type(name, kind, "a number that no double holds")
    # 1.0 is an integer, as JSON Schema has it.
    if kind == int | None and isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        refuse_type(name, kind, json_type(value))


def refuse_type(name: str, kind: Any, got: str) -> NoReturn:
    """Raises `WrongType` for a field."""
    expected = words(kind)
    raise WrongType(f"`{name}`: expected {expected}, got {got}", field=name, expected=expected, got=got)
