# SPDX-License-Identifier: Apache-2.0
"""Tables that fell silent while others of their instrument go on: nobody has to say how often data should come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from lake.definitions import Table
from quality.alerts.standing import since_row
from quality.alerts.stretches import Row

BEHIND = timedelta(hours=12)  # a pass that brings one file before the other is no silence; a day without one is
USUAL, OF_DAYS = 3, 7  # a table that had rows on so many of so many days has them every day or two

Days = Mapping[str, Iterable[date]]


def behind(days: Days, tables: Mapping[str, Table]) -> dict[str, str]:
    """Watched tables that usually have rows and none on the newest day of their instrument, with one that has.

    `days` are the days that each watched table has.
    """
    last = {address: max(own) for address, own in days.items() if address in tables and own}
    newest: dict[tuple[str, str], str] = {}
    for address in sorted(last, key=lambda address: (last[address], address)):
        newest[_instrument(tables[address])] = address
    ahead = {address: newest[_instrument(tables[address])] for address in last}
    return {
        address: other
        for address, other in sorted(ahead.items())
        if last[address] < last[other] and _is_usual(days[address], last[address])
    }


def _instrument(table: Table) -> tuple[str, str]:
    return table.mission, table.instrument


def _is_usual(days: Iterable[date], last: date) -> bool:
    return sum(last - timedelta(days=OF_DAYS) < day <= last for day in days) >= USUAL


def silent_rows(found: Mapping[str, str], last: Mapping[str, datetime], tables: Mapping[str, Table]) -> list[Row]:
    """The tables that are behind by more than half a day, as anomalies of the table. `last` has their newest times.

    They begin, and as far as is known end, there: when data come, the same time begins the gap.
    """
    rows = []
    for address, other in found.items():
        watch, since, until = tables[address].watch, last.get(address), last.get(other)
        if watch is None or since is None or until is None:
            continue
        if until - since - watch.planned(since, until) > BEHIND:
            told = f"{other} has some until {until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            rows.append(since_row(address, since, "silent", (until - since).total_seconds() / 3600, told))
    return rows
