# SPDX-License-Identifier: Apache-2.0
"""The commands about alerts, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Journal, Lake
from lake.tables import append_ops
from quality.alerts.acknowledging import read_alerts
from quality.alerts.run import Alerted, update_alerts
from quality.alerts.stretches import Row
from quality.notices.settings import AlertSettings
from swxlake import alerting
from swxlake.cli import main  # noqa: TID251  what the console script calls
from swxlake.status import lake_status
from tests.quality.alerts.scene import DAY, HOUR, NOON, RUN, anomaly, write_anomalies
from tests.toy import L1, write_missions

Run = Callable[..., tuple[int, str, str]]
NOW = NOON + 20 * HOUR
STRANGE = "hot\x1b[2J [red]\nand hotter"
RED = anomaly(NOON, NOON + HOUR, rule="red_high", severity="red", ended=False, value=41.5, detail=STRANGE)
STEP = anomaly(NOON + HOUR, NOON + 2 * HOUR, rule="level", ended=False)
GAP = anomaly(NOON, NOON + HOUR, "", "gap", ended=False)
OVER = anomaly(NOON - 3 * HOUR, NOON - 2 * HOUR, "halves_v", "noise")


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake of the toy, with a red alert that is open and a yellow one that is over; commands work in its folder."""
    missions = write_missions(tmp_path / "missions")
    tables = missions / "toy" / "box" / "tables.yaml"
    tables.write_text(tables.read_text().replace("  box_l1_tick:\n", "  box_l1_tick:\n    watch: {}\n", 1))
    (missions / "toy" / "box" / "channels.csv").write_text("table,column,kind,mode\nbox_l1_tick,voltage_v,analog,\n")
    (tmp_path / "lakehouse").mkdir()
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(missions))
    monkeypatch.delenv("SWXLAKE_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    lake = Lake(tmp_path / "lakehouse", read_definitions(missions))
    write_anomalies(lake, [RED, OVER], [DAY])
    update_alerts(lake, AlertSettings(), NOW)
    return lake


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; its exit code, stdout and stderr."""

    def _run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["swxlake", "alerts", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return _run


def result(run: Run, *words: object) -> dict[str, Any]:
    """What a command that must end well prints with --json."""
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, ""), out
    found: dict[str, Any] = json.loads(out)
    return found


def red(lake: Lake) -> str:
    """The id of the red alert."""
    return next(alert.alert_id for alert in read_alerts(lake) if alert.severity == "red")


# ---- lists -----------------------------------------------------------------------------------------------------
def test_the_alerts_that_are_not_over_are_listed(lake: Lake, run: Run) -> None:
    found = result(run)
    assert found["states"] == {"open": 1, "acknowledged": 0, "resolved": 1}
    (row,) = found["alerts"]
    assert (row["id"], row["severity"], row["state"]) == (red(lake), "red", "open")
    assert (row["subject"], row["since"], row["rules"]) == (f"{L1}.voltage_v", "2026-08-01T12:00:00Z", "red_high")


def test_all_alerts_are_listed_the_red_one_first(lake: Lake, run: Run) -> None:
    assert [row["severity"] for row in result(run, "--all")["alerts"]] == ["red", "yellow"]


def test_nothing_of_the_telemetry_reaches_the_terminal_as_a_command(lake: Lake, run: Run) -> None:
    for words in ([], ["show", red(lake)]):
        code, out, err = run(*words)
        assert (code, err, "\x1b[2J" in out) == (0, "", False)
        assert "[red]" in "".join(out.split())


def test_a_lake_without_alerts_says_so(lake: Lake, run: Run, tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    code, out, _ = run("--root", tmp_path / "calm")
    assert (code, "alerts       none" in out) == (0, True)
    assert result(run, "--root", tmp_path / "calm")["alerts"] == []


def test_options_before_a_command_are_refused_and_not_ignored(lake: Lake, run: Run) -> None:
    code, _, err = run("--root", "elsewhere", "show", red(lake))
    assert (code, err) == (2, "swxlake: options stand before 'show'. Put them behind it.\n")


# ---- one alert -------------------------------------------------------------------------------------------------
def test_an_alert_is_explained(lake: Lake, run: Run) -> None:
    found = result(run, "show", red(lake)[:5])
    assert (found["value"], found["usual"], found["from"], found["to"]) == (
        "41.5 V",
        "0 V",
        "2026-08-01T12:00:00Z",
        "2026-08-01T13:00:00Z",
    )
    assert [(row["rule"], row["value"]) for row in found["anomalies"]] == [("red_high", "41.5")]
    assert [row["event"] for row in found["events"]] == ["opened"]
    assert "procedure for this limit" in found["to do"][0]
    assert f"swxlake alerts ack {red(lake)}" in found["to do"][1]


def test_an_alert_about_a_table_lists_nothing_of_its_channels(lake: Lake, run: Run) -> None:
    write_anomalies(lake, [RED, GAP], [DAY])
    update_alerts(lake, AlertSettings(), NOW)
    (gap,) = (alert.alert_id for alert in read_alerts(lake) if alert.subject == L1)
    assert [(row["column_name"], row["rule"]) for row in result(run, "show", gap)["anomalies"]] == [("", "gap")]


def test_an_alert_about_checks_lists_those_that_fail(lake: Lake, run: Run) -> None:
    words = {"rule": "null_v", "detail": "Expected: 0 nulls", "content": "c", "rules": "r", "checked_at": NOON}
    days = [(DAY, "fail", False), (DAY, "warn", False), (DAY + timedelta(days=9), "fail", False)]
    rows = [{"table_name": L1, "day": d, "severity": s, "passed": p, "value": 3.0, "run_id": RUN} for d, s, p in days]
    append_ops(lake, "checks", [row | words | {"rule": row["severity"]} for row in rows])
    update_alerts(lake, AlertSettings(), NOW)
    (checks,) = (alert.alert_id for alert in read_alerts(lake) if alert.subject.endswith("checks"))
    found = result(run, "show", checks)
    assert [(row["day"], row["rule"]) for row in found["checks"]] == [("2026-08-01", "fail"), ("2026-08-10", "fail")]
    assert "anomalies" not in found
    assert f"swxlake check {L1}@2026-08-10 --rows" in found["to do"][0]


def test_of_many_events_the_first_are_told_and_the_rest_is_counted(lake: Lake) -> None:
    events = update_alerts(lake, AlertSettings(), NOW + 5 * HOUR).events
    notes = alerting.told(Alerted(events * 30)).notes
    assert (len(notes), notes[-1]) == (21, "and 10 more events; see `swxlake alerts --all`")


def test_an_unknown_id_is_wrong_usage_and_names_near_ones(lake: Lake, run: Run) -> None:
    wrong = ("0" if red(lake)[0] != "0" else "1") + red(lake)[1:]
    code, _, err = run("show", wrong)
    assert (code, f"there is no alert '{wrong}'. Did you mean {red(lake)} ({L1}.voltage_v)?" in err) == (2, True)


# ---- acknowledging ---------------------------------------------------------------------------------------------
def test_an_acknowledged_alert_says_who_knows(lake: Lake, run: Run) -> None:
    assert result(run, "ack", red(lake)[:4], "--by", "A. Operator", "--note", "heater test")["by"] == "A. Operator"
    (row,) = result(run)["alerts"]
    assert (row["state"], row["acknowledged"]) == ("acknowledged", "A. Operator: heater test")
    assert [row["event"] for row in result(run, "show", red(lake))["events"]] == ["opened", "acknowledged"]
    assert "alerts: 1 red acknowledged; see `swxlake alerts`" in lake_status(lake).notes


def test_nothing_has_to_be_noted(lake: Lake, run: Run) -> None:
    assert "alerts: 1 red open; see `swxlake alerts`" in lake_status(lake).notes
    result(run, "ack", red(lake), "--by", "A. Operator")
    assert [row["acknowledged"] for row in result(run)["alerts"]] == ["A. Operator"]


def test_a_new_normal_is_accepted_from_the_day_of_the_alert(lake: Lake, run: Run) -> None:
    write_anomalies(lake, [RED, STEP, OVER], [DAY])
    update_alerts(lake, AlertSettings(), NOW)
    found = result(run, "ack", red(lake), "--by", "A", "--note", "new setpoint", "--new-normal")
    assert found["normal"].startswith("voltage_v from 2026-08-01 on")
    (entry,) = Journal(lake).entries("normals").values()
    assert (entry["table"], entry["column"], entry["from_day"], entry["by"]) == (L1, "voltage_v", "2026-08-01", "A")


def test_what_is_no_channel_any_more_gets_no_new_normal_and_is_not_acknowledged(lake: Lake, run: Run) -> None:
    write_anomalies(lake, [STEP], [DAY])
    update_alerts(lake, AlertSettings(), NOW)
    (alert,) = (alert for alert in read_alerts(lake) if alert.state == "open")
    Path("missions/toy/box/channels.csv").unlink()
    code, _, err = run("ack", alert.alert_id, "--by", "A", "--new-normal")
    assert (code, "'voltage_v' is no channel" in err) == (2, True)
    assert [alert.state for alert in read_alerts(lake) if alert.state != "resolved"] == ["open"]


@pytest.mark.parametrize("rows", [[RED], [GAP]])
def test_there_is_no_new_normal_of_a_limit_or_a_gap_and_nothing_is_written(
    lake: Lake, run: Run, rows: list[Row]
) -> None:
    write_anomalies(lake, rows, [DAY])
    update_alerts(lake, AlertSettings(), NOW)
    (alert,) = (alert for alert in read_alerts(lake) if alert.state == "open")
    code, _, err = run("ack", alert.alert_id, "--by", "A", "--new-normal")
    assert (code, "has no level to accept" in err) == (2, True)
    assert [alert.state for alert in read_alerts(lake) if alert.state != "resolved"] == ["open"]
    assert Journal(lake).keys("normals") == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "", "--note", "x"], "--by is empty"),
        (["--note", "x"], "Missing option '--by'"),
    ],
)
def test_who_acknowledges_has_to_be_said(lake: Lake, run: Run, words: list[str], message: str) -> None:
    code, _, err = run("ack", red(lake), *words)
    assert (code, message in err, len(err.splitlines())) == (2, True, 1)


# ---- telling ---------------------------------------------------------------------------------------------------
def test_an_update_tells_on_the_channels_of_the_settings(
    lake: Lake, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alerts.toml").write_text('[channels.log]\nfile = "told.jsonl"\n[[routes]]\nchannels = ["log"]\n')
    monkeypatch.setattr(alerting, "utc_now", lambda: NOW + 5 * HOUR)
    found = result(run, "update")
    assert (found["alerts"], found["notices"]) == ({"open": 1, "repeated": 1}, {"delivered": 1, "waiting": 0})
    assert result(run, "update")["alerts"] == {"open": 1}
    assert result(run, "send")["notices"] == {"delivered": 0, "waiting": 0}
    assert result(run, "test", "log")["test"] == "accepted"
    titles = [json.loads(line)["title"] for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert (len(titles), "repeated" in titles[0], "test of a channel" in titles[1]) == (2, True, True)


def test_an_unknown_channel_is_named(lake: Lake, run: Run, tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text('[channels.log]\nfile = "told.jsonl"\n[[routes]]\nchannels = ["log"]\n')
    code, _, err = run("test", "lug")
    assert (code, "channel 'lug'" in err, "log" in err) == (2, True, True)


# ---- SQL -------------------------------------------------------------------------------------------------------
def in_sql(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(lake) as connection:
        assert isinstance(connection, duckdb.DuckDBPyConnection)
        return connection.sql(query).fetchall()


def test_the_view_of_open_alerts_has_one_row_for_each(lake: Lake) -> None:
    assert in_sql(lake, "SELECT alert_id, state FROM ops.open_alerts") == [(red(lake), "open")]


def test_alerts_are_counted_by_month(lake: Lake) -> None:
    query = (CHECKOUT / "sql" / "queries" / "alerts_by_month.sql").read_text()
    (row,) = in_sql(lake, query)
    assert row == (DAY, "toy", "box", 2, 1, 1, 0, 2, 1.0)
