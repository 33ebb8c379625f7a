# SPDX-License-Identifier: Apache-2.0
"""Every row rule finds its rows: as many as its metric counts, and the right ones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from lake.clock import tt2000_of_day
from lake.definitions import Axis, Column, Flag, Table
from lake.watch_definitions import Limit, Mode, TableRule
from quality.metrics import measure_day
from quality.rows import Listing, broken_rows, place_to_look, row_predicate
from quality.rules import Rule, rules_for

DAY = date(2026, 8, 1)
START, SECOND = tt2000_of_day(DAY), 10**9
NAN = float("nan")
NO_GAPS = pl.DataFrame(schema={"apid": pl.Int32, "missing": pl.Int32})
NO_QUARANTINE = pl.DataFrame(schema={"reason": pl.String, "bytes": pl.Int64})
ON = Mode(column="mode", any_of=("1",))


def column(name: str, kind: Any, **facts: Any) -> Column:
    return Column(name=name, type=kind, description=name, **facts)


TABLE = Table(
    mission="padre", instrument="meddea", name="meddea_l1_x", level="l1", title="-", grain="-", order="strict",
    key=("number",),
    axes=(Axis(name="bin", size=3, first=0, step=1, description="-", label="-"),),
    flags=(
        Flag(bit=0, name="clock_invalid", description="-"),
        Flag(bit=2, name="time_conflict", description="-"),
    ),
    columns=(
        column("epoch_tt2000", "int64", nullable=True), column("time", "timestamp", nullable=True),
        column("day", "date"), column("number", "int32"), column("quality_flag", "int32"), column("mode", "int16"),
        column("temp_degc", "float64", valid=(-50, 50)), column("limit_degc", "float64", nullable=True),
        column("counts", "float32", axes=("bin",), valid=(0, 9)), column("word", "string"),
    ),
    rules=(
        TableRule(name="below_limit", severity="fail", column="temp_degc", at_most="limit_degc", description="-"),
        TableRule(name="modes", column="mode", one_of=(0, 1), description="-"),
        TableRule(name="many", metric="rows", low=100, description="-"),
    ),
)  # fmt: skip
LIMITS = (
    Limit(table=TABLE.name, column="temp_degc", severity="yellow", high=20, when=ON, source="-"),
    Limit(table=TABLE.name, column="temp_degc", low=-20, source="-"),
)


def frame_of(**changes: list[Any]) -> pl.LazyFrame:
    """Ten good rows, a second apart, with changes by row number."""
    rows: dict[str, list[Any]] = {
        "epoch_tt2000": [START + i * SECOND for i in range(10)],
        "time": [datetime(2026, 8, 1, 0, 0, i, tzinfo=UTC) for i in range(10)],
        "day": [DAY] * 10,
        "number": list(range(10)),
        "quality_flag": [0] * 10,
        "mode": [0] * 10,
        "temp_degc": [1.0] * 10,
        "limit_degc": [40.0] * 10,
        "counts": [[0.0, 1.0, 9.0]] * 10,
        "word": ["fine"] * 10,
    }
    for name, changed in changes.items():
        rows[name] = [*rows[name]]
        for place, value in changed:
            rows[name][place] = value
    types = {"number": pl.Int32, "quality_flag": pl.Int32, "mode": pl.Int16, "counts": pl.List(pl.Float32)}
    return pl.DataFrame(rows, schema_overrides=types).lazy()


def listed(limit: int = 20, **changes: list[Any]) -> Listing:
    return broken_rows(TABLE, rules_for(TABLE, LIMITS), LIMITS, frame_of(**changes), DAY, limit)


def rows_of(rule: str, **changes: list[Any]) -> list[tuple[int, Any]]:
    return [(row.row, row.value) for row in listed(**changes).rows if row.rule == rule]


def test_a_good_day_has_no_rows_that_break_rules() -> None:
    assert listed() == Listing()


def test_values_that_break_a_rule_are_shown() -> None:
    assert rows_of("not_null:word", word=[(3, None), (7, None)]) == [(3, None), (7, None)]
    assert rows_of("in_range:temp_degc", temp_degc=[(2, 50.5), (4, NAN), (5, None)]) == [(2, 50.5)]
    assert [row for row, _ in rows_of("no_nan:temp_degc", temp_degc=[(2, 50.5), (4, NAN)])] == [4]
    assert rows_of("rule:modes", mode=[(0, 1), (9, 2)]) == [(9, 2)]
    assert rows_of("rule:below_limit", temp_degc=[(1, 41.0), (2, 41.0)], limit_degc=[(2, None)]) == [(1, 41.0)]


def test_of_lists_the_cells_that_break_a_rule_are_shown() -> None:
    nine = (1, [10.0, 1.0, -1.0])
    assert rows_of("in_range:counts", counts=[nine, (2, [NAN, 1.0, 2.0])]) == [(1, "[0] 10.0, [2] -1.0")]
    assert rows_of("no_nan:counts", counts=[nine, (2, [NAN, 1.0, 2.0])]) == [(2, "[0] nan")]
    assert rows_of("length:counts", counts=[(5, [1.0, 2.0])]) == [(5, "2 values")]
    assert rows_of("not_null:counts", counts=[(5, None), (6, [1.0, None, 2.0])]) == [(5, None), (6, "[1] None")]


def test_times_out_of_order_repeated_and_of_another_day() -> None:
    back = START + 2 * SECOND
    assert rows_of("time_order:epoch_tt2000", epoch_tt2000=[(4, None), (5, back)]) == [(5, back)]
    assert rows_of("no_repeat:epoch_tt2000", epoch_tt2000=[(3, back)]) == [(3, back)]
    late = START + 86_400 * SECOND
    changed = {"epoch_tt2000": [(7, None), (8, None), (9, late)], "quality_flag": [(8, 1)]}
    assert rows_of("on_day:epoch_tt2000", **changed) == [(7, None), (9, late)]


def test_repetitions_of_the_key_are_the_later_rows() -> None:
    assert [row for row, _ in rows_of("unique_key", number=[(6, 1), (9, 1)])] == [6, 9]


def test_limits_have_their_rows_in_their_modes() -> None:
    changed = {"temp_degc": [(1, 21.0), (2, 21.0), (3, -21.0)], "mode": [(2, 1), (3, 1)]}
    assert rows_of("yellow_high:temp_degc", **changed) == [(2, 21.0)]
    assert rows_of("red_low:temp_degc", **changed) == [(3, -21.0)]


def test_rows_with_flags_of_the_clock() -> None:
    flags = {"quality_flag": [(1, 1), (2, 4), (3, 5)]}
    assert rows_of("flagged:clock_invalid", **flags) == [(1, 1), (3, 5)]
    assert rows_of("flagged:time_conflict", **flags) == [(2, 4), (3, 5)]


def test_the_severest_rule_comes_first_and_a_row_says_where_it_is() -> None:
    listing = listed(temp_degc=[(3, 60.0)], mode=[(3, 1)], quality_flag=[(4, 4)])
    assert [row.severity for row in listing.rows] == ["fail", "fail", "warn", "info"]
    first = listing.rows[0]
    assert first.where == {"time": datetime(2026, 8, 1, 0, 0, 3, tzinfo=UTC), "number": 3}
    assert (first.column, first.expected) == ("temp_degc", "0 values of temp_degc lie outside -50 to 50.")


def test_the_limit_holds_for_each_rule_and_the_counts_are_whole() -> None:
    changed: dict[str, Any] = {"word": [(i, None) for i in range(8)], "number": [(i, 0) for i in range(10)]}
    listing = listed(limit=3, **changed)
    assert listing.counts == {"unique_key": 9, "not_null:word": 8}
    assert [(row.rule, row.row) for row in listing.rows] == [
        *(("unique_key", row) for row in (1, 2, 3)),
        *(("not_null:word", row) for row in (0, 1, 2)),
    ]


def test_as_many_rows_are_listed_as_were_counted() -> None:
    changed: dict[str, Any] = {
        "word": [(1, None)],
        "temp_degc": [(1, 60.0), (2, NAN), (3, -30.0), (4, None)],
        "mode": [(1, 1), (2, 5)],
        "number": [(5, 4)],
        "epoch_tt2000": [(6, START), (7, START), (8, None)],
        "quality_flag": [(2, 4)],
        "counts": [(0, None), (2, [1.0, 2.0])],
    }
    frame, rules = frame_of(**changed), rules_for(TABLE, LIMITS)
    found = measure_day(TABLE, frame, NO_GAPS, NO_QUARANTINE, LIMITS)
    metrics = {(name, metric): value for name, metric, value in found.iter_rows()}
    counted = {r.name: metrics[r.column, r.metric] for r in rules if row_predicate(TABLE, r, LIMITS, DAY) is not None}
    del counted["flagged:clock_invalid"]  # its metric is a share
    assert listed(**changed).counts == {name: count for name, count in counted.items() if count}


@pytest.mark.parametrize(
    ("metric", "where"), [("time_gaps", "swxlake gaps"), ("quarantined_bytes", "ops.quarantine"), ("cadence", "gaps")]
)
def test_a_rule_about_the_day_says_where_to_look(metric: str, where: str) -> None:
    rule = Rule("name", metric, "epoch_tt2000", None, 0.0, "warn", "-")
    assert row_predicate(TABLE, rule, LIMITS, DAY) is None
    assert where in place_to_look(TABLE, rule, DAY)


def test_a_rule_about_a_metric_has_no_rows() -> None:
    rule = next(rule for rule in rules_for(TABLE, ()) if rule.name == "rule:many")
    assert row_predicate(TABLE, rule, (), DAY) is None
    assert "`swxlake describe padre.meddea_l1_x@2026-08-01`" in place_to_look(TABLE, rule, DAY)
