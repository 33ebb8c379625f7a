# SPDX-License-Identifier: Apache-2.0
"""A table that falls silent while others of its instrument go on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from lake.definitions import Table
from lake.watch_definitions import Off
from quality.alerts.episodes import episodes_of
from quality.alerts.silence import behind, silent_rows
from tests.quality.alerts.scene import DAY, HOUR, definitions
from tests.toy import L1

OTHER = "toy.box_l1_other"
LAST = datetime(DAY.year, DAY.month, DAY.day, 23, 59, 50, tzinfo=UTC)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Table]:
    table = definitions(tmp_path_factory.mktemp("toy")).tables[L1]
    return {L1: table, OTHER: table.model_copy(update={"name": "box_l1_other"})}


def days(last: date, number: int, every: int = 1) -> list[date]:
    return [last - timedelta(days=every * n) for n in range(number)]


def test_a_daily_table_without_rows_on_the_newest_day_of_its_instrument_is_behind(tables: Mapping[str, Table]) -> None:
    known = {L1: days(DAY, 5), OTHER: days(DAY + timedelta(1), 6)}
    assert behind(known, tables) == {L1: OTHER}


def test_tables_of_the_same_newest_day_are_not_behind(tables: Mapping[str, Table]) -> None:
    assert behind({L1: days(DAY, 5), OTHER: days(DAY, 5)}, tables) == {}


@pytest.mark.parametrize("known", [days(DAY, 2), days(DAY, 5, every=4)], ids=["two days", "every fourth day"])
def test_of_a_table_with_few_days_nothing_is_expected(tables: Mapping[str, Table], known: list[date]) -> None:
    assert behind({L1: known, OTHER: days(DAY + timedelta(1), 6)}, tables) == {}


def test_a_table_alone_is_never_behind(tables: Mapping[str, Table]) -> None:
    assert behind({L1: days(DAY, 5)}, tables) == {}


@pytest.mark.parametrize(("hours", "silent"), [(2, 0), (12, 0), (12.01, 1), (24, 1)])
def test_more_than_half_a_day_behind_is_an_anomaly(tables: Mapping[str, Table], hours: float, silent: int) -> None:
    assert len(silent_rows({L1: OTHER}, {L1: LAST, OTHER: LAST + hours * HOUR}, tables)) == silent


def test_it_begins_with_the_last_row_and_names_who_goes_on(tables: Mapping[str, Table]) -> None:
    rows = silent_rows({L1: OTHER}, {L1: LAST, OTHER: LAST + 24 * HOUR}, tables)
    (episode,) = episodes_of(rows, tables, dict.fromkeys(tables, DAY))
    assert (episode.subject, episode.start, episode.ended) == (L1, LAST, False)
    assert episode.message == (f"no data since 2026-08-01T23:59:50Z; {OTHER} has some until 2026-08-02T23:59:50Z")


def test_a_planned_time_off_is_no_silence(tables: Mapping[str, Table]) -> None:
    watch = tables[L1].watch
    assert watch is not None
    off = Off(start=LAST, stop=LAST + 20 * HOUR, reason="planned")
    planned = {**tables, L1: tables[L1].model_copy(update={"watch": watch.model_copy(update={"off": (off,)})})}
    assert silent_rows({L1: OTHER}, {L1: LAST, OTHER: LAST + 24 * HOUR}, planned) == []
