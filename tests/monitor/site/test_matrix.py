# SPDX-License-Identifier: Apache-2.0
"""The matrix shows how each table-day stands, leads to its story, and tells what a person should look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.matrix import SHOWN_DAYS, noteworthy, parts, shown_days
from monitor.site.states import State, states
from tests.monitor.site.html_pages import page
from tests.monitor.site.toy_books import NEXT, NOW
from tests.toy import DAY, L1, QL, toy_lake


def test_each_cell_has_a_letter_beside_its_color_and_says_what_it_is(site: Path) -> None:
    cells = {
        facts["title"].partition(":")[0]: facts
        for facts in page(site / "matrix.html").named("a")
        if facts.get("class", "").startswith("k-")
    }
    assert cells.keys() >= {f"{DAY} made", f"{DAY} stale", f"{NEXT} failed", f"{NEXT} waiting"}
    assert "F" in page(site / "matrix.html").texts


def test_a_cell_leads_to_the_product_day_if_there_is_one_and_else_to_the_table(facts: Facts) -> None:
    (newest, *_) = parts(facts)
    (_, rows) = newest.about["groups"][0]
    cells = {row["name"]: [cell for cell in row["cells"] if cell] for row in rows}
    assert cells["box_l1_tick"][0][2] == places.product(L1, DAY)
    assert cells["box_l1_tick"][1][2] == places.table(L1)
    assert cells["box_ql_mean"][0][2] == places.table(QL)


def test_the_days_end_with_today_as_long_as_data_are_not_long_over(facts: Facts) -> None:
    assert (shown_days(facts)[0], shown_days(facts)[-1]) == (date(2024, 7, 21), date(2024, 9, 20))
    later = replace(facts, now=datetime(2025, 9, 20, tzinfo=UTC))
    assert (len(shown_days(later)), shown_days(later)[-1]) == (SHOWN_DAYS, NEXT)


def test_older_months_have_pages_of_their_own(facts: Facts) -> None:
    found = Facts(facts.lake, NOW + timedelta(days=20))
    found.once(states)[L1, date(2024, 3, 5)] = State("made")
    newest, month = parts(found)
    assert month.path == "matrix/2024-03.html"
    assert newest.about["others"] == [{"text": "March 2024", "to": month.path}]
    assert len(month.about["days"]) == 31


def test_days_of_the_future_have_pages_of_their_own_and_move_the_matrix_nowhere(facts: Facts) -> None:
    found = Facts(facts.lake, NOW)
    found.once(states)[L1, date(2049, 12, 31)] = State("made")
    newest, month = parts(found)
    assert newest.about["days"] == next(parts(facts)).about["days"]
    assert month.path == "matrix/2049-12.html"


def test_a_day_that_checks_keep_back_is_told_apart_from_one_that_is_well() -> None:
    assert State("made", broken=("no_nulls",)).shown == "withheld"
    assert State("stale", broken=("no_nulls",)).shown == "stale"
    assert State("made").shown == "made"


def test_what_to_look_at_has_its_reason_and_begins_with_the_newest_day() -> None:
    old, new = State("failed", "because"), State("failed", "why not")
    found = noteworthy({("a.b", DAY): old, ("a.b", NEXT): new, ("a.c", DAY): State("made")})
    assert found["failed"] == [("failed", "a.b", NEXT, "why not"), ("failed", "a.b", DAY, "because")]
    assert not found["missing"]


def test_the_pages_of_an_empty_lake_say_that_it_is_empty(tmp_path: Path) -> None:
    (empty,) = parts(Facts(toy_lake(tmp_path), NOW))
    assert (empty.about["days"], empty.about["groups"]) == ([], [])
