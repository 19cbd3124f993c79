"""Query strings: form-encoded UTF-8, read into the same structs as envelopes."""

from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from msgspec import Raw

from ingot.errors import ConflictingFields, MalformedBody
from ingot.schemas.fields import field_types, is_strict, refuse_type, refuse_unknown
from ingot.schemas.metadata import metadata_from_parameter

__all__ = ["DEFAULT_SUB_TENANT", "merge", "read_parameters"]

T = TypeVar("T")

#: The sub-tenant of a request that names none.
DEFAULT_SUB_TENANT = "default"

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def read_parameters(struct: Any, query: str, *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Field -> value for every parameter of `query`; `but` names fields that no parameter may give."""
    values: dict[str, Any] = {}
    if not query:
        return values
    types = field_types(struct)
    for pair in query.split("&"):
        if not pair:
            continue
        raw_name, _, raw_text = pair.partition("=")
        name, text = _unquote(raw_name), _unquote(raw_text)
        kind = types.get(name)
        if kind is None or name in but:
            if is_strict(struct):
                refuse_unknown(struct, name, "parameter")
            continue
        if kind == list[str] | None:
            values.setdefault(name, []).append(text)
            continue
        if name in values:
            raise MalformedBody(f"the parameter `{name}` is given twice", field=name)
        values[name] = _value(name, kind, text)
    return values


def _unquote(text: str) -> str:
    octets = unquote_to_bytes(text.replace("+", " ").encode(errors="surrogateescape"))
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise MalformedBody("the query string is not UTF-8") from None


def _value(name: str, kind: Any, text: str) -> Any:
    if kind == str | None:
        return text
    if kind is Raw:
        return Raw(metadata_from_parameter(text))
    if kind == bool | None:
        if text in _BOOLEANS:
            return _BOOLEANS[text]
    elif kind == int | None:
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 20:
            return int(text)
    elif kind == float | None:
        number = _number(text)
        if number is not None:
            return number
    refuse_type(name, kind, f"'{text[:40]}'")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    # Python also reads "1_0", "inf" and "nan".
    return number if "_" not in text and number - number == 0 else None


def merge(request: T, values: dict[str, Any]) -> T:
    """`request` with the values of parameters in its empty fields; two different values are an error."""
    for name, value in values.items():
        given = getattr(request, name)
        if _absent(given):
            setattr(request, name, value)
        elif not _same(name, given, value):
            raise ConflictingFields(
                f"`{name}` differs between the body and the query parameter: send it once", field=name
            )
    return request


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, Raw) and bytes(value) in (b"", b"null"))


def _same(name: str, given: Any, value: Any) -> bool:
    if isinstance(given, Raw):
        return bytes(given) == bytes(value)
    if name == "sub_tenant_id":
        # The default one has two spellings.
        return bool((given or DEFAULT_SUB_TENANT) == (value or DEFAULT_SUB_TENANT))
    return bool(given == value)
