"""The body reader once more: slow, strict, from the grammar of RFC 8259, exact by rational arithmetic.

Nothing of Python's own `json` or `float` is used: they accept what the contract refuses, and round twice.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from tests.body.reference_binary import KEYS, BinaryForm

MAX_COLUMNS = 3024
MAX_ROWS = {"insert": 2000, "search": 1000}
MAX_NESTING = 64
MAX_FIELDS = 1000
MAX_KEY = 4096

WHITE = b" \t\n\r"
DIGITS = b"0123456789"
INFINITE = 0x7F800000
NAMES = {
    ord("["): "an array",
    ord("{"): "an object",
    ord('"'): "a string",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord("n"): "null",
    ord("-"): "a number",
    **dict.fromkeys(DIGITS, "a number"),
}


class Refused(Exception):
    """The verdict on a broken body: the engine's kind of error and its structure."""

    def __init__(self, kind: str, **fields: Any) -> None:
        super().__init__(kind, fields)
        self.kind = kind
        self.fields = fields


@dataclass
class Read:
    """The verdict on a good body; numbers as the bits of float32."""

    envelope: bytes
    rows: list[list[int]]


def read(text: bytes, purpose: str) -> Read:
    """Reads a whole body or raises `Refused`."""
    return Reader(text, purpose).body()


def float32_bits(negative: bool, digits: str, exponent: int) -> int:
    """Bits of the float32 nearest to digits * 10**exponent, ties to even; infinite when it overflows."""
    sign = 1 << 31 if negative else 0
    digits = digits.lstrip("0")
    if not digits or len(digits) + exponent < -60:
        return sign
    if len(digits) + exponent > 60:
        return sign | INFINITE
    value = Fraction(int(digits)) * Fraction(10) ** exponent
    # 2**power <= value, as long as that is a normal number.
    power = value.numerator.bit_length() - value.denominator.bit_length()
    if Fraction(2) ** power > value:
        power -= 1
    power = max(power, -126)
    significand = round(value / Fraction(2) ** (power - 23))
    if significand == 1 << 24:
        significand >>= 1
        power += 1
    if power > 127:
        return sign | INFINITE
    if significand < 1 << 23:
        return sign | significand
    return sign | (power + 127) << 23 | significand - (1 << 23)


