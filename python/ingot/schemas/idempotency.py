"""`Idempotency-Key`: the id of a source that is made of the key, so that nothing has to be remembered."""

import hashlib
import re
from collections.abc import Sequence

from ingot import limits
from ingot.errors import ConflictingFields, WrongType

__all__ = ["HEADER", "check_key", "derived_file_id"]

HEADER = "Idempotency-Key"

# The name of the sub-tenant that a request means which names none.
_DEFAULT_SUB_TENANT = "default"
_VISIBLE = re.compile(rf"[!-~]{{1,{limits.MAX_IDEMPOTENCY_KEY}}}", re.ASCII)


def check_key(sent: Sequence[str]) -> str | None:
    """The key of a request, whose headers of that name were `sent`; None without."""
    for key in sent:
        if not _VISIBLE.fullmatch(key):
            raise WrongType(
                f"`{HEADER}`: expected 1..{limits.MAX_IDEMPOTENCY_KEY} visible ASCII characters", field=HEADER
            )
    if len(set(sent)) > 1:
        raise ConflictingFields(f"`{HEADER}` is there twice and differs: send it once", field=HEADER)
    return sent[0] if sent else None


def derived_file_id(tenant_id: str, sub_tenant_id: str | None, key: str) -> str:
    """`emb_` and 128 bits of the SHA-256 of tenant, sub-tenant and key, each behind its length in bytes.

    >>> derived_file_id("demo", None, "order-17") == derived_file_id("demo", "default", "order-17")
    True
    """
    digest = hashlib.sha256()
    for part in (tenant_id, sub_tenant_id or _DEFAULT_SUB_TENANT, key):
        octets = part.encode()
        digest.update(len(octets).to_bytes(4, "little") + octets)
    return f"emb_{digest.hexdigest()[:32]}"
