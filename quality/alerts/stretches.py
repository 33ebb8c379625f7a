# SPDX-License-Identifier: Apache-2.0
"""Anomalies joined to stretches of time: what overlaps or touches in one channel, also over midnight, is one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lake.definitions import Table
from lake.watch_definitions import Watch
from quality.anomalies.nouns import RANKS

COARSE = {"drift", "trend", "completeness", "latency", "ratio"}  # rules about whole days
SAMPLES = 3  # of a channel: what is so near in time began, or ended, together
NEAR = timedelta(seconds=60)  # the same for channels of a faster cadence, and of one that nobody knows
SEVERAL = 3  # channels that begin together have one cause; two may do so by chance
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Row:
    """A row of ops.anomalies. Times are UTC."""

    table: str
    day: date
    column: str
    rule: str
    severity: str
    start: datetime
    end: datetime
    ended: bool
    value: float | None
    baseline: float | None
    score: float | None
    detail: str
    plot: str

    @property
    def is_coarse(self) -> bool:
        """Whether it is about whole days, so that its start is no time of day."""
        return root(self.rule) in COARSE

    @property
    def rank(self) -> tuple[int, bool, float]:
        """The worst has the highest: by severity, then what has a time of day, then how far from usual."""
        return RANKS[self.severity], not self.is_coarse, abs(self.score or 0.0)


@dataclass(frozen=True)
class Stretch:
    """Anomalies of one channel (or of several with a common cause) that belong together, in order of their start.

    `timed` tells that the start is a time of day, not the beginning of one.
    """

    rows: tuple[Row, ...]
    start: datetime
    timed: bool
    end: datetime
    ended: bool

    @property
    def columns(self) -> list[str]:
        """The channels, in order."""
        return sorted({row.column for row in self.rows})

    @property
    def worst_first(self) -> list[Row]:
        """The rows, the worst first; of equal ones the earlier."""
        # The sort is stable, and `rows` are in order of time.
        return sorted(self.rows, key=lambda row: row.rank, reverse=True)


def root(rule: str) -> str:
    """The rule without what it is about: `trend` of `trend:latency_p95_s`."""
    return rule.partition(":")[0]


def last_day(start: datetime, end: datetime) -> date:
    """The UTC day in which a stretch ends: one that ends at midnight ends with the day before."""
    return (max(start, end - INSTANT)).astimezone(UTC).date()


def nearness(table: Table) -> timedelta:
    """How near two times of a table are that are told as one: three samples, and at least a minute."""
    return max(timedelta(seconds=SAMPLES * (table.cadence_seconds or 0.0)), NEAR)


def stretches(rows: Iterable[Row], tables: Mapping[str, Table], watched: Mapping[str, date]) -> list[Stretch]:
    """The stretches of all channels, in order of table, column and time.

    `watched` has the last watched day of each table: what was not known to have ended, and is not there on a later
    day, has ended.
    """
    by_channel: dict[tuple[str, str], list[Row]] = {}
    for row in _explained(rows, watched):
        by_channel.setdefault((row.table, row.column), []).append(row)
    return [
        _stretch(group, watched.get(table, date.min))
        for (table, _), members in sorted(by_channel.items())
        for group in _joined(members, tables[table])
    ]


def _explained(rows: Iterable[Row], watched: Mapping[str, date]) -> list[Row]:
    """The rows without those that a gap explains: a day with a gap is not complete.

    That the newest day is not complete tells nothing yet: more may come, and a gap at its end is known by what follows.
    """
    found = list(rows)
    gaps = [row for row in found if root(row.rule) == "gap"]
    known = {(gap.table, day) for gap in gaps for day in _days(gap.start.date(), last_day(gap.start, gap.end))}
    known |= set(watched.items())
    return [row for row in found if "completeness" not in row.rule or (row.table, row.day) not in known]


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _joined(rows: list[Row], table: Table) -> list[list[Row]]:
    """Rows of one channel in groups that overlap or touch."""
    groups: list[list[Row]] = []
    reach = datetime.min.replace(tzinfo=UTC)
    for row in sorted(rows, key=lambda row: (row.start, row.end, row.rule, row.day)):
        if groups and row.start <= reach:
            groups[-1].append(row)
            reach = max(reach, _reach(row, table))
        else:
            groups.append([row])
            reach = _reach(row, table)
    return groups


def _reach(row: Row, table: Table) -> datetime:
    """Until when the next row has to begin to touch: one that had not ended goes on until rows would be missing."""
    if row.ended:
        return row.end + nearness(table)
    gap = timedelta(seconds=(table.watch or Watch()).no_gap_seconds)
    return row.end + max(gap, nearness(table))


def _stretch(rows: list[Row], last_watched: date) -> Stretch:
    first = _first(rows)
    open_rows = [row for row in rows if not row.ended and last_watched <= row.day]
    start, end = min(row.start for row in first), max(row.end for row in rows)
    return Stretch(tuple(rows), start, not first[0].is_coarse, end, not open_rows)


def _first(rows: list[Row]) -> list[Row]:
    """The rows of which one begins the stretch, as it was known on the day on which it was first found.

    An id is made of the start, and has to be the same whether days come one by one or at once. A drift is found days
    after its onset: it does not move the start of a step that was found before. On the first day, what has a time of
    day goes before what is about the whole day.
    """
    day = min(row.day for row in rows)
    found = [row for row in rows if row.day == day]
    return [row for row in found if not row.is_coarse] or found


def with_common_cause(found: list[Stretch], tables: Mapping[str, Table]) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches that stand alone, and those of three or more channels of a table that began together, as one each.

    Those that begin with a whole day are compared with each other alone: they all begin at midnight.
    """
    alone = [stretch for stretch in found if not stretch.columns[0]]
    wholes: list[Stretch] = []
    kinds: dict[tuple[str, bool], list[Stretch]] = {}
    for stretch in (stretch for stretch in found if stretch.columns[0]):
        kinds.setdefault((stretch.rows[0].table, stretch.timed), []).append(stretch)
    for (table, _), members in sorted(kinds.items()):
        single, several = together(members, nearness(tables[table]), lambda stretch: stretch.columns, SEVERAL)
        alone += single
        wholes += several
    return alone, merged(wholes, lambda stretch: stretch.rows[0].table)


