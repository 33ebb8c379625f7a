# SPDX-License-Identifier: Apache-2.0
"""Any ISTP CDF as a DataFrame: times, fill values, arrays, text, and what explains them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from exports.cdf import read
from exports.cdf.file import CdfFile
from exports.cdf.spec import Attribute, Values, VariableSpec, text_values
from lake.errors import ExportError

# Known answers (CDF leap-second page): 2016-12-31T23:59:60.5 and the midnight after it.
LEAP, MIDNIGHT = 536500868684000000, 536500869184000000
Variable = tuple[VariableSpec, Values]


def text(name: str, value: str) -> Attribute:
    return Attribute(name, "CDF_CHAR", value)


def variable(name: str, kind: Any, rows: Any, *attributes: Attribute, **more: Any) -> Variable:
    values = np.asarray(rows)
    spec = VariableSpec(name, kind, attributes=attributes, **more)
    return spec, values if values.dtype.kind == "S" else values.astype(spec.dtype)


def times(name: str = "Epoch", rows: Any = (LEAP, MIDNIGHT, -(2**63))) -> Variable:
    return variable(name, "CDF_TIME_TT2000", rows, text("UNITS", "ns"))


def data(name: str, kind: Any, rows: Any, *attributes: Attribute, epoch: str = "Epoch", **more: Any) -> Variable:
    return variable(name, kind, rows, text("DEPEND_0", epoch), *attributes, **more)


def write(folder: Path, *variables: Variable) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "a.cdf"
    with CdfFile(path, [("TITLE", ["A title"])], [spec for spec, _ in variables]) as file:
        for spec, rows in variables:
            with file.records(spec.name, len(rows)) as records:
                records.append(rows)
    return path


def test_times_are_tt2000_and_utc_and_a_fill_is_null(tmp_path: Path) -> None:
    table = read(write(tmp_path, times(), data("x", "CDF_INT4", [1, 2, 3])))
    assert table.epoch == "Epoch"
    assert table.frame["Epoch"].to_list() == [LEAP, MIDNIGHT, None]
    before_midnight = datetime(2016, 12, 31, 23, 59, 59, 999999, UTC)  # a leap second has no name in datetime
    assert table.frame["time"].to_list() == [before_midnight, datetime(2017, 1, 1, tzinfo=UTC), None]
    assert table.frame["time"].dtype == pl.Datetime("us", "UTC")


# 2017-01-01T00:00:00 is 63650448000000 ms after year 0 (cdflib.cdfepoch.compute_epoch).
@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("CDF_EPOCH", [63650448000000.0, 63650448000000.5, -1e31]),
        ("CDF_EPOCH16", [[63650448000.0, 0.0], [63650448000.0, 5e8], [-1e31, -1e31]]),
    ],
)
def test_older_times_become_tt2000(tmp_path: Path, kind: str, rows: Any) -> None:
    table = read(write(tmp_path, variable("Epoch", kind, rows), data("x", "CDF_INT4", [1, 2, 3])))
    assert table.frame["Epoch"].to_list() == [MIDNIGHT, MIDNIGHT + 500_000, None]


@pytest.mark.parametrize(
    ("kind", "rows", "fill", "expected"),
    [
        ("CDF_REAL4", [1, -1e31, np.nan], Attribute("FILLVAL", "CDF_REAL4", (-1e31,)), [1, None, None]),
        ("CDF_REAL4", [1, -1e31, 2], Attribute("FILLVAL", "CDF_REAL8", (-1e31,)), [1, None, 2]),
        ("CDF_INT2", [1, -32768, 2], Attribute("FILLVAL", "CDF_INT2", (-32768,)), [1, None, 2]),
        ("CDF_INT2", [1, -1, 2], Attribute("FILLVAL", "CDF_REAL8", (-1.0,)), [1, None, 2]),
        ("CDF_INT2", [1, -1, 2], Attribute("FILLVAL", "CDF_UINT2", (65535,)), [1, -1, 2]),
        ("CDF_UINT1", [1, 255, 2], Attribute("FILLVAL", "CDF_CHAR", "255"), [1, 255, 2]),
    ],
)
def test_fill_values_are_null_whatever_type_they_are_written_in(
    tmp_path: Path, kind: str, rows: Any, fill: Attribute, expected: list[Any]
) -> None:
    frame = read(write(tmp_path, times(), data("x", kind, rows, fill))).frame
    assert frame["x"].to_list() == expected


def test_values_outside_the_valid_range_are_null_only_when_asked(tmp_path: Path) -> None:
    limits = Attribute("VALIDMIN", "CDF_INT4", (1, 2)), Attribute("VALIDMAX", "CDF_INT4", (8,))
    path = write(tmp_path, times(), data("x", "CDF_INT4", [[1, 1], [0, 8], [9, 2]], *limits, dims=(2,)))
    assert read(path).frame["x"].to_list() == [[1, 1], [0, 8], [9, 2]]
    assert read(path, valid=True).frame["x"].to_list() == [[1, None], [None, 8], [None, 2]]


def test_arrays_keep_their_shape_and_text_loses_its_padding(tmp_path: Path) -> None:
    labels = np.stack([text_values(["a", "bcd"], 5)] * 3)
    path = write(
        tmp_path,
        times(),
        data("x", "CDF_INT2", np.arange(18).reshape(3, 2, 3), dims=(2, 3)),
        data("word", "CDF_CHAR", text_values(["on", "off", " "], 4), elements=4),
        data("words", "CDF_CHAR", labels, elements=5, dims=(2,)),
    )
    frame = read(path).frame
    assert frame.schema["x"] == pl.Array(pl.Int16, (2, 3))
    assert frame["x"][1].to_list() == [[6, 7, 8], [9, 10, 11]]
    assert frame["word"].to_list() == ["on", "off", ""]
    assert frame["words"].to_list() == [["a", "bcd"]] * 3


def test_units_labels_axes_and_constants_come_along(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        times(),
        variable("energy", "CDF_REAL4", [[1.5, -1e31]], Attribute("FILLVAL", "CDF_REAL4", (-1e31,)),
                 text("UNITS", "keV"), dims=(2,), record_variance=False),
        variable("names", "CDF_CHAR", [text_values(["low", "high"], 4)], dims=(2,), elements=4, record_variance=False),
        data("x", "CDF_INT4", [[1, 2]] * 3, text("UNITS", "count"), text("DEPEND_1", "energy"),
             text("LABL_PTR_1", "names"), dims=(2,)),
        data("y", "CDF_INT4", [1, 2, 3], text("LABLAXIS", "Y"), text("UNITS", " ")),
    )  # fmt: skip
    table = read(path)
    assert table.units == {"Epoch": "ns", "energy": "keV", "x": "count"}
    assert table.labels == {"x": ["low", "high"], "y": "Y"}
    assert table.axes == {"x": ("energy",)}
    assert table.shapes["x"] == (2,)
    np.testing.assert_array_equal(table.constants["energy"], [1.5, np.nan])
    assert table.globals["TITLE"] == ("A title",)
    assert table.attributes["energy"]["UNITS"] == "keV"


def two_times(folder: Path) -> Path:
    return write(
        folder,
        times("fast", [MIDNIGHT, MIDNIGHT + 1]),
        times("slow", [MIDNIGHT]),
        data("x", "CDF_INT4", [1, 2], epoch="fast"),
        data("y", "CDF_INT4", [3], epoch="slow"),
        data("short", "CDF_INT4", [3], epoch="fast"),
    )


def test_of_several_times_one_is_chosen_by_name_or_by_what_is_read(tmp_path: Path) -> None:
    path = two_times(tmp_path)
    with pytest.raises(ExportError, match=r"several times: fast \(2 records\), slow \(1 records\)\. Ask for one"):
        read(path)
    assert read(path, ["y"]).frame.columns == ["time", "slow", "y"]
    table = read(path, epoch="fast")
    assert table.frame.columns == ["time", "fast", "x"]
    assert table.left_out == {
        "slow": "has 1 records, fast has 2",
        "y": "varies with slow, not with fast",
        "short": "has 1 records, fast has 2",
    }


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = two_times(tmp_path)
    with pytest.raises(ExportError, match="has no variable z"):
        read(path, ["z"])
    with pytest.raises(ExportError, match=r"x is no time of records\. Choose fast"):
        read(path, epoch="x")
    with pytest.raises(ExportError, match="y varies with slow, not with fast"):
        read(path, ["x", "y"], epoch="fast")


def test_a_master_without_records_is_an_empty_frame(tmp_path: Path) -> None:
    empty = data("x", "CDF_INT4", np.zeros((0, 3)), dims=(3,))
    frame = read(write(tmp_path, times(rows=[]), empty)).frame
    assert frame.shape == (0, 3)
    assert frame.schema["x"] == pl.Array(pl.Int32, 3)


def test_a_variable_named_time_keeps_its_name(tmp_path: Path) -> None:
    assert read(write(tmp_path, times(), data("time", "CDF_INT4", [1, 2, 3]))).frame.columns == [
        "time_utc",
        "Epoch",
        "time",
    ]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, times())
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(ExportError, match="wrong MD5 checksum"):
        read(path)


def test_one_name_is_a_name_and_none_is_given_twice(tmp_path: Path) -> None:
    path = write(tmp_path, times(rows=[LEAP]), data("x", "CDF_INT4", [7]))
    assert read(path, "x").frame["x"].to_list() == [7]
    with pytest.raises(ExportError, match="x is asked for more than once"):
        read(path, ["x", "Epoch", "x"])


def test_constants_alone_need_no_time(tmp_path: Path) -> None:
    path = two_times(tmp_path)
    with pytest.raises(ExportError, match="several times"):
        read(path)
    constant = variable("size", "CDF_INT2", [3], text("UNITS", "m"), record_variance=False)
    table = read(write(tmp_path / "other", constant), ["size"])
    assert (table.constants, table.units, table.frame.shape, table.epoch) == ({"size": 3}, {"size": "m"}, (0, 0), "")


def test_a_constant_time_without_a_value_is_none(tmp_path: Path) -> None:
    begin = variable("begin", "CDF_TIME_TT2000", [-(2**63)], record_variance=False)
    begins = variable("begins", "CDF_TIME_TT2000", [[LEAP, -(2**63)]], record_variance=False, dims=(2,))
    old = variable("old", "CDF_EPOCH", [-1e31], record_variance=False)
    constants = read(write(tmp_path, times(rows=[LEAP]), begin, begins, old)).constants
    assert (constants["begin"], constants["old"], constants["begins"].tolist()) == (None, None, [LEAP, None])
