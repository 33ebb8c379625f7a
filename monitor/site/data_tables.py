# SPDX-License-Identifier: Apache-2.0
"""The page of a data table: what it holds, where it comes from and goes to, its last runs, its days, what is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from lake.definitions import Table
from monitor.envelopes.channels import viewed_of
from monitor.site import places
from monitor.site.definition_words import (
    COLUMNS,
    LIMITS,
    axis_row,
    column_row,
    dependents,
    flag_rows,
    limit_rows,
    status_of,
    table_link,
)
from monitor.site.descent import versions
from monitor.site.facts import Facts
from monitor.site.filters import duration, number, utc
from monitor.site.judged import Judged, judged, severity
from monitor.site.matrix import LETTERS
from monitor.site.page import Page
from monitor.site.product_days import pictures
from monitor.site.sections import Cell, amount, bounded, equal, link, mark, record, section, select, told
from monitor.site.standing import Standing, standings
from monitor.site.states import State, states

Row = Mapping[str, Any]
Key = tuple[str, date]
LAST_RUNS = 20
LAST_DAYS = 62  # two months; the matrix has more
LAST_MONTHS = 6  # of the calendar


@dataclass(frozen=True)
class Books:
    """What the lake knows of its data tables, gathered once."""

    days: Mapping[str, Sequence[date]]  # by address, in order: those that there are or should be
    rows: Mapping[Key, int]
    runs: Mapping[str, list[Row]]  # the newest ones of each table
    judged: Mapping[Key, Judged]
    states: Mapping[Key, State]
    exported: Collection[Key]
    standings: Mapping[Key, Standing]
    pictures: frozenset[str]
    dependents: Mapping[str, list[str]]


def read_books(facts: Facts) -> Books:
    """All that table pages tell."""
    runs = defaultdict[str, list[Row]](list)
    newest_first = facts.runs.reverse().group_by("table_name", maintain_order=True).head(LAST_RUNS)
    for row in newest_first.iter_rows(named=True):
        runs[row["table_name"]].append(row)
    known = facts.once(states)
    days = defaultdict[str, list[date]](list)
    for address, day in sorted(known):
        days[address].append(day)
    return Books(
        days=days,
        rows=_rows(facts),
        runs=runs,
        judged=facts.once(judged),
        states=known,
        exported=facts.once(versions).keys(),
        standings=facts.once(standings),
        pictures=facts.once(pictures),
        dependents=dependents(facts.definitions),
    )


def _rows(facts: Facts) -> dict[Key, int]:
    """Rows of table-days: at level 0 those that files added, of others those of the run that counts."""
    l0 = facts.ops("contents").group_by("table_name", "day").agg(pl.col("rows").sum()).iter_rows()
    built = {key: run["rows"] for key, run in facts.contents.runs.items()}
    return {(table, day): rows for table, day, rows in l0} | built


def table_page(facts: Facts, books: Books, table: Table) -> Page:
    """The page of a data table."""
    instrument = facts.definitions.instrument(table)
    sections = [
        _columns(table),
        section("Axes", ("axis", "cells", "unit", "values", "what it is"), [axis_row(axis) for axis in _axes(table)]),
        _lineage(books, table),
        _days(books, table),
        _runs(books, table),
        _checks(books, table),
        *_assumptions(facts, table, books.days.get(table.address, ())),
        section("Limits", LIMITS, limit_rows(instrument, table.name), none="No limits are set."),
        section("Bits of quality_flag", ("bit", "value", "flag", "meaning"), flag_rows(table), none="It has no flags."),
    ]
    return record(
        places.table(table.address),
        table.address,
        _pairs(facts, books, table),
        [part for part in sections if part["rows"] or part["title"] != "Axes"],
        trail=[link("Tables", places.TABLES), link(f"{table.mission}/{table.instrument}", _instrument(table))],
        lead=f"{table.title}: {table.grain}. {' '.join(table.description.split())}".strip(),
        template="table.html",
        months=_months(books, table.address),
        matrix=places.MATRIX,
    )


def _instrument(table: Table) -> str:
    return places.instrument(table.mission, table.instrument)


def _axes(table: Table) -> list[Any]:
    used = {name for column in table.columns for name in column.axes}
    return [axis for axis in table.axes if axis.name in used]


def _pairs(facts: Facts, books: Books, table: Table) -> list[tuple[str, Cell]]:
    days = books.days.get(table.address, ())
    instrument = facts.definitions.instrument(table)
    pairs: list[tuple[str, Cell]] = [("level", table.level)]
    if table.experimental:
        pairs += [("experimental", mark(" ".join(table.experimental.split()), "warn"))]
    pairs += [
        ("instrument", link(f"{table.mission}/{table.instrument}", _instrument(table))),
        ("status of the instrument", status_of(instrument)),
        ("days", f"{len(days):,}, {days[0]} to {days[-1]}" if days else "none yet"),
        ("cadence", f"{table.cadence_seconds:g} s" if table.cadence_seconds else "-"),
        ("key", ", ".join(table.key) or "-"),
        ("SQL", f'swxlake sql "{select("*", table.address)} LIMIT 10"'),
        *_ways(facts, books, table, days),
    ]
    return pairs


def _assumptions(facts: Facts, table: Table, days: Sequence[date]) -> list[dict[str, Any]]:
    """What the newest day rests on that nobody has measured or published."""
    assumed = facts.definitions.assumptions(table, days[-1]) if days else ()
    return [section("What is assumed", ("",), [(reason,) for reason in assumed])] if assumed else []


def _ways(facts: Facts, books: Books, table: Table, days: Sequence[date]) -> list[tuple[str, Cell]]:
    """Where else the table is shown."""
    found: list[tuple[str, Cell]] = []
    if days and viewed_of(facts.definitions, table):
        found += [("plots", link("channels over time", places.channels(table.address)))]
    drawn = next((day for day in reversed(days) if places.quicklook(table.address, day, "png") in books.pictures), None)
    if drawn:
        found += [("quick look", link(f"{drawn:%Y-%m-%d}", places.quicklook(table.address, drawn)))]
    if any(product.table == table.name for product in facts.definitions.instrument(table).products):
        found += [("product", link("its days", places.products(table.address)))]
    return found


def _columns(table: Table) -> dict[str, Any]:
    page = places.words(table.mission, table.instrument)
    rows = [column_row(table, column, f"{page}#{table.name}.{column.name}") for column in table.columns]
    return section("Columns", COLUMNS, rows, finder="columns")


def _lineage(books: Books, table: Table) -> dict[str, Any]:
    rows: list[tuple[Cell, ...]] = [
        ("made from", table_link(f"{table.mission}.{name}"), _margin(table, role))
        for role, name in table.inputs.items()
    ]
    rows += [("decoded from", f"packets {table.packet}", "")] if table.packet else []
    rows += [("decoded from", f"records {table.records}", "")] if table.records else []
    optional = [f"{name} (optional)" for name in table.optional_calibrations]
    calibrations = [*table.calibrations, *optional, *table.axis_calibrations]
    to = f"{_instrument(table)}#calibrations"
    rows += [("calibrated by", link(name, to), "") for name in dict.fromkeys(calibrations)]
    rows += [("used by", table_link(address), "") for address in books.dependents.get(table.address, [])]
    return section("Lineage", ("", "what", "beyond the day"), rows)


def _margin(table: Table, role: str) -> str:
    before, after = table.margins.get(role, (0.0, 0.0))
    return f"{before:g} s before, {after:g} s after" if before or after else ""


def _months(books: Books, address: str) -> list[tuple[str, list[dict[str, str] | None]]]:
    """The last months with data, each with a cell for each of its days: nothing where there should be none."""
    days = set(books.days.get(address, ()))
    last = sorted({day.replace(day=1) for day in days}, reverse=True)[:LAST_MONTHS]
    return [(f"{first:%b %Y}", [_cell(books, address, day, days) for day in _days_of(first)]) for first in last]


def _days_of(first: date) -> list[date]:
    days = (first + timedelta(days=after) for after in range(31))
    return [day for day in days if day.month == first.month]


def _cell(books: Books, address: str, day: date, days: Collection[date]) -> dict[str, str] | None:
    if day not in days:
        return None
    state = books.states[address, day]
    word = state.shown
    why = f": {told(state.reasons, 200)}" if state.reasons else ""
    to = places.product(address, day) if (address, day) in books.exported else ""
    return {"word": word, "letter": LETTERS[word], "title": f"{day} {word}{why}", "to": to}


def _days(books: Books, table: Table) -> dict[str, Any]:
    days = books.days.get(table.address, ())[-LAST_DAYS:]
    rows = [_day(books, table.address, day) for day in reversed(days)]
    note = f"The newest {LAST_DAYS}; the matrix has more." if len(days) == LAST_DAYS else ""
    query = select("day, count(*) AS rows", f"{table.address} GROUP BY day", order="day")
    columns = ("day", "state", "rows", "why", "checks", "product")
    return section("Days", columns, rows, note=note, query=query, finder="days", none="There is no day of it yet.")


def _day(books: Books, address: str, day: date) -> tuple[Cell, ...]:
    key = (address, day)
    state, standing = books.states[key], books.standings.get(key)
    word = state.shown
    return (
        f"{day:%Y-%m-%d}",
        mark(word, word),
        amount(number(books.rows.get(key))),
        told("; ".join(_reasons(state, standing)), 240),
        books.judged.get(key, Judged()).cell(),
        mark(standing.word, standing.state, places.product(address, day) if key in books.exported else "")
        if standing
        else "-",
    )


def _reasons(state: State, standing: Standing | None) -> list[str]:
    """Why the table-day is so, and why its product is, unless it waits its turn or stands as the table-day does."""
    told_of = standing and standing.word in ("refused", "blocked", "exported")
    return [why for why in (state.reasons, standing.why if standing and told_of else "") if why]


def _runs(books: Books, table: Table) -> dict[str, Any]:
    rows = [
        (
            utc(row["started_at"]),
            f"{row['day']:%Y-%m-%d}",
            mark(row["status"], row["status"]),
            told(row["reason"], 200),
            amount(number(row["rows"])),
            amount(duration(row["seconds"])),
            told(row["error"]),
        )
        for row in books.runs.get(table.address, [])
    ]
    about, columns = equal(table_name=table.address), "started_at, day, status, reason, rows, seconds, error"
    query = select(columns, "ops.runs", about, order="started_at DESC")
    none = (
        "Level 0 is decoded by ingest, which has no runs of its own." if table.level == "l0" else "It was never built."
    )
    heads = ("started", "day", "status", "why", "rows", "time", "error")
    return section("Last runs", heads, rows, query=query if rows else "", none=none)


def _checks(books: Books, table: Table) -> dict[str, Any]:
    days = books.days.get(table.address, ())
    found = [books.judged.get((table.address, day), Judged()) for day in days]
    listed, note = bounded([row for judgement in reversed(found) for row in judgement.broken])
    rows = [
        (
            f"{row['day']:%Y-%m-%d}",
            severity(row),
            row["rule"],
            amount(number(row["value"])),
            row["detail"],
        )
        for row in listed
    ]
    about = equal(table_name=table.address)
    query = select(
        "day, severity, rule, value, detail", "ops.latest_checks", about, "NOT passed", order="day DESC, rule"
    )
    columns = ("day", "severity", "rule", "value", "what must hold")
    title, none = (
        "Checks that do not hold",
        _none_broken([judgement.rules > 0 and not judgement.old for judgement in found]),
    )
    return section(title, columns, rows, note=note, query=query, none=none)


def _none_broken(checked: Sequence[bool]) -> str:
    """What it means that no rule is known not to hold: nothing, of days that were not checked."""
    if not any(checked):
        return "Not checked."
    lacking = checked.count(False)
    return "None: all rules hold." + (f" {lacking} days were not checked as they are now." if lacking else "")
