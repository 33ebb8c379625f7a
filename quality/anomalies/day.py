# SPDX-License-Identifier: Apache-2.0
"""What is not as usual in one day of one table: all methods, in order. A function of its arguments alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from lake.ledger import fingerprint
from lake.watch_definitions import Channel
from quality.anomalies.drift import Drift, Level, drift
from quality.anomalies.gaps import gaps, pieces
from quality.anomalies.lessons import DIGITS, WINDOW, Lesson, learn, learn_texts
from quality.anomalies.level import at_once, levels, paired, rates, spikes
from quality.anomalies.limits import Tail, outside
from quality.anomalies.memory import Center, Memory
from quality.anomalies.normal import Normal, beginning
from quality.anomalies.nouns import Anomaly
from quality.anomalies.restless import at_rails, empties, noisy, stuck
from quality.anomalies.rows import (
    SETTINGS,
    TIME,
    Plan,
    empty_rows,
    flagged_rows,
    in_time_order,
    limited,
    series_of,
    texts_of,
    times_of,
)
from quality.anomalies.series import Bool, Int64, Series, Texts, unix_us, utc
from quality.anomalies.settings import counted, unusual
from quality.anomalies.trends import trends
from quality.anomalies.usual import HORIZON_DAYS, Usual, scores_of

METHODS = 2  # to be raised with every change of what the methods find: all days are watched again then
DAILY = ("trend", "gap")  # begin the names of rules that say nothing about single rows
SENSELESS = ("stuck", "saturation", "noise", "missing")  # of rows that tell no level
DAY_US = 86_400_000_000

Remembered = Sequence[tuple[date, Memory]]


@dataclass(frozen=True)
class Day:
    """A table-day to be judged. `before` are the days before it, the newest first.

    `missing` are packets that are missing, with the time of the packet after them; `trends` are metrics of the day.
    """

    plan: Plan
    day: date
    frame: pl.DataFrame
    usual: Mapping[str, Usual]
    before: Remembered
    missing: Sequence[tuple[datetime, int]]
    trends: Mapping[str, float | None]
    normals: Sequence[Normal]


@dataclass(frozen=True)
class Judged:
    """Anomalies of a table-day in order of time, what it teaches about each channel, what it leaves behind."""

    anomalies: tuple[Anomaly, ...]
    lessons: Mapping[str, Lesson]
    memory: Memory


def judge(day: Day) -> Judged:
    """Find what is not as usual."""
    rows = in_time_order(day.plan, day.frame)
    last = day.before[0][1] if day.before else Memory()
    found, tails = _limits(day, rows, last)
    lessons: dict[str, Lesson] = {}
    centers: dict[str, dict[str, Center]] = {}
    for channel in day.plan.channels:
        own = _channel(day, rows, channel)
        found += own
        about = [anomaly for anomaly in found if anomaly.column == channel.column]
        lesson = lesson_of(day.plan, rows, channel, about)
        level = _level_lesson(day, rows, channel, about, lesson)
        slow = _drift(day, channel, level)
        found += slow
        lessons[channel.column] = Lesson() if slow else lesson
        if channel.kind == "analog":
            centers[channel.column] = _centers(level, teaches=not slow and level is lesson)
    times = rows[TIME].to_numpy()
    found += gaps(times, last.last, day.plan.watch, day.plan.table.cadence_seconds, day.missing)
    found += trends(day.plan.table, day.day, day.trends, [(d, m.trends) for d, m in day.before], day.normals)
    end = int(times[-1]) if len(times) else last.last
    marks = fingerprint({column: lesson.mark for column, lesson in lessons.items()})[:16]
    teaching = tuple(sorted(column for column, lesson in lessons.items() if lesson.teaches))
    memory = Memory(end, marks, teaching, tails, centers, day.trends)
    return Judged(tuple(sorted(found, key=_order)), lessons, memory)


def _order(anomaly: Anomaly) -> tuple[datetime, str, str, datetime]:
    return anomaly.start, anomaly.column, anomaly.rule, anomaly.end


def _limits(day: Day, rows: pl.DataFrame, last: Memory) -> tuple[list[Anomaly], dict[str, Tail]]:
    found: list[Anomaly] = []
    tails: dict[str, Tail] = {}
    parts = pieces(rows[TIME].to_numpy(), last.last, day.plan.watch, day.plan.table.cadence_seconds)
    for limit in day.plan.limits:
        anomalies, runs = outside(limited(day.plan, rows, limit, parts), last.tails)
        found += anomalies
        tails |= runs
    return found, tails


def _channel(day: Day, rows: pl.DataFrame, channel: Channel) -> list[Anomaly]:
    usual = day.usual[channel.column]
    found = _empty(day.plan, rows, channel.column, usual)
    if channel.kind in SETTINGS:
        return found + unusual(texts_of(rows, channel.column), usual, channel.kind)
    series = series_of(day.plan, rows, channel.column, channel.mode)
    if channel.kind == "counter":
        return found + counted(series, usual)
    found = _dead(day.plan, series, usual, found)
    return found if channel.kind == "science" else found + _unusual(series, usual, found)


def _empty(plan: Plan, rows: pl.DataFrame, column: str, usual: Usual) -> list[Anomaly]:
    """Where a channel has no values."""
    return empties(times_of(column, rows), empty_rows(rows, column), flagged_rows(plan, rows, column), usual)


def _dead(plan: Plan, series: Series, usual: Usual, empty: Sequence[Anomaly]) -> list[Anomaly]:
    """Where a channel is at the end of its range, has no values, or does not change."""
    found = [*at_rails(series, usual, plan.table.by_name[series.column].valid), *empty]
    return found + (_unexplained(stuck(series, usual), found, _slack(series.times)) if len(series.times) else [])


def _unusual(series: Series, usual: Usual, told: Sequence[Anomaly]) -> list[Anomaly]:
    """What is found of a measured quantity. What an earlier method explains, a later one does not tell again."""
    found, slack = list(told), _slack(series.times)
    if not len(series.times):
        return []
    scores = scores_of(series, usual)
    if len(scores.z):
        for more in (noisy(scores, usual), levels(scores)):
            found += _unexplained(more, found, slack)
        found += paired(_unexplained(rates(scores, usual), found, slack), 2 * slack)
        found += at_once(_unexplained(spikes(scores), found, slack), len(series.times), usual)
    return found[len(told) :]


def _slack(times: Int64) -> timedelta:
    """As long as a window: methods do not agree to the row where a trouble begins."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return timedelta(microseconds=WINDOW * step)


