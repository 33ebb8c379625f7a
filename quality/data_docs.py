# SPDX-License-Identifier: Apache-2.0
"""Data Docs: the standing checks as pages that Great Expectations makes of them.

Its pages ask outside hosts for their style and fonts; without a network they are plain but readable. The report of
quality/report.py needs nobody.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from quality.judge import GX_SEVERITIES, Case, great_expectations, quiet_context
from quality.rules import Rule


def write_data_docs(cases: Sequence[Case], folder: Path) -> None:
    """Write the pages to a folder that is not there yet: a suite for each table, a row of its batch for each day.

    The metrics of each case have the name of a rule as `metric`, and its judged value.
    """
    gx = great_expectations()
    with tempfile.TemporaryDirectory() as project, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = quiet_context(gx, mode="file", project_root_dir=project)
        source = context.data_sources.add_pandas("swxlake")
        for case in cases:
            _validate(gx, context, source, case)
        context.build_data_docs()
        shutil.copytree(Path(project, "gx", "uncommitted", "data_docs", "local_site"), folder)


def _validate(gx: Any, context: Any, source: Any, case: Case) -> None:
    """Judge the days of a table once more, with a column and an expectation for each rule, and keep the result."""
    name = case.table.address
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("days")
    suite = context.suites.add(gx.ExpectationSuite(name, expectations=[_expectation(gx, rule) for rule in case.rules]))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    checkpoint = context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=[definition]))
    checkpoint.run(batch_parameters={"dataframe": _wide(case)})


def _wide(case: Case) -> Any:
    """A pandas frame with a row for each day and a column for each rule."""
    days = case.metrics.with_columns(pl.col("day").cast(pl.String))
    return days.pivot("metric", index="day", values="value").sort("day").to_pandas()


def _expectation(gx: Any, rule: Rule) -> Any:
    return gx.expectations.ExpectColumnValuesToBeBetween(
        column=rule.name, min_value=rule.low, max_value=rule.high,
        severity=GX_SEVERITIES[rule.severity], notes=rule.detail,
    )  # fmt: skip
