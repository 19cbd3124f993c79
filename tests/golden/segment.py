"""A log segment read by nothing but the tables of docs/format.md."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FORMAT = (REPOSITORY / "docs/format.md").read_text()

INTEGERS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
Fields = dict[str, int | bytes]


class Table:
    """One table of offsets: what it says, and what it reads."""

    def __init__(self, heading: str) -> None:
        section = re.search(
            rf"^#+ {re.escape(heading)}$(.*?)(?=^#|^\*\*|\Z)", FORMAT, re.MULTILINE | re.DOTALL
        )
        assert section, heading
        rows = re.findall(r"^\| (\d+) \| ([\w ]+?) \| `(\w+)` \|", section[1], re.MULTILINE)
        self.fields = [(int(offset), self._code(kind), name) for offset, kind, name in rows]
        self.size = struct.calcsize("<" + "".join(code for _, code, _ in self.fields))

    @staticmethod
    def _code(kind: str) -> str:
        return INTEGERS.get(kind) or kind.removesuffix(" bytes") + "s"

    def gaps(self) -> list[str]:
        """Fields that do not begin where the one before ends."""
        found, end = [], 0
        for offset, code, name in self.fields:
            if offset != end:
                found.append(name)
            end = offset + struct.calcsize("<" + code)
        return found

    def read(self, data: bytes, at: int = 0) -> Fields:
        """The fields at `at`."""
        return {
            name: struct.unpack_from("<" + code, data, at + offset)[0] for offset, code, name in self.fields
        }


SEGMENT = Table("Segment header")
RECORD = Table("Record header, fixed part")
BATCH = Table("Batch entry")
DEATH = Table("Death")
DERIVED = Table("Derived header")


def crc32c(data: bytes, start: int = 0) -> int:
    """CRC-32C, bit by bit; `start`: the sum of what comes before."""
    sum = start ^ 0xFFFFFFFF
    for byte in data:
        sum ^= byte
        for _ in range(8):
            sum = sum >> 1 ^ (0x82F63B78 if sum & 1 else 0)
    return sum ^ 0xFFFFFFFF


def number(fields: Fields, name: str) -> int:
    """A field that is a number."""
    value = fields[name]
    assert isinstance(value, int)
    return value


class Record:
    """One record of a segment's bytes."""

    def __init__(self, data: bytes, at: int) -> None:
        self.at = at
        self.fields = RECORD.read(data, at)
        assert self.fields["magic"] == b"INGR", f"no record at {at}"
        self.header = data[at : at + self["header_length"]]
        body = at + self["header_length"]
        self.body = data[body : body + self["body_length"]]
        deaths = RECORD.size + self["batch_count"] * BATCH.size
        blocks = deaths + self["death_count"] * DEATH.size
        strings = blocks + 4 * self["block_count"]
        self.batches = [
            BATCH.read(self.header, RECORD.size + index * BATCH.size) for index in range(self["batch_count"])
        ]
        self.deaths = [
            DEATH.read(self.header, deaths + index * DEATH.size) for index in range(self["death_count"])
        ]
        self.blocks = struct.unpack_from(f"<{self['block_count']}I", self.header, blocks)
        self.name = self.header[strings : strings + self["name_length"]].decode()
        self.strings = self.header[strings:]

    def __getitem__(self, name: str) -> int:
        return number(self.fields, name)

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.at + len(self.header) + len(self.body)

    def checksum(self, incarnation: bytes) -> int:
        """The header's checksum as it should be."""
        seed = incarnation + struct.pack("<QQ", self["segment"], self["epoch"])
        return crc32c(seed + self.header[:12] + bytes(4) + self.header[16:])

    def source(self, batch: Fields) -> tuple[str, bytes | None]:
        """Source id and metadata of a batch."""
        begin = number(batch, "strings_offset")
        middle = begin + number(batch, "source_length")
        end = middle + number(batch, "metadata_length")
        metadata = self.strings[middle:end] if number(batch, "flags") & 1 else None
        return self.strings[begin:middle].decode(), metadata

    def chunk_ids(self, batch: Fields) -> list[str] | None:
        """The explicit chunk ids of a batch; None when they are computed."""
        begin = sum(number(batch, name) for name in ("strings_offset", "source_length", "metadata_length"))
        section = self.strings[begin : begin + number(batch, "chunk_ids_length")]
        if not number(batch, "flags") & 2:
            assert section == b""
            return None
        count = number(batch, "row_count")
        ends = struct.unpack_from(f"<{count}I", section)
        text = section[4 * count :]
        assert len(text) == ends[-1]
        return [text[first:end].decode() for first, end in zip((0, *ends), ends, strict=False)]

    def rows(self, batch: Fields) -> bytes:
        """The rows of a batch."""
        begin = number(batch, "body_offset")
        return self.body[begin : begin + number(batch, "row_count") * self["dimension"] * 4]


def records(data: bytes) -> Iterator[Record]:
    """All records of a segment that was closed."""
    at = SEGMENT.size
    while at < len(data):
        record = Record(data, at)
        yield record
        at = record.end
