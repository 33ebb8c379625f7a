# SPDX-License-Identifier: Apache-2.0
"""Compiles a product into the structure of its CDF files, before any data and never from data.

Variables, types and attributes follow from the columns, axes and flags of the table (ISTP Metadata Guidelines 1.0):
FILLVAL, FORMAT, DISPLAY_TYPE, labels and dependencies are derived, and what SPDF would refuse fails here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from exports.cdf.spec import Attribute, VariableSpec, check_structure
from exports.istp.axes import axis_names, axis_variables
from exports.istp.globals import Edition, GlobalEntries, compile_globals, edition_globals, file_id, logical_source
from exports.istp.places import Place, TemplateError, of_axis, of_column, of_product, of_table
from exports.istp.text import category, check_name, check_unit, dictionary_key, format_of, notes_of, si_conversion
from exports.istp.variable import EPOCH, VARIABLE_TYPES, Variable, display, limits, texts, valid_range
from lake.clock import tt2000_of_day
from lake.definitions import Column, Instrument, Mission, Product, Table
from lake.errors import ExportError

EPOCH_COLUMN = "epoch_tt2000"
# `time` and `day` repeat the epoch, for people who write SQL.
NEVER_EXPORTED = ("time", "day")
NANOSECONDS = 1e9  # to the second
DAY_SECONDS = 86400.0
SUPPORT = "SPASE>Support>SupportQuantity:"
TEMPORAL = f"{SUPPORT}Temporal"
MEASURED = {"Housekeeping", "Orientation", "Positional", "Velocity"}


@dataclass(frozen=True)
class Structure:
    """The structure of a product's files: everything that is equal from day to day, in the order of the file."""

    product: Product
    table: Table
    logical_source: str
    global_attributes: GlobalEntries
    variables: tuple[Variable, ...]
    majority: Literal["row", "column"] = "row"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a file is made of, `epoch_tt2000` first."""
        return tuple(dict.fromkeys(variable.column.name for variable in self.variables if variable.column))

    def attributes(self, edition: Edition) -> GlobalEntries:
        """All global attributes of one file."""
        return self.global_attributes + edition_globals(self.logical_source, edition)

    def file_name(self, edition: Edition) -> str:
        """The name of one file, e.g. `padre_meddea_l1-photon_20240916_v1.0.0.cdf`."""
        return f"{file_id(self.logical_source, edition)}.cdf"


def compile_product(
    product: Product,
    table: Table,
    instrument: Instrument,
    mission: Mission,
    assumptions: Sequence[str] = (),
    missions: Path | None = None,
) -> Structure:
    """The structure of the product's files on the day for which `table` has the values of its axes.

    Nothing but these values and, in the global attribute TEXT, the `assumptions` differs from day to day. `table` comes
    from Definitions.on_day, `assumptions` from Definitions.assumptions; `missions` is the folder of both.

    Raises TemplateError with file and line, or without `missions` with product and column, and the remedy, if a file of
    this structure would break an ISTP rule: text that is not ASCII, long units, a valid range that holds the fill
    value, a missing attribute.
    """
    try:
        return _compiled(product, table, instrument, mission, assumptions)
    except TemplateError as error:
        raise error.located(missions / mission.name / instrument.name) if missions else error from None


def _compiled(
    product: Product, table: Table, instrument: Instrument, mission: Mission, assumptions: Sequence[str]
) -> Structure:
    columns = exported(product, table)
    variables = (
        _epoch(product, table, mission),
        *_epoch_deltas(product, table),
        *axis_variables(table, columns),
        *(_column_variable(table, column) for column in columns if column.name != EPOCH_COLUMN),
    )
    variables = tuple(_compressed(variable, product.compression) for variable in variables)
    entries = compile_globals(product, table, instrument, mission, assumptions)
    _check_unique(table, variables)
    for variable in variables:
        _check_spec(table, variable)
    check_structure(entries, [variable.spec for variable in variables])
    return Structure(product, table, logical_source(table, instrument), entries, variables, product.majority)


def _compressed(variable: Variable, level: int) -> Variable:
    """The variable with its compression, which depends on no day's size. SPDF refuses compressed times."""
    spec = variable.spec
    packed = spec.record_variance and spec.type != "CDF_TIME_TT2000"
    return replace(variable, spec=replace(spec, compression=level)) if packed else variable


def _check_spec(table: Table, variable: Variable) -> None:
    try:
        check_structure((), [variable.spec])
    except ExportError as error:
        raise TemplateError(_place_of(table, variable), str(error)) from error


