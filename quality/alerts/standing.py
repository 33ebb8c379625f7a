# SPDX-License-Identifier: Apache-2.0
"""What is wrong beyond anomalies: tables that get no data, table-days that fail their checks or were not built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from lake.definitions import Table
from lake.watch_definitions import Color
from quality.alerts.nouns import Episode
from quality.alerts.stretches import Row

CHECKS, BUILD = " checks", " build"  # end the subjects of these episodes
FIRST = 3  # reasons in a message; the rest is counted
DAY = timedelta(days=1)

Fault = tuple[str, date, str, str]  # table, day, the rule that is broken, what was found


def stale_rows(last: Mapping[str, datetime], tables: Mapping[str, Table], now: datetime) -> list[Row]:
    """Tables that have got no data for longer than their `watch.fresh_hours`, as anomalies of the table.

    `last` is the newest time of each. They begin, and as far as is known end, there: when data come, the same time
    begins the gap. Planned times off do not count.
    """
    found = []
    for address, since in sorted(last.items()):
        watch = tables[address].watch
        if watch is None or watch.fresh_hours is None:
            continue
        silent = now - since - watch.planned(since, now)
        if silent > timedelta(hours=watch.fresh_hours):
            told = f"some are expected every {watch.fresh_hours:g} h"
            found.append(since_row(address, since, "stale", watch.fresh_hours, told))
    return found


def since_row(address: str, since: datetime, rule: str, hours: float, told: str) -> Row:
    """No data of a table since a time, as an anomaly of the table; `told` says why that is one."""
    moment = since.astimezone(UTC)
    return Row(
        table=address,
        day=moment.date(),
        column="",
        rule=rule,
        severity="yellow",
        start=moment,
        end=moment,
        ended=False,
        value=None,
        baseline=hours,
        score=None,
        detail=f"no data since {moment:%Y-%m-%dT%H:%M:%SZ}; {told}",
        plot=f"SELECT * FROM {address} WHERE day = '{moment.date()}' ORDER BY \"time\" DESC LIMIT 100",  # noqa: S608  a name of the definitions
    )


def check_episodes(faults: Iterable[Fault], tables: Mapping[str, Table]) -> list[Episode]:
    """Episodes of checks of severity fail that do not hold; consecutive days are one, which stands until they do."""
    return _standing(faults, tables, CHECKS, "yellow", "checks fail")


def build_episodes(faults: Iterable[Fault], tables: Mapping[str, Table]) -> list[Episode]:
    """Episodes of table-days that could not be built; consecutive days are one, which stands until they are built."""
    return _standing(faults, tables, BUILD, "red", "cannot be built")


def _standing(
    faults: Iterable[Fault], tables: Mapping[str, Table], ending: str, severity: Color, words: str
) -> list[Episode]:
    known = sorted(fault for fault in faults if fault[0] in tables)
    return [
        _episode(tables[address], run, ending, severity, words)
        for address, group in groupby(known, key=lambda fault: fault[0])
        for run in _runs(list(group))
    ]


def _runs(faults: list[Fault]) -> list[list[Fault]]:
    """Faults of one table, in order of their day, in groups of consecutive days."""
    runs: list[list[Fault]] = []
    for fault in faults:
        if runs and fault[1] - runs[-1][-1][1] <= DAY:
            runs[-1].append(fault)
        else:
            runs.append([fault])
    return runs


def _episode(table: Table, faults: list[Fault], ending: str, severity: Color, words: str) -> Episode:
    first, last = faults[0][1], faults[-1][1]
    days = f"{first}" if first == last else f"{first} to {last}"
    found = tuple(dict.fromkeys(f"{rule}: {detail}" if ending == CHECKS else detail for _, _, rule, detail in faults))
    more = f"; and {len(found) - FIRST} more" if len(found) > FIRST else ""
    return Episode(
        subject=f"{table.address}{ending}",
        mission=table.mission,
        instrument=table.instrument,
        table=table.address,
        column="",
        rules=tuple(sorted({rule for _, _, rule, _ in faults})),
        severity=severity,
        start=_midnight(first),
        end=_midnight(last + DAY),
        ended=False,
        value=None,
        baseline=None,
        message=f"{days} {words}: {'; '.join(found[:FIRST])}{more}",
        plot=_plot(table, ending, first, last),
    )


def _plot(table: Table, ending: str, first: date, last: date) -> str:
    """The query for what was judged; only names of definitions and dates are put into it."""
    view, what = ("latest_checks", "NOT passed") if ending == CHECKS else ("latest_runs", "status = 'failed'")
    days = f"day BETWEEN '{first}' AND '{last}'"
    return f"SELECT * FROM ops.{view} WHERE table_name = '{table.address}' AND {days} AND {what} ORDER BY day"  # noqa: S608


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
