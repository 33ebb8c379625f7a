# SPDX-License-Identifier: Apache-2.0
"""Which anomalies are one episode, since when, and how bad."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lake.definitions import Table
from lake.watch_definitions import Watch
from quality.alerts.episodes import anomaly_rows
from tests.quality.alerts.scene import DAY, HOUR, MINUTE, NOON, SECOND, anomaly, definitions, episodes, whole_day
from tests.toy import L1

Tables = Mapping[str, Table]
MIDNIGHT = datetime(2026, 8, 2, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)
CHANNEL = f"{L1}.voltage_v"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return {L1: definitions(tmp_path_factory.mktemp("toy")).tables[L1]}


def test_an_anomaly_is_an_episode_of_its_channel(tables: Tables) -> None:
    (found,) = episodes(tables, [anomaly(NOON, NOON + HOUR, value=7.5, baseline=2.5)])
    assert (found.subject, found.column, found.table) == (CHANNEL, "voltage_v", L1)
    assert (found.mission, found.instrument) == ("toy", "box")
    assert (found.start, found.end, found.ended) == (NOON, NOON + HOUR, True)
    assert (found.rules, found.severity, found.value, found.baseline) == (("level",), "yellow", 7.5, 2.5)


def test_what_goes_on_over_midnight_is_one_episode(tables: Tables) -> None:
    evening = anomaly(NOON, MIDNIGHT - 10 * SECOND, ended=False)
    morning = anomaly(MIDNIGHT, MIDNIGHT + HOUR)
    (found,) = episodes(tables, [morning, evening], NEXT)
    assert (found.start, found.end, found.ended) == (NOON, MIDNIGHT + HOUR, True)


def test_other_rules_of_the_same_channel_belong_to_the_episode_and_the_worst_stands_first(tables: Tables) -> None:
    rows = [
        anomaly(NOON, NOON + HOUR, score=90.0),
        anomaly(NOON + MINUTE, NOON + 2 * MINUTE, rule="red_high", severity="red", score=1.5, value=99.0),
        anomaly(NOON + HOUR, NOON + 2 * HOUR, rule="noise", score=4.0),
    ]
    (found,) = episodes(tables, rows)
    assert found.rules == ("red_high", "level", "noise")
    assert (found.severity, found.value, found.end) == ("red", 99.0, NOON + 2 * HOUR)
    assert found.message == "red_high of voltage_v; also level, noise"


def test_what_ended_does_not_touch_what_begins_an_hour_later(tables: Tables) -> None:
    rows = [anomaly(NOON, NOON + HOUR), anomaly(NOON + 2 * HOUR, NOON + 3 * HOUR)]
    assert [found.start for found in episodes(tables, rows)] == [NOON, NOON + 2 * HOUR]


def test_an_hour_between_is_no_gap_where_the_watch_says_so(tmp_path: Path) -> None:
    slow = {L1: definitions(tmp_path, Watch(gap_seconds=7200)).tables[L1]}
    evening, morning = anomaly(NOON, NOON + HOUR, ended=False), anomaly(NOON + 2 * HOUR, NOON + 3 * HOUR)
    assert len(episodes(slow, [evening, morning])) == 1


def test_channels_are_told_apart(tables: Tables) -> None:
    rows = [anomaly(NOON, NOON + HOUR, column=name) for name in ("a", "b")]
    assert [found.subject for found in episodes(tables, rows)] == [f"{L1}.a", f"{L1}.b"]


def test_what_had_not_ended_has_ended_when_a_later_day_does_not_have_it(tables: Tables) -> None:
    rows = [anomaly(NOON, MIDNIGHT - 10 * SECOND, ended=False)]
    assert [found.ended for found in episodes(tables, rows, DAY)] == [False]
    assert [found.ended for found in episodes(tables, rows, NEXT)] == [True]


def test_a_rule_about_the_whole_day_does_not_move_the_start_of_a_step(tables: Tables) -> None:
    (found,) = episodes(tables, [whole_day(DAY), anomaly(NOON, NOON + HOUR)])
    assert (found.start, found.end.date(), found.rules) == (NOON, DAY, ("level", "drift"))


def test_a_drift_that_was_found_first_keeps_its_start_when_a_limit_is_reached(tables: Tables) -> None:
    later = NOON + timedelta(days=2)
    drift = [whole_day(DAY + timedelta(days=i)) for i in range(3)]
    (found,) = episodes(tables, [*drift, anomaly(later, rule="red_high", severity="red")], later.date())
    assert found.start == NOON - 12 * HOUR


def test_an_onset_that_is_told_days_later_does_not_move_the_start(tables: Tables) -> None:
    onset = anomaly(NOON - 36 * HOUR, MIDNIGHT + 12 * HOUR, rule="drift", ended=False)
    (found,) = episodes(tables, [anomaly(NOON, MIDNIGHT - 10 * SECOND, ended=False), onset], NEXT)
    assert onset.start < found.start == NOON


def test_a_drift_alone_begins_with_its_day(tables: Tables) -> None:
    days = [whole_day(DAY), whole_day(NEXT)]
    (found,) = episodes(tables, days, NEXT)
    assert (found.start, found.ended) == (NOON - 12 * HOUR, False)


def test_a_gap_explains_that_its_days_are_not_complete(tables: Tables) -> None:
    gap = anomaly(NOON + 9 * HOUR, MIDNIGHT + 3 * HOUR, column="", rule="gap")
    third = DAY + timedelta(days=2)
    rows = [gap, *(whole_day(day, "trend:completeness", "") for day in (DAY, NEXT, third))]
    found = episodes(tables, rows, third + timedelta(days=1))
    assert [(e.subject, e.rules, e.start.date()) for e in found] == [
        (L1, ("gap",), DAY),
        (L1, ("trend:completeness",), third),
    ]


def test_that_the_newest_day_is_not_complete_is_told_when_another_day_is_there(tables: Tables) -> None:
    rows = [whole_day(DAY, "trend:completeness", "")]
    assert episodes(tables, rows, DAY) == []
    assert [found.rules for found in episodes(tables, rows, NEXT)] == [("trend:completeness",)]


def test_three_channels_that_begin_within_three_samples_are_one_episode_of_the_table(tables: Tables) -> None:
    rows = [
        anomaly(NOON, NOON + HOUR, column="a"),
        anomaly(NOON + 30 * SECOND, NOON + 3 * HOUR, column="b", severity="red", rule="red_low"),
        anomaly(NOON + MINUTE, NOON + 2 * HOUR, column="c"),
    ]
    (found,) = episodes(tables, rows)
    assert (found.subject, found.column, found.severity) == (f"{L1} several", "", "red")
    assert (found.start, found.end) == (NOON, NOON + 3 * HOUR)
    assert found.message == "3 channels at once (a, b, c); b: red_low of b"


@pytest.mark.parametrize(
    "rows",
    [
        [anomaly(NOON, column="a"), anomaly(NOON, column="b")],
        [anomaly(NOON + i * 61 * SECOND, column=name) for i, name in enumerate("abc")],
        [anomaly(NOON, column="a"), anomaly(NOON, column="b"), anomaly(NOON, column="")],
    ],
    ids=["two", "a minute apart", "two and the table itself"],
)
def test_fewer_or_later_channels_have_no_common_cause(tables: Tables, rows: list[object]) -> None:
    assert [e for e in episodes(tables, rows) if "several" in e.subject] == []  # type: ignore[arg-type]
    assert len(episodes(tables, rows)) == len(rows)  # type: ignore[arg-type]


def test_of_several_channels_there_is_one_episode_at_a_time(tables: Tables) -> None:
    first = [anomaly(NOON, NOON + 3 * HOUR, column=name) for name in "abc"]
    second = [anomaly(NOON + HOUR, NOON + 4 * HOUR, column=name) for name in "def"]
    (found,) = episodes(tables, first + second)
    assert (found.start, found.end) == (NOON, NOON + 4 * HOUR)
    assert found.message.startswith("6 channels at once (a, b, c, d, e, f)")


def test_drifts_are_not_compared_with_what_has_a_time_of_day(tables: Tables) -> None:
    midnight = NOON - 12 * HOUR
    rows = [whole_day(DAY, column="a"), whole_day(DAY, column="b"), anomaly(midnight, column="c")]
    assert [e.subject for e in episodes(tables, rows)] == [f"{L1}.a", f"{L1}.b", f"{L1}.c"]


def test_the_order_of_rows_plays_no_part(tables: Tables) -> None:
    rows = [anomaly(NOON + i * MINUTE, NOON + (i + 2) * MINUTE, column=name) for i in range(5) for name in "abcd"]
    assert episodes(tables, rows) == episodes(tables, rows[::-1])


def test_information_and_tables_without_a_watch_raise_nothing(tables: Tables) -> None:
    common = {
        "day": DAY,
        "column_name": "v",
        "rule": "spike",
        "start_time": NOON,
        "end_time": NOON,
        "ended": True,
        "value": float("nan"),
        "baseline": None,
        "score": 1.0,
        "detail": "",
        "plot": "",
    }
    rows = [("info", L1), ("red", "toy.unknown"), ("yellow", L1)]
    frame = pl.DataFrame([{"severity": severity, "table_name": table, **common} for severity, table in rows])
    (found,) = anomaly_rows(frame, tables)
    assert (found.severity, found.table, found.value) == ("yellow", L1, None)
