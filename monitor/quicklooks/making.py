# SPDX-License-Identifier: Apache-2.0
"""Drawing the quick looks of table-days that changed."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from lake.config import read_settings
from lake.definitions import Table
from lake.errors import SwxlakeError
from lake.ledger import fingerprint
from lake.quicklook_definitions import SummaryPanel
from lake.store import Lake
from monitor.quicklooks.bins import Span
from monitor.quicklooks.book import FOLDER, SMALL, Book, read_book, write_book
from monitor.quicklooks.captions import caption_of, mark_of, summary_caption, without_values
from monitor.quicklooks.facts import DRAWING, Sources, product_of, title_of
from monitor.quicklooks.figure import Part, Picture, draw, small
from monitor.quicklooks.interactive import script
from monitor.quicklooks.panels import View
from monitor.quicklooks.reduction import Reduced, Shown, reduce_day
from monitor.site import places
from monitor.site.page import kind_of
from monitor.site.places import SITE

log = logging.getLogger(__name__)

# A night draws no more, newest days first: at less than a second each, a first night over years ends within minutes.
PICTURES_OF_A_NIGHT = 600
NIGHT_WAIT_SECONDS = 60.0  # for another process that draws: a night has the site to write yet
PICTURES_BETWEEN_BOOKS = 100  # so many are drawn again if the process dies
TO_BE_DRAWN = "the next night draws it, or swxlake quicklook now."
REASON_CHARACTERS = 300
# What a picture may fail by: definitions and storage, damaged files, values that matplotlib refuses.
FAILURES = (SwxlakeError, OSError, ValueError, pa.ArrowException)


@dataclass
class Drawn:
    """What came of it: pictures drawn, those up to date, those left for the next time, those failed with the reason."""

    made: int = 0
    unchanged: int = 0
    waiting: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def draw_quicklooks(
    lake: Lake,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
    most: int | None = None,
) -> Drawn:
    """Bring the quick looks of these tables and days, or of all, up to date: at most so many, newest days first.

    A picture that cannot be drawn is told and stops no other. A run with a limit is a night's, and does not wait long
    for another one. Raises StorageError.
    """
    wait = None if most is None else min(NIGHT_WAIT_SECONDS, read_settings().wait_seconds)
    with lake.storage.alone("quicklooks", wait):
        sources = Sources.of(lake)
        addresses = None if tables is None else {table.address for table in tables}
        work = _Work(sources, read_book(lake), force, most, addresses)
        due = list(work.due_days(days))
        if any(work.book.old.values()):  # pages say so even if this run does not come to its end
            write_book(lake, work.book)
        for found in due:
            work.draw_day(found)
        if tables is None and days is None:
            work.remove_gone()
        write_book(lake, work.book)
        return work.drawn


@dataclass(frozen=True)
class _Day:
    """The pictures of a mission's day: the span that they show, and the mark of each that is due."""

    mission: str
    day: date
    span: Span
    tables: dict[str, str]
    summary: str | None

    @property
    def count(self) -> int:
        """How many pictures are due."""
        return len(self.tables) + (self.summary is not None)


