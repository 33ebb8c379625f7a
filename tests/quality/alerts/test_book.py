# SPDX-License-Identifier: Apache-2.0
"""The journal has the truth about alerts: tables come back, nobody is told twice, and a kill loses nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.errors import ConfigurationError, StorageError
from lake.ledger import read_ops
from lake.store import Journal, Lake
from lake.tables import append_ops
from lake.watch_definitions import Watch
from quality.alerts import book, run
from quality.alerts.acknowledging import acknowledge, find_alert, read_alerts
from quality.alerts.book import events_of
from quality.alerts.nouns import Alert
from quality.alerts.run import Alerted, update_alerts
from quality.notices.settings import AlertSettings
from tests.quality.alerts.scene import DAY, HOUR, MINUTE, NOON, RUN, SECOND, anomaly, open_scene, write_anomalies
from tests.toy import L0, receive

NOW = NOON + 20 * HOUR
NEXT = DAY + timedelta(days=1)
RED = anomaly(NOON, NOON + HOUR, rule="red_high", severity="red")
LASTING = anomaly(NOON, NOON + 12 * HOUR - 10 * SECOND, "b", ended=False, day=DAY)
BAD = [RED, LASTING]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a red anomaly that is over, and a yellow one that is not."""
    lake = open_scene(tmp_path)
    write_anomalies(lake, BAD, [DAY])
    return lake


def told_in(lake: Lake) -> AlertSettings:
    """Settings that write every notice to a file beside the lake."""
    content = {"channels": {"log": {"file": inbox(lake)}}, "routes": [{"channels": ["log"]}]}
    return AlertSettings.model_validate(content)


def inbox(lake: Lake) -> Path:
    return Path(lake.root).parent / "told.jsonl"


def told(lake: Lake) -> list[str]:
    """Titles of what was told, in order."""
    return [json.loads(line)["title"] for line in inbox(lake).read_text().splitlines()]


def update(lake: Lake, hours: float = 0) -> Alerted:
    return update_alerts(lake, told_in(lake), NOW + hours * HOUR)


def names(alerted: Alerted) -> list[tuple[str, str]]:
    return [(event.name, event.alert.column) for event in alerted.events]


def alerts_of(lake: Lake) -> list[dict[str, Any]]:
    """ops.alerts without the runs that wrote it."""
    return read_ops(lake, "alerts").drop("run_id").sort("alert_id").to_dicts()


def events_in(lake: Lake) -> list[dict[str, Any]]:
    return read_ops(lake, "alert_events").drop("run_id").sort(pl.all()).to_dicts()


def entries(lake: Lake) -> int:
    return len(Journal(lake).keys("alerts"))


# ---- a round ---------------------------------------------------------------------------------------------------
def test_a_round_opens_tells_and_lists(lake: Lake) -> None:
    alerted = update(lake)
    assert names(alerted) == [("opened", "b"), ("opened", "voltage_v"), ("resolved", "voltage_v")]
    assert [alert.column for alert in alerted.open] == ["b"]
    assert (alerted.sent.delivered, len(told(lake))) == (2, 2)
    assert {row["state"] for row in alerts_of(lake)} == {"open", "resolved"}
    assert len(events_in(lake)) == 3


