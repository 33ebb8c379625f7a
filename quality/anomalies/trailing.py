# SPDX-License-Identifier: Apache-2.0
"""Reading what trailing days teach. The rows of a day are read once in a run, however many days learn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from lake.definitions import Definitions, Table
from lake.reading import scan
from lake.store import Lake
from quality.anomalies.day import Remembered, lessons_of
from quality.anomalies.lessons import Lesson
from quality.anomalies.normal import Normal, beginning
from quality.anomalies.nouns import Anomaly
from quality.anomalies.rows import Plan
from quality.anomalies.usual import HORIZON_DAYS, LEAST_DAYS, NOTHING, TRAILING_DAYS, Usual, usual_of


@dataclass
class Trailing:
    """Days of a table as they were judged: their anomalies, and their lessons as far as somebody asked."""

    lake: Lake
    plan: Plan
    anomalies: Mapping[date, Sequence[Anomaly]]
    lessons: dict[date, Mapping[str, Lesson]] = field(default_factory=dict)

    def usual(self, day: date, before: Remembered, normals: Sequence[Normal]) -> dict[str, Usual]:
        """What is usual for each channel on a day, by the days before it, the newest first."""
        found = {}
        for channel in self.plan.channels:
            since = beginning(normals, channel.column, day)
            days = [d for d, m in before[:HORIZON_DAYS] if d >= since and channel.column in m.teaching]
            enough = len(days) >= LEAST_DAYS
            taught = [self._of(d)[channel.column] for d in days[:TRAILING_DAYS]] if enough else []
            found[channel.column] = usual_of(taught) if taught else NOTHING
        return found

    def _of(self, day: date) -> Mapping[str, Lesson]:
        if day not in self.lessons:
            rows = read_rows(self.lake, self.plan, day)
            self.lessons[day] = lessons_of(self.plan, rows, self.anomalies.get(day, ()))
        return self.lessons[day]


def read_rows(lake: Lake, plan: Plan, day: date) -> pl.DataFrame:
    """The watched columns of a table-day; no rows of tables of events, which are watched by their metrics."""
    rows = scan(lake, plan.table, [day]).select(plan.columns)
    return rows.collect() if has_rows(lake.definitions, plan) else rows.clear().collect()


def has_rows(definitions: Definitions, plan: Plan) -> bool:
    """True if the rows of a table are looked at: not those of events, unless a column of them is watched."""
    return bool(plan.channels or plan.limits) or not _of_events(definitions, plan.table)


def _of_events(definitions: Definitions, table: Table) -> bool:
    return any(ancestor.rows == "event" for ancestor in definitions.ancestors(table))
