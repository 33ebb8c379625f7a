# SPDX-License-Identifier: Apache-2.0
"""The CDF writer: what it refuses, what it guarantees, and what NASA's own library reads back."""

from __future__ import annotations

import gzip
import struct
import time
from pathlib import Path
from typing import Any

import cdflib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.cdf.file import CdfFile
from exports.cdf.records import CDF_TYPES, MAX_FAN_OUT, TEXT_TYPES, TIME_TYPES, gzip_block
from exports.cdf.spec import Attribute, Values, VariableSpec, text_values
from lake.errors import ExportError

TEXTS = (("TITLE", ("A title", "and its second entry")),)
RNG = np.random.default_rng(1)
EXAMPLES: dict[str, Values] = {
    name: (RNG.random((50, 2, 3) if t.parts == 1 else (50, 2, 3, 2)) * 100).astype(t.dtype)
    for name, t in CDF_TYPES.items()
    if name not in TEXT_TYPES
}


def write(path: Path, spec: VariableSpec, rows: Values, texts: Any = TEXTS, majority: Any = "row") -> Path:
    with CdfFile(path, texts, [spec], majority) as file, file.records(spec.name, len(rows)) as records:
        records.append(rows)
    return path


def refused(path: Path, spec: VariableSpec, rows: Values, match: str, texts: Any = TEXTS) -> None:
    with pytest.raises(ExportError, match=match):
        write(path, spec, rows, texts)
    assert not path.exists()


