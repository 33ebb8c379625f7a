# SPDX-License-Identifier: Apache-2.0
"""Level, steps and spikes: how far a channel is from its pattern, in robust standard deviations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from quality.anomalies.lessons import edges
from quality.anomalies.nouns import Anomaly, Severity
from quality.anomalies.series import SMOOTHED, Float64, Stretch, joined, reaching, running_median, stretches, utc
from quality.anomalies.usual import Scores, Usual

LEVEL = 5.0  # sigma of a running median: normal noise passes it once in 10^13 rows, half-way drifted noise in 10^7
STILL = 2.5  # where it is over: low enough that a level just above the threshold is not torn apart
SPIKE = 6.0  # sigma of a single row: once in 10^9
NEAR = 60  # rows between two stretches of one trouble: ten minutes at a cadence of ten seconds
EDGE = 8.0  # robust z of a step between neighbouring running medians, which have a narrower distribution than rows
MANY_SPIKES = 20  # in a day; more are told as one
FLOOD = 0.02  # of a day's rows: so many spikes are no single flipped bits any more
TIMES_SPIKES = 5  # as many as on the worst of the trailing days
THERE_AND_BACK = timedelta(hours=6)  # what stays away for longer is two steps


def levels(scores: Scores) -> list[Anomaly]:
    """Stretches of at least three rows away from the pattern; what is near to each other is one."""
    smooth = running_median(scores.z)
    found = [run for sign in (1.0, -1.0) for run in reaching(sign * smooth, LEVEL, STILL)]
    runs = [_trimmed(scores.z, run) for run in sorted(found)]
    return [_level(scores, run) for run in joined(sorted(runs), NEAR)]


def _trimmed(z: Float64, run: Stretch) -> Stretch:
    """The run from the first to the last row that is itself away: a running median reaches a row or two beyond."""
    rows = np.arange(max(run[0] - 2, 0), min(run[1] + 3, len(z)))
    inside = (rows >= run[0]) & (rows <= run[1])
    away = rows[np.abs(z[rows]) >= np.where(inside, STILL, LEVEL)]
    return (int(away[0]), int(away[-1])) if len(away) else run


def _level(scores: Scores, run: Stretch) -> Anomaly:
    first, last = run
    away = np.abs(scores.z[first : last + 1])
    worst, rows = first + int(np.argmax(away)), int(np.sum(away >= STILL))
    side = "above" if scores.z[worst] > 0 else "below"
    words = f"{np.median(away):.1f} sigma from its pattern, at worst {away.max():.1f} {side}"
    return _told(scores, run, "level", "yellow", worst, rows, f"{words}; one sigma is {scores.scale[worst]:.3g}")


def spikes(scores: Scores) -> list[Anomaly]:
    """Single and double rows far from the pattern: info, for one wild sample is no reason to wake anybody."""
    return [_spike(scores, run) for run in stretches(np.abs(scores.z) >= SPIKE)]


def at_once(found: list[Anomaly], rows_of_day: int, usual: Usual) -> list[Anomaly]:
    """More spikes than anybody reads as one, with the worst value; yellow if they are far more than on other days."""
    if len(found) <= MANY_SPIKES:
        return found
    worst = max(found, key=lambda spike: abs(spike.score or 0.0))
    rows = sum(spike.samples for spike in found)
    words = f"{rows} rows in {len(found)} places up to {abs(worst.score or 0.0):.1f} sigma from the pattern"
    far = rows > max(FLOOD * rows_of_day, TIMES_SPIKES * usual.spikes)
    whole = replace(worst, start=found[0].start, end=found[-1].end, ended=found[-1].ended, samples=rows, detail=words)
    return [replace(whole, severity="yellow" if far else "info")]


def _spike(scores: Scores, run: Stretch) -> Anomaly:
    first, last = run
    away = np.abs(scores.z[first : last + 1])
    worst, rows = first + int(np.argmax(away)), int(np.sum(away >= SPIKE))
    words = f"{rows} {'row' if rows == 1 else 'rows'} up to {away.max():.1f} sigma from the pattern"
    return _told(scores, run, "spike", "info", worst, rows, words)


def rates(scores: Scores, usual: Usual) -> list[Anomaly]:
    """Changes within ten rows that are much larger than usual ones, each by itself.

    Finds steps that the scatter from day to day would hide from `levels`.
    """
    modes = [mode for mode in usual.modes.values() if mode.edge > 0]
    if not modes or len(scores.z) < 2 * SMOOTHED:
        return []
    width = max(*(mode.edge for mode in modes), *(usual.quantum / mode.within for mode in modes))
    z = edges(scores.inner) / width
    found = [run for sign in (1.0, -1.0) for run in reaching(sign * z, EDGE, STILL)]
    return [_rate(scores, z, run) for run in sorted(found)]


def _rate(scores: Scores, z: Float64, run: Stretch) -> Anomaly:
    first, last = run
    worst = first + int(np.argmax(np.abs(z[first : last + 1])))
    row, score = worst + 3, float(z[worst])  # step number i lies between rows i+2 and i+3
    rest = scores.series.values - scores.baseline
    size = float(np.median(rest[row : row + 5]) - np.median(rest[max(row - 5, 0) : row]))
    at = utc(scores.series.times[row])
    words = f"changes by {size:.4g} within ten rows, {abs(score):.1f} times as much as it usually does"
    return Anomaly(scores.series.column, "rate", "yellow", at, at, True, size, abs(size / score), score, 1, words)


def paired(steps: list[Anomaly], near: timedelta) -> list[Anomaly]:
    """Steps there and back within hours as one stretch, and steps that are near to each other; others by themselves."""
    found: list[Anomaly] = []
    for step in steps:
        last = found[-1] if found else None
        if last is None:
            found.append(step)
        elif last.samples == 1 and step.start - last.end <= THERE_AND_BACK and _opposed(last, step):
            found[-1] = replace(last, end=step.end, samples=2, detail=f"{last.detail}, and back")
        elif step.start - last.end <= near:
            found[-1] = replace(last, end=step.end, samples=last.samples + 1)
        else:
            found.append(step)
    return found


def _opposed(one: Anomaly, other: Anomaly) -> bool:
    return (one.score or 0.0) * (other.score or 0.0) < 0


def _told(scores: Scores, run: Stretch, rule: str, severity: Severity, worst: int, rows: int, detail: str) -> Anomaly:
    first, last = run
    return Anomaly(
        column=scores.series.column,
        rule=rule,
        severity=severity,
        start=utc(scores.series.times[first]),
        end=utc(scores.series.times[last]),
        ended=last < len(scores.z) - 1,
        value=float(scores.series.values[worst]),
        baseline=float(scores.baseline[worst]),
        score=float(scores.z[worst]),
        samples=rows,
        detail=detail,
    )
