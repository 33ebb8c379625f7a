# SPDX-License-Identifier: Apache-2.0
"""The viewer's pages: an index of all channels with their newest values, a page for each table, and its data."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from lake.answers import Answers, Limits
from lake.definitions import Table
from lake.errors import ConfigurationError, QueryError
from monitor.envelopes.asking import Asked
from monitor.envelopes.channels import Viewed, viewed_of, viewed_tables
from monitor.envelopes.layout import WIDTHS, Level, day_start
from monitor.envelopes.reading import level_rows, span
from monitor.envelopes.state import state_of
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.page import Asset, Page
from monitor.viewer.sparklines import spark
from monitor.viewer.static_data import MICROSECOND, Part, by_month, month_start, scripts
from monitor.viewer.telling import limits_of, marks, told, verdict

log = logging.getLogger(__name__)

DAY_US = 86_400 * MICROSECOND
HOUR_DAYS = 90  # of hourly buckets in the static pages, and those before in the first month; before that there are days
FINE_DAYS = 7  # of ten minutes, in a lake that has no more than SHORT_DAYS of a table
SHORT_DAYS = 31
SPARK_DAYS = 7
SPARK_SECONDS = 3600
# The site is built in the night, where nobody waits for a single answer.
LIMITS = Limits(seconds=60.0, rows=10_000_000)


@dataclass(frozen=True)
class Shown:
    """A table with its channels and what its page has of them: its last row as `newest`; or `problem`, why nothing."""

    table: Table
    channels: tuple[Viewed, ...]
    span: tuple[int, int] | None
    parts: tuple[Part, ...]
    newest: dict[str, Any]
    problem: str = ""

    @property
    def newest_at(self) -> datetime | None:
        """The time of the last row."""
        return None if self.span is None else datetime.fromtimestamp(self.span[1] / MICROSECOND, UTC)


def parts(facts: Facts) -> Iterator[Page | Asset]:
    """The index, the pages of tables, and scripts with their envelopes."""
    answers = _answers(facts)
    lines = list[tuple[Shown, list[dict[str, Any]]]]()
    for table in viewed_tables(facts.definitions):
        shown = _shown(facts, answers, table)
        lines.append((shown, [_line(facts, shown, channel) for channel in shown.channels]))
        yield _page(facts, shown)
        for part in shown.parts:
            yield from scripts(table.address, shown.channels, part)
    outside = [line for _, channels in lines for line in channels if line["state"] in ("red", "yellow")]
    limited = sum(line["state"] != "none" for _, channels in lines for line in channels)
    about = {"title": "Channels", "instruments": _instruments(facts, lines), "outside": outside, "limited": limited}
    yield Page(places.CHANNELS, "channels.html", about)


def _answers(facts: Facts) -> Answers | None:
    try:
        return Answers(facts.lake, LIMITS)
    except ConfigurationError:  # no catalog, so nothing has been received
        return None


def _shown(facts: Facts, answers: Answers | None, table: Table) -> Shown:
    channels = viewed_of(facts.definitions, table)
    try:
        reach = span(answers, table) if answers else None
        if answers is None or reach is None:
            return Shown(table, channels, None, (), {})
        held = tuple(part for part in _parts(answers, table, reach) if part.rows.height)
        return Shown(table, channels, reach, held, _newest(facts, answers, table, reach[1]))
    except QueryError as error:  # one damaged table takes no other page with it
        log.warning("channels table=%s error=%r", table.address, str(error))
        return Shown(table, channels, None, (), {}, str(error))


def _parts(answers: Answers, table: Table, reach: tuple[int, int]) -> Iterator[Part]:
    """Days of all time, hours of the last months month by month, and ten minutes where the lake is young."""
    first, after = reach[0] // DAY_US * DAY_US, (reach[1] // DAY_US + 1) * DAY_US
    yield _part(answers, table, ("day", "days"), first, after)
    # Months are whole: the first one would lose a day, and be written again, each night.
    start = max(first, month_start(after - HOUR_DAYS * DAY_US))
    yield from by_month(_part(answers, table, ("hour", "hours"), start, after))
    if after - first <= SHORT_DAYS * DAY_US:
        start = max(first, after - FINE_DAYS * DAY_US)
        yield _part(answers, table, ("ten_minutes", "ten_minutes"), start, after)


def _part(answers: Answers, table: Table, name: tuple[Level, str], start: int, after: int) -> Part:
    marks = {day: m for day, m in state_of(Asked(answers), table).marks.items() if start <= day_start(day) < after}
    rows = level_rows(answers, table, name[0], start, after)
    return Part(*name, WIDTHS[name[0]], start, after, rows, marks)


def _newest(facts: Facts, answers: Answers, table: Table, last_us: int) -> dict[str, Any]:
    """The last row: its channels by name, and the columns by which limits ask for a mode."""
    channels = viewed_of(facts.definitions, table)
    modes = {limit.when.column for channel in channels for limit in limits_of(facts.definitions, channel) if limit.when}
    values = [(channel.name, _value(channel)) for channel in channels] + [(name, f'"{name}"') for name in sorted(modes)]
    sql = (
        f'SELECT {", ".join(value for _, value in values)} FROM "{table.mission}"."{table.name}" '  # noqa: S608  ours
        'WHERE day = $day AND "time" = make_timestamptz($time) LIMIT 1'
    )
    rows = answers.ask(sql, {"day": _day(last_us), "time": last_us})
    row = [column[0].as_py() for column in rows.columns] if rows.num_rows else [None] * len(values)
    return {name: value for (name, _), value in zip(values, row, strict=True)}


def _value(channel: Viewed) -> str:
    name = f'"{channel.column.name}"'
    return name if channel.place is None else f"{name}[{channel.place + 1}]"


def _page(facts: Facts, shown: Shown) -> Page:
    table = shown.table
    data = {
        "table": table.address,
        "cadence": table.cadence_seconds,
        "gap": table.watch.gap_seconds if table.watch else None,
        "span": shown.span,
        "channels": [_channel(facts, shown, channel) for channel in shown.channels],
        "parts": [part.said for part in shown.parts],
        "marks": marks(facts, table),
    }
    about = {
        "title": table.title,
        "address": table.address,
        "grain": table.grain,
        "description": table.description,
        "table_page": places.table(table.address),
        "instrument_page": places.instrument(table.mission, table.instrument),
        "index": places.CHANNELS,
        "empty": shown.span is None,
        "problem": shown.problem,
        "data": data,
    }
    return Page(places.channels(table.address), "channels_table.html", about)


def _channel(facts: Facts, shown: Shown, channel: Viewed) -> dict[str, Any]:
    scripts_of = {part.name: places.channel_data(shown.table.address, channel.name, part.name) for part in shown.parts}
    return {**told(facts.definitions, channel), "scripts": scripts_of}


def _line(facts: Facts, shown: Shown, channel: Viewed) -> dict[str, Any]:
    """A channel on the index."""
    limits = limits_of(facts.definitions, channel)
    value = shown.newest.get(channel.name)
    return {
        "name": channel.name,
        "unit": channel.unit,
        "description": channel.description,
        "to": places.channels(shown.table.address, channel.name),
        "value": value,
        "state": verdict(limits, value, shown.newest),
        "spark": _spark(shown, channel),
    }


def _spark(shown: Shown, channel: Viewed) -> dict[str, object]:
    hours = [part for part in shown.parts if part.level == "hour"]
    since = max((part.stop_us for part in hours), default=0) - SPARK_DAYS * DAY_US
    time, low, high, mean = list[int](), list[float](), list[float](), list[float]()
    for part in hours:
        first = int(part.times.searchsorted(since))
        time += (part.times[first:] // MICROSECOND).tolist()
        low += part.numbers(channel, "low")[first:].tolist()
        high += part.numbers(channel, "high")[first:].tolist()
        mean += part.numbers(channel, "mean")[first:].tolist()
    return spark(time, low, high, mean, SPARK_SECONDS).said


def _instruments(facts: Facts, lines: list[tuple[Shown, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """The index by instrument: tables that have data with their channels, and the names of the others."""
    found = dict[tuple[str, str], dict[str, Any]]()
    for shown, channels in lines:
        table = shown.table
        key = (table.mission, table.instrument)
        title = facts.definitions.mission(key[0]).instrument(key[1]).title
        group = found.setdefault(
            key, {"name": f"{key[0]} {key[1]}", "title": title, "tables": [], "without": [], "unreadable": []}
        )
        if shown.span is None:
            group["unreadable" if shown.problem else "without"].append(
                {"text": table.address, "to": places.channels(table.address)}
            )
        else:
            page = {"address": table.address, "title": table.title, "to": places.channels(table.address)}
            group["tables"].append({**page, "at": shown.newest_at, "channels": channels})
    return list(found.values())


def _day(microseconds: int) -> date:
    return datetime.fromtimestamp(microseconds // MICROSECOND, UTC).date()
