# SPDX-License-Identifier: Apache-2.0
"""What is wrong beyond anomalies: no new data, checks that fail, days that were not built."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake.definitions import Table
from lake.watch_definitions import Off, Watch
from quality.alerts.episodes import episodes_of
from quality.alerts.standing import build_episodes, check_episodes, stale_rows
from tests.quality.alerts.scene import DAY, HOUR, NOON, anomaly, definitions
from tests.toy import L1

Tables = Mapping[str, Table]


def tables_with(folder: Path, watch: Watch | None) -> Tables:
    return {L1: definitions(folder, watch).tables[L1]}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return tables_with(tmp_path_factory.mktemp("toy"), Watch(fresh_hours=26))


def days_after(*numbers: int) -> list[tuple[str, object, str, str]]:
    return [(L1, DAY + timedelta(days=n), "null_v", "Expected: 0 nulls") for n in numbers]


# ---- data ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("hours", "stale"), [(26, False), (26.01, True)])
def test_a_table_is_stale_when_its_data_are_older_than_it_says(tables: Tables, hours: float, stale: bool) -> None:
    assert bool(stale_rows({L1: NOON}, tables, NOON + hours * HOUR)) is stale


def test_a_stale_table_is_an_episode_that_has_not_ended_and_says_since_when(tables: Tables) -> None:
    rows = stale_rows({L1: NOON}, tables, NOON + 30 * HOUR)
    (found,) = episodes_of(rows, tables, {L1: DAY})
    assert (found.subject, found.rules, found.start, found.ended) == (L1, ("stale",), NOON, False)
    assert found.message == "no data since 2026-08-01T12:00:00Z; some are expected every 26 h"


def test_data_that_end_at_midnight_are_stale_as_well(tables: Tables) -> None:
    midnight = datetime(2026, 8, 1, tzinfo=UTC)
    rows = stale_rows({L1: midnight}, tables, midnight + 30 * HOUR)
    assert [e.ended for e in episodes_of(rows, tables, {L1: DAY})] == [False]


def test_the_gap_that_a_stale_table_becomes_has_the_same_subject_and_start(tables: Tables) -> None:
    rows = stale_rows({L1: NOON}, tables, NOON + 30 * HOUR)
    gap = anomaly(NOON, NOON + 40 * HOUR, column="", rule="gap")
    stale, found = episodes_of(rows, tables, {L1: DAY})[0], episodes_of([gap], tables, {L1: gap.day})[0]
    assert (stale.subject, stale.start) == (found.subject, found.start)


def test_planned_times_without_data_do_not_count(tmp_path: Path) -> None:
    off = Off(start=NOON + HOUR, stop=NOON + 21 * HOUR, reason="maneuver")
    planned = tables_with(tmp_path, Watch(fresh_hours=26, off=(off,)))
    assert stale_rows({L1: NOON}, planned, NOON + 46 * HOUR) == []
    assert len(stale_rows({L1: NOON}, planned, NOON + 47 * HOUR)) == 1


def test_a_time_in_two_planned_times_counts_once(tmp_path: Path) -> None:
    offs = (Off(start=NOON, stop=NOON + 8 * HOUR, reason="a"), Off(start=NOON + HOUR, stop=NOON + 6 * HOUR, reason="b"))
    planned = tables_with(tmp_path, Watch(fresh_hours=12, off=offs))
    assert stale_rows({L1: NOON}, planned, NOON + 20 * HOUR) == []
    assert len(stale_rows({L1: NOON}, planned, NOON + 21 * HOUR)) == 1


def test_a_table_of_which_nothing_is_expected_is_never_stale(tmp_path: Path) -> None:
    assert stale_rows({L1: NOON}, tables_with(tmp_path, Watch()), NOON + 9999 * HOUR) == []


# ---- checks and builds -----------------------------------------------------------------------------------------
def test_consecutive_days_of_failed_checks_are_one_episode_which_stands(tables: Tables) -> None:
    first, second = check_episodes(days_after(4, 1, 0), tables)  # type: ignore[arg-type]
    assert (first.subject, first.rules, first.severity) == (f"{L1} checks", ("null_v",), "yellow")
    assert (first.start, first.end) == (datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 8, 3, tzinfo=UTC))
    assert first.message == "2026-08-01 to 2026-08-02 checks fail: null_v: Expected: 0 nulls"
    assert (second.start.date(), first.ended, second.ended) == (DAY + timedelta(days=4), False, False)


def test_a_day_that_cannot_be_built_is_red_and_tells_the_error(tables: Tables) -> None:
    (found,) = build_episodes([(L1, DAY, "build", "gain: no calibration")], tables)
    assert (found.subject, found.severity, found.rules) == (f"{L1} build", "red", ("build",))
    assert found.message == "2026-08-01 cannot be built: gain: no calibration"


def test_tables_that_are_not_defined_any_more_are_left_out(tables: Tables) -> None:
    assert build_episodes([("toy.gone", DAY, "build", "no input")], tables) == []
