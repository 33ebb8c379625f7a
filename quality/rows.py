# SPDX-License-Identifier: Apache-2.0
"""The rows of a table-day that break rules, found again by the same expressions that were counted for its metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from lake.definitions import Column, Table
from lake.watch_definitions import Color, Limit
from quality.metrics import SHARE
from quality.predicates import COLORS, ENDS, EPOCH, FLOATS, beyond_limits, breaks, elsewhere, flagged, numbers, outside
from quality.rules import Rule

ROW = "row"
SHOWN_CELLS = 8  # of a list; a row with a spectrum in it is read by nobody
RANKS = {"fail": 0, "warn": 1, "info": 2}
# Where to look for what breaks a rule about the day as a whole.
PLACES = {
    "cadence": "`swxlake gaps {instrument} --day {date}` lists the gaps",
    "time_gaps": "`swxlake gaps {instrument} --day {date}` lists them",
    "completeness": "`swxlake gaps {instrument} --day {date}` lists what is missing",
    "sequence_jumps": "`swxlake gaps {instrument} --day {date}` lists them",
    "missing_packets": "`swxlake gaps {instrument} --day {date}` lists them",
    "checksum_failures": "ops.quarantine has the bytes; see docs/how-to/read-the-quarantine.md",
    "quarantined_bytes": "ops.quarantine has the bytes; see docs/how-to/read-the-quarantine.md",
    "rows": "`swxlake describe {day}` tells what the day was made from",
}
ELSEWHERE = "it is about the day as a whole; ops.metrics has its history"


@dataclass(frozen=True)
class BrokenRow:
    """A row that breaks a rule. `row` counts from 0 in stored order; `where` has the columns that tell which it is."""

    rule: str
    severity: str
    row: int
    where: dict[str, object]
    column: str
    value: object
    expected: str


@dataclass
class Listing:
    """Rows that break rules, at most some of each; how many there are by rule; what to do where rows cannot tell."""

    rows: list[BrokenRow] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def broken_rows(
    table: Table, rules: tuple[Rule, ...], limits: tuple[Limit, ...], frame: pl.LazyFrame, day: date, limit: int
) -> Listing:
    """The first `limit` rows of a table-day that break each of these rules, the severest rules first.

    `frame` holds the day's rows in stored order. One pass counts; another one over as few columns as a rule needs finds
    the rows of each rule that is broken, so that memory does not grow with the day.
    """
    asked = {rule: broken for rule in rules if (broken := row_predicate(table, rule, limits, day)) is not None}
    listing = Listing()
    counts = _counts(frame, asked)
    for rule in sorted(asked, key=lambda rule: RANKS[rule.severity]):
        if counts[rule.name]:
            listing.counts[rule.name] = counts[rule.name]
            listing.rows += _rows(table, rule, frame, asked[rule], limit)
    return listing


def place_to_look(table: Table, rule: Rule, day: date) -> str:
    """Where to look for what breaks a rule that no single row breaks."""
    own = {"day": f"{table.address}@{day}", "instrument": f"{table.mission}/{table.instrument}", "date": day}
    return PLACES.get(rule.metric, ELSEWHERE).format(**own)


def row_predicate(table: Table, rule: Rule, limits: tuple[Limit, ...], day: date) -> pl.Expr | None:
    """True for the rows that break a rule; None for a rule about the day as a whole."""
    own = {f"rule:{own.name}": own for own in table.rules if own.metric is None}
    if rule.metric in own:
        return breaks(table, own[rule.metric])
    name = rule.metric.removeprefix("flag:").removeprefix(SHARE)
    if name != rule.metric:
        return flagged(table, name)
    color, _, end = rule.metric.partition("_")
    if color in COLORS and end in ENDS:
        return beyond_limits(table, table.by_name[rule.column], limits, _color(color), end)
    if rule.column == EPOCH and (found := _time_predicate(table, rule.metric, day)) is not None:
        return found
    if rule.metric == "duplicates":
        return pl.struct(table.key).is_first_distinct().not_()
    return _value_predicate(table, table.by_name[rule.column], rule.metric) if rule.column else None


def _color(word: str) -> Color:
    return "yellow" if word == "yellow" else "red"


def _time_predicate(table: Table, metric: str, day: date) -> pl.Expr | None:
    epoch = pl.col(EPOCH)
    before = epoch.forward_fill().shift(1)
    found = {"day_mismatch": elsewhere(table, day), "backward_steps": epoch < before, "repeated_times": epoch == before}
    return found.get(metric)


def _value_predicate(table: Table, column: Column, metric: str) -> pl.Expr | None:
    """Rows with a value that breaks a rule; of a list, with any such value."""
    values = pl.col(column.name)
    cell = pl.element() if column.is_list else values
    if metric == "nulls":
        return values.is_null() | _any(column, cell.is_null())
    if metric == "wrong_length":
        return values.list.len() != math.prod(table.shape(column))
    bad = _bad_cell(column, cell, metric)
    return _any(column, bad) if bad is not None else None


def _bad_cell(column: Column, cell: pl.Expr, metric: str) -> pl.Expr | None:
    if metric == "nans" and column.type in FLOATS:
        return cell.is_nan()
    if metric == "out_of_range" and column.valid is not None:
        below, above = outside(column, cell, *column.valid)
        return below | above
    return None


def _any(column: Column, bad: pl.Expr) -> pl.Expr:
    """Rows whose value, or any value of whose list, is bad."""
    return pl.col(column.name).list.eval(bad).list.any() if column.is_list else bad


def _counts(frame: pl.LazyFrame, asked: dict[Rule, pl.Expr]) -> dict[str, int]:
    """How many rows break each rule, counted column by column, so that not all columns of a stretch are in memory."""
    counts: dict[str, int] = {}
    for column in dict.fromkeys(rule.column for rule in asked):
        own = ((rule.name, broken) for rule, broken in asked.items() if rule.column == column)
        sums = [broken.fill_null(value=False).sum().alias(name) for name, broken in own]
        counts |= frame.select(sums).collect(engine="streaming").row(0, named=True)
    return counts


def _rows(table: Table, rule: Rule, frame: pl.LazyFrame, broken: pl.Expr, limit: int) -> Iterator[BrokenRow]:
    numbered = frame.with_row_index(ROW)
    places = numbered.filter(broken).select(ROW).head(limit).collect(engine="streaming")[ROW]
    where = [name for name in ("time", *table.key, "file_sha256", "byte_offset") if name in table.by_name]
    shown = rule.column or None
    columns = list(dict.fromkeys([ROW, *where, *([shown] if shown else [])]))
    found = numbered.filter(pl.col(ROW).is_in(places.implode())).select(columns).collect(engine="streaming")
    for row in found.sort(ROW).iter_rows(named=True):
        value = _shown(table, rule, row[shown]) if shown else None
        told = {name: row[name] for name in where if name != shown}
        yield BrokenRow(rule.name, rule.severity, row[ROW], told, rule.column, value, expectation(rule))


def _shown(table: Table, rule: Rule, value: object) -> object:
    """The value of a row; of a list its length, or those values that break the rule, as far as a person reads."""
    if not isinstance(value, list):
        return value
    if rule.metric == "wrong_length":
        return f"{len(value)} values"
    column = table.by_name[rule.column]
    bad = _bad_cell(column, numbers(column, pl.col("cell")) if rule.metric != "nans" else pl.col("cell"), rule.metric)
    cells = pl.DataFrame({"cell": value}).with_row_index("place")
    wanted = cells.filter(bad if bad is not None else pl.col("cell").is_null())
    told = [f"[{place}] {cell}" for place, cell in wanted.head(SHOWN_CELLS).iter_rows()]
    return ", ".join([*told, f"and {wanted.height - SHOWN_CELLS} more"] if wanted.height > SHOWN_CELLS else told)


def expectation(rule: Rule) -> str:
    """What a rule expects, in words."""
    return rule.detail.removeprefix("Expected: ")
