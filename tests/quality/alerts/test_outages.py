# SPDX-License-Identifier: Apache-2.0
"""Gaps of several tables of an instrument: one outage is one alert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pytest

from lake.definitions import Table
from lake.watch_definitions import Watch
from quality.alerts.episodes import episodes_of
from quality.alerts.life import Conditions, acknowledged
from quality.alerts.standing import stale_rows
from quality.alerts.stretches import Row
from tests.quality.alerts.scene import DAY, HOUR, NOON, SECOND, Lived, anomaly, definitions
from tests.toy import L1

OTHER = "toy.box_l1_other"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Table]:
    table = definitions(tmp_path_factory.mktemp("toy")).tables[L1]
    return {L1: table, OTHER: table.model_copy(update={"name": "box_l1_other"})}


def gap(table: str, seconds: float = 0, hours: float = 6, rule: str = "gap") -> Row:
    start = NOON + timedelta(seconds=seconds)
    return anomaly(start, start + hours * HOUR, column="", rule=rule, table=table)


def subjects(tables: Mapping[str, Table], *rows: Row) -> list[str]:
    return [episode.subject for episode in episodes_of(rows, tables, dict.fromkeys(tables, DAY + timedelta(days=1)))]


def test_gaps_of_two_tables_that_begin_together_are_one_episode_of_the_instrument(tables: Mapping[str, Table]) -> None:
    (episode,) = episodes_of([gap(L1), gap(OTHER, 20, 7)], tables, dict.fromkeys(tables, DAY))
    assert (episode.subject, episode.instrument, episode.column) == ("toy.box outage", "box", "")
    assert (episode.start, episode.end) == (NOON, NOON + 20 * SECOND + 7 * HOUR)
    assert f"2 tables at once ({OTHER}, {L1})" in episode.message


def test_a_gap_that_begins_minutes_later_is_told_by_itself(tables: Mapping[str, Table]) -> None:
    assert subjects(tables, gap(L1), gap(OTHER, 600)) == [OTHER, L1]


def test_a_gap_of_one_table_is_its_own(tables: Mapping[str, Table]) -> None:
    assert subjects(tables, gap(L1)) == [L1]


def test_a_table_without_data_and_the_gap_of_another_one_are_one_outage(tables: Mapping[str, Table]) -> None:
    assert subjects(tables, gap(L1), gap(OTHER, rule="stale")) == ["toy.box outage"]


def test_other_troubles_of_tables_are_no_outage(tables: Mapping[str, Table]) -> None:
    assert subjects(tables, gap(L1), gap(OTHER, rule="trend:latency_p95_s")) == [OTHER, L1]


def test_an_outage_that_grows_out_of_a_stale_table_is_its_alert_and_what_is_known_of_it_holds(
    tables: Mapping[str, Table],
) -> None:
    asked = {
        a: t.model_copy(update={"watch": Watch(fresh_hours=h)})
        for (a, t), h in zip(tables.items(), (6, 24), strict=True)
    }
    judged = frozenset((address, DAY) for address in asked)
    lived = Lived()

    def night(hours: float, *rows: Row) -> list[str]:
        now = NOON + hours * HOUR
        found = rows or stale_rows(dict.fromkeys(asked, NOON), asked, now)
        episodes = episodes_of(found, asked, dict.fromkeys(asked, DAY))
        return lived.names(Conditions(tuple(episodes), judged, frozenset(asked)), now)

    assert night(7) == ["opened"]
    (first,) = lived.alerts
    lived.alerts = (acknowledged(first, "A. Operator", "station down", NOON).alert,)
    assert night(25) == []
    (alert,) = lived.alerts
    assert (alert.alert_id, alert.subject) == (first.alert_id, "toy.box outage")
    assert (alert.state, alert.note) == ("acknowledged", "station down")
    assert night(50, gap(L1, hours=9), gap(OTHER, hours=9)) == ["resolved"]


def test_years_of_gaps_are_compared_in_no_time(tables: Mapping[str, Table]) -> None:
    calls = Counter[str]()

    class Counted(dict[str, Table]):
        def __getitem__(self, address: str) -> Table:
            calls[address] += 1
            return super().__getitem__(address)

    rows = [gap(L1, 8 * 3600 * i, 1) for i in range(300)]
    assert len(episodes_of(rows, Counted(tables), {L1: DAY + timedelta(days=999)})) == 300
    assert calls[L1] < 10 * len(rows)


def test_two_outages_at_different_times_are_two_episodes(tables: Mapping[str, Table]) -> None:
    later = 8 * 3600
    found = subjects(tables, gap(L1), gap(OTHER), gap(L1, later), gap(OTHER, later))
    assert found == ["toy.box outage", "toy.box outage"]
