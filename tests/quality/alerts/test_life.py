# SPDX-License-Identifier: Apache-2.0
"""The life of an alert: opened, raised, repeated, acknowledged, resolved, reopened, and which alert is which."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from quality.alerts.life import Conditions, acknowledged
from quality.alerts.nouns import Alert, Episode
from tests.quality.alerts.scene import DAY, HOUR, MINUTE, NOON, SECOND, Lived, conditions, episode
from tests.toy import L1

NOW = NOON + 20 * HOUR
NOTHING = conditions()


def ack(lived: Lived) -> Alert:
    """Somebody knows of the only alert."""
    (alert,) = lived.alerts
    event = acknowledged(alert, "A. Operator", "heater test", NOW)
    lived.alerts = (event.alert,)
    return event.alert


def test_an_alert_is_opened_once_under_the_hash_of_its_subject_and_start() -> None:
    lived, bad = Lived(), conditions(episode(NOON, NOON + HOUR, ended=False))
    (event,) = lived.run(bad, NOW).events
    digest = sha256(f"{L1}.voltage_v 2026-08-01T12:00:00+00:00".encode()).hexdigest()
    assert (event.name, event.at, event.alert.alert_id) == ("opened", NOW, digest[:12])
    assert (event.alert.state, event.alert.opened_at, event.alert.episodes) == ("open", NOW, 1)
    assert lived.names(bad, NOW + HOUR) == []
    assert lived.alerts == (event.alert,)


def test_it_is_resolved_when_its_episode_has_ended() -> None:
    lived = Lived()
    lived.run(conditions(episode(NOON, NOON + HOUR, ended=False)), NOW)
    over = conditions(episode(NOON, NOON + 2 * HOUR))
    (event,) = lived.run(over, NOW + HOUR).events
    assert (event.name, event.alert.state, event.alert.end) == ("resolved", "resolved", NOON + 2 * HOUR)
    assert event.detail == "over since 2026-08-01T14:00:00Z: later data are as usual"
    assert lived.names(over, NOW + 99 * HOUR) == []


def test_what_is_over_when_it_is_found_tells_both() -> None:
    assert Lived().names(conditions(episode(NOON, NOON + HOUR)), NOW) == ["opened", "resolved"]


def test_what_is_not_found_any_more_is_resolved_and_says_so() -> None:
    lived = Lived()
    lived.run(conditions(episode(NOON, ended=False)), NOW)
    (event,) = lived.run(NOTHING, NOW + HOUR).events
    assert (event.name, event.alert.episodes) == ("resolved", 0)
    assert "corrected" in event.detail


def test_what_is_found_again_after_a_correction_is_reopened_under_its_id() -> None:
    lived, bad = Lived(), conditions(episode(NOON, ended=False))
    (first,) = lived.run(bad, NOW).events
    lived.run(NOTHING, NOW + HOUR)
    (again,) = lived.run(bad, NOW + 2 * HOUR).events
    assert (again.name, again.alert.alert_id, again.alert.opened_at) == ("reopened", first.alert.alert_id, NOW)


def test_nothing_is_known_while_the_days_were_not_watched_again() -> None:
    lived, bad = Lived(), conditions(episode(NOON, NOON + HOUR, ended=False))
    lived.run(bad, NOW)
    alerts = lived.alerts
    for unwatched in (conditions(judged=[]), conditions(judged=[DAY + timedelta(days=1)])):
        assert lived.names(unwatched, NOW + HOUR) == []
        assert lived.alerts == alerts


def test_what_is_not_watched_any_more_is_resolved() -> None:
    lived = Lived()
    lived.run(conditions(episode(NOON, ended=False)), NOW)
    (event,) = lived.run(Conditions((), frozenset(), frozenset()), NOW + HOUR).events
    assert (event.name, event.detail) == ("resolved", "it is not watched any more")


# ---- severity and repetition -----------------------------------------------------------------------------------
def test_a_rise_of_severity_is_told_once() -> None:
    lived = Lived()
    lived.run(conditions(episode(NOON, NOON + HOUR, ended=False)), NOW)
    worse = conditions(episode(NOON, NOON + 2 * HOUR, ended=False, severity="red", message="hot"))
    (event,) = lived.run(worse, NOW + HOUR).events
    assert (event.name, event.detail, event.alert.severity) == ("raised", "from yellow to red: hot", "red")
    assert lived.names(worse, NOW + 2 * HOUR) == []


def test_a_red_alert_is_repeated_every_four_hours_until_somebody_knows() -> None:
    lived, red = Lived(), conditions(episode(NOON, ended=False, severity="red"))
    lived.run(red, NOW)
    assert [lived.names(red, NOW + hours * HOUR) for hours in (3.9, 4, 7.9, 8)] == [[], ["repeated"], [], ["repeated"]]
    ack(lived)
    assert lived.names(red, NOW + 99 * HOUR) == []


def test_a_yellow_alert_is_not_repeated() -> None:
    lived, yellow = Lived(), conditions(episode(NOON, ended=False))
    lived.run(yellow, NOW)
    assert lived.names(yellow, NOW + 99 * HOUR) == []


def test_an_acknowledged_alert_still_tells_that_it_is_worse_and_that_it_is_over() -> None:
    lived = Lived()
    lived.run(conditions(episode(NOON, ended=False)), NOW)
    ack(lived)
    (raised,) = lived.run(conditions(episode(NOON, ended=False, severity="red")), NOW + HOUR).events
    assert (raised.name, raised.alert.state, raised.alert.acknowledged_by) == ("raised", "acknowledged", "A. Operator")
    (over,) = lived.run(conditions(episode(NOON, severity="red")), NOW + 2 * HOUR).events
    assert (over.name, over.alert.note) == ("resolved", "heater test")


# ---- coming back -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("hours", "alerts"), [(23.9, 1), (24, 2)])
def test_what_comes_back_within_a_day_is_the_same_alert(hours: float, alerts: int) -> None:
    lived, first = Lived(), episode(NOON, NOON + HOUR)
    lived.run(conditions(first), NOW)
    again = episode(NOON + (1 + hours) * HOUR, ended=False)
    (event,) = lived.run(conditions(first, again), NOW + 24 * HOUR).events
    assert len(lived.alerts) == alerts
    assert (event.name, event.alert.episodes) == (("reopened", 2) if alerts == 1 else ("opened", 1))


def test_an_acknowledgement_does_not_hold_for_what_comes_back() -> None:
    lived, first = Lived(), episode(NOON, NOON + HOUR, severity="red")
    lived.run(conditions(replace(first, ended=False)), NOW)
    ack(lived)
    lived.run(conditions(first), NOW + HOUR)
    (event,) = lived.run(conditions(first, episode(NOON + 3 * HOUR, ended=False)), NOW + 2 * HOUR).events
    assert (event.name, event.alert.state, event.alert.acknowledged_by) == ("reopened", "open", None)


def test_what_came_back_and_is_over_tells_both() -> None:
    lived, first = Lived(), episode(NOON, NOON + HOUR)
    lived.run(conditions(first), NOW)
    both = conditions(first, episode(NOON + 3 * HOUR))
    assert lived.names(both, NOW + HOUR) == ["reopened", "resolved"]
    assert lived.names(both, NOW + 2 * HOUR) == []


def test_a_resolved_alert_whose_end_comes_late_changes_without_a_word() -> None:
    lived = Lived()
    lived.run(conditions(episode(NOON, NOON + HOUR)), NOW)
    assert lived.names(conditions(episode(NOON, NOON + 2 * HOUR)), NOW + HOUR) == []
    assert [alert.end for alert in lived.alerts] == [NOON + 2 * HOUR]


def failing(*days: int) -> Conditions:
    """The checks of a table fail on these days."""
    subject, day = f"{L1} checks", timedelta(days=1)
    judged = [(subject, DAY + i * day) for i in range(40)]
    found = (episode(NOON + i * day, NOON + i * day, subject, ended=False, column="") for i in days)
    return Conditions(tuple(found), frozenset(judged), frozenset({subject}))


@pytest.mark.parametrize("known", [True, False])
def test_another_bad_day_of_a_table_is_told_whoever_knows_of_the_first(known: bool) -> None:
    lived, day = Lived(), timedelta(days=1)
    lived.run(failing(0), NOW)
    if known:
        ack(lived)
    assert lived.names(failing(0), NOW + 24 * HOUR) == []
    (event,) = lived.run(failing(0, 30), NOW + 30 * day).events
    assert (event.name, event.detail, event.alert.state) == ("reopened", "since 31 12:00", "open")
    assert len(lived.alerts) == 1
    assert lived.names(failing(30), NOW + 31 * day) == []
    assert lived.names(failing(), NOW + 32 * day) == ["resolved"]


def test_an_older_bad_day_and_one_between_two_are_told_as_well() -> None:
    lived = Lived()
    lived.run(failing(30), NOW)
    (older,) = lived.run(failing(0, 30), NOW + HOUR).events
    assert (older.name, older.detail) == ("reopened", "since 01 12:00")
    (between,) = lived.run(failing(0, 15, 30), NOW + 2 * HOUR).events
    assert (between.name, "since 16 12:00" in between.detail) == ("reopened", True)
    assert lived.names(failing(0, 15, 30), NOW + 3 * HOUR) == []


# ---- which alert is which --------------------------------------------------------------------------------------
def test_a_start_that_late_data_move_keeps_the_id() -> None:
    lived = Lived()
    (first,) = lived.run(conditions(episode(NOON, NOON + HOUR, ended=False)), NOW).events
    earlier = conditions(episode(NOON - 3 * HOUR, NOON + HOUR, ended=False))
    assert lived.names(earlier, NOW + HOUR) == []
    (alert,) = lived.alerts
    assert (alert.alert_id, alert.start) == (first.alert.alert_id, NOON - 3 * HOUR)


def test_two_alerts_that_late_data_join_are_the_older_one() -> None:
    lived, first, last = Lived(), episode(NOON, NOON + HOUR), episode(NOON + 40 * HOUR, ended=False)
    lived.run(conditions(first, last), NOW)
    old, young = lived.alerts
    joined = conditions(first, episode(NOON + 20 * HOUR), last)
    events = lived.run(joined, NOW + HOUR).events
    assert [(e.name, e.alert.alert_id) for e in events] == [("reopened", old.alert_id), ("resolved", young.alert_id)]
    assert old.alert_id in events[1].detail
    assert [alert.episodes for alert in lived.alerts] == [3, 0]
    assert lived.names(joined, NOW + 2 * HOUR) == []


def test_an_alert_of_which_the_middle_was_corrected_is_two() -> None:
    lived, first, last = Lived(), episode(NOON, NOON + HOUR), episode(NOON + 40 * HOUR)
    lived.run(conditions(first, episode(NOON + 20 * HOUR), last), NOW)
    (whole,) = lived.alerts
    assert lived.names(conditions(first, last), NOW + HOUR) == ["opened", "resolved"]
    assert [(a.alert_id == whole.alert_id, a.start) for a in lived.alerts] == [(True, NOON), (False, last.start)]


def whole(*names: str, **other: Any) -> Episode:
    """An episode of channels of the toy's table that began together at noon."""
    parts = tuple(f"{L1}.{name}" for name in names)
    return episode(NOON, NOON + HOUR, f"{L1} several", **{"ended": False, "parts": parts, **other})


