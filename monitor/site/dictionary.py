# SPDX-License-Identifier: Apache-2.0
"""The data dictionary: every column of every table in words, by instrument, with an anchor for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lake.definitions import Table
from monitor.site import places
from monitor.site.definition_words import COLUMNS, column_row
from monitor.site.facts import Facts
from monitor.site.filters import number
from monitor.site.page import Page
from monitor.site.sections import Cell, amount, link, record, section

OWN = ("ops", "lake")  # the page of the lake's own tables


def parts(facts: Facts) -> Iterator[Page]:
    """The list of pages, and a page for each instrument and for the lake's own tables."""
    pages = [(m.name, i.name, i.title, i.tables) for m in facts.definitions.missions for i in m.instruments]
    pages += [(*OWN, "The lake about itself", facts.definitions.ops)]
    yield _index(pages)
    for mission, name, title, tables in pages:
        yield _words(places.words(mission, name), f"{mission}/{name}: {title}", tables)


def _index(pages: list[tuple[str, str, str, tuple[Table, ...]]]) -> Page:
    rows: list[tuple[Cell, ...]] = [
        (
            link(f"{mission}/{name}", places.words(mission, name)),
            title,
            amount(number(len(tables))),
            amount(number(sum(len(table.columns) for table in tables))),
        )
        for mission, name, title, tables in pages
    ]
    every = [
        (link(table.address, f"{places.words(mission, name)}#{table.name}"), table.level, table.title, table.grain)
        for mission, name, _, tables in pages
        for table in tables
    ]
    return record(
        places.DICTIONARY,
        "Data dictionary",
        [],
        [
            section("Instruments", ("instrument", "what", "tables", "columns"), rows),
            section("Tables", ("table", "level", "what", "one row is"), every, finder="tables"),
        ],
        lead="Names, types, units and meaning of all columns. SQL, CDF files and this page share one source.",
    )


def _words(path: str, title: str, tables: Iterable[Table]) -> Page:
    return record(
        path,
        title,
        [],
        [],
        template="dictionary.html",
        trail=[link("Data dictionary", places.DICTIONARY)],
        columns=list(COLUMNS),
        tables=[_table(table) for table in tables],
    )


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "address": table.address,
        "page": places.table(table.address),
        "about": f"{table.title}: {table.grain}.",
        "rows": [(f"{table.name}.{column.name}", column_row(table, column)) for column in table.columns],
    }
