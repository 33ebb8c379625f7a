# SPDX-License-Identifier: Apache-2.0
"""Checks of axes: the files that give a dated one its values fit it, and products know what its values lie in."""

from __future__ import annotations

from pathlib import Path

from lake.definition_text import yaml_line
from lake.definitions import Axis, Calibration, Instrument, Product, Table
from lake.errors import CalibrationError, DefinitionError


def check_axes(instrument: Instrument) -> None:
    """Every file that gives an axis its values must fit it, whatever day it is valid from. Raises DefinitionError."""
    axes = {axis.name: axis for table in instrument.tables for axis in table.axes if axis.calibration}
    for axis in axes.values():
        for calibration in instrument.calibrations:
            if calibration.name == axis.calibration:
                try:
                    _check_dated(axis.resolved(calibration), calibration)
                except CalibrationError as error:
                    raise DefinitionError(str(error)) from None


def value_texts(axis: Axis) -> tuple[str, ...]:
    """The value of each cell as its label has it, to six digits."""
    return tuple(f"{value:.6g}" for value in axis.values)


def _check_dated(axis: Axis, calibration: Calibration) -> None:
    """Raises CalibrationError if a file of that day could not be made, where the axis is that of a product."""
    if axis.valid is None:
        return
    _check_valid(axis, axis.valid, calibration)
    if len(set(value_texts(axis))) < axis.size:
        problem = "has values that are equal to six digits, as labels of cells have them. Tell them further apart"
        raise CalibrationError(f"{calibration.path}: axis {axis.name} {problem}.")
    if axis.type.startswith("int") and (odd := [value for value in axis.values if not value.is_integer()]):
        problem = f"has the value {odd[0]:g}, but its type is {axis.type}. Correct it, or give the axis a float type"
        raise CalibrationError(f"{calibration.path}: axis {axis.name} {problem}.")


def _check_valid(axis: Axis, valid: tuple[float, float], calibration: Calibration) -> None:
    """Raises CalibrationError if a value is outside what is valid for all days, or a cell reaches beyond its width."""
    low, high = valid
    far = [value for value in axis.cells if not low <= value <= high]
    wide = [size for size in (*axis.minus, *axis.plus) if size > high - low]
    if far or wide:
        what = f"value {far[0]:g}" if far else f"distance {wide[0]:g} to a border"
        raise CalibrationError(
            f"{calibration.path}: axis {axis.name} has a {what}, beyond its valid range {low:g} to {high:g}. "
            "Correct the file; a wider range in tables.yaml is a new structure of its products."
        )


def check_product_axes(path: Path, table: Table, product: Product) -> None:
    """Raises DefinitionError for a dated axis of a product without `valid`: its files would differ in structure.

    Also for one with `valid` that is not dated: values that never change are structure themselves.
    """
    columns = [c for c in table.columns if c.export and c.name not in product.omit]
    used = {name for column in columns for name in column.axes}
    for axis in table.axes:
        if axis.name in used and axis.column and axis.valid is None:
            line = yaml_line(path, ("axes", axis.name))
            raise DefinitionError(
                f"{path} line {line} ({axis.name}): its values depend on the day, and {table.name} is a product. "
                "Add `valid: [low, high]`, in which the values of all days lie, to the axis."
            )
        if axis.name in used and axis.valid and not axis.column:
            line = yaml_line(path, ("axes", axis.name))
            raise DefinitionError(
                f"{path} line {line} ({axis.name}): `valid` is for values of a calibration, and these never change. "
                "Remove it."
            )