def _place_of(table: Table, variable: Variable) -> Place:
    """The column that fills a variable, or the axis that it belongs to."""
    if variable.column:
        return of_column(table, variable.column)
    name = variable.spec.name
    return next(of_axis(table, axis) for axis in table.axes if name in axis_names(axis))


def exported(product: Product, table: Table) -> tuple[Column, ...]:
    """The columns that become variables; ExportError for a column that cannot, or an omitted one that is not there."""
    unknown = [name for name in product.omit if name not in table.by_name]
    if unknown:
        raise TemplateError(of_product(table, "omit"), f"names {', '.join(unknown)}, no column of the table. Remove it")
    if EPOCH_COLUMN not in table.by_name:
        raise TemplateError(of_table(table), f"no column {EPOCH_COLUMN}. Add it: each record needs a time")
    left_out = {*product.omit, *NEVER_EXPORTED} - {EPOCH_COLUMN}
    columns = tuple(c for c in table.columns if c.name == EPOCH_COLUMN or (c.export and c.name not in left_out))
    for column in columns:
        _check_column(table, column, columns)
    return columns


def _check_column(table: Table, column: Column, columns: tuple[Column, ...]) -> None:
    where = of_column(table, column)
    if column.type not in VARIABLE_TYPES:
        raise TemplateError(where, f"{column.type} values have no place in a product. Add it to omit: of the product")
    if column.name == EPOCH_COLUMN and (column.type != "int64" or column.axes):
        raise TemplateError(where, f"{column.type} with axes {column.axes}. TT2000 is one int64 to a record")
    known = {axis.name for axis in table.axes}
    if not known.issuperset(column.axes):
        raise TemplateError(where, f"axes {column.axes}, the table has {sorted(known)}. Define the axis")
    if column.uncertainty is not None:
        _check_uncertainty(where, column, {c.name: c for c in columns})


def _check_uncertainty(where: Place, column: Column, columns: dict[str, Column]) -> None:
    other = columns.get(column.uncertainty or "")
    if other is None:
        raise TemplateError(where, f"its uncertainty {column.uncertainty} is not exported. Export it or remove it here")
    if (other.type, other.unit, other.axes) != (column.type, column.unit, column.axes):
        raise TemplateError(where, f"its uncertainty {other.name} differs in type, unit or axes. Make them equal")


def _epoch(product: Product, table: Table, mission: Mission) -> Variable:
    column = table.by_name[EPOCH_COLUMN]
    valid = (tt2000_of_day(mission.valid_time.start), tt2000_of_day(mission.valid_time.stop) - 1)
    catdesc, notes = category(of_column(table, column), column.description)
    attributes = (
        *texts(
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
            ("DELTA_MINUS_VAR", f"{EPOCH}_delta_minus" if product.delta_minus else None),
            ("DELTA_PLUS_VAR", f"{EPOCH}_delta_plus" if product.delta_plus else None),
            ("DICT_KEY", dictionary_key(of_column(table, column), column.spase or TEMPORAL)),
            ("VAR_NOTES", notes),
        ),
        *limits("CDF_TIME_TT2000", valid),
        Attribute("BIN_LOCATION", "CDF_REAL4", (product.bin_location,)),
    )
    return Variable(VariableSpec(EPOCH, "CDF_TIME_TT2000", attributes=attributes), column, valid=valid)


def _epoch_deltas(product: Product, table: Table) -> tuple[Variable, ...]:
    """How far a record reaches before and after its Epoch. SPDF takes integers here, so seconds become nanoseconds."""
    if (product.delta_minus is None) != (product.delta_plus is None):
        raise TemplateError(of_product(table), "delta_minus goes with delta_plus. Give both")
    if product.delta_minus is None or product.delta_plus is None:
        return ()
    return (
        _epoch_delta(table, product.delta_minus, "minus", "Time from the start of what the record holds to its Epoch"),
        _epoch_delta(table, product.delta_plus, "plus", "Time from the Epoch to the end of what the record holds"),
    )


