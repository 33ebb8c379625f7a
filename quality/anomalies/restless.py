# SPDX-License-Identifier: Apache-2.0
"""Channels that move too little or too much: stuck, at the end of their range, noisy."""

from __future__ import annotations

import numpy as np

from quality.anomalies.lessons import WINDOW, log_variances
from quality.anomalies.nouns import Anomaly
from quality.anomalies.series import Bool, Series, Stretch, joined, reaching, runs_of_equals, stretches, utc
from quality.anomalies.usual import Scores, Usual

EXPECTED_CHANGES = 20  # that did not come: by chance once in e^20 runs
TIMES_LONGEST = 2  # as long as the longest run of the trailing days
LEAST_RUN = 10  # rows
NEAR = 60  # rows between two stretches of one trouble, as for levels
LEAST_MISSING = 10  # rows without a value: fewer are told by the checks
AT_RAIL = 3  # rows: a rail is known, one row at it may be a bit that flipped
NOISY, STILL_NOISY = 5.0, 3.0  # robust z of the logarithm of a window's variance
LEAST_WIDTH = 0.3  # of that logarithm: with 30 rows it scatters by as much
LEAST_NOISY = 2  # windows
NEAR_WINDOWS = 2  # between two stretches of one trouble, as for levels
USUALLY_EMPTY = 0.01  # share of rows: such a channel is switched off now and then


def stuck(series: Series, usual: Usual) -> list[Anomaly]:
    """Stretches without a change where many were expected. At the day's highest or lowest value it is saturation."""
    if usual.changing <= 0:
        return []  # it never changed before
    least = max(EXPECTED_CHANGES / usual.changing, TIMES_LONGEST * usual.longest, LEAST_RUN)
    firsts, lengths = runs_of_equals(series.values)
    long = lengths > least
    runs = [(int(first), int(first + rows) - 1) for first, rows in zip(firsts[long], lengths[long], strict=True)]
    ends = (series.values.min(), series.values.max()) if runs else (0.0, 0.0)
    by_value: dict[float, list[Stretch]] = {}
    for run in runs:
        by_value.setdefault(float(series.values[run[0]]), []).append(run)
    found = [_stuck(series, usual, run, ends) for same in by_value.values() for run in joined(same, NEAR)]
    return sorted(found, key=lambda anomaly: anomaly.start)


def _stuck(series: Series, usual: Usual, run: Stretch, ends: tuple[float, float]) -> Anomaly:
    first, last = run
    value, rows = float(series.values[first]), last - first + 1
    beyond = (value == ends[1] and value >= usual.high) or (value == ends[0] and value <= usual.low)
    rule = "saturation" if beyond else "stuck"
    words = "stays at the end of its range" if beyond else "does not change"
    return _told(
        series, run, rule, value, float(usual.longest), rows * usual.changing,
        f"{words} for {rows} rows; {rows * usual.changing:.0f} changes were expected, "
        f"the longest usual run has {usual.longest} rows",
    )  # fmt: skip


def at_rails(series: Series, usual: Usual, valid: tuple[float, float] | None) -> list[Anomaly]:
    """Runs at the ends of the valid range, unless the trailing days were there. Zero is where many quantities rest."""
    if valid is None:
        return []
    found = []
    known = usual.days_teach
    if valid[0] != 0 and not (known and usual.low <= valid[0]):
        found += [(run, valid[0]) for run in _long(stretches(series.values <= valid[0]))]
    if valid[1] != 0 and not (known and usual.high >= valid[1]):
        found += [(run, valid[1]) for run in _long(stretches(series.values >= valid[1]))]
    return [
        _told(
            series, run, "saturation", end, end, 0.0, f"at the end of its valid range, {end:g}, for {_rows(run)} rows"
        )
        for run, end in found
    ]


def empties(rows: Series, empty: Bool, flagged: Bool, usual: Usual) -> list[Anomaly]:
    """Runs of rows without a value, of a channel that usually has one: saturation where their word lies outside of the
    calibrated range, else missing.

    `rows` has all rows of the day, whether they have a value or not.
    """
    if not usual.days_teach or usual.empty > USUALLY_EMPTY or not empty.any():
        return []
    found = [(run, "saturation", "outside of its calibrated range") for run in _long(stretches(flagged))]
    gone = [run for run in stretches(empty & ~flagged) if _rows(run) >= LEAST_MISSING]
    found += [(run, "missing", "without a value") for run in joined(gone, NEAR)]
    return [
        _told(rows, run, rule, None, None, float(_rows(run)), f"{words} for {_rows(run)} rows")
        for run, rule, words in sorted(found)
    ]


def _rows(run: Stretch) -> int:
    return run[1] - run[0] + 1


def _long(runs: list[Stretch]) -> list[Stretch]:
    return [run for run in runs if _rows(run) >= AT_RAIL]


def noisy(scores: Scores, usual: Usual) -> list[Anomaly]:
    """Stretches of windows with much more variance from row to row than usual."""
    spreads = [mode.spreads for mode in usual.modes.values() if mode.spreads and mode.within > 0]
    if not spreads or len(scores.z) < LEAST_NOISY * WINDOW:
        return []
    center, width = max(spreads)  # of modes that differ, the most restless one
    step = usual.quantum / min(mode.within for mode in usual.modes.values() if mode.within > 0)
    logs = log_variances(scores.inner, step)
    z = (logs - center) / max(width, LEAST_WIDTH)
    runs = [run for run in joined(reaching(z, NOISY, STILL_NOISY), NEAR_WINDOWS) if _rows(run) >= LEAST_NOISY]
    found = []
    for first, last in runs:
        run = (first * WINDOW, (last + 1) * WINDOW - 1)
        times = float(np.exp((logs[first : last + 1].mean() - center) / 2))
        score = float(z[first : last + 1].max())
        words = f"its scatter is {times:.1f} times as large as usual in {last - first + 1} windows of {WINDOW} rows"
        rows = len(scores.z) - 1
        run = (run[0], rows if rows - run[1] < WINDOW else run[1])
        found.append(_told(scores.series, run, "noise", times, 1.0, score, words))
    return found


def _told(
    series: Series, run: Stretch, rule: str, value: float | None, baseline: float | None, score: float, detail: str
) -> Anomaly:
    first, last = run
    return Anomaly(
        column=series.column,
        rule=rule,
        severity="yellow",
        start=utc(series.times[first]),
        end=utc(series.times[last]),
        ended=last < len(series.times) - 1,
        value=value,
        baseline=baseline,
        score=score,
        samples=last - first + 1,
        detail=detail,
    )
