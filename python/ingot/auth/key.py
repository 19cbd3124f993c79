"""The text of a key: `ingot_<id>_<secret>`.

The id (12 of a-z and 0-9) is public. The secret is 256 random bits as 43 digits of base 62, and 6 more digits: the
CRC-32 of all that stands before them, so that a scanner of leaked secrets tells a key from what only looks like one,
and we a mistyped key from one that is not known.
"""

import hashlib
import re
import secrets
import string
import zlib

__all__ = ["KEY_PATTERN", "has_shape", "hash_of", "id_of", "is_whole", "new_key", "redacted"]

PREFIX = "ingot_"
ID_LENGTH = 12

_ID_DIGITS = string.digits + string.ascii_lowercase
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_BITS = 256
_SECRET_LENGTH = 43  # 62 ** 43 > 2 ** 256 > 62 ** 42
_CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32

#: What a scanner of leaked secrets looks for.
KEY_PATTERN = r"ingot_[0-9a-z]{12}_[0-9A-Za-z]{49}"

_WHOLE = re.compile(KEY_PATTERN, re.ASCII)
# A key that was cut is not to be read in a log either.
_ANYWHERE = re.compile(r"(ingot_[0-9a-z]{12}_)[0-9A-Za-z]+", re.ASCII)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_LENGTH)


def new_key() -> str:
    """A key that nobody has."""
    key_id = "".join(secrets.choice(_ID_DIGITS) for _ in range(ID_LENGTH))
    text = f"{PREFIX}{key_id}_{_base62(secrets.randbits(_SECRET_BITS), _SECRET_LENGTH)}"
    return text + _checksum(text)


def has_shape(text: str) -> bool:
    """Whether a text looks like a key, its checksum apart."""
    return _WHOLE.fullmatch(text) is not None


def is_whole(text: str) -> bool:
    """Whether a text is a key as we make them, its checksum included."""
    return has_shape(text) and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def id_of(text: str) -> str:
    """The id within the text of a key; nonsense for other text."""
    return text[len(PREFIX) : len(PREFIX) + ID_LENGTH]


def hash_of(text: str) -> bytes:
    """What is stored of a key: SHA-256, 32 bytes.

    Nothing slower: a slow hash makes guessing costly where few texts are likely, and 256 random bits are not guessed.
    """
    return hashlib.sha256(text.encode()).digest()


def redacted(text: str) -> str:
    """A text with the secrets of all keys in it taken out; their ids stay."""
    return _ANYWHERE.sub(r"\1***", text) if PREFIX in text else text
