# SPDX-License-Identifier: Apache-2.0
"""Great Expectations judges metrics frames: one row per day, one expectation per rule, one validation per table.

It is imported in one function, because the import alone takes seconds.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake.definitions import Table
from quality.rules import Rule, Severity

GX_SEVERITIES: dict[Severity, str] = {"fail": "critical", "warn": "warning", "info": "info"}
SEVERITIES = {word: severity for severity, word in GX_SEVERITIES.items()}
NOT_MEASURABLE = "Not measurable on this day."
SCHEMA = {
    "day": pl.Date,
    "rule": pl.String,
    "severity": pl.String,
    "passed": pl.Boolean,
    "value": pl.Float64,
    "detail": pl.String,
}


@dataclass(frozen=True)
class _Verdict:
    """What Great Expectations says about one rule: its severity, and the ISO days on which it is broken."""

    rule: str
    severity: Severity
    broken: tuple[str, ...]


def judge_days(table: Table, rules: tuple[Rule, ...], metrics: pl.DataFrame) -> pl.DataFrame:
    """Verdicts, one row per day and rule: day, rule, severity, passed, value, detail.

    `metrics` has columns day, column_name, metric, value. A null value passes, and its detail says so.
    Raises LookupError if a day lacks the metric of a rule.
    """
    values = _values(table, rules, metrics)
    if values.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    wide = values.pivot("rule", index="day", values="value").with_columns(pl.col("day").dt.to_string("iso"))
    verdicts = _great_expectations(table.address, rules, wide)
    return _rows(values, verdicts)


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


def _rows(values: pl.DataFrame, verdicts: list[_Verdict]) -> pl.DataFrame:
    broken = [(verdict.rule, day) for verdict in verdicts for day in verdict.broken]
    severities = {verdict.rule: verdict.severity for verdict in verdicts}
    failures = pl.DataFrame(broken, schema={"rule": pl.String, "iso": pl.String}, orient="row")
    failures = failures.with_columns(day=pl.col("iso").str.to_date(), passed=False).drop("iso")
    judged = values.join(failures, on=["day", "rule"], how="left", validate="1:1", maintain_order="left")
    unmeasured = pl.concat_str("detail", pl.lit(NOT_MEASURABLE), separator=" ")
    return judged.with_columns(
        severity=pl.col("rule").replace_strict(severities, return_dtype=pl.String),
        passed=pl.col("passed").fill_null(True),
        detail=pl.when(pl.col("value").is_null()).then(unmeasured).otherwise("detail"),
    ).select(*SCHEMA)


def _great_expectations(name: str, rules: tuple[Rule, ...], wide: pl.DataFrame) -> list[_Verdict]:
    """One validation of a frame with one row per day and one column per rule."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx  # noqa: PLC0415  takes seconds
        from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("metrics").add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe("days").get_batch({"dataframe": wide.to_pandas()})
        suite = gx.ExpectationSuite(name, expectations=[_expectation(gx.expectations, rule) for rule in rules])
        result = batch.validate(
            suite, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["day"]}
        )
    return [_verdict(one) for one in result.results]


def _expectation(expectations: Any, rule: Rule) -> Any:
    return expectations.ExpectColumnValuesToBeBetween(
        column=rule.name,
        min_value=rule.low,
        max_value=rule.high,
        severity=GX_SEVERITIES[rule.severity],
        meta={"metric": rule.metric, "column": rule.column},
        description=rule.detail,
    )


def _verdict(result: Any) -> _Verdict:
    """One expectation's own result; the suite's success would be False after an info failure too."""
    rule = str(result.expectation_config.kwargs["column"])
    days = [str(found["day"]) for found in result.result.get("unexpected_index_list") or ()]
    if bool(result.success) == bool(days):
        raise RuntimeError(f"Great Expectations could not judge rule {rule}: {result.exception_info}")
    return _Verdict(rule, _severity(result.expectation_config.severity), tuple(days))


def _severity(word: Any) -> Severity:
    """Great Expectations' severity, which reads back as a string or an enumeration, in our words."""
    return SEVERITIES[str(getattr(word, "value", word))]
