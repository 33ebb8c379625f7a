# SPDX-License-Identifier: Apache-2.0
"""Great Expectations says the same as a direct comparison, on the right day, with the right severity."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest

from lake.definition_files import read_definitions
from lake.definitions import Instrument, Table
from quality.judge import SCHEMA, Case, judge
from quality.metrics import measure_day
from quality.rules import Rule, rules_for

ROOT = Path(__file__).parents[2]
FIRST = date(2026, 8, 1)
Number = float | None


def meddea() -> Instrument:
    return read_definitions(ROOT / "missions").mission("padre").instrument("meddea")


def table_named(name: str) -> Table:
    return next(table for table in meddea().tables if table.name == name)


def frame_of(rules: tuple[Rule, ...], days: Sequence[Sequence[Number]]) -> pl.DataFrame:
    """A metrics frame: one value for each rule of each day."""
    rows = [
        (FIRST + timedelta(days=d), rule.column, rule.metric, value)
        for d, values in enumerate(days)
        for rule, value in zip(rules, values, strict=True)
    ]
    schema = {"day": pl.Date, "column_name": pl.String, "metric": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def judge_days(table: Table, rules: tuple[Rule, ...], metrics: pl.DataFrame) -> pl.DataFrame:
    return judge([Case(table, rules, metrics)])


def good(rule: Rule) -> float:
    low = rule.low if rule.low is not None else rule.high
    assert low is not None
    return low


def bad(rule: Rule) -> float:
    return rule.high + 1 if rule.high is not None else good(rule) - 1


@pytest.mark.parametrize("name", ["meddea_l0_spectrum", "meddea_l1_housekeeping", "meddea_l1_spectrum"])
def test_each_rule_broken_once_fails_on_its_own_day(name: str) -> None:
    table = table_named(name)
    rules = rules_for(table, meddea().limits)
    days = [[bad(r) if i == broken else good(r) for i, r in enumerate(rules)] for broken in range(len(rules))]
    judged = judge_days(table, rules, frame_of(rules, [*days, [good(r) for r in rules]]))
    assert judged.height == len(rules) * (len(rules) + 1)
    failed = judged.filter(~pl.col("passed")).select("day", "rule", "severity", "value", "detail").rows()
    assert failed == [(FIRST + timedelta(days=i), r.name, r.severity, bad(r), r.detail) for i, r in enumerate(rules)]
    severities = dict(judged.select("rule", "severity").unique().iter_rows())
    assert severities == {rule.name: rule.severity for rule in rules}


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(3))
def test_verdicts_equal_a_direct_comparison(seed: int) -> None:
    random = Random(seed)
    choices: list[Number] = [None, float("inf"), -float("inf"), float("nan"), 0.0, -0.0, 1.0, 7.9999, 8.0, 12.0, 1e300]
    ranges: list[tuple[Number, Number]] = [(1.0, None), (None, 0.0), (8.0, 12.0), (-1e300, 1e300)]
    rules = tuple(
        Rule(f"rule:{i}", f"metric {i}", "a", low, high, random.choice(["fail", "warn", "info"]), "-")
        for i, (low, high) in enumerate(ranges)
    )
    days = [[random.choice(choices) for _ in rules] for _ in range(25)]
    judged = judge_days(table_named("meddea_l1_photon"), rules, frame_of(rules, days))
    assert judged["passed"].to_list() == [
        within(rule, value) for values in days for rule, value in zip(rules, values, strict=True)
    ]


def within(rule: Rule, value: Number) -> bool:
    if value is None or value != value:  # noqa: PLR0124  NaN
        return True
    return (rule.low is None or rule.low <= value) and (rule.high is None or value <= rule.high)


def test_what_cannot_be_measured_passes_and_says_so() -> None:
    rule = Rule("cadence:epoch_tt2000", "cadence", "epoch_tt2000", 8.0, 12.0, "warn", "8 to 12 s.")
    judged = judge_days(table_named("meddea_l1_spectrum"), (rule,), frame_of((rule,), [[None]]))
    row = ("padre.meddea_l1_spectrum", FIRST, rule.name, "warn", True, None, "8 to 12 s. Not measurable on this day.")
    assert judged.rows() == [row]


def test_a_day_with_a_value_out_of_range_fails_from_rows_to_verdict() -> None:
    table = table_named("meddea_l1_photon")
    types = {"int8": pl.Int8, "int16": pl.Int16, "int32": pl.Int32, "int64": pl.Int64, "float32": pl.Float32}
    numbers = {c.name: pl.Series([1], dtype=types[c.type]) for c in table.columns if c.type in types}
    epoch = pl.Series([838_900_869_184_000_000])  # 2026-08-02T12:00:00 UTC
    row = pl.DataFrame({**numbers, "epoch_tt2000": epoch, "day": [date(2026, 8, 2)]})
    row = row.with_columns(time=pl.lit(None), atod=pl.lit(4096, pl.Int16))
    metrics = measure_day(table, row.lazy(), pl.DataFrame(), pl.DataFrame(), ())
    judged = judge_days(table, rules_for(table, ()), metrics.with_columns(day=pl.lit(date(2026, 8, 2))))
    failed = judged.filter(~pl.col("passed"))
    assert failed.select("rule", "severity", "value").rows() == [
        ("flagged:clock_invalid", "warn", 1.0),
        ("not_null:time", "fail", 1.0),
        ("in_range:atod", "fail", 1.0),
    ]


def test_a_rule_without_metric_is_a_mistake_of_ours() -> None:
    table = table_named("meddea_l1_spectrum")
    rules = rules_for(table, ())
    metrics = frame_of(rules, [[good(rule) for rule in rules]] * 2)
    incomplete = metrics.filter((pl.col("day") == FIRST) | (pl.col("metric") != "cadence"))
    with pytest.raises(LookupError, match="2026-08-02: rule cadence:epoch_tt2000 needs metric cadence of epoch_tt2000"):
        judge_days(table, rules, incomplete)


def test_no_days_and_no_rules_have_no_verdicts() -> None:
    table = table_named("meddea_l1_spectrum")
    rules = rules_for(table, ())
    for judged in (judge_days(table, rules, frame_of(rules, [])), judge_days(table, (), frame_of((), [[]]))):
        assert judged.is_empty()
        assert judged.schema == SCHEMA


def test_tables_judged_together_are_told_apart() -> None:
    tables = [table_named(name) for name in ("meddea_l1_spectrum", "meddea_l1_photon")]
    rule = Rule("has_rows", "rows", "", 1.0, None, "warn", "-")
    values = ([[1.0], [0.0]], [[0.0], [5.0]])
    cases = [Case(table, (rule,), frame_of((rule,), days)) for table, days in zip(tables, values, strict=True)]
    second = FIRST + timedelta(days=1)
    assert judge(cases).select("table_name", "day", "passed").rows() == [
        ("padre.meddea_l1_spectrum", FIRST, True),
        ("padre.meddea_l1_spectrum", second, False),
        ("padre.meddea_l1_photon", FIRST, False),
        ("padre.meddea_l1_photon", second, True),
    ]


def test_what_great_expectations_seldom_uses_is_not_loaded_with_it() -> None:
    code = (
        "import sys; from quality.judge import great_expectations; great_expectations();"
        "sys.exit('altair.vegalite' in sys.modules or 'scipy.stats._continuous_distns' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_module_that_is_loaded_when_used_is_whole_then() -> None:
    code = (
        "from quality.judge import great_expectations; great_expectations();"
        "import scipy.stats; assert abs(scipy.stats.norm.cdf(0) - 0.5) < 1e-12"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_importing_the_judge_does_not_import_great_expectations() -> None:
    code = "import sys, quality.judge; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
