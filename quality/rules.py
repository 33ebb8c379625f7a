# SPDX-License-Identifier: Apache-2.0
"""What must hold for a table-day, derived from the definitions of its table: nothing is written down twice.

`fail` gates the export, `warn` asks a person to look, `info` shows the instrument's alarms and never gates.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from lake.definitions import Column, Table
from lake.watch_definitions import Color, Limit, TableRule
from quality.metrics import GAP_CADENCES, WHOLE_TABLE
from quality.predicates import (
    COLORS,
    ENDS,
    EPOCH,
    FLOATS,
    has_epoch,
    is_numeric,
    is_packet_table,
    limited_columns,
    limits_of,
)
from quality.watched_days import rows_per_day
from quality.words import in_words, mode_in_words, number

Severity = Literal["fail", "warn", "info"]

CADENCE_TOLERANCE = 0.2  # of the nominal cadence
# The largest share of rows with an impossible clock before a person should look. Whether the share of an instrument's
# own flags is unusual, only its trend can say.
CLOCK_RULE = "flagged:clock_invalid"
CLOCK_INVALID_SHARE = 0.01
LEAST_COMPLETENESS = 0.9  # one packet in ten lost is more than a downlink loses on a good day


@dataclass(frozen=True)
class Rule:
    """A metric of a table-day and the range it must lie in, both ends included; None leaves an end open.

    `column` is '' for a metric of the whole table.
    """

    name: str
    metric: str
    column: str
    low: float | None
    high: float | None
    severity: Severity
    detail: str


def rules_for(table: Table, limits: tuple[Limit, ...], timeless: bool = False) -> tuple[Rule, ...]:
    """All rules of a table, in the order of its columns. `limits` may hold those of other tables too.

    `timeless` tells that the clock never gives a time, so that rows without one are nothing to warn of.
    """
    return (
        *(rule for rule in _table_rules(table) if not (timeless and rule.name == CLOCK_RULE)),
        *(rule for column in table.columns for rule in _column_rules(table, column)),
        *(rule for column in limited_columns(table, limits) for rule in _limit_rules(table, column, limits)),
        *(_table_rule(table, rule) for rule in table.rules),
    )


def rules_fingerprint(rules: Iterable[Rule]) -> str:
    """sha256 of the rules: equal for equal rules, on every machine and in every run."""
    text = json.dumps([vars(rule) for rule in rules], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _none(name: str, metric: str, column: str, severity: Severity, detail: str) -> Rule:
    """A rule that a count is zero."""
    return Rule(name, metric, column, None, 0.0, severity, f"Expected: {detail}")


def _table_rules(table: Table) -> Iterator[Rule]:
    yield Rule("has_rows", "rows", WHOLE_TABLE, 1.0, None, "warn", "The day has at least 1 row.")
    if table.key and not is_packet_table(table):
        text = f"No 2 rows have the same {', '.join(table.key)}."
        yield _none("unique_key", "duplicates", WHOLE_TABLE, "fail", text)
    if table.watch is not None and rows_per_day(table) is not None:
        text = f"At least {LEAST_COMPLETENESS:.0%} of the rows that the day should have are there."
        yield Rule("completeness", "completeness", WHOLE_TABLE, LEAST_COMPLETENESS, None, "warn", text)
    if has_epoch(table):
        yield from _time_rules(table)
    if is_packet_table(table):
        yield from _packet_rules()
    if "quality_flag" in table.by_name:
        yield from _clock_rules(table)


def _time_rules(table: Table) -> Iterator[Rule]:
    text = "0 rows lie outside the table-day's UTC day."
    yield _none(f"on_day:{EPOCH}", "day_mismatch", EPOCH, "fail", text)
    if table.order != "none":
        yield _none(f"time_order:{EPOCH}", "backward_steps", EPOCH, "fail", "0 rows are earlier than the row before.")
    if table.order == "strict":
        yield _none(f"no_repeat:{EPOCH}", "repeated_times", EPOCH, "fail", "0 rows have the time of the row before.")
    if table.cadence_seconds is not None:
        yield from _cadence_rules(table.cadence_seconds)


def _cadence_rules(nominal: float) -> Iterator[Rule]:
    low, high = nominal * (1 - CADENCE_TOLERANCE), nominal * (1 + CADENCE_TOLERANCE)
    text = f"The median spacing of rows is {number(low)} to {number(high)} s; nominal are {number(nominal)} s."
    yield Rule(f"cadence:{EPOCH}", "cadence", EPOCH, low, high, "warn", text)
    text = f"0 steps in time are longer than {number(GAP_CADENCES * nominal)} s ({GAP_CADENCES} cadences)."
    yield _none(f"no_gaps:{EPOCH}", "time_gaps", EPOCH, "warn", text)


def _packet_rules() -> Iterator[Rule]:
    sentences = {
        "sequence_jumps": "The packet sequence count makes 0 steps other than 1 (modulo 16384).",
        "missing_packets": "0 packets are missing between two that were received.",
        "checksum_failures": "0 packets of the instrument failed their checksum.",
        "quarantined_bytes": "0 bytes of the instrument's files are in quarantine.",
    }
    for metric, text in sentences.items():
        yield _none(f"no_{metric}", metric, WHOLE_TABLE, "warn", text)


def _clock_rules(table: Table) -> Iterator[Rule]:
    if any(flag.name == "clock_invalid" for flag in table.flags):
        text = f"At most {CLOCK_INVALID_SHARE:.0%} of the rows are flagged clock_invalid."
        metric = "flag_share:clock_invalid"
        yield Rule(CLOCK_RULE, metric, "quality_flag", None, CLOCK_INVALID_SHARE, "warn", text)
    if any(flag.name == "time_conflict" for flag in table.flags):
        text = "0 rows were chosen among packets that have the same time and other content."
        yield _none("flagged:time_conflict", "flag:time_conflict", "quality_flag", "warn", text)


def _column_rules(table: Table, column: Column) -> Iterator[Rule]:
    name = column.name
    if not column.nullable:
        yield _none(f"not_null:{name}", "nulls", name, "fail", f"0 values of {name} are null.")
    if column.axes:
        sizes = " x ".join(str(size) for size in table.shape(column))
        yield _none(f"length:{name}", "wrong_length", name, "fail", f"Every list of {name} holds {sizes} values.")
    if is_numeric(column):
        yield from _number_rules(table, column)


def _number_rules(table: Table, column: Column) -> Iterator[Rule]:
    name = column.name
    # L0 keeps what was sent, impossible values included; a level that is made here has to be right.
    severity: Severity = "warn" if table.level == "l0" else "fail"
    if column.valid is not None:
        low, high = map(number, column.valid)
        unit = f" {column.unit}" if column.unit else ""
        text = f"0 values of {name} lie outside {low} to {high}{unit}."
        yield _none(f"in_range:{name}", "out_of_range", name, severity, text)
    if column.type in FLOATS:
        yield _none(f"no_nan:{name}", "nans", name, severity, f"0 values of {name} are NaN; fill is null.")


def _limit_rules(table: Table, column: Column, limits: tuple[Limit, ...]) -> Iterator[Rule]:
    """A rule for each color and end that the limits of a column have."""
    own = [limit for limit in limits_of(table, limits) if limit.column == column.name]
    for color in COLORS:
        for end in ENDS:
            if told := [limit for limit in own if limit.severity == color and math.isfinite(getattr(limit, end))]:
                text = _limits_in_words(column, color, end, told)
                yield _none(f"{color}_{end}:{column.name}", f"{color}_{end}", column.name, "info", text)


def _limits_in_words(column: Column, color: Color, end: str, limits: list[Limit]) -> str:
    side = "below" if end == "low" else "above"
    ends = (f"{number(getattr(limit, end))}{mode_in_words(limit.when)} ({limit.source})" for limit in limits)
    return f"0 values of {column.name} are {side} the {color} limit {', or '.join(ends)}."


def _table_rule(table: Table, rule: TableRule) -> Rule:
    """A rule that the table's definition tells: of a metric as it stands there, of rows a count that is zero."""
    name, column = f"rule:{rule.name}", rule.column or WHOLE_TABLE
    if rule.metric is not None:
        return Rule(name, rule.metric, column, rule.low, rule.high, rule.severity, in_words(rule))
    return _none(name, name, column, rule.severity, in_words(rule))
