# SPDX-License-Identifier: Apache-2.0
"""Which table-days are judged when, on a toy lake: once for each state, and again when what is expected changes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.definition_files import read_definitions
from lake.ledger import read_ops, standing_checks
from lake.store import Lake
from lake.tables import append_ops
from quality import checks
from quality.checks import check_all
from tests.toy import DAY, L0, receive, toy_lake, write_missions

DAYS = [date(2024, 9, 16), date(2024, 9, 17), date(2024, 9, 18)]
RUNS = count()
WATCH = "watch: {rows_per_day: 43200, gap_seconds: 3600%s}"


def lake_in(folder: Path, watch: str = "") -> Lake:
    """The toy, watched: one row in two seconds is expected."""
    path = write_missions(folder / "missions") / "toy" / "box" / "tables.yaml"
    text = path.read_text()
    path.write_text(text.replace("    packet: tick\n", f"    packet: tick\n    {WATCH % watch}\n"))
    return toy_lake(folder)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_in(tmp_path)


def judged(lake: Lake, **which: Any) -> int:
    tables = [lake.definitions.tables[L0]]
    return check_all(lake, f"run-{next(RUNS):06d}", tables, **which).table_days


def values(lake: Lake, metric: str) -> dict[date, float]:
    rows = read_ops(lake, "metrics").filter(pl.col("metric") == metric, pl.col("column_name") == "")
    return dict(rows.sort("day").select("day", "value").iter_rows())


def receive_at(lake: Lake, name: str, day: date, received: datetime) -> None:
    """A file of three ticks at midnight."""
    receive(lake, name, [1, 2, 3], day)
    words = dict.fromkeys(("mission", "instrument", "status", "reason", "definition", "receipt"), "-")
    sizes = dict.fromkeys(("bytes", "bytes_decoded", "bytes_quarantined", "packets", "duplicates", "revision"), 1)
    row = {"file_sha256": name.ljust(64, "0"), "name": name, "received_at": received, "run_id": f"run-{name}"}
    append_ops(lake, "files", [words | sizes | row])


def test_a_day_is_judged_once_in_each_state(lake: Lake) -> None:
    receive(lake, "a", [1, 2, 3])
    assert [judged(lake), judged(lake), judged(lake, force=True)] == [1, 0, 1]
    receive(lake, "b", [4])
    assert [judged(lake, days={DAYS[1]}), judged(lake), judged(lake)] == [0, 1, 0]


def test_the_last_day_is_measured_as_a_whole_one_when_another_one_follows(lake: Lake) -> None:
    for name, day in zip("ab", DAYS, strict=False):
        receive(lake, name, [1, 2], day)
    assert judged(lake) == 2
    # Rows at midnight and a second later: the first day should go on to midnight, the last one need not.
    assert values(lake, "completeness") == pytest.approx({DAYS[0]: 2 / 43_200, DAYS[1]: 1.0})
    receive(lake, "c", [1], DAYS[2])
    assert judged(lake) == 2
    assert values(lake, "completeness") == pytest.approx(
        {DAYS[0]: 2 / 43_200, DAYS[1]: 2 / 43_200, DAYS[2]: 1.0}, rel=1e-3
    )
    incomplete = standing_checks(lake).filter(pl.col("rule") == "completeness", ~pl.col("passed"))
    assert incomplete.sort("day").select("day", "severity").rows() == [(DAYS[0], "warn"), (DAYS[1], "warn")]
    assert judged(lake) == 0


def test_the_last_day_is_not_measured_again_where_nobody_knows_how_many_rows_it_should_have(tmp_path: Path) -> None:
    path = write_missions(tmp_path / "missions") / "toy" / "box" / "tables.yaml"
    path.write_text(path.read_text().replace("    packet: tick\n", "    packet: tick\n    watch: {}\n"))
    lake = toy_lake(tmp_path)
    for name, day in zip("abc", DAYS, strict=True):
        receive(lake, name, [1, 2], day)
        assert judged(lake) == 1


def test_what_is_missing_on_a_day_is_judged_anew_on_that_day_alone(lake: Lake) -> None:
    for name, day in zip("abc", DAYS, strict=True):
        receive(lake, name, [1, 2], day)
    assert judged(lake) == 3
    gap = {"mission": "toy", "instrument": "box", "apid": 7, "missing": 5, "kind": "loss"}
    gap |= {"sequence_from": 3, "sequence_to": 7, "start_time": None, "end_time": None}
    append_ops(lake, "gaps", [gap | {"day": DAYS[1]}, gap | {"day": DAYS[2], "instrument": "other"}])
    assert judged(lake) == 1
    assert judged(lake) == 0


def test_a_planned_time_without_data_concerns_its_days_alone(lake: Lake, tmp_path: Path) -> None:
    for name, day in zip("abc", DAYS, strict=True):
        receive(lake, name, [1, 2, 3], day)
    assert judged(lake) == 3
    path = tmp_path / "missions/toy/box/tables.yaml"
    off = "'off': [{start: 2024-09-15T00:00:00Z, stop: 2024-09-15T12:00:00Z, reason: moved}]"
    path.write_text(path.read_text().replace("gap_seconds: 3600", f"gap_seconds: 3600, {off}"))
    assert judged(Lake(lake.root, read_definitions(tmp_path / "missions"))) == 1


def test_latency_is_that_of_the_raw_files_of_the_day(lake: Lake) -> None:
    receive_at(lake, "a", DAY, datetime(2024, 9, 16, 6, tzinfo=UTC))
    assert judged(lake) == 1
    assert values(lake, "latency_p50_s") == {DAY: 6 * 3600 - 1}  # the second of three rows, one second after midnight
    assert values(lake, "latency_p95_s") == {DAY: 6 * 3600}


def test_many_days_are_judged_and_written_in_parts(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "BATCH", 2)
    for name, day in zip("abc", DAYS, strict=True):
        receive(lake, name, [1, 2, 3], day)
    found = check_all(lake, "run-parts", [lake.definitions.tables[L0]])
    assert found.table_days == 3
    rules = standing_checks(lake).group_by("day").agg(pl.len()).sort("day")
    assert rules["day"].to_list() == DAYS
    assert rules["len"].n_unique() == 1
    assert len({(table, day, rule) for table, day, rule, *_ in found.broken}) == len(found.broken)


def test_rules_of_the_table_are_judged_with_the_others(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "missions/toy/box/tables.yaml"
    rule = "rules: [{name: small, column: value, high: 2, severity: fail, description: Values are small}]"
    path.write_text(path.read_text().replace("    packet: tick\n", f"    packet: tick\n    {rule}\n"))
    lake = Lake(lake.root, read_definitions(tmp_path / "missions"))
    receive(lake, "a", [1, 2, 3, 9])
    broken = check_all(lake, "run-rules", [lake.definitions.tables[L0]]).broken
    assert [row for row in broken if row[2] == "rule:small"] == [
        (
            L0,
            DAY,
            "rule:small",
            "fail",
            2.0,
            "Expected: 0 rows break the rule that value is 2 or less. Values are small.",
        )
    ]
