"""What is no filter is refused with the place where it goes wrong and what would be right; none takes long."""

import time
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot import _native, limits
from ingot.errors import FilterSyntax

WRONG = [
    # (filter, offset in characters, words of the message)
    ("", 0, "empty"),
    ("  \n", 3, "empty"),
    ("lang == 1", 0, 'metadata["lang"]'),
    ('metadata == "x"', 9, "name of a key"),
    ('metadata["a"]', 0, "compare it"),
    ('metadata["a"] and metadata["b"] == 1', 0, "compare it"),
    ('not metadata["a"]', 4, "compare it"),
    ('metadata["a"] = 1', 14, "`==`"),
    ('metadata["a"] <> 1', 14, "`!=`"),
    ('metadata["a"] == 1 & metadata["b"] == 1', 19, "`and`"),
    ('metadata["a"] == 1 | metadata["b"] == 1', 19, "`or`"),
    ('metadata["a"] ==', 16, "got the end"),
    ('metadata["a"] == 1 and', 22, "got the end"),
    ('metadata["a"] == 1 metadata["b"]', 19, "`and`, `or` or the end"),
    ('metadata["a"] == 1)', 18, "`and`, `or` or the end"),
    ('(metadata["a"] == 1', 19, "`)`"),
    ('(metadata["a"]) == 1', 1, "compare it"),
    ('metadata["a"] == metadata["b"]', 17, "two fields"),
    ("1 == 2", 5, "needs a field"),
    ('"a" in metadata["l"]', 0, "on the left"),
    ('1 < metadata["a"] > 0', 18, "same way"),
    ('1 == metadata["a"] == 1', 19, "both sides"),
    ('metadata["a"] < 1 < 2', 18, "chained"),
    ('1 < metadata["a"] < 2 < 3', 22, "chained"),
    ('metadata["a"] < true', 16, "no order"),
    ('metadata["a"] == null', 17, "exists"),
    ('metadata["a"] is null', 14, "exists"),
    ('exists source_id == "a"', 7, "exists metadata"),
    ('exists metadata["a"] == 1', 21, "`and`, `or` or the end"),
    ('metadata["a"] in 1', 17, "a list"),
    ('metadata["a"] in [1, [2]]', 21, "a string, a number, a boolean"),
    ('metadata["a"] in [1 2]', 20, "`,` or `]`"),
    ('metadata["a"] in [1', 19, "got the end"),
    ('metadata["a"] in [,]', 18, "a string, a number"),
    ('metadata["a"] == [1]', 17, "in [..]"),
    ('metadata["a"] not 1', 18, "`in`"),
    ('metadata["a"] not like "x"', 18, "not (.. like ..)"),
    ('metadata["a"] like 5', 19, "a pattern"),
    ('metadata["a"] like "x\\\\"', 19, "backslash"),
    ('metadata["a"] == "x\\%"', 19, "`like`"),
    ('metadata["a"] == "x\\q"', 19, "no such escape"),
    ('metadata["a"] == "\\ud83e"', 18, "hexadecimal"),
    ('metadata["a"] == "abc', 17, "no end"),
    ("metadata['ä🦀'] = 1", 15, "`==`"),
    ("metadata[a] == 1", 9, "in quotes"),
    ("metadata[-1] == 1", 9, "from 0"),
    ("metadata[1.5] == 1", 9, "from 0"),
    ('metadata["a" == 1', 13, "`]`"),
    ('metadata["a"] == 007', 17, "leading zeros"),
    ('metadata["a"] == 0x1f', 17, "no number"),
    ('metadata["a"] == 1.2.3', 17, "no number"),
    ('metadata["a"] == 1e999', 17, "a double holds"),
    ('metadata["a"] == 5years', 17, "no number"),
    ('metadata["a"] + 1 == 2', 14, "no meaning"),
    ('json_contains(metadata["a"], 1)', 0, "no functions"),
    ("true", 4, "`==`"),
    ('and metadata["a"] == 1', 0, "a field or a value"),
    ('metadata["a"] == 1 # all', 19, "no meaning"),
    (" or ".join(f"metadata[{n}] == {n % 9}" for n in range(10, 75)), 64 * 21, "64 different keys"),
]


@pytest.mark.parametrize(("text", "offset", "words"), WRONG, ids=[text or "nothing" for text, _, _ in WRONG])
def test_an_error_names_its_place_and_what_would_be_right(text: str, offset: int, words: str) -> None:
    with pytest.raises(FilterSyntax) as refused:
        _native.check_filter(text)
    assert refused.value.offset == offset, refused.value
    assert words in refused.value.message
    assert f"at character {offset}: " in refused.value.message
    assert refused.value.field == "filter_expr"


@pytest.mark.parametrize(
    "text",
    [
        'metadata["a"]==1',
        'METADATA_is_no_key == 1 or metadata["a"] == 1',
        'metadata["a"] == 1 AND NOT metadata["b"] == .5 Or EXISTS metadata["c"]',
        'metadata["a"] IN [1, "x", TRUE, False,] && source_id LIKE "%"',
        "((chunk_id == 'x'))",
        'metadata["a"][0]["b"][12] >= -1.5e-3',
        '1. < metadata["a"]',
    ],
)
def test_what_is_right_is_taken(text: str) -> None:
    if "METADATA" in text:
        with pytest.raises(FilterSyntax):
            _native.check_filter(text)
    else:
        _native.check_filter(text)


def seconds_of(work: object) -> float:
    started = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - started


def test_filters_of_full_length_end_soon(data: Path) -> None:
    """No bound here depends on a fast machine: what is not linear would take hours."""
    long = "a" * 60_000
    most = limits.MAX_FILTER

    def filled(first: str, each: str, last: str = "") -> str:
        return first + each * ((most - len(first) - len(last)) // len(each)) + last

    with ingot.open(data) as store:
        for number in range(20):
            store.insert(
                "t",
                np.ones((2, 2), np.float32),
                file_id=f"s{number}",
                document_metadata={"a": long, "n": number},
            )
        filters = [
            filled('metadata["a"] like "', "%a", '%b"'),
            filled('metadata["a"] like "', "a%a", 'b"'),
            filled('metadata["a"] like "', "%%", '"'),
            filled('metadata["n"] in [', "1,", "]"),
            'metadata["n"] not in [' + ",".join(map(str, range(3300))) + "]",
            filled('metadata["n"] == 1', ' or metadata["n"] == 2'),
            filled('metadata["n"] == 1', " and not chunk_id<'s'"),
            filled('metadata["n"] == ', "9"),
            filled("metadata", "[0]", "==1"),
            filled("source_id like '", "%s", "'"),
            filled("chunk_id in [", "'s1_1',", "]"),
        ]
        for text in filters:
            assert len(text) > most * 0.85
            hits = store.get("t", filter=text)
            assert len(hits) in (0, 2, 4, 1, 40), text[:60]
            assert seconds_of(lambda text=text: store.get("t", filter=text)) < 10, text[:60]
        hundred_thousand = 'metadata["n"] in [' + "1," * 100_000 + "]"
        with pytest.raises(FilterSyntax, match="bytes long"):
            store.get("t", filter=hundred_thousand)
        with pytest.raises(FilterSyntax, match="levels"):
            store.get("t", filter="(" * most)
