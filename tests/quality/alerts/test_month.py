# SPDX-License-Identifier: Apache-2.0
"""A month with a spike of one sample, twenty minutes of yellow, a slow drift and a gap: no, one, one and one alert."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lake.ledger import read_ops
from lake.store import Lake
from quality.alerts.acknowledging import acknowledge, read_alerts
from quality.alerts.run import update_alerts
from quality.notices.settings import AlertSettings
from tests.quality.alerts.scene import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    anomaly,
    episodes,
    open_scene,
    whole_day,
    write_anomalies,
)
from tests.toy import L1

DAYS = [DAY + timedelta(days=i) for i in range(30)]
DRIFT = range(12, 21)


def noon(number: int) -> datetime:
    return NOON + timedelta(days=number)


SPIKE = anomaly(noon(5), column="spiked", rule="short:red_high", severity="info")
YELLOW = anomaly(noon(9), noon(9) + 20 * MINUTE, "warm", "yellow_high")
DRIFTING = [whole_day(DAYS[i], column="aging") for i in DRIFT]
LEVEL = anomaly(noon(17), noon(18) - 12 * HOUR - 10 * SECOND, "aging", ended=False, day=DAYS[17])
GAP = anomaly(noon(23) + 8 * HOUR, noon(23) + 14 * HOUR, "", "gap")
INCOMPLETE = [whole_day(DAYS[i], "trend:completeness", "") for i in (23, 24)]
ROWS = [SPIKE, YELLOW, *DRIFTING, LEVEL, GAP, *INCOMPLETE]
EXPECTED = {f"{L1}.warm": 1, f"{L1}.aging": 1, L1: 1}


def night(lake: Lake, number: int) -> list[str]:
    """Events of the night after a day."""
    now = noon(number) + 14 * HOUR
    return [f"{e.name} {e.alert.column}" for e in update_alerts(lake, AlertSettings(), now).events]


def night_by_night(lake: Lake) -> None:
    """Each alert opens, and resolves, in its night."""
    happened = {}
    for number, day in enumerate(DAYS):
        write_anomalies(lake, ROWS, [day])
        happened[number] = night(lake, number)
    assert {number: events for number, events in happened.items() if events} == {
        9: ["opened warm", "resolved warm"],
        12: ["opened aging"],
        21: ["resolved aging"],
        24: ["opened ", "resolved "],
    }


def at_once(lake: Lake) -> None:
    write_anomalies(lake, ROWS, DAYS)
    night(lake, 29)


def rebuilt_on_the_way(lake: Lake) -> None:
    for number, day in enumerate(DAYS):
        write_anomalies(lake, ROWS, [day])
        night(lake, number)
        if number in (9, 15, 24):
            shutil.rmtree(Path(lake.root) / "tables")
            night(lake, number)
            write_anomalies(lake, ROWS, DAYS[: number + 1])


@pytest.mark.parametrize("history", [night_by_night, at_once, rebuilt_on_the_way])
def test_a_month_gives_no_one_one_and_one_alert_with_the_same_ids_however_it_came(
    tmp_path: Path, history: Callable[[Lake], None]
) -> None:
    lake = open_scene(tmp_path)
    history(lake)
    alerts = read_alerts(lake)
    assert Counter(alert.subject for alert in alerts) == EXPECTED
    assert {alert.state for alert in alerts} == {"resolved"}
    # hashlib.sha256(b"toy.box_l1_tick.warm 2026-08-10T12:00:00+00:00").hexdigest()[:12] and so on
    assert {alert.column: alert.alert_id for alert in alerts} == {
        "warm": "58574f875179",
        "aging": "7eb94d760984",
        "": "114d578d0709",
    }
    assert [night(lake, 29) for _ in range(3)] == [[], [], []]
    assert read_alerts(lake) == alerts


def test_an_acknowledged_alert_of_the_month_is_told_to_be_over_and_nothing_else(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    happened = []
    for number, day in enumerate(DAYS[12:25], 12):
        write_anomalies(lake, [*DRIFTING, LEVEL], [day])
        happened += night(lake, number)
        if number == 13:
            (alert,) = read_alerts(lake)
            acknowledge(lake, alert.alert_id, "A", "aging of the sensor", noon(14))
    assert happened == ["opened aging", "resolved aging"]
    events = read_ops(lake, "alert_events").sort("run_id")
    assert events["event"].to_list() == ["opened", "acknowledged", "resolved"]


def test_the_episodes_of_the_month_are_those_that_its_author_put_in(tmp_path: Path) -> None:
    tables = open_scene(tmp_path).definitions.tables
    asked = [row for row in ROWS if row.severity != "info"]
    found = episodes({L1: tables[L1]}, asked, DAYS[-1])
    assert [(e.column, e.start, e.rules) for e in found] == [
        ("", GAP.start, ("gap",)),
        ("aging", noon(12) - 12 * HOUR, ("level", "drift")),
        ("warm", YELLOW.start, ("yellow_high",)),
    ]
