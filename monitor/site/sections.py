# SPDX-License-Identifier: Apache-2.0
"""What the pages of tables, files, products, alerts and instruments are made of: facts in pairs, and sections of rows.

Cells are what the macros of parts.html take: a text, or a mapping with a text and where it leads, or a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from monitor.site.page import Page

Cell = str | Mapping[str, Any]
RECORD = "record.html"
LONGEST = 600  # characters of a text from outside: who wants all of a longer one asks SQL
SHOWN_ROWS = 200  # of what may be there by the thousand; SQL has the others


def told(text: str | None, longest: int = LONGEST) -> str:
    """A text from outside in one line, bounded, with what cannot be seen as an escape; a dash for none."""
    if not text:
        return "-"
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text):,} characters)"


def link(text: str, to: str) -> Cell:
    """A text that leads to a page; the text alone where there is none."""
    return {"text": text, "to": to} if to else text


def amount(text: str) -> Cell:
    """A number, which stands at the right."""
    return {"text": text, "class": "number"}


def mark(word: str, state: str, to: str = "") -> Cell:
    """A word that tells a state: ok, warn, fail, none or quiet."""
    return {"text": word, "state": state} | ({"to": to} if to else {})


def section(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    none: str = "None.",
    note: str = "",
    query: str = "",
    finder: str = "",
) -> dict[str, Any]:
    """A heading with rows below it, and the SELECT that gives them; `none` is told where there are no rows.

    Rows with a `finder`, a name unique on the page, can be sorted and searched.
    """
    found = [list(row) for row in rows]
    return {
        "title": title,
        "columns": _heads(columns, found),
        "rows": found,
        "none": none,
        "note": note,
        "query": query,
        "finder": finder,
    }


def _heads(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[Cell]:
    """The heads of columns: those of numbers stand at the right, as the numbers do."""
    if not rows:
        return list(columns)
    at_right = [not isinstance(cell, str) and cell.get("class") == "number" for cell in rows[0]]
    return [amount(name) if right else name for name, right in zip(columns, at_right, strict=True)]


def bounded(rows: Sequence[Any], longest: int = SHOWN_ROWS) -> tuple[Sequence[Any], str]:
    """The first rows, and a sentence about those that are left out."""
    if len(rows) <= longest:
        return rows, ""
    return rows[:longest], f"The first {longest} of {len(rows):,}; the query gives all of them."


def record(
    path: str,
    title: str,
    pairs: Iterable[tuple[str, Cell]],
    sections: Iterable[Mapping[str, Any]],
    *,
    lead: str = "",
    template: str = RECORD,
    trail: Sequence[Cell] = (),
    **more: object,
) -> Page:
    """A page about one thing: what it is, facts in pairs, sections of rows. `trail` leads to what it is part of."""
    return Page(path, template, words(title, pairs, sections, lead=lead, trail=trail) | more)


def words(
    title: str,
    pairs: Iterable[tuple[str, Cell]],
    sections: Iterable[Mapping[str, Any]],
    *,
    lead: str = "",
    trail: Sequence[Cell] = (),
) -> dict[str, Any]:
    """What the template of such a page is told."""
    return {
        "title": title,
        "lead": lead,
        "trail": list(trail),
        "pairs": [list(pair) for pair in pairs],
        "sections": list(sections),
    }


def select(columns: str, table: str, *conditions: str, order: str = "") -> str:
    """A SELECT for people to copy; no page runs it."""
    where = "\n    AND ".join(conditions)
    parts = (f"SELECT {columns}", f"FROM {table}", where and f"WHERE {where}", order and f"ORDER BY {order}")
    return "\n".join(part for part in parts if part)


def equal(**values: str | date) -> str:
    """The condition that columns have these values."""
    return " AND ".join(f"{column} = {_literal(value)}" for column, value in values.items())


def _literal(value: str | date) -> str:
    """A value in SQL; what cannot be seen in a text is written by its number, so that the text can be copied."""
    if isinstance(value, date):
        return f"DATE '{value}'"
    runs = groupby(value.replace("'", "''"), str.isprintable)
    parts = [f"'{''.join(run)}'" if seen else " || ".join(f"chr({ord(c)})" for c in run) for seen, run in runs]
    return parts[0] if len(parts) == 1 else f"({' || '.join(parts)})" if parts else "''"
