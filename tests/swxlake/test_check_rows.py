# SPDX-License-Identifier: Apache-2.0
"""`swxlake check TABLE@DAY`, as an operator types it, and the rows that it lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lake.definition_files import read_definitions
from lake.store import Lake
from quality.checks import check_all
from swxlake.cli import main  # noqa: TID251  what the console script calls
from tests.toy import DAY, L0, receive, toy_lake, write_missions

Run = Callable[..., tuple[int, str, str]]
RULES = "rules: [{name: small, column: value, high: 5, severity: fail, description: Values are small}]"
WATCH = "watch: {rows_per_day: 43200, gap_seconds: 3600}"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Ten ticks of a watched day, of 0 to 9, which is more than the table's rule allows."""
    path = write_missions(tmp_path / "missions") / "toy" / "box" / "tables.yaml"
    path.write_text(path.read_text().replace("    packet: tick\n", f"    packet: tick\n    {RULES}\n    {WATCH}\n"))
    lake = toy_lake(tmp_path)
    receive(lake, "a", list(range(10)))
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(tmp_path / "missions"))
    monkeypatch.setenv("SWXLAKE_ROOT", str(lake.root))
    return Lake(lake.root, read_definitions(tmp_path / "missions"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["swxlake", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return _run


def listed(run: Run, *words: object) -> dict[str, Any]:
    code, out, err = run("check", f"{L0}@{DAY}", "--rows", "--json", *words)
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def test_rows_that_break_a_rule_are_listed_with_where_they_came_from(lake: Lake, run: Run) -> None:
    check_all(lake, "run-1", [lake.definitions.tables[L0]])
    found = listed(run, "--rule", "rule:small")
    assert found["rows by rule"] == [{"rule": "rule:small", "severity": "fail", "rows": 4}]
    rows = found[f"rows of {L0}@{DAY} that break rules"]
    assert [(row["row"], row["value"], row["column"]) for row in rows] == [(i, i, "value") for i in (6, 7, 8, 9)]
    assert rows[0]["file_sha256"] == "a".ljust(64, "0")
    assert rows[0]["byte_offset"] == 6
    assert rows[0]["expected"] == "0 rows break the rule that value is 5 or less. Values are small."
    assert found["notes"] == []


def test_a_rule_of_the_whole_day_says_where_to_look(lake: Lake, run: Run) -> None:
    unchecked = listed(run, "--rule", "completeness")
    assert unchecked["notes"] == [f"{L0}@{DAY} is not checked yet; run `swxlake check`"]
    check_all(lake, "run-1", [lake.definitions.tables[L0]])
    receive(lake, "b", [1], DAY.replace(day=DAY.day + 1))
    check_all(lake, "run-2", [lake.definitions.tables[L0]])
    (note,) = listed(run, "--rule", "completeness")["notes"]
    assert note.startswith("warn completeness: 0.000")
    assert f"`swxlake gaps toy/box --day {DAY}`" in note


def test_as_many_rows_of_each_rule_are_listed_as_are_asked_for(lake: Lake, run: Run) -> None:
    check_all(lake, "run-1", [lake.definitions.tables[L0]])
    code, out, _ = run("check", f"{L0}@{DAY}", "--rows", "--limit", 2, "--rule", "rule:small")
    assert code == 0
    assert "of each rule the first 2 rows are listed; --limit lists more" in out
    assert out.count("0 rows break the rule that value is 5 or less") == 2


def test_a_table_day_is_judged_by_its_name(lake: Lake, run: Run) -> None:
    code, out, _ = run("check", f"{L0}@{DAY}")
    assert code == 1
    assert f"check failed {L0}@{DAY} rule:small: 4 rows break the rule" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([L0, "--rows"], "--rows lists the rows of one table-day. Name it as TABLE@DAY."),
        ([f"{L0}@{DAY}", "--rule", "small"], "--rule goes with --rows. Give both."),
        ([f"{L0}@{DAY}", "--rows", "--rule", "rule:smal"], "Did you mean rule:small"),
        ([f"{L0}@2024-9"], "'2024-9' is no day. Write it as 2024-09-16."),
        ([f"{L0}@{DAY}", L0], "give one TABLE@DAY, or several tables and --day."),
        ([f"{L0}@{DAY}", "--day", DAY], "give one TABLE@DAY, or several tables and --day."),
        ([f"{L0}@2030-01-01", "--rows"], f"{L0}@2030-01-01: has no rows."),
        ([f"toy.box_l0_tock@{DAY}"], "there is no table 'toy.box_l0_tock'. Did you mean toy.box_l0_tick"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(lake: Lake, run: Run, words: list[object], message: str) -> None:
    code, _, err = run("check", *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