def test_a_second_round_with_equal_data_writes_nothing_and_opens_no_old_entry(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    update(lake)
    files = sorted(path for path in Path(lake.root).rglob("*") if path.is_file())
    monkeypatch.setattr(book, "read_entry", pytest.fail)
    assert names(update(lake, 1)) == []
    assert sorted(path for path in Path(lake.root).rglob("*") if path.is_file()) == files


def test_data_of_the_next_day_resolve(lake: Lake) -> None:
    update(lake)
    write_anomalies(lake, [], [NEXT])
    assert names(update(lake, 24)) == [("resolved", "b")]
    assert {alert.state for alert in read_alerts(lake)} == {"resolved"}


def test_an_end_that_moves_is_kept_without_an_event(lake: Lake) -> None:
    update(lake)
    more = anomaly(NOON + 12 * HOUR, NOON + 15 * HOUR, "b", ended=False, day=NEXT)
    write_anomalies(lake, [more], [NEXT])
    assert (names(update(lake, 3)), entries(lake)) == ([], 1)
    assert [alert.end for alert in read_alerts(lake) if alert.column == "b"] == [NOON + 15 * HOUR]


def test_a_table_without_new_data_becomes_an_alert_and_data_end_it(tmp_path: Path) -> None:
    lake = open_scene(tmp_path, Watch(fresh_hours=26), L0)
    receive(lake, "a", range(3))
    midnight = NOON.replace(year=2024, month=9, day=16, hour=0)
    assert names(update_alerts(lake, AlertSettings(), midnight + 26 * HOUR)) == []
    (event,) = update_alerts(lake, AlertSettings(), midnight + 27 * HOUR).events
    assert (event.name, event.alert.rules, event.alert.start) == ("opened", ("stale",), midnight)
    receive(lake, "b", range(3), midnight.date() + timedelta(days=1))
    seen = {"table_name": L0, "state": "", "usual": "", "anomalies": 0, "run_id": RUN}
    append_ops(lake, "watched", [seen | {"day": midnight.date()}])
    (event,) = update_alerts(lake, AlertSettings(), midnight + 28 * HOUR).events
    assert event.name == "resolved"


# ---- deletion --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["alerts", "alert_events", None])
def test_tables_that_were_deleted_come_back_and_nothing_is_told_twice(lake: Lake, table: str | None) -> None:
    update(lake)
    acknowledge(lake, read_alerts(lake)[0].alert_id, "A", "known", NOW + HOUR) if table is None else None
    alerts, events, lines = alerts_of(lake), events_in(lake), told(lake)
    shutil.rmtree(Path(lake.root) / "tables" / "ops" / (table or ""))
    assert [(a.alert_id, a.state) for a in read_alerts(lake)] == [(a["alert_id"], a["state"]) for a in by_start(alerts)]
    assert names(update(lake, 2)) == []
    write_anomalies(lake, BAD, [DAY])
    assert names(update(lake, 3)) == []
    assert (alerts_of(lake), events_in(lake), told(lake)) == (alerts, events, lines)


def by_start(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["start_time"], row["subject"]))


def test_a_damaged_entry_is_named(lake: Lake) -> None:
    update(lake)
    (path,) = (Path(lake.root) / "journal" / "alerts").glob("*.json")
    path.chmod(0o644)
    path.write_text('{"events": [{"event": "opened"}]}')
    shutil.rmtree(Path(lake.root) / "tables")
    with pytest.raises(
        StorageError, match=r"journal/alerts/.*\.json: is no readable entry .* Restore it from a backup"
    ):
        update(lake)


# ---- kills -----------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """The process is gone."""


