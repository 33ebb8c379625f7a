# SPDX-License-Identifier: Apache-2.0
"""A month of housekeeping with four faults, from files to alerts: what is told, once, and what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lake.config import Settings
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.store import Journal, Lake
from quality.alerts.acknowledging import acknowledge
from quality.alerts.run import update_alerts
from quality.notices.settings import AlertSettings, read_alert_settings
from swxlake.night import Selection, check, ingest, transform
from tests.rack import CHANNELS, TABLE, channels, write_day, write_house

START, DAYS = date(2026, 7, 1), 30
SPIKE_DAY, YELLOW_DAY, GAP_DAY = START + timedelta(9), START + timedelta(14), START + timedelta(21)
DRIFT = [START + timedelta(n) for n in range(15, 27)]
EVENING = datetime(2026, 7, 31, 2, tzinfo=UTC)
EVERYTHING = Selection()


def write_month(inbox: Path) -> list[Path]:
    """A file for each day: one red sample, 20 minutes of yellow, a drift of 0.5 sigma a day, 6 hours without rows."""
    files = []
    for day in (START + timedelta(n) for n in range(DAYS)):
        values = channels(day)
        missing = slice(0, 0)
        if day == SPIKE_DAY:
            values["temp_degc"][700] = 80.0
        if day == YELLOW_DAY:
            values["temp_degc"][300:320] = 38.0
        if day in DRIFT:
            values["wheel_rpm"] += 0.5 * CHANNELS["wheel_rpm"][2] * (1 + DRIFT.index(day))
        if day == GAP_DAY:
            missing = slice(600, 960)
        files.append(write_day(inbox, day, values, missing))
    return files


@dataclass(frozen=True)
class House:
    """A lake of the house, and who is told of its alerts: one file."""

    lake: Lake
    told: AlertSettings
    file: Path

    def night(self, inbox: Path, now: datetime) -> list[str]:
        """The night without exports; names of the events, in order."""
        ingest(self.lake, Settings(settle_seconds=0), [inbox])
        transform(self.lake, EVERYTHING)
        check(self.lake, EVERYTHING)
        return [event.name for event in update_alerts(self.lake, self.told, now).events]

    def alerts(self) -> pl.DataFrame:
        return read_ops(self.lake, "alerts").sort("start_time")

    def told_lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []


def house(folder: Path) -> House:
    file = folder / "told.jsonl"
    settings = folder / "alerts.toml"
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(
        f'[channels.desk]\nfile = "{file}"\n\n[[routes]]\nmission = "house"\nseverity = "yellow"\nchannels = ["desk"]\n'
    )
    definitions = read_definitions(write_house(folder / "missions"))
    return House(Lake(folder / "lake", definitions), read_alert_settings(settings), file)


def in_nights(one: House, files: Sequence[Path], inbox: Path, size: int) -> None:
    """Nights in which `size` files more lie in the inbox, each two hours after the last of them ends."""
    inbox.mkdir()
    for first in range(0, len(files), size):
        for file in files[first : first + size]:
            shutil.copy(file, inbox)
        last = START + timedelta(min(first + size, len(files)))
        one.night(inbox, datetime(last.year, last.month, last.day, 2, tzinfo=UTC))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("month")
    write_month(folder)
    return folder


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, month: Path) -> House:
    """The month as it came, ten days a night."""
    folder = tmp_path_factory.mktemp("nights")
    one = house(folder)
    in_nights(one, sorted(month.iterdir()), folder / "inbox", 10)
    return one


def test_a_spike_a_yellow_a_drift_and_a_gap_raise_no_one_one_and_one_alert(watched: House) -> None:
    rows = watched.alerts().select("subject", "severity", "state").rows()
    assert sorted(rows) == [
        (TABLE, "yellow", "resolved"),
        (f"{TABLE}.temp_degc", "yellow", "resolved"),
        (f"{TABLE}.wheel_rpm", "yellow", "resolved"),
    ]


def test_each_alert_says_when_it_was_wrong(watched: House) -> None:
    spans = {row["column_name"]: (row["start_time"], row["end_time"]) for row in watched.alerts().to_dicts()}
    midnight = datetime.combine(YELLOW_DAY, datetime.min.time(), UTC)
    assert spans["temp_degc"] == (midnight + timedelta(minutes=300), midnight + timedelta(minutes=319))
    midnight = datetime.combine(GAP_DAY, datetime.min.time(), UTC)
    assert spans[""] == (midnight + timedelta(minutes=599), midnight + timedelta(minutes=960))
    start, end = spans["wheel_rpm"]
    assert DRIFT[0] <= start.date() <= DRIFT[6]
    assert DRIFT[-1] <= end.date() <= DRIFT[-1] + timedelta(days=1)


def test_the_single_red_sample_is_recorded_and_alerts_nobody(watched: House) -> None:
    found = read_ops(watched.lake, "anomalies").filter(day=SPIKE_DAY, column_name="temp_degc")
    assert found["severity"].unique().to_list() == ["info"]
    assert found["value"].max() == 80.0


def test_each_alert_is_told_when_it_opens_and_when_it_is_over(watched: House) -> None:
    by_alert = {row["alert_id"]: row for row in watched.alerts().to_dicts()}
    events = read_ops(watched.lake, "alert_events")
    assert set(events["alert_id"]) == set(by_alert)
    for alert_id in by_alert:
        names = events.filter(alert_id=alert_id).sort("at")["event"].to_list()
        assert (names[0], names[-1]) == ("opened", "resolved")
    assert len(watched.told_lines()) >= len(by_alert)


def test_three_reruns_say_nothing_and_keep_the_ids(watched: House, month: Path) -> None:
    before = watched.alerts()
    told = watched.told_lines()
    for hours in (1, 2, 3):
        assert watched.night(month, EVENING + timedelta(hours=hours)) == []
    assert watched.alerts().drop("run_id").equals(before.drop("run_id"))
    assert watched.told_lines() == told


def test_a_month_that_comes_at_once_raises_the_same_alerts(watched: House, month: Path, tmp_path: Path) -> None:
    at_once = house(tmp_path)
    at_once.night(month, EVENING)
    same = ["alert_id", "subject", "severity", "state", "start_time", "end_time", "episodes"]
    assert at_once.alerts().select(same).rows() == watched.alerts().select(same).rows()


def test_tables_that_are_made_again_bring_the_alerts_back_and_tell_nobody_twice(
    watched: House, month: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "lake"
    shutil.copytree(watched.lake.root, copy)
    shutil.rmtree(copy / "tables")
    again = House(Lake(copy, watched.lake.definitions), watched.told, watched.file)
    told = watched.told_lines()
    assert again.night(month, EVENING + timedelta(hours=4)) == []
    same = ["alert_id", "subject", "state", "start_time", "end_time", "opened_at"]
    assert again.alerts().select(same).rows() == watched.alerts().select(same).rows()
    assert again.told_lines() == told


def test_a_red_alert_is_repeated_until_it_is_acknowledged(month: Path, tmp_path: Path) -> None:
    one = house(tmp_path)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for file in sorted(month.iterdir())[:5]:
        shutil.copy(file, inbox)
    day = START + timedelta(5)
    values = channels(day)
    values["temp_degc"][1300:] = 70.0
    write_day(inbox, day, values)
    night = datetime.combine(day + timedelta(1), datetime.min.time(), UTC) + timedelta(hours=1)
    assert one.night(inbox, night) == ["opened"]
    assert one.night(inbox, night + timedelta(hours=2)) == []
    assert one.night(inbox, night + timedelta(hours=5)) == ["repeated"]
    (alert,) = one.alerts()["alert_id"]
    acknowledge(one.lake, alert, "Ada", "the heater is tested", night + timedelta(hours=6))
    assert one.night(inbox, night + timedelta(hours=20)) == []
    assert one.alerts()["acknowledged_by"].to_list() == ["Ada"]
    later = day + timedelta(1)
    write_day(inbox, later, channels(later))
    assert one.night(inbox, night + timedelta(days=1)) == ["resolved"]
    assert len(Journal(one.lake).keys("alerts")) == 4
