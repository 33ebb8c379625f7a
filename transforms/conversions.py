# SPDX-License-Identifier: Apache-2.0
"""From what was sent to physical values: curves and states of channels, and rebinning that loses no count."""

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
    """A calibration curve: an expression from what was sent to physical values, and where it holds."""

    inside: Callable[[pl.Expr], pl.Expr]
    values: Callable[[pl.Expr], pl.Expr]


# ---- columns with `source` and `conversion` ------------------------------------------------------------------------
def convert_columns(frame: pl.LazyFrame, table: Table, *calibrations: Calibration | None) -> pl.LazyFrame:
    """The frame with every column of the table that has a `source`, in that column's unit.

    What was sent is converted with the row or rows of its channel, in the calibration whose name ends in the kind of
    conversion. The channel is the column's own name, or else its source, so that two columns may convert one source in
    two ways. A column without `conversion` is a copy. Where a curve does not hold, the value is null and `quality_flag`
    gets adc_out_of_range; nothing is extrapolated unless the calibration says so. A null source stays null.
    Raises: CalibrationError if no calibration has the channel or its rows make no curve.
    """
    given = [calibration for calibration in calibrations if calibration is not None]
    copies = [pl.col(c.source).alias(c.name) for c in table.columns if c.source and not c.conversion]
    converted = [_convert(column, given) for column in table.columns if column.conversion]
    values = [*copies, *(value for value, _ in converted)]
    if not converted:
        return frame.with_columns(values) if values else frame
    outside = pl.any_horizontal(pl.lit(False), *(outside for _, outside in converted))
    flag = pl.when(outside).then(table.flag("adc_out_of_range")).otherwise(0).cast(pl.Int32)
    return frame.with_columns(*values, quality_flag=pl.col("quality_flag") | flag)


def _convert(column: Column, given: Sequence[Calibration]) -> tuple[pl.Expr, pl.Expr]:
    """The physical value, and whether the source is outside the calibrated range, in any of its cells."""
    curve = _curve(column, given)
    source = pl.col(column.source or column.name)
    if not column.is_list:
        return _value(curve, source).alias(column.name), _outside(curve, source)
    cells = source.list.eval(_value(curve, pl.element()))
    return cells.alias(column.name), source.list.eval(_outside(curve, pl.element())).list.any().fill_null(value=False)


def _value(curve: Curve, sent: pl.Expr) -> pl.Expr:
    return pl.when(curve.inside(sent)).then(curve.values(sent))


def _outside(curve: Curve, sent: pl.Expr) -> pl.Expr:
    return sent.is_not_null() & ~curve.inside(sent)


def _curve(column: Column, given: Sequence[Calibration]) -> Curve:
    """The column's curve, from the first calibration of its kind that has its channel."""
    kind = column.conversion or ""
    of_kind = [calibration for calibration in given if column.is_converted_by(calibration.name)]
    if not of_kind:
        raise CalibrationError(
            f"column {column.name}: there is no {kind} calibration for this day. "
            "Name it under `calibrations` of the table and add its CSV."
        )
    for calibration in of_kind:
        if (rows := _channel_rows(column, kind, calibration)) is not None:
            return _KINDS[kind](rows, column, calibration)
    raise CalibrationError(
        f"{of_kind[0].path}: there is no channel {column.source} for column {column.name}. "
        "Add its row or correct `source` in tables.yaml."
    )


def _channel_rows(column: Column, kind: str, calibration: Calibration) -> pl.DataFrame | None:
    """The rows of a column's channel, checked; None if there are none."""
    if kind == "polynomial":
        numbers = ("adc_min", "adc_max", *coefficient_names(calibration))
        rows = calibration_rows(calibration, key=("channel",), numbers=(), optional=numbers)
    elif kind == "states":
        rows = calibration_rows(calibration, key=("channel", "value"), numbers=("value",), words=("label",))
    else:
        rows = calibration_rows(calibration, key=("channel", "adc"), numbers=("adc", "value"))
    found = (rows.filter(pl.col("channel") == channel) for channel in (column.name, column.source))
    return next((rows for rows in found if len(rows)), None)


def _polynomial(rows: pl.DataFrame, _: Column, calibration: Calibration) -> Curve:
    """Sum of c_i adc^i for adc_min <= adc <= adc_max, from one row channel, adc_min, adc_max, c0, c1, ...

    An empty bound is none.
    """
    row = rows.row(0, named=True)
    low, high = row["adc_min"], row["adc_max"]
    if low is not None and high is not None and low > high:
        raise CalibrationError(f"{calibration.path} ({row['channel']}): adc_min {low:g} > adc_max {high:g}. Swap them.")
    coefficients = [pl.lit(float(row[name] or 0), pl.Float64) for name in coefficient_names(calibration)]
    return Curve(_between(low, high), lambda adc: horner(adc.cast(pl.Float64), coefficients))


