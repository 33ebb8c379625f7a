# SPDX-License-Identifier: Apache-2.0
"""What products descend from, as the row of each in ops.exports says."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from monitor.site.facts import Facts

Row = Mapping[str, Any]
PRODUCT_DAY = ["product", "day"]


def versions(facts: Facts) -> dict[tuple[str, date], list[Row]]:
    """The versions of each product-day, the newest first: of each the row of its last export.

    That may have confirmed bytes that were there: `published_at` is when they were made.
    """
    number = pl.col("version").str.split(".").list.eval(pl.element().cast(pl.Int64, strict=False))
    rows = facts.ops("exports").with_columns(
        x=number.list.get(0, null_on_oob=True),
        y=number.list.get(1, null_on_oob=True),
        z=number.list.get(2, null_on_oob=True),
        published_at=pl.col("created_at").min().over(*PRODUCT_DAY, "version"),
    )
    order = [*PRODUCT_DAY, "x", "y", "z", "run_id"]
    newest = rows.sort(order, descending=[False, False, *[True] * 4]).unique(
        [*PRODUCT_DAY, "version"], keep="first", maintain_order=True
    )
    found = defaultdict[tuple[str, date], list[Row]](list)
    for row in newest.iter_rows(named=True):
        found[row["product"], row["day"]].append(row)
    return dict(found)


def deliveries(facts: Facts) -> pl.DataFrame:
    """What happened last to each file that was sent, in the order of the ledger.

    What was sent to another place than where a recipient was at last counts for nothing, as in the ledger.
    """
    rows = facts.ops("deliveries").sort("entry", "number", maintain_order=True)
    place = pl.col("place").drop_nulls().last().over("recipient")
    here = rows.filter(pl.col("place").is_null() | (pl.col("place") == place))
    return here.unique(["recipient", "path"], keep="last", maintain_order=True)


def made_from(row: Row) -> dict[str, Any]:
    """What a product's row says that it was made from; nothing for exports before this was noted."""
    found = json.loads(row["made_from"] or "{}")
    return found if isinstance(found, dict) else {}


def products_by_receipt(facts: Facts) -> dict[str, list[tuple[str, date, str]]]:
    """Product, day and version of the newest versions that descend from a raw file, by its receipt."""
    found = defaultdict[str, list[tuple[str, date, str]]](list)
    for (product, day), rows in facts.once(versions).items():
        for receipt in made_from(rows[0]).get("raw", []):
            found[receipt].append((product, day, rows[0]["version"]))
    return found
