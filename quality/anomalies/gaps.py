# SPDX-License-Identifier: Apache-2.0
"""Time without rows. A gap is told once, on the day of the row after it, as in ops.gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from lake.watch_definitions import Watch
from quality.anomalies.nouns import Anomaly
from quality.anomalies.series import Float64, Int64, utc
from quality.metrics import GAP_CADENCES


def gaps(
    times: Int64, before: int | None, watch: Watch, cadence_s: float | None, missing: Sequence[tuple[datetime, int]]
) -> list[Anomaly]:
    """Gaps among the rows of a day, and from the last row before it. Planned times without data do not count.

    `times` and `before` are Unix microseconds. `missing` are packets that are missing, with the time of the packet
    after them.
    """
    points = times if before is None else np.concatenate(([before], times))
    steps = np.diff(points) / 1e6
    longest = longest_usual(steps, watch, cadence_s)
    found = []
    for row in np.flatnonzero(steps > longest):
        start, end = utc(points[row]), utc(points[row + 1])
        seconds = float(steps[row]) - watch.planned(start, end).total_seconds()
        if seconds > longest:
            lost = sum(number for time, number in missing if start < time <= end)
            found.append(_gap(start, end, seconds, longest, lost))
    return found


def pieces(times: Int64, before: int | None, watch: Watch, cadence_s: float | None) -> Int64:
    """How many gaps, planned or not, lie between the last row before a day and each of its rows."""
    if not len(times):
        return np.zeros(0, np.int64)
    steps = np.diff(times if before is None else np.concatenate(([before], times))) / 1e6
    counts = np.cumsum(steps > longest_usual(steps, watch, cadence_s))
    return np.asarray(counts if before is not None else np.concatenate(([0], counts)), np.int64)


def longest_usual(steps: Float64, watch: Watch, cadence_s: float | None) -> float:
    """The longest step in time that is no gap, in seconds. Without a cadence, the median step stands for it."""
    cadence = cadence_s or (float(np.median(steps)) if len(steps) else 0.0)
    return max(GAP_CADENCES * cadence, watch.no_gap_seconds)


def _gap(start: datetime, end: datetime, seconds: float, longest: float, lost: int) -> Anomaly:
    packets = f"; {lost} packets are missing" if lost else ""
    return Anomaly(
        column="",
        rule="gap",
        severity="yellow",
        start=start,
        end=end,
        ended=True,
        value=seconds,
        baseline=longest,
        score=seconds / longest,
        samples=0,
        detail=f"no rows for {_words(seconds)}, the longest step that is no gap is {_words(longest)}{packets}",
    )


def _words(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:g} s"
