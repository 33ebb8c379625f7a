# SPDX-License-Identifier: Apache-2.0
"""Channels over any span: by envelopes as coarse as the eye needs them, or row by row.

What is given is always right: a day whose envelope is not that of its files now, or that was too short to need one, is
read from its rows, within the limits of the answers. A bucket without rows does not exist, so that a gap is a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa

from lake.answers import Answers
from lake.definitions import Table
from monitor.envelopes.asking import Asked, asked
from monitor.envelopes.buckets import SCALE, Floats, Integers, runs
from monitor.envelopes.channels import Viewed, viewed_of
from monitor.envelopes.layout import COARSE, EPOCH, FINE, US, WIDTHS, Level, day_of, fine_key
from monitor.envelopes.state import State, read_file, state_of, width_us

HOUR_US, MINUTE_US = WIDTHS["hour"] * US, WIDTHS["minute"] * US
LONGEST_COUNTED_US = 2 * 86_400 * US
RAW_ROWS = 100_000  # more a browser cannot draw at once, and nobody sees
# Buckets of a level are up to 24 times as long as those of the finer one: three times as many as asked for look better
# than a tenth of them.
MOST_BUCKETS = 3
WORDS = ("low", "high", "mean")


@dataclass(frozen=True)
class Series:
    """A channel over a span, in the order of time.

    level, width_s : how it is given, and how long a bucket is in seconds; raw and 0 for rows
    time : start of each bucket, or time of each row, in microseconds since 1970 UTC
    low, high, mean : of the values in it; all three are the value of a row; NaN where there is none
    count : how many rows each bucket has, with a value or without
    """

    level: Level
    width_s: int
    time: Integers
    low: Floats
    high: Floats
    mean: Floats
    count: Integers


def series(
    answers: Answers, viewed: Viewed, start_us: int, stop_us: int, points: int, seconds: float | None = None
) -> Series:
    """A channel from `start_us` to before `stop_us`, in about as many buckets as `points`, or in rows.

    The finest level of not more than three times as many buckets is taken. Rows are given if there are no more of them
    than points, or up to 100,000 of them if the span is at most an hour, or minutes would be fewer than half of the
    points, or there are no envelopes since they would have nearly as many buckets. A bucket is given whole if any of it
    is within the span, so the first and the last one may have values and rows from beyond its ends. Numbers are
    float64: of integers beyond 2^53 the nearest one. All of it may take `seconds`, or as long as one question may.

    Raises LimitError, QueryError.
    """
    lake = asked(answers, seconds)
    state, level = state_of(lake, viewed.table), _finest(stop_us - start_us, points)
    if stop_us <= start_us or not state.days(start_us, stop_us):
        return _nothing(level)
    if _shows_rows(lake, state, viewed.table, (start_us, stop_us), points):
        return _rows(lake, viewed, start_us, stop_us)
    found = _gathered(lake, state, viewed.table, [viewed], level, (start_us, stop_us))
    time, count, low, high, mean = (found[name].to_numpy() for name in found.column_names)
    return Series(level, WIDTHS[level], time, low, high, mean, count)


def level_rows(answers: Answers, table: Table, level: Level, start_us: int, stop_us: int) -> pl.DataFrame:
    """All channels of a table at a level but raw: time, count, and low, high and mean as `<name>.low` of each.

    Half-open as in `series`; null where a channel has no value. The limits are those of each question.
    """
    channels, lake = viewed_of(answers.lake.definitions, table), Asked(answers)
    found = _gathered(lake, state_of(lake, table), table, channels, level, (start_us, stop_us))
    rows = pl.DataFrame(found)
    time = pl.col("time").cast(pl.Datetime("us", "UTC"))
    return rows.with_columns(time, pl.selectors.float().fill_nan(None))


def span(answers: Answers, table: Table) -> tuple[int, int] | None:
    """Times of the first and the last row of a table in microseconds since 1970 UTC; None if it has none."""
    lake = Asked(answers)
    state = state_of(lake, table)
    ends = (_ends(lake, state, table, days) for days in (list(state.marks), list(reversed(state.marks))))
    first, last = ends
    return None if first is None or last is None else (first[0], last[1])


def _ends(answers: Asked, state: State, table: Table, days: list[date]) -> tuple[int, int] | None:
    """Times of the first and the last row of the first of these days that has rows."""
    for day in days:
        held = state.held.get(day)
        if held is not None and held.rows:
            return held.first_us, held.last_us
        if held is None:
            sql = f"SELECT epoch_us(min(time)) AS first, epoch_us(max(time)) AS last FROM {_view(table)} WHERE day = ?"  # noqa: S608  a checked name
            (found,) = answers.ask(sql, [day]).to_pylist()
            if found["first"] is not None:
                return found["first"], found["last"]
    return None


# ---- which level ---------------------------------------------------------------------------------------------------
def _finest(span_us: int, points: int) -> Level:
    """The finest level that fits the points about, or the coarsest."""
    fitting = (level for level in (*FINE, *COARSE) if span_us <= MOST_BUCKETS * points * width_us(level))
    return next(fitting, "day")


def _shows_rows(answers: Asked, state: State, table: Table, within: tuple[int, int], points: int) -> bool:
    span_us = within[1] - within[0]
    closely = span_us <= HOUR_US or span_us < MINUTE_US * points / 2 or _has_none(state, within, points)
    most = RAW_ROWS if closely else min(points, RAW_ROWS)
    least, known = _counted(state, *within)
    if least > most or (known is None and span_us > LONGEST_COUNTED_US):
        return False
    return (_count(answers, table, *within) if known is None or known > most else known) <= most


def _has_none(state: State, within: tuple[int, int], points: int) -> bool:
    """True if no day of the span has an envelope of its own at the level that would be taken."""
    level, held = _finest(within[1] - within[0], points), [state.held.get(day) for day in state.days(*within)]
    return level in FINE and not any(one is None or level in one.levels for one in held)


def _counted(state: State, start_us: int, stop_us: int) -> tuple[int, int | None]:
    """At least and at most how many rows are within a span, by the hours; None if that is not known of some day."""
    if not state.coarse:
        return 0, None
    hours, rows = (np.concatenate([getattr(year, name) for year in state.coarse]) for name in ("hours", "rows"))
    of_held = np.isin(hours // width_us("day"), state.held_days)
    inside = of_held & (hours >= start_us) & (hours + HOUR_US <= stop_us)
    about = of_held & (hours + HOUR_US > start_us) & (hours < stop_us)
    whole = all(day in state.held for day in state.days(start_us, stop_us))
    return int(rows[inside].sum()), int(rows[about].sum()) if whole else None


def _count(answers: Asked, table: Table, start_us: int, stop_us: int) -> int:
    sql = f"SELECT count(*) AS rows FROM {_view(table)} {_WITHIN}"  # noqa: S608  a checked name
    return int(answers.ask(sql, _within(start_us, stop_us))["rows"][0].as_py())


# ---- from rows -----------------------------------------------------------------------------------------------------
_WITHIN = "WHERE day >= ? AND day <= ? AND time >= ? AND time < ?"


def _within(start_us: int, stop_us: int) -> list[object]:
    """The values of _WITHIN. The day is asked for too: it is what files are left out by."""
    first, last = (day_of(us // width_us("day")) for us in (start_us, stop_us - 1))
    return [first, last, _moment(start_us), _moment(stop_us)]


def _moment(us: int) -> datetime:
    return datetime(EPOCH.year, EPOCH.month, EPOCH.day, tzinfo=UTC) + timedelta(microseconds=us)


def _view(table: Table) -> str:
    return f'"{table.mission}"."{table.name}"'


# As buckets have it: of values that are small enough that their sum is a float, and never outside of the extremes.
_MEAN = f"least(max({{v}}), greatest(min({{v}}), avg({{v}} * {SCALE!r}) / {SCALE!r}))"


def _value(channel: Viewed) -> str:
    """A channel in SQL as envelopes have it: a float64, null if it is no finite number."""
    place = "" if channel.place is None else f"[{channel.place + 1}]"
    number = f'CAST("{channel.column.name}"{place} AS DOUBLE)'
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _rows(answers: Asked, viewed: Viewed, start_us: int, stop_us: int) -> Series:
    sql = f"SELECT epoch_us(time) AS t, {_value(viewed)} AS v FROM {_view(viewed.table)} {_WITHIN} ORDER BY time"  # noqa: S608  checked names
    found = answers.ask(sql, _within(start_us, stop_us))
    value: Floats = found["v"].to_numpy()
    return Series("raw", 0, found["t"].to_numpy(), value, value, value, np.ones(len(value), np.int64))


def _from_rows(
    answers: Asked, table: Table, channels: Sequence[Viewed], level: Level, within: tuple[int, int]
) -> pa.Table:
    """Buckets made of rows by the database."""
    inner = ", ".join(f"{_value(channel)} AS v{i}" for i, channel in enumerate(channels))
    outer = ", ".join(f"min(v{i}), max(v{i}), {_MEAN.format(v=f'v{i}')}" for i in range(len(channels)))
    sql = (
        f"SELECT t - t % {width_us(level)} AS bucket, count(*), {outer} "  # noqa: S608  checked names
        f"FROM (SELECT epoch_us(time) AS t, {inner} FROM {_view(table)} {_WITHIN}) GROUP BY bucket ORDER BY bucket"
    )
    return answers.ask(sql, _within(*within)).rename_columns(_columns(channels))


# ---- from envelopes ------------------------------------------------------------------------------------------------
def _columns(channels: Sequence[Viewed]) -> list[str]:
    return ["time", "count", *(f"{channel.name}.{word}" for channel in channels for word in WORDS)]


def _nothing(level: Level) -> Series:
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    return Series(level, WIDTHS[level], none, nothing, nothing, nothing, none)


def _gathered(
    answers: Asked,
    state: State,
    table: Table,
    channels: Sequence[Viewed],
    level: Level,
    within: tuple[int, int],
) -> pa.Table:
    """Buckets of channels at a level, from envelopes and, of the days that have none, from rows."""
    width = width_us(level)
    start, stop = within[0] // width * width, -(-within[1] // width) * width
    columns, days = _columns(channels), state.days(start, stop)
    read = _from_coarse if level in COARSE else _from_fine
    parts, done = read(answers, state, table, columns, level, days)
    left = [(day - EPOCH).days for day in days if day not in done]
    for first, last in runs(left):
        about = max(start, first * width_us("day")), min(stop, (last + 1) * width_us("day"))
        parts.append(_from_rows(answers, table, channels, level, about))
    return _between(parts, columns, start, stop)


def _between(parts: list[pa.Table], columns: list[str], start: int, stop: int) -> pa.Table:
    """The buckets of all parts within a span, in the order of time."""
    empty = pa.table({name: pa.array([], pa.int64() if name in columns[:2] else pa.float64()) for name in columns})
    joined = pa.concat_tables([empty, *(part.cast(empty.schema) for part in parts)])
    time = joined["time"].to_numpy()
    kept = joined.filter(pa.array((time >= start) & (time < stop)))
    return kept if len(parts) < 2 else kept.sort_by("time")


Found = tuple[list[pa.Table], set[date]]


def _from_coarse(
    answers: Asked, state: State, table: Table, columns: list[str], level: Level, days: list[date]
) -> Found:
    """Buckets of the days that the files of years are right about."""
    del table
    parts: list[pa.Table] = []
    done: set[date] = set()
    for year in state.coarse:
        own = {day for day in days if day in year.index and day in state.held}
        rows = _read(answers, year.key, COARSE, level, columns) if own else None
        if rows is not None:
            wanted = np.array([(day - EPOCH).days for day in own], np.int64)
            parts.append(rows.filter(pa.array(np.isin(rows["time"].to_numpy() // width_us("day"), wanted))))
            done |= own
    return parts, done


def _read(answers: Asked, key: str, levels: tuple[Level, ...], level: Level, columns: list[str]) -> pa.Table | None:
    """A file of envelopes, if there is time for it. Raises TimeLimitError."""
    answers.seconds()
    return read_file(answers.lake, key, levels, level, columns)


def _from_fine(answers: Asked, state: State, table: Table, columns: list[str], level: Level, days: list[date]) -> Found:
    """Buckets of the days that have the level."""
    parts: list[pa.Table] = []
    done: set[date] = set()
    for day in days:
        held = state.held.get(day)
        if held is None or (held.rows and level not in held.levels):
            continue
        rows = _read(answers, fine_key(table, day, held.mark), held.levels, level, columns) if held.rows else None
        if rows is not None:
            parts.append(rows)
        if rows is not None or not held.rows:
            done.add(day)
    return parts, done
