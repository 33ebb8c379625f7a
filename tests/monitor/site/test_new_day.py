# SPDX-License-Identifier: Apache-2.0
"""A new day changes the pages that tell of it, of sums and of the newest, and none of those of the days before."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from lake.store import Lake
from lake.tables import append_ops
from monitor.site import places
from monitor.site.building import build_site
from monitor.site.page import Later, Page
from monitor.site.writing import BOOK, Built
from tests.monitor.site.story import DAY, NIGHT, TABLE, check_row, content_row, export_row, file_row, story, stretch_row

DAYS = [DAY - timedelta(days=before) for before in (3, 2, 1)]
NAME = "padreMDA0_{:%y%m%d}000000.DAT"
# What may change with a day: sums, lists with the newest days, the last day's neighbor, and pages of this month.
TOUCHED = {
    "assets/built.js",
    "channels/index.html",  # the newest values
    "checks.html",
    "completeness.html",
    places.file(f"{4:064x}", NAME.format(DAY)),
    "files/2026-08.html",
    "files/index.html",
    "index.html",
    "instruments/index.html",
    "instruments/padre-meddea.html",
    "late.html",
    "latency.html",
    "matrix.html",
    "metrics.prom",
    "nights.html",
    places.product(TABLE, DAYS[-1]),  # it leads to the day after
    places.product(TABLE, DAY),
    places.products(TABLE),
    "products/index.html",
    "quarantine.html",
    "status.json",
    places.table(TABLE),
    places.table("padre.meddea_l0_housekeeping"),
    "tables/index.html",
}


def books_of(number: int, day: date) -> dict[str, list[dict[str, object]]]:
    """A file, what it gave, what was refused of it, a product with a rule that does not hold, and a gap."""
    night = NIGHT + (day - DAY)
    file = file_row(NAME.format(day), number, received_at=night)
    gap = {"mission": "padre", "instrument": "meddea", "apid": 162, "day": day, "kind": "loss", "missing": 2}
    return {
        "files": [file],
        "contents": [content_row(file) | {"day": day}],
        "quarantine": [stretch_row(file, "detail") | {"day": day}],
        "exports": [export_row([file], "1.0.0", day=day, created_at=night)],
        "checks": [check_row("has_rows", False, "warn") | {"day": day}],
        "gaps": [gap | {"start_time": night, "end_time": night}],
    }


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str], list[Built]]:
    """Marks of all pages before and after a day, and what three builds did: at first, an hour later, with the day."""
    root = tmp_path_factory.mktemp("lake")
    lake = story(root).lake
    for number, day in enumerate(DAYS, 1):
        put(lake, number, day)
    first = build_site(lake, NIGHT)
    again = build_site(lake, NIGHT + timedelta(hours=1))
    before = marks(root)
    put(lake, 4, DAY)
    last = build_site(lake, NIGHT + timedelta(days=1))
    return before, marks(root), [first, again, last]


def put(lake: Lake, number: int, day: date) -> None:
    for name, rows in books_of(number, day).items():
        append_ops(lake, name, rows)


def marks(root: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((root / BOOK).read_text())
    return found


def test_a_new_day_touches_the_pages_that_tell_of_it_and_no_other(
    builds: tuple[dict[str, str], dict[str, str], list[Built]],
) -> None:
    before, after, (_, _, last) = builds
    changed = {path for path, mark in after.items() if before.get(path) != mark}
    assert changed <= TOUCHED
    assert {places.product(TABLE, DAY), places.product(TABLE, DAYS[-1]), "files/index.html"} <= changed
    assert last == Built(pages=len(after), written=len(changed))


def test_pages_of_days_before_are_not_touched(builds: tuple[dict[str, str], dict[str, str], list[Built]]) -> None:
    before, after, _ = builds
    kept = [places.product(TABLE, day) for day in DAYS[:-1]]
    kept += [places.file(f"{number:064x}", NAME.format(day)) for number, day in enumerate(DAYS, 1)]
    assert {path: after[path] for path in kept} == {path: before[path] for path in kept}


def test_where_nothing_is_new_only_the_time_is_told_anew(
    builds: tuple[dict[str, str], dict[str, str], list[Built]],
) -> None:
    _, _, (first, again, _) = builds
    assert first.written == first.pages
    assert again.written <= len({"index.html", "status.json", "metrics.prom", "assets/built.js"})


def test_words_are_made_only_for_a_page_that_is_written() -> None:
    asked = []

    def words() -> dict[str, str]:
        asked.append(1)
        return {"title": "One"}

    page = Page("one.html", "record.html", Later(["facts"], words))
    assert page.mark == Page("one.html", "record.html", Later(["facts"], words)).mark
    assert page.mark != Page("one.html", "record.html", Later(["others"], words)).mark
    assert not asked
    assert dict(page.about) == {"title": "One"}
    assert asked == [1]
