# SPDX-License-Identifier: Apache-2.0
"""What is watched of a table, in words: limits, channels, rules, and what is expected of its days."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lake.definitions import Instrument, Table
from lake.watch_definitions import Limit, TableRule, Watch

Row = dict[str, str]


def limit_rows(instrument: Instrument, table: Table) -> list[Row]:
    """The limits of a table: an open end is empty, as is the mode of one that always holds."""
    return [
        {
            "column": limit.column,
            "severity": limit.severity,
            "low": number(limit.low),
            "high": number(limit.high),
            "when": limit.when.text if limit.when else "",
            "lasting": lasting(limit),
            "source": limit.source,
        }
        for limit in instrument.limits
        if limit.table == table.name
    ]


def number(value: float | None) -> str:
    """A number as a person writes it; nothing for an open end."""
    return "" if value is None or math.isinf(value) else f"{value:.12g}"


def lasting(limit: Limit) -> str:
    """For how long a value has to lie outside before an alert is raised."""
    rows = f"{limit.samples} row{'s' if limit.samples > 1 else ''}"
    return f"{rows}, {number(limit.seconds)} s" if limit.seconds else rows


def channel_rows(instrument: Instrument, table: Table) -> list[Row]:
    """The channels of a table: column, kind, and the column by whose values they are told apart."""
    return [
        {"column": channel.column, "kind": channel.kind, "by": channel.mode or ""}
        for channel in instrument.channels
        if channel.table == table.name
    ]


def rule_rows(table: Table) -> list[Row]:
    """The rules of a table beyond those that follow from its columns."""
    return [
        {"rule": rule.name, "severity": rule.severity, "holds": rule_text(rule), "description": rule.description}
        for rule in table.rules
    ]


def rule_text(rule: TableRule) -> str:
    """What must hold, as a formula."""
    left = rule.column or ""
    if rule.metric is not None:
        left = f"{left}:{rule.metric}" if left else rule.metric
    if rule.rises:
        text = f"{left} rises"
    elif rule.one_of:
        text = f"{left} is one of {', '.join(v if isinstance(v, str) else number(v) for v in rule.one_of)}"
    elif rule.at_most is not None or rule.at_least is not None:
        text = f"{left} <= {rule.at_most}" if rule.at_most is not None else f"{left} >= {rule.at_least}"
    else:
        low = "" if rule.low is None else f"{number(rule.low)} <= "
        text = f"{low}{left}" + ("" if rule.high is None else f" <= {number(rule.high)}")
    return f"{text} when {rule.when.text}" if rule.when else text


def expected(watch: Watch) -> list[str]:
    """What is expected of the days of a watched table, in short sentences."""
    return list(_expected(watch))


def _expected(watch: Watch) -> Iterator[str]:
    if watch.period != "none":
        yield f"Its channels follow the {watch.period}."
    if watch.gap_seconds is not None:
        yield f"A step in time longer than {number(watch.gap_seconds)} s is a gap."
    if watch.rows_per_day is not None:
        yield f"A whole day has {number(watch.rows_per_day)} rows."
    if watch.fresh_hours is not None:
        yield f"No data for {number(watch.fresh_hours)} h raise an alert."
    for name, ratio in watch.ratios.items():
        yield f"ratio:{name} is {ratio.of} over {ratio.to}: {ratio.description}."
    if watch.trends:
        yield f"From day to day: {', '.join(watch.trends)}."
    for off in watch.off:
        yield f"Off from {off.start:%Y-%m-%d %H:%M:%S} to {off.stop:%Y-%m-%d %H:%M:%S} UTC: {off.reason}."
