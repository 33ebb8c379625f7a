# SPDX-License-Identifier: Apache-2.0
"""Metrics of table-days over time."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from lake.reading import scan
from lake.store import Lake

ASKED = ["table_name", "column_name", "metric"]
KEY = ["table_name", "day", "column_name", "metric"]


def metric_history(lake: Lake, asked: Iterable[tuple[str, str, str]]) -> pl.DataFrame:
    """Metrics of columns ('' for the whole table) of all days: table_name, day, column_name, metric, value.

    `asked` are table, column and metric. One row for each that was measured, in the order of its columns; the newest
    value of each. ops.metrics has years of rows of all tables: it is read once, and little of it is kept.
    """
    wanted = pl.DataFrame(list(asked), dict.fromkeys(ASKED, pl.String), orient="row")
    rows = scan(lake, lake.ops("metrics")).filter(
        pl.col("table_name").is_in(wanted["table_name"].unique().to_list()),
        pl.col("metric").is_in(wanted["metric"].unique().to_list()),
    )
    found = rows.select(*KEY, "value", "run_id").join(wanted.lazy(), on=ASKED, how="semi").collect()
    newest = found.sort("run_id", maintain_order=True).unique(KEY, keep="last")
    return newest.sort(KEY).drop("run_id")
