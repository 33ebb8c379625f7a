# SPDX-License-Identifier: Apache-2.0
"""Great Expectations judges metrics frames: one validation for many table-days, one expectation for equal bounds.

A validation costs about fifty milliseconds and an expectation ten, whatever they judge, so table-days are judged
together, and rules that ask the same of different metrics share an expectation. Great Expectations is imported in one
function, because the import alone takes more than a second.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

import polars as pl

from lake.definitions import Table
from quality.rules import Rule, Severity

GX_SEVERITIES: dict[Severity, str] = {"fail": "critical", "warn": "warning", "info": "info"}
NOT_MEASURABLE = "Not measurable on this day."
# What Great Expectations imports for expectations and stores that are not used here, half of its own import.
SELDOM_USED = ("altair", "boto3", "jsonschema", "s3transfer", "scipy.stats")
KEY = ["table_name", "day", "rule"]
SCHEMA = {
    "table_name": pl.String,
    "day": pl.Date,
    "rule": pl.String,
    "severity": pl.String,
    "passed": pl.Boolean,
    "value": pl.Float64,
    "detail": pl.String,
}


@dataclass(frozen=True)
class Case:
    """Days of a table to be judged by its rules; `metrics` has columns day, column_name, metric, value."""

    table: Table
    rules: tuple[Rule, ...]
    metrics: pl.DataFrame


def judge(cases: Sequence[Case]) -> pl.DataFrame:
    """Verdicts, one row per table-day and rule: table_name, day, rule, severity, passed, value, detail.

    A null value passes, and its detail says so.
    Raises LookupError if a day lacks the metric of a rule.
    """
    values = pl.concat([_values(case) for case in cases]) if cases else pl.DataFrame()
    if values.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    groups = {_group(rule): rule for case in cases for rule in case.rules}
    judged = values.select("table_name", pl.col("day").dt.to_string("iso"), "rule", "value", "group")
    wide = judged.pivot("group", index=KEY, values="value")
    return _rows(values, _great_expectations(groups, wide))


def _group(rule: Rule) -> str:
    """Name of the column in which a rule's value is judged: rules with equal bounds and severity share it."""
    return f"{rule.severity} {rule.low} {rule.high}"


def _values(case: Case) -> pl.DataFrame:
    """The judged number of every day and rule, in that order, with the group in which it is judged."""
    names = ("rule", "column_name", "metric", "severity", "detail", "group")
    wanted = pl.DataFrame(
        [(rule.name, rule.column, rule.metric, rule.severity, rule.detail, _group(rule)) for rule in case.rules],
        schema=dict.fromkeys(names, pl.String),
        orient="row",
    )
    keys = ["day", "column_name", "metric"]
    found = case.metrics.select(*keys, pl.col("value").cast(pl.Float64).fill_nan(None), known=True)
    days = case.metrics.select(pl.col("day").unique().sort())
    values = days.join(wanted, how="cross").join(found, on=keys, how="left", validate="m:1", maintain_order="left")
    _check_known(case.table, values.filter(pl.col("known").is_null()))
    named = pl.lit(case.table.address).alias("table_name")
    return values.select(named, "day", "rule", "severity", "detail", "value", "group")


def _check_known(table: Table, absent: pl.DataFrame) -> None:
    for day, rule, column, metric in absent.select("day", "rule", "column_name", "metric").head(1).iter_rows():
        where = f"{table.address}@{day}"
        raise LookupError(f"{where}: rule {rule} needs metric {metric} of {column or 'the table'}, which is not there.")


def _rows(values: pl.DataFrame, broken: list[tuple[str, str, str]]) -> pl.DataFrame:
    schema = {"table_name": pl.String, "iso": pl.String, "rule": pl.String}
    failures = pl.DataFrame(broken, schema=schema, orient="row")
    failures = failures.with_columns(day=pl.col("iso").str.to_date(), passed=False).drop("iso")
    judged = values.join(failures, on=KEY, how="left", validate="1:1", maintain_order="left")
    unmeasured = pl.concat_str("detail", pl.lit(NOT_MEASURABLE), separator=" ")
    return judged.with_columns(
        passed=pl.col("passed").fill_null(value=True),
        detail=pl.when(pl.col("value").is_null()).then(unmeasured).otherwise("detail"),
    ).select(*SCHEMA)


def great_expectations() -> Any:
    """The library, set to keep to itself. The first call takes more than a second."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings(), _loaded_when_used(SELDOM_USED), _no_garbage():
        warnings.simplefilter("ignore")
        import great_expectations as gx  # noqa: PLC0415

        logging.getLogger("great_expectations").setLevel(logging.WARNING)
    return gx


class _LaterFinder:
    """Finds the modules of these names as shells that are filled when something of them is first asked for."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec as the machinery asks for it; None for any other module."""
        spec = PathFinder.find_spec(name, path, target) if name in self.names else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _loaded_when_used(names: Collection[str]) -> Iterator[None]:
    """Within the block, an import of these modules costs nothing until they are used."""
    finder = _LaterFinder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Within the block no garbage is looked for: an import leaves none, and the search takes a quarter of it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def quiet_context(gx: Any, **where: Any) -> Any:
    """A context of Great Expectations that draws no progress bars."""
    bars = importlib.import_module("great_expectations.data_context.types.base").ProgressBarsConfig(globally=False)
    context = gx.get_context(**where)
    context.variables.progress_bars = bars
    return context


def _great_expectations(groups: dict[str, Rule], wide: pl.DataFrame) -> list[tuple[str, str, str]]:
    """Table, day and rule of what does not hold, from one validation of a frame with one column for each group."""
    gx = great_expectations()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = quiet_context(gx, mode="ephemeral")
        asset = context.data_sources.add_pandas("metrics").add_dataframe_asset("table-days")
        batch = asset.add_batch_definition_whole_dataframe("days").get_batch({"dataframe": wide.to_pandas()})
        expectations = [_expectation(gx.expectations, group, rule) for group, rule in groups.items()]
        result = batch.validate(
            gx.ExpectationSuite("rules", expectations=expectations),
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": KEY},
        )
    return [found for one in result.results for found in _broken(one)]


def _expectation(expectations: Any, group: str, rule: Rule) -> Any:
    return expectations.ExpectColumnValuesToBeBetween(
        column=group, min_value=rule.low, max_value=rule.high, severity=GX_SEVERITIES[rule.severity]
    )


def _broken(result: Any) -> list[tuple[str, str, str]]:
    """What breaks an expectation; the success of the whole suite would be False after an info failure too."""
    found = [
        (str(row["table_name"]), str(row["day"]), str(row["rule"]))
        for row in result.result.get("unexpected_index_list") or ()
    ]
    if bool(result.success) == bool(found):
        raise RuntimeError(f"Great Expectations could not judge {result.expectation_config}: {result.exception_info}")
    return found
