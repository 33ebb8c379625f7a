# SPDX-License-Identifier: Apache-2.0
"""A file that is right in itself, and does not hold what the table holds, is stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exports.inspection import Around, inspect
from exports.istp.structure import Structure
from exports.product import write_product
from exports.table_rows import TableRows
from tests.exports.conftest import TABLES, Sample, make_sample

pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")
from tests.exports.rules import mutations as m

HK, CURVE = "l1_housekeeping", "ql_lightcurve"


def stored(sample: Sample, folder: Path) -> TableRows:
    """The sample's day in two Parquet files of several row groups, with the statistics that the lake writes."""
    rows = pa.table(sample.data)
    narrow = [name for name in rows.column_names if not pa.types.is_list(rows.schema.field(name).type)]
    for i, part in enumerate((rows.slice(0, 130), rows.slice(130))):
        pq.write_table(part, folder / f"{i}.parquet", row_group_size=40, write_statistics=narrow)
    return TableRows(tuple(partial(pq.ParquetFile, folder / f"{i}.parquet") for i in range(2)))


def rules(sample: Sample, path: Path, rows: TableRows) -> set[tuple[str, str]]:
    findings = inspect(path, sample.structure, sample.edition, Around(rows=rows)).findings
    return {(f.rule, f.where) for f in findings if f.rule.startswith("T")}


def write(structure: Structure, sample: Sample, folder: Path) -> Path:
    write_product(structure, sample.path(folder), sample.batches, sample.records, sample.edition)
    return sample.path(folder)


@pytest.mark.parametrize("name", TABLES)
def test_a_file_of_its_table_passes(name: str, tmp_path: Path) -> None:
    sample = make_sample(name)
    assert rules(sample, write(sample.structure, sample, tmp_path), stored(sample, tmp_path)) == set()


def cut(file: Any) -> None:
    for name in list(file):
        if file[name].rv():
            del file[name][100:]


def swapped(file: Any) -> None:
    one, other = file["rate"][...], file["rate_error"][...]
    file["rate"][...], file["rate_error"][...] = other, one


def later(file: Any) -> None:
    file.raw_var("Epoch")[...] = file.raw_var("Epoch")[...] + 37 * 10**9


def turned(file: Any) -> None:
    file["rate"][...] = file["rate"][...][:, ::-1]


# What somebody did to the values, in words, and what says so.
SPOILED: dict[str, tuple[str, Callable[[Any], object], set[tuple[str, str]]]] = {
    "records cut": (HK, cut, {("T01", "Epoch"), ("T01", "fp_temp_degc"), ("T01", "quality_flag")}),
    "all fill": (HK, m.values("spare", ..., np.full(200, -1e31)), {("T02", "spare"), ("T03", "spare")}),
    "another leap second": (HK, later, {("T02", "Epoch"), ("T03", "Epoch")}),
    "one integer": (HK, m.values("heartbeats", 77, 2**53), {("T02", "heartbeats")}),
    "columns swapped": (CURVE, swapped, {("T03", "rate"), ("T03", "rate_error")}),
    "an axis reversed": (CURVE, turned, {("T03", "rate")}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "change", "expected"), SPOILED.values(), ids=SPOILED)
def test_other_values_than_the_table_s_are_seen(
    name: str, change: Callable[[Any], object], expected: set[tuple[str, str]], tmp_path: Path
) -> None:
    sample = make_sample(name)
    path = write(sample.structure, sample, tmp_path)
    copy = Path(shutil.copy(path, tmp_path / "copy.cdf")).rename(path)
    assert expected <= rules(sample, m.edited(change)(copy), stored(sample, tmp_path))


def test_a_writer_that_takes_another_column_is_seen(tmp_path: Path) -> None:
    sample = make_sample(CURVE)
    by_name = {v.spec.name: v for v in sample.structure.variables}
    one, other = by_name["rate"], by_name["rate_error"]
    others = {"rate": replace(one, column=other.column), "rate_error": replace(other, column=one.column)}
    wrong = replace(sample.structure, variables=tuple(others.get(n, v) for n, v in by_name.items()))
    path = write(wrong, sample, tmp_path)
    assert rules(sample, path, stored(sample, tmp_path)) == {("T03", "rate"), ("T03", "rate_error")}


def test_samples_are_of_the_beginning_the_middle_and_the_end(tmp_path: Path) -> None:
    rows = stored(make_sample("l1_spectrum"), tmp_path)
    found = rows.samples("count_rate", 24 * 280 * 4)  # two records to a sample
    assert [(start, len(column)) for start, column in found] == [(n, 2) for n in (0, 40, 80, 120, 170, 184, 198)]
