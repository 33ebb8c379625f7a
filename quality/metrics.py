# SPDX-License-Identifier: Apache-2.0
"""What can be counted about a table-day: its metrics frame, from the table's definition and one pass over the rows.

Row rules become counts here (`out_of_range` and the like); rules.py says which counts are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import reduce
from types import MappingProxyType
from typing import Any

import polars as pl

from lake.clock import NS
from lake.definitions import Column, Table
from lake.errors import TableError
from lake.packet_definitions import INTEGER_BITS
from lake.watch_definitions import Limit
from quality.predicates import (
    COLORS,
    ENDS,
    EPOCH,
    FLOATS,
    beyond_limits,
    breaks,
    elsewhere,
    flagged,
    has_epoch,
    is_numeric,
    is_packet_table,
    limited_columns,
    numbers,
    outside,
)

WHOLE_TABLE = ""
GAP_CADENCES = 3  # a step in time longer than this many cadences is a gap
MANY_ROWS = 1_000_000  # of which a column is cheaper to measure alone than beside others, and takes less memory
CHECKSUM_REASON = "CHECKSUM"
EXACT_BITS = 16  # a sum of 2^37 integers of this size is exact as a float64
SUMMABLE_BITS = 32  # a sum of 2^31 integers of this size is exact in 64 bits
SHARE = "flag_share:"
SCHEMA = {"column_name": pl.String, "metric": pl.String, "value": pl.Float64}

NONE_KNOWN: Mapping[tuple[str, str], float | None] = MappingProxyType({})

Measure = tuple[str, str, pl.Expr]
Value = tuple[str, str, float | None]


def measure_day(
    table: Table,
    frame: pl.LazyFrame,
    gaps: pl.DataFrame,
    quarantine: pl.DataFrame,
    limits: tuple[Limit, ...],
    off: Sequence[tuple[int, int]] = (),
    known: Mapping[tuple[str, str], float | None] = NONE_KNOWN,
) -> pl.DataFrame:
    """Metrics of one table-day: column_name ('' for the whole table), metric, value (null if not measurable).

    `frame` holds the day's rows in stored order. `gaps` and `quarantine` hold the rows of ops.gaps and ops.quarantine
    of the table's instrument and day; they count for L0 packet tables only. `off` are planned times without data, from
    and to TT2000 [ns]. `known` are values that need not be measured, by column and metric.
    Raises TableError if the frame lacks a column of the table.
    """
    _check_columns(table, frame)
    measures = [
        *_table_measures(table, _day(table, frame), off),
        *_set_flags(table, frame),
        *_column_measures(table),
        *_limit_measures(table, limits),
        *_rule_measures(table),
    ]
    values: list[Value] = [
        (column, name, known[column, name]) for column, name, _ in measures if (column, name) in known
    ]
    measures = [measure for measure in measures if measure[:2] not in known]
    found = _collect(table, frame, measures)
    values += [(column, name, value) for (column, name, _), value in zip(measures, found, strict=True)]
    values += _unset_flags(table, values)
    values += _shares(values)
    if is_packet_table(table):
        apids = frame.select(pl.col("apid").unique()).collect(engine="streaming")["apid"].sort().to_list()
        values += [*_gap_values(gaps, apids), *_quarantine_values(quarantine)]
    return pl.DataFrame(values, schema=SCHEMA, orient="row").with_columns(pl.col("value").fill_nan(None))


def _collect(table: Table, frame: pl.LazyFrame, measures: list[Measure]) -> list[float | None]:
    """The value of each measure."""
    expressions = {str(i): measure.cast(pl.Float64).alias(str(i)) for i, (_, _, measure) in enumerate(measures)}
    alone = {column.name for column in table.columns if column.is_list}
    if frame.select(pl.len()).collect(engine="streaming").item() > MANY_ROWS:
        alone = set(table.by_name)
    row: dict[str, Any] = {}
    # Column by column, so that the cells of a day's arrays stream by: beside what needs all rows they would not.
    for numbered in _by_column(measures, alone).values():
        row |= frame.select(expressions[number] for number in numbered).collect(engine="streaming").row(0, named=True)
    return [row[number] for number in expressions]


def _by_column(measures: list[Measure], alone: set[str]) -> dict[str, list[str]]:
    """Numbers of the measures of each column that is measured alone, and under '' of all others."""
    groups: dict[str, list[str]] = {}
    for number, (column, _, _) in enumerate(measures):
        groups.setdefault(column if column in alone else "", []).append(str(number))
    return groups


def _check_columns(table: Table, frame: pl.LazyFrame) -> None:
    missing = sorted(set(table.by_name) - set(frame.collect_schema().names()))
    if missing:
        raise TableError(f"{table.address}: the rows to check lack {', '.join(missing)}. Rebuild the table.")


def _day(table: Table, frame: pl.LazyFrame) -> date | None:
    """The table-day that the rows lie on; None for a table without days, or no rows."""
    if not has_epoch(table):
        return None
    days = frame.select("day").head(1).collect(engine="streaming")["day"]
    return days[0] if len(days) else None


def _table_measures(table: Table, day: date | None, off: Sequence[tuple[int, int]]) -> Iterator[Measure]:
    yield WHOLE_TABLE, "rows", pl.len()
    yield from _duplicate_measures(table)
    if has_epoch(table):
        yield EPOCH, "day_mismatch", elsewhere(table, day).sum() if day else pl.lit(0)
        yield from _order_measures(table)
        yield from _cadence_measures(table, off)
    if "quality_flag" in table.by_name:
        yield "quality_flag", "flagged_share", (pl.col("quality_flag") != 0).mean()


def _duplicate_measures(table: Table) -> Iterator[Measure]:
    if is_packet_table(table):
        yield WHOLE_TABLE, "duplicates", flagged(table, "retransmitted").sum()
    elif table.key:
        yield WHOLE_TABLE, "duplicates", pl.len() - pl.struct(table.key).n_unique()


def _order_measures(table: Table) -> Iterator[Measure]:
    if table.order != "none":
        steps = pl.col(EPOCH).drop_nulls().diff()
        yield EPOCH, "backward_steps", (steps < 0).sum()
        if table.order == "strict":
            yield EPOCH, "repeated_times", (steps == 0).sum()


def _cadence_measures(table: Table, off: Sequence[tuple[int, int]]) -> Iterator[Measure]:
    """Spacing of the rows in time order, in seconds; null for fewer than two rows."""
    if table.cadence_seconds is None:
        return
    times = pl.col(EPOCH).drop_nulls().sort()
    steps = times.diff().drop_nulls()
    missed = (times.diff() - _time_off(times, off)).drop_nulls() if off else steps
    long = missed.filter(missed > round(GAP_CADENCES * table.cadence_seconds * NS))
    yield EPOCH, "cadence", steps.median() / NS
    yield EPOCH, "time_gaps", long.len()
    yield EPOCH, "longest_time_gap", long.max().fill_null(0) / NS


def _time_off(times: pl.Expr, off: Sequence[tuple[int, int]]) -> pl.Expr:
    """How much of the step to each time was planned to have no data, in nanoseconds."""
    before = times.shift(1)
    overlaps = [
        (pl.min_horizontal(times, pl.lit(stop)) - pl.max_horizontal(before, pl.lit(start))).clip(lower_bound=0)
        for start, stop in off
    ]
    return reduce(lambda one, other: one + other, overlaps)


def _set_flags(table: Table, frame: pl.LazyFrame) -> Iterator[Measure]:
    """A count for each flag that any row has: most flags are seldom set, and one pass tells which are not at all."""
    if "quality_flag" not in table.by_name:
        return
    any_row = frame.select(pl.col("quality_flag").bitwise_or()).collect(engine="streaming").item() or 0
    for flag in table.flags:
        if any_row & flag.mask:
            yield "quality_flag", f"flag:{flag.name}", flagged(table, flag.name).sum()


def _unset_flags(table: Table, values: list[Value]) -> list[Value]:
    counted = {metric for _, metric, _ in values}
    flags = table.flags if "quality_flag" in table.by_name else ()
    return [("quality_flag", f"flag:{f.name}", 0.0) for f in flags if f"flag:{f.name}" not in counted]


def _shares(values: list[Value]) -> Iterator[Value]:
    """The share of the rows that each flag has; null where there are no rows."""
    rows = next((value for column, metric, value in values if (column, metric) == (WHOLE_TABLE, "rows")), None)
    for column, metric, count in values:
        name = metric.removeprefix("flag:")
        if name != metric:
            yield column, f"{SHARE}{name}", count / rows if count is not None and rows else None


def _column_measures(table: Table) -> Iterator[Measure]:
    for column in table.columns:
        yield column.name, "nulls", _nulls(column)
        if column.axes:
            size = math.prod(table.shape(column))
            yield column.name, "wrong_length", (pl.col(column.name).list.len() != size).sum()
        if is_numeric(column):
            yield from _number_measures(column)
            if table.has_mean(column):
                yield column.name, "mean", _mean(column, numbers(column, _values(column)))


def _nulls(column: Column) -> pl.Expr:
    """Rows without a value, and for lists also the values missing inside them."""
    rows = pl.col(column.name).null_count()
    return rows + _values(column).null_count() if column.is_list else rows


def _values(column: Column) -> pl.Expr:
    """All values of a column; those of a list column one after the other, without those of rows that have no list."""
    values = pl.col(column.name)
    return values.explode(empty_as_null=False, keep_nulls=False) if column.is_list else values


def _number_measures(column: Column) -> Iterator[Measure]:
    found = numbers(column, _values(column))
    if column.valid is not None:
        below, above = outside(column, _values(column), *column.valid)
        yield column.name, "out_of_range", below.sum() + above.sum()
    if column.type in FLOATS:
        yield column.name, "nans", _values(column).is_nan().sum()
    if not column.is_list and column.name != "quality_flag":
        yield column.name, "min", found.min()
        yield column.name, "max", found.max()


def _mean(column: Column, found: pl.Expr) -> pl.Expr:
    if INTEGER_BITS.get(column.type, 64) <= EXACT_BITS:
        return found.mean()
    if INTEGER_BITS.get(column.type, 64) <= SUMMABLE_BITS:
        return found.cast(pl.Int64).sum().cast(pl.Float64) / found.count()
    # A sum of TT2000 times is beyond what a float64 tells apart, and would depend on the order of the files.
    above = found.cast(pl.Float64) - found.min()
    return above.mean() + found.min()


def _limit_measures(table: Table, limits: tuple[Limit, ...]) -> Iterator[Measure]:
    """Rows beyond each end of the limits of each color; all four counts for every column that has a limit."""
    for column in limited_columns(table, limits):
        for color in COLORS:
            for end in ENDS:
                yield column.name, f"{color}_{end}", beyond_limits(table, column, limits, color, end).sum()


def _rule_measures(table: Table) -> Iterator[Measure]:
    """Rows that break each rule of the table that is about rows."""
    for rule in table.rules:
        if rule.metric is None:
            yield rule.column or WHOLE_TABLE, f"rule:{rule.name}", breaks(table, rule).sum()


def _gap_values(gaps: pl.DataFrame, apids: list[int]) -> list[Value]:
    """Steps of the sequence counts that are not 1, and the packets missing there, of the APIDs in the table.

    A gap is on the day of the packet after it, so the APID of every gap of the day is among the day's rows.
    """
    own = gaps.filter(pl.col("apid").is_in(apids))
    return [
        (WHOLE_TABLE, "sequence_jumps", float(own.height)),
        (WHOLE_TABLE, "missing_packets", float(own["missing"].sum())),
    ]


def _quarantine_values(quarantine: pl.DataFrame) -> list[Value]:
    """Quarantined bytes and stretches of the whole instrument: damaged bytes seldom tell which packet they were."""
    reasons = dict(quarantine["reason"].value_counts().sort("reason").iter_rows())
    return [
        (WHOLE_TABLE, "checksum_failures", float(reasons.get(CHECKSUM_REASON, 0))),
        (WHOLE_TABLE, "quarantined_bytes", float(quarantine["bytes"].sum())),
        *((WHOLE_TABLE, f"quarantined:{reason}", float(count)) for reason, count in reasons.items()),
    ]