def _epoch_delta(table: Table, name: str, side: str, catdesc: str) -> Variable:
    column = table.by_name.get(name)
    where = of_product(table, f"delta_{side}")
    if column is None or column.is_list or column.type not in ("float32", "float64") or column.unit != "s":
        raise TemplateError(where, f"{name} is no column of one float32 or float64 in s. Name one that is")
    seconds = np.array(column.valid or (0, DAY_SECONDS), dtype=column.type)
    low, high = (round(float(value) * NANOSECONDS) for value in seconds)
    valid = valid_range(where, "CDF_INT8", (low, high))
    attributes = (
        *texts(
            ("CATDESC", catdesc),
            ("FIELDNAM", f"{EPOCH}_delta_{side}"),
            ("VAR_TYPE", "support_data"),
            ("UNITS", "ns"),
            ("SI_CONVERSION", si_conversion("ns")),
            ("FORMAT", format_of("CDF_INT8", valid, "linear")),
            ("SCALETYP", "linear"),
            ("DEPEND_0", EPOCH),
            ("LABLAXIS", "Before" if side == "minus" else "After"),
            ("DICT_KEY", TEMPORAL),
        ),
        *limits("CDF_INT8", valid),
    )
    spec = VariableSpec(f"{EPOCH}_delta_{side}", "CDF_INT8", attributes=attributes)
    return Variable(spec, column, valid=valid, factor=NANOSECONDS)


def _column_variable(table: Table, column: Column) -> Variable:
    where, cdf_type = of_column(table, column), VARIABLE_TYPES[column.type]
    valid = (0, 1) if column.type == "bool" else valid_range(where, cdf_type, column.valid)
    catdesc, notes = category(where, column.description)
    is_data = column.name != "quality_flag" and not _is_support(column.spase or "")
    attributes = (
        *texts(
            ("CATDESC", catdesc),
            ("FIELDNAM", check_name(where, column.name)),
            ("VAR_TYPE", "data" if is_data else "support_data"),
            ("UNITS", check_unit(where, column.unit)),
            ("SI_CONVERSION", si_conversion(column.unit)),
            ("FORMAT", format_of(cdf_type, valid, column.scale)),
            ("SCALETYP", column.scale),
            ("DEPEND_0", EPOCH),
            *display(table, column, is_data),
            *_frame(table, column),
            ("DELTA_PLUS_VAR", column.uncertainty),
            ("DELTA_MINUS_VAR", column.uncertainty),
            ("DICT_KEY", dictionary_key(where, column.spase)),
            ("VAR_NOTES", notes_of(notes, table.flags if column.name == "quality_flag" else ())),
        ),
        *limits(cdf_type, valid),
    )
    return Variable(
        VariableSpec(column.name, cdf_type, table.shape(column), attributes=attributes), column, valid=valid
    )


def _is_support(spase: str) -> bool:
    """Whether a keyword stands for what helps to read other values; a place or a temperature is a measurement."""
    return spase.startswith(SUPPORT) and spase.removeprefix(SUPPORT) not in MEASURED


def _frame(table: Table, column: Column) -> tuple[tuple[str, str], ...]:
    """The coordinate system of a vector, and which component each of its cells is."""
    if column.frame is None:
        return ()
    if len(column.axes) != 1 or not table.axis(column.axes[0]).labels:
        remedy = "Give it one axis with labels, or remove the frame"
        raise TemplateError(of_column(table, column), f"has a frame, but its cells are no components. {remedy}")
    return (
        ("COORDINATE_SYSTEM", column.frame),
        ("TENSOR_ORDER", "1"),
        ("REPRESENTATION_1", f"{column.axes[0]}_label"),
    )


def _check_unique(table: Table, variables: tuple[Variable, ...]) -> None:
    """Some readers take names that differ in case for one; users of CDAWeb choose variables by CATDESC; and a label
    that names another variable misleads readers.
    """
    names: dict[str, str] = {}
    described: dict[str, str] = {}
    for variable in variables:
        name, where = variable.spec.name, _place_of(table, variable)
        if name.lower() in names:
            problem = f"variable names {names[name.lower()]} and {name} are the same to some readers. Rename one"
            raise TemplateError(where, problem)
        names[name.lower()] = name
        other = described.setdefault(_texts(variable)["CATDESC"], name)
        if other != name:
            raise TemplateError(where, f"{other} and {name} have one CATDESC. Describe each in its own words")
    for variable in variables:
        label = _texts(variable).get("LABLAXIS", "")
        if label != variable.spec.name and label in names.values():
            raise TemplateError(_place_of(table, variable), "its label names another variable. Change the label")


def _texts(variable: Variable) -> dict[str, str]:
    return {a.name: str(a.value) for a in variable.spec.attributes if a.type == "CDF_CHAR"}
