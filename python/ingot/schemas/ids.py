"""Ids: any text of 1..n bytes of UTF-8 without control characters, compared as bytes."""

import re

from ingot import limits
from ingot.errors import InvalidId

__all__ = ["check_chunk_id", "check_chunk_ids", "check_source_id", "check_tenant_ids"]

# Unicode category Cc, all of it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def _check(field: str, value: str, most: int) -> None:
    if value.isascii() and value.isprintable() and 0 < len(value) <= most:
        return
    if not value:
        raise InvalidId(f"`{field}` is empty, it must be 1..{most} bytes of UTF-8", field=field)
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidId(
            f"`{field}` holds a lone surrogate at character {error.start}: it is no text", field=field
        ) from None
    if size > most:
        raise InvalidId(f"`{field}` is {size} bytes of UTF-8, at most {most} are allowed", field=field)
    control = _CONTROL.search(value)
    if control:
        raise InvalidId(
            f"`{field}` holds the control character U+{ord(control.group()):04X} at character {control.start()}: "
            "leave it out",
            field=field,
        )


def check_tenant_ids(tenant_id: str, sub_tenant_id: str | None) -> None:
    """Raises `InvalidId` unless both are names a tenant and a sub-tenant may have."""
    _check("tenant_id", tenant_id, limits.MAX_TENANT_ID)
    if sub_tenant_id:
        _check("sub_tenant_id", sub_tenant_id, limits.MAX_TENANT_ID)


def check_source_id(field: str, value: str) -> None:
    """Raises `InvalidId` unless `value` may name a source; `field` is what the client calls it."""
    _check(field, value, limits.MAX_SOURCE_ID)


def check_chunk_id(field: str, value: str) -> None:
    """Raises `InvalidId` unless `value` may name a chunk; `field` is where the client names it."""
    _check(field, value, limits.MAX_CHUNK_ID)


def check_chunk_ids(values: list[str]) -> None:
    """Raises `InvalidId` unless every one may name a chunk."""
    for index, value in enumerate(values):
        check_chunk_id(f"chunk_ids[{index}]", value)
