# SPDX-License-Identifier: Apache-2.0
"""Files that other programs wrote, and what cannot be read: judged, not believed."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import cdflib.cdfwrite
import numpy as np
import pytest

from exports.cdf.file import CdfFile
from exports.cdf.reader import CdfReader
from exports.cdf.records import Block, CdfTypeName, _write_index_record
from exports.cdf.spec import Attribute, VariableSpec
from exports.product import write_product
from exports.rules import check, data, files
from exports.rules.internal import fan_outs
from exports.rules.master import compare
from exports.rules.nouns import Finding
from exports.rules.variables import FORMAT
from tests.exports.conftest import MIDNIGHT, Sample, make_sample

SERIES = ("Epoch", "count_rate")


def found(path: Path) -> set[tuple[str, str, str]]:
    return {(f.rule, f.severity, f.where) for f in check.check_file(path)}


def written(name: str, folder: Path, n: int = 200) -> tuple[Sample, Path]:
    sample = make_sample(name, n)
    path = sample.path(folder)
    write_product(sample.structure, path, sample.batches, sample.records, sample.edition)
    return sample, path


def test_an_r_variable_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "old.cdf"
    with cdflib.cdfwrite.CDF(path, {"rDim_sizes": []}) as file:
        for name, kind, values in (("Epoch", 33, np.arange(3) + MIDNIGHT), ("rate", 45, np.ones(3))):
            spec = {"Variable": name, "Data_Type": kind, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": []}
            how = {"Var_Type": "rVariable", "Dim_Vary": []} if name == "rate" else {"Compress": 0}
            file.write_var(spec | how, var_data=values)
    assert ("F01", "error", "rate") in found(path)


def test_a_wide_index_is_an_error_that_other_readers_do_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = written("l1_spectrum", tmp_path)
    assert max(fan_outs(path).values()) == 10
    path.unlink()
    monkeypatch.setattr("exports.cdf.records.MAX_FAN_OUT", 100)
    _, path = written("l1_spectrum", tmp_path)
    assert fan_outs(path)["count_rate"] == 20  # blocks of ten records
    assert ("F06", "error", "count_rate") in found(path)


def _spoil_gdr(path: Path, offset: int, code: str, add: int) -> None:
    content = bytearray(path.read_bytes())
    (gdr,) = struct.unpack_from(">q", content, 20)
    (number,) = struct.unpack_from(code, content, gdr + offset)
    struct.pack_into(code, content, gdr + offset, number + add)
    content[-16:] = hashlib.md5(content[:-16], usedforsecurity=False).digest()
    path.write_bytes(content)


# All of them are CORRUPTED_V3_CDF (-2223) to NASA's library: the end of the file, and its numbers of records.
@pytest.mark.parametrize(
    ("offset", "code", "add"),
    [(36, ">q", -100), (44, ">i", -1), (48, ">i", -1), (52, ">i", -1), (60, ">i", -1)],
    ids=["eof", "NrVars", "NumAttr", "rMaxRec", "NzVars"],
)
def test_a_file_that_counts_itself_wrong_is_an_error_as_it_is_to_nasa_s_library(
    tmp_path: Path, offset: int, code: str, add: int
) -> None:
    pycdf = pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")
    _, path = written("l1_housekeeping", tmp_path)
    _spoil_gdr(path, offset, code, add)
    assert ("F06", "error", "") in found(path)
    with pytest.raises(pycdf.CDFError, match="CORRUPTED_V3_CDF"):
        pycdf.CDF(str(path))


def test_bytes_behind_the_last_record_are_an_error(tmp_path: Path) -> None:
    _, path = written("l1_housekeeping", tmp_path)
    content = path.read_bytes()[:-16] + bytes(100)
    path.write_bytes(content + hashlib.md5(content, usedforsecurity=False).digest())
    assert ("F06", "error", "") in found(path)


def test_a_wide_branch_of_the_index_is_seen_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lopsided(stream: BinaryIO, blocks: Sequence[Block]) -> int:
        """The first block in a branch of its own, all others in the second."""
        branches = [list(blocks[:1]), list(blocks[1:])] if len(blocks) > 1 else [list(blocks)]
        tops = [Block(b[0].first, b[-1].last, _write_index_record(stream, b)) for b in branches]
        return _write_index_record(stream, tops)

    monkeypatch.setattr("exports.cdf.file.write_index", lopsided)
    _, path = written("l1_spectrum", tmp_path)
    assert fan_outs(path)["count_rate"] == 19
    assert ("F06", "error", "count_rate") in found(path)


NAN = 4096.25  # written as this, as the writer here refuses NaN, and changed in the file
ODD = {
    "limits along the first dimension": (2.0,) * 4,
    "fewer limits than cells": (2.0,) * 2,
    "NaN": (NAN,),
    "far beyond the type": (1e300,),
}


@pytest.mark.parametrize("kind", ["CDF_REAL8", "CDF_INT4", "CDF_INT2"])
@pytest.mark.parametrize("limits", ODD.values(), ids=ODD)
def test_odd_limits_are_findings_and_end_nothing(tmp_path: Path, kind: CdfTypeName, limits: tuple[float, ...]) -> None:
    attributes = (
        Attribute("VAR_TYPE", "CDF_CHAR", "data"),
        Attribute("FORMAT", "CDF_CHAR", "F1.999999999999"),
        *(Attribute(name, "CDF_REAL8", limits) for name in ("VALIDMIN", "VALIDMAX", "FILLVAL")),
    )
    specs = [VariableSpec("Epoch", "CDF_TIME_TT2000"), VariableSpec("a", kind, (4, 3), attributes=attributes)]
    path = tmp_path / "odd.cdf"
    with CdfFile(path, [("TITLE", ["x"])], specs) as file:
        for spec in specs:
            with file.records(spec.name, 5) as stream:
                stream.append(np.ones((5, *spec.dims), spec.dtype))
    path.write_bytes(path.read_bytes().replace(struct.pack("<d", NAN), struct.pack("<d", math.nan)))
    rules = {rule for rule, _, where in found(path) if where == "a"}
    assert {"V13"} <= rules
    assert "P06" not in {rule for rule, _, _ in found(path)}
    assert ("V27" in rules) == (kind == "CDF_REAL8" and len(limits) != 2)


def test_a_rule_that_cannot_cope_with_a_file_stops_it_and_others_judge_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd_rule(_: CdfReader) -> Iterator[Finding]:
        yield Finding("V01", "error", "", "is odd", "Mend it")
        raise OverflowError("too large")

    monkeypatch.setattr(check, "CHECKS", (odd_rule, *check.CHECKS))
    _, path = written("l1_housekeeping", tmp_path)
    findings = check.check_file(path)
    (told,) = [f for f in findings if f.rule == "P06"]
    assert told.what == "the rule about odd rule ended with OverflowError: too large"
    assert {"V01", "G03"} <= {f.rule for f in findings}


@pytest.mark.parametrize("text", ["ES12.5", "1PE12.4", "E12.4", "F8.3", "3F8.3", "en12.3"])
def test_other_missions_formats_are_fortran(text: str) -> None:
    assert FORMAT.fullmatch(text)


def test_a_bare_a_is_a_format_of_text_alone() -> None:
    assert FORMAT.fullmatch("A")
    assert FORMAT.fullmatch("A20")
    assert not FORMAT.fullmatch("F")
    assert not FORMAT.fullmatch("F1.99999999")


def test_a_file_of_2_gib_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = written("l1_housekeeping", tmp_path)
    monkeypatch.setattr(files, "OLD_READERS_BYTES", path.stat().st_size)
    assert ("P03", "warning", "") in found(path)
    monkeypatch.setattr(files, "OLD_READERS_BYTES", path.stat().st_size + 1)
    assert ("P03", "warning", "") not in found(path)


def test_attributes_stand_in_the_dataset_s_order(tmp_path: Path) -> None:
    sample = make_sample("l2_sweep")
    turned = replace(
        sample.structure,
        global_attributes=sample.structure.global_attributes[::-1],
        variables=tuple(
            replace(v, spec=replace(v.spec, attributes=v.spec.attributes[::-1])) for v in sample.structure.variables
        ),
    )
    path = sample.path(tmp_path)
    write_product(turned, path, sample.batches, sample.records, sample.edition)
    first, name = sample.structure.global_attributes[0][0], sample.structure.global_attributes[-1][0]
    told = [str(f) for f in check.check_file(path, sample.structure) if f.severity == "error"]
    assert len(told) == 1
    assert told[0].startswith(f"M05 {name}: stands where {first} has its place")


def test_files_of_others_are_not_told_to_correct_our_definitions(tmp_path: Path) -> None:
    sample, path = make_sample("l1_housekeeping"), tmp_path / "bare.cdf"
    spec = VariableSpec("a", "CDF_REAL8", attributes=(Attribute("VAR_TYPE", "CDF_CHAR", "data"),))
    with CdfFile(path, [("TITLE", ["x"])], [spec]) as file, file.records("a", 1) as stream:
        stream.append(np.ones(1))
    own, others = check.check_file(path, sample.structure), check.check_file(path)
    assert any(".yaml" in finding.remedy for finding in own)
    assert not any(".yaml" in finding.remedy or ".csv" in finding.remedy for finding in others)
    assert all(finding.remedy for finding in others)


def test_values_that_are_nan_are_called_so(tmp_path: Path) -> None:
    spec = VariableSpec(
        "a",
        "CDF_REAL8",
        attributes=(Attribute("VAR_TYPE", "CDF_CHAR", "data"), Attribute("VALIDMAX", "CDF_REAL8", (9.0,))),
    )
    told = []
    for i, values in enumerate(((1, math.nan, math.nan), (1, math.nan, 10))):
        path = tmp_path / f"{i}.cdf"
        with CdfFile(path, [("TITLE", ["x"])], [spec]) as file, file.records("a", 3) as stream:
            stream.append(np.array(values, "<f8"))
        told += [finding.what for finding in check.check_file(path) if finding.rule == "V27"]
    assert told == [
        "2 values are NaN, first nan in record 1",
        "2 values are not within any to 9.0, 1 of them NaN, first nan in record 1",
    ]


def test_majority_is_that_of_the_dataset(tmp_path: Path) -> None:
    sample, path = written("l2_sweep", tmp_path)
    other = replace(sample.structure, majority="column")
    with check.CdfReader(path) as file:
        findings = list(compare(file, other, check.PER_FILE))
    assert [f.rule for f in findings] == ["F02"]


@pytest.mark.parametrize("content", [b"", b"not a CDF", struct.pack(">II", 0xCDF30001, 0xFFFF) + bytes(400)])
def test_what_is_no_cdf_is_one_finding(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.cdf"
    path.write_bytes(content)
    assert found(path) == {("F06", "error", "")}
    assert found(tmp_path / "missing.cdf") == {("F06", "error", "")}


def test_a_finding_is_one_line_with_rule_place_and_remedy() -> None:
    finding = Finding("V05", "error", "rate", "has no DEPEND_0", "Name its epoch")
    assert str(finding) == "V05 rate: has no DEPEND_0. Name its epoch"
    assert str(replace(finding, where="")) == "V05 file: has no DEPEND_0. Name its epoch"


def test_values_of_dated_axes_may_differ_from_the_dataset_s_and_others_may_not(tmp_path: Path) -> None:
    sample, path = written("l2_sweep", tmp_path)
    variables = tuple(
        replace(v, values=tuple(2 * x for x in v.values)) if v.spec.name in ("step", "deflection") else v
        for v in sample.structure.variables
    )
    other = replace(sample.structure, variables=variables)
    with check.CdfReader(path) as file:
        findings = list(compare(file, other, check.PER_FILE, check.dated_constants(sample.structure)))
    assert [(f.rule, f.where) for f in findings] == [("M07", "deflection")]


def test_all_values_out_of_range_are_one_finding_that_counts_them(tmp_path: Path) -> None:
    spacepy = pytest.importorskip("spacepy.pycdf")
    _, path = written("l1_housekeeping", tmp_path)
    with spacepy.CDF(str(path)) as file:
        file.readonly(False)
        file["fp_temp_degc"][3:] = [99.0] * 197
    (finding,) = [f for f in check.check_file(path) if f.rule == "V27"]
    assert finding.what == "197 values are not within -90.0 to 60.0, first 99.0 in record 3"


def test_values_are_read_in_pieces_and_an_order_is_followed_from_one_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spacepy = pytest.importorskip("spacepy.pycdf")
    _, path = written("l1_spectrum", tmp_path)
    with spacepy.CDF(str(path)) as file:
        file.readonly(False)
        file.raw_var("Epoch")[10] = MIDNIGHT  # the first one of a piece, as is the value below
        file["count_rate"][150, 23, 279] = -1.0
    monkeypatch.setattr(data, "PIECE_BYTES", 80)  # of ten times; a block of the spectra
    with check.CdfReader(path) as reader:
        sizes = {name: {len(rows) for _, rows in data.pieces(reader, reader.variables[name])} for name in SERIES}
    assert sizes == {"Epoch": {10}, "count_rate": {10}}
    errors = [str(f).partition(". ")[0] for f in check.check_file(path) if f.severity == "error"]
    assert errors == [
        "V23 Epoch: 1 times are out of order, against MONOTON, first in record 10",
        "V27 count_rate: 1 values are not within 0.0 to 1e+06, first -1.0 in record 150",
    ]