def _unexplained(found: Sequence[Anomaly], by: Sequence[Anomaly], slack: timedelta) -> list[Anomaly]:
    return [a for a in found if not any(b.start - slack <= a.start and a.end <= b.end + slack for b in by)]


def lesson_of(plan: Plan, rows: pl.DataFrame, channel: Channel, anomalies: Sequence[Anomaly]) -> Lesson:
    """What the rows of a day teach about a channel, without those of its yellow and red anomalies."""
    spans = [
        (unix_us(a.start), unix_us(a.end))
        for a in anomalies
        if a.column == channel.column and a.severity != "info" and not a.rule.startswith(DAILY)
    ]
    empty = empty_rows(rows, channel.column)[_outside(rows[TIME].to_numpy(), spans)]
    share = float(empty.mean()) if empty.any() else 0.0
    if channel.kind in SETTINGS:
        texts = texts_of(rows, channel.column)
        kept = _outside(texts.times, spans)
        return learn_texts(Texts(texts.column, texts.times[kept], texts.values[kept]), share)
    series = series_of(plan, rows, channel.column, channel.mode)
    wild = sum(a.samples for a in anomalies if a.column == channel.column and a.rule == "spike")
    return learn(series, _outside(series.times, spans), plan.bins, channel.kind, share, wild)


def _outside(times: Int64, spans: Sequence[tuple[int, int]]) -> Bool:
    kept = np.ones(len(times), bool)
    for start, end in spans:
        kept &= (times < start) | (times > end)
    return kept


def lessons_of(plan: Plan, frame: pl.DataFrame, anomalies: Sequence[Anomaly]) -> dict[str, Lesson]:
    """What a day that was judged before teaches about each channel."""
    rows = in_time_order(plan, frame)
    return {channel.column: lesson_of(plan, rows, channel, anomalies) for channel in plan.channels}


def _level_lesson(
    day: Day, rows: pl.DataFrame, channel: Channel, anomalies: Sequence[Anomaly], lesson: Lesson
) -> Lesson:
    """The lesson that the level of the day is taken from.

    In a drift that goes on, the level rule may come to take away most rows: then all count that tell a level.
    """
    last = day.before[0][1].centers.get(channel.column, {}) if day.before else {}
    drifting = any(not teaches for _, _, teaches in last.values())
    if not drifting or any(mode.tells_level for mode in lesson.modes.values()):
        return lesson
    return lesson_of(day.plan, rows, channel, [a for a in anomalies if a.rule in SENSELESS])


def _centers(lesson: Lesson, teaches: bool) -> dict[str, Center]:
    """Levels as they are remembered: rounded, so that a fingerprint of them means something."""
    return {
        name: (_rounded(mode.center), _rounded(max(mode.sigma, lesson.quantum)), teaches)
        for name, mode in lesson.modes.items()
        if mode.tells_level
    }


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def _drift(day: Day, channel: Channel, lesson: Lesson) -> list[Anomaly]:
    """The drift that a channel is in, if it is, as an anomaly of the whole day."""
    if channel.kind != "analog":
        return []
    since = beginning(day.normals, channel.column, day.day)
    found: list[Drift] = []
    for name, (center, sigma, _) in _centers(lesson, teaches=False).items():
        past = [
            Level(d, *memory.centers[channel.column][name])
            for d, memory in reversed(day.before[:HORIZON_DAYS])
            if d >= since and name in memory.centers.get(channel.column, {})
        ]
        one = drift([*past, Level(day.day, center, sigma, teaches=False)])
        found += [one] if one else []
    return [_slow(channel.column, day.day, max(found, key=lambda one: one.total))] if found else []


def _slow(column: str, day: date, found: Drift) -> Anomaly:
    start = (day - date(1970, 1, 1)).days * DAY_US
    return Anomaly(
        column=column,
        rule="drift",
        severity="yellow",
        start=utc(start),
        end=utc(start + DAY_US - 1),
        ended=False,
        value=found.level,
        baseline=found.reference,
        score=found.off,
        samples=(day - found.onset).days + 1,
        detail=f"its daily level went from {found.reference:.6g} to {found.level:.6g} since {found.onset}, "
        f"{abs(found.off):.1f} sigma of {found.sigma:.3g}",
    )
