# SPDX-License-Identifier: Apache-2.0
"""Tables by day: how each table-day of the last two months stands, others by month, and those to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from monitor.site import places, queries
from monitor.site.calendars import months
from monitor.site.facts import Facts
from monitor.site.filters import number
from monitor.site.page import Page
from monitor.site.sections import Cell, bounded, link, mark, section, told
from monitor.site.states import MEANINGS, WORDS, State, states

SHOWN_DAYS = 62  # two months of any length
QUIET_DAYS = 31  # if the last data are older, the matrix ends with them and not with today
LETTERS = {"made": "·", "delivered": "D", "stale": "S", "failed": "F", "missing": "M", "waiting": "W", "withheld": "C"}
TO_LOOK_AT = ("failed", "missing", "withheld", "stale", "waiting")
RANKS = {"failed": "fail", "missing": "fail", "withheld": "warn", "stale": "warn", "waiting": "none"}


def parts(facts: Facts) -> Iterator[Page]:
    """The matrix of the newest days, and a page for each month with older ones, or with some of the future."""
    found, days = facts.once(states), shown_days(facts)
    exported = facts.once(_exported)
    others = other_months(facts)
    links = [link(f"{month:%B %Y}", places.matrix(f"{month:%Y-%m}")) for month in others]
    about = {"title": "Tables by day", "others": links, "legend": _legend(), **_matrix(facts, days, exported)}
    yield Page(places.MATRIX, "matrix.html", about | {"sections": [_to_look_at(facts, found)]})
    for month in others:
        of_month = {**_matrix(facts, _month(month), exported), "legend": _legend(), "others": [], "sections": []}
        yield Page(places.matrix(f"{month:%Y-%m}"), "matrix.html", of_month | {"title": f"Tables in {month:%B %Y}"})


def shown_days(facts: Facts) -> list[date]:
    """The newest days of the matrix: up to today, or to the last day with data where these ended long ago."""
    known = [day for _, day in facts.once(states) if day <= facts.latest]
    if not known:
        return []
    today, last = facts.now.date(), max(known)
    end = today if timedelta(0) <= today - last <= timedelta(days=QUIET_DAYS) else last
    return [end - timedelta(days=before) for before in reversed(range(SHOWN_DAYS))]


def other_months(facts: Facts) -> list[date]:
    """Months that have a page of their own, the newest first: those with older days, and those with days not yet."""
    first = min(shown_days(facts), default=date.max)
    apart = {day.replace(day=1) for _, day in facts.once(states) if day < first or day > facts.latest}
    return sorted(apart, reverse=True)


def _month(first: date) -> list[date]:
    days = (first + timedelta(days=after) for after in range(31))
    return [day for day in days if day.month == first.month]


def _exported(facts: Facts) -> frozenset[tuple[str, date]]:
    return frozenset(facts.ops("exports").select("product", "day").unique().iter_rows())


def _legend() -> list[dict[str, str]]:
    return [{"word": word, "letter": LETTERS[word], "text": text} for word, text in MEANINGS.items()]


def _matrix(facts: Facts, days: Sequence[date], exported: frozenset[tuple[str, date]]) -> dict[str, Any]:
    """Months, days, and by instrument the tables with a cell for each day: word, title, place."""
    found = facts.once(states)
    groups = [
        (f"{mission.name} {instrument.name}", rows)
        for mission in facts.definitions.missions
        for instrument in mission.instruments
        if (rows := [_row(table.address, days, found, exported) for table in instrument.tables])
    ]
    seen = [(name, rows) for name, rows in groups if any(cell for row in rows for cell in row["cells"])]
    return {
        "months": months(days),
        "days": [f"{day:%d}" for day in days],
        "groups": seen,
        "without": [name for name, _ in groups if name not in dict(seen)],
        "letters": LETTERS,
    }


def _row(
    address: str, days: Sequence[date], found: dict[tuple[str, date], State], exported: frozenset[tuple[str, date]]
) -> dict[str, Any]:
    cells = [_cell((address, day), found.get((address, day)), exported) for day in days]
    return {"name": address.partition(".")[2], "to": places.table(address), "cells": cells}


def _cell(
    key: tuple[str, date], state: State | None, exported: frozenset[tuple[str, date]]
) -> tuple[str, str, str] | None:
    if state is None:
        return None
    word = state.shown
    why = told(state.reasons, 200) if state.reasons else ""
    to = places.product(*key) if key in exported else places.table(key[0])
    return word, f"{key[1]} {word}" + (f": {why}" if why else ""), to


def _to_look_at(facts: Facts, found: dict[tuple[str, date], State]) -> dict[str, Any]:
    """The table-days that are not well, the worst words first and of each the newest days first."""
    rows = noteworthy(found)
    shown, more = bounded([row for word in TO_LOOK_AT for row in rows[word]])
    return section(
        "Table-days to look at",
        ("state", "table", "day", "why"),
        [_line(*row) for row in shown],
        note=more,
        query=queries.failed_runs(),
        finder="look",
        none="All table-days are made and up to date.",
    )


def noteworthy(found: dict[tuple[str, date], State]) -> dict[str, list[tuple[str, str, date, str]]]:
    """By word: word, table, day and reason of the table-days that a person should look at, the newest first."""
    rows = dict[str, list[tuple[str, str, date, str]]]({word: [] for word in TO_LOOK_AT})
    odd = [(day, address, state.shown) for (address, day), state in found.items() if state.shown in rows]
    for day, address, word in sorted(odd, key=lambda row: (-row[0].toordinal(), row[1])):
        state = found[address, day]
        rows[word].append((word, address, day, state.why if word != "withheld" else ", ".join(state.broken)))
    return rows


def _line(word: str, address: str, day: date, why: str) -> list[Cell]:
    return [mark(word, RANKS[word]), link(address, places.table(address)), str(day), told(why)]


def counts(found: dict[tuple[str, date], State]) -> str:
    """How many table-days there are of each word, in words."""
    numbers = dict.fromkeys(WORDS, 0)
    for state in found.values():
        numbers[state.word] += 1
    return ", ".join(f"{number(count)} {word}" for word, count in numbers.items() if count)
