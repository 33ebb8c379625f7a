# SPDX-License-Identifier: Apache-2.0
"""Pages of products: versions, descent, checks, and where they went."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from monitor.site import places, products, tables
from monitor.site.facts import Facts
from monitor.site.states import State, states
from tests.monitor.site.story import (
    DAY,
    HOSTILE,
    NIGHT,
    PLAIN,
    TABLE,
    Row,
    assert_only_text,
    check_row,
    delivery_row,
    export_row,
    failed_run_row,
    file_row,
    night_row,
    pages,
    read,
    story,
)

NEXT = DAY + timedelta(days=1)
LATER = NIGHT + timedelta(hours=1)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    files = [file_row(name, number) for number, name in enumerate((PLAIN, *HOSTILE), 1)]
    root = tmp_path_factory.mktemp("lake")
    picture = root / "site" / places.quicklook(TABLE, DAY, "png")
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"")
    return story(
        root,
        files=files,
        exports=[
            export_row(files[:1], "1.0.9"),
            export_row(files, "1.0.10"),
            export_row(files[:1], "1.0.0", day=NEXT, deliverable=False),
            export_row([], "0.1.0", product="padre.meddea_l1_gone", made_from=None, deliverable=None),
        ],
        checks=[check_row("has_rows", True), check_row("no_nan:fp_temp_degc", False, "warn")],
        deliveries=[delivery_row("failed", 1, HOSTILE[0]), delivery_row("delivered", 2)],
    )


@pytest.fixture(scope="module")
def site(facts: Facts) -> dict[str, str]:
    return pages(facts, products.parts)


def test_version_10_is_newer_than_version_9(site: dict[str, str]) -> None:
    page = read(site[places.product(TABLE, DAY)])
    assert page.row("newest version", "1.0.10")
    versions = [word for word in page.text.partition("Versions")[2].split() if word in ("1.0.10", "1.0.9")]
    assert versions[:2] == ["1.0.10", "1.0.9"]


def test_bytes_that_were_exported_again_keep_the_time_when_they_were_made(tmp_path: Path) -> None:
    again = export_row([], "1.0.0", status="unchanged", created_at=LATER, run_id="20260803T020000.000000Z-aaaaaa")
    site = pages(story(tmp_path, exports=[export_row([], "1.0.0"), again]), products.parts)
    page = read(site[places.product(TABLE, DAY)])
    assert page.row("made", "2026-08-02 02:00:05 by release 0.1.0")
    assert page.row("1.0.0", "2026-08-02 02:00:05", "2026-08-02 03:00:05", "8,640")
    assert "2026-08-02 02:00:05" in read(site[places.products(TABLE)]).text


def test_a_product_tells_the_times_of_its_first_and_last_record(site: dict[str, str]) -> None:
    # TT2000 is 69.184 s ahead of UTC after 2017, counted from 2000-01-01T12:00:00 TT: 9708.5 days before this day.
    assert (838_814_469_184_000_000 - 69_184_000_000) / 86_400e9 == 9708.5
    page = read(site[places.product(TABLE, DAY)])
    assert page.row("first and last record", "2026-08-01 00:00:00.000000 to 2026-08-01 23:59:50.000000")


def test_a_product_leads_to_the_files_that_its_newest_version_descends_from(site: dict[str, str]) -> None:
    links = read(site[places.product(TABLE, DAY)]).links
    wanted = {places.file(f"{number:064x}", name) for number, name in enumerate((PLAIN, *HOSTILE), 1)}
    assert wanted <= set(links)
    assert places.table(TABLE) in links


def test_names_of_parents_and_failed_deliveries_are_text(site: dict[str, str]) -> None:
    for html in site.values():
        assert_only_text(html)


def test_the_last_event_of_a_delivery_counts(site: dict[str, str]) -> None:
    page = read(site[places.product(TABLE, DAY)])
    assert page.row("spdf", "cdf", "1.0.10", "●delivered", "2026-08-02 02:00:05", "padre/meddea/x.cdf", "-")
    assert page.text.count("spdf") == 1


def test_a_recipient_that_lacks_the_file_is_named(tmp_path: Path) -> None:
    facts = story(tmp_path, exports=[export_row([], "1.0.0")], deliveries=[delivery_row("lost", 1, recipient="team")])
    assert "▲1.0.0 not at team" in read(pages(facts, products.parts)[places.products(TABLE)]).text


def test_a_recipient_that_has_an_older_version_only_lacks_the_newest(tmp_path: Path) -> None:
    sent = [
        delivery_row("delivered", 1, recipient="both") | {"version": "1.0.0", "path": "x_v1.0.0.cdf"},
        delivery_row("delivered", 2, recipient="both") | {"version": "1.1.0", "path": "x_v1.1.0.cdf"},
        delivery_row("delivered", 3, recipient="old") | {"version": "1.0.0", "path": "x_v1.0.0.cdf"},
        delivery_row("failed", 4, recipient="old") | {"version": "1.1.0", "path": "x_v1.1.0.cdf"},
        delivery_row("delivered", 5, recipient="older") | {"version": "1.0.0", "path": "x_v1.0.0.cdf"},
    ]
    facts = story(tmp_path, exports=[export_row([], "1.0.0"), export_row([], "1.1.0")], deliveries=sent)
    assert "▲1.1.0 not at old, older" in read(pages(facts, products.parts)[places.products(TABLE)]).text


def test_what_was_sent_to_where_a_recipient_is_no_more_does_not_count(tmp_path: Path) -> None:
    sent = [
        delivery_row("delivered", 1) | {"version": "1.0.0", "place": "old"},
        delivery_row("delivered", 2) | {"version": "0.9.0", "place": "new", "path": "another.cdf"},
    ]
    facts = story(tmp_path, exports=[export_row([], "1.0.0")], deliveries=sent)
    site = pages(facts, products.parts)
    assert "▲1.0.0 not at spdf" in read(site[places.products(TABLE)]).text
    assert "padre/meddea/x.cdf" not in read(site[places.product(TABLE, DAY)]).text


REFUSED = f"{TABLE}@{DAY}: refused by the gate: labl_ptr: label '{HOSTILE[0]}' is too long"


def test_a_product_that_was_refused_says_so_with_the_reason_everywhere(tmp_path: Path) -> None:
    facts = story(tmp_path, exports=[export_row([], "1.0.0")], nights=[night_row(REFUSED)])
    facts.once(states)[TABLE, DAY] = State("made")
    site = pages(facts, products.parts, tables.parts)
    why = f"refused by the gate: labl_ptr: label '{HOSTILE[0]}' is too long"
    assert read(site[places.products(TABLE)]).row("2026-08-01", "✖refused", why, "1.0.0")
    day = read(site[places.product(TABLE, DAY)])
    assert day.row("last export", "✖refused: the last night could not make a file")
    assert day.row("what was found", why)
    assert read(site[places.table(TABLE)]).row("2026-08-01", "●made", "-", why, "○not checked", "✖refused")
    assert_only_text(site[places.products(TABLE)])


def test_a_product_that_never_was_exported_says_what_refused_it(tmp_path: Path) -> None:
    facts = story(tmp_path, nights=[night_row(f"{TABLE}@{DAY}: not exported: no space left")])
    facts.once(states)[TABLE, DAY] = State("made")
    page = read(pages(facts, products.parts)[places.products(TABLE)])
    assert page.row("2026-08-01", "✖refused", "not exported: no space left", "-")


@pytest.mark.parametrize(
    ("newer", "told"),
    [
        ({"nights": [night_row(REFUSED), night_row(night_id="20260803", number=1)]}, "▲exported"),
        ({"nights": [night_row(REFUSED)], "exports": [export_row([], "1.0.1", created_at=LATER)]}, "▲exported"),
        ({"nights": [night_row(f"{TABLE}@{DAY}: not exported, not checked yet; run it")]}, "▲blocked"),
        ({"nights": [night_row("s3://lake/x@y: was missing; written again")]}, "▲exported"),
    ],
)
def test_only_what_the_newest_night_refused_and_nobody_exported_since_is_refused(
    tmp_path: Path, newer: dict[str, list[Row]], told: str
) -> None:
    facts = story(tmp_path, **{"exports": [export_row([], "1.0.0")], **newer})
    facts.once(states)[TABLE, DAY] = State("made")
    assert f"2026-08-01 {told}" in read(pages(facts, products.parts)[places.products(TABLE)]).text


def test_the_list_says_how_the_table_day_stands_though_there_is_a_file(tmp_path: Path) -> None:
    stands = [
        (State("stale", "gain changed"), ("▲stale", "gain changed")),
        (State("failed", "no disk"), ("✖failed", "no disk")),
        (State("made", broken=("has_rows",)), ("▲withheld", "has_rows")),
        (State("made"), ("▲exported", "its file has other rows than the table-day has now")),
    ]
    days = [DAY + timedelta(days=number) for number in range(len(stands))]
    facts = story(tmp_path, exports=[export_row([], "1.0.0", day=day) for day in days])
    facts.once(states).update({(TABLE, day): state for day, (state, _) in zip(days, stands, strict=True)})
    site = pages(facts, products.parts)
    assert "✖1 failed, 1 old rows, 1 stale, 1 withheld" in read(site[places.PRODUCTS]).text
    page = read(site[places.products(TABLE)])
    for day, (_, told) in zip(days, stands, strict=True):
        assert page.row(str(day), *told, "1.0.0")


def test_verdicts_about_rows_that_were_replaced_since_are_no_pass(tmp_path: Path) -> None:
    facts = story(tmp_path, exports=[export_row([], "1.0.0")], checks=[check_row("has_rows", True)])
    facts.contents.known[TABLE, DAY] = "later"
    site = pages(facts, products.parts)
    assert "▲not checked since" in read(site[places.products(TABLE)]).text
    assert "those that there are now were not checked yet" in read(site[places.product(TABLE, DAY)]).text


def test_a_day_that_failed_is_one_of_the_product_days(tmp_path: Path) -> None:
    facts = story(tmp_path, exports=[export_row([], "1.0.0", day=NEXT)], runs=[failed_run_row("no disk")])
    site = pages(facts, products.parts)
    assert "product-days exported 1 of 2 of all days" in read(site[places.PRODUCTS]).text
    assert read(site[places.products(TABLE)]).row("2026-08-01", "✖failed", "no disk", "-")


def test_a_red_limit_that_is_broken_is_an_alarm(tmp_path: Path) -> None:
    rows = [check_row("red_high:fp_temp_degc", False, "info"), check_row("yellow_high:fp_temp_degc", False, "info")]
    site = pages(story(tmp_path, exports=[export_row([], "1.0.0")], checks=rows), products.parts)
    assert "✖2 not held, 1 alarm" in read(site[places.products(TABLE)]).text
    page = read(site[places.product(TABLE, DAY)])
    assert page.row("✖alarm", "red_high:fp_temp_degc")
    assert page.row("○info", "yellow_high:fp_temp_degc")


def test_rules_that_do_not_hold_are_listed_with_those_that_do_counted(site: dict[str, str]) -> None:
    page = read(site[places.product(TABLE, DAY)])
    assert "1 of 2 rules hold; these do not." in page.text
    assert page.row("▲warn", "no_nan:fp_temp_degc", "12", "what no_nan:fp_temp_degc says")


def test_the_picture_of_the_day_is_shown_where_there_is_one(site: dict[str, str]) -> None:
    def sources(path: str) -> list[str]:
        return [attributes["src"] for tag, attributes in read(site[path]).elements if tag == "img"]

    assert sources(places.product(TABLE, DAY)) == ["../../../" + places.quicklook(TABLE, DAY, "png")]
    assert sources(places.product(TABLE, NEXT)) == []


def test_days_lead_to_the_days_beside_them(site: dict[str, str]) -> None:
    assert places.product(TABLE, NEXT) in read(site[places.product(TABLE, DAY)]).links
    assert places.product(TABLE, DAY) in read(site[places.product(TABLE, NEXT)]).links


def test_why_a_product_may_not_be_delivered_is_told(tmp_path: Path) -> None:
    address = "hermes.nemisis_l2_mag"
    facts = story(tmp_path, exports=[export_row([], "0.1.0", product=address, deliverable=False)])
    page = read(pages(facts, products.parts)[places.product(address, DAY)])
    assert page.row("deliverable", "▲no, it may be used but not delivered")
    assert "Why it may not be delivered The instrument is on the ground." in page.text
    assert "Assumed calibration gain_offset_20000101" in page.text


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (State("stale", "gain changed"), ("▲stale: an input", "why gain changed")),
        (State("failed", HOSTILE[0]), ("✖failed: the last run failed", f"why {HOSTILE[0]}")),
        (State("made", broken=("has_rows",)), ("▲checks failed: made, but", "kept back by has_rows")),
        (State("made"), ("●made: rows are there",)),
        (None, ("○is not there any more",)),
    ],
)
def test_the_page_tells_how_the_table_day_stands_and_why(tmp_path: Path, state: State | None, told: list[str]) -> None:
    facts = story(tmp_path, exports=[export_row([], "1.0.0")])
    facts.once(states).update({(TABLE, DAY): state} if state else {})
    page = read(pages(facts, products.parts)[places.product(TABLE, DAY)])
    for words in told:
        assert words in page.text


def test_a_product_that_is_no_more_defined_keeps_its_page(site: dict[str, str]) -> None:
    page = read(site[places.product("padre.meddea_l1_gone", DAY)])
    assert page.row("deliverable", "not noted")
    assert places.table("padre.meddea_l1_gone") not in page.links


def test_every_defined_product_is_listed(facts: Facts, site: dict[str, str]) -> None:
    links = read(site[places.PRODUCTS]).links
    for mission in facts.definitions.missions:
        for instrument in mission.instruments:
            for product in instrument.products:
                assert places.products(f"{mission.name}.{product.table}") in links
    assert "product-days exported 3 of 3" in read(site[places.PRODUCTS]).text