def spec_of(type_name: Any, **more: Any) -> VariableSpec:
    return VariableSpec("x", type_name, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.cdf"


@pytest.fixture
def pycdf() -> Any:
    return pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")


@pytest.mark.oracle
@pytest.mark.parametrize("compression", [0, 1, 6])
@pytest.mark.parametrize("majority", ["row", "column"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_nasa_library_reads_every_type_in_both_majorities(
    path: Path, pycdf: Any, name: Any, majority: str, compression: int
) -> None:
    level = 0 if name in TIME_TYPES else compression
    write(path, spec_of(name, dims=(2, 3), compression=level), EXAMPLES[name], majority=majority)
    with pycdf.CDF(str(path)) as file:
        variable = file.raw_var("x")
        assert variable.type() == getattr(pycdf.const, name).value
        assert file.col_major() == (majority == "column")
        if (name, majority) != ("CDF_EPOCH16", "column"):  # spacepy cannot transpose that one, cdflib can
            np.testing.assert_array_equal(variable[...], EXAMPLES[name])
        assert file.checksum()
        assert list(file.attrs["TITLE"]) == ["A title", "and its second entry"]


@pytest.mark.parametrize("majority", ["row", "column"])
def test_halves_of_an_epoch16_stay_together(path: Path, majority: str) -> None:
    pairs = EXAMPLES["CDF_EPOCH16"]
    write(path, spec_of("CDF_EPOCH16", dims=(2, 3)), pairs, majority=majority)
    np.testing.assert_array_equal(cdflib.CDF(path, validate=True).varget("x"), pairs[..., 0] + 1j * pairs[..., 1])


def test_column_majority_changes_the_first_index_fastest(path: Path) -> None:
    write(path, spec_of("CDF_UINT1", dims=(2, 3)), np.array([[[1, 2, 3], [4, 5, 6]]], "u1"), majority="column")
    assert bytes([1, 4, 2, 5, 3, 6]) in path.read_bytes()


def test_majority_is_row_or_column(path: Path) -> None:
    refused_by = pytest.raises(ExportError, match=r"majority 'diagonal'. Use row or column")
    with refused_by:
        CdfFile(path, TEXTS, [spec_of("CDF_INT4")], "diagonal")  # type: ignore[arg-type]
    assert not path.exists()


@pytest.mark.oracle
def test_index_of_many_blocks_is_a_tree_of_ten_entries_at_most(path: Path, pycdf: Any) -> None:
    rows = np.arange(2_250_000, dtype="<i8") * 7
    write(path, spec_of("CDF_INT8", compression=1, block_bytes=16384), rows)
    used, depth = _index(path.read_bytes())
    assert max(used) <= MAX_FAN_OUT
    assert depth == 4  # 1,099 blocks
    with pycdf.CDF(str(path)) as file:
        np.testing.assert_array_equal(file.raw_var("x")[...], rows)
    np.testing.assert_array_equal(cdflib.CDF(path, validate=True).varget("x"), rows)


def _index(data: bytes) -> tuple[list[int], int]:
    """Entries of all index records and the depth of their tree, read by the format description."""
    used: list[int] = []

    def depth(offset: int) -> int:
        _, kind = struct.unpack_from(">qi", data, offset)
        if kind != 6:
            return 0
        count = struct.unpack_from(">i", data, offset + 24)[0]
        used.append(count)
        return 1 + max(depth(child) for child in struct.unpack_from(f">{count}q", data, offset + 28 + 8 * count))

    descriptor = struct.unpack_from(">q", data, 8 + 312 + 20)[0]
    return used, depth(struct.unpack_from(">q", data, descriptor + 28)[0])


@given(cuts=st.lists(st.integers(0, 3000), max_size=6), compression=st.sampled_from([0, 1]))
@settings(max_examples=15, deadline=None)
def test_bytes_do_not_depend_on_how_records_arrive(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], compression: int
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    rows = np.arange(3000 * 12, dtype="<u2").reshape(3000, 3, 4)
    spec = spec_of("CDF_UINT2", dims=(3, 4), compression=compression, block_bytes=16384)
    whole = write(folder / "whole.cdf", spec, rows)
    with CdfFile(folder / "cut.cdf", TEXTS, [spec]) as file, file.records("x", 3000) as records:
        for part in np.split(rows, sorted(cuts)):
            records.append(part)
    assert (folder / "cut.cdf").read_bytes() == whole.read_bytes()


# Defaults and clocks of cdflib


def test_nothing_is_compressed_unless_told_and_times_never(path: Path, tmp_path: Path) -> None:
    write(path, spec_of("CDF_TIME_TT2000"), np.zeros(10_000, "<i8"))
    assert cdflib.CDF(path).varinq("x").Compress == 0
    refused(tmp_path / "b.cdf", spec_of("CDF_TIME_TT2000", compression=1), np.zeros(1, "<i8"), "time variables")
    refused(tmp_path / "b.cdf", spec_of("CDF_EPOCH", compression=1), np.zeros(1, "<f8"), "time variables")
    refused(tmp_path / "b.cdf", spec_of("CDF_EPOCH16", compression=1), np.zeros((1, 2), "<f8"), "time variables")


def test_compressed_file_does_not_hold_the_time_of_writing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, rows = spec_of("CDF_INT4", compression=6), np.zeros(100_000, "<i4")
    write(path, spec, rows)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert write(tmp_path / "b.cdf", spec, rows).read_bytes() == path.read_bytes()
    assert gzip_block(b"abc", 6)[4:10] == b"\0\0\0\0\0\xff"


def test_no_block_is_packed_by_whatever_codec_cdflib_finds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdflib.cdfwrite, "gzip_deflate", None)
    write(path, spec_of("CDF_INT4", compression=6), np.zeros(100_000, "<i4"))
    assert path.stat().st_size < 10_000
    assert gzip.decompress(gzip_block(b"abc" * 9, 1)) == b"abc" * 9


def test_compressed_variable_is_small_and_a_block_that_would_grow_is_stored(path: Path, tmp_path: Path) -> None:
    zeros = write(path, spec_of("CDF_UINT1", compression=1), np.zeros(1_000_000, "u1"))
    noise = RNG.integers(0, 256, 1_000_000, dtype="u1")
    stored = write(tmp_path / "b.cdf", spec_of("CDF_UINT1", compression=1), noise)
    assert zeros.stat().st_size < 10_000
    assert 1_000_000 < stored.stat().st_size < 1_003_000
    np.testing.assert_array_equal(cdflib.CDF(stored, validate=True).varget("x"), noise)


def test_header_is_ibmpc_row_major_uncompressed_with_the_leap_seconds_of_the_table(path: Path) -> None:
    data = write(path, spec_of("CDF_INT4"), np.zeros(3, "<i4")).read_bytes()
    assert data[:8] == bytes.fromhex("cdf30001 0000ffff")
    assert struct.unpack_from(">i", data, 8 + 28)[0] == 6
    assert struct.unpack_from(">i", data, 8 + 32)[0] & 1 == 1
    year, month, day = cdflib.cdfepoch.LTS[-1][:3]
    assert struct.unpack_from(">i", data, 8 + 312 + 76)[0] == year * 10000 + month * 100 + day


# Shapes and types


@pytest.mark.parametrize("shape", [(10, 4), (10, 3, 1), (10,), (30,)])
def test_records_of_another_shape_are_refused(path: Path, shape: tuple[int, ...]) -> None:
    refused(path, spec_of("CDF_INT4", dims=(3,)), np.zeros(shape, "<i4"), "shape")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("CDF_INT4", np.array([1.5])),
        ("CDF_UINT2", np.array([-1, 70000])),
        ("CDF_UINT2", np.array([5], "<i2")),
        ("CDF_REAL4", np.array([1.0], "<f8")),
        ("CDF_TIME_TT2000", np.array(["2024-09-16"], "datetime64[ns]")),
        ("CDF_INT4", np.array([True])),
        ("CDF_INT4", [1, 2]),
    ],
)
def test_values_of_another_type_are_never_cast(path: Path, name: Any, rows: Any) -> None:
    refused(path, spec_of(name), rows, "Convert them on purpose")