class _Work:
    """One run over the pictures of a lake."""

    def __init__(self, sources: Sources, book: Book, force: bool, most: int | None, addresses: set[str] | None) -> None:
        self.sources, self.book, self.force, self.most, self.addresses = sources, book, force, most, addresses
        self.lake, self.drawn = sources.lake, Drawn()
        self.there = {entry.key for entry in self.lake.storage.entries(FOLDER)}
        self.noted = 0
        for address, reason in sources.broken:
            self.drawn.failed.append((address, reason))
            for day in book.tables.get(address, {}):
                self._note_old(address, day, reason)

    def due_days(self, days: set[date] | None) -> Iterator[_Day]:
        """Days of missions of which anything is due, newest first."""
        names = [mission.name for mission in self.sources.definitions.missions]
        found = [(day, name) for name in names for day in self.sources.days(name) if days is None or day in days]
        for day, mission in sorted(found, key=lambda pair: (-pair[0].toordinal(), pair[1])):
            due = self._due(mission, day)
            if due is not None and due.count:
                yield due

    def draw_day(self, due: _Day) -> None:
        """Draw what is due of a mission's day, if this run may draw more."""
        if self.most is not None and self.drawn.made >= self.most:
            self.drawn.waiting += due.count
            return
        self._draw(due)
        if self.drawn.made - self.noted >= PICTURES_BETWEEN_BOOKS:
            self.noted = self.drawn.made
            write_book(self.lake, self.book)

    # ---- what is due ---------------------------------------------------------------------------------------------
    def _due(self, mission: str, day: date) -> _Day | None:
        addresses = self.sources.of_day(mission, day)
        try:
            span = self._span(mission, day, addresses)
        except FAILURES as error:
            self._fail(mission, day, str(error))
            for address in addresses:
                self._note_old(address, day, str(error))
            return None
        marks: dict[str, str] = {}
        for address in addresses:
            try:
                marks[address] = self.sources.mark(address, day, span)
            except SwxlakeError as error:
                self._fail(address, day, str(error))
        due = {address: mark for address, mark in marks.items() if self._is_due(address, day, mark)}
        return _Day(mission, day, span, due, self._due_summary(mission, day, marks))

    def _span(self, mission: str, day: date, addresses: list[str]) -> Span:
        mark = self.sources.files_mark(addresses, day)
        known = self.book.spans.setdefault(mission, {})
        if day not in known or known[day][0] != mark:
            known[day] = (mark, self.sources.span(mission, day))
        return known[day][1]

    def _is_due(self, address: str, day: date, mark: str) -> bool:
        if self.addresses is not None and address not in self.addresses:
            return False
        done = self.book.tables.get(address, {}).get(day) == mark
        return self._is_wanted(address, day, done, places.quicklook(address, day, "png"))

    def _due_summary(self, mission: str, day: date, marks: dict[str, str]) -> str | None:
        """The mark of the day's summary if it has to be drawn."""
        panels = self.sources.definitions.mission(mission).summary
        used = {f"{mission}.{panel.table}" for panel in panels}
        if not used & marks.keys() or (self.addresses is not None and not used & self.addresses):
            return None
        words = [(panel.table, panel.panel) for panel in panels]
        mark = fingerprint(DRAWING, words, {address: mark for address, mark in marks.items() if address in used})
        done = self.book.summaries.get(mission, {}).get(day) == mark
        return mark if self._is_wanted(mission, day, done, places.summary(mission, day)) else None

    def _is_wanted(self, what: str, day: date, done: bool, place: str) -> bool:
        if done:
            self.book.old.get(what, {}).pop(day, None)
        else:
            self._note_old(what, day, TO_BE_DRAWN)
        if self.force or not done or SITE + place not in self.there:
            return True
        self.drawn.unchanged += 1
        return False

    # ---- drawing -------------------------------------------------------------------------------------------------
    def _draw(self, due: _Day) -> None:
        """Reduce each table once, for its own picture and for the summary."""
        kept: dict[str, Reduced] = {}
        summary = self.sources.definitions.mission(due.mission).summary if due.summary is not None else ()
        for address in self.sources.of_day(due.mission, due.day):
            wanted = {panel.panel for panel in summary if f"{due.mission}.{panel.table}" == address}
            if address not in due.tables and not wanted:
                continue
            try:
                reduced = self._reduce(due, address, wanted)
                if address in due.tables:
                    self._draw_table(due, address, reduced)
                if wanted:
                    kept[address] = reduced
            except FAILURES as error:
                self._fail(address, due.day, str(error))
        if due.summary is not None:
            self._draw_summary(due, summary, kept)

    def _reduce(self, due: _Day, address: str, wanted: set[str]) -> Reduced:
        views = [v for v in self.sources.views(address, due.day) if address in due.tables or v.panel.name in wanted]
        uris = self.sources.uris(address, due.day)
        return reduce_day(self.lake, views[0].table, uris, views, due.span)

    def _draw_table(self, due: _Day, address: str, reduced: Reduced) -> None:
        table, definitions = self.sources.tables[address].table, self.sources.definitions
        assumptions, product = self.sources.assumptions(address, due.day), product_of(definitions, table)
        picture = Picture(
            title=table.title,
            subtitle=title_of(definitions, table),
            corner=f"{due.day} UTC",
            mark=mark_of(assumptions),
            span=due.span,
            parts=[_part(shown, reduced) for shown in reduced.panels.values()],
            caption=caption_of(table, due.day, self.sources.origin(address, due.day), reduced, assumptions, product),
        )
        self._publish(places.quicklook(address, due.day, "png"), draw(picture))
        self._publish(places.quicklook(address, due.day, "js"), script(picture))
        self.book.tables.setdefault(address, {})[due.day] = due.tables[address]
        self._note(address, due.day)

    def _draw_summary(self, due: _Day, summary: tuple[SummaryPanel, ...], kept: dict[str, Reduced]) -> None:
        present = self.sources.of_day(due.mission, due.day)
        used = list(dict.fromkeys(f"{due.mission}.{panel.table}" for panel in summary))
        if lost := [address for address in used if address in present and address not in kept]:
            self._fail(due.mission, due.day, f"its summary needs {', '.join(lost)}, see there.")
            return
        try:
            picture = self._summary_picture(due, summary, kept)
            body = draw(picture)
            self._publish(places.summary(due.mission, due.day), body)
            self._publish(places.summary(due.mission, due.day, SMALL), small(body, picture.caption))
        except FAILURES as error:
            self._fail(due.mission, due.day, str(error))
            return
        self.book.summaries.setdefault(due.mission, {})[due.day] = due.summary or ""
        self._note(due.mission, due.day)

    def _summary_picture(self, due: _Day, summary: tuple[SummaryPanel, ...], kept: dict[str, Reduced]) -> Picture:
        mission = self.sources.definitions.mission(due.mission)
        names = {address: address.partition(".")[2] for address in kept}
        assumptions = {address: self.sources.assumptions(address, due.day) for address in kept}
        origins = {name: self.sources.origin(address, due.day) for address, name in names.items()}
        parts = list(self._summary_parts(due, summary, kept))
        shown = [part.shown for part in parts if part.shown is not None]
        flags = [(self.sources.tables[address].table, reduced) for address, reduced in kept.items()]
        doubtful = [names[address] for address, found in assumptions.items() if found]
        return Picture(
            title=f"{mission.name.upper()} day summary",
            subtitle=mission.title,
            corner=f"{due.day} UTC",
            mark=mark_of([text for found in assumptions.values() for text in found]),
            span=due.span,
            parts=parts,
            caption=summary_caption(origins, shown, flags, doubtful),
        )

    def _summary_parts(self, due: _Day, summary: tuple[SummaryPanel, ...], kept: dict[str, Reduced]) -> Iterator[Part]:
        for entry in summary:
            address = f"{due.mission}.{entry.table}"
            reduced = kept.get(address)
            if reduced is not None:
                yield _part(reduced.panels[entry.panel], reduced)
            elif address in self.sources.looks:
                panel = self.sources.looks[address].panel(entry.panel)
                yield Part(View(self.sources.definitions.tables[address], panel), None)

    def _publish(self, place: str, body: bytes) -> None:
        self.lake.storage.publish(SITE + place, body, kind_of(place))

    def _note(self, what: str, day: date) -> None:
        self.drawn.made += 1
        self.book.old.get(what, {}).pop(day, None)
        log.info("quicklook of=%s day=%s", what, day)

    def _fail(self, what: str, day: date, reason: str) -> None:
        self.drawn.failed.append((f"{what} {day}", reason))
        self._note_old(what, day, reason)

    def _note_old(self, what: str, day: date, reason: str) -> None:
        """Remember that a picture which is there is older than its rows."""
        if day in self.book.tables.get(what, {}) or day in self.book.summaries.get(what, {}):
            self.book.old.setdefault(what, {})[day] = textwrap.shorten(reason, REASON_CHARACTERS, placeholder=" …")

    def remove_gone(self) -> None:
        """Remove pictures of days that have no rows any more, or of tables without a picture."""
        days = {address: set(found.files) for address, found in self.sources.tables.items()}
        unknown = {address for address, _ in self.sources.broken}  # what cannot be opened may have its rows yet
        for address, marks in self.book.tables.items():
            for day in [] if address in unknown else sorted(marks.keys() - days.get(address, set())):
                del marks[day]
                self.book.old.get(address, {}).pop(day, None)
                for suffix in ("png", "js"):
                    self.lake.storage.remove(SITE + places.quicklook(address, day, suffix))
        for mission, marks in self.book.summaries.items():
            names = {f"{mission}.{panel.table}" for panel in self._summary_of(mission)}
            present = {day for name in names for day in days.get(name, set())}
            for day in [] if names & unknown else sorted(marks.keys() - present):
                del marks[day]
                self.book.old.get(mission, {}).pop(day, None)
                for suffix in ("png", SMALL):
                    self.lake.storage.remove(SITE + places.summary(mission, day, suffix))

    def _summary_of(self, mission: str) -> tuple[SummaryPanel, ...]:
        found = {entry.name: entry.summary for entry in self.sources.definitions.missions}
        return found.get(mission, ())


def _part(shown: Shown, reduced: Reduced) -> Part:
    note = without_values(shown.view.table, reduced) if shown.is_empty else ""
    return Part(shown.view, shown, reduced, note)
