"""The body reader against the slow reference, on random valid and broken bodies cut anywhere."""

import base64
import random
import struct
from collections.abc import Callable
from fractions import Fraction

import pytest

from tests.body import reference
from tests.body.verdict import Judge, Verdict, cut, torture

KEYS = [
    "tenant_id",
    "file_id",
    "upsert",
    "data",
    "dtype",
    "shape",
    "embedding",
    "metadata",
    "é",
    "",
    'a"b',
    "x" * 70,
]
NAMES = ["embeddings", "query_embedding", "query_embeddings"]


def expected(text: bytes, purpose: str) -> Verdict:
    try:
        read = reference.read(text, purpose)
    except reference.Refused as refused:
        return refused.kind, refused.fields, None
    return "read", read.envelope, read.rows or None


class Author:
    """Writes bodies: mostly sensible ones, now and then odd."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.odd = chance.choice([0.0, 0.0, 0.01, 0.1])
        self.white = chance.choice(["", "", "", " ", " \t\r\n"])
        self.comma = chance.choice([",", ",", ", ", ", ", ""])
        self.number = chance.choice([self.short, self.long, self.any_number, self.any_number])
        self.columns = chance.choice([1, 2, 3, 30, chance.randint(1, 60)])

    def body(self) -> str:
        fields = [
            self.pair(self.chance.choice(KEYS), self.plain(0)) for _ in range(self.chance.randint(0, 3))
        ]
        for _ in range(self.chance.choice([0, 1, 1, 1, 1, 1, 2])):
            fields.insert(
                self.chance.randint(0, len(fields)), self.pair(self.chance.choice(NAMES), self.vectors())
            )
        return self.space() + self.object(fields) + self.space()

    def vectors(self) -> str:
        forms = [self.matrix, self.matrix, self.row, self.document_form, self.map_form, self.binary]
        return self.sometimes_wrong(self.chance.choice(forms))

    def matrix(self) -> str:
        return self.array([self.row() for _ in range(self.count(12))])

    def row(self) -> str:
        columns = self.columns if self.chance.random() > self.odd else self.chance.randint(0, 70)
        return self.sometimes_wrong(lambda: self.array([self.element() for _ in range(columns)]))

    def element(self) -> str:
        if self.chance.random() < self.odd / 20:
            return self.wrong()
        return self.number()

    def document_form(self) -> str:
        return self.array([self.sometimes_wrong(self.document) for _ in range(self.count(4))])

    def document(self) -> str:
        def chunk() -> str:
            fields = [self.pair("chunk_id", self.string()), self.pair("embedding", self.row())]
            if self.chance.random() < self.odd:
                fields.append(self.pair("embedding", self.row()))
            return self.object(fields)

        def chunks() -> str:
            if self.chance.random() < 0.1:
                return self.binary()
            return self.array([self.sometimes_wrong(chunk) for _ in range(self.count(4))])

        fields = [self.pair("source_id", self.string()), self.pair("metadata", self.plain(1))]
        fields.append(self.pair("embeddings", self.sometimes_wrong(chunks)))
        self.chance.shuffle(fields)
        return self.object(fields)

    def map_form(self) -> str:
        names = [
            self.chance.choice([*KEYS, "a_0", "b"]) if self.chance.random() < 0.1 else f"c_{index}"
            for index in range(self.count(6))
        ]
        return self.object([self.pair(name, self.row()) for name in names])

    def binary(self) -> str:
        """The binary form, now and then with something odd in it."""
        chance = self.chance
        dtype, code = chance.choice([("float32", "f"), ("float16", "e"), ("int8", "b")])
        rows, columns = self.count(3), self.columns if chance.random() > self.odd else chance.randint(0, 9)
        single = chance.random() < 0.2
        values: list[float] = [chance.randint(-128, 127) for _ in range(columns * (1 if single else rows))]
        if code != "b":
            values = [chance.choice([value / 256, 6e-8, -0.0, 65504.0]) for value in values]
            if chance.random() < self.odd and values:
                values[chance.randrange(len(values))] = chance.choice([float("inf"), float("nan")])
        raw = struct.pack(f"<{len(values)}{code}", *values)
        # Often enough for each to come about in a short run, whatever its seed.
        if chance.random() < max(self.odd, 0.3):
            raw = raw[: chance.randint(0, len(raw))] + chance.randbytes(chance.randint(0, 5))
        text = base64.b64encode(raw).decode()
        if chance.random() < max(self.odd, 0.25) and text:
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice("=Az+/ -_é\n") + text[at + chance.randint(0, 1) :]
        extent = [columns] if single else [rows, columns]
        fields = [
            self.pair("data", self.quoted(text)),
            self.pair("dtype", self.quoted(dtype)),
            self.pair("shape", self.array([str(one) + chance.choice(["", "", "", ".0"]) for one in extent])),
        ]
        chance.shuffle(fields)
        if chance.random() < self.odd:
            index = chance.randrange(3)
            odd = self.pair(chance.choice(KEYS), self.wrong())
            fields[index : index + chance.randint(0, 1)] = [odd] * chance.randint(0, 1)
        return self.object(fields)

    def sometimes_wrong(self, write: Callable[[], str]) -> str:
        return self.wrong() if self.chance.random() < self.odd / 5 else write()

    def wrong(self) -> str:
        return self.chance.choice(
            ["null", "true", "false", '"1"', "[]", "{}", "7", "-0.5", "[1]", "nul", "NaN", "-", "x"]
        )

    def plain(self, depth: int) -> str:
        kind = self.chance.randint(0, 7 if depth < 5 else 4)
        if kind >= 6:
            return self.array([self.plain(depth + 1) for _ in range(self.count(3))])
        if kind == 5:
            keys = [self.chance.choice(KEYS + NAMES) for _ in range(self.count(3))]
            return self.object([self.pair(key, self.plain(depth + 1)) for key in keys])
        if kind >= 3:
            return self.string()
        return self.chance.choice(["true", "false", "null", self.any_number()])

    def object(self, fields: list[str]) -> str:
        return "{" + self.space() + self.between(fields) + self.space() + "}"

    def array(self, elements: list[str]) -> str:
        return "[" + self.space() + self.between(elements) + self.space() + "]"

    def between(self, parts: list[str]) -> str:
        if self.comma:
            return self.comma.join(parts)
        return "".join(
            self.space() + "," * (index > 0) + self.space() + part for index, part in enumerate(parts)
        )

    def pair(self, key: str, value: str) -> str:
        return self.quoted(key) + self.space() + ":" + self.space() + value

    def string(self) -> str:
        alphabet = [
            "a",
            "Z",
            " ",
            "\x7f",
            "/",
            "é",
            "€",
            "\u07ff",
            "\uffff",
            "😀",
            "\U0010ffff",
            '"',
            "\\",
            "\n",
            "\0",
        ]
        length = self.chance.choice([0, 1, 5, 40])
        return self.quoted("".join(self.chance.choice(alphabet) for _ in range(length)))

    def quoted(self, text: str) -> str:
        share = self.chance.choice([0, 0, 0, 0.5])
        named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "/": "\\/"}
        quoted = ""
        for character in text:
            if self.chance.random() < share or character < " ":
                units = character.encode("utf-16-be")
                quoted += "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))
            elif character in named and (character != "/" or self.chance.random() < 0.5):
                quoted += named[character]
            else:
                quoted += character
        return f'"{quoted}"'

    def space(self) -> str:
        if not self.white or self.chance.random() < 0.5:
            return ""
        return "".join(self.chance.choice(self.white) for _ in range(self.chance.randint(0, 3)))

    def count(self, most: int) -> int:
        return self.chance.randint(1, most) if self.chance.random() >= self.odd / 5 else 0

    def short(self) -> str:
        return f"{self.chance.gauss(0, 0.1):.9g}"

    def long(self) -> str:
        return repr(self.chance.gauss(0, 0.1))

    def any_number(self) -> str:
        chance = self.chance
        sign = chance.choice(["", "-"])
        kind = chance.randint(0, 7)
        if kind == 0:
            return sign + chance.choice(
                ["0", "0.0", "0e9", "1E+2", "1e-2", "16777217", "0.1", "9" * chance.randint(1, 30)]
            )
        if kind == 1:
            point = f"{chance.randint(0, 10 ** chance.randint(1, 25))}.{chance.randint(0, 10 ** chance.randint(1, 40))}"
            return sign + point
        if kind == 2:
            return (
                sign
                + f"{chance.randint(0, 9)}.{chance.getrandbits(70)}{chance.choice('eE')}{chance.randint(-60, 37)}"
            )
        if kind == 3:
            return sign + self.near_tie(
                struct.unpack("<f", struct.pack("<I", chance.getrandbits(31) % reference.INFINITE))[0]
            )
        if kind == 4:
            # The limits: the largest number, the smallest normal one, the smallest of all.
            bits = chance.choice([0x7F7FFFFF, 0x7F7FFFFE, 0x00800000, 0x007FFFFF, 0, 1, 2])
            if bits == 0x7F7FFFFF and chance.random() > self.odd:
                bits -= 1
            return sign + self.near_tie(struct.unpack("<f", struct.pack("<I", bits))[0])
        if kind == 5 and chance.random() < self.odd / 5:
            return sign + chance.choice(["1e39", "4e38", "1e999", "1e99999999999999999999", "9" * 60])
        if kind == 6 and chance.random() < 0.1:
            zeros = "0" * chance.randint(1, 300)
            return sign + chance.choice(
                [f"0.{zeros}1e{len(zeros)}", f"1{zeros}e-{len(zeros)}", f"0.{zeros}7", f"1e-{len(zeros)}"]
            )
        return sign + f"{chance.random():.{chance.randint(1, 25)}f}"

    def near_tie(self, number: float) -> str:
        """The number halfway to the next float32, exactly or a little beside it, in full or cut."""
        bits = struct.unpack("<I", struct.pack("<f", number))[0]
        following = (
            2**128 if bits == 0x7F7FFFFF else Fraction(struct.unpack("<f", struct.pack("<I", bits + 1))[0])
        )
        tie = (Fraction(number) + following) / 2
        # A denominator 2**k needs k digits.
        places = tie.denominator.bit_length() - 1
        digits = str(tie.numerator * 5**places)
        beside = self.chance.choice(["", "0", "1", "00000000000000000000000000001", "cut", "less"])
        if beside == "less":
            digits, places = str(int(digits) * 1000 - 1), places + 3
        elif beside == "cut":
            dropped = self.chance.randint(0, len(digits) - 1)
            digits, places = digits[: len(digits) - dropped], places - dropped
        else:
            digits, places = digits + beside, places + len(beside)
        if self.chance.random() < 0.5 and 0 < places < 60:
            whole = digits[:-places] or "0"
            return f"{whole}.{digits[-places:].zfill(places)}"
        return f"{digits[0]}.{digits[1:] or '0'}e{len(digits) - 1 - places}"


PIECES = [
    *(bytes([byte]) for byte in b',][{}":0-.e+\\ \n\x00\x1f\x80\xc3'),
    *(
        b"\\ud83d",
        b"\\udc00",
        b"\\u00",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        b"\xef\xbb\xbf",
        b"null",
        b"1e39",
        b'""',
    ),
]


def damage(chance: random.Random, text: bytes) -> bytes:
    """One or two bytes, or a piece, changed, lost, doubled or added."""
    for _ in range(chance.choice([1, 1, 2])):
        at = chance.randint(0, len(text))
        length = chance.choice([1, 1, 1, 2, 5, 20])
        kind = chance.randint(0, 5)
        inserted = chance.choice(PIECES)
        if kind == 0:
            text = text[:at] + text[at + length :]
        elif kind == 1:
            text = text[:at] + inserted + text[at:]
        elif kind == 2:
            text = text[:at] + inserted + text[at + 1 :]
        elif kind == 3 and at < len(text):
            text = text[:at] + bytes([text[at] ^ 1 << chance.randint(0, 7)]) + text[at + 1 :]
        elif kind == 4:
            text = text[:at] + text[at : at + length] + text[at:]
        else:
            text = text[:at]
    return text


def test_random_bodies_are_judged_as_the_reference_does(chance: random.Random, judge: Judge) -> None:
    verdicts: dict[str, int] = {}
    for _ in range(torture(2500)):
        text = Author(chance).body().encode()
        if chance.random() < 0.4:
            text = damage(chance, text)
        purpose = chance.choice(["insert", "insert", "search"])
        right = expected(text, purpose)
        verdicts[right[0]] = verdicts.get(right[0], 0) + 1
        for chunks in ([text], cut(chance, text), cut(chance, text)):
            assert judge(chunks, "json", purpose) == right, (purpose, chunks)
    assert verdicts["read"] > torture(2500) // 5, verdicts
    for kind in (
        "MalformedJson",
        "WrongType",
        "RaggedRows",
        "DuplicateField",
        "MalformedBase64",
        "DataLength",
    ):
        assert verdicts[kind] > 0, kind


def test_a_binary_form_is_the_same_cut_at_every_byte(chance: random.Random, judge: Judge) -> None:
    for _ in range(torture(60)):
        author = Author(chance)
        author.columns = chance.randint(1, 9)
        purpose = chance.choice(["insert", "search"])
        name = "embeddings" if purpose == "insert" else chance.choice(NAMES[1:])
        text = author.object([author.pair(name, author.binary())]).encode()
        right = expected(text, purpose)
        for at in range(len(text)):
            assert judge([text[:at], text[at:]], "json", purpose) == right, (purpose, text, at)


def nested(depth: int) -> str:
    return '{"a":' + "[" * depth + "]" * depth + "}"


LIMITS = [
    '{"embeddings":[' + ",".join(["[1]"] * 2000) + "]}",
    '{"embeddings":[' + ",".join(["[1]"] * 2001) + "]}",
    '{"embeddings":[' + ",".join(["[1]"] * 2000) + ",7]}",
    '{"embeddings":{' + ",".join(f'"{index}":[1]' for index in range(2001)) + "}}",
    '{"query_embeddings":[' + ",".join(["[1]"] * 1000) + "]}",
    '{"query_embeddings":[' + ",".join(["[1]"] * 1001) + "]}",
    '{"query_embedding":[1],"query_embeddings":[' + ",".join(["[1]"] * 1000) + "]}",
    '{"embeddings":[[' + ",".join(["1.25"] * 3024) + "],[1]]}",
    '{"embeddings":[[' + ",".join(["1.25"] * 3025) + "]]}",
    '{"embeddings":[[1],[' + ",".join(["1.25"] * 3024) + "]]}",
    '{"embeddings":[[1],[' + ",".join(["1.25"] * 3025) + "]]}",
    '{"embeddings":[[1],[' + ",".join(["1e99"] * 100) + "]]}",
    '{"embeddings":[[1],[2,true]]}',
    '{"embeddings":[[1,2],[3,4e38]]}',
    '{"embeddings":[[1,2],[]]}',
    '{"embeddings":[[],[1]]}',
    '{"embeddings":[]}',
    '{"embeddings":{}}',
    '{"embeddings":[{"embeddings":[]}]}',
    '{"query_embedding":[1e39]}',
    '{"query_embedding":[]}',
    '{"query_embeddings":[[]]}',
    nested(63),
    nested(64),
    '{"' + "k" * 4096 + '":1}',
    '{"' + "k" * 4095 + 'é":1}',
    '{"\\u0065":1,"e":2}',
    '{"a":{"' + "k" * 5000 + '":1}}',
    "{" + ",".join(f'"{index}":0' for index in range(1000)) + "}",
    "{" + ",".join(f'"{index}":0' for index in range(1001)) + "}",
    '{"embeddings":[[0.' + "0" * 4000 + "1e4001,1" + "0" * 4000 + "e-4000]]}",
    '{"embeddings":[[1.000000059604644775390625' + "0" * 4000 + "1]]}",
    '{"embeddings":[[-1' + "0" * 4000 + "]]}",
]  # fmt: skip


@pytest.mark.parametrize("text", LIMITS, ids=range(len(LIMITS)))
@pytest.mark.parametrize("purpose", ["insert", "search"])
def test_limits_are_where_the_reference_has_them(
    text: str, purpose: str, chance: random.Random, judge: Judge
) -> None:
    body = text.encode()
    right = expected(body, purpose)
    for chunks in ([body], cut(chance, body)):
        assert judge(chunks, "json", purpose) == right
