# SPDX-License-Identifier: Apache-2.0
"""Rules follow from definitions: which there are, how severe, and that every rule finds its metric."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.definition_files import read_definitions
from lake.definitions import Column, Instrument, Table
from lake.watch_definitions import Limit, TableRule, Watch
from quality.metrics import measure_day
from quality.metrics_watched import measure_latency, measure_watched
from quality.rules import Rule, rules_fingerprint, rules_for
from quality.watched_days import Place

MISSIONS = Path(__file__).parents[2] / "missions"
INSTRUMENTS = [i for mission in read_definitions(MISSIONS).missions for i in mission.instruments]
CASES = [pytest.param(i, table, id=table.address) for i in INSTRUMENTS for table in i.tables]
MEDDEA = next(i for i in INSTRUMENTS if i.name == "meddea")
TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "bool": pl.Boolean, "int8": pl.Int8, "int16": pl.Int16, "int32": pl.Int32, "int64": pl.Int64,
    "float32": pl.Float32, "float64": pl.Float64, "string": pl.String, "binary": pl.Binary, "date": pl.Date,
    "timestamp": pl.Datetime("us", "UTC"),
}  # fmt: skip


def table_named(name: str) -> Table:
    return next(table for table in MEDDEA.tables if table.name == name)


def rules_of(name: str) -> dict[str, Rule]:
    return {rule.name: rule for rule in rules_for(table_named(name), MEDDEA.limits)}


def with_column(table: Table, name: str, **changes: Any) -> Table:
    def changed(column: Column) -> Column:
        return column.model_copy(update=changes) if column.name == name else column

    return table.model_copy(update={"columns": tuple(changed(column) for column in table.columns)})


@pytest.mark.parametrize(("instrument", "table"), CASES)
def test_every_rule_has_its_metric(instrument: Instrument, table: Table) -> None:
    schema = {c.name: pl.List(TYPES[c.type]) if c.is_list else TYPES[c.type] for c in table.columns}
    gaps = pl.DataFrame(schema={"apid": pl.Int32, "missing": pl.Int32})
    quarantine = pl.DataFrame(schema={"reason": pl.String, "bytes": pl.Int64})
    empty = pl.LazyFrame(schema=schema)
    metrics = measure_day(table, empty, gaps, quarantine, instrument.limits)
    if table.watch is not None:
        watched = measure_watched(table, instrument.channels, empty, date(2026, 8, 1), Place())
        metrics = pl.concat([metrics, watched, measure_latency(None, None, pl.DataFrame())])
    rules = rules_for(table, instrument.limits)
    assert {(r.column, r.metric) for r in rules} <= set(metrics.select("column_name", "metric").iter_rows())


@pytest.mark.parametrize(("instrument", "table"), CASES)
def test_rules_are_named_once_and_say_what_they_ask(instrument: Instrument, table: Table) -> None:
    rules = rules_for(table, instrument.limits)
    assert len({rule.name for rule in rules}) == len(rules)
    assert len({(rule.column, rule.metric) for rule in rules}) == len(rules)
    assert all(rule.detail.endswith(".") and any(c.isdigit() for c in rule.detail) for rule in rules)


def test_severities_of_an_l1_spectrum() -> None:
    rules = rules_of("meddea_l1_spectrum")
    expected = {
        "has_rows": "warn", "unique_key": "fail", "on_day:epoch_tt2000": "fail", "time_order:epoch_tt2000": "fail",
        "no_repeat:epoch_tt2000": "fail", "cadence:epoch_tt2000": "warn", "no_gaps:epoch_tt2000": "warn",
        "not_null:epoch_tt2000": "fail", "in_range:counts": "fail", "no_nan:counts": "fail", "length:counts": "fail",
        "flagged:clock_invalid": "warn",
    }  # fmt: skip
    assert {name: rules[name].severity for name in expected} == expected


def test_severities_of_l0_packets() -> None:
    rules = rules_of("meddea_l0_spectrum")
    expected = {
        "has_rows": "warn", "on_day:epoch_tt2000": "fail", "in_range:counts": "warn", "length:counts": "fail",
        "no_sequence_jumps": "warn", "no_missing_packets": "warn", "no_checksum_failures": "warn",
        "no_quarantined_bytes": "warn", "not_null:file_sha256": "fail",
    }  # fmt: skip
    assert {name: rules[name].severity for name in expected} == expected


def test_retransmissions_break_no_rule_of_an_l0_packet_table() -> None:
    assert "duplicates" not in {rule.metric for rule in rules_of("meddea_l0_spectrum").values()}


def test_events_and_higher_levels_have_no_packet_rules() -> None:
    for name in ("meddea_l0_photon", "meddea_l1_photon"):
        assert "no_missing_packets" not in rules_of(name)


def test_limits_are_information() -> None:
    table = table_named("meddea_l1_photon")
    limits = (
        Limit(table=table.name, column="atod", severity="yellow", high=3000, source="a paper"),
        Limit(table=table.name, column="atod", low=5, high=4000, when="channel=3|5..7", source="a data sheet"),
    )
    rules = {r.name: r for r in rules_for(table, limits) if r.severity == "info"}
    assert list(rules) == ["yellow_high:atod", "red_low:atod", "red_high:atod"]
    rule = rules["red_high:atod"]
    assert (rule.high, rule.metric, rule.column) == (0, "red_high", "atod")
    assert rule.detail == (
        "Expected: 0 values of atod are above the red limit 4000 while channel is 3 or 5..7 (a data sheet)."
    )


def test_a_rule_of_the_table_is_judged_by_its_count_or_its_metric() -> None:
    own = (
        TableRule(name="low_first", column="atod", at_most="baseline", severity="fail", description="Why."),
        TableRule(name="busy", metric="rows", low=10, description="The sun is never dark."),
    )
    table = table_named("meddea_l1_photon").model_copy(update={"rules": own})
    rules = {rule.name: rule for rule in rules_for(table, ())}
    assert rules["rule:low_first"] == Rule(
        "rule:low_first", "rule:low_first", "atod", None, 0.0, "fail",
        "Expected: 0 rows break the rule that atod is at most baseline. Why.",
    )  # fmt: skip
    assert rules["rule:busy"] == Rule(
        "rule:busy", "rows", "", 10.0, None, "warn", "Rows is 10 or more. The sun is never dark."
    )


def test_completeness_is_asked_of_watched_tables_alone() -> None:
    table = table_named("meddea_l1_photon").model_copy(update={"watch": Watch(rows_per_day=1000)})
    rule = next(rule for rule in rules_for(table, ()) if rule.name == "completeness")
    assert (rule.low, rule.high, rule.severity) == (0.9, None, "warn")
    for watch in (None, Watch()):
        blind = table.model_copy(update={"watch": watch})
        assert not [rule for rule in rules_for(blind, ()) if rule.name == "completeness"]


def test_nullable_columns_may_be_null() -> None:
    rules = rules_of("meddea_l1_photon")
    assert "not_null:energy_kev" not in rules
    assert "not_null:atod" in rules


def test_cadence_may_be_off_by_a_fifth() -> None:
    rule = rules_of("meddea_l1_spectrum")["cadence:epoch_tt2000"]
    assert [rule.low, rule.high] == pytest.approx([8, 12])
    assert rule.detail == "The median spacing of rows is 8 to 12 s; nominal are 10 s."


def test_a_changed_range_changes_its_rule_only() -> None:
    table = table_named("meddea_l1_photon")
    before = rules_for(table, ())
    after = rules_for(with_column(table, "atod", valid=(0, 1023)), ())
    changed = [rule for rule in after if rule not in before]
    assert [rule.name for rule in changed] == ["in_range:atod"]
    assert changed[0].detail == "Expected: 0 values of atod lie outside 0 to 1023 adu."


def test_a_column_without_range_has_no_range_rule() -> None:
    table = with_column(table_named("meddea_l1_photon"), "atod", valid=None, nullable=True)
    assert not [rule for rule in rules_for(table, ()) if rule.column == "atod"]


def test_order_none_has_no_order_rule() -> None:
    table = table_named("meddea_l1_spectrum").model_copy(update={"order": "none", "cadence_seconds": None, "key": ()})
    metrics = {rule.metric for rule in rules_for(table, ())}
    assert not metrics & {"backward_steps", "repeated_times", "cadence", "time_gaps", "duplicates"}


def test_fingerprint_follows_the_rules() -> None:
    table = table_named("meddea_l1_photon")
    limit = Limit(table=table.name, column="atod", low=0, high=4000, source="test")
    plain = rules_fingerprint(rules_for(table, ()))
    assert plain == rules_fingerprint(list(rules_for(table, ())))
    assert plain != rules_fingerprint(rules_for(table, (limit,)))
    assert plain != rules_fingerprint(rules_for(with_column(table, "atod", valid=(0, 4094)), ()))
    other = limit.model_copy(update={"table": "another", "column": "absent"})
    assert plain == rules_fingerprint(rules_for(table, (other,)))


def test_fingerprint_is_the_same_on_every_machine() -> None:
    rule = Rule("has_rows", "rows", "", 1.0, None, "fail", "The day has at least 1 row.")
    text = (
        '[{"column": "", "detail": "The day has at least 1 row.", "high": null, "low": 1.0, '
        '"metric": "rows", "name": "has_rows", "severity": "fail"}]'
    )
    assert rules_fingerprint([rule]) == hashlib.sha256(text.encode()).hexdigest()


def test_rows_without_a_time_are_no_warning_where_the_clock_gives_none() -> None:
    table = table_named("meddea_l0_housekeeping")
    timed, timeless = ({rule.name for rule in rules_for(table, (), timeless=none)} for none in (False, True))
    assert timed - timeless == {"flagged:clock_invalid"}
