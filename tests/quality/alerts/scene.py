# SPDX-License-Identifier: Apache-2.0
"""Anomalies as the watch of channels writes them, and a toy lake that holds them, for tests of alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lake.definition_files import read_definitions
from lake.definitions import Definitions, Table
from lake.store import Lake
from lake.tables import append_ops, replace_ops
from lake.watch_definitions import Color, Watch
from quality.alerts.episodes import episodes_of
from quality.alerts.life import Conditions, Life, Terms, live
from quality.alerts.nouns import Alert, Episode
from quality.alerts.stretches import Row
from tests.toy import L1, write_missions

DAY = date(2026, 8, 1)
NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
CADENCE_S = 10.0
TERMS = Terms(repeat=timedelta(hours=4), reopen=timedelta(hours=24))
RUN = "20260801T000000.000000Z-aaaaaa"


def definitions(folder: Path, watch: Watch | None = Watch(), address: str = L1) -> Definitions:  # noqa: B008  frozen
    """The toy's definitions, one table with a cadence of 10 s and watched."""
    missions = folder / "missions"
    found = read_definitions(missions if missions.exists() else write_missions(missions))
    (mission,) = found.missions
    (box,) = mission.instruments
    watched = {"watch": watch, "cadence_seconds": CADENCE_S}
    tables = tuple(t.model_copy(update=watched) if t.address == address else t for t in box.tables)
    box = box.model_copy(update={"tables": tables})
    return replace(found, missions=(mission.model_copy(update={"instruments": (box,)}),))


def open_scene(folder: Path, watch: Watch | None = Watch(), address: str = L1) -> Lake:  # noqa: B008  frozen
    """A lake with these definitions in folder/lake."""
    (folder / "lake").mkdir(exist_ok=True)
    return Lake(folder / "lake", definitions(folder, watch, address))


def anomaly(
    start: datetime,
    end: datetime | None = None,
    column: str = "voltage_v",
    rule: str = "level",
    severity: str = "yellow",
    ended: bool = True,
    **other: Any,
) -> Row:
    """An anomaly of the toy's table, found on the day of its end."""
    over = end or start
    values = {"value": 1.0, "baseline": 0.0, "score": 5.0, "detail": f"{rule} of {column}", "plot": "SELECT 1"}
    given = {"table": L1, "day": over.date(), **values, **other}
    return Row(column=column, rule=rule, severity=severity, start=start, end=over, ended=ended, **given)


def whole_day(day: date, rule: str = "drift", column: str = "voltage_v", **other: Any) -> Row:
    """A day's anomaly of a rule about whole days."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return anomaly(start, start + timedelta(days=1, microseconds=-1), column, rule, ended=False, **other)


def episodes(tables: Mapping[str, Table], rows: Iterable[Row], last_watched: date = DAY) -> list[Episode]:
    return episodes_of(rows, tables, {L1: last_watched})


def write_anomalies(lake: Lake, rows: Sequence[Row], days: Iterable[date], run_id: str = RUN) -> None:
    """What watching these days leaves in the lake's tables."""
    instrument = {"mission": "toy", "instrument": "box", "samples": 3, "run_id": run_id}
    for day in days:
        found = [ops_row(row) | instrument for row in rows if row.day == day]
        if found:
            replace_ops(lake, "anomalies", found, f"table_name = '{L1}' AND day = '{day}'")
        seen = {"table_name": L1, "day": day, "state": run_id, "usual": "", "anomalies": len(found), "run_id": run_id}
        append_ops(lake, "watched", [seen])


def ops_row(row: Row) -> dict[str, Any]:
    """An anomaly as a row of ops.anomalies, without what is the same for all of a run."""
    same = ("day", "rule", "severity", "ended", "value", "baseline", "score", "detail", "plot")
    names = {"table_name": row.table, "column_name": row.column, "start_time": row.start, "end_time": row.end}
    return names | {name: getattr(row, name) for name in same}


def episode(start: datetime, end: datetime | None = None, subject: str = f"{L1}.voltage_v", **other: Any) -> Episode:
    """An episode of the toy's channel, ended unless said otherwise."""
    given: dict[str, Any] = {
        "mission": "toy",
        "instrument": "box",
        "table": L1,
        "column": subject.removeprefix(L1).strip("."),
        "rules": ("level",),
        "severity": "yellow",
        "ended": True,
        "value": 1.0,
        "baseline": 0.0,
        "message": f"since {start:%d %H:%M}",
        "plot": "SELECT 1",
    }
    return Episode(subject=subject, start=start, end=end or start, **{**given, **other})


def conditions(*found: Episode, judged: Iterable[date] | None = None) -> Conditions:
    """What is wrong; by default all days of the year were watched."""
    days = [date(2026, 1, 1) + timedelta(days=i) for i in range(365)] if judged is None else judged
    return Conditions(tuple(found), frozenset((L1, day) for day in days), frozenset({L1}))


@dataclass
class Lived:
    """Alerts over several runs, as a book would keep them."""

    alerts: tuple[Alert, ...] = ()
    terms: Terms = TERMS

    def __post_init__(self) -> None:
        self.told: dict[str, Color] = {}

    def run(self, found: Conditions, now: datetime) -> Life:
        """A run: what happened is remembered for the next one."""
        life = live(self.alerts, self.told, found, now, self.terms)
        self.alerts = life.alerts
        self.told |= {event.alert.alert_id: event.alert.severity for event in life.events}
        return life

    def names(self, found: Conditions, now: datetime) -> list[str]:
        """The names of the events of a run."""
        return [event.name for event in self.run(found, now).events]
