# SPDX-License-Identifier: Apache-2.0
"""The fields of a record as HAPI has them, from the variables of the CDF: types, sizes, fill values.

HAPI's integers have 32 bits with a sign. Wider ones become doubles, but times, whose nanoseconds a double cannot hold:
they become texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from exports.cdf.records import CDF_TYPES
from exports.hapi.times import FILL, LENGTH
from exports.istp.structure import Structure
from exports.istp.variable import EPOCH, Variable
from lake.definitions import Axis

TIME = "Time"
TIME_COLUMN = "_tt2000"  # what the names of columns with TT2000 end in
FLOAT_FILL = -1e31  # in 64 bits; what 32 bits make of it is another number, which no text of it gives

Kind = Literal["isotime", "double", "integer"]


@dataclass(frozen=True)
class Field:
    """One parameter of a dataset: a variable of the CDF, or, by `part`, the values of an axis that change with time."""

    name: str
    kind: Kind
    size: tuple[int, ...]
    variable: Variable | None = None
    axis: Axis | None = None
    part: Literal["centers", "ranges"] = "centers"

    @property
    def dtype(self) -> tuple[str, str, tuple[int, ...]]:
        """The field of a binary record."""
        return (self.name, {"isotime": f"S{LENGTH}", "double": "<f8", "integer": "<i4"}[self.kind], self.size)

    @property
    def fill(self) -> str | None:
        """The fill value as text; its number is exactly that of the values that are sent."""
        if self.name == TIME:
            return None
        if self.kind == "isotime":
            return FILL
        if self.variable is None:
            return repr(FLOAT_FILL)
        fill = CDF_TYPES[self.variable.spec.type].fill
        return repr(FLOAT_FILL) if isinstance(fill, float) else str(fill)


def fields_of(structure: Structure, varying: tuple[Axis, ...]) -> tuple[Field, ...]:
    """The fields of a product: its time, what varies by record in the order of the file, then `varying` axes."""
    records = [variable for variable in structure.variables if variable.column is not None]
    return (*(_field(variable) for variable in records), *(f for axis in varying for f in _axis_fields(axis)))


def _field(variable: Variable) -> Field:
    name = TIME if variable.spec.name == EPOCH else variable.spec.name
    return Field(name, _kind(variable), variable.spec.dims, variable)


def _kind(variable: Variable) -> Kind:
    if variable.spec.name == EPOCH or (variable.spec.type == "CDF_INT8" and variable.spec.name.endswith(TIME_COLUMN)):
        return "isotime"
    dtype = variable.spec.dtype
    return "double" if dtype.kind == "f" or dtype.itemsize > 4 else "integer"


def _axis_fields(axis: Axis) -> tuple[Field, ...]:
    centers = Field(axis.name, "double", (axis.size,), axis=axis)
    ranges = Field(f"{axis.name}_ranges", "double", (axis.size, 2), axis=axis, part="ranges")
    return (centers, ranges) if axis.minus else (centers,)


def cells(axis: Axis, part: Literal["centers", "ranges"]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values of an axis, or the borders of its cells: in the axis' own type, as the CDF has them."""
    if part == "centers":
        return _exact(axis, np.array(axis.values))
    values, minus, plus = (np.array(numbers) for numbers in (axis.values, axis.minus, axis.plus))
    return _exact(axis, np.stack((values - minus, values + plus), axis=1))


def _exact(axis: Axis, numbers: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers of the axis' type by their shortest digits: 5.1 is sent for what 32 bits hold as 5.0999999."""
    typed = numbers.astype(axis.type)
    return np.array([float(str(number)) for number in typed.ravel()]).reshape(typed.shape)