def test_a_channel_that_turns_out_to_be_one_of_several_goes_on_as_their_alert() -> None:
    lived = Lived()
    lived.run(conditions(episode(NOON, NOON + HOUR, f"{L1}.a", ended=False)), NOW)
    known = ack(lived)
    for hours in (1, 2):
        assert lived.names(conditions(whole("a", "b", "c")), NOW + hours * HOUR) == []
    (alert,) = lived.alerts
    assert (alert.alert_id, alert.subject) == (known.alert_id, f"{L1} several")
    assert (alert.state, alert.acknowledged_by) == ("acknowledged", "A. Operator")
    assert lived.names(conditions(whole("a", "b", "c", severity="red")), NOW + 3 * HOUR) == ["raised"]
    assert lived.names(conditions(whole("a", "b", "c", ended=True)), NOW + 4 * HOUR) == ["resolved"]


def test_of_several_known_channels_the_oldest_goes_on_and_the_others_say_so() -> None:
    lived = Lived()
    starts = {"b": NOON, "a": NOON + SECOND}
    lived.run(conditions(*(episode(t, NOON + HOUR, f"{L1}.{name}", ended=False) for name, t in starts.items())), NOW)
    old, young = lived.alerts
    (event,) = lived.run(conditions(whole("a", "b", "c")), NOW + HOUR).events
    assert (event.name, event.alert.alert_id) == ("resolved", young.alert_id)
    assert event.detail == f"it goes on as alert {old.alert_id}: they are one"
    assert [(a.alert_id, a.state) for a in lived.alerts if a.episodes] == [(old.alert_id, "open")]


