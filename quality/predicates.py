# SPDX-License-Identifier: Apache-2.0
"""Which rows a rule is about, as expressions that are true for them: what metrics count and `check --rows` lists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce

import polars as pl

from lake.clock import day_bounds
from lake.definitions import Column, Table
from lake.packet_definitions import INTEGER_BITS
from lake.watch_definitions import Color, Limit, TableRule
from quality.modes import in_mode

EPOCH = "epoch_tt2000"
FLOATS = ("float32", "float64")
COLORS: tuple[Color, ...] = ("yellow", "red")
ENDS = ("low", "high")


def is_packet_table(table: Table) -> bool:
    """True for an L0 table with one row per packet: there, sequence gaps and quarantined bytes are counted."""
    return table.level == "l0" and table.packet is not None and table.rows == "packet"


def is_numeric(column: Column) -> bool:
    """True if a column's values, or the values in its lists, are numbers."""
    return column.type in INTEGER_BITS or column.type in FLOATS


def has_epoch(table: Table) -> bool:
    """True if the table's rows are times on a UTC day."""
    return EPOCH in table.by_name and "day" in table.by_name


def limits_of(table: Table, limits: Iterable[Limit]) -> tuple[Limit, ...]:
    """The alarm limits of one table."""
    return tuple(limit for limit in limits if limit.table == table.name)


def limited_columns(table: Table, limits: Iterable[Limit]) -> list[Column]:
    """The columns of a table that have limits, in the table's order."""
    names = {limit.column for limit in limits_of(table, limits)}
    return [column for column in table.columns if column.name in names]


def flagged(table: Table, name: str) -> pl.Expr:
    """Rows with a flag; none where the instrument has no flag of that name."""
    mask = next((flag.mask for flag in table.flags if flag.name == name), 0)
    return pl.col("quality_flag") & mask != 0


def elsewhere(table: Table, day: date) -> pl.Expr:
    """Rows whose UTC day is not their table-day; those without a time are excused if flagged clock_invalid."""
    epoch, (start, stop) = pl.col(EPOCH), day_bounds(day)
    other = ((epoch < start) | (epoch >= stop)).fill_null(value=False)
    if "quality_flag" not in table.by_name:
        return other | epoch.is_null()
    return other | (epoch.is_null() & ~flagged(table, "clock_invalid"))


def numbers(column: Column, values: pl.Expr) -> pl.Expr:
    """The values that are numbers. NaN is greater than everything to polars, so it has to be set aside."""
    return values.fill_nan(None) if column.type in FLOATS else values


def outside(column: Column, values: pl.Expr, low: float, high: float) -> tuple[pl.Expr, pl.Expr]:
    """Which values lie below `low` and above `high`. Integers are compared as integers, exactly."""
    found = numbers(column, values)
    if column.type in FLOATS:
        return found < low, found > high
    return found < math.ceil(max(low, -(2.0**63))), found > min(math.floor(min(high, 2.0**63)), 2**63 - 1)


def beyond_limits(table: Table, column: Column, limits: Iterable[Limit], color: Color, end: str) -> pl.Expr:
    """Rows in which a column lies beyond that end of one of its limits of that color, in the limit's mode."""
    found = [
        outside(column, _extreme(column, end), limit.low, limit.high)[ENDS.index(end)] & in_mode(table, limit.when)
        for limit in limits_of(table, limits)
        if limit.column == column.name and limit.severity == color and math.isfinite(getattr(limit, end))
    ]
    return reduce(lambda one, other: one | other, found, pl.lit(value=False)).fill_null(value=False)


def breaks(table: Table, rule: TableRule) -> pl.Expr:
    """Rows that break a rule of their table; a null, or NaN, breaks none."""
    column = table.by_name[str(rule.column)]
    value = numbers(column, pl.col(column.name))
    if rule.rises:
        # Only rows in the mode are compared, each with the one of them before it.
        value = pl.when(in_mode(table, rule.when)).then(value)
        return (value <= value.forward_fill().shift(1)).fill_null(value=False)
    return (_breaks_value(table, rule, column, value) & in_mode(table, rule.when)).fill_null(value=False)


def _breaks_value(table: Table, rule: TableRule, column: Column, value: pl.Expr) -> pl.Expr:
    if rule.at_most is not None:
        return value > numbers(table.by_name[rule.at_most], pl.col(rule.at_most))
    if rule.at_least is not None:
        return value < numbers(table.by_name[rule.at_least], pl.col(rule.at_least))
    if rule.one_of:
        return ~value.is_in(_alike(column, rule.one_of))
    low, high = (-math.inf if rule.low is None else rule.low), (math.inf if rule.high is None else rule.high)
    return (
        outside(column, _extreme(column, "low"), low, high)[0] | outside(column, _extreme(column, "high"), low, high)[1]
    )


def _extreme(column: Column, end: str) -> pl.Expr:
    """The value of a row, of a list its least or its greatest one."""
    values = pl.col(column.name)
    if not column.is_list:
        return values
    return values.list.min() if end == "low" else values.list.max()


def _alike(column: Column, values: Sequence[float | str]) -> list[float | str | int]:
    """Values in the type of a column; a number that an integer column cannot hold is none of its values."""
    if column.type not in INTEGER_BITS:
        return list(values)
    return [int(value) for value in values if float(value).is_integer()]
