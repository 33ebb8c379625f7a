# SPDX-License-Identifier: Apache-2.0
"""Pages of raw files: what became of each byte, for files of any name."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lake.ledger import read_ops
from monitor.site import files, places
from monitor.site.facts import Facts
from monitor.site.sections import equal, told
from monitor.site.states import State, states
from tests.monitor.site.story import (
    DAY,
    HOSTILE,
    NIGHT,
    PLAIN,
    SCRIPT,
    Row,
    assert_only_text,
    content_row,
    export_row,
    file_row,
    pages,
    read,
    story,
    stretch_row,
)

GAP: Row = {
    "mission": "padre",
    "instrument": "meddea",
    "apid": 163,
    "start_time": NIGHT,
    "end_time": NIGHT,
    "missing": 41,
    "day": DAY,
    "kind": "loss",
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    rows = [file_row(name, number) for number, name in enumerate((PLAIN, *HOSTILE), 1)]
    root = tmp_path_factory.mktemp("lake")
    _receive(root, rows[0], "2026-07-31")
    return story(
        root,
        files=rows,
        quarantine=[stretch_row(row, f"found {row['name']}") for row in rows],
        contents=[content_row(rows[0])],
        gaps=[GAP],
        exports=[export_row(rows[:1], "1.0.0")],
    )


@pytest.fixture(scope="module")
def site(facts: Facts) -> dict[str, str]:
    return pages(facts, files.parts)


def _receive(root: Path, row: Row, day: str) -> None:
    folder = root / "raw" / row["mission"] / row["instrument"] / day
    folder.mkdir(parents=True)
    (folder / f"{row['receipt']}.json").write_text("{}")


def test_every_file_of_the_books_has_a_page(facts: Facts, site: dict[str, str]) -> None:
    rows = read_ops(facts.lake, "files")
    wanted = {places.file(sha256, name) for sha256, name in rows.select("file_sha256", "name").iter_rows()}
    assert len(wanted) == 1 + len(HOSTILE)
    assert wanted <= site.keys()


def test_names_of_files_are_text_whatever_they_hold(site: dict[str, str]) -> None:
    for html in site.values():
        assert_only_text(html)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_can_be_read_on_its_page(site: dict[str, str], name: str) -> None:
    number = HOSTILE.index(name) + 2
    page = read(site[places.file(f"{number:064x}", name)])
    assert " ".join(told(name).split()) in page.text


def test_a_name_that_is_too_long_is_cut_and_says_so() -> None:
    assert told("a" * 3000) == "a" * 600 + "... (3,000 characters)"


def test_what_cannot_be_seen_is_shown_as_an_escape() -> None:
    assert told("two\nlines \u202eexe") == "two\\nlines \\u202eexe"


def test_the_page_of_a_file_accounts_for_its_bytes(site: dict[str, str]) -> None:
    page = read(site[places.file(f"{1:064x}", PLAIN)])
    assert "1,000,000 = 999,488 decoded + 512 quarantined" in page.text
    assert "1,000, of which 7 had been received before" in page.text
    assert page.row("2,048", "512", "1", "BAD_CHECKSUM", f"found {PLAIN}")
    assert page.row("163", "loss", "2026-08-02 02:00:05", "2026-08-02 02:00:05", "41")


def test_bytes_that_nothing_accounts_for_are_told_as_a_failure(tmp_path: Path) -> None:
    facts = story(tmp_path, files=[file_row(PLAIN, 1, bytes=1_000_010)])
    page = read(pages(facts, files.parts)[places.file(f"{1:064x}", PLAIN)])
    assert "512 quarantined, 10 not accounted for" in page.text
    assert any("fail" in attributes.get("class", "").split() for _, attributes in page.elements)


def test_a_file_leads_to_its_table_days_and_products(site: dict[str, str]) -> None:
    page = read(site[places.file(f"{1:064x}", PLAIN)])
    assert places.table("padre.meddea_l0_housekeeping") in page.links
    assert places.product("padre.meddea_l1_housekeeping", DAY) in page.links
    assert places.instrument("padre", "meddea") in page.links
    assert page.row("padre.meddea_l0_housekeeping", "2026-08-01", "1,000", "993")


def test_a_file_names_the_table_days_that_are_made_of_its_own_and_how_they_stand(tmp_path: Path) -> None:
    file = file_row(PLAIN, 1)
    facts = story(tmp_path, files=[file], contents=[content_row(file)])
    known = {("padre.meddea_l1_housekeeping", DAY): State("stale"), ("padre.meddea_l1_spectra", DAY): State("made")}
    facts.once(states).update(known)
    page = read(pages(facts, files.parts)[places.file(file["file_sha256"], PLAIN)])
    assert page.row("padre.meddea_l1_housekeeping", "2026-08-01", "▲stale")
    assert "meddea_l1_spectra" not in page.text
    assert places.table("padre.meddea_l1_housekeeping") in page.links


def test_the_month_of_a_file_is_that_of_the_day_by_which_it_is_archived(site: dict[str, str]) -> None:
    page = places.file(f"{1:064x}", PLAIN)
    assert page in read(site[places.files("2026-07")]).links
    assert page not in read(site[places.files("2026-08")]).links
    assert "received 2026-08-02 02:00:05, 26 h 0 min after the end of that day" in read(site[page]).text


def test_the_list_of_months_adds_up(site: dict[str, str]) -> None:
    number = 1 + len(HOSTILE)
    page = read(site[places.FILES])
    assert f"{number * 1_000_000:,} bytes = {number * 999_488:,} decoded + {number * 512:,} quarantined" in page.text
    assert {places.files("2026-07"), places.files("2026-08")} <= set(page.links)


def test_a_lake_without_files_says_how_to_take_some_in(tmp_path: Path) -> None:
    page = read(pages(story(tmp_path), files.parts)[places.FILES])
    assert "No raw file has arrived." in page.text


@pytest.mark.parametrize("name", [SCRIPT, "it's.dat", "two\nlines", "\u202eexe", "\n", ""])
def test_a_copied_condition_is_true_of_just_that_name(name: str) -> None:
    rows = duckdb.from_arrow(pa.table({"name": [name, "other"]}))
    assert rows.filter(equal(name=name)).fetchall() == [(name,)]
