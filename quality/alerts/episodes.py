# SPDX-License-Identifier: Apache-2.0
"""Rows of ops.anomalies to episodes: something is wrong, from when to when, whatever rules say so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date
from typing import Any

import polars as pl

from lake.definitions import Table
from lake.watch_definitions import Color
from quality.alerts.nouns import Episode
from quality.alerts.outages import instrument_of, with_outages
from quality.alerts.stretches import Row, Stretch, stretches, with_common_cause

LISTED = 12  # channels in a message; who wants all of them asks ops.anomalies
SEVERAL = " several"  # ends the subject of an episode of several channels
OUTAGE = " outage"  # ends that of several tables of an instrument
COLORS: tuple[Color, ...] = ("yellow", "red")


def anomaly_rows(anomalies: pl.DataFrame, tables: Mapping[str, Table]) -> list[Row]:
    """The yellow and red rows of a frame with the columns of ops.anomalies, of these tables."""
    asked = anomalies.filter(pl.col("severity").is_in(COLORS), pl.col("table_name").is_in(list(tables)))
    return [_row(found) for found in asked.iter_rows(named=True)]


def _row(found: Mapping[str, Any]) -> Row:
    return Row(
        table=found["table_name"],
        day=found["day"],
        column=found["column_name"],
        rule=found["rule"],
        severity=found["severity"],
        start=found["start_time"].astimezone(UTC),
        end=found["end_time"].astimezone(UTC),
        ended=found["ended"],
        value=_finite(found["value"]),
        baseline=_finite(found["baseline"]),
        score=_finite(found["score"]),
        detail=found["detail"],
        plot=found["plot"],
    )


def _finite(value: float | None) -> float | None:
    """A number as the journal can hold it; nothing for what is none."""
    return value if value is not None and math.isfinite(value) else None


def episodes_of(rows: Iterable[Row], tables: Mapping[str, Table], watched: Mapping[str, date]) -> list[Episode]:
    """The episodes that anomalies make up, in order of subject and time.

    `tables` are those that the rows are of, by address; `watched` has the last watched day of each.
    """
    alone, together = with_common_cause(stretches(rows, tables, watched), tables)
    alone, outages = with_outages(alone, tables)
    found = [_episode(stretch, tables) for stretch in alone]
    found += [_several(stretch, tables) for stretch in together]
    found += [_outage(stretch, tables) for stretch in outages]
    return sorted(found, key=lambda episode: (episode.subject, episode.start))


def _episode(stretch: Stretch, tables: Mapping[str, Table]) -> Episode:
    """The episode of one channel, or of the table itself."""
    worst, *others = stretch.worst_first
    rules = _distinct(row.rule for row in stretch.worst_first)
    subject = f"{worst.table}.{worst.column}" if worst.column else worst.table
    more = f"; also {', '.join(rules[1:])}" if others and rules[1:] else ""
    return _told(stretch, tables, subject, worst.column, worst.detail + more)


def _several(stretch: Stretch, tables: Mapping[str, Table]) -> Episode:
    """The episode of a table of which several channels began together."""
    worst, columns = stretch.worst_first[0], stretch.columns
    more = f" and {len(columns) - LISTED} more" if len(columns) > LISTED else ""
    message = f"{len(columns)} channels at once ({', '.join(columns[:LISTED])}{more}); {worst.column}: {worst.detail}"
    parts = tuple(f"{worst.table}.{column}" for column in columns)
    return _told(stretch, tables, f"{worst.table}{SEVERAL}", "", message, parts)


def _outage(stretch: Stretch, tables: Mapping[str, Table]) -> Episode:
    """The episode of an instrument of which several tables fell silent together."""
    worst, names = stretch.worst_first[0], sorted({row.table for row in stretch.rows})
    message = f"{len(names)} tables at once ({', '.join(names)}); {worst.table}: {worst.detail}"
    return _told(stretch, tables, f"{'.'.join(instrument_of(stretch, tables))}{OUTAGE}", "", message, tuple(names))


def _told(
    stretch: Stretch,
    tables: Mapping[str, Table],
    subject: str,
    column: str,
    message: str,
    parts: tuple[str, ...] = (),
) -> Episode:
    worst = stretch.worst_first[0]
    table = tables[worst.table]
    return Episode(
        subject=subject,
        mission=table.mission,
        instrument=table.instrument,
        table=worst.table,
        column=column,
        rules=_distinct(row.rule for row in stretch.worst_first),
        severity="red" if worst.severity == "red" else "yellow",
        start=stretch.start,
        end=stretch.end,
        ended=stretch.ended,
        value=worst.value,
        baseline=worst.baseline,
        message=message,
        plot=worst.plot,
        parts=parts,
    )


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
