# SPDX-License-Identifier: Apache-2.0
"""An alert, its events, settings and lakes, for tests of notices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lake.store import Journal, Lake
from quality.alerts.nouns import Alert, Event, EventName
from quality.notices.outbox import Patience
from quality.notices.settings import AlertSettings
from tests.toy import toy_lake

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT_ONCE = Patience(pauses=(0, 0), answer=0.3)

ALERT = Alert(
    alert_id="a1a1a1a1a1a1",
    subject="toy.box_l1_tick.voltage_v",
    mission="toy",
    instrument="box",
    table="toy.box_l1_tick",
    column="voltage_v",
    rules=("step", "z"),
    severity="red",
    state="open",
    start=NOON - 3 * HOUR,
    since=NOON - 3 * HOUR,
    end=NOON - 2 * HOUR,
    episodes=1,
    value=12.5,
    baseline=0.25,
    message="12 V step for 60 min, z 41",
    plot="SELECT 1",
    opened_at=NOON,
    changed_at=NOON,
)


def event(name: EventName = "opened", at: datetime = NOON, **changes: Any) -> Event:
    """An event of the alert, changed as said."""
    if name == "resolved":
        changes = {"state": "resolved"} | changes
    return Event(replace(ALERT, **changes), name, at, name)


def yellow(number: int, name: EventName = "opened", at: datetime = NOON, **changes: Any) -> Event:
    """An event of a yellow alert of that number."""
    return event(name, at, alert_id=f"{number:012x}", severity="yellow", **changes)


def settings(*channels: str, folder: Path | None = None, **more: Any) -> AlertSettings:
    """Settings that send all to these channels: files of their name in `folder`, or $NAME_URL without one."""
    ways = {c: {"file": folder / f"{c}.jsonl"} if folder else {"url_env": f"{c.upper()}_URL"} for c in channels}
    content = {"channels": ways, "routes": [{"channels": list(channels)}] if channels else []}
    return AlertSettings.model_validate(content | more)


def lake_in(folder: Path) -> Lake:
    return toy_lake(folder)


def delivered(lake: Lake) -> list[str]:
    """Keys of the notices that are marked as delivered."""
    return Journal(lake).keys("delivered")


def titles(lake: Lake) -> list[str]:
    """Titles of all notices in the journal, in order, without their ids."""
    return [str(entry["title"]).partition("] ")[2] for entry in Journal(lake).entries("notices").values()]
