"""What the documents claim is so: bytes, files, tests, floors."""

import hashlib
import re
from pathlib import Path

import pytest

from tests import test_floors
from tests.golden.segment import (
    BATCH,
    DEATH,
    DERIVED,
    RECORD,
    SEGMENT,
    Record,
    Table,
    crc32c,
    number,
    records,
)

REPOSITORY = Path(__file__).resolve().parents[1]
GOLDEN = REPOSITORY / "tests/golden"
ARCHITECTURE = (REPOSITORY / "ARCHITECTURE.md").read_text()
DURABILITY = (REPOSITORY / "docs/durability.md").read_text()
DECISIONS = sorted((REPOSITORY / "docs/decisions").glob("*.md"))
DOCUMENTS = [REPOSITORY / "ARCHITECTURE.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def golden_log(tenant: str) -> bytes:
    folder = hashlib.sha256(tenant.encode()).hexdigest()[:32]
    version = "v1-documents" if tenant == "documents" else "v1"
    return (GOLDEN / version / "tenants" / folder / "log/00000001-0.log").read_bytes()


@pytest.mark.parametrize(
    ("table", "size"), [(SEGMENT, 64), (RECORD, 128), (BATCH, 64), (DEATH, 16), (DERIVED, 64)]
)
def test_the_tables_of_the_format_leave_no_byte_out(table: Table, size: int) -> None:
    assert table.gaps() == []
    assert table.size == size


def test_crc32c_has_its_published_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("tenant", ["first", "second", "documents"])
def test_a_segment_begins_as_documented(tenant: str) -> None:
    data = golden_log(tenant)
    header = SEGMENT.read(data)
    assert header["magic"] == b"INGOTLOG"
    assert (header["version"], header["generation"], header["number"], header["first_lsn"]) == (1, 0, 1, 1)
    assert header["checksum"] == crc32c(data[:60])


@pytest.mark.parametrize("tenant", ["first", "second", "documents"])
def test_records_lie_as_documented(tenant: str) -> None:
    data = golden_log(tenant)
    incarnation = SEGMENT.read(data)["incarnation"]
    assert isinstance(incarnation, bytes)
    next_row = 0
    for lsn, record in enumerate(records(data), start=1):
        assert (record["version"], record["lsn"], record["segment"], record["epoch"]) == (1, lsn, 1, 1)
        assert record["checksum"] == record.checksum(incarnation)
        assert record["durable_end"] == record.at  # each was a group of its own
        assert record.at % 64 == len(record.header) % 64 == len(record.body) % 64 == 0
        assert record.end <= len(data)
        assert record.blocks == tuple(
            crc32c(record.body[at : at + 65536]) for at in range(0, len(record.body), 65536)
        )
        assert record["digest"] == crc32c(b"".join(record.rows(batch) for batch in record.batches))
        assert not any(
            zeros
            for name, field in record.fields.items()
            if "zero" in name
            for zeros in bytes([field] if isinstance(field, int) else field)
        )
        for batch in record.batches:
            assert (batch["first_row"], batch["birth"], batch["first_index"]) == (next_row, lsn, 0)
            next_row += number(batch, "row_count")
    assert record.end == len(data)


def test_the_golden_log_says_what_was_done() -> None:
    tenant, *others = records(golden_log("first"))
    assert (tenant["kind"], tenant.name, tenant["dimension"], tenant["metric"]) == (1, "first", 8, 0)
    alpha = "alpha/ä 🦀"

    def told(record: Record) -> tuple[object, ...]:
        sources = [record.source(batch) for batch in record.batches]
        deaths = [(death["first"], death["count"]) for death in record.deaths]
        return record["kind"], record["sub_tenant"], record.name, record["row_count"], sources, deaths

    assert [told(record) for record in others] == [
        (2, 0, "", 3, [(alpha, b'{"lang":"en"}')], []),
        (2, 0, "", 6, [("beta", None)], []),
        (2, 0, "", 2, [(alpha, b'{"lang": "de", "n": 2}')], [(0, 3)]),
        (2, 1, "notes", 3, [(alpha, None)], []),
        (3, 0, "", 0, [], [(4, 1), (7, 1)]),
    ]


def test_the_golden_log_of_documents_says_what_was_done() -> None:
    def told(record: Record) -> tuple[object, ...]:
        batches = [
            (*record.source(batch), record.chunk_ids(batch), bool(number(batch, "flags") & 4))
            for batch in record.batches
        ]
        deaths = [(death["first"], death["count"]) for death in record.deaths]
        return record["kind"], record["row_count"], batches, deaths

    _, *others = records(golden_log("documents"))
    assert [told(record) for record in others] == [
        (2, 3, [("a", b'{"v": 1}', None, False)], []),
        (2, 3, [("b", b'{"of":"b"}', ["a_1", "x 🦀"], False), ("c", None, ["y"], False)], [(1, 1)]),
        (2, 3, [("b", None, ["z", "y"], True), ("a", b'{"v":  2}', ["last"], True)], [(5, 1)]),
        (2, 1, [("a", None, ["a_2"], True)], [(2, 1)]),
        (3, 0, [], [(8, 1)]),
    ]


def names_of(floors: test_floors.Floors) -> set[str]:
    return {module for floor in floors for module in floor}


@pytest.mark.parametrize(
    ("heading", "floors"),
    [
        ("rust/engine/src", test_floors.ENGINE_FLOORS),
        ("rust/python/src", test_floors.MODULE_FLOORS),
        ("python/ingot", test_floors.PACKAGE_FLOORS),
    ],
)
def test_the_floors_are_those_of_the_test(heading: str, floors: test_floors.Floors) -> None:
    section = re.search(rf"^### `{heading}`[^\n]*$(.*?)(?=^#|\Z)", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    assert section, heading
    rows = re.findall(r"^\| (`.*?) \|", section[1], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == names_of(floors)


def files_named(text: str) -> set[str]:
    """Everything in backquotes that looks like a path of the repository."""
    return {
        name.rstrip("/")
        for name in re.findall(r"`([\w./-]+)`", text)
        if re.match(r"(rust|python|tests|docs|benches)/", name) and "NNNN" not in name
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_file_a_document_names_exists(document: Path) -> None:
    named = files_named(document.read_text())
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def named_tests(text: str) -> list[tuple[str, str]]:
    """`file::test`, as it is written everywhere."""
    return re.findall(r"`([\w./-]+)::(\w+)`", text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_test_a_document_names_exists(document: Path) -> None:
    for file, test in named_tests(document.read_text()):
        path = REPOSITORY / file
        assert path.is_file(), file
        assert re.search(rf"\b(fn|def) {test}\b", path.read_text()), f"{file} has no {test}"


def test_every_promise_names_its_test_or_says_that_it_has_none() -> None:
    rows = re.findall(r"^\| \*\*(.*?)\*\* \|.*\| ([^|]*) \|$", DURABILITY, re.MULTILINE)
    assert len(rows) > 10
    assert [promise for promise, kept in rows if not named_tests(kept) and "no test yet" not in kept] == []


def test_every_line_of_the_contract_names_its_test() -> None:
    text = (REPOSITORY / "docs/contract.md").read_text()
    rows = re.findall(r"^\| (?!line \||---)(.*?) \| ([^|]*) \|$", text, re.MULTILINE)
    assert len(rows) > 150
    assert len(rows) == len(re.findall(r"^\| (?!line \||---)", text, re.MULTILINE)), "a row of another form"
    assert [line for line, held_by in rows if not named_tests(held_by)] == []
    for section in range(1, 12):
        assert f"\n## {section}. " in text, f"section {section} of the contract is not there"


def test_decisions_are_numbered_without_gaps_and_linked() -> None:
    assert [file.name[:4] for file in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    for file in DECISIONS:
        assert f"docs/decisions/{file.name}" in ARCHITECTURE, file.name
        text = file.read_text()
        assert all(f"**{part}.**" in text for part in ("Context", "Choice", "Rejected")), file.name
