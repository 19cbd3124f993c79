"""Whether what a server answered is among what its document says it answers."""

import functools
import json
from typing import Any
from urllib.parse import unquote

from ingot.http.app import table
from ingot.http.first_age import FirstAge
from ingot.http.monitoring import Monitoring
from ingot.http.operations import OPERATIONS, Operation, refusals
from ingot.http.pages import Pages


@functools.cache
def routes() -> dict[str, dict[str, Any]]:
    """The server's own table, of handlers that nobody will call."""
    handlers = (FirstAge.__new__(FirstAge), Pages.__new__(Pages), Monitoring.__new__(Monitoring))
    return dict(table(*handlers))


def operation_of(method: str, path: str) -> Operation | None:
    """What answers; None where nothing does."""
    handler = routes().get(unquote(path.partition("?")[0]), {}).get(method)
    return None if handler is None else OPERATIONS[handler.__name__]


def undocumented(method: str, path: str, status: int, body: bytes) -> str | None:
    """What the document does not say of an answer, in words; None when it says all."""
    operation = operation_of(method, path)
    if operation is None or method == "HEAD" or status == operation.status:
        return None
    code = json.loads(body)["detail"]["error_code"]
    if code in refusals(operation).get(status, ()):
        return None
    return f"{method} {path[:100]} answers {status} {code}, and `ingot.http.operations` does not say so"
