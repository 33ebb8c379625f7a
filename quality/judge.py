# SPDX-License-Identifier: Apache-2.0
"""Great Expectations judges metrics frames: one row per day and rule, one expectation for all rules with equal bounds.

An expectation costs about ten milliseconds whatever it judges, so rules that ask the same of different metrics share
one. Great Expectations is imported in one function, because the import alone takes seconds.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import polars as pl

from lake.definitions import Table
from quality.rules import Rule, Severity

GX_SEVERITIES: dict[Severity, str] = {"fail": "critical", "warn": "warning", "info": "info"}
NOT_MEASURABLE = "Not measurable on this day."
SCHEMA = {
    "day": pl.Date,
    "rule": pl.String,
    "severity": pl.String,
    "passed": pl.Boolean,
    "value": pl.Float64,
    "detail": pl.String,
}


def judge_days(table: Table, rules: tuple[Rule, ...], metrics: pl.DataFrame) -> pl.DataFrame:
    """Verdicts, one row per day and rule: day, rule, severity, passed, value, detail.

    `metrics` has columns day, column_name, metric, value. A null value passes, and its detail says so.
    Raises LookupError if a day lacks the metric of a rule.
    """
    values = _values(table, rules, metrics)
    if values.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    groups = {_group(rule): rule for rule in rules}
    group = pl.col("rule").replace_strict({rule.name: _group(rule) for rule in rules})
    judged = values.select(pl.col("day").dt.to_string("iso"), "rule", "value", group=group)
    wide = judged.pivot("group", index=["day", "rule"], values="value")
    return _rows(values, {rule.name: rule.severity for rule in rules}, _great_expectations(table.address, groups, wide))


def _group(rule: Rule) -> str:
    """Name of the column in which a rule's value is judged: rules with equal bounds and severity share it."""
    return f"{rule.severity} {rule.low} {rule.high}"


def _values(table: Table, rules: tuple[Rule, ...], metrics: pl.DataFrame) -> pl.DataFrame:
    """The judged number of every day and rule, in that order: day, rule, detail, value."""
    wanted = pl.DataFrame(
        [(rule.name, rule.column, rule.metric, rule.detail) for rule in rules],
        schema=dict.fromkeys(("rule", "column_name", "metric", "detail"), pl.String),
        orient="row",
    )
    keys = ["day", "column_name", "metric"]
    found = metrics.select(*keys, pl.col("value").cast(pl.Float64).fill_nan(None), known=True)
    days = metrics.select(pl.col("day").unique().sort())
    values = days.join(wanted, how="cross").join(found, on=keys, how="left", validate="m:1", maintain_order="left")
    _check_known(table, values.filter(pl.col("known").is_null()))
    return values.select("day", "rule", "detail", "value")


def _check_known(table: Table, absent: pl.DataFrame) -> None:
    for day, rule, column, metric in absent.select("day", "rule", "column_name", "metric").head(1).iter_rows():
        where = f"{table.address}@{day}"
        raise LookupError(f"{where}: rule {rule} needs metric {metric} of {column or 'the table'}, which is not there.")


def _rows(values: pl.DataFrame, severities: dict[str, Severity], broken: list[tuple[str, str]]) -> pl.DataFrame:
    failures = pl.DataFrame(broken, schema={"iso": pl.String, "rule": pl.String}, orient="row")
    failures = failures.with_columns(day=pl.col("iso").str.to_date(), passed=False).drop("iso")
    judged = values.join(failures, on=["day", "rule"], how="left", validate="1:1", maintain_order="left")
    unmeasured = pl.concat_str("detail", pl.lit(NOT_MEASURABLE), separator=" ")
    return judged.with_columns(
        severity=pl.col("rule").replace_strict(severities, return_dtype=pl.String),
        passed=pl.col("passed").fill_null(True),
        detail=pl.when(pl.col("value").is_null()).then(unmeasured).otherwise("detail"),
    ).select(*SCHEMA)


def _great_expectations(name: str, groups: dict[str, Rule], wide: pl.DataFrame) -> list[tuple[str, str]]:
    """The days and rules that do not hold, from one validation of a frame with one column for each group of rules."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx  # noqa: PLC0415  takes seconds
        from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("metrics").add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe("days").get_batch({"dataframe": wide.to_pandas()})
        expectations = [_expectation(gx.expectations, group, rule) for group, rule in groups.items()]
        result = batch.validate(
            gx.ExpectationSuite(name, expectations=expectations),
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["day", "rule"]},
        )
    return [found for one in result.results for found in _broken(one)]


def _expectation(expectations: Any, group: str, rule: Rule) -> Any:
    return expectations.ExpectColumnValuesToBeBetween(
        column=group, min_value=rule.low, max_value=rule.high, severity=GX_SEVERITIES[rule.severity]
    )


def _broken(result: Any) -> list[tuple[str, str]]:
    """Days and rules that break one expectation; the suite's own success would be False after an info failure too."""
    found = [(str(row["day"]), str(row["rule"])) for row in result.result.get("unexpected_index_list") or ()]
    if bool(result.success) == bool(found):
        raise RuntimeError(f"Great Expectations could not judge {result.expectation_config}: {result.exception_info}")
    return found
