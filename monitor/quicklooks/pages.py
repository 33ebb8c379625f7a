# SPDX-License-Identifier: Apache-2.0
"""Pages of quick looks: calendars, mission days, and product days with the same picture to be zoomed."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

from lake.definitions import Mission, Table
from lake.quicklook_definitions import Quicklook
from monitor.quicklooks.bins import DAY_US, SECOND_US, Span, day_start
from monitor.quicklooks.book import SMALL, Book, read_book
from monitor.quicklooks.facts import product_of
from monitor.quicklooks.panels import View, quicklooks
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.page import Page

MINUTE_US = 60 * SECOND_US
NEWEST_MONTHS = 3  # with pictures, of each mission, on the first page
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


@dataclass(frozen=True)
class Pictures:
    """The pictures that there are, and what each shows in words."""

    facts: Facts
    book: Book
    looks: dict[str, Quicklook]
    versions: dict[tuple[str, date], tuple[str, str]]

    @classmethod
    def of(cls, facts: Facts) -> Pictures:
        """Pictures of a lake."""
        rows = facts.ops("exports").sort("run_id").select("product", "day", "version", "path").iter_rows()
        versions = {(product, day): (version, path) for product, day, version, path in rows}
        return cls(facts, read_book(facts.lake), quicklooks(facts.definitions), versions)

    def addresses(self, mission: str) -> list[str]:
        """Tables of a mission that have pictures, highest level first as a reader wants them."""
        found = [a for a in self.looks if a.startswith(f"{mission}.") and self.book.tables.get(a)]
        return sorted(found, key=lambda a: (self._table(a).instrument, -_rank(self._table(a)), a))

    def days(self, mission: str) -> list[date]:
        """Days of which there is a picture, oldest first."""
        return sorted({day for address in self.addresses(mission) for day in self.book.tables[address]})

    def has_summary(self, mission: str, day: date) -> bool:
        """Whether the day has one picture of the mission."""
        return day in self.book.summaries.get(mission, {})

    def hours(self, mission: str, day: date) -> str:
        """What the day's pictures show if that is not all of the day, such as 23:55 to 24:00."""
        mark_and_span = self.book.spans.get(mission, {}).get(day)
        return hours_of(mark_and_span[1], day) if mark_and_span else ""

    def old(self, what: str, day: date) -> str:
        """Why the picture of a table, or of a mission's day, is older than its rows; empty if it is not."""
        return self.book.old.get(what, {}).get(day, "")

    def words(self, address: str) -> str:
        """What a table's picture shows, for those who do not see it."""
        table = self._table(address)
        return " ".join(View(table, panel).words for panel in self.looks[address].panels)

    def _table(self, address: str) -> Table:
        return self.facts.definitions.tables[address]


def hours_of(span: Span, day: date) -> str:
    """A span of a day as clocks have it; empty if it is the whole day."""
    start, stop = span.start - day_start(day), span.stop - day_start(day)
    if (start, stop) == (0, DAY_US):
        return ""
    form = "%H:%M" if start % MINUTE_US == stop % MINUTE_US == 0 else "%H:%M:%S"
    first, last = (time_of_day(end, form) for end in (start, stop))
    return f"{first} to {last}"


def time_of_day(microseconds: int, form: str) -> str:
    """A time since midnight; the end of a day is 24:00."""
    shown = f"{datetime.fromtimestamp(microseconds // SECOND_US, UTC):{form}}"
    return shown if microseconds < DAY_US else shown.replace("00", "24", 1)


def _rank(table: Table) -> int:
    return ("l0", "l1", "ql", "l2", "l3").index(table.level)


def parts(facts: Facts) -> Iterator[Page]:
    """All pages of quick looks."""
    pictures = Pictures.of(facts)
    yield _index(pictures)
    for mission in facts.definitions.missions:
        yield from _years(pictures, mission)
        yield from _mission_days(pictures, mission)
        for address in pictures.addresses(mission.name):
            yield from _product_days(pictures, address)


# ---- calendars ------------------------------------------------------------------------------------------------------
def _index(pictures: Pictures) -> Page:
    missions = []
    for mission in pictures.facts.definitions.missions:
        days = pictures.days(mission.name)
        months = _months(pictures, mission.name, days)
        years = sorted({day.year for day in days}, reverse=True)
        missions.append(
            {
                "name": mission.name,
                "title": mission.title,
                "months": months[:NEWEST_MONTHS],
                "days": len(days),
                "years": [{"text": str(year), "to": places.quicklook_year(mission.name, year)} for year in years],
            }
        )
    return Page(places.CALENDAR, "quicklook_calendar.html", {"title": "Quick looks", "missions": missions, **_words()})


