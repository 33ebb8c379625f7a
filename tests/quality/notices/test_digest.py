# SPDX-License-Identifier: Apache-2.0
"""The digest of a day, and what a maintenance window muted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake.store import Journal, Lake
from lake.tables import append_ops
from quality.alerts.entries import alert_row, event_row
from quality.alerts.nouns import Alert, Event, EventName
from quality.notices.digest import enqueue_digest
from quality.notices.outbox import enqueue, send
from tests.quality.notices.stage import ALERT, AT_ONCE, HOUR, NOON, event, lake_in, settings, titles, yellow

MORNING = datetime(2026, 8, 1, 7, 5, tzinfo=UTC)
DAY = timedelta(days=1)
DIGEST = {"at": "07:00", "channels": ["a"]}
WINDOW = {"from": NOON - 4 * HOUR, "to": NOON - HOUR, "reason": "bake-out"}
RUN, OLD_RUN = "20260801T020000.000000Z-aaaaaa", "20260731T020000.000000Z-aaaaaa"
YELLOW = replace(ALERT, alert_id="b" * 12, severity="yellow", subject="toy.box_l1_tick")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_in(tmp_path)


def keep(lake: Lake, *alerts: Alert, event: EventName = "opened", at: datetime = MORNING) -> None:
    """Put alerts into the ops tables, each with an event."""
    append_ops(lake, "alerts", [alert_row(alert, RUN) for alert in alerts])
    append_ops(lake, "alert_events", [event_row(Event(alert, event, at, event), RUN) for alert in alerts])


def bodies(lake: Lake, kind: str) -> list[str]:
    return [entry["body"] for entry in Journal(lake).entries("notices").values() if entry["kind"] == kind]


def test_a_day_without_anything_is_well(lake: Lake) -> None:
    assert enqueue_digest(lake, settings("a", digest=DIGEST), [], MORNING) == 1
    assert titles(lake) == ["digest of 2026-08-01: all is well"]
    assert bodies(lake, "digest")[0].splitlines() == [
        "2026-07-31 07:05 to 2026-08-01 07:05 UTC",
        "All is well: no alert is open, and none was opened.",
        "",
        "waiting for delivery: nothing",
        "noted only: nothing",
        "completeness: nothing new was measured",
        "quarantine: nothing new",
    ]


def test_a_day_has_one_digest_for_each_of_its_channels(lake: Lake) -> None:
    daily = settings("a", "b", digest={"at": "07:00", "channels": ["a", "b"]})
    assert enqueue_digest(lake, daily, [], MORNING) == 2
    assert enqueue_digest(lake, daily, [ALERT], MORNING + 20 * HOUR) == 0
    assert enqueue_digest(lake, daily, [], MORNING + DAY) == 2
    assert len(set(Journal(lake).keys("notices"))) == 4


def test_before_its_time_the_digest_is_that_of_the_day_before(lake: Lake) -> None:
    enqueue_digest(lake, settings("a", digest=DIGEST), [], MORNING - timedelta(minutes=6))
    enqueue_digest(lake, settings("a", digest=DIGEST), [], MORNING)
    assert Journal(lake).keys("digests") == ["2026-07-31", "2026-08-01"]
    assert titles(lake) == ["digest of 2026-07-31: all is well", "digest of 2026-08-01: all is well"]
    assert bodies(lake, "digest")[1].startswith("2026-08-01 06:59 to 2026-08-01 07:05 UTC")


def test_without_a_digest_in_the_settings_there_is_none(lake: Lake) -> None:
    assert enqueue_digest(lake, settings("a"), [ALERT], MORNING) == 0


def test_killed_between_digest_and_notice_it_is_made_up_for_with_the_same_words(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    daily = settings("a", digest=DIGEST)
    with monkeypatch.context() as patch:
        patch.setattr("quality.notices.digest._digest_notice", killed)
        with pytest.raises(KeyboardInterrupt):
            enqueue_digest(lake, daily, [ALERT], MORNING)
    assert enqueue_digest(lake, daily, [], MORNING + HOUR) == 1
    assert titles(lake) == ["digest of 2026-08-01: 1 open (1 red), 0 opened, 0 resolved"]


def test_a_digest_lists_what_is_open_and_what_happened_since_the_last(lake: Lake) -> None:
    over = replace(ALERT, alert_id="c" * 12, state="resolved", subject="toy.box_l0_tick")
    keep(lake, ALERT, YELLOW, at=MORNING - HOUR)
    keep(lake, over, event="resolved", at=MORNING - HOUR)
    keep(lake, replace(YELLOW, alert_id="d" * 12), at=MORNING - 2 * DAY)
    enqueue_digest(lake, settings("a", digest=DIGEST), [YELLOW, ALERT, over], MORNING)
    assert titles(lake) == ["digest of 2026-08-01: 2 open (1 red), 2 opened, 1 resolved"]
    lines = bodies(lake, "digest")[0].splitlines()
    red = "a1a1a1a1a1a1 red open since 2026-08-01 09:00 toy.box_l1_tick.voltage_v: 12 V step for 60 min, z 41"
    other = "bbbbbbbbbbbb yellow open since 2026-08-01 09:00 toy.box_l1_tick: 12 V step for 60 min, z 41"
    assert lines[2:5] == ["open now: 2", red, other]
    assert lines[6:9] == ["opened: 2", red, other]
    assert lines[10] == "resolved: 1"
    assert lines[11].startswith("cccccccccccc red over since 2026-08-01 09:00 toy.box_l0_tick: ")


def test_a_long_list_is_cut_and_says_where_the_rest_is(lake: Lake) -> None:
    many = [replace(YELLOW, alert_id=f"{n:012x}", message="m" * 500) for n in range(200)]
    enqueue_digest(lake, settings("a", digest=DIGEST), many, MORNING)
    (body,) = bodies(lake, "digest")
    assert "open now: 200" in body
    assert "(190 more: `swxlake alerts --all` lists them)" in body
    assert len(body) <= 3500


def test_a_digest_counts_what_was_only_noted_is_missing_or_quarantined_since_the_last(lake: Lake) -> None:
    found = {"mission": "toy", "instrument": "box", "table_name": "toy.box_l1_tick", "day": NOON.date()}
    found |= {"column_name": "voltage_v", "rule": "spike", "severity": "info", "start_time": NOON, "end_time": NOON}
    found |= {"ended": True, "value": 1.0, "baseline": 0.0, "score": 9.0, "samples": 1, "detail": "", "plot": ""}
    rows = [found | {"run_id": run} for run in (OLD_RUN, RUN, RUN)] + [found | {"severity": "red", "run_id": RUN}]
    append_ops(lake, "anomalies", rows)
    measured = {"column_name": "", "metric": "completeness", "content": ""}
    for day, value, run in ((1, 0.5, OLD_RUN), (2, 0.25, RUN), (3, 1.0, RUN), (4, 0.9, RUN), (5, None, RUN)):
        row = {"table_name": "toy.box_l1_tick", "day": NOON.replace(day=day).date(), "value": value, "run_id": run}
        append_ops(lake, "metrics", [measured | row])
    lost = {"file_sha256": "0" * 64, "name": "x", "bytes": 40, "reason": "JUNK", "detail": "", "packets": 0}
    for offset, run in ((0, OLD_RUN), (1, RUN), (2, RUN)):
        append_ops(lake, "quarantine", [lost | {"byte_offset": offset, "run_id": run}])
    enqueue_digest(lake, settings("a", digest=DIGEST), [], MORNING)
    assert bodies(lake, "digest")[0].splitlines()[-3:] == [
        "noted only: toy.box_l1_tick 2 spike",
        "completeness: 2 of 3 table-days lack rows, most of all toy.box_l1_tick@2026-08-02 with 25.0% there",
        "quarantine: 80 bytes (2 JUNK)",
    ]


def test_a_digest_says_what_waits_since_earlier_runs(lake: Lake) -> None:
    daily = settings("a", digest=DIGEST)
    enqueue(lake, daily, [event(at=MORNING - HOUR), yellow(1, at=MORNING)], MORNING)
    enqueue_digest(lake, daily, [], MORNING)
    assert "\nwaiting for delivery: a 1\n" in bodies(lake, "digest")[0]


def test_a_digest_is_not_held_by_quiet_hours(lake: Lake, tmp_path: Path) -> None:
    daily = settings("a", folder=tmp_path, digest=DIGEST, quiet_hours={"from": "00:00", "to": "09:00"})
    enqueue_digest(lake, daily, [], MORNING)
    assert send(lake, daily, MORNING, AT_ONCE).delivered == 1


def test_after_a_maintenance_window_what_began_in_it_is_told_once(lake: Lake) -> None:
    muting = settings(
        "a", "b", maintenance=[WINDOW], routes=[{"channels": ["a"]}, {"severity": "red", "channels": ["b"]}]
    )
    over = replace(YELLOW, state="resolved")
    keep(lake, ALERT, over, replace(YELLOW, alert_id="e" * 12, start=NOON - 9 * HOUR))
    assert enqueue_digest(lake, muting, [], NOON - 2 * HOUR) == 0
    assert enqueue_digest(lake, muting, [], NOON) == 2
    assert enqueue_digest(lake, muting, [], NOON + DAY) == 0
    assert titles(lake) == ["maintenance over, 2 muted: bake-out", "maintenance over, 1 muted: bake-out"]
    first, second = (body.splitlines() for body in bodies(lake, "maintenance"))
    assert first[0] == "maintenance 2026-08-01 08:00 to 2026-08-01 11:00 UTC has ended: bake-out"
    assert [line[:24] for line in first[3:]] == ["a1a1a1a1a1a1 red open si", "bbbbbbbbbbbb yellow over"]
    assert len(second) == 4


def test_an_alert_that_late_data_add_to_a_window_is_told_with_the_others(lake: Lake) -> None:
    muting = settings("a", maintenance=[WINDOW])
    keep(lake, ALERT)
    assert enqueue_digest(lake, muting, [], NOON) == 1
    keep(lake, YELLOW)
    assert enqueue_digest(lake, muting, [], NOON + HOUR) == 1
    assert titles(lake)[-1] in {"maintenance over, 2 muted: bake-out", "maintenance over, 1 muted: bake-out"}
    assert sorted(len(body.splitlines()) for body in bodies(lake, "maintenance")) == [4, 5]


def test_what_maintenance_muted_is_as_urgent_as_the_worst_of_it(lake: Lake) -> None:
    muting = settings("a", "b", maintenance=[WINDOW], routes=[{"channels": ["a"]}])
    keep(lake, YELLOW, ALERT)
    enqueue_digest(lake, muting, [], NOON)
    assert [entry["severity"] for entry in Journal(lake).entries("notices").values()] == ["red"]


def test_what_later_data_took_back_is_not_in_the_list_of_a_window(lake: Lake) -> None:
    muting = settings("a", maintenance=[WINDOW])
    keep(lake, replace(ALERT, state="resolved", episodes=0))
    assert enqueue_digest(lake, muting, [], NOON) == 0


def test_what_goes_on_after_its_window_is_opened_in_the_digest_and_not_muted(lake: Lake) -> None:
    daily = settings("a", maintenance=[WINDOW], digest=DIGEST)
    keep(lake, ALERT, at=NOON)
    enqueue_digest(lake, daily, [ALERT], NOON)
    body = bodies(lake, "digest")[0]
    assert "opened: 1" in body
    assert "muted by maintenance" not in body


def test_a_window_in_which_nothing_began_or_that_is_long_over_is_not_told(lake: Lake) -> None:
    muting = settings("a", maintenance=[WINDOW])
    assert enqueue_digest(lake, muting, [], NOON) == 0
    keep(lake, ALERT)
    assert enqueue_digest(lake, muting, [], NOON + 31 * DAY) == 0


def test_muted_alerts_are_in_the_digest_and_do_not_disturb_it(lake: Lake) -> None:
    daily = settings("a", maintenance=[WINDOW], digest=DIGEST)
    keep(lake, replace(ALERT, state="resolved"), at=NOON)
    enqueue_digest(lake, daily, [], NOON - 2 * HOUR)
    body = bodies(lake, "digest")[0]
    assert "All is well" in body
    assert "muted by maintenance: 1\na1a1a1a1a1a1 red over" in body
