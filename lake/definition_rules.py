# SPDX-License-Identifier: Apache-2.0
"""Whether the rules and the watch of a table can be followed: every column, mode and metric that they name exists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lake.definition_text import yaml_line
from lake.definition_watch import NUMBERS, Labels, column_problem, labels_of, mode_problem, number_problem, remedy
from lake.definitions import Column, Instrument, Mission, Table
from lake.errors import DefinitionError
from lake.watch_definitions import TableRule, Watch, split_trend

EPOCH = "epoch_tt2000"
FLAGS = "quality_flag"
FLOATS = ("float32", "float64")
COUNTED = ("yellow_low", "yellow_high", "red_low", "red_high")
LEARNED = ("median", "sigma", "sd")


# ---- metrics -------------------------------------------------------------------------------------------------------
def metrics_of(instrument: Instrument, table: Table) -> dict[str, set[str]]:
    """The metrics that every day of a table has, by column, and under '' those of the whole table."""
    found = {"": _whole(table), **{column.name: _of_column(table, column) for column in table.columns}}
    if EPOCH in found:
        found[EPOCH] |= _of_time(table)
    if FLAGS in found:
        found[FLAGS] |= {"flagged_share"}
        found[FLAGS] |= {f"{word}:{flag.name}" for word in ("flag", "flag_share") for flag in table.flags}
    for limit in (limit for limit in instrument.limits if limit.table == table.name):
        found[limit.column] |= set(COUNTED)
    for channel in (channel for channel in instrument.channels if channel.table == table.name):
        if table.by_name[channel.column].type in NUMBERS:
            found[channel.column] |= set(LEARNED)
    for rule in table.rules:
        if rule.metric is None and rule.column in found:
            found[rule.column] |= {f"rule:{rule.name}"}
    return found


def _whole(table: Table) -> set[str]:
    found = {"rows"}
    packets = table.level == "l0" and table.packet is not None and table.rows == "packet"
    if packets or table.key:
        found |= {"duplicates"}
    if packets:
        found |= {"sequence_jumps", "missing_packets", "checksum_failures", "quarantined_bytes"}
    if table.watch is not None:
        found |= {"latency_p50_s", "latency_p95_s", *(f"ratio:{name}" for name in table.watch.ratios)}
        if table.cadence_seconds is not None or table.watch.rows_per_day is not None:
            found |= {"completeness"}
    return found


def _of_time(table: Table) -> set[str]:
    found = {"day_mismatch"}
    if table.order != "none":
        found |= {"backward_steps"} | ({"repeated_times"} if table.order == "strict" else set())
    return found | ({"cadence", "time_gaps", "longest_time_gap"} if table.cadence_seconds is not None else set())


def _of_column(table: Table, column: Column) -> set[str]:
    found = {"nulls"} | ({"wrong_length"} if column.axes else set())
    if column.type not in NUMBERS:
        return found
    found |= {"out_of_range"} if column.valid is not None else set()
    found |= {"nans"} if column.type in FLOATS else set()
    found |= {"mean"} if table.has_mean(column) else set()
    return found | ({"min", "max"} if not column.is_list and column.name != FLAGS else set())


# ---- rules and watch -----------------------------------------------------------------------------------------------
def check_expectations(path: Path, instrument: Instrument) -> None:
    """Raises DefinitionError, with the line in `path`, a tables.yaml, for a rule or watch that cannot be followed."""
    for table in instrument.tables:
        metrics = metrics_of(instrument, table)
        labels = labels_of(table, instrument.calibrations)
        _check_names(path, table)
        for index, rule in enumerate(table.rules):
            if (found := _rule_problem(table, rule, metrics, labels)) is not None:
                key, problem = found
                line = yaml_line(path, ("tables", table.name, "rules", index, key))
                raise DefinitionError(f"{path} line {line} ({table.name}.rules.{rule.name}.{key}): {problem}")
        if table.watch is not None and (found := _watch_problem(table, table.watch, metrics)) is not None:
            key, problem = found
            line = yaml_line(path, ("tables", table.name, "watch", key))
            raise DefinitionError(f"{path} line {line} ({table.name}.watch.{key}): {problem}")


def _check_names(path: Path, table: Table) -> None:
    names = [rule.name for rule in table.rules]
    for index, name in enumerate(names):
        if name in names[:index]:
            line = yaml_line(path, ("tables", table.name, "rules", index, "name"))
            raise DefinitionError(f"{path} line {line} ({table.name}.rules): {name} is there twice. Rename one.")


def _rule_problem(
    table: Table, rule: TableRule, metrics: dict[str, set[str]], labels: Labels
) -> tuple[str, str] | None:
    """The key of a rule that is wrong, and what is wrong with it."""
    if rule.metric is not None:
        if rule.column is not None and rule.column not in table.by_name:
            return "column", column_problem(table, rule.column) or ""
        problem = _metric_problem(table, rule.column or "", rule.metric, metrics)
        return ("metric", problem) if problem else None
    column = rule.column or ""
    wanted = column_problem if rule.one_of else number_problem
    found = [("column", wanted(table, column))]
    found += [
        (key, number_problem(table, other))
        for key, other in (("at_most", rule.at_most), ("at_least", rule.at_least))
        if other is not None
    ]
    found += [("when", mode_problem(table, rule.when, labels))] if rule.when else []
    told = next(((key, problem) for key, problem in found if problem), None)
    return told or _value_problem(table, rule)


def _value_problem(table: Table, rule: TableRule) -> tuple[str, str] | None:
    """What is wrong with the values that a column is compared with."""
    column = table.by_name[rule.column or ""]
    if column.name in (rule.at_most, rule.at_least):
        return "at_most" if rule.at_most else "at_least", "compares the column with itself. Name another one."
    number = column.type in NUMBERS
    if rule.one_of and not number and column.type != "string":
        return "one_of", f"{column.name} is {column.type}, neither number nor text. Name another column."
    for value in rule.one_of:
        if isinstance(value, str) == number:
            kind = "a number" if number else "text"
            return "one_of", f"{value!r} is not what {column.name} is, which is {kind}. Correct the value."
    return None


def _metric_problem(table: Table, column: str, metric: str, metrics: dict[str, set[str]]) -> str | None:
    known = metrics.get(column, set())
    if metric in known:
        return None
    if metric == "completeness" and not column and table.watch is not None:
        return "how many rows a whole day has is not told. Give cadence_seconds of the table, or watch.rows_per_day."
    whose = f"{column} of {table.name}" if column else f"table {table.name}"
    return f"{whose} has no metric {metric}. {remedy(metric, known)}"


def _watch_problem(table: Table, watch: Watch, metrics: dict[str, set[str]]) -> tuple[str, str] | None:
    """The key of a watch that is wrong, and what is wrong with it."""
    if EPOCH not in table.by_name:
        return "watch", f"{table.name} has no column {EPOCH}, so its days have no time. Remove watch."
    if watch.gap_seconds is not None and watch.gap_seconds <= (table.cadence_seconds or 0):
        return "gap_seconds", f"{watch.gap_seconds:g} s are no more than the cadence. Give a longer time."
    for name, ratio in watch.ratios.items():
        for column in (ratio.of, ratio.to):
            known = table.by_name.get(column)
            if known is None or known.type not in NUMBERS:  # a list of numbers has a sum too
                return "ratios", f"{name}: {number_problem(table, column)}"
        if ratio.of == ratio.to:
            return "ratios", f"{name}: is {ratio.of} over itself. Name two columns."
    return _trend_problem(table, watch.trends, metrics)


def _trend_problem(table: Table, trends: tuple[str, ...], metrics: dict[str, set[str]]) -> tuple[str, str] | None:
    seen: set[str] = set()
    for trend in trends:
        column, metric = split_trend(trend, table.by_name)
        if trend in seen:
            return "trends", f"{trend} is there twice. Remove one."
        if not column and ":" in trend and trend.partition(":")[0] not in ("ratio", "flag", "flag_share"):
            return "trends", column_problem(table, trend.partition(":")[0]) or ""
        if (problem := _metric_problem(table, column, metric, metrics)) is not None:
            return "trends", problem
        seen.add(trend)
    return None


def check_orbits(folder: Path, mission: Mission) -> None:
    """Raises DefinitionError for a table that follows the orbit of a mission that does not tell its length."""
    if mission.orbit_seconds is not None:
        return
    tables: Iterable[Table] = (table for instrument in mission.instruments for table in instrument.tables)
    for table in tables:
        if table.watch is not None and table.watch.period == "orbit":
            path = folder / table.instrument / "tables.yaml"
            line = yaml_line(path, ("tables", table.name, "watch", "period"))
            raise DefinitionError(
                f"{path} line {line} ({table.name}.watch.period): {folder / 'mission.yaml'} tells no orbit_seconds. "
                "Add it there, or write day or none."
            )
