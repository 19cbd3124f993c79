"""The npy reader against NumPy: every type, order and version, cut anywhere, cut off anywhere, broken anyhow."""

import io
import itertools
import random
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ingot._native import BodyReader
from tests.body.verdict import Judge, bits, cut, torture

TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
VERSIONS: list[tuple[int, int]] = [(1, 0), (2, 0), (3, 0)]


def npy(array: NDArray[Any], version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


def any_numbers(chance: random.Random, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Any bits that are a number finite as float32."""
    array = np.frombuffer(chance.randbytes(dtype.itemsize * int(np.prod(shape))), dtype).copy()
    if dtype.kind == "f":
        if dtype.itemsize == 8:
            array = (array.view(np.dtype("u8")).astype(np.float64) * 1e-20).astype(dtype)
            array *= [chance.choice([-1, 1, 1e-40, 1e-45, 1e37, 1e38]) for _ in range(array.size)]
        with np.errstate(over="ignore", invalid="ignore"):
            array[~np.isfinite(array.astype(np.float32))] = -0.0
    shaped: NDArray[Any] = array.reshape(shape)
    return shaped


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", TYPES)
def test_every_type_and_order_is_rounded_once_as_numpy_does(
    name: str, order: str, chance: random.Random, judge: Judge
) -> None:
    dtype = np.dtype(order + name)
    for version, shape, _ in itertools.product(
        VERSIONS, [(1, 1), (1, 7), (5, 1), (9, 33), (12,)], range(torture(1))
    ):
        array = any_numbers(chance, dtype, shape)
        with np.errstate(all="ignore"):
            right = bits(np.atleast_2d(array.astype(np.float32)))
        for layout in (np.ascontiguousarray, np.asfortranarray):
            for purpose in ("insert", "search"):
                file = npy(layout(array), version)
                assert judge(cut(chance, file), "npy", purpose) == ("read", b"{}", right)


def test_one_dimension_is_said() -> None:
    for array, one_dimensional in ((np.ones(3, "f4"), True), (np.ones((1, 3), "f4"), False)):
        body = BodyReader("npy", "insert").read(npy(array))
        assert body.one_dimensional is one_dimensional
        assert body.rows is not None
        assert body.rows.shape == (1, 3)


def test_the_largest_upload_is_read(judge: Judge, chance: random.Random) -> None:
    array = np.random.default_rng(chance.getrandbits(32)).standard_normal((2000, 3024), np.float32)
    for layout in (np.ascontiguousarray, np.asfortranarray):
        file = npy(layout(array))
        body = BodyReader("npy", "insert").read(
            *(file[at : at + 100_001] for at in range(0, len(file), 100_001))
        )
        assert body.rows is not None
        assert np.array_equal(body.rows.numpy().view(np.uint32), array.view(np.uint32))


@pytest.mark.parametrize("name", ["<f2", ">f4", "<f4", "<f8", ">f8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_with_its_place(
    name: str, bad: float, chance: random.Random, judge: Judge
) -> None:
    for layout in (np.ascontiguousarray, np.asfortranarray):
        row, column = chance.randint(0, 8), chance.randint(0, 40)
        array = np.ones((9, 41), name)
        array[row, column] = bad
        fields = {"row": row, "column": column, "value": str(bad)}
        assert judge(cut(chance, npy(layout(array))), "npy", "insert") == ("NonFinite", fields, None)
    vector = np.ones(5, name)
    vector[3] = bad
    fields = {"row": None, "column": 3, "value": str(bad)}
    assert judge([npy(vector)], "npy", "search") == ("NonFinite", fields, None)


def test_a_float64_is_finite_or_not_as_float32(judge: Judge) -> None:
    limit = float(np.finfo(np.float32).max) + 2.0**103
    assert judge([npy(np.array([np.nextafter(limit, 0)]))], "npy", "insert")[0] == "read"
    assert judge([npy(np.array([[1.0], [limit]]))], "npy", "insert")[:1] == ("NonFinite",)


def test_a_file_cut_off_at_any_byte_is_refused(chance: random.Random, judge: Judge) -> None:
    for version in VERSIONS:
        file = npy(np.ones((3, 2), "<f4"), version)
        for end in range(len(file)):
            assert judge(cut(chance, file[:end]), "npy", "insert")[0] == "MalformedNpy", end


def test_bytes_behind_the_array_are_refused(chance: random.Random, judge: Judge) -> None:
    file = npy(np.ones((3, 2), "<f4"))
    for behind in (b"\0", b"\0\0\0\0", bytes(1000)):
        assert judge(cut(chance, file + behind), "npy", "insert")[0] == "MalformedNpy"


@pytest.mark.parametrize(
    "array",
    [
        np.array([[object()]], dtype=object),
        np.array([[True]]),
        np.array([["a"]]),
        np.array([[b"a"]]),
        np.array([[1j]]),
        np.array([[1]], dtype=np.longdouble),
        np.array([(1, 2)], dtype=[("a", "f4"), ("b", "f4")]),
        np.array([["2020-01-01"]], dtype="M8[D]"),
        np.zeros((2, 2, 2), "f4"),
        np.zeros((), "f4"),
    ],
    ids=lambda array: str(array.dtype) + str(array.shape),
)
def test_what_is_no_array_of_numbers_is_refused(array: NDArray[Any], judge: Judge) -> None:
    if array.dtype == object:
        array = np.array([[1]], dtype=object)
    assert judge([npy(array)], "npy", "insert")[0] == "MalformedNpy"


@pytest.mark.parametrize(
    ("shape", "purpose", "kind", "fields"),
    [
        ((0, 3), "insert", "EmptyEmbeddings", {"field": "embeddings"}),
        ((3, 0), "search", "EmptyEmbeddings", {"field": "query_embeddings"}),
        ((0,), "search", "EmptyEmbeddings", {"field": "query_embedding"}),
        ((2001, 1), "insert", "TooManyRows", {"limit": 2000}),
        ((1001, 1), "search", "TooManyRows", {"limit": 1000}),
        ((1, 3025), "insert", "TooManyColumns", {"row": 0, "limit": 3024}),
        ((3025,), "search", "TooManyColumns", {"row": None, "limit": 3024}),
    ],
)
def test_limits_are_judged_from_the_header(
    shape: tuple[int, ...], purpose: str, kind: str, fields: dict[str, Any], judge: Judge
) -> None:
    header = npy(np.zeros(shape, "f4"))[:128]
    assert judge([header], "npy", purpose) == (kind, fields, None)


def test_a_header_damaged_anywhere_is_never_read_as_another_array(
    chance: random.Random, judge: Judge
) -> None:
    """Refused, or read exactly as NumPy reads it (which lets more pass)."""
    array = np.arange(6, dtype="<f4").reshape(2, 3)
    file = npy(array)
    for _ in range(torture(3000)):
        at = chance.randint(0, 127)
        broken = (
            file[:at] + bytes([chance.choice(b" '\"{}(),:<>=|fiu0123456789TFO\\\n\xff\x00")]) + file[at + 1 :]
        )
        verdict = judge(cut(chance, broken), "npy", "insert")
        if verdict[0] == "read":
            with np.errstate(all="ignore"):
                right = np.load(io.BytesIO(broken), allow_pickle=False).astype(np.float32)
            assert verdict[2] == bits(np.atleast_2d(right)), broken
        else:
            assert verdict[0] in ("MalformedNpy", "EmptyEmbeddings", "NonFinite"), broken