class Steps:
    """Counts the steps of a round that write, and kills it before one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, last: int) -> None:
        self.count, self.last = 0, last
        patch.setattr(Journal, "write_once", self.counted(Journal.write_once))
        patch.setattr(book, "append_ops", self.counted(book.append_ops))
        patch.setattr(run, "enqueue", self.counted(run.enqueue))
        patch.setattr(run, "send", self.counted(run.send))

    def counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            if self.count == self.last:
                raise Killed
            self.count += 1
            return step(*arguments, **options)

        return counting


def undisturbed(folder: Path) -> tuple[Lake, int]:
    """A lake after a round, and how many steps the round had."""
    folder.mkdir()
    lake = open_scene(folder)
    write_anomalies(lake, BAD, [DAY])
    with pytest.MonkeyPatch.context() as patch:
        steps = Steps(patch, 1000)
        update(lake)
    return lake, steps.count


def test_a_round_that_was_killed_at_any_step_and_repeated_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    right, count = undisturbed(tmp_path / "right")
    assert count >= 8
    for last in range(count):
        folder = tmp_path / str(last)
        folder.mkdir()
        lake = open_scene(folder)
        write_anomalies(lake, BAD, [DAY])
        with pytest.MonkeyPatch.context() as patch:
            Steps(patch, last)
            with pytest.raises(Killed):
                update(lake)
        update(lake)
        assert (alerts_of(lake), events_in(lake)) == (alerts_of(right), events_in(right)), last
        assert sorted(set(told(lake))) == sorted(told(right)), last
        assert entries(lake) == 1


def test_two_rounds_at_once_are_one(lake: Lake) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: update_alerts(lake, told_in(lake), NOW), range(2)))
    assert sorted(len(alerted.events) for alerted in found) == [0, 3]
    assert (entries(lake), len(told(lake))) == (1, 2)


# ---- acknowledging ---------------------------------------------------------------------------------------------
def open_alert(lake: Lake) -> Alert:
    (alert,) = (alert for alert in read_alerts(lake) if alert.state == "open")
    return alert


def test_an_acknowledgement_is_in_the_journal_and_stands(lake: Lake) -> None:
    update(lake)
    event = acknowledge(lake, open_alert(lake).alert_id[:6], " A. Operator ", "known", NOW + MINUTE)
    assert (event.alert.state, event.alert.acknowledged_by) == ("acknowledged", "A. Operator")
    assert names(update(lake, 1)) == []
    (alert,) = (alert for alert in read_alerts(lake) if alert.column == "b")
    assert (alert.state, alert.acknowledged_by, alert.note) == ("acknowledged", "A. Operator", "known")
    assert [(e.name, e.by) for e in events_of(lake, alert.alert_id)] == [
        ("opened", ""),
        ("acknowledged", "A. Operator"),
    ]


def test_acknowledging_a_red_alert_ends_its_repetitions(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    write_anomalies(lake, [anomaly(NOON, rule="red_high", severity="red", ended=False)], [DAY])
    assert [names(update(lake, hours))[:1] for hours in (0, 4)] == [
        [("opened", "voltage_v")],
        [("repeated", "voltage_v")],
    ]
    acknowledge(lake, open_alert(lake).alert_id, "A", "known", NOW + 5 * HOUR)
    assert [names(update(lake, hours)) for hours in (8, 12, 99)] == [[], [], []]
    assert len(told(lake)) == 2


def test_a_clock_that_goes_back_does_not_disturb_the_order(lake: Lake) -> None:
    update(lake)
    acknowledge(lake, open_alert(lake).alert_id, "A", "known", NOW - 9 * HOUR)
    shutil.rmtree(Path(lake.root) / "tables")
    assert [alert.state for alert in read_alerts(lake) if alert.column == "b"] == ["acknowledged"]


def test_what_is_over_cannot_be_acknowledged(lake: Lake) -> None:
    update(lake)
    (over,) = (alert for alert in read_alerts(lake) if alert.state == "resolved")
    with pytest.raises(ConfigurationError, match="is resolved since 2026-08-02"):
        acknowledge(lake, over.alert_id, "A", "", NOW)
    with pytest.raises(ConfigurationError, match="--by is empty"):
        acknowledge(lake, open_alert(lake).alert_id, "  ", "", NOW)


def known(*ids: str) -> Sequence[Alert]:
    """Alerts of these ids."""
    other = dict.fromkeys(("mission", "instrument", "table", "column", "message", "plot", "severity", "state"), "")
    times = dict.fromkeys(("start", "since", "end", "opened_at", "changed_at"), NOON)
    rest: dict[str, Any] = {"rules": (), "episodes": 1, "value": None, "baseline": None, "subject": "toy.x"}
    return [Alert(alert_id=name, **{**other, **times, **rest}) for name in ids]


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one() -> None:
    assert find_alert(known("abc123", "abd456"), "ABC").alert_id == "abc123"
    with pytest.raises(ConfigurationError, match=r"begins abc123 \(toy.x\), abd456 \(toy.x\). Give more"):
        find_alert(known("abc123", "abd456"), "ab")


def test_an_unknown_id_names_near_ones_or_where_they_are_listed() -> None:
    with pytest.raises(ConfigurationError, match=r"no alert 'abx123'. Did you mean abc123 \(toy.x\)"):
        find_alert(known("abc123"), "abx123")
    with pytest.raises(ConfigurationError, match="`swxlake alerts --all` lists them"):
        find_alert(known("abc123"), "999999")