def test_a_mask_is_not_dropped_without_a_word(path: Path) -> None:
    refused(path, spec_of("CDF_INT4"), np.ma.masked_equal(np.array([1, 2], "<i4"), 2), "MaskedArray of int32")


def test_values_in_big_endian_order_are_the_same_values(path: Path) -> None:
    write(path, spec_of("CDF_INT4"), np.array([1, -2, 3], ">i4"))
    assert cdflib.CDF(path).varget("x").tolist() == [1, -2, 3]


@pytest.mark.parametrize("announced", [2, 4])
def test_more_or_fewer_records_than_announced_are_refused(path: Path, announced: int) -> None:
    with (
        pytest.raises(ExportError, match=r"announced|more than"),
        CdfFile(path, TEXTS, [spec_of("CDF_INT4")]) as file,
        file.records("x", announced) as records,
    ):
        records.append(np.zeros(3, "<i4"))
    assert not path.exists()


def test_a_constant_has_one_record(path: Path) -> None:
    constant = spec_of("CDF_REAL4", dims=(2,), record_variance=False)
    refused(path, constant, np.zeros((2, 2), "<f4"), "constant has 1")
    write(path, constant, np.array([[1, 2]], "<f4"))
    assert not cdflib.CDF(path).varinq("x").Rec_Vary


@pytest.mark.oracle
@pytest.mark.parametrize("compression", [0, 1])
def test_variable_without_records_is_there(path: Path, pycdf: Any, compression: int) -> None:
    write(path, spec_of("CDF_REAL4", dims=(3,), compression=compression), np.zeros((0, 3), "<f4"))
    with pycdf.CDF(str(path)) as file:
        assert file.raw_var("x").shape == (0, 3)
    assert cdflib.CDF(path, validate=True).varget("x").shape[0] == 0


# Text


def test_text_is_padded_with_blanks(path: Path) -> None:
    spec = spec_of("CDF_CHAR", dims=(2,), elements=5, record_variance=False)
    write(path, spec, text_values(["ab", "cdefg"], 5)[np.newaxis])
    assert b"ab   cdefg" in path.read_bytes()
    assert cdflib.CDF(path).varget("x").ravel().tolist() == ["ab   ", "cdefg"]


@pytest.mark.parametrize(
    ("text", "match"), [("toolong", "more than"), ("µm", "printable"), ("a\tb", "printable"), ("", "empty")]
)
def test_text_that_would_shift_or_spill_is_refused(text: str, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        text_values([text], 5)


@pytest.mark.parametrize(
    "rows", [np.array([b"ab"], "S5"), np.array(["\u00b5".encode() + b"mmm"], "S5"), np.array(["abcde"])]
)
def test_rows_of_text_that_are_not_padded_ascii_are_refused(path: Path, rows: Values) -> None:
    refused(path, spec_of("CDF_CHAR", elements=5), rows, "CDF_CHAR|Convert|text_values")


# Attributes


@pytest.mark.oracle
def test_attributes_have_the_types_they_were_given(path: Path, pycdf: Any) -> None:
    values: dict[str, Any] = {n: (t.fill,) * t.parts for n, t in CDF_TYPES.items() if t.fill is not None}
    attributes = tuple(Attribute(f"A_{n}", n, v) for n, v in values.items())  # type: ignore[arg-type]
    attributes += (Attribute("PAIR", "CDF_INT2", (3, 4)), Attribute("TEXT_", "CDF_CHAR", " "))
    attributes += (Attribute("OLD", "CDF_UCHAR", "text"), Attribute("SPAN", "CDF_EPOCH16", (1.0, 2.0, 3.0, 4.0)))
    write(path, spec_of("CDF_INT4", attributes=attributes), np.zeros(1, "<i4"))
    with pycdf.CDF(str(path)) as file:
        found = file.raw_var("x").attrs
        for name, cdf_type in CDF_TYPES.items():
            if cdf_type.fill is not None:
                assert found.type(f"A_{name}") == getattr(pycdf.const, name).value
                assert np.all(found[f"A_{name}"] == cdf_type.dtype.type(cdf_type.fill))
        assert list(found["PAIR"]) == [3, 4]
        assert found["TEXT_"] == b" "
        assert (found["OLD"], found.type("OLD")) == (b"text", pycdf.const.CDF_UCHAR.value)
        np.testing.assert_array_equal(found["SPAN"], [(1, 2), (3, 4)])


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute("A", "CDF_CHAR", ""),
        Attribute("A", "CDF_CHAR", None),  # type: ignore[arg-type]
        Attribute("A", "CDF_CHAR", "5 µm"),
        Attribute("A", "CDF_CHAR", "one\\N two"),
        Attribute("A", "CDF_CHAR", (1,)),
        Attribute("A", "CDF_INT2", ()),
        Attribute("A", "CDF_INT2", (1.5,)),
        Attribute("A", "CDF_INT2", (40000,)),
        Attribute("A", "CDF_UINT2", (-1,)),
        Attribute("A", "CDF_REAL4", (1e39,)),
        Attribute("A", "CDF_REAL4", (float("nan"),)),
        Attribute("A", "CDF_INT2", (True,)),
        Attribute("A", "CDF_TIME_TT2000", "2024-09-16T00:00:00"),
        Attribute("A", "CDF_REAL4", ("5", "CDF_INT4")),  # type: ignore[arg-type]
        Attribute("A", "CDF_EPOCH16", (1.0,)),
        Attribute("A", "CDF_UCHAR", ""),
        Attribute("A", "CDF_NONE", (1.0,)),  # type: ignore[arg-type]
        Attribute("2A", "CDF_INT2", (1,)),
        Attribute("TITLE", "CDF_CHAR", "also a global attribute"),
        Attribute("Title", "CDF_CHAR", "a global attribute but for the case"),
    ],
)
def test_attributes_that_cdflib_would_change_are_refused(path: Path, attribute: Attribute) -> None:
    refused(path, spec_of("CDF_INT4", attributes=(attribute,)), np.zeros(1, "<i4"), "attribute")