class Reader:
    """Recursive descent over the whole text; `at` is the byte it stands at."""

    def __init__(self, text: bytes, purpose: str) -> None:
        self.text = text
        self.purpose = purpose
        self.at = 0
        self.depth = 0
        self.rows: list[list[int]] = []
        self.begun = 0
        self.most_rows = MAX_ROWS[purpose]
        # What is not copied to the envelope: (from, to, what stands there instead).
        self.taken: list[tuple[int, int, str]] = []

    def body(self) -> Read:
        self.space()
        self.belongs("{", "an object", "body")
        self.object(self.top_level, limit=MAX_FIELDS, unique="")
        while self.at < len(self.text):
            if self.text[self.at] not in WHITE:
                self.malformed()
            self.at += 1
        envelope, behind = b"", 0
        for start, end, row in self.taken:
            envelope += self.text[behind:start] + row.encode()
            behind = end
        return Read(envelope + self.text[behind:], self.rows)

    # The known paths.

    def top_level(self, key: str) -> None:
        if self.purpose == "insert" and key == "embeddings":
            if not self.null():
                self.belongs("[{", "an array of rows", "embeddings")
                self.embeddings()
        elif self.purpose == "search" and key in ("query_embedding", "embeddings"):
            if not self.null() and not self.binary(key, key, single=True):
                self.row(key, "an array of numbers", row=None, single=True)
        elif self.purpose == "search" and key == "query_embeddings":
            if not self.null() and not self.binary(key, key):
                self.belongs("[", "an array of rows", key)
                self.array(lambda index: self.row(key, "an array of numbers", row=self.begun), empty=key)
        else:
            self.value()

    def embeddings(self) -> None:
        if self.peek() == "{":
            self.map_or_binary()
            return
        form = ""

        def item(index: int) -> None:
            nonlocal form
            kind = self.peek()
            if not form and kind in "[{":
                form = kind
            if form == "{":
                self.belongs("{", "an object", f"embeddings[{index}]")
                self.object(
                    lambda key: self.document(key, index), once="embeddings", name=f"embeddings[{index}]"
                )
            else:
                self.row("embeddings", "an array of numbers", row=index)

        self.array(item, empty="embeddings")

    def map_or_binary(self) -> None:
        """What the first key makes of it: the map of the first age, or a binary form."""
        form = BinaryForm(self, "embeddings", "embeddings")
        is_map: bool | None = None

        def known(key: str) -> None:
            nonlocal is_map
            if is_map is None:
                is_map = key not in KEYS
            if not is_map:
                form.key(key)
            elif key in KEYS:
                self.refuse("UnknownField", field=f"embeddings.{key}")

        def entry(key: str) -> None:
            if is_map:
                self.row(f"embeddings.{shorten(key)}", "an array of numbers", row=self.begun)
            else:
                form.value(key)

        self.object(entry, unique="embeddings.", empty="embeddings", known=known)
        if not is_map:
            form.settle()

    def binary(self, name: str, field: str, *, single: bool = False) -> bool:
        """Reads a binary form if one stands here."""
        if self.peek() != "{":
            return False
        BinaryForm(self, name, field, single=single).read()
        return True

    def document(self, key: str, index: int) -> None:
        if key != "embeddings":
            self.value()
        elif not self.null() and not self.binary(f"embeddings[{index}].embeddings", "embeddings"):
            name = f"embeddings[{index}].embeddings"
            self.belongs("[", "an array of objects", name)
            self.array(lambda chunk: self.chunk(f"{name}[{chunk}]"), empty="embeddings")

    def chunk(self, name: str) -> None:
        self.belongs("{", "an object", name)

        def entry(key: str) -> None:
            if key == "embedding":
                self.row(f"{name}.embedding", "an array of numbers", row=self.begun)
            else:
                self.value()

        self.object(entry, once="embedding", name=name)

    def row(self, field: str, expected: str, row: int | None, single: bool = False) -> None:
        self.belongs("[", expected, field, row)
        if self.begun == MAX_ROWS[self.purpose]:
            raise Refused("TooManyRows", limit=MAX_ROWS[self.purpose])
        number, start = self.begun, self.at
        shown = None if single else number
        self.begun += 1
        dimension = len(self.rows[0]) if self.rows else None
        values: list[int] = []

        def element(column: int) -> None:
            self.belongs("-0123456789", "a number", field, shown, column)
            text, bits = self.number()
            if column == MAX_COLUMNS:
                raise Refused("TooManyColumns", row=shown, limit=MAX_COLUMNS)
            if (dimension is None or column < dimension) and bits & INFINITE == INFINITE:
                value = text if len(text) <= 40 else text[:40] + "…"
                raise Refused("NonFinite", row=shown, column=column, value=value)
            values.append(bits)

        self.array(element, nested=False)
        if dimension is None and not values:
            name = field if single else "query_embeddings" if self.purpose == "search" else "embeddings"
            raise Refused("EmptyEmbeddings", field=name)
        if dimension is not None and len(values) != dimension:
            raise Refused("RaggedRows", row=number, expected=dimension, got=len(values))
        self.rows.append(values)
        self.taken.append((start, self.at, str(number)))

    # The grammar.

    def malformed(self) -> NoReturn:
        raise Refused("MalformedJson", offset=self.at)

    def refuse(self, kind: str, **fields: Any) -> NoReturn:
        raise Refused(kind, **fields)

    @staticmethod
    def shown(key: str) -> str:
        return shorten(key)

    def peek(self) -> str:
        if self.at == len(self.text):
            self.malformed()
        return chr(self.text[self.at])

    def space(self) -> None:
        while self.peek() in " \t\n\r":
            self.at += 1

    def expect(self, character: str) -> None:
        if self.peek() != character:
            self.malformed()
        self.at += 1

    def belongs(
        self, kinds: str, expected: str, field: str, row: int | None = None, column: int | None = None
    ) -> None:
        """A value of these first characters must stand here."""
        first = self.peek()
        if first in kinds:
            return
        got = NAMES.get(ord(first))
        if got is None:
            self.malformed()
        if first in "tfn":
            self.literal()
        raise Refused("WrongType", field=field, row=row, column=column, expected=expected, got=got)

    def null(self) -> bool:
        if self.peek() != "n":
            return False
        self.literal()
        return True

    def value(self) -> None:
        first = self.peek()
        if first == "{":
            self.object(lambda key: self.value())
        elif first == "[":
            self.array(lambda index: self.value())
        elif first == '"':
            self.string()
        elif first in "tfn":
            self.literal()
        elif first in "-0123456789":
            self.number()
        else:
            self.malformed()

    def literal(self) -> None:
        for character in {"t": "true", "f": "false", "n": "null"}[self.peek()]:
            self.expect(character)

    def array(self, element: Any, nested: bool = True, empty: str | None = None) -> None:
        self.descend(nested)
        self.expect("[")
        self.space()
        index = 0
        if self.peek() == "]":
            if empty:
                raise Refused("EmptyEmbeddings", field=empty)
        else:
            while True:
                element(index)
                index += 1
                self.space()
                if self.peek() == "]":
                    break
                self.expect(",")
                self.space()
        self.at += 1
        self.depth -= nested

    def object(
        self,
        entry: Any,
        limit: int | None = None,
        unique: str | None = None,
        once: str | None = None,
        name: str = "",
        empty: str | None = None,
        known: Any = None,
    ) -> None:
        """`unique`: prefix of the name of a key that appears twice. `once`: the one key that may not. `known` judges
        each key."""
        self.descend()
        wanted = unique is not None or once is not None
        keys: set[str] = set()
        self.expect("{")
        self.space()
        if self.peek() == "}":
            if empty:
                raise Refused("EmptyEmbeddings", field=empty)
        else:
            while True:
                key = self.string()
                if wanted and len(key.encode()) > MAX_KEY:
                    self.at -= 1
                    self.malformed()
                if key in keys and (unique is not None or key == once):
                    field = f"{name}.{key}" if unique is None else unique + shorten(key)
                    raise Refused("DuplicateField", field=field)
                keys.add(key)
                if known is not None:
                    known(key)
                if limit is not None and len(keys) > limit:
                    self.at -= 1
                    self.malformed()
                self.space()
                self.expect(":")
                self.space()
                entry(key)
                self.space()
                if self.peek() == "}":
                    break
                self.expect(",")
                self.space()
        self.at += 1
        self.depth -= 1

    def descend(self, nested: bool = True) -> None:
        if nested and self.depth == MAX_NESTING:
            self.malformed()
        self.depth += nested

    def string(self) -> str:
        self.expect('"')
        characters = ""
        while (character := self.peek()) != '"':
            if character == "\\":
                self.at += 1
                characters += self.escape()
            elif character < " ":
                self.malformed()
            else:
                characters += self.utf8()
        self.at += 1
        return characters

    def escape(self) -> str:
        simple = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
        character = self.peek()
        if character in simple:
            self.at += 1
            return simple[character]
        self.expect("u")
        # A surrogate is known by its first two digits: D and 8..B for a high one, C..F for a low one.
        code = self.hexadecimal("0123456789abcdefABCDEF", not_low=True)
        if not 0xD800 <= code < 0xDC00:
            return chr(code)
        self.expect("\\")
        self.expect("u")
        low = self.hexadecimal("dD", not_low=False)
        return chr(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00)

    def hexadecimal(self, first: str, not_low: bool) -> int:
        code = 0
        for place in range(4):
            allowed = "0123456789abcdefABCDEF"
            if place == 0:
                allowed = first
            elif place == 1 and not not_low:
                allowed = "cdefCDEF"
            elif place == 1 and code == 0xD:
                allowed = "0123456789abAB"
            character = self.peek()
            if character not in allowed:
                self.malformed()
            code = code * 16 + "0123456789abcdef".index(character.lower())
            self.at += 1
        return code

    def utf8(self) -> str:
        """RFC 3629, section 4."""
        first = self.text[self.at]
        start = self.at
        tail = (0x80, 0xBF)
        if first < 0x80:
            ranges = []
        elif 0xC2 <= first <= 0xDF:
            ranges = [tail]
        elif 0xE0 <= first <= 0xEF:
            ranges = [{0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F)}.get(first, tail), tail]
        elif 0xF0 <= first <= 0xF4:
            ranges = [{0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}.get(first, tail), tail, tail]
        else:
            self.malformed()
        self.at += 1
        for low, high in ranges:
            if not low <= ord(self.peek()) <= high:
                self.malformed()
            self.at += 1
        return self.text[start : self.at].decode()

    def number(self) -> tuple[str, int]:
        """The text of the longest number that stands here, and its bits as float32."""
        start = self.at
        negative = self.peek() == "-"
        self.at += negative
        if self.peek() == "0":
            self.at += 1
            whole = "0"
            if self.peek() in "0123456789":
                self.malformed()
        else:
            whole = self.digits()
        fraction = ""
        exponent = 0
        if self.peek() == ".":
            self.at += 1
            fraction = self.digits()
        if self.peek() in "eE":
            self.at += 1
            sign = self.peek()
            self.at += sign in "+-"
            exponent = int(self.digits()[:4000].lstrip("0")[:9] or "0") * (-1 if sign == "-" else 1)
        bits = float32_bits(negative, whole + fraction, exponent - len(fraction))
        return self.text[start : self.at].decode(), bits

    def digits(self) -> str:
        start = self.at
        while self.peek() in "0123456789":
            self.at += 1
        if self.at == start:
            self.malformed()
        return self.text[start : self.at].decode()


def shorten(key: str) -> str:
    """A key as an error shows it."""
    return key if len(key) <= 64 else key[:64] + "…"
