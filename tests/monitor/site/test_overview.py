# SPDX-License-Identifier: Apache-2.0
"""The front page says in one sentence whether all is well, and what a night did in words."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from monitor.site.building import build_site
from monitor.site.calendars import calendar, months, square
from monitor.site.facts import Facts
from monitor.site.overview import done
from tests.monitor.site.html_pages import page
from tests.monitor.site.toy_books import NEXT, NOW, put
from tests.toy import DAY, toy_lake


@pytest.mark.parametrize(
    ("facts_of_stage", "words"),
    [
        ({}, "-"),
        ({"transform": {"table_days_built": 67, "rows": 8256044, "failed": 0}}, "67 table days built, 8,256,044 rows"),
        ({"check": {"failed": 1}, "watch": {"anomalies": 2}}, "check: 1 failed; watch: 2 anomalies"),
        ({"products": ["a"], "plan_hash": "x", "rules": {"G03": 4}}, "-"),
        ({"known": True, "files": 3}, "3 files"),
    ],
)
def test_what_a_stage_did_is_told_by_its_counts(facts_of_stage: dict[str, object], words: str) -> None:
    assert done("transform", facts_of_stage) == words


def test_a_square_is_filled_as_far_as_packets_came() -> None:
    assert square(DAY, 0, 0) == ("none", "")
    assert square(DAY, 100, 100) == ("ok", "")
    assert square(DAY, 95, 100) == ("warn p9", f"{DAY}: 5 of 100 packets missing")
    assert square(DAY, 995, 1000)[0] == "ok p9"
    assert square(DAY, 2, 100)[0] == "fail p1"


def test_a_day_without_packets_is_told_apart_if_some_came_before_and_after(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    own = {"mission": "toy", "instrument": "box", "apid": 7, "received": 9, "distinct": 9, "expected": 9}
    put(lake, "packets", *(own | {"day": DAY + timedelta(days=after)} for after in (0, 2)))
    cells = calendar(Facts(lake, NOW))["rows"][0]["cells"][-4:]
    silent = ("warn p0", f"{NEXT}: no packets, but some before and after")
    assert cells == [("none", ""), ("ok", ""), silent, ("ok", "")]


def test_the_calendar_has_sixty_days_and_a_row_for_each_apid(facts: Facts) -> None:
    found = calendar(facts)
    assert (len(found["days"]), found["days"][-1]) == (60, NEXT)
    assert [row["name"] for row in found["rows"]] == ["toy box 7"]
    assert [cell[0] for cell in found["rows"][0]["cells"][-2:]] == ["warn p9", "ok"]


def test_months_are_counted_in_their_order() -> None:
    assert months([date(2024, 8, 31), date(2024, 9, 1), date(2024, 9, 2)]) == [("Aug 2024", 1), ("Sep 2024", 2)]


def test_an_empty_lake_has_a_site_that_says_so(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    built = build_site(lake, NOW)
    assert built.written == built.pages > 10
    assert isinstance(lake.root, Path)
    front = page(lake.root / "site" / "index.html").text
    assert "No data yet" in front
    assert f"Lake {lake.root.name}." in front
    assert str(lake.root.parent) not in front, "where a lake lies on a disk is nobody's concern"
    assert "No night came to its end yet." in front
    again = build_site(lake, NOW.replace(hour=7))
    assert again.written <= 3, "the front page, status.json and built.js tell the time"
    assert again.removed == 0
