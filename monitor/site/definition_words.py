# SPDX-License-Identifier: Apache-2.0
"""What definitions say, as rows and words: columns, axes, flags, limits, watched channels, lineage."""

from __future__ import annotations

import math
from collections import defaultdict

from lake.definitions import Axis, Column, Definitions, Instrument, Table
from monitor.site import places
from monitor.site.sections import Cell, amount, link, mark

NO_UPPER_END = 2.0**62  # a column that counts without end has a limit of its type only
COLUMNS = ("column", "what it is", "unit", "type", "valid")
LIMITS = ("table", "column", "severity", "low", "high", "when", "lasting", "source")


def column_row(table: Table, column: Column, to: str = "") -> tuple[Cell, ...]:
    """Name, description, unit, type with axes and valid range of a column."""
    return (link(column.name, to), words(column), column.unit or "-", type_of(table, column), valid(column.valid))


def type_of(table: Table, column: Column) -> str:
    """The type, with the name and size of each axis of an array."""
    sizes = "".join(f"[{name} {size}]" for name, size in zip(column.axes, table.shape(column), strict=True))
    return column.type + (sizes or ("[]" if column.ragged else ""))


def words(column: Column) -> str:
    """The description, how the values were converted, and whether they may lack."""
    converted = f"; {column.conversion} of {column.source}" if column.conversion else ""
    return f"{column.description}{converted}{'; may be null' if column.nullable else ''}"


def valid(limits: tuple[float, float] | None) -> str:
    """A valid range in words; a dash if any value of the type may be there."""
    if limits is None:
        return "-"
    low, high = limits
    return f"{low:.12g} or more" if high >= NO_UPPER_END else f"{low:.12g} to {high:.12g}"


def axis_row(axis: Axis) -> tuple[Cell, ...]:
    """Name, size, unit, values and description of an axis."""
    return (axis.name, amount(str(axis.size)), axis.unit or "-", _values(axis), axis.description)


def _values(axis: Axis) -> str:
    if axis.labels:
        return ", ".join(axis.labels)
    if axis.calibration:
        return f"column {axis.column} of calibration {axis.calibration}"
    return f"{axis.values[0]:g} to {axis.values[-1]:g}"


def flag_rows(table: Table) -> list[tuple[Cell, ...]]:
    """Bit, value, name and meaning of the flags of a table."""
    return [(amount(str(flag.bit)), amount(str(flag.mask)), flag.name, flag.description) for flag in table.flags]


def limit_rows(instrument: Instrument, table: str = "") -> list[tuple[Cell, ...]]:
    """The limits of an instrument, or of one of its tables."""
    return [
        (
            limit.table,
            limit.column,
            mark(limit.severity, limit.severity),
            amount(end(limit.low)),
            amount(end(limit.high)),
            limit.when.text if limit.when else "always",
            f"{limit.samples} rows" + (f", {limit.seconds:g} s" if limit.seconds else ""),
            limit.source,
        )
        for limit in instrument.limits
        if not table or limit.table == table
    ]


def end(value: float) -> str:
    """One end of a range; a dash where it is open."""
    return "-" if math.isinf(value) or math.isnan(value) else f"{value:.12g}"


def dependents(definitions: Definitions) -> dict[str, list[str]]:
    """The tables that are made from each table."""
    found = defaultdict[str, list[str]](list)
    for table in definitions.tables.values():
        for name in dict.fromkeys(table.inputs.values()):
            found[f"{table.mission}.{name}"].append(table.address)
    return found


def status_of(instrument: Instrument) -> Cell:
    """Whether an instrument flies, is on the ground, or is assumed."""
    return mark(instrument.status, instrument.status)


def table_link(address: str) -> Cell:
    """An address that leads to its table's page."""
    return link(address, places.table(address))
