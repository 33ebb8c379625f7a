# SPDX-License-Identifier: Apache-2.0
"""Products as files: equal to their tables in three readers, reproducible, and refused rather than wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import cdflib
import numpy as np
import pyarrow as pa
import pytest

from exports import values as cdf_values
from exports.cdf.records import CDF_TYPES
from exports.istp.structure import compile_product
from exports.product import validate_cdf, write_product
from lake.definitions import Column
from lake.errors import ExportError
from tests.exports.conftest import (
    EPOCH,
    HOUSEKEEPING,
    MEDDEA,
    MIDNIGHT,
    PADRE,
    QUALITY,
    Sample,
    changed,
    lists,
    product,
)

Make = Callable[..., Sample]


def write(sample: Sample, folder: Path) -> Path:
    path = sample.path(folder)
    written = write_product(sample.structure, path, sample.batches, sample.records, sample.edition)
    assert (written.path, written.bytes, written.records) == (path, path.stat().st_size, sample.records)
    return path


def expected(sample: Sample, name: str) -> np.ndarray[Any, Any]:
    """A column as the file should hold it, by way of Python lists instead of arrays."""
    variable = next(v for v in sample.structure.variables if v.column and v.column.name == name and not v.factor)
    cdf_type, dims = CDF_TYPES[variable.spec.type], variable.spec.dims
    values = sample.data[name].to_pylist()
    flat = [item for row in values for item in row] if dims else values
    filled = [cdf_type.fill if item is None or math.isnan(item) else item for item in flat]
    return np.array(filled, dtype=cdf_type.dtype).reshape(-1, *dims)


def changed_data(sample: Sample, **columns: pa.Array) -> Sample:
    return replace(sample, data={**sample.data, **columns})


def refused(sample: Sample, folder: Path, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        write(sample, folder)
    assert list(folder.iterdir()) == []


# Readers


def _by_cdflib(path: Path, names: list[str]) -> dict[str, Any]:
    file = cdflib.CDF(path, validate=True)
    return {name: file.varget(name) for name in names}


def _by_nasa(path: Path, names: list[str]) -> dict[str, Any]:
    pycdf = pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")
    with pycdf.CDF(str(path)) as file:
        return {name: np.asarray(file.raw_var(name)[...]) for name in names}


def _by_pycdfpp(path: Path, names: list[str]) -> dict[str, Any]:
    pycdfpp = pytest.importorskip("pycdfpp")
    file = pycdfpp.load(str(path))
    return {name: np.asarray(file[name].values) for name in names}


@pytest.mark.oracle
@pytest.mark.parametrize("read", [_by_cdflib, _by_nasa, _by_pycdfpp])
def test_three_readers_give_back_the_values_of_the_table(
    sample: Sample, tmp_path: Path, read: Callable[[Path, list[str]], dict[str, Any]]
) -> None:
    path = write(sample, tmp_path)
    names = {v.column.name: v.spec.name for v in sample.structure.variables if v.column and not v.factor}
    found = read(path, list(names.values()))
    for column, variable in names.items():
        values = found[variable]
        times = values.view(np.int64) if values.dtype.kind in "VM" else values
        np.testing.assert_array_equal(times.reshape(-1), expected(sample, column).reshape(-1), err_msg=column)
        if column != "epoch_tt2000":
            assert values.shape == expected(sample, column).shape


def test_all_fill_column_and_nulls_become_fill_values(make: Make, tmp_path: Path) -> None:
    file = cdflib.CDF(write(make("l1_photon"), tmp_path))
    assert set(file.varget("energy_kev").tolist()) == {float(np.float32(-1e31))}
    assert (file.varget("pixel") == -128).sum() == make("l1_photon").data["pixel"].null_count


def test_null_lists_and_nulls_in_lists_become_fill_values(make: Make, tmp_path: Path) -> None:
    sample = make("ql_lightcurve", n=3)
    rates = pa.array([[1, 2, None, float("nan"), 5], None, [6, 7, 8, 9, 10]], pa.list_(pa.float32()))
    file = cdflib.CDF(write(changed_data(sample, rate=rates), tmp_path))
    fill = float(np.float32(-1e31))
    assert file.varget("rate").tolist() == [[1, 2, fill, fill, 5], [fill] * 5, [6, 7, 8, 9, 10]]


@pytest.mark.parametrize("piece_bytes", [1, 100, 1 << 20])
@pytest.mark.parametrize("kind", [pa.int16(), pa.float32()])
def test_cells_without_a_value_become_fill_values_in_any_slice(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, piece_bytes: int
) -> None:
    monkeypatch.setattr(cdf_values, "PIECE_BYTES", piece_bytes)
    name, fill = ("sweep_counts", -32768) if kind == pa.int16() else ("sweep_flux", float(np.float32(-1e31)))
    whole: list[list[int | None] | None] = [[i * 36 + k for k in range(36)] for i in range(7)]
    whole[1], whole[3], whole[5] = [None] * 36, None, [k if k % 2 else None for k in range(36)]
    array = pa.array([[0] * 36, *whole, None], pa.list_(kind)).slice(1, 7)
    sample = changed_data(make("l2_sweep", n=7), **{name: array})
    path = sample.path(tmp_path)
    write_product(sample.structure, path, lambda column: iter([sample.data[column]]), 7, sample.edition)
    wanted = np.array([[fill if k is None else k for k in row or [None] * 36] for row in whole])
    np.testing.assert_array_equal(cdflib.CDF(path).varget(name), wanted.reshape(7, 6, 2, 3))


def test_lists_of_a_fixed_size_may_be_null(make: Make, tmp_path: Path) -> None:
    values = pa.array([[1, None, 3], None, [7, 8, float("nan")]], pa.list_(pa.float64(), 3))
    path = write(changed_data(make("l2_sweep", n=3), velocity_km_s=values), tmp_path)
    assert cdflib.CDF(path).varget("velocity_km_s").tolist() == [[1, -1e31, 3], [-1e31] * 3, [7, 8, -1e31]]


def test_nulls_do_not_hide_a_value_out_of_range(make: Make, tmp_path: Path) -> None:
    counts: list[list[int | None] | None] = [[5] * 36, None, [None] * 35 + [4096], [-32768] + [None] * 35]
    sample = changed_data(make("l2_sweep", n=4), sweep_counts=pa.array(counts, pa.list_(pa.int16())))
    refused(sample, tmp_path, "sweep_counts: 2 values outside the valid range 0 to 4095, first in record 2")


def test_seconds_around_the_epoch_become_nanoseconds(make: Make, tmp_path: Path) -> None:
    after = pa.array([0.1, None, float("nan"), 0.0], pa.float32())
    before = pa.array([2.5, 1e-9, 10.0, 0.4])
    file = cdflib.CDF(write(changed_data(make("l2_sweep", n=4), before_s=before, after_s=after), tmp_path))
    assert file.varget("Epoch_delta_minus").tolist() == [2_500_000_000, 1, 10_000_000_000, 400_000_000]
    # float32 has 0.1 as 0.100000001490116
    assert file.varget("Epoch_delta_plus").tolist() == [100_000_001, -(2**63), -(2**63), 0]


@pytest.mark.parametrize("seconds", [-1e-9, 10.1, 1e30, float("inf"), float("-inf")])
def test_a_record_lasts_as_long_as_its_definition_allows(make: Make, tmp_path: Path, seconds: float) -> None:
    sample = changed_data(make("l2_sweep", n=3), before_s=pa.array([1.0, seconds, 1.0]))
    refused(sample, tmp_path, "before_s: 1 values outside .* first in record 1")


@pytest.mark.parametrize("kind", [pa.large_list, lambda t: pa.list_(t, 5)])
def test_lists_of_any_kind_are_the_same(make: Make, tmp_path: Path, kind: Callable[[Any], Any]) -> None:
    sample = make("ql_lightcurve")
    plain = write(sample, tmp_path).read_bytes()
    (tmp_path / "b").mkdir()
    other = changed_data(sample, rate=sample.data["rate"].cast(kind(pa.float32())))
    assert write(other, tmp_path / "b").read_bytes() == plain


def test_day_without_records_has_the_whole_structure(sample: Sample, tmp_path: Path) -> None:
    empty = changed_data(sample, **{name: array[:0] for name, array in sample.data.items()})
    path = write(empty, tmp_path)
    validate_cdf(path, sample.structure, 0)
    assert cdflib.CDF(path).cdf_info().zVariables == [v.spec.name for v in sample.structure.variables]


# Reproducibility


def test_equal_inputs_give_equal_bytes_however_they_arrive(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(sample, tmp_path).read_bytes()
    (tmp_path / "again").mkdir()
    monkeypatch.setattr(cdf_values, "PIECE_BYTES", 1000)
    path = sample.path(tmp_path / "again")
    write_product(sample.structure, path, lambda name: iter([sample.data[name]]), sample.records, sample.edition)
    assert path.read_bytes() == first


@pytest.mark.parametrize("records", [1, 200])
def test_what_varies_is_compressed_whatever_the_day_holds_and_times_are_not(
    make: Make, tmp_path: Path, records: int
) -> None:
    spectra = cdflib.CDF(write(make("l1_spectrum", records), tmp_path))
    compressed = {name: spectra.varinq(name).Compress for name in ("Epoch", "count_rate", "total", "energy")}
    assert compressed == {"Epoch": 0, "count_rate": 1, "total": 1, "energy": 0}
    assert spectra.varinq("count_rate").Block_Factor * 24 * 280 * 4 >= 16384


def test_a_product_may_be_written_by_columns(make: Make, tmp_path: Path) -> None:
    def sweeps(majority: Any) -> Any:
        (tmp_path / majority).mkdir()
        sample = make("l2_sweep")
        structure = replace(sample.structure, majority=majority)
        return cdflib.CDF(write(replace(sample, structure=structure), tmp_path / majority))

    files = [sweeps("row"), sweeps("column")]
    assert [file.cdf_info().Majority for file in files] == ["Row_major", "Column_major"]
    for name in ("sweep_counts", "heat_by_step"):
        np.testing.assert_array_equal(*(file.varget(name) for file in files))


# What is refused


def one_column(values: pa.Array, **facts: Any) -> Sample:
    column = Column(**{"name": "x", "type": "float32", "description": "Some quantity", "nullable": True, **facts})
    table = changed(HOUSEKEEPING, columns=(EPOCH, column, QUALITY))
    structure = compile_product(product(table), table, MEDDEA, PADRE)
    n = len(values)
    times = pa.array(MIDNIGHT + np.arange(n))
    return Sample(structure, {"epoch_tt2000": times, "x": values, "quality_flag": pa.array([0] * n, pa.int32())})


@pytest.mark.parametrize(
    ("facts", "values", "match"),
    [
        ({"valid": (0, 10)}, [1.0, 11.0, None, -3.0], r"column x: 2 values outside .* first in record 1"),
        ({}, [1.0, float("inf"), 2.0], "1 values outside"),
        ({}, [-1e31, 2.0, 3.0], "1 values outside .* first in record 0"),
        ({"type": "int16"}, pa.array([1, 2, -32768], pa.int16()), "1 values outside .* first in record 2"),
        ({"type": "int16"}, pa.array([1, 2, 3], pa.int32()), "values are int32, the column is int16"),
        ({}, pa.array([1, 2, 3], pa.float64()), "values are double, the column is float"),
        ({}, pa.array([1, 2, 3], pa.decimal128(9, 2)), "decimal"),
        ({}, pa.array([[1.0]], pa.list_(pa.float32())), "values are list"),
        ({"type": "bool"}, pa.array([1, 0], pa.uint8()), "values are uint8"),
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path: Path, facts: Any, values: Any, match: str) -> None:
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.float32())
    refused(one_column(array, **facts), tmp_path, match)


def test_values_out_of_range_are_counted_over_all_pieces(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(cdf_values, "PIECE_BYTES", 100)
    rates = np.ones((200, 5), np.float32)
    rates[[50, 60, 199], [1, 2, 4]] = -1
    sample = changed_data(make("ql_lightcurve"), rate=lists(rates))
    refused(sample, tmp_path, r"day 2024-09-16, column rate: 3 values outside .* first in record 50\.")


@pytest.mark.parametrize("length", [4, 6, 0])
def test_lists_that_do_not_fill_the_axes_are_refused(make: Make, tmp_path: Path, length: int) -> None:
    rows = [[1.0] * 5, [1.0] * length, [1.0] * 5]
    sample = changed_data(make("ql_lightcurve", n=3), rate=pa.array(rows, pa.list_(pa.float32())))
    refused(sample, tmp_path, f"list of {length} values in record 1")


def test_all_columns_have_as_many_records_as_announced(make: Make, tmp_path: Path) -> None:
    sample = make("l1_housekeeping")
    refused(changed_data(sample, heartbeats=sample.data["heartbeats"][:-1]), tmp_path, "199 of 200")
    longer = pa.concat_arrays([sample.data["heartbeats"]] * 2)
    refused(changed_data(sample, heartbeats=longer), tmp_path, "more than 200")


NS_OF_DAY = 86_400_000_000_000


@pytest.mark.parametrize(
    ("descriptor", "offsets", "match"),
    [
        ("l1_photon", [0, 5, None], "record 2 has no time"),
        ("l1_photon", [-1, 5, 6], "record 0 is not on 2024-09-16 UTC"),
        ("l1_photon", [0, 5, NS_OF_DAY], "record 2 is not on 2024-09-16 UTC"),
        ("l1_photon", [0, 5, 4], "record 2 is out of order.*keep their order"),
        ("l1_housekeeping", [0, 5, 5], "record 2 is out of order.*increase"),
    ],
)
def test_times_are_of_the_day_and_in_order(
    make: Make, tmp_path: Path, descriptor: str, offsets: Any, match: str
) -> None:
    times = pa.array([None if o is None else MIDNIGHT + o for o in offsets], pa.int64())
    refused(changed_data(make(descriptor, n=3), epoch_tt2000=times), tmp_path, match)


def test_order_is_checked_across_pieces(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(cdf_values, "PIECE_BYTES", 16)
    times = pa.array([MIDNIGHT + o for o in (0, 5, 4, 8)])
    refused(changed_data(make("l1_photon", n=4), epoch_tt2000=times), tmp_path, "record 2 is out of order")


def test_a_photon_may_share_its_time_and_the_day_has_both_ends(make: Make, tmp_path: Path) -> None:
    times = pa.array([MIDNIGHT, MIDNIGHT, MIDNIGHT + NS_OF_DAY - 1])
    path = write(changed_data(make("l1_photon", n=3), epoch_tt2000=times), tmp_path)
    assert cdflib.CDF(path).varget("Epoch").tolist() == times.to_pylist()


def test_a_day_with_a_leap_second_has_one_second_more(tmp_path: Path) -> None:
    table, day = HOUSEKEEPING, date(2016, 12, 31)
    early = PADRE.model_copy(update={"valid_time": PADRE.valid_time.model_copy(update={"start": date(2016, 1, 1)})})
    structure = compile_product(product(table, omit=("spare",)), table, MEDDEA, early)
    sample = one_column(pa.array([0.0], pa.float32()))
    data = {c: pa.array([0], cdf_values.ARROW_TYPES[table.by_name[c].type]) for c in structure.columns}
    data["epoch_tt2000"] = pa.array([536_500_868_684_000_000])  # 2016-12-31T23:59:60.5
    leap = Sample(structure, data, replace(sample.edition, day=day))
    path = write(leap, tmp_path)
    assert path.name == "padre_meddea_l1-housekeeping_20161231_v1.0.0.cdf"
    assert cdflib.CDF(path).varget("Epoch").tolist() == [536_500_868_684_000_000]


# Validation


def test_validation_finds_a_damaged_file(make: Make, tmp_path: Path) -> None:
    sample = make("l1_spectrum")
    path = write(sample, tmp_path)
    with pytest.raises(ExportError, match=r"200 records, not .* with 201"):
        validate_cdf(path, sample.structure, 201)
    with pytest.raises(ExportError, match="other variables"):
        validate_cdf(path, make("l1_photon").structure, 200)
    whole = path.read_bytes()
    flipped = [whole[:i] + bytes([whole[i] ^ 0x7F]) + whole[i + 1 :] for i in (0, 9, 15, 100, 400, len(whole) // 2)]
    for data in (*flipped, whole[:-1], whole[:10], b""):
        path.write_bytes(data)
        with pytest.raises(ExportError, match="cannot be read back"):
            validate_cdf(path, sample.structure, 200)


def test_validation_failure_leaves_no_file(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: Any) -> None:
        raise ExportError("not valid")

    monkeypatch.setattr("exports.product.validate_cdf", fail)
    refused(make("l1_photon"), tmp_path, "not valid")
