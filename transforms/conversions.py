# SPDX-License-Identifier: Apache-2.0
"""From raw counts to physical values: polynomials, splines, and rebinning that loses no count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import count, takewhile

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import make_interp_spline
from scipy.sparse import block_diag, csr_array

from lake.definitions import Calibration, Column, Table
from lake.errors import CalibrationError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A calibration curve: an expression from ADC counts to physical values, and the range where it holds."""

    adc_min: float
    adc_max: float
    values: Callable[[pl.Expr], pl.Expr]


# ---- columns with `source` and `conversion` ------------------------------------------------------------------------
def convert_columns(
    frame: pl.LazyFrame, table: Table, polynomial: Calibration | None, spline: Calibration | None
) -> pl.LazyFrame:
    """The frame with every column of the table that has a `conversion`, in that column's unit.

    ADC counts of the column's `source` are converted with the row or rows of its channel. The channel is the column's
    own name, or else its source, so that two columns may convert one source in two ways. Outside the calibrated range
    the value is null and `quality_flag` gets adc_out_of_range; nothing is extrapolated. A null source stays null.
    Raises: CalibrationError if the calibration lacks the channel or its rows make no curve.
    """
    columns = [column for column in table.columns if column.conversion]
    if not columns:
        return frame
    converted = [_convert(column, polynomial if column.conversion == "polynomial" else spline) for column in columns]
    outside = pl.any_horizontal(pl.lit(False), *(outside for _, outside in converted))
    flag = pl.when(outside).then(table.flag("adc_out_of_range")).otherwise(0).cast(pl.Int32)
    return frame.with_columns(*(value for value, _ in converted), quality_flag=pl.col("quality_flag") | flag)


def _convert(column: Column, calibration: Calibration | None) -> tuple[pl.Expr, pl.Expr]:
    """The physical value, and whether the source is outside the calibrated range."""
    if calibration is None:
        raise CalibrationError(
            f"column {column.name}: there is no {column.conversion} calibration for this day. "
            "Name it under `calibrations` of the table and add its CSV."
        )
    curve = _polynomial(column, calibration) if column.conversion == "polynomial" else _spline(column, calibration)
    adc = pl.col(column.source or column.name)
    inside = adc.is_between(curve.adc_min, curve.adc_max)
    value = pl.when(inside).then(curve.values(adc.cast(pl.Float64)))
    return value.alias(column.name), ~inside.fill_null(True)


def _polynomial(column: Column, calibration: Calibration) -> Curve:
    """Sum of c_i adc^i for adc_min <= adc <= adc_max, from one row channel, adc_min, adc_max, c0, c1, ..."""
    names = coefficient_names(calibration)
    rows = calibration_rows(calibration, key=("channel",), numbers=("adc_min", "adc_max"), optional=names)
    row = _of_channel(rows, column, calibration).row(0, named=True)
    coefficients = [pl.lit(float(row[name] or 0), pl.Float64) for name in names]
    if row["adc_min"] > row["adc_max"]:
        low, high = row["adc_min"], row["adc_max"]
        raise CalibrationError(f"{calibration.path} ({row['channel']}): adc_min {low:g} > adc_max {high:g}. Swap them.")
    return Curve(row["adc_min"], row["adc_max"], lambda adc: horner(adc, coefficients))


def horner(x: pl.Expr, coefficients: Sequence[pl.Expr]) -> pl.Expr:
    """The polynomial with these coefficients, lowest power first, at x."""
    return reduce(lambda value, coefficient: value * x + coefficient, reversed(coefficients))


