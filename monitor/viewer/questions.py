# SPDX-License-Identifier: Apache-2.0
"""What the viewer may be asked: parameters of a request, each checked before anything is read.

Names are looked up in the definitions and never travel further; times become integers; numbers have bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lake.definitions import Definitions, Table
from lake.errors import LimitError, QueryError
from monitor.envelopes.channels import Viewed, find, find_table

POINTS, FEWEST_POINTS, MOST_POINTS = 1000, 10, 5000  # two for each pixel of a wide screen are 5000
ROWS, MOST_ROWS = 200, 1000  # a person reads no more of them
MOST_COLUMNS = 24
LONGEST = timedelta(days=36525)  # a century: envelopes answer any span that a mission lives
LONGEST_ROWS = timedelta(days=31)
LONGEST_TEXT = 400  # of a parameter
MICROSECONDS = re.compile(r"-?\d{11,16}")
END_OF_DAY = re.compile(r"(\S{8,10}[T ])24((?::?00){0,2}(?:[.,]0+)?(?:Z|[+-][\d:]+)?)")  # ISO 8601: the next midnight
LEAP_SECOND = re.compile(r"\S{8,10}[T ]\d\d:?59:?60(?!\d).*")
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

Pairs = Sequence[tuple[str, str]]


class UnknownError(QueryError):
    """A question about a table or channel that there is not."""


@dataclass(frozen=True)
class SeriesAsked:
    """One channel from `start_us` to `stop_us`, in microseconds since 1970 UTC, for about so many points."""

    viewed: Viewed
    start_us: int
    stop_us: int
    points: int


@dataclass(frozen=True)
class RowsAsked:
    """The first `limit` rows of a table from `start_us` to `stop_us`, with these channels."""

    table: Table
    channels: tuple[Viewed, ...]
    start_us: int
    stop_us: int
    limit: int


def series_asked(definitions: Definitions, pairs: Pairs) -> SeriesAsked:
    """What /api/series is asked. Raises QueryError, of which LimitError if it is too much."""
    given = _given(pairs, {"table", "channel", "start", "stop"}, {"points"})
    start, stop = _span(given, LONGEST)
    points = _number(given, "points", POINTS, FEWEST_POINTS, MOST_POINTS)
    return SeriesAsked(_channel(definitions, given["table"], given["channel"]), start, stop, points)


def rows_asked(definitions: Definitions, pairs: Pairs) -> RowsAsked:
    """What /api/rows is asked. Raises QueryError, of which LimitError if it is too much."""
    given = _given(pairs, {"table", "columns", "start", "stop"}, {"limit"})
    start, stop = _span(given, LONGEST_ROWS)
    table = _table(definitions, given["table"])
    names = given["columns"].split(",")
    if len(names) > MOST_COLUMNS:
        raise LimitError(f"columns: {len(names)} are more than {MOST_COLUMNS}. Ask for fewer.")
    channels = tuple(_channel(definitions, table.address, name) for name in dict.fromkeys(names))
    return RowsAsked(table, channels, start, stop, _number(given, "limit", ROWS, 1, MOST_ROWS))


def table_asked(definitions: Definitions, pairs: Pairs) -> Table | None:
    """The table that /api/channels is asked for; None for all. Raises QueryError."""
    given = _given(pairs, set(), {"table"})
    return _table(definitions, given["table"]) if "table" in given else None


def _table(definitions: Definitions, address: str) -> Table:
    try:
        return find_table(definitions, address)
    except QueryError as error:
        raise UnknownError(str(error)) from None


def _channel(definitions: Definitions, address: str, name: str) -> Viewed:
    try:
        return find(definitions, address, name)
    except QueryError as error:
        raise UnknownError(str(error)) from None


def _given(pairs: Pairs, needed: set[str], more: set[str]) -> dict[str, str]:
    """Parameters by name: all that are needed, none that is unknown, none twice."""
    found = dict[str, str]()
    for name, value in pairs:
        if name not in needed | more:
            known = ", ".join(sorted(needed | more)) or "none"
            raise QueryError(f"{name[:80]!r}: is no parameter here. There are {known}.")
        if name in found or len(value) > LONGEST_TEXT or not value.isprintable():
            raise QueryError(f"{name}: is given twice, too long, or no text. Give it once, in at most 400 characters.")
        found[name] = value
    if missing := sorted(needed - found.keys()):
        raise QueryError(f"{', '.join(missing)}: missing. Add what is missing to the address.")
    return found


def _span(given: Mapping[str, str], longest: timedelta) -> tuple[int, int]:
    start, stop = (_microseconds(name, given[name]) for name in ("start", "stop"))
    if start >= stop:
        raise QueryError("start: is not before stop. Swap them.")
    if stop - start > longest // timedelta(microseconds=1):
        raise LimitError(f"start, stop: are more than {longest.days} days apart. Ask for a shorter time.")
    return start, stop


def _microseconds(name: str, text: str) -> int:
    """A time as integer microseconds since 1970, or as ISO 8601; UTC unless it says otherwise."""
    lowest, highest = (round(bound.timestamp()) * 1_000_000 for bound in (FIRST, LAST))
    found = int(text) if MICROSECONDS.fullmatch(text) else _of_iso(name, text)
    if not lowest <= found <= highest:
        raise QueryError(f"{name}: {text[:40]!r} lies not from 1970 to 2200. Correct it.")
    return found


def _of_iso(name: str, text: str) -> int:
    """Microseconds since 1970 of ISO 8601, in which 24:00 is the midnight after the day."""
    if LEAP_SECOND.fullmatch(text):
        raise QueryError(
            f"{name}: {text[:40]!r} is a leap second, which times of rows have no name for: rows in it are at "
            "23:59:59.999999. Write that, or the midnight after it."
        )
    late = END_OF_DAY.fullmatch(text)
    try:
        time = datetime.fromisoformat(f"{late[1]}00{late[2]}" if late else text)
        aware = (time if time.tzinfo else time.replace(tzinfo=UTC)) + timedelta(days=bool(late))
        return (aware - FIRST) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise QueryError(f"{name}: {text[:40]!r} is no time. Write 2026-08-01T12:00:00.000000Z.") from None


def _number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise QueryError(f"{name}: {text[:40]!r} is no number from {least} to {most}. Correct it.")
    return int(text)
