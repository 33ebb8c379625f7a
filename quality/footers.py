# SPDX-License-Identifier: Apache-2.0
"""What the footers of a table-day's Parquet files tell of its columns, so that it need not be counted from the rows.

The one writer of tables writes a row group and its statistics together; `swxlake fsck` finds a file that was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from lake.clock import day_bounds
from lake.definitions import Column, Table
from lake.packet_definitions import INTEGER_BITS
from lake.reading import data_files, open_parquet, open_table
from lake.store import Lake
from quality.predicates import EPOCH


@dataclass(frozen=True)
class Told:
    """Nulls of a column, and its least and greatest integer; None where there is none, or none is told."""

    nulls: int
    low: int | None = None
    high: int | None = None


def stored_metrics(lake: Lake, table: Table, day: date) -> dict[tuple[str, str], float | None]:
    """Metrics of columns that the footers tell, by column and name: nulls, and of integers min, max and out_of_range.

    Of times also that none is of another day.

    A column of lists, or one that a file does not tell of, is left out. A column with values out of range, too: how
    many they are, only the rows tell.
    """
    delta = open_table(lake, table)
    files = data_files(delta, [day]) if delta is not None else []
    columns = {column.name: column for column in table.columns if not column.is_list}
    told: dict[str, Told] = {}
    for number, group in enumerate(_groups(lake, files)):
        own = dict(_told(group, columns))
        told = {
            name: _joined(told[name], it) if number else it for name, it in own.items() if not number or name in told
        }
    found = {(name, metric): value for name, it in told.items() for metric, value in _metrics(columns[name], it)}
    start, stop = day_bounds(day)
    if EPOCH in told and not told[EPOCH].nulls and _within(told[EPOCH], start, stop - 1):
        found[EPOCH, "day_mismatch"] = 0.0
    return found


def _groups(lake: Lake, files: Iterable[str]) -> Iterator[Any]:
    for uri in files:
        metadata = open_parquet(lake, uri).metadata
        yield from (metadata.row_group(place) for place in range(metadata.num_row_groups))


def _told(group: Any, columns: dict[str, Column]) -> Iterator[tuple[str, Told]]:
    """What a row group tells of each column."""
    for place in range(group.num_columns):
        chunk = group.column(place)
        column, statistics = columns.get(chunk.path_in_schema), chunk.statistics
        if column is None or statistics is None or not statistics.has_null_count:
            continue
        if column.type not in INTEGER_BITS or statistics.null_count == group.num_rows:
            yield column.name, Told(statistics.null_count)
        elif statistics.has_min_max:
            yield column.name, Told(statistics.null_count, statistics.min, statistics.max)


def _joined(one: Told, other: Told) -> Told:
    lows, highs = [[n for n in pair if n is not None] for pair in ((one.low, other.low), (one.high, other.high))]
    return Told(one.nulls + other.nulls, min(lows, default=None), max(highs, default=None))


def _metrics(column: Column, told: Told) -> Iterator[tuple[str, float | None]]:
    yield "nulls", told.nulls
    if column.type in INTEGER_BITS:
        yield "min", told.low
        yield "max", told.high
        if column.valid is not None and _within(told, *column.valid):
            yield "out_of_range", 0.0


def _within(told: Told, low: float, high: float) -> bool:
    return told.low is None or told.high is None or (told.low >= low and told.high <= high)
