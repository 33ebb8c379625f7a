# SPDX-License-Identifier: Apache-2.0
"""The page says what it was given, escaped, and asks nobody for anything."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser

from quality.report import Report, Section, page

DAYS = (date(2026, 8, 1), date(2026, 8, 2))
COLUMNS = ("severity", "rule", "value", "command", "at")
EVIL = '<script>alert("x")</script>\x1b[31m'


def report(**changes: object) -> Report:
    row = ("fail", EVIL, 0.123456789, "swxlake check a.b --rows", datetime(2026, 8, 1, 12, tzinfo=UTC))
    section = Section("Rules", "About <rules>.", COLUMNS, (row,), 3)
    facts: dict[str, object] = {
        "lake": "/data/<lake>", "made": "Made now.", "days": DAYS, "tables": ("a.b", "a.c"),
        "verdicts": {("a.b", DAYS[0]): "fail", ("a.b", DAYS[1]): "ok", ("a.c", DAYS[1]): "warn"},
        "sections": (section,),
    }  # fmt: skip
    return Report(**(facts | changes))  # type: ignore[arg-type]


class Reader(HTMLParser):
    """Collects tags, and the words of each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self.open = True
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload"}

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.open:
            self.cells[-1] += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def test_a_word_and_a_shape_stand_for_each_verdict() -> None:
    cells = read(page(report())).cells
    assert cells[:9] == ["table", "08-01", "08-02", "a.b", "■ fail", "● ok", "a.c", "·", "▲ warn"]


def test_text_is_shown_and_never_acted_on() -> None:
    text = page(report())
    assert "<script" not in text
    assert "\x1b" not in text
    reader = read(text)
    assert '<script>alert("x")</script>\\x1b[31m' in reader.cells
    assert "script" not in reader.tags
    assert "Lake /data/&lt;lake&gt;" in text


def test_values_are_those_that_were_found() -> None:
    cells = read(page(report())).cells
    assert "0.123457" in cells
    assert "2026-08-01 12:00:00" in cells
    assert "swxlake check a.b --rows" in cells
    assert "And 2 more." in page(report())


def test_no_host_is_asked() -> None:
    text = page(report())
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert "default-src 'none'" in text
    assert not {"link", "img", "iframe", "script"} & set(read(text).tags)


def test_both_light_and_dark_are_there() -> None:
    assert "prefers-color-scheme: dark" in page(report())


def test_nothing_found_is_said() -> None:
    empty = report(days=(), tables=(), verdicts={}, sections=(Section("Rules", "-", COLUMNS, (), 0),))
    text = page(empty)
    assert text.count("Nothing.") == 2
    assert "no table-days" in text


def test_two_pages_of_the_same_differ_in_one_line() -> None:
    one, other = (page(report(made=f"Made at {hour}.")).splitlines() for hour in (1, 2))
    assert [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]] == [
        ('<p class="quiet">Made at 1.</p>', '<p class="quiet">Made at 2.</p>')
    ]