def _years(pictures: Pictures, mission: Mission) -> Iterator[Page]:
    for year, found in groupby(pictures.days(mission.name), key=lambda day: day.year):
        days = list(found)
        about = {
            "name": mission.name,
            "title": mission.title,
            "months": _months(pictures, mission.name, days),
            "days": len(days),
            "years": [],
        }
        title = f"Quick looks of {mission.name.upper()}, {year}"
        path = places.quicklook_year(mission.name, year)
        yield Page(path, "quicklook_calendar.html", {"title": title, "missions": [about], **_words()})


def _words() -> dict[str, Any]:
    return {"weekdays": WEEKDAYS, "calendar": places.CALENDAR}


def _months(pictures: Pictures, mission: str, days: Sequence[date]) -> list[dict[str, Any]]:
    """Months with pictures, newest first: a row for each week, a cell for each day, None for those of other months."""
    drawn = set(days)
    months = sorted({(day.year, day.month) for day in days}, reverse=True)
    return [
        {
            "name": f"{date(year, month, 1):%B %Y}",
            "weeks": [
                [_cell(pictures, mission, day, day in drawn) if day.month == month else None for day in week]
                for week in calendar.Calendar().monthdatescalendar(year, month)
            ],
        }
        for year, month in months
    ]


def _cell(pictures: Pictures, mission: str, day: date, drawn: bool) -> dict[str, Any]:
    small = places.summary(mission, day, SMALL) if drawn and pictures.has_summary(mission, day) else ""
    count = sum(day in pictures.book.tables[address] for address in pictures.addresses(mission))
    return {
        "day": day.day,
        "pictures": "" if small else f"{count} picture{'s' if count > 1 else ''}",
        "date": f"{day}",
        "to": places.mission_day(mission, day) if drawn else "",
        "image": small,
        "hours": pictures.hours(mission, day) if drawn else "",
    }


# ---- days -----------------------------------------------------------------------------------------------------------
def _steps(days: Sequence[date], index: int, place: Any) -> dict[str, Any]:
    """Links to the days before and after; None at the ends."""
    before = days[index - 1] if index else None
    after = days[index + 1] if index + 1 < len(days) else None
    return {
        "before": {"text": f"{before}", "to": place(before)} if before else None,
        "after": {"text": f"{after}", "to": place(after)} if after else None,
    }


def _mission_days(pictures: Pictures, mission: Mission) -> Iterator[Page]:
    days, addresses = pictures.days(mission.name), pictures.addresses(mission.name)
    words = " ".join(
        View(table, pictures.looks[table.address].panel(panel.panel)).words
        for panel in mission.summary
        for table in (pictures.facts.definitions.tables[f"{mission.name}.{panel.table}"],)
    )
    for index, day in enumerate(days):
        shown = [address for address in addresses if day in pictures.book.tables[address]]
        about = {
            "title": f"{mission.name.upper()}, {day}",
            "summary": places.summary(mission.name, day) if pictures.has_summary(mission.name, day) else "",
            "words": words,
            "hours": pictures.hours(mission.name, day),
            "old": pictures.old(mission.name, day),
            "pictures": [_picture(pictures, address, day) for address in shown],
            "calendar": places.CALENDAR,
            **_steps(days, index, lambda found: places.mission_day(mission.name, found)),
        }
        yield Page(places.mission_day(mission.name, day), "quicklook_day.html", about)


def _picture(pictures: Pictures, address: str, day: date) -> dict[str, str]:
    return {
        "old": pictures.old(address, day),
        "title": pictures.facts.definitions.tables[address].title,
        "address": address,
        "image": places.quicklook(address, day, "png"),
        "to": places.quicklook(address, day),
    }


def _product_days(pictures: Pictures, address: str) -> Iterator[Page]:
    table, definitions = pictures.facts.definitions.tables[address], pictures.facts.definitions
    days, words = sorted(pictures.book.tables[address]), pictures.words(address)
    for index, day in enumerate(days):
        version, path = pictures.versions.get((address, day), ("", ""))
        links: list[tuple[str, Any]] = [("Table", {"text": address, "to": places.table(address)})]
        if version:
            links += [("Product", {"text": version, "to": places.product(address, day)}), ("CDF file", path)]
        mission_day = {"text": f"{table.mission.upper()} {day}", "to": places.mission_day(table.mission, day)}
        instrument, product = definitions.instrument(table), product_of(definitions, table)
        if product is not None:
            links.append(("About", product.text))
        links += [
            ("All pictures of the day", mission_day),
            ("Instrument", {"text": instrument.title, "to": places.instrument(table.mission, instrument.name)}),
        ]
        about = {
            "title": f"{table.title}, {day}",
            "address": address,
            "old": pictures.old(address, day),
            "image": places.quicklook(address, day, "png"),
            "data": places.quicklook(address, day, "js"),
            "words": words,
            "links": links,
            "sql": f"SELECT *\nFROM {address}\nWHERE day = DATE '{day}'\nORDER BY time",
            "calendar": places.CALENDAR,
            **_steps(days, index, lambda found: places.quicklook(address, found)),
        }
        yield Page(places.quicklook(address, day), "quicklook.html", about)
