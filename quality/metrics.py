# SPDX-License-Identifier: Apache-2.0
"""What can be counted about a table-day: its metrics frame, from the table's definition and one pass over the rows.

Row rules become counts here (`out_of_range` and the like); rules.py says which counts are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from lake.clock import NS, day_number
from lake.definitions import Column, Limit, Table
from lake.errors import TableError
from lake.packet_definitions import INTEGER_BITS

EPOCH = "epoch_tt2000"
WHOLE_TABLE = ""
GAP_CADENCES = 3  # a step in time longer than this many cadences is a gap
CHECKSUM_REASON = "CHECKSUM"
FLOATS = ("float32", "float64")
SCHEMA = {"column_name": pl.String, "metric": pl.String, "value": pl.Float64}

Measure = tuple[str, str, pl.Expr]
Value = tuple[str, str, float | None]


def measure_day(
    table: Table,
    frame: pl.LazyFrame,
    gaps: pl.DataFrame,
    quarantine: pl.DataFrame,
    limits: tuple[Limit, ...],
) -> pl.DataFrame:
    """Metrics of one table-day: column_name ('' for the whole table), metric, value (null if not measurable).

    `frame` holds the day's rows in stored order. `gaps` and `quarantine` hold the rows of ops.gaps and ops.quarantine
    of the table's instrument and day; they count for L0 packet tables only.
    Raises TableError if the frame lacks a column of the table.
    """
    _check_columns(table, frame)
    measures = [*_table_measures(table), *_column_measures(table), *_alarm_measures(table, limits)]
    expressions = {str(i): measure.cast(pl.Float64).alias(str(i)) for i, (_, _, measure) in enumerate(measures)}
    row: dict[str, Any] = {}
    # Column by column, so that the cells of a day's arrays stream by: beside what needs all rows they would not.
    for name, numbers in _by_list_column(table, measures).items():
        columns = [name] if name else [c.name for c in table.columns if not c.is_list]
        chosen = frame.select(columns).select(expressions[number] for number in numbers)
        row |= chosen.collect(engine="streaming").row(0, named=True)
    if is_packet_table(table):
        row["apids"] = frame.select(pl.col("apid").unique()).collect(engine="streaming")["apid"].sort().to_list()
    values: list[Value] = [(column, metric, row[str(i)]) for i, (column, metric, _) in enumerate(measures)]
    if is_packet_table(table):
        values += [*_gap_values(gaps, row["apids"]), *_quarantine_values(quarantine)]
    return pl.DataFrame(values, schema=SCHEMA, orient="row").with_columns(pl.col("value").fill_nan(None))


def _by_list_column(table: Table, measures: list[Measure]) -> dict[str, list[str]]:
    """Numbers of the measures of each list column, and under '' of all others."""
    lists = {column.name for column in table.columns if column.is_list}
    groups: dict[str, list[str]] = {}
    for number, (column, _, _) in enumerate(measures):
        groups.setdefault(column if column in lists else "", []).append(str(number))
    return groups


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


def _check_columns(table: Table, frame: pl.LazyFrame) -> None:
    missing = sorted(set(table.by_name) - set(frame.collect_schema().names()))
    if missing:
        raise TableError(f"{table.address}: the rows to check lack {', '.join(missing)}. Rebuild the table.")


def _table_measures(table: Table) -> Iterator[Measure]:
    yield WHOLE_TABLE, "rows", pl.len()
    yield from _duplicate_measures(table)
    if has_epoch(table):
        yield EPOCH, "day_mismatch", _day_mismatch(table).sum()
        yield from _order_measures(table)
        yield from _cadence_measures(table)
    if "quality_flag" in table.by_name:
        yield from _flag_measures(table)


def _duplicate_measures(table: Table) -> Iterator[Measure]:
    if is_packet_table(table):
        yield WHOLE_TABLE, "duplicates", _flagged(table, "retransmitted").sum()
    elif table.key:
        yield WHOLE_TABLE, "duplicates", pl.len() - pl.struct(table.key).n_unique()


def _flagged(table: Table, name: str) -> pl.Expr:
    mask = next((flag.mask for flag in table.flags if flag.name == name), 0)
    return pl.col("quality_flag") & mask != 0


def _day_mismatch(table: Table) -> pl.Expr:
    """True for a row whose UTC day is not its table-day; rows without a time are excused if flagged clock_invalid."""
    epoch = pl.col(EPOCH)
    days = epoch.fill_null(0).map_batches(_utc_day, return_dtype=pl.Int32, is_elementwise=True)
    elsewhere = epoch.is_not_null() & (days != pl.col("day").to_physical())
    if "quality_flag" not in table.by_name:
        return elsewhere | epoch.is_null()
    return elsewhere | (epoch.is_null() & ~_flagged(table, "clock_invalid"))


def _utc_day(epoch: pl.Series) -> pl.Series:
    return pl.Series(epoch.name, day_number(epoch.to_numpy()), dtype=pl.Int32)


def _order_measures(table: Table) -> Iterator[Measure]:
    if table.order != "none":
        steps = pl.col(EPOCH).drop_nulls().diff()
        yield EPOCH, "backward_steps", (steps < 0).sum()
        if table.order == "strict":
            yield EPOCH, "repeated_times", (steps == 0).sum()


def _cadence_measures(table: Table) -> Iterator[Measure]:
    """Spacing of the rows in time order, in seconds; null for fewer than two rows."""
    if table.cadence_seconds is None:
        return
    steps = pl.col(EPOCH).drop_nulls().sort().diff().drop_nulls()
    long = steps.filter(steps > round(GAP_CADENCES * table.cadence_seconds * NS))
    yield EPOCH, "cadence", steps.median() / NS
    yield EPOCH, "time_gaps", long.len()
    yield EPOCH, "longest_time_gap", long.max().fill_null(0) / NS


def _flag_measures(table: Table) -> Iterator[Measure]:
    yield "quality_flag", "flagged_share", (pl.col("quality_flag") != 0).mean()
    for flag in table.flags:
        flagged = _flagged(table, flag.name)
        yield "quality_flag", f"flag:{flag.name}", flagged.sum()
        yield "quality_flag", f"flag_share:{flag.name}", flagged.mean()


def _column_measures(table: Table) -> Iterator[Measure]:
    for column in table.columns:
        yield column.name, "nulls", _nulls(column)
        if column.axes:
            size = math.prod(table.shape(column))
            yield column.name, "wrong_length", (pl.col(column.name).list.len() != size).sum()
        if is_numeric(column):
            yield from _number_measures(column)


def _nulls(column: Column) -> pl.Expr:
    """Rows without a value, and for lists also the values missing inside them."""
    rows = pl.col(column.name).null_count()
    return rows + _values(column).null_count() if column.is_list else rows


def _values(column: Column) -> pl.Expr:
    """All values of a column; those of a list column one after the other, without those of rows that have no list."""
    values = pl.col(column.name)
    return values.explode(empty_as_null=False, keep_nulls=False) if column.is_list else values


def _numbers(column: Column) -> pl.Expr:
    """The values that are numbers. NaN is greater than everything to polars, so it has to be set aside."""
    values = _values(column)
    return values.fill_nan(None) if column.type in FLOATS else values


def _number_measures(column: Column) -> Iterator[Measure]:
    numbers = _numbers(column)
    if column.valid is not None:
        below, above = _outside(column, *column.valid)
        yield column.name, "out_of_range", below.sum() + above.sum()
    if column.type in FLOATS:
        yield column.name, "nans", _values(column).is_nan().sum()
    if not column.is_list and column.name != "quality_flag":
        yield column.name, "min", numbers.min()
        yield column.name, "max", numbers.max()
        # A sum of TT2000 times is beyond what a float64 tells apart, and would depend on the order of the files.
        above = numbers.cast(pl.Float64) - numbers.min()
        yield column.name, "mean", above.mean() + numbers.min()


def _outside(column: Column, low: float, high: float) -> tuple[pl.Expr, pl.Expr]:
    """Which values lie below `low` and above `high`. Integers are compared as integers, exactly."""
    numbers = _numbers(column)
    if column.type in FLOATS:
        return numbers < low, numbers > high
    return numbers < math.ceil(max(low, -(2.0**63))), numbers > min(math.floor(min(high, 2.0**63)), 2**63 - 1)


def _alarm_measures(table: Table, limits: tuple[Limit, ...]) -> Iterator[Measure]:
    for limit in limits_of(table, limits):
        below, above = _outside(table.by_name[limit.column], limit.low, limit.high)
        yield limit.column, "alarm_low", below.sum()
        yield limit.column, "alarm_high", above.sum()


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