def _spline(column: Column, calibration: Calibration) -> Curve:
    """Interpolating cubic spline with not-a-knot ends through rows channel, adc, value, in any order."""
    rows = calibration_rows(calibration, key=("channel", "adc"), numbers=("adc", "value"))
    points = _of_channel(rows, column, calibration)
    adc = points["adc"].cast(pl.Float64)
    if len(adc) < 4:
        raise CalibrationError(f"{calibration.path}: channel {column.source} has {len(adc)} points. Give four or more.")
    curve = make_interp_spline(adc.to_numpy(), points["value"].cast(pl.Float64).to_numpy(), k=3)

    def values(x: pl.Series) -> pl.Series:
        return pl.Series(curve(x.to_numpy()), dtype=pl.Float64)

    return Curve(adc[0], adc[-1], lambda x: x.map_batches(values, return_dtype=pl.Float64, is_elementwise=True))


def _of_channel(rows: pl.DataFrame, column: Column, calibration: Calibration) -> pl.DataFrame:
    for channel in (column.name, column.source):
        found = rows.filter(pl.col("channel") == channel)
        if len(found):
            return found
    raise CalibrationError(
        f"{calibration.path}: there is no channel {column.source} for column {column.name}. "
        "Add its row or correct `source` in tables.yaml."
    )


# ---- calibration files ---------------------------------------------------------------------------------------------
def calibration_rows(
    calibration: Calibration, key: tuple[str, ...], numbers: tuple[str, ...], optional: tuple[str, ...] = ()
) -> pl.DataFrame:
    """The rows of a calibration, sorted by `key`, each key there once.

    Cells of `numbers` are numbers; cells of `optional` are numbers or empty. Raises: CalibrationError if not so.
    """
    frame = calibration.frame
    for name in (*key, *numbers, *optional):
        problem = _column_problem(frame, name, number=name in (*numbers, *optional), empty=name in optional)
        if problem:
            raise CalibrationError(f"{calibration.path} ({name}): {problem}")
    if frame.select(key).is_duplicated().any():
        raise CalibrationError(f"{calibration.path}: the same {', '.join(key)} is there twice. Leave one row for each.")
    return frame.sort(key)


def named_numbers(calibration: Calibration, *needed: str, units: Mapping[str, str] | None = None) -> dict[str, float]:
    """The numbers of a calibration of rows name, value, unit: the needed ones in their order, or else all of them.

    Nothing is converted: `units` says in which unit some of the numbers must be given.
    Raises: CalibrationError if a needed name is missing, a name is there twice, a value is no number, or in another
    unit.
    """
    _check_units(calibration, units or {})
    rows = calibration_rows(calibration, key=("name",), numbers=("value",))
    values = {str(name): float(value) for name, value in rows.select("name", "value").iter_rows()}
    missing = [name for name in needed if name not in values]
    if missing:
        raise CalibrationError(f"{calibration.path}: there is no row {', '.join(missing)}. Add it with its value.")
    return {name: values[name] for name in needed} if needed else values


def check_rotation(calibration: Calibration, place: str, matrix: Floats) -> None:
    """Raises CalibrationError unless the matrix [3, 3] of a calibration is a rotation."""
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-9) or np.linalg.det(matrix) < 0:
        raise CalibrationError(
            f"{calibration.path} ({place}): is no rotation; its rows must be perpendicular, of length 1 and "
            "right-handed. Correct them."
        )


def _check_units(calibration: Calibration, units: Mapping[str, str]) -> None:
    if units and "unit" not in calibration.frame.columns:
        raise CalibrationError(
            f"{calibration.path} (unit): there is no such column. Add it to the header and to each row."
        )
    given = dict(calibration.frame.select("name", "unit").iter_rows()) if units else {}
    for name, unit in units.items():
        if name in given and (given[name] or "") != unit:
            raise CalibrationError(
                f"{calibration.path} ({name}): is given in {given[name]!r}. Give it in {unit!r}; nothing is converted."
            )


def _column_problem(frame: pl.DataFrame, name: str, number: bool, empty: bool) -> str | None:
    if name not in frame.columns:
        return "there is no such column. Add it to the header and to each row."
    column = frame[name]
    if column.null_count() and not empty:
        return "a cell is empty. Fill it in."
    if number and not column.dtype.is_numeric() and column.null_count() < len(column):
        return "a cell is no number. Correct it."
    if number and column.dtype.is_float() and column.is_nan().any():
        return "a cell is no number. Correct it."
    return None


