# SPDX-License-Identifier: Apache-2.0
"""A variable of a product: its specification, where its values come from, and the attributes that all of them have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exports.cdf.records import CDF_TYPES, CdfTypeName
from exports.cdf.spec import Attribute, Values, VariableSpec, text_values
from exports.istp.places import TemplateError, Where, of_column
from exports.istp.text import label_of
from lake.definitions import Column, Table
from lake.packet_definitions import ColumnType

EPOCH = "Epoch"
# Delta has no unsigned integers: columns were widened on the way in, so each integer has its CDF type of equal width.
VARIABLE_TYPES: dict[ColumnType, CdfTypeName] = {
    "bool": "CDF_UINT1",
    "int8": "CDF_INT1",
    "int16": "CDF_INT2",
    "int32": "CDF_INT4",
    "int64": "CDF_INT8",
    "float32": "CDF_REAL4",
    "float64": "CDF_REAL8",
}
# A few cells (the components of a vector, some energy bands) read best as lines, many as a picture.
MAX_LINES = 8
# The widest range without the fill value -1e31.
FLOAT_RANGE = (-1e30, 1e30)


@dataclass(frozen=True)
class Variable:
    """A variable of the product: filled from `column`, or constant with the `values` of an axis (one record).

    With a `factor` the variable holds the column's values times the factor, rounded to integers. The values of one that
    is `dated` come from a calibration, and may be others on another day.
    """

    spec: VariableSpec
    column: Column | None = None
    values: tuple[float, ...] | tuple[str, ...] = ()
    valid: tuple[float, float] = (0, 0)
    factor: float | None = None
    dated: bool = False

    def constant(self) -> Values:
        """The only record of a constant variable, of shape (1, size)."""
        if self.spec.type == "CDF_CHAR":
            return text_values([str(text) for text in self.values], self.spec.elements)[np.newaxis]
        return np.array([self.values], dtype=self.spec.dtype)


def display(table: Table, column: Column, is_data: bool) -> tuple[tuple[str, str | None], ...]:
    """DISPLAY_TYPE, dependencies and labels: lines for scalars and few cells, else spectrograms.

    A reader draws a literal label for one line or one picture, but needs labels by cell for lines and for slices of
    arrays with more dimensions; files with both kinds are refused by some tools. The components of a vector have names
    and nothing to depend on.
    """
    shape = table.shape(column)
    named = len(shape) == 1 and bool(table.axis(column.axes[0]).labels)
    lines = len(shape) == 0 or named or (len(shape) == 1 and shape[0] <= MAX_LINES)
    by_cell = bool(shape) and (lines or len(shape) > 1)
    return (
        ("DISPLAY_TYPE", ("time_series" if lines else "spectrogram") if is_data else None),
        ("LABLAXIS", None if by_cell else label_of(of_column(table, column), column)),
        *((f"DEPEND_{i}", axis) for i, axis in enumerate(column.axes, 1) if not named),
        *((f"LABL_PTR_{i}", f"{axis}_label") for i, axis in enumerate(column.axes, 1) if by_cell),
    )


def valid_range(where: Where, cdf_type: CdfTypeName, valid: tuple[float, float] | None) -> tuple[float, float]:
    """The valid range in the variable's own type; the widest without the fill value if the definition has none."""
    fill, (low, high) = CDF_TYPES[cdf_type].fill, CDF_TYPES[cdf_type].limits
    if fill is None or valid is None:
        is_float = CDF_TYPES[cdf_type].dtype.kind == "f"
        return FLOAT_RANGE if is_float else (low + (fill == low), high - (fill == high))
    if CDF_TYPES[cdf_type].dtype.kind != "f":
        if not all(float(value).is_integer() for value in valid):
            raise TemplateError(where, f"valid range {valid} of an integer. Give integers")
        valid = (int(valid[0]), int(valid[1]))
    if not low <= valid[0] < valid[1] <= high:
        raise TemplateError(where, f"valid range {valid} is empty or outside {cdf_type}. Correct it or widen the type")
    if valid[0] <= fill <= valid[1]:
        raise TemplateError(where, f"valid range {valid} holds the fill value {fill:g}. Narrow it or widen the type")
    return valid


def texts(*pairs: tuple[str, str | None]) -> tuple[Attribute, ...]:
    """Attributes of text; what is None is left out."""
    return tuple(Attribute(name, "CDF_CHAR", text) for name, text in pairs if text is not None)


def limits(cdf_type: CdfTypeName, valid: tuple[float, float]) -> tuple[Attribute, ...]:
    """VALIDMIN, VALIDMAX and FILLVAL in the variable's own type."""
    fill = CDF_TYPES[cdf_type].fill
    pairs = (("VALIDMIN", valid[0]), ("VALIDMAX", valid[1]), ("FILLVAL", fill))
    return tuple(Attribute(name, cdf_type, (value,)) for name, value in pairs if value is not None)
