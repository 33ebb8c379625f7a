# SPDX-License-Identifier: Apache-2.0
"""A new normal: from a day on, what a channel does is usual, and days before it teach nothing. Kept in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from lake.definitions import Table
from lake.errors import ConfigurationError
from lake.store import Journal, Lake, iso_day
from lake.watch_definitions import split_trend

KIND = "normals"


@dataclass(frozen=True)
class Normal:
    """Who accepted what a channel or the trends of a column (`column`), or all of a table (''), do from a day on."""

    table: str
    column: str
    from_day: date
    by: str
    note: str


def read_normals(lake: Lake) -> list[Normal]:
    """All that was accepted, by table, column and day."""
    entries = Journal(lake).entries(KIND).values()
    found = [Normal(**{**entry, "from_day": date.fromisoformat(entry["from_day"])}) for entry in entries]
    return sorted(found, key=lambda normal: (normal.table, normal.column, normal.from_day))


def accept(lake: Lake, table: str, column: str, day: date, by: str, note: str) -> bool:
    """Accept what a channel, or all of a table (''), does from a day on; False if that had been done before.

    Raises ConfigurationError if the table is not watched, or neither a channel nor a trend of it is about the column.
    """
    known = lake.definitions.tables.get(table)
    if known is None or known.watch is None:
        raise ConfigurationError(f"{table}: is no watched table. Name one with `watch` in its tables.yaml.")
    channels = [c.column for c in lake.definitions.instrument(known).channels if c.table == known.name]
    watched = list(dict.fromkeys([*channels, *_of_trends(known)]))
    if column and column not in watched:
        raise ConfigurationError(f"{table}: {column!r} is no channel; it has {', '.join(watched) or 'none'}.")
    content = {"table": table, "column": column, "from_day": iso_day(day), "by": by, "note": note}
    return Journal(lake).write_once(KIND, f"{table}.{column or 'all'}-{iso_day(day)}", content)


def _of_trends(table: Table) -> list[str]:
    """The columns whose metrics are watched."""
    names = table.watch.trends if table.watch else ()
    return [column for name in names if (column := split_trend(name, table.by_name)[0])]


def beginning(normals: Sequence[Normal], column: str, day: date) -> date:
    """The day from which days teach about a channel, as far as is known on a day."""
    about = [n.from_day for n in normals if n.column in ("", column) and n.from_day <= day]
    return max(about, default=date.min)