def test_a_channel_that_is_no_part_of_the_several_keeps_its_alert() -> None:
    lived, other = Lived(), episode(NOON, NOON + HOUR, f"{L1}.d", ended=False)
    lived.run(conditions(other), NOW)
    assert lived.names(conditions(other, whole("a", "b", "c")), NOW + HOUR) == ["opened"]
    assert lived.names(conditions(whole("a", "b", "c")), NOW + 2 * HOUR) == ["resolved"]
    assert {a.subject: a.state for a in lived.alerts} == {f"{L1}.d": "resolved", f"{L1} several": "open"}


def test_a_whole_that_falls_apart_is_the_alert_of_its_part_again() -> None:
    lived, part = Lived(), episode(NOON, NOON + HOUR, f"{L1}.a", ended=False)
    (first,) = lived.run(conditions(part), NOW).events
    lived.run(conditions(whole("a", "b", "c")), NOW + HOUR)
    assert lived.names(conditions(part), NOW + 2 * HOUR) == []
    assert [(a.alert_id, a.subject) for a in lived.alerts] == [(first.alert.alert_id, f"{L1}.a")]


def test_what_is_said_of_a_part_holds_for_the_whole_that_comes_back_with_it() -> None:
    lived, before = Lived(), whole("a", "b", "c", ended=True)
    lived.run(conditions(before), NOW)
    again = NOON + 10 * HOUR
    lived.run(conditions(before, episode(again, subject=f"{L1}.a", ended=False)), NOW)
    young = lived.alerts[-1]
    lived.alerts = (*lived.alerts[:-1], acknowledged(young, "A. Operator", "known", NOW).alert)
    both = conditions(before, replace(before, start=again, end=again, ended=False))
    reopened, over = lived.run(both, NOW + HOUR).events
    assert (reopened.name, over.name, over.alert.alert_id) == ("reopened", "resolved", young.alert_id)
    assert (reopened.alert.state, reopened.alert.acknowledged_by) == ("acknowledged", "A. Operator")


def test_subjects_do_not_mix() -> None:
    lived = Lived()
    found = [episode(NOON, ended=False, subject=f"{L1}.{name}") for name in ("b", "a")]
    events = lived.run(conditions(*found), NOW).events
    assert [event.alert.subject for event in events] == [f"{L1}.a", f"{L1}.b"]


def test_events_are_in_the_order_of_the_data() -> None:
    first, last = episode(NOON, NOON + MINUTE), episode(NOON + 50 * HOUR, severity="red")
    events = Lived().run(conditions(last, first), NOW).events
    assert [(e.name, e.alert.start) for e in events] == [
        ("opened", first.start),
        ("resolved", first.start),
        ("opened", last.start),
        ("resolved", last.start),
    ]
