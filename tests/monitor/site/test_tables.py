# SPDX-License-Identifier: Apache-2.0
"""Pages of tables: what a column is, where rows come from and go to, what runs and checks said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from monitor.site import places, tables
from monitor.site.facts import Facts
from tests.monitor.site.story import (
    DAY,
    HOSTILE,
    TABLE,
    assert_only_text,
    check_row,
    failed_run_row,
    pages,
    read,
    story,
)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return story(
        tmp_path_factory.mktemp("lake"),
        runs=[failed_run_row(f"row 12: {HOSTILE[0]} {HOSTILE[1]} {HOSTILE[4]}")],
        checks=[check_row("has_rows", True), check_row("in_range:fp_temp_degc", False)],
    )


@pytest.fixture(scope="module")
def site(facts: Facts) -> dict[str, str]:
    return pages(facts, tables.parts)


def test_every_table_has_a_page_that_the_list_leads_to(facts: Facts, site: dict[str, str]) -> None:
    addresses = [*facts.definitions.tables, *(table.address for table in facts.definitions.ops)]
    wanted = {places.table(address) for address in addresses}
    assert wanted <= site.keys()
    assert wanted <= set(read(site[places.TABLES]).links)


def test_a_column_is_described_as_its_definition_has_it(facts: Facts, site: dict[str, str]) -> None:
    column = facts.definitions.tables[TABLE].by_name["fp_temp_degc"]
    page = read(site[places.table(TABLE)])
    assert column.unit == "degC"
    words = f"{column.description}; spline of fp_temp; may be null"
    assert page.row("fp_temp_degc", words, "degC", column.type, "-100 to 200")
    assert f"{places.words('padre', 'meddea')}#meddea_l1_housekeeping.fp_temp_degc" in page.links


def test_a_table_leads_to_what_it_is_made_from_and_to_what_is_made_from_it(site: dict[str, str]) -> None:
    made, raw = (read(site[places.table(f"padre.meddea_{name}")]) for name in ("l1_housekeeping", "l0_housekeeping"))
    assert places.table("padre.meddea_l0_housekeeping") in made.links
    assert places.table(TABLE) in raw.links
    assert "decoded from packets housekeeping" in raw.text


def test_a_failed_run_is_told_with_its_error_as_text(site: dict[str, str]) -> None:
    page = read(site[places.table(TABLE)])
    assert "row 12: <script>alert(1)</script>.dat" in page.text
    assert page.row("2026-08-02 02:00:05", "2026-08-01", "✖failed", "new")
    assert_only_text(site[places.table(TABLE)])


def test_a_failed_day_is_seen_in_the_list_of_tables(site: dict[str, str]) -> None:
    assert page_row(site, "MeDDEA housekeeping in physical units", "1", "2026-08-01", "0", "0", "✖1", "0")


def page_row(site: dict[str, str], *cells: str) -> bool:
    return read(site[places.TABLES]).row(*cells)


def test_a_failed_day_is_marked_in_the_calendar_with_its_error_as_text(site: dict[str, str]) -> None:
    marked = [attributes for tag, attributes in read(site[places.table(TABLE)]).elements if tag == "span"]
    titles = [attributes["title"] for attributes in marked if attributes.get("class") == "k-failed"]
    assert len(titles) == 1
    assert titles[0].startswith("2026-08-01 failed: row 12: <script>alert(1)</script>.dat")


def test_checks_that_do_not_hold_are_listed_and_others_are_not(site: dict[str, str]) -> None:
    page = read(site[places.table(TABLE)])
    assert page.row("2026-08-01", "✖fail", "in_range:fp_temp_degc", "12", "what in_range:fp_temp_degc says")
    assert "what has_rows says" not in page.text


def test_of_a_table_that_was_never_checked_nobody_says_that_its_rules_hold(site: dict[str, str]) -> None:
    page = read(site[places.table("padre.meddea_l0_housekeeping")])
    assert "Checks that do not hold Not checked." in page.text
    assert "all rules hold" not in page.text


def test_days_that_were_not_checked_are_counted_where_all_others_pass(tmp_path: Path) -> None:
    days = [DAY + timedelta(days=number) for number in range(3)]
    passed = [check_row("has_rows", True) | {"day": day} for day in days[:2]]
    facts = story(tmp_path, runs=[failed_run_row("no") | {"day": day} for day in days], checks=passed)
    facts.contents.known[TABLE, days[0]] = "other rows than those that were checked"
    page = read(pages(facts, tables.parts)[places.table(TABLE)])
    assert "None: all rules hold. 2 days were not checked as they are now." in page.text


def test_a_red_limit_that_is_broken_is_an_alarm(tmp_path: Path) -> None:
    checks = [check_row("red_high:fp_temp_degc", False, "info"), check_row("has_rows", True)]
    page = read(pages(story(tmp_path, runs=[failed_run_row("no")], checks=checks), tables.parts)[places.table(TABLE)])
    assert page.row("2026-08-01", "✖alarm", "red_high:fp_temp_degc")
    assert "✖1 not held, 1 alarm" in page.text


def test_limits_of_a_table_are_shown_with_their_source(facts: Facts, site: dict[str, str]) -> None:
    limits = [x for x in facts.definitions.mission("padre").instrument("meddea").limits if x.table in TABLE]
    page = read(site[places.table(TABLE)])
    assert limits
    for limit in limits:
        assert limit.source in page.text


def test_assumptions_are_told_of_a_table_that_has_days(tmp_path: Path) -> None:
    row = failed_run_row("no") | {"table_name": "hermes.nemisis_l2_mag"}
    page = read(pages(story(tmp_path, runs=[row]), tables.parts)[places.table("hermes.nemisis_l2_mag")])
    assert "Assumed calibration gain_offset_20000101: No calibration report has been published" in page.text
    assert page.text.count("assumption") == 0
    assert "What is assumed" in page.text


def test_the_lakes_own_tables_are_described_too(site: dict[str, str]) -> None:
    page = read(site[places.table("ops.files")])
    assert page.row("bytes_decoded", "Bytes in decoded packets", "byte", "int64", "-")
