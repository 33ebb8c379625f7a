# SPDX-License-Identifier: Apache-2.0
"""Alerts do not depend on how the data came: at once, night by night, in any order. hypothesis looks for what does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.definitions import Table
from quality.alerts.nouns import Alert, Episode
from quality.alerts.stretches import Row
from tests.quality.alerts.scene import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    Lived,
    anomaly,
    conditions,
    definitions,
    episode,
    episodes,
)
from tests.toy import L1

NIGHTS = 6
AFTER = NOON + timedelta(days=60)
SUBJECTS = tuple(f"{L1}.{name}" for name in "ab")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Table]:
    return {L1: definitions(tmp_path_factory.mktemp("toy")).tables[L1]}


def standing(alerts: Sequence[Alert]) -> list[tuple[object, ...]]:
    """All but the ids; alerts that became parts of others are left out."""
    return sorted((a.subject, a.start, a.end, a.episodes, a.severity, a.state) for a in alerts if a.episodes)


def with_ids(alerts: Sequence[Alert]) -> list[tuple[object, ...]]:
    return sorted((a.alert_id, a.subject, a.start, a.end, a.episodes, a.state) for a in alerts if a.episodes)


def one_at_a_time(alerts: Sequence[Alert]) -> bool:
    return max(Counter(a.subject for a in alerts if a.state != "resolved").values(), default=0) <= 1


@st.composite
def histories(draw: st.DrawFn) -> list[Episode]:
    """Episodes of two subjects, none at the same time as another of its subject; the last may go on."""
    found = []
    for subject in SUBJECTS:
        time, last = NOON, draw(st.booleans())
        steps = draw(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 40)), max_size=6))
        for number, (pause, length) in enumerate(steps, 1):
            start, time = time + pause * HOUR, time + (pause + length) * HOUR
            severity = draw(st.sampled_from(["yellow", "red"]))
            ended = last or number < len(steps)
            found.append(episode(start, time, subject, severity=severity, ended=ended))
    return found


@given(histories(), st.data())
@settings(max_examples=100, deadline=None)
def test_data_in_their_order_give_the_alerts_that_they_give_at_once(found: list[Episode], data: st.DataObject) -> None:
    in_order = sorted(found, key=lambda e: e.start)
    ends = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=4)))
    lived, at_once = Lived(), Lived()
    for end in [*ends, len(found)]:
        lived.run(conditions(*in_order[:end]), AFTER)
    at_once.run(conditions(*found), AFTER)
    assert with_ids(lived.alerts) == with_ids(at_once.alerts)
    assert len(lived.alerts) == len(at_once.alerts)


@given(histories(), st.data())
@settings(max_examples=100, deadline=None)
def test_data_in_any_order_give_the_same_alerts_under_the_ids_that_were_told_first(
    found: list[Episode], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(found))
    ends = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=4)))
    lived, at_once, told = Lived(), Lived(), set[str]()
    for end in [*ends, len(found)]:
        lived.run(conditions(*shuffled[:end]), AFTER)
        told |= {alert.alert_id for alert in lived.alerts}
        assert one_at_a_time(lived.alerts)
    at_once.run(conditions(*found), AFTER)
    assert standing(lived.alerts) == standing(at_once.alerts)
    assert {alert.alert_id for alert in lived.alerts} == told


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_same_data_again_give_no_event_in_whatever_order_they_are_read(
    found: list[Episode], random: object
) -> None:
    lived = Lived()
    lived.run(conditions(*found), AFTER)
    alerts = lived.alerts
    random.shuffle(found)  # type: ignore[attr-defined]
    assert lived.names(conditions(*found), AFTER + HOUR) == []
    assert lived.alerts == alerts


@st.composite
def nights(draw: st.DrawFn) -> list[Row]:
    """Anomalies of four channels and the table, found night by night: short ones, what goes on over midnight, drifts.

    Two channels drift at most: that three have a common onset may be known days after the alert of the first one, and
    what that one has next within a day goes on under its id.
    """
    found = []
    for _ in range(draw(st.integers(0, 12))):
        day = DAY + timedelta(days=draw(st.integers(0, NIGHTS - 1)))
        column = draw(st.sampled_from(["a", "b", "c", "d", ""]))
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        night = midnight + timedelta(days=1) - 10 * timedelta(seconds=1)
        kind = draw(st.sampled_from(["short", "evening", "morning", "drift"]))
        start = midnight + draw(st.integers(0, 46)) * 30 * MINUTE
        if kind == "drift":
            onset = midnight - timedelta(days=draw(st.integers(0, 3)))
            found.append(anomaly(onset, night, draw(st.sampled_from("ab")), "drift", ended=False, day=day))
        elif kind == "evening":
            found.append(anomaly(start, night, column, ended=False))
        else:
            found.append(anomaly(midnight if kind == "morning" else start, start + 20 * MINUTE, column))
    return found


@given(nights())
@settings(max_examples=150, deadline=None)
def test_night_by_night_the_alerts_have_the_ids_that_they_have_at_once(
    tables: Mapping[str, Table], rows: list[Row]
) -> None:
    lived, at_once = Lived(), Lived()
    days: list[date] = [DAY + timedelta(days=i) for i in range(NIGHTS)]
    for number, day in enumerate(days):
        known = episodes(tables, [row for row in rows if row.day <= day], day)
        lived.run(conditions(*known), NOON + timedelta(days=number + 1))
        assert one_at_a_time(lived.alerts)
    at_once.run(conditions(*episodes(tables, rows, days[-1])), AFTER)
    assert with_ids(lived.alerts) == with_ids(at_once.alerts)
