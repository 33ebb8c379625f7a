# SPDX-License-Identifier: Apache-2.0
"""Watching: which table-days are due, and the rows of ops.anomalies and ops.watched about them.

A finding is a function of a day's rows, of what the days before it teach, and of definitions; a fingerprint of all that
says whether a day is due. So days that come one by one are found to be what they would be found to be at once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from math import isfinite
from typing import NamedTuple

import polars as pl

from lake.definitions import Table
from lake.ledger import fingerprint, next_run_id, read_contents, read_ops
from lake.store import Lake
from lake.watch_definitions import Watch, split_trend
from quality.anomalies.books import GONE, News, State, forget, note, read_anomalies, read_states, write
from quality.anomalies.day import METHODS, Day, Judged, judge
from quality.anomalies.lessons import DIGITS
from quality.anomalies.memory import Memory, read_memory
from quality.anomalies.normal import Normal, read_normals
from quality.anomalies.nouns import Anomaly
from quality.anomalies.rows import Plan, plan_of
from quality.anomalies.trailing import Trailing, read_rows
from quality.anomalies.trends import trend_names
from quality.anomalies.usual import HORIZON_DAYS
from quality.history import metric_history

log = logging.getLogger(__name__)

REMEMBERED = HORIZON_DAYS + 1  # the metrics of the day before are judged with as many days before it

Metrics = Mapping[date, Mapping[str, float | None]]
Missing = Mapping[date, Sequence[tuple[datetime, int]]]


@dataclass
class Watched:
    """Outcome of watching: table-days judged, and what is yellow or red in them (table, day, anomaly)."""

    table_days: int = 0
    found: list[tuple[str, date, Anomaly]] = field(default_factory=list)


@dataclass(frozen=True)
class Book:
    """What is known of a table before its days are judged."""

    plan: Plan
    contents: Mapping[date, str]
    states: Mapping[date, State]
    missing: Missing
    trends: Metrics
    normals: Sequence[Normal]
    mark: str


class Past(NamedTuple):
    """A day before one that is judged: its memory as text, and the hash of that."""

    day: date
    usual: str
    mark: str


def watch_all(
    lake: Lake,
    run_id: str | None = None,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
) -> Watched:
    """Judge every day of the watched tables for which something changed that its anomalies depend on.

    Raises StorageError if another process transforms, judges or exports all the while.
    """
    with lake.storage.alone("build"):
        return _watch(lake, run_id or next_run_id(lake, "watched", "anomalies"), tables, days, force)


def _watch(lake: Lake, run_id: str, tables: list[Table] | None, days: set[date] | None, force: bool) -> Watched:
    watched, news = Watched(), News()
    asked = tables if tables is not None else list(lake.definitions.tables.values())
    wanted, states = [table for table in asked if table.watch is not None], read_states(lake)
    if tables is None and days is None:
        _watched_no_more(news, states, {table.address for table in wanted})
    for book in _books(lake, wanted, states):
        _gone(news, book, days)
        for day, state, judged in _judged(lake, book, days, force):
            instrument = {"mission": book.plan.table.mission, "instrument": book.plan.table.instrument}
            note(news, book.plan, day, state, judged.anomalies, instrument)
            watched.table_days += 1
            alerting = [anomaly for anomaly in judged.anomalies if anomaly.severity != "info"]
            watched.found += [(book.plan.table.address, day, anomaly) for anomaly in alerting]
            log.info("watch table=%s day=%s anomalies=%d", book.plan.table.address, day, len(judged.anomalies))
    write(lake, news, run_id)
    return watched


def _books(lake: Lake, tables: Sequence[Table], states: Mapping[str, Mapping[date, State]]) -> Iterator[Book]:
    if not tables:
        return
    contents, normals = read_contents(lake), read_normals(lake)
    gaps, plans = read_ops(lake, "gaps"), [_plan(lake, table) for table in tables]
    metrics = _metrics(lake, plans)
    for plan in plans:
        table = plan.table
        own = {day: content for (address, day), content in contents.known.items() if address == table.address}
        about = [normal for normal in normals if normal.table == table.address]
        missing, trends = _missing(lake, table, gaps), _trends(plan, own, metrics.get((table.address,)))
        yield Book(plan, own, states.get(table.address, {}), missing, trends, about, _mark(plan))


def _plan(lake: Lake, table: Table) -> Plan:
    instrument, mission = lake.definitions.instrument(table), lake.definitions.mission(table.mission)
    return plan_of(table, instrument.channels, instrument.limits, mission.orbit_seconds)


def _metrics(lake: Lake, plans: Iterable[Plan]) -> dict[tuple[object, ...], pl.DataFrame]:
    """The history of all metrics that are watched, by table."""
    asked = [
        (plan.table.address, *split_trend(name, plan.table.by_name))
        for plan in plans
        for name in trend_names(plan.watch)
    ]
    return metric_history(lake, asked).partition_by("table_name", as_dict=True)


def _mark(plan: Plan) -> str:
    """Fingerprint of what findings depend on besides data. What else `watch` says counts by what it does to a day."""
    watch = (plan.watch.period, plan.watch.gap_seconds)
    texts = [noun.model_dump(mode="json", exclude={"source"}) for noun in (*plan.channels, *plan.limits)]
    kinds = [(c.name, c.type, c.valid, c.conversion) for c in plan.table.columns if c.name in plan.columns]
    flags = [(flag.name, flag.bit) for flag in plan.table.flags]
    return fingerprint(METHODS, watch, texts, kinds, flags, plan.period_s, plan.table.cadence_seconds)


def _missing(lake: Lake, table: Table, gaps: pl.DataFrame) -> Missing:
    """Packets that are missing in the telemetry of a table by day, with the time of the packet after them."""
    decoded = next((t for t in lake.definitions.ancestors(table) if t.level == "l0"), table)
    packet = next((p for p in lake.definitions.instrument(decoded).packets if p.name == decoded.packet), None)
    if packet is None or gaps.is_empty():
        return {}
    own = gaps.filter(
        pl.col("mission") == decoded.mission,
        pl.col("instrument") == decoded.instrument,
        pl.col("apid").is_in(packet.apids),
        pl.col("end_time").is_not_null(),
    ).sort("end_time", "missing")
    found: dict[date, list[tuple[datetime, int]]] = {}
    for day, time, number in own.select("day", "end_time", "missing").iter_rows():
        found.setdefault(day, []).append((time, number))
    return found


def _judged(lake: Lake, book: Book, days: set[date] | None, force: bool) -> Iterator[tuple[date, State, Judged]]:
    """The days that are due, in order, with their new state: what a day teaches may make those after it due."""
    before: deque[Past] = deque(maxlen=REMEMBERED)
    work: _Work | None = None
    for day in sorted(book.contents):
        known = book.states.get(day)
        state = _state(book, day, before)
        wanted = days is None or day in days
        if wanted and (force or known is None or known.state != state):
            work = work or _Work(lake, book, day)
            judged = work.judge(day, before)
            known = State(state, judged.memory.text)
            yield day, known, judged
        if known is not None and known.state != GONE:
            before.appendleft(Past(day, known.usual, sha256(known.usual.encode()).hexdigest()))


def _state(book: Book, day: date, before: Sequence[Past]) -> str:
    """Fingerprint of all that the finding of a day depends on."""
    first = before[-1].day if before else day
    normals = [(n.column, n.from_day) for n in book.normals if first <= n.from_day <= day]
    past = [(one.day, one.mark) for one in before]
    metrics = sorted(book.trends.get(day, {}).items())
    off = _off(book.plan.watch, before[0].day if before else day, day)
    return fingerprint(book.contents[day], book.mark, book.missing.get(day, ()), metrics, off, normals, past)


def _off(watch: Watch, first: date, last: date) -> list[tuple[datetime, datetime]]:
    """The planned times without data that may lie in a gap between two days, both included."""
    return [(o.start, o.stop) for o in watch.off if _utc_day(o.start) <= last and _utc_day(o.stop) >= first]


def _utc_day(time: datetime) -> date:
    return time.astimezone(UTC).date()


class _Work:
    """Judging days of one table, from the first one that is due."""

    def __init__(self, lake: Lake, book: Book, first: date) -> None:
        self.lake, self.book = lake, book
        past = sorted(day for day in book.contents if day < first)[-REMEMBERED:]
        anomalies = read_anomalies(lake, book.plan.table.address, past[0] if past else first)
        self.trailing = Trailing(lake, book.plan, anomalies)
        self.memories: dict[str, Memory] = {}

    def judge(self, day: date, before: Sequence[Past]) -> Judged:
        """The finding of a day, given the memories of the days before it."""
        remembered = [(one.day, self._memory(one)) for one in before]
        judged = judge(
            Day(
                plan=self.book.plan,
                day=day,
                frame=read_rows(self.lake, self.book.plan, day),
                usual=self.trailing.usual(day, remembered, self.book.normals),
                before=remembered,
                missing=self.book.missing.get(day, ()),
                trends=self.book.trends.get(day, {}),
                normals=self.book.normals,
            )
        )
        self.trailing.lessons[day] = judged.lessons
        return judged

    def _memory(self, past: Past) -> Memory:
        if past.mark not in self.memories:
            self.memories[past.mark] = read_memory(past.usual)
        return self.memories[past.mark]


def _trends(plan: Plan, days: Collection[date], history: pl.DataFrame | None) -> Metrics:
    """The watched metrics of the days of a table, by day and name."""
    names = {split_trend(name, plan.table.by_name): name for name in trend_names(plan.watch)}
    found: dict[date, dict[str, float | None]] = {day: dict.fromkeys(names.values()) for day in days}
    for _, day, column, metric, value in () if history is None else history.iter_rows():
        if day in found and value is not None and isfinite(value):
            found[day][names[column, metric]] = float(f"{value:.{DIGITS}g}")
    return found


def _gone(news: News, book: Book, days: set[date] | None) -> None:
    """Days that have no rows any more have no anomalies either."""
    for day, known in sorted(book.states.items()):
        if day not in book.contents and known.state != GONE and (days is None or day in days):
            forget(news, book.plan.table.address, day)


def _watched_no_more(news: News, states: Mapping[str, Mapping[date, State]], watched: Collection[str]) -> None:
    """Days of tables that are not watched any more have no anomalies either."""
    for address in sorted(states.keys() - set(watched)):
        for day, known in sorted(states[address].items()):
            if known.state != GONE:
                forget(news, address, day)
