"""What a NumPy user may hand over, and what comes of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ingot
from ingot.errors import (
    DimensionMismatch,
    EmptyEmbeddings,
    IngotError,
    NonFiniteValue,
    TooManyColumns,
    TooManyRows,
    WrongType,
    ZeroVector,
)

BASE = np.random.default_rng(1).uniform(-100, 100, (7, 12))
BIG = (2000, 3024)


def stored(store: ingot.Store, tenant: str = "t") -> NDArray[np.float32]:
    rows = store.get(tenant, source_id="a").embeddings
    assert rows is not None
    return rows


def bits(array: NDArray[Any]) -> bytes:
    assert array.dtype == np.float32
    return array.tobytes()


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array: NDArray[Any]) -> NDArray[Any]:
    wide = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def backwards(array: NDArray[Any]) -> NDArray[Any]:
    turned: NDArray[Any] = array[::-1, ::-1].copy()[::-1, ::-1]
    return turned


def unaligned(array: NDArray[Any]) -> NDArray[Any]:
    found = np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)
    assert array.itemsize == 1 or not found.flags.aligned
    return found


def broadcast(array: NDArray[Any]) -> NDArray[Any]:
    repeated: NDArray[Any] = np.broadcast_to(array[0], array.shape)
    return repeated


def field(array: NDArray[Any]) -> NDArray[Any]:
    packed = np.zeros(array.shape, [("flag", "u1"), ("x", array.dtype)])
    packed["x"] = array
    numbers: NDArray[Any] = packed["x"]
    return numbers


class Labelled(np.ndarray):
    """A subclass, as libraries make them."""


def subclass(array: NDArray[Any]) -> NDArray[Any]:
    labelled: NDArray[Any] = array.view(Labelled)
    return labelled


LAYOUTS = [
    np.ascontiguousarray,
    np.asfortranarray,
    read_only,
    strided,
    backwards,
    unaligned,
    broadcast,
    field,
    subclass,
    np.ma.asarray,
]
TYPES = [
    "f4",
    "f8",
    "f2",
    "g",
    ">f4",
    ">f8",
    ">f2",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    ">i4",
    ">u8",
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_layout_and_type_of_number_is_stored_as_astype_float32(
    store: ingot.Store, layout: Any, dtype: str
) -> None:
    whole = np.abs(BASE) if np.dtype(dtype).kind == "u" else BASE
    array = layout(whole.astype(dtype))
    expected = np.asarray(array).astype(np.float32)
    inserted = store.insert("t", array, file_id="a")
    assert bits(stored(store)) == expected.tobytes()
    assert inserted.crc32c == ingot.crc32c(array) == ingot.crc32c(expected)
    hits = store.search("t", np.asarray(array)[2], limit=1, exact=True)
    assert hits.distances[0] == pytest.approx(0, abs=1e-6)


def test_large_integers_are_rounded_once(store: ingot.Store) -> None:
    # Rounded to float64 first, this tie would go down to 2**60.
    number = 2**60 + 2**36 + 1
    store.insert("t", np.array([[number, 1]], np.int64), file_id="a")
    assert stored(store)[0, 0] == np.float32(2**60 + 2**37)


def test_a_memory_map_is_stored_as_its_numbers(store: ingot.Store, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", BASE.astype(np.float32))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    store.insert("t", mapped, file_id="a")
    assert bits(stored(store)) == BASE.astype(np.float32).tobytes()


def test_a_list_of_lists_is_stored_as_its_numbers(store: ingot.Store) -> None:
    store.insert("t", [[1.0, 2.5], [3, -4.0]], file_id="a")
    assert stored(store).tolist() == [[1, 2.5], [3, -4]]


def test_a_float32_array_is_left_as_it_was(store: ingot.Store) -> None:
    array = BASE.astype(np.float32)
    before = array.copy()
    store.insert("t", array, file_id="a")
    array[:] = 0
    assert bits(stored(store)) == before.tobytes()


def test_every_bit_of_a_float32_is_kept(store: ingot.Store) -> None:
    array = np.array([[-0.0, 0.0, 1e-45, -1e-45, 1.1754942e-38, 3.4028235e38, -3.4028235e38]], np.float32)
    store.insert("t", array, file_id="a")
    assert bits(stored(store)) == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.ones((2, 3), bool),
        np.ones((2, 3), object),
        np.full((2, 3), "1"),
        np.full((2, 3), b"1"),
        np.ones((2, 3), complex),
        np.zeros((2, 3), "datetime64[s]"),
        np.zeros((2, 3), "timedelta64[s]"),
        np.zeros((2, 3), [("x", "f4")]),
        np.float32(1.0),
        np.array(1.0, np.float32),
        np.ones(3, np.float32),
        np.ones((2, 3, 1), np.float32),
        np.ones((1, 1, 1, 1), np.float32),
    ],
    ids=lambda array: f"{array.dtype}-{array.ndim}d",
)
def test_what_is_no_matrix_of_numbers_is_refused_and_makes_no_tenant(
    store: ingot.Store, data: Path, array: Any
) -> None:
    with pytest.raises(WrongType) as caught:
        store.insert("t", array, file_id="a")
    assert "expected" in str(caught.value)
    assert caught.value.field == "embeddings"
    assert list((data / "tenants").iterdir()) == []


@pytest.mark.parametrize("thing", [None, "abc", {"a": 1}, object(), [[1, "x"]], [[1, 2], [3]], [[None]]])
def test_what_is_no_array_is_a_type_or_value_error(store: ingot.Store, data: Path, thing: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.insert("t", thing, file_id="a")
    assert list((data / "tenants").iterdir()) == []


def test_a_masked_number_is_refused(store: ingot.Store) -> None:
    array = np.ma.masked_array(np.ones((2, 2), np.float32), [[False, False], [False, True]])
    with pytest.raises(WrongType, match="masked"):
        store.insert("t", array, file_id="a")


@pytest.mark.parametrize(
    ("shape", "error", "limit"),
    [
        ((2001, 1), TooManyRows, 2000),
        ((1, 3025), TooManyColumns, 3024),
        ((0, 3), EmptyEmbeddings, None),
        ((3, 0), EmptyEmbeddings, None),
        ((0, 0), EmptyEmbeddings, None),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_the_limits_are_named(
    store: ingot.Store,
    data: Path,
    shape: tuple[int, int],
    error: type[IngotError],
    limit: int | None,
    dtype: str,
) -> None:
    with pytest.raises(error) as caught:
        store.insert("t", np.ones(shape, dtype), file_id="a")
    assert caught.value.limit == limit
    assert limit is None or str(limit) in str(caught.value)
    assert list((data / "tenants").iterdir()) == []


def test_the_largest_upload_is_stored_whole(store: ingot.Store) -> None:
    array = np.random.default_rng(2).standard_normal(BIG, np.float32)
    inserted = store.insert("t", array, file_id="a")
    assert len(inserted) == 2000
    rows = store.get("t", source_id="a", limit=2000).embeddings
    assert rows is not None
    assert bits(rows) == array.tobytes()


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, strided])
@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("f4", np.nan),
        ("f4", np.inf),
        ("f4", -np.inf),
        ("f8", np.nan),
        ("f8", 1e39),
        ("f8", -3.5e38),
        ("f2", np.inf),
        (">f4", np.nan),
        (">f8", 1e300),
    ],
)
def test_a_number_that_is_not_finite_as_float32_is_named_by_row_and_column(
    store: ingot.Store, data: Path, layout: Any, dtype: str, value: float
) -> None:
    array = np.ones((500, 301), dtype)
    array[417, 203] = value
    array[417, 204] = np.nan
    array[499, 0] = np.nan
    with pytest.raises(NonFiniteValue) as caught:
        store.insert("t", layout(array), file_id="a")
    assert (caught.value.row, caught.value.column) == (417, 203)
    assert str(caught.value).startswith("row 417, column 203: ")
    assert list((data / "tenants").iterdir()) == []


def test_a_float64_that_overflows_is_named_as_it_was_given(store: ingot.Store) -> None:
    with pytest.raises(NonFiniteValue, match=r"row 0, column 1: 1e\+?39 is not finite as float32"):
        store.insert("t", np.array([[0, 1e39]]), file_id="a")


def test_the_largest_float64_that_rounds_to_a_float32_is_taken(store: ingot.Store) -> None:
    limit = float.fromhex("0x1.ffffff0p127")  # half way to 2**128: rounds to even, away
    below = np.nextafter(limit, 0)
    store.insert("t", np.array([[below, 1.0]]), file_id="a")
    assert stored(store)[0, 0] == np.finfo(np.float32).max
    with pytest.raises(NonFiniteValue):
        store.insert("t", np.array([[limit, 1.0]]), file_id="b")


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_zero_row_has_no_cosine_and_is_named(
    store: ingot.Store, data: Path, zero: float, dtype: str
) -> None:
    array = np.ones((300, 40), dtype)
    array[211] = zero
    with pytest.raises(ZeroVector) as caught:
        store.insert("t", array, file_id="a")
    assert caught.value.row == 211
    assert list((data / "tenants").iterdir()) == []


def test_a_row_that_rounds_to_zero_is_a_zero_row(store: ingot.Store) -> None:
    with pytest.raises(ZeroVector) as caught:
        store.insert("t", np.array([[1.0, 1.0], [1e-60, -1e-60]]), file_id="a")
    assert caught.value.row == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_a_query_that_is_not_finite_is_named_by_column(store: ingot.Store, bad: float) -> None:
    store.insert("t", np.eye(3), file_id="a")
    with pytest.raises(NonFiniteValue) as caught:
        store.search("t", np.array([1, bad, 2]))
    assert (caught.value.row, caught.value.column) == (None, 1)
    with pytest.raises(NonFiniteValue) as caught:
        store.search_batch("t", np.array([[1, 2, 3], [1, 2, bad]]))
    assert (caught.value.row, caught.value.column) == (1, 2)


def test_a_zero_query_and_one_of_another_dimension_are_named(store: ingot.Store) -> None:
    store.insert("t", np.eye(3), file_id="a")
    with pytest.raises(ZeroVector):
        store.search("t", np.zeros(3))
    with pytest.raises(DimensionMismatch) as caught:
        store.search("t", np.ones(4))
    assert (caught.value.expected, caught.value.got) == (3, 4)
    with pytest.raises(ValueError, match="search_batch"):
        store.search("t", np.ones((2, 3)))
    with pytest.raises(WrongType):
        store.search_batch("t", np.ones((1, 2, 3)))


# In a process of its own: memory that was freed before can be used again without a trace.
REFUSALS = """
import sys
from pathlib import Path
import numpy as np
import ingot

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

path, case = sys.argv[1:]
store = ingot.open(path)
array = np.ones((2000, 3024), np.float32)
if case == "NonFiniteValue":
    array[1999, 3023] = np.nan
elif case == "ZeroVector":
    array[1999] = 0
store.insert("t", np.ones((1, 3 if case == "DimensionMismatch" else 3024), np.float32))
before = peak()
for tenant in ("t", "new"):
    try:
        store.insert(tenant, array, file_id="a")
    except getattr(ingot.errors, case):
        print(peak() - before)
    if case == "DimensionMismatch":
        break
"""


@pytest.mark.parametrize("case", ["NonFiniteValue", "ZeroVector", "DimensionMismatch"])
def test_a_refusal_of_a_float32_array_copies_nothing(data: Path, case: str) -> None:
    command = [sys.executable, "-c", REFUSALS, str(data), case]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    assert len(said) == (1 if case == "DimensionMismatch" else 2)
    assert all(int(grown) < 2000 * 3024 * 4 / 4 for grown in said)
