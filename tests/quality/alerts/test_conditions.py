# SPDX-License-Identifier: Apache-2.0
"""What is wrong in a lake, read from its tables: last data, failed checks, failed builds, watched days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake.clock import tt2000_of_day
from lake.reading import arrow_schema
from lake.store import Lake
from lake.tables import append_ops, replace_day
from lake.watch_definitions import Watch
from quality.alerts.conditions import read_conditions
from quality.alerts.run import update_alerts
from quality.notices.settings import AlertSettings
from tests.quality.alerts.scene import DAY, HOUR, NOON, RUN, anomaly, open_scene, write_anomalies
from tests.toy import L0, L1, receive

LATER = "20260802T000000.000000Z-bbbbbb"


def judged(lake: Lake, day: date, severity: str, passed: bool, run_id: str = RUN) -> None:
    """A verdict in ops.checks."""
    words = {"rule": "null_v", "value": 3.0, "detail": "Expected: 0 nulls", "content": "c", "rules": "r"}
    row = {"table_name": L1, "day": day, "severity": severity, "passed": passed, "checked_at": NOON, "run_id": run_id}
    append_ops(lake, "checks", [row | words])


def tried(lake: Lake, day: date, status: str) -> None:
    """An attempt to build a table-day in ops.runs."""
    texts = dict.fromkeys(("fingerprint", "reason", "code_version", "depends_on", "table_id", "plan", "files"), "")
    numbers: dict[str, Any] = {"rows": 0, "input_rows": 0, "seconds": 0.0}
    row = {"run_id": RUN, "table_name": L1, "day": day, "started_at": NOON, "status": status, "error": "no gain"}
    append_ops(lake, "runs", [texts | numbers | row])


def test_an_empty_lake_has_nothing_wrong_and_nothing_is_known_of_it(tmp_path: Path) -> None:
    found = read_conditions(open_scene(tmp_path), NOON)
    assert (found.episodes, found.judged) == ((), frozenset())
    assert {L1, f"{L1} checks", f"{L1} build"} <= found.judges
    assert L0 not in found.judges


def test_checks_that_fail_are_wrong_until_they_hold(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    judged(lake, DAY, "fail", passed=False)
    judged(lake, DAY + timedelta(days=1), "warn", passed=False)
    found = read_conditions(lake, NOON)
    assert [(e.subject, e.start.date()) for e in found.episodes] == [(f"{L1} checks", DAY)]
    assert found.judged == {(f"{L1} checks", DAY), (f"{L1} checks", DAY + timedelta(days=1))}
    judged(lake, DAY, "fail", passed=True, run_id=LATER)
    assert read_conditions(lake, NOON).episodes == ()


def test_an_alert_about_checks_is_resolved_when_they_hold(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    judged(lake, DAY, "fail", passed=False)
    assert [e.name for e in update_alerts(lake, AlertSettings(), NOON).events] == ["opened"]
    judged(lake, DAY, "fail", passed=True, run_id=LATER)
    assert [e.name for e in update_alerts(lake, AlertSettings(), NOON + HOUR).events] == ["resolved"]


def test_a_build_that_failed_is_red_and_one_that_was_done_is_not(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    tried(lake, DAY, "failed")
    (found,) = read_conditions(lake, NOON).episodes
    assert (found.subject, found.severity, found.message) == (f"{L1} build", "red", f"{DAY} cannot be built: no gain")


def test_the_last_data_of_a_table_are_the_newest_that_are_not_to_come(tmp_path: Path) -> None:
    lake = open_scene(tmp_path, Watch(fresh_hours=1), L0)
    midnight = datetime(2026, 8, 1, tzinfo=UTC)
    receive(lake, "a", range(3), DAY)
    receive(lake, "b", range(3), DAY + timedelta(days=3))
    assert read_conditions(lake, midnight + HOUR).episodes == ()
    (found,) = read_conditions(lake, midnight + 2 * HOUR).episodes
    assert (found.subject, found.start, found.rules) == (L0, midnight, ("stale",))


def test_the_time_of_a_table_that_has_none_for_people_is_its_tt2000(tmp_path: Path) -> None:
    lake = open_scene(tmp_path, Watch(fresh_hours=1))
    table = lake.definitions.tables[L1]
    assert "time" not in table.by_name
    times = [tt2000_of_day(DAY) + seconds * 10**9 for seconds in (0, 7200, 3600)]
    rows = pa.table({"epoch_tt2000": times, "voltage_v": [1.0, 2.0, 3.0], "halves_v": [[1.0, 1.0]] * 3})
    replace_day(lake, table, DAY, rows.cast(pa.schema([f for f in arrow_schema(table) if f.name != "day"])), {})
    (found,) = read_conditions(lake, NOON).episodes
    assert found.start == datetime(2026, 8, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(("days", "state"), [(1, "gone"), (2000, "watched")])
def test_a_day_that_is_gone_or_to_come_does_not_tell_that_another_one_ended(
    tmp_path: Path, days: int, state: str
) -> None:
    lake = open_scene(tmp_path)
    write_anomalies(lake, [anomaly(NOON, NOON + HOUR, ended=False)], [DAY])
    day = DAY + timedelta(days=days)
    append_ops(
        lake,
        "watched",
        [
            {"table_name": L1, "day": day, "state": s, "usual": "", "anomalies": 0, "run_id": r}
            for s, r in ((state, LATER), ("x", RUN))
        ],
    )
    assert [e.ended for e in read_conditions(lake, NOON + 48 * HOUR).episodes] == [False]


def test_days_that_were_watched_are_known(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    write_anomalies(lake, [anomaly(NOON)], [DAY])
    found = read_conditions(lake, NOON)
    assert (len(found.episodes), found.judged) == (1, {(L1, DAY)})
