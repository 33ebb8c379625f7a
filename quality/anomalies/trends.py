# SPDX-License-Identifier: Apache-2.0
"""Metrics of table-days that are not as on the trailing days: completeness, latency, ratios, and those of `trends`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from lake.definitions import Table
from lake.watch_definitions import Watch, split_trend
from quality.anomalies.normal import Normal, beginning
from quality.anomalies.nouns import Anomaly
from quality.anomalies.series import spread, utc

COMPLETENESS, LATENCY = "completeness", "latency_p95_s"
TREND_DAYS = 28
LEAST_DAYS = 7
UNUSUAL = 6.0  # robust z
FAR = 30.0  # robust z that is told at once; what is nearer waits for a second day
# What does not matter however steady a metric was: two packets in a hundred, a minute, a twentieth.
LEAST_COMPLETENESS, LEAST_LATENCY_S, LEAST_SHARE = 0.02, 60.0, 0.05
LATENCY_SHARE = 0.1
DAY_US = 86_400_000_000

Trends = Mapping[str, float | None]


def trend_names(watch: Watch) -> tuple[str, ...]:
    """The watched metrics of a table's days, as `metric` or `column:metric`."""
    names = (COMPLETENESS, LATENCY, *(f"ratio:{name}" for name in watch.ratios), *watch.trends)
    return tuple(dict.fromkeys(names))


def trends(
    table: Table, day: date, today: Trends, before: Sequence[tuple[date, Trends]], normals: Sequence[Normal]
) -> list[Anomaly]:
    """What is unusual today about the metrics of a table; `before` has those of the trailing days, the newest first.

    Yellow if the day before was unusual too, or today is far out; else info.
    """
    found = []
    for name in sorted(today):
        since = beginning(normals, split_trend(name, table.by_name)[0], day)
        found.append(_trend(table, day, name, [today, *(metrics for d, metrics in before if d >= since)]))
    return [anomaly for anomaly in found if anomaly is not None]


def _trend(table: Table, day: date, name: str, days: Sequence[Trends]) -> Anomaly | None:
    z, usual = _score(name, days)
    if usual is None or abs(z) < UNUSUAL:
        return None
    earlier, _ = _score(name, days[1:])
    twice = abs(earlier) >= UNUSUAL and earlier * z > 0
    column, metric = split_trend(name, table.by_name)
    value = days[0][name]
    start = (day - date(1970, 1, 1)).days * DAY_US
    return Anomaly(
        column=column,
        rule=f"trend:{metric}",
        severity="yellow" if twice or abs(z) >= FAR else "info",
        start=utc(start),
        end=utc(start + DAY_US - 1),
        ended=False,
        value=value,
        baseline=usual,
        score=z,
        samples=1,
        detail=f"{metric} of the day is {value:.4g}; of the trailing days it was {usual:.4g}"
        + (", and it was unusual the day before" if twice else ""),
    )


def _score(name: str, days: Sequence[Trends]) -> tuple[float, float | None]:
    """Robust z of the first day about those behind it, and their median; None if too few are known."""
    value = days[0].get(name) if days else None
    known = np.array([v for one in days[1 : TREND_DAYS + 1] if (v := one.get(name)) is not None])
    if value is None or len(known) < LEAST_DAYS:
        return 0.0, None
    usual = float(np.median(known))
    z = (value - usual) / max(spread(known), _least(name, usual))
    if (name == COMPLETENESS and z > 0) or (name == LATENCY and z < 0):
        return 0.0, usual
    return z, usual


def _least(name: str, usual: float) -> float:
    if name == COMPLETENESS:
        return LEAST_COMPLETENESS
    if name == LATENCY:
        return max(LEAST_LATENCY_S, LATENCY_SHARE * usual)
    return max(LEAST_SHARE * abs(usual), 1e-9)