def _between(low: float | None, high: float | None) -> Callable[[pl.Expr], pl.Expr]:
    """Whether a number is finite and lies between two bounds, themselves included; None is no bound."""

    def inside(adc: pl.Expr) -> pl.Expr:
        finite = adc.cast(pl.Float64).is_finite()
        above = finite if low is None else finite & (adc >= low)
        return above if high is None else above & (adc <= high)

    return inside


def horner(x: pl.Expr, coefficients: Sequence[pl.Expr]) -> pl.Expr:
    """The polynomial with these coefficients, lowest power first, at x."""
    return reduce(lambda value, coefficient: value * x + coefficient, reversed(coefficients))


def _spline(rows: pl.DataFrame, column: Column, calibration: Calibration) -> Curve:
    """Interpolating cubic spline with not-a-knot ends through rows channel, adc, value, in any order."""
    adc, values = _points(rows, column, calibration, 4, "four")
    return _through(adc, rows, calibration, make_interp_spline(adc, values, k=3))


def _linear(rows: pl.DataFrame, column: Column, calibration: Calibration) -> Curve:
    """Straight lines from point to point of rows channel, adc, value; beyond the ends the outermost ones go on."""
    adc, values = _points(rows, column, calibration, 2, "two")
    slopes = np.diff(values) / np.diff(adc)

    def line(x: Floats) -> Floats:
        piece = np.clip(np.searchsorted(adc, x, side="right") - 1, 0, len(slopes) - 1)
        return np.asarray(values[piece] + slopes[piece] * (x - adc[piece]), np.float64)

    return _through(adc, rows, calibration, line)


def _steps(rows: pl.DataFrame, column: Column, calibration: Calibration) -> Curve:
    """The value of the point at or below, from rows channel, adc, value; below all of them that of the first."""
    adc, values = _points(rows, column, calibration, 1, "one")

    def step(x: Floats) -> Floats:
        return np.asarray(values[np.maximum(np.searchsorted(adc, x, side="right") - 1, 0)], np.float64)

    return _through(adc, rows, calibration, step)


def _points(
    rows: pl.DataFrame, column: Column, calibration: Calibration, least: int, least_word: str
) -> tuple[Floats, Floats]:
    if len(rows) < least:
        raise CalibrationError(
            f"{calibration.path}: channel {column.source} has {len(rows)} points. Give {least_word} or more."
        )
    return rows["adc"].cast(pl.Float64).to_numpy(), rows["value"].cast(pl.Float64).to_numpy()


def _through(adc: Floats, rows: pl.DataFrame, calibration: Calibration, curve: Callable[[Floats], Floats]) -> Curve:
    """A curve that holds from the first point to the last one, or everywhere if its rows say `extrapolate`."""

    def values(x: pl.Series) -> pl.Series:
        return pl.Series(curve(x.to_numpy()), dtype=pl.Float64)

    inside = _between(None, None) if _extrapolates(rows, calibration) else _between(adc[0], adc[-1])
    return Curve(
        inside,
        lambda x: x.cast(pl.Float64).map_batches(values, return_dtype=pl.Float64, is_elementwise=True),
    )


def _extrapolates(rows: pl.DataFrame, calibration: Calibration) -> bool:
    """True if the cells `extrapolate` of a channel are true or 1; empty ones and a missing column mean no."""
    if "extrapolate" not in rows.columns:
        return False
    said = {str(cell).lower() for cell in rows["extrapolate"].to_list()}
    if said <= {"true", "1", "1.0"}:
        return True
    if said <= {"false", "0", "0.0", "none"}:
        return False
    raise CalibrationError(
        f"{calibration.path} ({rows['channel'][0]}): extrapolate is not the same true or false in all rows of the "
        "channel. Make them equal."
    )


def _states(rows: pl.DataFrame, _: Column, calibration: Calibration) -> Curve:
    """The label of a value, from rows channel, value, label; a value without a row has none."""
    if not rows["value"].dtype.is_integer():
        raise CalibrationError(f"{calibration.path} ({rows['channel'][0]}): a value is no whole number. Correct it.")
    known, labels = rows["value"].cast(pl.Int64), rows["label"].cast(pl.String)

    def values(sent: pl.Expr) -> pl.Expr:
        return sent.cast(pl.Int64).replace_strict(known, labels, default=None, return_dtype=pl.String)

    return Curve(lambda sent: sent.cast(pl.Int64).is_in(known.implode()), values)


_KINDS = {"polynomial": _polynomial, "spline": _spline, "linear": _linear, "steps": _steps, "states": _states}


# ---- calibration files ---------------------------------------------------------------------------------------------
def calibration_rows(
    calibration: Calibration,
    key: tuple[str, ...],
    numbers: tuple[str, ...],
    optional: tuple[str, ...] = (),
    words: tuple[str, ...] = (),
) -> pl.DataFrame:
    """The rows of a calibration, sorted by `key`, each key there once.

    Cells of `numbers` are numbers; cells of `optional` are numbers or empty; cells of `words` are not empty.
    Raises: CalibrationError if not so.
    """
    frame = calibration.frame
    for name in (*key, *numbers, *optional, *words):
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
