# SPDX-License-Identifier: Apache-2.0
"""Pages of instruments: what is known, assumed and not known of each."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from monitor.site import instruments, places
from monitor.site.facts import Facts
from tests.monitor.site.story import DAY, HOSTILE, RUN, alert_row, assert_only_text, file_row, pages, read, story

PACKETS = {
    "mission": "padre",
    "instrument": "meddea",
    "apid": 163,
    "day": DAY,
    "received": 8640,
    "distinct": 8630,
    "duplicates": 10,
    "expected": 8640,
    "missing": 10,
    "gaps": 1,
    "restarts": 0,
    "checksum_failures": 2,
    "bytes": 1,
    "last_time": datetime(2026, 8, 1, 23, 59, 50, tzinfo=UTC),
    "run_id": RUN,
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return story(
        tmp_path_factory.mktemp("lake"),
        files=[file_row("a", 1), file_row("b", 2)],
        packets=[PACKETS],
        alerts=[alert_row("aaaaaaaaaaaa", subject=HOSTILE[0]), alert_row("bbbbbbbbbbbb", state="resolved")],
    )


@pytest.fixture(scope="module")
def site(facts: Facts) -> dict[str, str]:
    return pages(facts, instruments.parts)


def test_every_instrument_has_a_page_that_the_list_leads_to(facts: Facts, site: dict[str, str]) -> None:
    wanted = {places.instrument(m.name, i.name) for m in facts.definitions.missions for i in m.instruments}
    assert wanted <= site.keys()
    assert wanted <= set(read(site[places.INSTRUMENTS]).links)


def test_an_instrument_that_does_not_fly_says_why_and_what_is_assumed(facts: Facts, site: dict[str, str]) -> None:
    instrument = facts.definitions.mission("hermes").instrument("merit")
    page = read(site[places.instrument("hermes", "merit")])
    assert page.row("status", "▲assumed")
    assert " ".join(instrument.status_reason.split()) in page.text
    for stem, reason in instrument.assumed.items():
        assert stem in page.text
        assert " ".join(reason.split()) in page.text
    for unknown in instrument.unknowns:
        assert " ".join(unknown.split()) in page.text


def test_packets_are_counted_by_apid(site: dict[str, str]) -> None:
    page = read(site[places.instrument("padre", "meddea")])
    assert page.row("8,630", "10", "10", "2", "2026-08-01 23:59:50")
    assert "2 files, 2 MB, the last at 2026-08-02 02:00:05" in page.text


def test_a_calibration_is_valid_until_the_next_of_its_name(facts: Facts, site: dict[str, str]) -> None:
    files = facts.definitions.mission("padre").instrument("meddea").calibrations
    first, second = sorted((c for c in files if c.name == "decimation"), key=lambda c: c.valid_from)[-2:]
    page = read(site[places.instrument("padre", "meddea")])
    assert page.row(first.stem, f"{first.valid_from} to {second.valid_from}")
    assert page.row(second.stem, f"{second.valid_from} to now")


def test_alerts_that_stand_are_listed_as_text(site: dict[str, str]) -> None:
    html = site[places.instrument("padre", "meddea")]
    assert_only_text(html)
    assert places.alert("aaaaaaaaaaaa") in read(html).links
    assert places.alert("bbbbbbbbbbbb") not in read(html).links
    assert "▲1 standing" in read(site[places.INSTRUMENTS]).text
