"""The loopback guard: while no key protects the data, only programs of this machine are answered.

A web page could still reach a loopback port through the browser: by a name that resolves to it (DNS rebinding,
seen in `Host`) or across origins (seen in `Origin`).
"""

import functools
import ipaddress
from urllib.parse import urlsplit

from ingot.errors import Forbidden

__all__ = ["LoopbackGuard", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine, by itself and without asking DNS."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


@functools.lru_cache(maxsize=256)
def _split(authority: str) -> tuple[str, int | None]:
    """Host and port of `host[:port]`; the host is "" when that is nonsense."""
    try:
        parts = urlsplit("//" + authority)
        if parts.path or parts.query or parts.fragment or parts.username is not None:
            return "", None
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None


@functools.lru_cache(maxsize=256)
def _names_loopback(authority: str) -> bool:
    return is_loopback(_split(authority)[0])


class LoopbackGuard:
    """Refuses what does not come from this machine."""

    __slots__ = ("_origins",)

    def __init__(self, origins: tuple[str, ...] = ()) -> None:
        """`origins` are of pages that are let in all the same; each by its name, `*` is none."""
        self._origins = frozenset(origins)

    def check(self, host: str | None, origin: str | None) -> None:
        """Raises `Forbidden` unless `Host` and `Origin`, where sent, name this machine and this server."""
        if host is not None and not _names_loopback(host):
            raise Forbidden(
                "the Host header does not name this machine: without keys the server answers loopback names only "
                "(127.0.0.1, localhost, [::1]); `ingot keys create` makes one, `ingot serve --insecure` lifts that"
            )
        if origin is not None and origin not in self._origins and not _same_server(origin, host):
            raise Forbidden("requests from web pages of another origin are refused")


def _same_server(origin: str, host: str | None) -> bool:
    scheme, separator, authority = origin.partition("://")
    default = {"http": 80, "https": 443}.get(scheme)
    if not separator or default is None or host is None:
        return False
    name, port = _split(authority)
    return is_loopback(name) and (port or default) == (_split(host)[1] or default)
