# SPDX-License-Identifier: Apache-2.0
"""What is watched of a table is told by describe, by the data dictionary and by the doctor."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake
from lake.watch_definitions import Limit, TableRule, Watch
from swxlake import reference
from swxlake.cli import main  # noqa: TID251  what the console script calls
from swxlake.describe import describe
from swxlake.doctor import examine
from swxlake.watched import expected, lasting, rule_text

TEMPLATE = CHECKOUT / "missions" / "_template"
LIMITS = "thermo_l1_hk,bus_voltage_v,red,0,34"


@pytest.fixture
def thermo(tmp_path: Path) -> Path:
    """The folder of the template's instrument in a copy of its mission."""
    missions = tmp_path / "missions"
    shutil.copytree(TEMPLATE, missions)
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, missions / name)
    return missions / "demo/thermo"


def lake_of(thermo: Path) -> Lake:
    return Lake(thermo / "lake", read_definitions(thermo.parents[1]))


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, before
    path.write_text(text.replace(before, after))


# ---- describe and the dictionary -----------------------------------------------------------------------------------
def test_describe_tells_limits_channels_rules_and_what_is_expected(thermo: Path) -> None:
    told = describe(lake_of(thermo), "demo.thermo_l1_hk")
    limits = {(row["column"], row["severity"]): row for row in told.tables["limits"]}
    assert len(limits) == 5
    assert limits["coil_current_ma", "red"] == {
        "column": "coil_current_ma",
        "severity": "red",
        "low": "",
        "high": "5",
        "when": "heater=OFF",
        "lasting": "5 rows",
        "source": "operations handbook",
    }
    assert limits["plate_temp_degc", "yellow"]["lasting"] == "3 rows, 60 s"
    assert {"column": "coil_current_ma", "kind": "analog", "by": "heater_state"} in told.tables["channels"]
    assert [row["holds"] for row in told.tables["rules"]] == ["heater_state is one of 0, 1, 2"]
    assert told.facts["watched"][0] == "Its channels follow the day."


def test_a_table_that_is_not_watched_has_nothing_to_tell(thermo: Path) -> None:
    told = describe(lake_of(thermo), "demo.thermo_l0_hk")
    assert "watched" not in told.facts
    assert {"limits", "channels", "rules"} & set(told.tables) == set()


def test_the_dictionary_has_limits_with_color_and_mode_channels_with_kind_and_rules(thermo: Path) -> None:
    page = reference.dictionary_pages(read_definitions(thermo.parents[1]))["demo_thermo.md"]
    assert "| `thermo_l1_hk` | `bus_voltage_v` | yellow | 24 | 32 |  | 3 rows | operations handbook |" in page
    assert "| `thermo_l1_hk` | `coil_current_ma` | red |  | 5 | heater=OFF | 5 rows | operations handbook |" in page
    assert "| `thermo_l1_hk` | `coil_current_ma` | analog | `heater_state` |" in page
    assert "| `heater_state_is_known` | warn | `heater_state is one of 0, 1, 2` |" in page
    assert "Watched. Its channels follow the day." in page


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"column": "a", "low": 1}, "1 <= a"),
        ({"column": "a", "low": 0.5, "high": 2, "when": "m=1..2|4"}, "0.5 <= a <= 2 when m=1..2|4"),
        ({"column": "a", "at_most": "b"}, "a <= b"),
        ({"column": "a", "at_least": "b"}, "a >= b"),
        ({"column": "a", "one_of": ["ON", 2]}, "a is one of ON, 2"),
        ({"column": "a", "rises": True}, "a rises"),
        ({"metric": "rows", "high": 9}, "rows <= 9"),
        ({"column": "a", "metric": "mean", "low": 3}, "3 <= a:mean"),
    ],
)
def test_a_rule_is_a_formula(rule: dict[str, object], text: str) -> None:
    assert rule_text(TableRule.model_validate({"name": "r", "description": "x", **rule})) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [({}, "3 rows"), ({"samples": 1}, "1 row"), ({"samples": 2, "seconds": 90}, "2 rows, 90 s")],
)
def test_it_is_told_how_long_a_value_must_lie_outside(values: dict[str, object], text: str) -> None:
    limit = Limit.model_validate({"table": "t", "column": "c", "high": 3, "source": "x", **values})
    assert lasting(limit) == text


