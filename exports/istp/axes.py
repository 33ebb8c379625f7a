# SPDX-License-Identifier: Apache-2.0
"""The axes of a product as constant variables: their values, the borders of their cells, and labels for the cells."""

from __future__ import annotations

from exports.cdf.records import CDF_TYPES, CdfTypeName
from exports.cdf.spec import Attribute, VariableSpec
from exports.istp.places import Place, TemplateError, of_axis, of_column
from exports.istp.text import (
    category,
    check_label,
    check_name,
    check_unit,
    dictionary_key,
    format_of,
    is_dated,
    label_width,
    labels_of,
    si_conversion,
)
from exports.istp.variable import VARIABLE_TYPES, Variable, display, limits, texts, valid_range
from lake.definitions import Axis, Column, Table


def axis_variables(table: Table, columns: tuple[Column, ...]) -> tuple[Variable, ...]:
    """Each axis that a variable points to: its values, the distances to the borders of its cells, and their labels."""
    pointers = {
        text
        for column in columns
        for name, text in display(table, column, True)
        if name.startswith(("DEPEND_", "LABL_PTR_"))
    }
    variables: list[Variable] = []
    for axis in table.axes:
        variables += _axis_values(table, axis) if axis.name in pointers else []
        variables += [_axis_labels(table, axis)] if f"{axis.name}_label" in pointers else []
    _check_names(table, variables, columns)
    return tuple(variables)


def axis_names(axis: Axis) -> tuple[str, ...]:
    """The names of the variables that an axis may become."""
    return tuple(f"{axis.name}{suffix}" for suffix in ("", "_delta_minus", "_delta_plus", "_label"))


def _check_names(table: Table, variables: list[Variable], columns: tuple[Column, ...]) -> None:
    taken = {column.name.lower(): column for column in columns}
    for name in (variable.spec.name for variable in variables):
        if column := taken.get(name.lower()):
            place = of_column(table, column)
            raise TemplateError(place, f"its axes make a variable {name}, and so does the column. Rename one of them")


def _axis_values(table: Table, axis: Axis) -> list[Variable]:
    """The values of an axis and, where they are known, the distances from them to both borders of their cells."""
    deltas = [
        _axis_variable(table, axis, f"{axis.name}_delta_{side}", text, distances)
        for side, text, distances in (
            ("minus", f"Distance from a value of {axis.name} down to the border of its cell", axis.minus),
            ("plus", f"Distance from a value of {axis.name} up to the border of its cell", axis.plus),
        )
        if distances
    ]
    return [_axis_variable(table, axis, axis.name, axis.description, axis.values), *deltas]


def _axis_variable(table: Table, axis: Axis, name: str, description: str, numbers: tuple[float, ...]) -> Variable:
    where = of_axis(table, axis)
    if axis.type not in VARIABLE_TYPES:
        raise TemplateError(where, f"values of type {axis.type}. Axes are numbers: use a float or integer type")
    cdf_type, is_delta = VARIABLE_TYPES[axis.type], name != axis.name
    valid = valid_range(where, cdf_type, _bounds(axis, numbers, is_delta))
    values = numbers if CDF_TYPES[cdf_type].dtype.kind == "f" else tuple(_whole(where, v) for v in numbers)
    scale = "linear" if is_delta else axis.scale
    catdesc, notes = category(where, description)
    label = {f"{axis.name}_delta_minus": "Below", f"{axis.name}_delta_plus": "Above"}.get(name, axis.label)
    attributes = (
        *texts(
            ("CATDESC", catdesc),
            ("FIELDNAM", check_name(where, name)),
            ("VAR_TYPE", "support_data"),
            ("UNITS", check_unit(where, axis.unit)),
            ("SI_CONVERSION", si_conversion(axis.unit)),
            ("FORMAT", format_of(cdf_type, valid, scale)),
            ("SCALETYP", scale),
            ("LABLAXIS", check_label(where, label)),
            ("DELTA_MINUS_VAR", None if is_delta or not axis.minus else f"{name}_delta_minus"),
            ("DELTA_PLUS_VAR", None if is_delta or not axis.plus else f"{name}_delta_plus"),
            ("DICT_KEY", dictionary_key(where, axis.spase)),
            ("VAR_NOTES", notes),
        ),
        *limits(cdf_type, valid),
    )
    spec = _constant(name, cdf_type, axis.size, 1, attributes)
    return Variable(spec, values=values, valid=valid, dated=is_dated(axis))


def _bounds(axis: Axis, numbers: tuple[float, ...], is_delta: bool) -> tuple[float, float]:
    """What the values of all days lie in: as the definition says, or else as they are, for then they never change."""
    low, high = axis.valid or (min(numbers), max(numbers))
    if not is_delta:
        return low, high
    return 0, high - low if axis.valid else max(numbers)


def _axis_labels(table: Table, axis: Axis) -> Variable:
    labels, width = labels_of(of_axis(table, axis), axis), label_width(axis)
    attributes = texts(
        ("CATDESC", f"Labels of the cells along the axis {axis.name}"),
        ("FIELDNAM", f"{axis.name}_label"),
        ("VAR_TYPE", "metadata"),
        ("FORMAT", f"A{width}"),
        ("FILLVAL", " "),
    )
    spec = _constant(f"{axis.name}_label", "CDF_CHAR", axis.size, width, attributes)
    return Variable(spec, values=labels, dated=is_dated(axis))


def _constant(
    name: str, cdf_type: CdfTypeName, size: int, elements: int, attributes: tuple[Attribute, ...]
) -> VariableSpec:
    return VariableSpec(name, cdf_type, (size,), record_variance=False, elements=elements, attributes=attributes)


def _whole(where: Place, value: float) -> int:
    if not float(value).is_integer():
        raise TemplateError(where, f"value {value} of an integer axis. Give it a float type")
    return int(value)
