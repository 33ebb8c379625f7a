# SPDX-License-Identifier: Apache-2.0
"""Days of a toy table, judged one after the other without a lake: one row a minute, channels made by numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lake.clock import tt2000_of_day
from lake.definitions import Column, Flag, Table
from lake.watch_definitions import Channel, Limit, Watch
from quality.anomalies.day import Day, Judged, judge
from quality.anomalies.lessons import Lesson
from quality.anomalies.memory import Memory
from quality.anomalies.normal import Normal
from quality.anomalies.nouns import Anomaly
from quality.anomalies.rows import Plan, plan_of
from quality.anomalies.usual import usual_of

START = date(2026, 7, 1)
ROWS = 1440
ORBIT_S = 5400.0
NAME = "box_l1_hk"

Values = npt.NDArray[np.float64]


def table_of(*columns: Column, **watch: Any) -> Table:
    """A table with these columns, one row a minute; `watch` says what is expected of it."""
    own = (
        Column(name="epoch_tt2000", type="int64", description="-"),
        Column(name="time", type="timestamp", description="-"),
        Column(name="day", type="date", description="-"),
        *columns,
        Column(name="quality_flag", type="int32", description="-"),
    )
    flags = (Flag(bit=14, name="adc_out_of_range", description="-"),)
    return Table(
        mission="toy", instrument="box", name=NAME, level="l1", title="-", grain="-", columns=own, flags=flags,
        cadence_seconds=60, watch=Watch(**watch),
    )  # fmt: skip


def column(name: str, kind: Any = "float64", **facts: Any) -> Column:
    return Column(name=name, type=kind, description="-", **facts)


def plan(
    table: Table, *, kind: Any = "analog", mode: str | None = None, limits: Sequence[Limit] = (), names: Any = ("x",)
) -> Plan:
    """Channels of one kind in a table."""
    channels = [Channel(table=NAME, column=name, kind=kind, mode=mode) for name in names]
    return plan_of(table, channels, limits, ORBIT_S)


def limit(**facts: Any) -> Limit:
    return Limit(**{"table": NAME, "column": "x", "source": "-", **facts})


def minutes(day: date) -> npt.NDArray[np.int64]:
    """TT2000 of a day's rows."""
    return tt2000_of_day(day) + 60 * 10**9 * np.arange(ROWS, dtype=np.int64)


def at(day: date, minute: int) -> datetime:
    """UTC of a row."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)


def frame(day: date, kept: slice | Sequence[int] | None = None, **values: Any) -> pl.DataFrame:
    """A day's rows, or some of them."""
    rows = pl.DataFrame({"epoch_tt2000": minutes(day), **values}).with_columns(quality_flag=pl.lit(0, pl.Int32))
    if kept is None:
        return rows
    return rows[kept] if isinstance(kept, slice) else rows[list(kept)]


def noise(day: date, sigma: float = 1.0, seed: int = 5) -> Values:
    return sigma * np.random.default_rng((seed, day.toordinal())).standard_normal(ROWS)


def orbit(day: date, swing: float = 20.0) -> Values:
    seconds = 60 * np.arange(ROWS) + (day - START).days * 86_400
    return np.asarray(swing * np.sin(2 * np.pi * seconds / ORBIT_S), np.float64)


@dataclass
class Story:
    """The days of a table in the order in which they are judged."""

    plan: Plan
    normals: Sequence[Normal] = ()
    days: list[tuple[date, Judged]] = field(default_factory=list)

    def next(
        self,
        rows: pl.DataFrame,
        day: date | None = None,
        trends: Mapping[str, float | None] | None = None,
        missing: Sequence[tuple[datetime, int]] = (),
    ) -> list[Anomaly]:
        """Judge one more day; what is not as usual."""
        day = day or self.day
        before = [(d, judged.memory) for d, judged in reversed(self.days)]
        usual = {c.column: usual_of(self._lessons(c.column, before)) for c in self.plan.channels}
        known = Day(self.plan, day, rows, usual, before, missing, trends or {}, self.normals)
        judged = judge(known)
        self.days.append((day, judged))
        return list(judged.anomalies)

    @property
    def day(self) -> date:
        """The day that comes next."""
        return self.days[-1][0] + timedelta(days=1) if self.days else START

    def _lessons(self, name: str, before: Sequence[tuple[date, Memory]]) -> list[Lesson]:
        judged = dict(self.days)
        return [judged[d].lessons[name] for d, _ in before[:28]]


def quiet_week(story: Story, make: Any, days: int = 7) -> Story:
    """The story after so many days without a fault; `make` gives the values of `x`."""
    for _ in range(days):
        assert story.next(frame(story.day, x=make(story.day))) == []
    return story


def rules(found: Sequence[Anomaly]) -> list[tuple[str, str]]:
    return [(anomaly.rule, anomaly.severity) for anomaly in found]
