# SPDX-License-Identifier: Apache-2.0
"""`swxlake check TABLE@DAY --rows`: the rows of a table-day that break rules, and where to look for the others."""

from __future__ import annotations

from datetime import date

import polars as pl

from lake.definitions import Table
from lake.errors import ConfigurationError
from lake.ledger import standing_checks
from lake.reading import scan
from lake.store import Lake
from quality.checks import table_day_rules
from quality.rows import BrokenRow, broken_rows, place_to_look
from quality.rules import Rule
from swxlake.cli_options import similar
from swxlake.outcome import Outcome
from swxlake.sql_output import printable


def list_broken_rows(lake: Lake, table: Table, day: date, limit: int, name: str | None = None) -> Outcome:
    """The first rows that break each rule of a table-day, or one of its rules, as they are now.

    Raises ConfigurationError if the table has no such rule, or the day no rows.
    """
    rules = _chosen(table, table_day_rules(lake.definitions, table), name)
    frame, place = scan(lake, table, [day]), f"{table.address}@{day}"
    if frame.select(pl.len()).collect().item() == 0:
        raise ConfigurationError(f"{place}: has no rows. `swxlake status` shows the days that there are.")
    listing = broken_rows(table, rules, lake.definitions.instrument(table).limits, frame, day, limit)
    outcome = Outcome(facts={"table_day": place, "rules_with_rows": len(listing.counts)})
    if listing.rows:
        counted = {row.rule: row.severity for row in listing.rows}
        outcome.tables["rows by rule"] = [
            {"rule": rule, "severity": counted[rule], "rows": count} for rule, count in listing.counts.items()
        ]
        outcome.tables[f"rows of {place} that break rules"] = [_row(row) for row in listing.rows]
    if any(count > limit for count in listing.counts.values()):
        outcome.notes.append(f"of each rule the first {limit} rows are listed; --limit lists more")
    outcome.notes += _of_the_day(lake, table, day, rules, set(listing.counts))
    return outcome


def _chosen(table: Table, rules: tuple[Rule, ...], name: str | None) -> tuple[Rule, ...]:
    names = [rule.name for rule in rules]
    if name is not None and name not in names:
        raise ConfigurationError(f"{table.address} has no rule {name!r}.{similar(name, names)}")
    return tuple(rule for rule in rules if name in (None, rule.name))


def _row(row: BrokenRow) -> dict[str, object]:
    """The row as it is shown. What telemetry says may hold anything, also what a terminal would act on."""
    where = {name: _told(value) for name, value in row.where.items()}
    found = {"column": row.column, "value": _told(row.value), "expected": row.expected}
    return {"rule": row.rule, "severity": row.severity, "row": row.row, **where, **found}


def _told(value: object) -> object:
    return printable(value) if isinstance(value, str) else value


def _of_the_day(lake: Lake, table: Table, day: date, rules: tuple[Rule, ...], listed: set[str]) -> list[str]:
    """The broken rules that no single row breaks, as they were judged, with the place where to look."""
    by_name = {rule.name: rule for rule in rules if rule.name not in listed}
    verdicts = standing_checks(lake).filter(pl.col("table_name") == table.address, pl.col("day") == day)
    broken = verdicts.filter(~pl.col("passed"), pl.col("rule").is_in(list(by_name))).sort("rule")
    lines = [
        f"{severity} {rule}: {value:g} was found; {place_to_look(table, by_name[rule], day)}. {detail}"
        for rule, severity, value, detail in broken.select("rule", "severity", "value", "detail").iter_rows()
    ]
    return lines if verdicts.height else [f"{table.address}@{day} is not checked yet; run `swxlake check`"]