@pytest.mark.parametrize("entries", [(), ("",), (None,), ("µ",), "text", ("a\nb",)])
def test_global_attributes_are_ascii_entries(path: Path, entries: Any) -> None:
    refused(path, spec_of("CDF_INT4"), np.zeros(1, "<i4"), "global attribute TEXT", (("TEXT", entries),))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "2x"},
        {"name": "x-y"},
        {"type": "CDF_NONE"},
        {"dims": (0,)},
        {"elements": 2},
        {"compression": True},
        {"compression": 10},
        {"compression": 1, "block_bytes": 1000},
    ],
)
def test_impossible_variables_are_refused(path: Path, changes: dict[str, Any]) -> None:
    spec = VariableSpec(**{"name": "x", "type": "CDF_INT4", **changes})
    refused(path, spec, np.zeros(1, "<i4"), "variable")


def test_variable_names_differ_by_more_than_case(path: Path) -> None:
    with pytest.raises(ExportError, match="same to some readers"):
        CdfFile(path, TEXTS, [VariableSpec("a", "CDF_INT4"), VariableSpec("A", "CDF_INT4")])
    assert not path.exists()


# The file


def test_an_exception_removes_the_file(path: Path) -> None:
    def interrupted() -> None:
        with CdfFile(path, TEXTS, [spec_of("CDF_INT4")]):
            assert path.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert not path.exists()


def test_a_failed_variable_cannot_be_caught_and_forgotten(path: Path) -> None:
    file = CdfFile(path, TEXTS, [spec_of("CDF_INT4")])
    with pytest.raises(ZeroDivisionError), file.records("x", 1):
        raise ZeroDivisionError
    assert not path.exists()
    with pytest.raises(ExportError, match="no records of x"):
        file.close()


def test_every_variable_is_written_once(path: Path) -> None:
    with pytest.raises(ExportError, match="no records of x"), CdfFile(path, TEXTS, [spec_of("CDF_INT4")]):
        pass
    assert not path.exists()
    file = CdfFile(path, TEXTS, [spec_of("CDF_INT4")])
    with file.records("x", 0):
        pass
    with pytest.raises(ExportError, match="not waiting"), file.records("x", 0):
        pass
    with pytest.raises(ExportError, match="not waiting"), file.records("y", 0):
        pass
    file.discard()
    assert not path.exists()


@pytest.mark.parametrize("name", ["a.dat", "a", "no folder/a.cdf", "a" * 600 + ".cdf"])
def test_path_is_a_cdf_file_in_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=r"CDF file|folder"):
        CdfFile(tmp_path / name, TEXTS, [spec_of("CDF_INT4")])


def test_an_existing_file_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ExportError, match="never overwritten"):
        CdfFile(path, TEXTS, [spec_of("CDF_INT4")])
    assert path.read_text() == "precious"


def test_one_flipped_byte_fails_the_checksum(path: Path) -> None:
    write(path, spec_of("CDF_INT4"), np.arange(1000, dtype="<i4"))
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match="md5"):
        cdflib.CDF(path, validate=True)
