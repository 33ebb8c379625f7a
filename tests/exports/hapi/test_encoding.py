# SPDX-License-Identifier: Apache-2.0
"""Values as bytes: nothing of a number is lost, and a fill value is the number that its text says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.cdf.records import CDF_TYPES, CdfTypeName
from exports.cdf.spec import VariableSpec
from exports.hapi.encoding import binary, csv, json_rows
from exports.hapi.fields import Field, Kind
from exports.istp.variable import Variable
from lake.errors import ExportError

# Within what a product may hold, +-1e30; for 32 bits by bounds that they have exactly.
FLOATS32 = st.lists(st.floats(-(2.0**99), 2.0**99, width=32), max_size=7)
FLOATS64 = st.lists(st.floats(-1e30, 1e30), max_size=7)


def field(cdf_type: CdfTypeName, kind: Kind, *size: int) -> Field:
    return Field("x", kind, size, Variable(VariableSpec("x", cdf_type, size)))


@settings(deadline=None)
@given(FLOATS32)
def test_csv_gives_32_bits_again(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    lines = csv([field("CDF_REAL4", "double")], [values]).decode().splitlines()
    assert np.array_equal(np.array([float(line) for line in lines]).astype(np.float32), values)


@settings(deadline=None)
@given(FLOATS64)
def test_csv_and_json_give_64_bits_again(numbers: list[float]) -> None:
    double, values = field("CDF_REAL8", "double"), np.array(numbers, np.float64)
    assert [float(line) for line in csv([double], [values]).decode().splitlines()] == numbers
    rows = json.loads(b"[" + json_rows([double], [values]).removeprefix(b",") + b"]")
    assert [row[0] for row in rows] == numbers


def test_32_bits_are_written_in_their_own_digits() -> None:
    assert csv([field("CDF_REAL4", "double")], [np.array([0.1, -3.25], np.float32)]) == b"0.1\n-3.25\n"


@pytest.mark.parametrize(
    ("cdf_type", "kind", "text"),
    [
        ("CDF_REAL4", "double", "-1e+31"),
        ("CDF_REAL8", "double", "-1e+31"),
        ("CDF_INT8", "double", "-9223372036854775808"),
        ("CDF_INT4", "integer", "-2147483648"),
        ("CDF_INT2", "integer", "-32768"),
        ("CDF_INT1", "integer", "-128"),
        ("CDF_UINT1", "integer", "255"),
    ],
)
def test_a_fill_value_is_its_text_in_all_formats(cdf_type: CdfTypeName, kind: Kind, text: str) -> None:
    one = field(cdf_type, kind)
    values = np.array([CDF_TYPES[cdf_type].fill], CDF_TYPES[cdf_type].dtype)
    assert one.fill == text
    assert csv([one], [values]) == text.encode() + b"\n"
    sent = np.frombuffer(binary([one], [values]), "<f8" if kind == "double" else "<i4")
    assert sent[0] == float(text)


def test_integers_that_no_double_can_be_are_refused() -> None:
    values = np.array([2**53, 2**53 + 1])
    assert csv([field("CDF_INT8", "double")], [values[:1]]) == b"9007199254740992\n"
    for encode in (binary, csv, json_rows):
        with pytest.raises(ExportError, match="9007199254740993 is no double"):
            encode([field("CDF_INT8", "double")], [values])


def test_the_last_index_is_the_fastest() -> None:
    values = np.arange(6, dtype=np.int32).reshape(1, 2, 3)
    cells = field("CDF_INT4", "integer", 2, 3)
    assert csv([cells], [values]) == b"0,1,2,3,4,5\n"
    assert json_rows([cells], [values]) == b",\n[[[0,1,2],[3,4,5]]]"
    assert binary([cells], [values]) == values.tobytes()


def test_no_records_are_no_bytes() -> None:
    none = np.empty((0, 2), np.float32)
    assert [encode([field("CDF_REAL4", "double", 2)], [none]) for encode in (csv, binary, json_rows)] == [b"", b"", b""]
