# SPDX-License-Identifier: Apache-2.0
"""The list of tables, and the pages of the lake's own ones. The page of a data table is in data_tables.py."""

from __future__ import annotations

from collections.abc import Iterator

from lake.definitions import Table
from monitor.site import places
from monitor.site.data_tables import Books, read_books, table_page
from monitor.site.definition_words import COLUMNS, column_row, table_link
from monitor.site.facts import Facts
from monitor.site.filters import number
from monitor.site.page import Page
from monitor.site.sections import Cell, amount, link, mark, record, section, select


def parts(facts: Facts) -> Iterator[Page]:
    """The list, and each table's page."""
    books = read_books(facts)
    yield _index(facts, books)
    for table in facts.definitions.tables.values():
        yield table_page(facts, books, table)
    for table in facts.definitions.ops:
        yield _own(table)


def _index(facts: Facts, books: Books) -> Page:
    columns = ("table", "level", "what", "days", "newest day", "rows of it", "stale", "failed", "missing")
    sections = [
        section(
            f"{mission.name}/{instrument.name}",
            columns,
            [_listed(books, table) for table in instrument.tables],
            note=f"{instrument.title}. {mission.title}.",
            finder=f"{mission.name}-{instrument.name}",
            none="No table is defined.",
        )
        for mission in facts.definitions.missions
        for instrument in mission.instruments
    ]
    own = [(table_link(table.address), table.title, table.grain) for table in facts.definitions.ops]
    note = "What came in, what was refused, what ran, what was found, what went out. They are Delta tables too."
    sections += [section("ops: the lake about itself", ("table", "what", "grain"), own, note=note)]
    lead = "A table has one name everywhere: in SQL, as a folder of the lake, in the code and in its products."
    return record(places.TABLES, "Tables", [], sections, lead=lead)


def _listed(books: Books, table: Table) -> tuple[Cell, ...]:
    days = books.days.get(table.address, ())
    states = [books.states[table.address, day].word for day in days]
    rows = books.rows.get((table.address, days[-1])) if days else None
    return (
        table_link(table.address),
        table.level,
        table.title + (" (experimental)" if table.experimental else ""),
        amount(number(len(days))),
        f"{days[-1]:%Y-%m-%d}" if days else "-",
        amount(number(rows)),
        *(
            mark(str(count), word) if count else amount("0")
            for word in ("stale", "failed", "missing")
            for count in [states.count(word)]
        ),
    )


def _own(table: Table) -> Page:
    """The page of one of the lake's own tables."""
    pairs: list[tuple[str, Cell]] = [
        ("grain", table.grain),
        ("key", ", ".join(table.key) or "none: every row counts"),
        ("SQL", f'swxlake sql "{select("*", table.address)} LIMIT 10"'),
        ("all columns", link("in the dictionary", places.words("ops", "lake") + f"#{table.name}")),
    ]
    rows = [column_row(table, column) for column in table.columns]
    trail = [link("Tables", places.TABLES)]
    lead = f"{table.title}: {table.grain}."
    return record(
        places.table(table.address), table.address, pairs, [section("Columns", COLUMNS, rows)], trail=trail, lead=lead
    )
