# SPDX-License-Identifier: Apache-2.0
"""What a day of a watched table is expected to hold: planned times without data, and how many rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from lake.clock import NS, day_bounds, tt2000_from_unix_ns
from lake.definitions import Table
from lake.watch_definitions import DAY_SECONDS, Off

LEAST_EXPECTED = 0.5  # rows; of fewer none can be said to be missing

Span = tuple[int, int]  # from and to TT2000 [ns], the end not included


@dataclass(frozen=True)
class Place:
    """Whether a day is the first or the last one that a table has so far: those need not be whole."""

    first: bool = False
    last: bool = False


def off_spans(table: Table, day: date) -> tuple[Span, ...]:
    """The planned times without data that lie on a day, in order, none overlapping another."""
    start, stop = day_bounds(day)
    spans = [_tt2000(off) for off in (table.watch.off if table.watch else ())]
    merged: list[Span] = []
    for begin, end in sorted(
        (max(begin, start), min(end, stop)) for begin, end in spans if begin < stop and end > start
    ):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return tuple(merged)


def off_around(table: Table, day: date) -> tuple[Off, ...]:
    """The planned times that may concern a day, as they are written: what its verdicts depend on."""
    days = (day - timedelta(days=1), day + timedelta(days=1))
    return tuple(
        off
        for off in (table.watch.off if table.watch else ())
        if off.start.date() <= days[1] and off.stop.date() >= days[0]
    )


def _tt2000(off: Off) -> Span:
    begin, end = (round(time.timestamp() * 1_000_000) * 1000 for time in (off.start, off.stop))
    return int(tt2000_from_unix_ns(begin)), int(tt2000_from_unix_ns(end))


def rows_per_day(table: Table) -> float | None:
    """Rows of a whole day; None if neither the watch nor the cadence tells."""
    if table.watch is not None and table.watch.rows_per_day is not None:
        return table.watch.rows_per_day
    return DAY_SECONDS / table.cadence_seconds if table.cadence_seconds else None


def expected_rows(table: Table, day: date, place: Place, first: int | None, last: int | None) -> float | None:
    """Rows that a day should have; None if that is not known, or none is expected.

    It is that of a whole day, less what is planned to be off. Of the first day of data only the time from its first
    row on counts, of the last day that up to its last row (both TT2000 [ns]) and one spacing of rows.
    """
    whole = rows_per_day(table)
    if whole is None:
        return None
    start, stop = day_bounds(day)
    spacing = round(DAY_SECONDS / whole * NS)
    begin = max(start, first) if place.first and first is not None else start
    end = min(stop, last + spacing) if place.last and last is not None else stop
    planned = sum(max(0, min(end, off_end) - max(begin, off_start)) for off_start, off_end in off_spans(table, day))
    expected = whole * (end - begin - planned) / (DAY_SECONDS * NS)
    return expected if expected >= LEAST_EXPECTED else None
