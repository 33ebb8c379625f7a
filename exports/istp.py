# SPDX-License-Identifier: Apache-2.0
"""Compiles a product into the structure of its CDF files, before any data and never from data.

Variables, types and attributes follow from the columns, axes and flags of the table (ISTP Metadata Guidelines 1.0):
FILLVAL, FORMAT, DISPLAY_TYPE, labels and dependencies are derived, and what SPDF would refuse fails here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exports.cdf_spec import Attribute, VariableSpec, check_structure
from exports.istp_axes import axis_variables
from exports.istp_globals import Edition, GlobalEntries, compile_globals, edition_globals, file_id, logical_source
from exports.istp_text import category, check_name, check_unit, dictionary_key, format_of, notes_of, si_conversion
from exports.istp_variable import EPOCH, VARIABLE_TYPES, Variable, display, limits, texts, valid_range
from lake.clock import tt2000_of_day
from lake.definitions import Column, Instrument, Mission, Product, Table
from lake.errors import ExportError

EPOCH_COLUMN = "epoch_tt2000"
# `time` and `day` repeat the epoch, for people who write SQL.
NEVER_EXPORTED = ("time", "day")
NANOSECONDS = 1e9  # to the second
DAY_SECONDS = 86400.0
TEMPORAL = "SPASE>Support>SupportQuantity:Temporal"


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
        return tuple(dict.fromkeys(variable.column.name for variable in self.variables if variable.column))

    def attributes(self, edition: Edition) -> GlobalEntries:
        """All global attributes of one file."""
        return self.global_attributes + edition_globals(self.logical_source, edition)

    def file_name(self, edition: Edition) -> str:
        """The name of one file, e.g. `padre_meddea_l1-photon_20240916_v1.0.0.cdf`."""
        return f"{file_id(self.logical_source, edition)}.cdf"


def compile_product(
    product: Product, table: Table, instrument: Instrument, mission: Mission, assumptions: Sequence[str] = ()
) -> Structure:
    """The structure of the product's files on the day for which `table` has the values of its axes.

    `table` comes from Definitions.on_day, and `assumptions`, which become paragraphs of the global attribute TEXT, from
    Definitions.assumptions.

    Raises ExportError or DefinitionError naming product, column and remedy if a file of this structure would break
    an ISTP rule: text that is not ASCII, long units, a valid range that holds the fill value, a missing attribute.
    """
    columns = exported(product, table)
    variables = (
        _epoch(product, table, mission),
        *_epoch_deltas(product, table),
        *axis_variables(table, columns),
        *(_column_variable(table, column) for column in columns if column.name != EPOCH_COLUMN),
    )
    entries = compile_globals(product, table, instrument, mission, assumptions)
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
            ("DICT_KEY", dictionary_key(column.spase or TEMPORAL)),
            ("VAR_NOTES", notes),
        ),
        *limits("CDF_TIME_TT2000", valid),
        Attribute("BIN_LOCATION", "CDF_REAL4", (product.bin_location,)),
    )
    return Variable(VariableSpec(EPOCH, "CDF_TIME_TT2000", attributes=attributes), column, valid=valid)


def _epoch_deltas(product: Product, table: Table) -> tuple[Variable, ...]:
    """How far a record reaches before and after its Epoch. SPDF takes integers here, so seconds become nanoseconds."""
    if (product.delta_minus is None) != (product.delta_plus is None):
        raise ExportError(f"product {table.address}: delta_minus goes with delta_plus. Give both")
    if product.delta_minus is None or product.delta_plus is None:
        return ()
    return (
        _epoch_delta(table, product.delta_minus, "minus", "Time from the start of what the record holds to its Epoch"),
        _epoch_delta(table, product.delta_plus, "plus", "Time from the Epoch to the end of what the record holds"),
    )


def _epoch_delta(table: Table, name: str, side: str, catdesc: str) -> Variable:
    column = table.by_name.get(name)
    where = f"product {table.address}, delta_{side}"
    if column is None or column.is_list or column.type not in ("float32", "float64") or column.unit != "s":
        raise ExportError(f"{where}: {name} is no column of one float32 or float64 in s. Name one that is")
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
    where, cdf_type = f"product {table.address}, column {column.name}", VARIABLE_TYPES[column.type]
    valid = (0, 1) if column.type == "bool" else valid_range(where, cdf_type, column.valid)
    catdesc, notes = category(where, column.description)
    is_data = column.name != "quality_flag" and not (column.spase or "").startswith("SPASE>Support")
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
            ("DICT_KEY", dictionary_key(column.spase)),
            ("VAR_NOTES", notes_of(notes, table.flags if column.name == "quality_flag" else ())),
        ),
        *limits(cdf_type, valid),
    )
    return Variable(
        VariableSpec(column.name, cdf_type, table.shape(column), attributes=attributes), column, valid=valid
    )


def _frame(table: Table, column: Column) -> tuple[tuple[str, str], ...]:
    """The coordinate system of a vector, and which component each of its cells is."""
    if column.frame is None:
        return ()
    if len(column.axes) != 1 or not table.axis(column.axes[0]).labels:
        raise ExportError(
            f"product {table.address}, column {column.name}: has a frame, but its cells are no components. "
            "Give it one axis with labels, or remove the frame"
        )
    return (
        ("COORDINATE_SYSTEM", column.frame),
        ("TENSOR_ORDER", "1"),
        ("REPRESENTATION_1", f"{column.axes[0]}_label"),
    )


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
