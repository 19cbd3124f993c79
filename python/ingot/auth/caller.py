"""Whom a request comes from, as far as it matters: which rights, on which tenants."""

from typing import Literal, get_args

from ingot.errors import Forbidden

__all__ = ["EVERYONE", "NOBODY", "RIGHTS", "Caller", "Right"]

#: `write` is uploads and deletes, not reading back; `admin` is all three, and tenants themselves.
Right = Literal["read", "write", "admin"]

RIGHTS: tuple[Right, ...] = get_args(Right)


class Caller:
    """The holder of a key. What it may do is decided by names alone: no tenant is looked up for it."""

    __slots__ = ("key_id", "rights", "tenants")

    def __init__(self, key_id: str, rights: frozenset[Right], tenants: frozenset[str] | None) -> None:
        """`tenants` None is all, those to come included."""
        self.key_id = key_id
        self.rights: frozenset[Right] = frozenset(RIGHTS) if "admin" in rights else rights
        self.tenants = tenants

    def check_right(self, right: Right) -> None:
        """Raises `Forbidden` unless the caller has the right on any tenant at all."""
        if right not in self.rights:
            raise Forbidden(f"this takes a key with the right `{right}`; `{self.key_id}` does not have it")

    def check_everywhere(self) -> None:
        """Raises `Forbidden` unless the caller's rights are on all tenants."""
        if self.tenants is not None:
            raise Forbidden(f"this takes a key for all tenants; `{self.key_id}` is for named ones")

    def check_tenant(self, tenant_id: str) -> None:
        """Raises `Forbidden` unless the caller's rights are on this tenant, which need not exist."""
        if self.tenants is not None and tenant_id not in self.tenants:
            # The same text for every such tenant, whatever there is to know about it.
            raise Forbidden(f"the key `{self.key_id}` has no rights on this tenant", field="tenant_id")


#: Every request, while no key was ever made.
EVERYONE = Caller("-", frozenset(RIGHTS), None)
#: Whoever asks for what needs no key.
NOBODY = Caller("-", frozenset(), frozenset())
