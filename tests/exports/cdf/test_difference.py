# SPDX-License-Identifier: Apache-2.0
"""Differences of two CDF files: each is named, none twice, and a damaged file is not compared."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports.cdf import difference as module
from exports.cdf.difference import differences, first_difference
from exports.cdf.file import CdfFile
from exports.cdf.spec import Attribute, VariableSpec
from lake.errors import ExportError

ROWS = np.arange(600, dtype="<i4").reshape(100, 2, 3)
MIN = Attribute("VALIDMIN", "CDF_INT4", (0,))
SPEC = VariableSpec("x", "CDF_INT4", (2, 3), attributes=(MIN,))


def write(path: Path, spec: VariableSpec = SPEC, rows: Any = ROWS, title: str = "A", **more: Any) -> Path:
    with CdfFile(path, [("TITLE", [title])], [spec], **more) as file, file.records(spec.name, len(rows)) as records:
        records.append(rows)
    return path


def compared(folder: Path, **changes: Any) -> list[str]:
    one, other = write(folder / "a.cdf"), write(folder / "b.cdf", **changes)
    return [str(found) for found in differences(one, other)]


def test_equal_files_have_no_difference(tmp_path: Path) -> None:
    assert compared(tmp_path) == []
    assert first_difference(tmp_path / "a.cdf", tmp_path / "b.cdf") == ""


@pytest.mark.parametrize("piece_bytes", [1, 1000, 10**6])
def test_values_are_counted_over_all_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", piece_bytes)
    rows = ROWS.copy()
    rows[40:, 1, 2] = -1
    assert compared(tmp_path, rows=rows) == [
        "variable x: 60 records differ, the first is 40: [1, 2] 245 in one and -1 in the other"
    ]
    short = first_difference(tmp_path / "a.cdf", tmp_path / "b.cdf")
    assert short == "variable x: 60 records differ, the first is 40"


def test_equal_nan_and_another_sign_of_zero(tmp_path: Path) -> None:
    spec = VariableSpec("x", "CDF_REAL4")
    one = write(tmp_path / "a.cdf", spec, np.array([np.nan, 0.0], "<f4"))
    other = write(tmp_path / "b.cdf", spec, np.array([np.nan, -0.0], "<f4"))
    assert [str(found) for found in differences(one, other)] == [
        "variable x: 1 records differ, the first is 1: 0.0 in one and -0.0 in the other"
    ]


def test_a_number_of_another_type_is_another_attribute(tmp_path: Path) -> None:
    spec = VariableSpec("x", "CDF_INT4", (2, 3), attributes=(Attribute("VALIDMIN", "CDF_REAL8", (0.0,)),))
    assert compared(tmp_path, spec=spec) == [
        "attribute x.VALIDMIN: 0 (CDF_INT4) in one and 0.0 (CDF_REAL8) in the other"
    ]


def test_all_differences_are_told(tmp_path: Path) -> None:
    attributes = (MIN, Attribute("UNITS", "CDF_CHAR", "s"))
    spec = VariableSpec("x", "CDF_INT4", (2, 3), compression=1, attributes=attributes)
    assert compared(tmp_path, spec=spec, rows=ROWS[:99], title="B", majority="column") == [
        "file as such: majority is row in one and column in the other",
        "variable x: records is 100 in one and 99 in the other",
        "variable x: codec is none in one and gzip in the other",
        "variable x: compression is 0 in one and 1 in the other",
        "global attribute TITLE: A in one and B in the other",
        "attribute x.UNITS: only in the second file: s",
    ]


def test_a_variable_of_one_file_alone(tmp_path: Path) -> None:
    spec = VariableSpec("y", "CDF_INT4", (2, 3), attributes=(MIN,))
    assert compared(tmp_path, spec=spec) == [
        "variable x: only in the first file",
        "variable y: only in the second file",
    ]


def test_another_shape_is_told_and_its_values_are_not_compared(tmp_path: Path) -> None:
    spec = VariableSpec("x", "CDF_INT4", (3, 2), attributes=(MIN,))
    assert compared(tmp_path, spec=spec, rows=ROWS.reshape(100, 3, 2)) == [
        "variable x: dims is (2, 3) in one and (3, 2) in the other"
    ]


def test_global_attributes_can_be_passed_over(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.cdf"), write(tmp_path / "b.cdf", title="B")
    assert list(differences(one, other, ignore=["TITLE"])) == []


def test_a_damaged_file_is_not_compared(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.cdf"), write(tmp_path / "b.cdf")
    content = bytearray(other.read_bytes())
    content[-30] ^= 1
    other.write_bytes(content)
    with pytest.raises(ExportError, match=r"b\.cdf: is damaged .*Compare by `cmp"):
        list(differences(one, other))


def test_numbers_of_entries_and_attributes_without_entries_are_differences(tmp_path: Path) -> None:
    pycdf = pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")
    one = write(tmp_path / "one.cdf")
    other = tmp_path / "other.cdf"
    other.write_bytes(one.read_bytes())
    with warnings.catch_warnings(), pycdf.CDF(str(other)) as file:
        warnings.simplefilter("ignore")
        file.readonly(False)
        (name,) = list(file.attrs)
        (text,) = list(file.attrs[name])
        del file.attrs[name]
        file.attrs.new(name)
        file.attrs[name].new(text, number=5)
        file.attrs.new("Extra")
    told = [str(found) for found in differences(one, other) if found.part != "file"]
    assert told == [
        f"global attribute {name}: [0] {text} in one and [5] {text} in the other",
        "attribute without entries Extra: only in the second file",
    ]