def coefficient_names(calibration: Calibration) -> tuple[str, ...]:
    """The columns c0, c1, ... of a calibration, lowest power first. Raises CalibrationError if there is none."""
    names = tuple(takewhile(calibration.frame.columns.__contains__, (f"c{i}" for i in count())))
    if not names:
        raise CalibrationError(f"{calibration.path}: has no column c0. Add the coefficients c0, c1, ... lowest first.")
    return names


# ---- histograms ----------------------------------------------------------------------------------------------------
def rebin_counts(counts: ArrayLike, slope: ArrayLike, intercept: ArrayLike, edges: ArrayLike) -> NDArray[np.float32]:
    """Counts [n, slots, bins] shared out over the channels between `edges`: [n, slots, channels].

    A bin gives each channel the part of its counts by which it overlaps the channel, so their sum is kept to the
    rounding of float32; see `rebin_matrix` for what a bin covers. `slope` and `intercept` have one value per slot.
    Raises: CalibrationError if a bin is partly outside the edges.
    """
    values = np.asarray(counts)
    matrix = rebin_matrix(slope, intercept, values.shape[2], edges)
    return apply_rebin(matrix, values)


def rebin_matrix(slope: ArrayLike, intercept: ArrayLike, bins: int, edges: ArrayLike) -> csr_array:
    """The sparse matrix [slots * channels, slots * bins] that rebins all slots of a histogram at once.

    Bin b of a slot has its centre at slope * b + intercept and covers half a bin to either side. The energy belongs to
    the centre because the lines that fixed slope and intercept were located by a parabola through the counts of three
    neighbouring bins, each placed at its integer b: a line that fills bin b symmetrically is found at b.
    Source: padre_meddea fit of Ba-133 lines (predicted line +- 5 bins, peak -b/2a); its spectra use the same points.
    Raises: CalibrationError if a slope is not positive or a bin is partly outside the edges.
    """
    slopes, intercepts, limits = (np.asarray(v, np.float64) for v in (slope, intercept, edges))
    borders = slopes[:, None] * (np.arange(bins + 1) - 0.5) + intercepts[:, None]
    wrong = ~(slopes > 0) | ~(borders[:, 0] >= limits[0]) | ~(borders[:, -1] <= limits[-1])
    if wrong.any():
        slot = int(np.argmax(wrong))
        raise CalibrationError(
            f"slot {slot}: its bins cover {borders[slot, 0]:g} to {borders[slot, -1]:g}, the axis {limits[0]:g} to "
            f"{limits[-1]:g}. Correct slope and intercept, or widen the axis in tables.yaml so that no count is lost."
        )
    return csr_array(block_diag([csr_array(overlap_fractions(b, limits).T) for b in borders], format="csr"))


def overlap_fractions(borders: Floats, edges: Floats) -> Floats:
    """The fraction of each cell between `borders` that lies in each channel between `edges`: [cells, channels]."""
    low, high = borders[:-1, None], borders[1:, None]
    overlap = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    fractions: Floats = np.maximum(overlap, 0) / (high - low)
    return fractions


def apply_rebin(matrix: csr_array, counts: NDArray[np.generic]) -> NDArray[np.float32]:
    """Counts [n, slots, bins] times `rebin_matrix`: [n, slots, channels].

    The sparse product adds in a fixed order, so a histogram gives the same bits wherever it stands in a block; a dense
    one would depend on the linear algebra library and its threads.
    """
    n, slots, bins = counts.shape
    product = matrix @ counts.reshape(n, slots * bins).T.astype(np.float64, order="C")
    return product.T.astype(np.float32, order="C").reshape(n, slots, -1)
