# SPDX-License-Identifier: Apache-2.0
"""Checks: which table-days have not been judged in their present state, measuring and judging them, the rows in ops."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from lake.clock import utc_now
from lake.definitions import Table
from lake.ledger import Contents, fingerprint, next_run_id, read_contents, read_ops, standing_checks
from lake.reading import scan
from lake.store import Lake
from lake.tables import append_ops
from quality.judge import judge_days
from quality.metrics import is_packet_table, measure_day
from quality.rules import Rule, rules_fingerprint, rules_for

log = logging.getLogger(__name__)


@dataclass
class Checked:
    """Outcome of checks: table-days judged, and rules that do not hold (table, day, rule, severity, value, detail)."""

    table_days: int = 0
    broken: list[tuple[str, date, str, str, float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Due:
    """A table-day to be judged, in the state named by `content`."""

    day: date
    content: str
    gaps: pl.DataFrame
    quarantine: pl.DataFrame


def check_all(
    lake: Lake,
    run_id: str | None = None,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
) -> Checked:
    """Judge every table-day that changed since it was judged, or whose rules changed.

    Raises StorageError if another process transforms, judges or exports all the while.
    """
    with lake.storage.alone("build"):
        return _check(lake, run_id or next_run_id(lake, "checks", "metrics"), tables, days, force)


def _check(lake: Lake, run_id: str, tables: list[Table] | None, days: set[date] | None, force: bool) -> Checked:
    contents, checked = read_contents(lake), Checked()
    gaps, quarantine = read_ops(lake, "gaps"), read_ops(lake, "quarantine")
    judged = set(standing_checks(lake).select("table_name", "day", "content", "rules").iter_rows())
    metrics, checks = [], []
    for table in tables if tables is not None else lake.definitions.tables.values():
        limits = lake.definitions.instrument(table).limits
        rules = rules_for(table, limits, timeless=lake.definitions.clock(table).policy == "none")
        marks = rules_fingerprint(rules)
        due = [
            item
            for item in _states(table, contents, gaps, quarantine)
            if (days is None or item.day in days)
            and (force or (table.address, item.day, item.content, marks) not in judged)
        ]
        if due:
            measured, verdicts = _judge(lake, table, rules, due)
            metrics.append(measured.with_columns(run_id=pl.lit(run_id)))
            checks.append(verdicts.with_columns(rules=pl.lit(marks), run_id=pl.lit(run_id)))
            checked.table_days += len(due)
    _store(lake, metrics, checks, checked)
    return checked


def _states(table: Table, contents: Contents, gaps: pl.DataFrame, quarantine: pl.DataFrame) -> list[Due]:
    """The days of a table with the state that a verdict would be about.

    For packet tables the state includes what is missing and what was quarantined on that day.
    """
    days = sorted((day, content) for (address, day), content in contents.known.items() if address == table.address)
    if not is_packet_table(table):
        return [Due(day, content, gaps.clear(), quarantine.clear()) for day, content in days]
    ours = (pl.col("mission") == table.mission) & (pl.col("instrument") == table.instrument)
    states = []
    for day, content in days:
        missing = gaps.filter(ours, pl.col("day") == day)
        refused = quarantine.filter(ours, pl.col("day") == day)
        stretches = refused.select("file_sha256", "byte_offset", "reason").sort(pl.all())
        state = fingerprint(content, missing.sort(missing.columns).rows(), stretches.rows())
        states.append(Due(day, state, missing, refused))
    return states


def _judge(lake: Lake, table: Table, rules: tuple[Rule, ...], due: list[Due]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Metrics and verdicts of the days of one table, with the columns of ops.metrics and ops.checks but for run_id."""
    limits = lake.definitions.instrument(table).limits
    measured = pl.concat(
        measure_day(table, scan(lake, table, [item.day]), item.gaps, item.quarantine, limits).with_columns(
            day=pl.lit(item.day)
        )
        for item in due
    )
    states = pl.DataFrame({"day": [i.day for i in due], "content": [i.content for i in due]})
    named = pl.lit(table.address).alias("table_name")
    verdicts = judge_days(table, rules, measured).with_columns(named, checked_at=pl.lit(utc_now()))
    for item in due:
        log.info("check table=%s day=%s", table.address, item.day)
    return measured.with_columns(named).join(states, on="day"), verdicts.join(states, on="day")


def _store(lake: Lake, metrics: list[pl.DataFrame], checks: list[pl.DataFrame], checked: Checked) -> None:
    """Write metrics, then checks: a check without its metrics cannot be."""
    if not checks:
        return
    append_ops(lake, "metrics", pl.concat(metrics, how="diagonal").to_dicts())
    verdicts = pl.concat(checks, how="diagonal")
    append_ops(lake, "checks", verdicts.to_dicts())
    columns = ["table_name", "day", "rule", "severity", "value", "detail"]
    checked.broken += verdicts.filter(~pl.col("passed")).sort(columns).select(columns).rows()
