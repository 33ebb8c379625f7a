# SPDX-License-Identifier: Apache-2.0
"""Pages of alerts: what is wrong, since when, what was said, and where to look."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.site import alerts, places
from monitor.site.facts import Facts
from tests.monitor.site.story import (
    HOSTILE,
    TABLE,
    alert_row,
    anomaly_row,
    assert_only_text,
    event_row,
    pages,
    read,
    story,
)

WARM, COLD, OVER = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    said = {"state": "acknowledged", "acknowledged_by": HOSTILE[0], "note": HOSTILE[1], "severity": "yellow"}
    hostile = [
        alert_row(f"d{number:011x}", subject=text, message=text, rules=text) for number, text in enumerate(HOSTILE)
    ]
    return story(
        tmp_path_factory.mktemp("lake"),
        alerts=[alert_row(WARM), alert_row(COLD, **said), alert_row(OVER, state="resolved"), *hostile],
        alert_events=[
            event_row(WARM, "opened"),
            event_row(COLD, "acknowledged", by=HOSTILE[0], detail=HOSTILE[2]),
        ],
        anomalies=[
            anomaly_row("fp_temp_degc", 1),
            anomaly_row("dib_temp_degc", 2, detail=HOSTILE[0]),
            anomaly_row("long_after", 90),
            anomaly_row("told_in_the_digest", 1, severity="info"),
        ],
    )


@pytest.fixture(scope="module")
def site(facts: Facts) -> dict[str, str]:
    return pages(facts, alerts.parts)


def test_every_alert_has_a_page_that_the_list_leads_to(facts: Facts, site: dict[str, str]) -> None:
    wanted = {places.alert(alert_id) for alert_id in facts.ops("alerts")["alert_id"]}
    assert len(wanted) == 3 + len(HOSTILE)
    assert wanted <= site.keys()
    assert wanted <= set(read(site[places.ALERTS]).links)


def test_subjects_messages_notes_and_names_are_text(site: dict[str, str]) -> None:
    for html in site.values():
        assert_only_text(html)


def test_an_alert_says_what_is_wrong_in_the_unit_of_its_channel(site: dict[str, str]) -> None:
    page = read(site[places.alert(WARM)])
    assert page.row("worst value", "84,601.73 degC")
    assert page.row("usual, or the limit", "40 degC")
    assert page.row("wrong since", "2026-08-01 12:00:00 (data time)")


def test_an_open_alert_says_how_to_acknowledge_it(site: dict[str, str]) -> None:
    assert f"swxlake alerts ack {WARM} --by NAME" in read(site[places.alert(WARM)]).text
    assert "swxlake alerts ack" not in read(site[places.alert(OVER)]).text


def test_who_acknowledged_an_alert_and_the_note_are_shown(site: dict[str, str]) -> None:
    page = read(site[places.alert(COLD)])
    assert page.row("acknowledged by", HOSTILE[0])
    assert page.row("note", HOSTILE[1])
    assert page.row("2026-08-02 02:00:05", "▲acknowledged", "✖red", HOSTILE[0], HOSTILE[2])


def test_an_alert_leads_to_its_channel_an_hour_around_its_time(site: dict[str, str]) -> None:
    links = read(site[places.alert(WARM)]).links
    assert f"{places.channels(TABLE, 'fp_temp_degc')}@2026-08-01T11:00:00/2026-08-01T13:03:00" in links
    assert places.table(TABLE) in links


def test_anomalies_at_the_time_of_an_alert_are_listed_with_it(site: dict[str, str]) -> None:
    page = read(site[places.alert(WARM)])
    assert page.row("✖red", f"{TABLE}.fp_temp_degc", "red_high", "2026-08-01 12:01:00", "2026-08-01 12:02:00")
    assert f"{TABLE}.dib_temp_degc" in page.text
    assert "long_after" not in page.text
    assert "told_in_the_digest" not in page.text


def test_red_open_alerts_are_listed_before_acknowledged_ones_and_resolved_ones_by_themselves(
    site: dict[str, str],
) -> None:
    page = read(site[places.ALERTS])
    standing = page.links.index(places.alert(WARM)), page.links.index(places.alert(COLD))
    assert standing == tuple(sorted(standing))
    assert page.row("open", str(1 + len(HOSTILE)))
    assert page.row("acknowledged", "1")
    assert page.row("resolved", "1")


def test_an_alert_about_a_table_that_is_no_more_defined_has_a_page_without_links_to_it(tmp_path: Path) -> None:
    facts = story(tmp_path, alerts=[alert_row(WARM, table_name="padre.gone", instrument="gone")])
    page = read(pages(facts, alerts.parts)[places.alert(WARM)])
    assert page.row("table", "padre.gone")
    assert not [link for link in page.links if "gone" in link]


def test_a_lake_without_alerts_says_that_none_stands(tmp_path: Path) -> None:
    assert "No alert stands." in read(pages(story(tmp_path), alerts.parts)[places.ALERTS]).text
