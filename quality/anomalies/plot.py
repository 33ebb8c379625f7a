# SPDX-License-Identifier: Apache-2.0
"""The query that gives the data around an anomaly, for `swxlake sql`."""

from __future__ import annotations

from datetime import datetime, timedelta

from lake.clock import tt2000_from_unix_ns
from quality.anomalies.nouns import Anomaly
from quality.anomalies.rows import EPOCH, Plan
from quality.anomalies.series import unix_us

AROUND = timedelta(hours=1)  # before and after, where there is no pattern to be seen
DAYS_AROUND = timedelta(days=28)


def plot_of(plan: Plan, anomaly: Anomaly) -> str:
    """SQL for the channel from one period before an anomaly to one after it; of metrics, for four weeks about it."""
    if anomaly.rule.startswith("trend:"):
        return _metric(plan, anomaly, anomaly.rule.partition(":")[2])
    if anomaly.rule == "drift":
        return _metric(plan, anomaly, "median")
    return _rows(plan, anomaly)


def _rows(plan: Plan, anomaly: Anomaly) -> str:
    """Names are those of definitions, which are letters, digits and underscores."""
    around = timedelta(seconds=plan.period_s) or AROUND
    start, end = anomaly.start - around, anomaly.end + around
    time = "time" if "time" in plan.table.by_name else EPOCH
    modes = [c.mode for c in plan.channels if c.column == anomaly.column and c.mode]
    names = ", ".join(f'"{name}"' for name in dict.fromkeys([time, anomaly.column, *modes]) if name)
    days = f"day BETWEEN DATE '{start:%Y-%m-%d}' AND DATE '{end:%Y-%m-%d}'"
    within = f'"{time}" BETWEEN {_moment(time, start)} AND {_moment(time, end)}'
    return f'SELECT {names} FROM {plan.table.address} WHERE {days} AND {within} ORDER BY "{time}"'  # noqa: S608


def _moment(column: str, time: datetime) -> str:
    if column == EPOCH:
        return str(int(tt2000_from_unix_ns(unix_us(time) * 1000)))
    return f"TIMESTAMPTZ '{time:%Y-%m-%d %H:%M:%S}+00'"


def _metric(plan: Plan, anomaly: Anomaly, metric: str) -> str:
    first, last = anomaly.start - DAYS_AROUND, anomaly.end + DAYS_AROUND
    return (
        f"SELECT day, value FROM ops.latest_metrics WHERE table_name = '{plan.table.address}' "  # noqa: S608
        f"AND column_name = '{anomaly.column}' AND metric = '{metric}' "
        f"AND day BETWEEN DATE '{first:%Y-%m-%d}' AND DATE '{last:%Y-%m-%d}' ORDER BY day"
    )
