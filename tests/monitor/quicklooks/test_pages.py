# SPDX-License-Identifier: Apache-2.0
"""Pages of quick looks: calendars, days and product days lead to each other, and words are words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from lake.store import Lake
from monitor.quicklooks.bins import DAY_US, Span, day_start
from monitor.quicklooks.book import FOLDER, Book, write_book
from monitor.quicklooks.pages import parts
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.page import Page
from monitor.site.writing import environment
from tests.meddea import DEFINITIONS
from tests.monitor.quicklooks.sky import ADDRESS, sky_lake

DAYS = date(2023, 12, 31), date(2024, 9, 16), date(2024, 9, 17)


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, Page]:
    """Those of a lake in which three days were drawn, the last one without a summary."""
    lake: Lake = sky_lake(tmp_path)
    marks = dict.fromkeys(DAYS, "mark")
    midnight = day_start(DAYS[2])
    spans = {"toy": {DAYS[2]: ("mark", Span(midnight + DAY_US - 10_000_000, midnight + DAY_US))}}
    old = {ADDRESS: {DAYS[1]: "disk says <no>"}, "toy": {DAYS[0]: "it waits"}}
    write_book(lake, Book({ADDRESS: marks}, {"toy": dict.fromkeys(DAYS[:2], "mark")}, spans, old))
    assert [entry.key for entry in lake.storage.entries(FOLDER)] == [f"{FOLDER}book.json"]
    return {page.path: page for page in parts(Facts(lake, datetime(2024, 9, 18, tzinfo=UTC)))}


def rendered(page: Page) -> str:
    return environment().get_template(page.template).render(page.about, root=page.root, path=page.path)


def test_there_is_a_page_for_each_year_day_and_picture(pages: dict[str, Page]) -> None:
    years = {places.quicklook_year("toy", 2023), places.quicklook_year("toy", 2024)}
    days = {places.mission_day("toy", day) for day in DAYS} | {places.quicklook(ADDRESS, day) for day in DAYS}
    assert pages.keys() == {places.CALENDAR} | years | days


def test_the_calendar_leads_to_each_day_and_shows_those_with_a_summary(pages: dict[str, Page]) -> None:
    found = rendered(pages[places.CALENDAR])
    assert [f'href="../{places.mission_day("toy", day)}"' in found for day in DAYS] == [True] * 3
    assert [places.summary("toy", day, "small.png") in found for day in DAYS] == [True, True, False]
    assert found.count("<span>1 picture</span>") == 1
    assert f'href="../{places.quicklook_year("toy", 2023)}"' in found
    assert found.index("September 2024") < found.index("December 2023")


def test_a_day_leads_to_its_neighbors_and_to_each_picture(pages: dict[str, Page]) -> None:
    found = rendered(pages[places.mission_day("toy", DAYS[1])])
    assert f'rel="prev" href="../../../{places.mission_day("toy", DAYS[0])}"' in found
    assert f'rel="next" href="../../../{places.mission_day("toy", DAYS[2])}"' in found
    assert f'src="../../../{places.summary("toy", DAYS[1])}"' in found
    assert f'href="../../../{places.quicklook(ADDRESS, DAYS[1])}"' in found


def test_a_picture_is_told_in_words_and_as_sql(pages: dict[str, Page]) -> None:
    found = rendered(pages[places.quicklook(ADDRESS, DAYS[2])])
    assert 'alt="Rates $1. Lines of Rate (rate), Fast (another rate) in count/s, log scale.' in found
    assert "FROM toy.box_l1_sky\nWHERE day = DATE &#39;2024-09-17&#39;" in found
    assert f'src="../../../{places.quicklook(ADDRESS, DAYS[2], "js")}" defer' in found
    assert "first day" not in found
    assert "last day" in found


def test_the_page_of_a_product_has_its_description_and_so_what_is_assumed_of_its_times(tmp_path: Path) -> None:
    lake, address = Lake(tmp_path / "lake", DEFINITIONS), "padre.meddea_ql_lightcurve"
    write_book(lake, Book({address: {DAYS[1]: "mark"}}, {}, {}, {}))
    made = {page.path: page for page in parts(Facts(lake, datetime(2024, 9, 18, tzinfo=UTC)))}
    found = rendered(made[places.quicklook(address, DAYS[1])])
    assert "Epoch, the time of the packet, is assumed to be the start of the accumulation of 10 s" in found


def test_a_picture_that_could_not_be_drawn_again_is_said_to_be_older_than_its_rows(pages: dict[str, Page]) -> None:
    def told(place: str) -> int:
        return rendered(pages[place]).count("older than its rows")

    assert "disk says &lt;no&gt;" in rendered(pages[places.quicklook(ADDRESS, DAYS[1])])
    assert [told(places.quicklook(ADDRESS, day)) for day in DAYS] == [0, 1, 0]
    assert [told(places.mission_day("toy", day)) for day in DAYS] == [1, 1, 0]


def test_a_day_of_a_few_rows_tells_their_hours(pages: dict[str, Page]) -> None:
    assert "<small>23:59:50 to 24:00:00</small>" in rendered(pages[places.CALENDAR])
    assert "show 23:59:50 to 24:00:00 UTC" in rendered(pages[places.mission_day("toy", DAYS[2])])
    assert "<small>" not in rendered(pages[places.quicklook_year("toy", 2023)])
