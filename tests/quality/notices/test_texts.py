# SPDX-License-Identifier: Apache-2.0
"""What a notice says, and what telemetry cannot make it say."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from quality.alerts.nouns import Event, EventName
from quality.notices.routes import happenings
from quality.notices.settings import AlertSettings
from quality.notices.texts import BODY_LENGTH, TITLE_LENGTH, bounded, happening_body, happening_title, with_id
from tests.quality.notices.stage import HOUR, NOON, event, settings, yellow

ALL = settings()
DAY = timedelta(days=1)


def test_a_notice_says_what_since_when_how_far_and_what_to_type() -> None:
    (happening,) = happenings(ALL, [event()], NOON)
    assert happening_title(happening) == "RED opened: toy.box_l1_tick.voltage_v"
    assert happening_body(happening).splitlines() == [
        "12 V step for 60 min, z 41",
        "",
        "since    2026-08-01 09:00:00 UTC",
        "until    2026-08-01 10:00:00 UTC, not known to be over",
        "value    12.5, usual or limit 0.25",
        "rules    step, z",
        "state    open",
        "told at  2026-08-01 12:00:00 UTC",
        "",
        "swxlake alerts show a1a1a1a1a1a1",
        "swxlake alerts ack a1a1a1a1a1a1 --by NAME --note TEXT",
    ]


def test_opened_and_over_in_one_run_is_one_happening() -> None:
    (happening,) = happenings(ALL, [event(), event("resolved")], NOON)
    assert happening_title(happening).startswith("RED opened and resolved: ")
    body = happening_body(happening)
    assert "10:00:00 UTC, over" in body
    assert "alerts ack" not in body


def test_two_alerts_and_two_times_are_told_apart_in_their_order() -> None:
    events = [event(), yellow(1), event("repeated", NOON + HOUR)]
    assert [h.words for h in happenings(ALL, events, NOON)] == ["opened", "opened", "repeated"]


def test_an_alert_that_was_red_is_told_as_red_to_its_end() -> None:
    (happening,) = happenings(ALL, [event(), event("resolved", severity="yellow")], NOON)
    assert happening.severity == "red"


def test_who_acknowledged_is_told_and_acknowledging_is_not() -> None:
    assert happenings(ALL, [event("acknowledged", state="acknowledged")], NOON) == []
    changes = {"acknowledged_by": "Ada", "note": "seen", "episodes": 2}
    (happening,) = happenings(ALL, [event("resolved", **changes)], NOON)
    state = "state    resolved, 2 times since 2026-08-01 09:00:00 UTC, acknowledged by Ada: seen"
    assert state in happening_body(happening)


def words(events: list[Event], now: datetime = NOON, told: AlertSettings = ALL) -> list[str]:
    return [happening.words for happening in happenings(told, events, now)]


@pytest.mark.parametrize("beginning", ["opened", "reopened"])
def test_what_ended_long_ago_is_not_told_if_it_came_and_went_at_once(beginning: EventName) -> None:
    end = NOON - 30 * DAY
    assert words([event(beginning, end=end), event("resolved", end=end)]) == [f"{beginning} and resolved"]
    earlier = end - timedelta(seconds=1)
    assert words([event(beginning, end=earlier), event("resolved", end=earlier)]) == []


def test_a_first_run_over_an_archive_tells_only_what_still_stands() -> None:
    ends = [NOON - n * DAY for n in range(31, 1031)]
    over = [yellow(n, name, end=end) for n, end in enumerate(ends) for name in ("opened", "resolved")]
    assert words([*over, event("opened", end=NOON - 400 * DAY)]) == ["opened"]


def test_what_stands_is_told_however_old_its_data_are() -> None:
    old = NOON - 400 * DAY
    assert words([event("opened", end=old)]) == ["opened"]
    assert words([event("raised", end=old), event("repeated", NOON + HOUR, end=old)]) == ["raised", "repeated"]


def test_the_end_of_what_was_told_while_it_stood_is_told_however_long_ago_it_was() -> None:
    old = NOON - 400 * DAY
    assert words([event("resolved", end=old)]) == ["resolved"]
    assert words([event("raised", end=old), event("resolved", end=old)]) == ["raised and resolved"]


def test_what_was_noted_long_ago_is_not_told_even_if_it_goes_on() -> None:
    late = NOON + timedelta(days=31)
    assert words([event(end=late)], late) == []


MUTING = settings(maintenance=[{"from": NOON - 4 * HOUR, "to": NOON + HOUR, "reason": "bake-out"}])


def test_what_was_over_within_a_maintenance_window_is_never_told() -> None:
    assert words([event(), event("resolved")], told=MUTING) == []
    assert words([event("resolved", NOON + DAY)], NOON + DAY, MUTING) == []
    assert words([event("resolved", NOON + DAY, end=NOON + HOUR)], NOON + DAY, MUTING) == ["resolved"]


def test_what_goes_on_is_not_told_within_a_maintenance_window_and_is_after_it() -> None:
    assert words([event()], told=MUTING) == []
    later = NOON + HOUR
    assert words([event("repeated", later)], later, MUTING) == ["repeated"]
    assert words([event(start=NOON - 5 * HOUR)], told=MUTING) == ["opened"]


def test_control_characters_of_telemetry_are_shown_and_not_sent() -> None:
    nasty = "a\x1b[31mred\x07\r\nBcc: x@y.org\u202eback\ud800"
    (happening,) = happenings(ALL, [event(message=nasty, subject=nasty, rules=(nasty,))], NOON)
    text = with_id("0" * 12, happening_title(happening)) + happening_body(happening)
    assert r"a\x1b[31mred\x07 Bcc: x@y.org\u202eback\ud800" in text
    assert all(c.isprintable() or c == "\n" for c in text)
    text.encode()
    assert not [line for line in text.splitlines() if line.startswith("Bcc")]


def test_texts_have_a_bounded_length() -> None:
    (happening,) = happenings(ALL, [event(message="m" * 9000, subject="s" * 900, rules=("r" * 900,) * 9)], NOON)
    assert len(with_id("0" * 12, happening_title(happening))) == TITLE_LENGTH
    assert len(happening_body(happening)) < BODY_LENGTH
    assert "alerts show a1a1a1a1a1a1" in happening_body(happening)


def test_lines_that_are_too_many_are_counted() -> None:
    text = bounded([f"{n:04d}" for n in range(1000)], 100)
    assert len(text) <= 100
    kept = text.splitlines()
    assert kept[-1] == f"({1000 - len(kept) + 1} more lines)"
    assert bounded(["a", "b"], 100) == "a\nb"
