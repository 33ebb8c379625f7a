# SPDX-License-Identifier: Apache-2.0
"""Compiles a product into the structure of its CDF files, before any data and never from data.

Variables, types and attributes follow from the columns, axes and flags of the table (ISTP Metadata Guidelines 1.0):
FILLVAL, FORMAT, DISPLAY_TYPE, labels and dependencies are derived, and what SPDF would refuse fails here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exports.cdf_records import CDF_TYPES, CdfTypeName
from exports.cdf_spec import Attribute, Values, VariableSpec, check_structure, text_values
from exports.istp_globals import Edition, GlobalEntries, compile_globals, edition_globals, file_id, logical_source
from exports.istp_text import (
    category,
    check_label,
    check_name,
    check_unit,
    dictionary_key,
    format_of,
    label_of,
    labels_of,
    notes_of,
    si_conversion,
)
from lake.clock import tt2000_of_day
from lake.definitions import Axis, Column, Instrument, Mission, Product, Table
from lake.errors import ExportError
from lake.packet_definitions import ColumnType

EPOCH_COLUMN, EPOCH = "epoch_tt2000", "Epoch"
# `time` and `day` repeat the epoch, for people who write SQL.
NEVER_EXPORTED = ("time", "day")
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
    """A variable of the product: filled from `column`, or constant with the `values` of an axis (one record)."""

    spec: VariableSpec
    column: Column | None = None
    values: tuple[float, ...] | tuple[str, ...] = ()
    valid: tuple[float, float] = (0, 0)

    def constant(self) -> Values:
        """The only record of a constant variable, of shape (1, size)."""
        if self.spec.type == "CDF_CHAR":
            return text_values([str(text) for text in self.values], self.spec.elements)[np.newaxis]
        return np.array([self.values], dtype=self.spec.dtype)


@dataclass(frozen=True)
class Structure:
    """The structure of a product's files: everything that is equal from day to day, in the order of the file."""

    product: Product
    table: Table
    logical_source: str
    global_attributes: GlobalEntries
    variables: tuple[Variable, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a file is made of, `epoch_tt2000` first."""
        return tuple(variable.column.name for variable in self.variables if variable.column)

    def attributes(self, edition: Edition) -> GlobalEntries:
        """All global attributes of one file."""
        return self.global_attributes + edition_globals(self.logical_source, self.product.version, edition)

    def file_name(self, edition: Edition) -> str:
        """The name of one file, e.g. `padre_meddea_l1-photon_20240916_v1.0.0.cdf`."""
        return f"{file_id(self.logical_source, edition)}.cdf"


def compile_product(product: Product, table: Table, instrument: Instrument, mission: Mission) -> Structure:
    """The structure of the product's files.

    Raises ExportError or DefinitionError naming product, column and remedy if a file of this structure would break
    an ISTP rule: text that is not ASCII, long units, a valid range that holds the fill value, a missing attribute.
    """
    columns = exported(product, table)
    variables = (
        _epoch(product, table, mission),
        *_axis_variables(table, columns),
        *(_column_variable(table, column) for column in columns if column.name != EPOCH_COLUMN),
    )
    entries = compile_globals(product, table, instrument, mission)
    try:
        check_structure(entries, [variable.spec for variable in variables])
    except ExportError as error:
        raise ExportError(f"product {table.address}: {error}") from error
    _check_unique(table, variables)
    return Structure(product, table, logical_source(table, instrument), entries, variables)


def exported(product: Product, table: Table) -> tuple[Column, ...]:
    """The columns that become variables; ExportError for a column that cannot, or an omitted one that is not there."""
    unknown = [name for name in product.omit if name not in table.by_name]
    if unknown:
        raise ExportError(
            f"product {table.address}: omit names {', '.join(unknown)}, no column of the table. Remove it"
        )
    if EPOCH_COLUMN not in table.by_name:
        raise ExportError(f"product {table.address}: no column {EPOCH_COLUMN}. Add it: each record needs a time")
    left_out = {*product.omit, *NEVER_EXPORTED} - {EPOCH_COLUMN}
    columns = tuple(c for c in table.columns if c.name == EPOCH_COLUMN or (c.export and c.name not in left_out))
    for column in columns:
        _check_column(table, column, columns)
    return columns


def valid_range(where: str, cdf_type: CdfTypeName, valid: tuple[float, float] | None) -> tuple[float, float]:
    """The valid range in the variable's own type; the widest without the fill value if the definition has none."""
    fill, (low, high) = CDF_TYPES[cdf_type].fill, CDF_TYPES[cdf_type].limits
    if fill is None or valid is None:
        is_float = CDF_TYPES[cdf_type].dtype.kind == "f"
        return FLOAT_RANGE if is_float else (low + (fill == low), high - (fill == high))
    if CDF_TYPES[cdf_type].dtype.kind != "f":
        if not all(float(value).is_integer() for value in valid):
            raise ExportError(f"{where}: valid range {valid} of an integer. Give integers")
        valid = (int(valid[0]), int(valid[1]))
    if not low <= valid[0] < valid[1] <= high:
        raise ExportError(f"{where}: valid range {valid} is empty or outside {cdf_type}. Correct it or widen the type")
    if valid[0] <= fill <= valid[1]:
        raise ExportError(f"{where}: valid range {valid} holds the fill value {fill:g}. Narrow it or widen the type")
    return valid


def _check_column(table: Table, column: Column, columns: tuple[Column, ...]) -> None:
    where = f"product {table.address}, column {column.name}"
    if column.type not in VARIABLE_TYPES:
        raise ExportError(f"{where}: {column.type} values have no place in a product. Add it to omit: of the product")
    if column.name == EPOCH_COLUMN and (column.type != "int64" or column.axes):
        raise ExportError(f"{where}: {column.type} with axes {column.axes}. TT2000 is one int64 to a record")
    known = {axis.name for axis in table.axes}
    if not known.issuperset(column.axes):
        raise ExportError(f"{where}: axes {column.axes}, the table has {sorted(known)}. Define the axis")
    if column.uncertainty is not None:
        _check_uncertainty(where, column, {c.name: c for c in columns})


def _check_uncertainty(where: str, column: Column, columns: dict[str, Column]) -> None:
    other = columns.get(column.uncertainty or "")
    if other is None:
        raise ExportError(f"{where}: its uncertainty {column.uncertainty} is not exported. Export it or remove it here")
    if (other.type, other.unit, other.axes) != (column.type, column.unit, column.axes):
        raise ExportError(f"{where}: its uncertainty {other.name} differs in type, unit or axes. Make them equal")


def _epoch(product: Product, table: Table, mission: Mission) -> Variable:
    column = table.by_name[EPOCH_COLUMN]
    valid = (tt2000_of_day(mission.valid_time.start), tt2000_of_day(mission.valid_time.stop) - 1)
    catdesc, notes = category(f"product {table.address}, column {EPOCH_COLUMN}", column.description)
    attributes = (
        *_texts(
            ("CATDESC", catdesc),
            ("FIELDNAM", EPOCH),
            ("VAR_TYPE", "support_data"),
            ("UNITS", "ns"),
            ("SI_CONVERSION", si_conversion("ns")),
            ("LABLAXIS", EPOCH),
            ("SCALETYP", "linear"),
            ("MONOTON", "INCREASE"),
            ("TIME_BASE", "J2000"),
            ("TIME_SCALE", "TT"),
            ("DICT_KEY", dictionary_key(column.spase or "SPASE>Support>SupportQuantity:Temporal")),
            ("VAR_NOTES", notes),
        ),
        *_limits("CDF_TIME_TT2000", valid),
        Attribute("BIN_LOCATION", "CDF_REAL4", (product.bin_location,)),
    )
    return Variable(VariableSpec(EPOCH, "CDF_TIME_TT2000", attributes=attributes), column, valid=valid)


def _column_variable(table: Table, column: Column) -> Variable:
    where, cdf_type = f"product {table.address}, column {column.name}", VARIABLE_TYPES[column.type]
    valid = (0, 1) if column.type == "bool" else valid_range(where, cdf_type, column.valid)
    catdesc, notes = category(where, column.description)
    is_data = column.name != "quality_flag" and not (column.spase or "").startswith("SPASE>Support")
    attributes = (
        *_texts(
            ("CATDESC", catdesc),
            ("FIELDNAM", check_name(where, column.name)),
            ("VAR_TYPE", "data" if is_data else "support_data"),
            ("UNITS", check_unit(where, column.unit)),
            ("SI_CONVERSION", si_conversion(column.unit)),
            ("FORMAT", format_of(cdf_type, valid, column.scale)),
            ("SCALETYP", column.scale),
            ("DEPEND_0", EPOCH),
            *_display(table, column, is_data),
            ("DELTA_PLUS_VAR", column.uncertainty),
            ("DELTA_MINUS_VAR", column.uncertainty),
            ("DICT_KEY", dictionary_key(column.spase)),
            ("VAR_NOTES", notes_of(notes, table.flags if column.name == "quality_flag" else ())),
        ),
        *_limits(cdf_type, valid),
    )
    return Variable(
        VariableSpec(column.name, cdf_type, table.shape(column), attributes=attributes), column, valid=valid
    )


def _display(table: Table, column: Column, is_data: bool) -> tuple[tuple[str, str | None], ...]:
    """DISPLAY_TYPE, dependencies and labels: lines for scalars and few cells, else spectrograms.

    A reader draws a literal label for one line or one picture, but needs labels by cell for lines and for slices of
    arrays with more dimensions; files with both kinds are refused by some tools.
    """
    shape = table.shape(column)
    lines = len(shape) == 0 or (len(shape) == 1 and shape[0] <= MAX_LINES)
    by_cell = bool(shape) and (lines or len(shape) > 1)
    return (
        ("DISPLAY_TYPE", ("time_series" if lines else "spectrogram") if is_data else None),
        ("LABLAXIS", None if by_cell else label_of(f"product {table.address}, column {column.name}", column)),
        *((f"DEPEND_{i}", axis) for i, axis in enumerate(column.axes, 1)),
        *((f"LABL_PTR_{i}", f"{axis}_label") for i, axis in enumerate(column.axes, 1) if by_cell),
    )


def _axis_variables(table: Table, columns: tuple[Column, ...]) -> tuple[Variable, ...]:
    """Each axis in use as a constant variable, followed by the labels of its cells if a variable points to them."""
    pointers = {
        text for column in columns for name, text in _display(table, column, True) if name.startswith("LABL_PTR")
    }
    variables = []
    for axis in table.axes:
        if any(axis.name in column.axes for column in columns):
            variables.append(_axis_values(table, axis))
            variables += [_axis_labels(table, axis)] if f"{axis.name}_label" in pointers else []
    return tuple(variables)


def _axis_values(table: Table, axis: Axis) -> Variable:
    where = f"product {table.address}, axis {axis.name}"
    if axis.type not in VARIABLE_TYPES:
        raise ExportError(f"{where}: values of type {axis.type}. Axes are numbers: use a float or integer type")
    cdf_type = VARIABLE_TYPES[axis.type]
    valid = valid_range(where, cdf_type, (min(axis.values), max(axis.values)))
    values = axis.values if CDF_TYPES[cdf_type].dtype.kind == "f" else tuple(_whole(where, v) for v in axis.values)
    catdesc, notes = category(where, axis.description)
    attributes = (
        *_texts(
            ("CATDESC", catdesc),
            ("FIELDNAM", check_name(where, axis.name)),
            ("VAR_TYPE", "support_data"),
            ("UNITS", check_unit(where, axis.unit)),
            ("SI_CONVERSION", si_conversion(axis.unit)),
            ("FORMAT", format_of(cdf_type, valid, "linear")),
            ("SCALETYP", "linear"),
            ("LABLAXIS", check_label(where, axis.label)),
            ("DICT_KEY", dictionary_key(axis.spase)),
            ("VAR_NOTES", notes),
        ),
        *_limits(cdf_type, valid),
    )
    return Variable(_constant(axis.name, cdf_type, axis.size, 1, attributes), values=values, valid=valid)


def _axis_labels(table: Table, axis: Axis) -> Variable:
    labels = labels_of(f"product {table.address}, axis {axis.name}", axis)
    width = max(len(label) for label in labels)
    attributes = _texts(
        ("CATDESC", f"Labels of the cells along the axis {axis.name}"),
        ("FIELDNAM", f"{axis.name}_label"),
        ("VAR_TYPE", "metadata"),
        ("FORMAT", f"A{width}"),
        ("FILLVAL", " "),
    )
    return Variable(_constant(f"{axis.name}_label", "CDF_CHAR", axis.size, width, attributes), values=labels)


def _constant(
    name: str, cdf_type: CdfTypeName, size: int, elements: int, attributes: tuple[Attribute, ...]
) -> VariableSpec:
    return VariableSpec(name, cdf_type, (size,), record_variance=False, elements=elements, attributes=attributes)


def _whole(where: str, value: float) -> int:
    if not float(value).is_integer():
        raise ExportError(f"{where}: value {value} of an integer axis. Give it a float type")
    return int(value)


def _texts(*pairs: tuple[str, str | None]) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, "CDF_CHAR", text) for name, text in pairs if text is not None)


def _limits(cdf_type: CdfTypeName, valid: tuple[float, float]) -> tuple[Attribute, ...]:
    fill = CDF_TYPES[cdf_type].fill
    pairs = (("VALIDMIN", valid[0]), ("VALIDMAX", valid[1]), ("FILLVAL", fill))
    return tuple(Attribute(name, cdf_type, (value,)) for name, value in pairs if value is not None)


def _check_unique(table: Table, variables: tuple[Variable, ...]) -> None:
    """Users of CDAWeb choose variables by CATDESC, and a label that names another variable misleads readers."""
    names = {variable.spec.name for variable in variables}
    seen: dict[str, str] = {}
    for spec in (variable.spec for variable in variables):
        texts = {a.name: str(a.value) for a in spec.attributes if a.type == "CDF_CHAR"}
        other = seen.setdefault(texts["CATDESC"], spec.name)
        if other != spec.name:
            raise ExportError(
                f"product {table.address}: {other} and {spec.name} have one CATDESC. Describe each in its own words"
            )
        if texts.get("LABLAXIS", spec.name) in names - {spec.name}:
            raise ExportError(
                f"product {table.address}, {spec.name}: its label names another variable. Change the label"
            )
