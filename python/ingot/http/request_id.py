"""Request ids: the client's own when it is valid, else a ULID (https://github.com/ulid/spec)."""

import functools
import random
import re
import time

from ingot import limits

__all__ = ["request_id"]

_VISIBLE = re.compile(rf"[!-~]{{1,{limits.MAX_REQUEST_ID}}}", re.ASCII)
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_bits = random.SystemRandom().getrandbits(128)
_random = random.Random(_bits)


def request_id(sent: str | None) -> str:
    """`sent`, if it is 1..128 visible ASCII characters, else a fresh id."""
    if sent is not None and _VISIBLE.fullmatch(sent):
        return sent
    number = _random.getrandbits(80)
    pairs = _PAIRS
    return (
        f"{_time_part(time.time_ns() // 1_000_000)}{pairs[number >> 70]}{pairs[number >> 60 & 1023]}"
        f"{pairs[number >> 50 & 1023]}{pairs[number >> 40 & 1023]}{pairs[number >> 30 & 1023]}"
        f"{pairs[number >> 20 & 1023]}{pairs[number >> 10 & 1023]}{pairs[number & 1023]}"
    )


@functools.lru_cache(maxsize=1)
def _time_part(milliseconds: int) -> str:
    return "".join([_PAIRS[milliseconds >> shift & 1023] for shift in range(40, -1, -10)])
