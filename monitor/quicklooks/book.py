# SPDX-License-Identifier: Apache-2.0
"""The book of pictures: which there are, and the mark of what each was made from. It is written behind the pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date

from lake.store import Lake
from monitor.quicklooks.bins import Span
from monitor.site.places import SITE

FOLDER = f"{SITE}quicklooks/"
BOOK = f"{FOLDER}book.json"
SMALL = "small.png"  # suffix of a summary that is small enough for a calendar
FORMAT = 1  # of the book

Marks = dict[str, dict[date, str]]


@dataclass
class Book:
    """Marks of pictures by day: of tables by address, of summaries by mission; and the span of each mission's day.

    A span is kept with the mark of the files that it was taken from. `old` says why a picture, of a table by address
    or of a mission's day, is not yet drawn from what there is now.
    """

    tables: Marks = field(default_factory=dict)
    summaries: Marks = field(default_factory=dict)
    spans: dict[str, dict[date, tuple[str, Span]]] = field(default_factory=dict)
    old: Marks = field(default_factory=dict)


def read_book(lake: Lake) -> Book:
    """The book of a lake; an empty one if there is none, or none that can be read: then all is drawn again."""
    if lake.storage.size(BOOK) is None:
        return Book()
    try:
        found = json.loads(lake.storage.read(BOOK))
        if found["format"] != FORMAT:
            return Book()
        return Book(
            _marks(found["tables"]), _marks(found["summaries"]), _spans(found["spans"]), _marks(found.get("old", {}))
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # cut by a power loss
        return Book()


def _marks(found: dict[str, dict[str, str]]) -> Marks:
    return {name: {date.fromisoformat(day): str(mark) for day, mark in days.items()} for name, days in found.items()}


def _spans(found: dict[str, dict[str, list[object]]]) -> dict[str, dict[date, tuple[str, Span]]]:
    return {
        name: {
            date.fromisoformat(day): (str(mark), Span(int(str(start)), int(str(stop))))
            for day, (mark, start, stop) in days.items()
        }
        for name, days in found.items()
    }


def write_book(lake: Lake, book: Book) -> None:
    """Publish the book."""
    words = {
        "format": FORMAT,
        "tables": _words(book.tables),
        "summaries": _words(book.summaries),
        "spans": {
            name: {f"{day}": [mark, span.start, span.stop] for day, (mark, span) in sorted(days.items())}
            for name, days in book.spans.items()
        },
        "old": _words({name: days for name, days in book.old.items() if days}),
    }
    lake.storage.publish(BOOK, json.dumps(words, separators=(",", ":")).encode(), "application/json")


def _words(marks: Marks) -> dict[str, dict[str, str]]:
    return {name: {f"{day}": mark for day, mark in sorted(days.items())} for name, days in marks.items()}