def together(
    found: list[Stretch], near: timedelta, whose: Callable[[Stretch], Iterable[str]], least: int
) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches that stand alone, and those that begin near the first one of them, `least` and more, as one each.

    `whose` tells what a stretch is of: one that begins together with others of the same is not one more.
    """
    left = sorted(found, key=lambda stretch: (stretch.start, sorted(whose(stretch))))
    starts = [stretch.start for stretch in left]
    alone, several, at = list[Stretch](), list[Stretch](), 0
    while at < len(left):
        near_first = left[at : bisect_right(starts, starts[at] + near)]
        many = len({name for stretch in near_first for name in whose(stretch)}) >= least
        if many:
            several.append(union(near_first))
        else:
            alone.append(left[at])
        at += len(near_first) if many else 1
    return alone, several


def union(found: list[Stretch]) -> Stretch:
    """Stretches as one."""
    rows = sorted((row for s in found for row in s.rows), key=lambda row: (row.start, row.end, row.column, row.rule))
    first = min(found, key=lambda s: s.start)
    end, ended = max(s.end for s in found), all(s.ended for s in found)
    return Stretch(tuple(rows), first.start, first.timed, end, ended)


def merged(found: list[Stretch], key: Callable[[Stretch], object]) -> list[Stretch]:
    """Of what `key` gives at most one stretch at a time: those of an equal key that overlap are one."""
    last: dict[object, int] = {}
    joined: list[Stretch] = []
    for stretch in sorted(found, key=lambda s: (s.start, s.rows[0].table)):
        at = last.get(key(stretch))
        if at is not None and (stretch.start <= joined[at].end or not joined[at].ended):
            joined[at] = union([joined[at], stretch])
        else:
            last[key(stretch)] = len(joined)
            joined.append(stretch)
    return joined