def test_all_that_is_expected_of_a_table_is_told() -> None:
    ratio = {"of": "a", "to": "b", "description": "Live part"}
    off = {"start": "2026-08-01T06:00:00Z", "stop": "2026-08-01T09:30:00Z", "reason": "A test"}
    watch = Watch.model_validate(
        {
            "period": "orbit", "gap_seconds": 60, "fresh_hours": 36, "rows_per_day": 8640, "ratios": {"live": ratio},
            "trends": ["rows", "a:mean"], "off": [off],
        }
    )  # fmt: skip
    assert expected(watch) == [
        "Its channels follow the orbit.",
        "A step in time longer than 60 s is a gap.",
        "A whole day has 8640 rows.",
        "No data for 36 h raise an alert.",
        "ratio:live is a over b: Live part.",
        "From day to day: rows, a:mean.",
        "Off from 2026-08-01 06:00:00 to 2026-08-01 09:30:00 UTC: A test.",
    ]


# ---- the doctor ----------------------------------------------------------------------------------------------------
def test_the_doctor_counts_limits_channels_rules_and_tells_orbits(thermo: Path) -> None:
    facts = examine(lake_of(thermo)).facts
    assert facts["limits"].startswith("3 red and 2 yellow, 1 of them in a mode;")
    assert facts["channels"] == "5 analog, 1 counter, 2 state; watched tables: 1"
    assert facts["rules"] == "1 of 1 tables, 0 of them keep a product back"
    assert facts["orbits"] == "demo not told"


def test_the_doctor_tells_the_orbit_of_padre(tmp_path: Path) -> None:
    facts = examine(Lake(tmp_path, read_definitions(CHECKOUT / "missions"))).facts
    assert "padre 5792.4 s" in facts["orbits"]


@pytest.mark.parametrize("command", ["doctor", "status", "night", "transform", "check"])
@pytest.mark.parametrize(
    "broken",
    [
        ("limits.csv", "red,0,34", "red,34,0", "limits.csv row 5 (bus_voltage_v): low 34 > high 0; swap them or"),
        (
            "tables.yaml",
            "column: heater_state,",
            "column: heater_stat,",
            "table thermo_l1_hk has no column heater_stat.",
        ),
    ],
)
def test_a_reversed_limit_and_a_rule_of_no_column_are_one_line_at_the_start_of_every_command(
    thermo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    broken: tuple[str, str, str, str],
) -> None:
    file, before, after, problem = broken
    change(thermo / file, before, after)
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(thermo.parents[1]))
    monkeypatch.setattr("sys.argv", ["swxlake", command, "--root", str(thermo / "lake")])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert f"{thermo}/{file} " in told.err
    assert problem in told.err
    assert not (thermo / "lake").exists()


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        (
            "thermo_l1_hk,bus_voltage_v,red,-5,40",
            "no value of the valid range 0 to 40 lies outside -5 to 40. Correct one.",
        ),
        (
            "thermo_l1_hk,bus_voltage_v,red,,99",
            "no value of the valid range 0 to 40 lies outside -inf to 99. Correct one.",
        ),
        ("thermo_l1_hk,bus_voltage_v,red,-9,-5", "-9 to -5 lies outside the valid range 0 to 40. Correct one."),
    ],
)
def test_the_doctor_finds_a_limit_that_no_valid_value_can_break_or_keep(thermo: Path, limit: str, problem: str) -> None:
    path = thermo / "limits.csv"
    change(path, "thermo_l1_hk,bus_voltage_v,yellow,24,32,,,,operations handbook\n", "")
    change(path, LIMITS, limit)
    problems = examine(lake_of(thermo)).problems
    assert problems == [f"limits: {path} row 4 (thermo_l1_hk.bus_voltage_v): {problem}"]
