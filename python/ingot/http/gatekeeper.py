"""Who is let in: by their key, or, while there is none, by coming from this machine."""

from multidict import CIMultiDictProxy

from ingot.auth.caller import EVERYONE, NOBODY, Caller
from ingot.auth.keyring import Keyring
from ingot.errors import Unauthenticated
from ingot.http.guard import LoopbackGuard

__all__ = ["Gatekeeper"]


class Gatekeeper:
    """Judges a request by its headers, before anything else of it is looked at."""

    __slots__ = ("_guard", "_keyring")

    def __init__(self, keyring: Keyring, guard: LoopbackGuard | None) -> None:
        """`guard` watches while no key was ever made; None: everyone is let in then."""
        self._keyring = keyring
        self._guard = guard

    def admit(self, headers: CIMultiDictProxy[str], open_to_all: bool, now: float) -> Caller:
        """Whom the request comes from; raises `Unauthenticated` or `Forbidden`. `now` as in `Keyring.look`."""
        keyring = self._keyring
        keyring.look(now)
        if not keyring.protected:
            if self._guard is not None:
                self._guard.check(headers.get("Host"), headers.get("Origin"))
            return EVERYONE
        if open_to_all:
            return NOBODY
        return keyring.caller(_key(headers.getall("Authorization", ())))


def _key(sent: "list[str] | tuple[()]") -> str:
    """The key in the `Authorization` header; no error repeats what was sent."""
    if not sent:
        raise Unauthenticated("this server wants a key: send `Authorization: Bearer ingot_...`")
    if len(sent) > 1:
        raise Unauthenticated("`Authorization` was sent twice: send one")
    scheme, _, key = sent[0].partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthenticated("`Authorization` is not `Bearer ingot_...`")
    return key.strip()
