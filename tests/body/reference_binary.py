"""The binary form of rows, for the slow reference: byte by byte, number by number."""

import struct
from typing import Any

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
DTYPES = {"float32": ("<f", 4), "float16": ("<e", 2), "int8": ("<b", 1)}
KEYS = ("data", "dtype", "shape")
LARGEST = 3024 * 4


class BinaryForm:
    """One object `{"data", "dtype", "shape"}`; `reader` is the reference, standing at it.

    `single`: one vector, whose errors name no row. `field`: what is empty when it is.
    """

    def __init__(self, reader: Any, name: str, field: str, *, single: bool = False) -> None:
        self.reader = reader
        self.name = name
        self.field = field
        self.single = single
        self.start = reader.at
        self.first = reader.begun
        self.seen: set[str] = set()
        self.format: tuple[str, int] | None = None
        self.shape: tuple[int, int] | None = None
        self.decoded = b""
        self.numbers: list[int] = []
        self.direct = False

    def read(self) -> None:
        """All of it."""
        self.reader.object(self.value, unique=f"{self.name}.", known=self.key)
        self.settle()

    def key(self, key: str) -> None:
        """Behind a key."""
        if key not in KEYS:
            self.reader.refuse("UnknownField", field=f"{self.name}.{self.reader.shown(key)}")
        self.seen.add(key)

    def value(self, key: str) -> None:
        """Before a value."""
        getattr(self, f"read_{key}")()

    def read_dtype(self) -> None:
        reader, field, expected = self.reader, f"{self.name}.dtype", "float32, float16 or int8"
        reader.belongs('"', expected, field)
        self.format = DTYPES.get(reader.string())
        if self.format is None:
            self.wrong(field, expected, "another string")

    def read_shape(self) -> None:
        reader, field = self.reader, f"{self.name}.shape"
        reader.belongs("[", "an array of integers", field)
        extents: list[float] = []

        def element(index: int) -> None:
            reader.belongs("-0123456789", "an integer", field)
            text, _ = reader.number()
            if len(text) > 64 or not float(text).is_integer() or float(text) < 0:
                self.wrong(field, "an integer from 0", "another number")
            extents.append(float(text))

        reader.array(element)
        if len(extents) != (1 if self.single else 2):
            expected = "an array of one integer" if self.single else "an array of two integers"
            self.wrong(field, expected, "another array")
        rows, columns = int(extents[0]) if not self.single else 1, int(extents[-1])
        if not rows or not columns:
            reader.refuse("EmptyEmbeddings", field=self.field)
        if rows > reader.most_rows - reader.begun:
            reader.refuse("TooManyRows", limit=reader.most_rows)
        if columns > 3024:
            reader.refuse("TooManyColumns", row=None if self.single else reader.begun, limit=3024)
        if reader.rows and len(reader.rows[0]) != columns:
            reader.refuse("RaggedRows", row=reader.begun, expected=len(reader.rows[0]), got=columns)
        self.shape = rows, columns

    def read_data(self) -> None:
        reader, field = self.reader, f"{self.name}.data"
        reader.belongs('"', "base64 text", field)
        reader.at += 1
        self.direct = self.format is not None and self.shape is not None
        group = ""
        while (character := reader.peek()) != '"':
            at = reader.at
            if character == "\\":
                reader.at += 1
                character = reader.escape()
                at = reader.at - 1
            elif character < " ":
                reader.malformed()
            else:
                reader.at += 1
            if not self.fits(group, character):
                reader.refuse("MalformedBase64", field=field, offset=at)
            group += character
            if len(group) == 4 and "=" not in group:
                self.take(group)
                group = ""
        if group:
            if len(group) < 4:
                reader.refuse("MalformedBase64", field=field, offset=reader.at)
            self.take(group)
        reader.at += 1
        if self.direct:
            self.whole()

    @staticmethod
    def fits(group: str, character: str) -> bool:
        """Whether a character may follow those of its group."""
        if character == "=":
            unused = {2: 4, 3: 2}.get(len(group.rstrip("=")))
            if unused is None or len(group) == 4:
                return False
            return "=" in group or ALPHABET.index(group[-1]) % (1 << unused) == 0
        return character in ALPHABET and "=" not in group and len(character) == 1

    def take(self, group: str) -> None:
        value = 0
        for character in group:
            value = value * 64 + (0 if character == "=" else ALPHABET.index(character))
        self.decoded += value.to_bytes(3, "big")[: 3 - group.count("=")]
        if self.direct:
            self.convert()
        most = self.expected() if self.direct else self.reader.most_rows * LARGEST
        if len(self.decoded) > most:
            self.reader.refuse("DataLength", field=f"{self.name}.data", expected=most, got=most + 1)

    def expected(self) -> int:
        """Bytes that type and shape ask for."""
        assert self.format is not None
        assert self.shape is not None
        return self.shape[0] * self.shape[1] * self.format[1]

    def convert(self) -> None:
        """The numbers that are whole and not looked at yet."""
        assert self.format is not None
        assert self.shape is not None
        code, size = self.format
        columns = self.shape[1]
        while (len(self.numbers) + 1) * size <= min(len(self.decoded), self.expected()):
            at = len(self.numbers)
            value = float(struct.unpack_from(code, self.decoded, at * size)[0])
            if value - value != 0:
                row = None if self.single else self.first + at // columns
                self.reader.refuse("NonFinite", row=row, column=at % columns, value=str(value))
            self.numbers.append(struct.unpack("<I", struct.pack("<f", value))[0])

    def whole(self) -> None:
        if len(self.decoded) != self.expected():
            self.reader.refuse(
                "DataLength", field=f"{self.name}.data", expected=self.expected(), got=len(self.decoded)
            )

    def settle(self) -> None:
        """Behind the object: its rows, and what stands for them."""
        for key in KEYS:
            if key not in self.seen:
                self.reader.refuse("MissingField", field=f"{self.name}.{key}")
        self.whole()
        self.convert()
        assert self.shape is not None
        rows, columns = self.shape
        for row in range(rows):
            self.reader.rows.append(self.numbers[row * columns :][:columns])
        self.reader.begun += rows
        left: Any = self.first if self.single else list(range(self.first, self.first + rows))
        self.reader.taken.append((self.start, self.reader.at, str(left).replace(" ", "")))

    def wrong(self, field: str, expected: str, got: str) -> None:
        self.reader.refuse("WrongType", field=field, row=None, column=None, expected=expected, got=got)
