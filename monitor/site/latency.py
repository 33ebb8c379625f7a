# SPDX-License-Identifier: Apache-2.0
"""The page of latency: how long data took from hop to hop, by table and day."""

from __future__ import annotations

from typing import Any

import polars as pl

from monitor.site import places, queries
from monitor.site.arrivals import latencies
from monitor.site.facts import Facts
from monitor.site.figures import Figures
from monitor.site.filters import day as day_word
from monitor.site.filters import duration, number
from monitor.site.page import Page
from monitor.site.sections import Cell, amount, bounded, link, record, section

HOPS = ("observation to receipt", "receipt to level 1", "all, half", "all, 95 %")


def latency(facts: Facts, known: Figures) -> Page:
    """Latency by hop: of each level 1 table over the window, of products, of deliveries, and by table-day."""
    found = facts.once(latencies)
    return record(
        places.LATENCY,
        "Latency",
        [
            ("half of level 1 was available after", duration(known.latency_p50_s)),
            ("95 % after", duration(known.latency_p95_s)),
        ],
        [_tables(found), _products(facts), _table_days(facts, found)],
        lead=f"{facts.span} From the time of observation to the end of the first build at level 1.",
    )


def _tables(found: pl.DataFrame) -> dict[str, Any]:
    tables = found.group_by("table_name").agg(
        pl.col("latency_p50_s", "build_s", "p50_s").median(), pl.col("p95_s").quantile(0.95, "linear"), days=pl.len()
    )
    return section(
        "By table",
        ("table", "days", *HOPS),
        [_latency(row, amount(number(row["days"]))) for row in tables.sort("table_name").iter_rows(named=True)],
        note="Medians over the days; in the last column the 95th percentile of the days' 95th percentiles.",
        finder="tables",
        none="Nothing was measured yet.",
    )


def _products(facts: Facts) -> dict[str, Any]:
    return section(
        "From level 1 to products and recipients",
        ("product", "days", "data received to product", "product to delivery"),
        _product_hops(facts),
        note="Medians over the window, from the newest receipt among a product's day to its first version, and "
        "from a version to its arrival at a recipient.",
        finder="products",
        none="No product was made yet.",
    )


def _table_days(facts: Facts, found: pl.DataFrame) -> dict[str, Any]:
    rows, more = bounded(found.rows(named=True))
    return section(
        "By table-day",
        ("table", "day", *HOPS),
        [_latency(row, day_word(row["day"])) for row in rows],
        note=more,
        query=queries.latencies(facts),
        finder="days",
        none="Nothing was measured yet.",
    )


def _latency(row: dict[str, Any], second: Cell) -> list[Cell]:
    names = ("latency_p50_s", "build_s", "p50_s", "p95_s")
    return [
        link(row["table_name"], places.table(row["table_name"])),
        second,
        *({"text": duration(row[name]), "class": "number", "sort": row[name]} for name in names),
    ]


def _product_hops(facts: Facts) -> list[list[Cell]]:
    """For each product: half of its days were exported so long after their last file, and then delivered."""
    exports = facts.in_window(facts.ops("exports").select("product", "day", "version", "created_at"))
    hop = (pl.col("created_at") - pl.col("received_at")).dt.total_microseconds().median() / 1e6
    by_product = _first_versions(facts, exports).group_by("product").agg(hop=hop, days=pl.len()).sort("product")
    sent = _delivery_hops(facts, exports)
    return [
        [
            link(product, places.products(product)),
            amount(number(days)),
            {"text": duration(took), "class": "number", "sort": took},
            {"text": duration(sent.get(product)), "class": "number", "sort": sent.get(product, -1)},
        ]
        for product, took, days in by_product.iter_rows()
    ]


def _first_versions(facts: Facts, exports: pl.DataFrame) -> pl.DataFrame:
    """When each product-day was made first, and its newest file of those that were there by then was received."""
    made = exports.group_by("product", "day").agg(pl.col("created_at").min())
    contents = facts.in_window(facts.ops("contents").filter(pl.col("rows") > 0))
    received = contents.join(facts.ops("files").select("file_sha256", "received_at"), on="file_sha256")
    received = received.select("mission", "instrument", "day", "received_at")
    owners = [(t.address, t.mission, t.instrument) for t in facts.definitions.tables.values()]
    schema = dict.fromkeys(("product", "mission", "instrument"), pl.String)
    owned = made.join(pl.DataFrame(owners, schema, orient="row"), on="product")
    read = owned.join(received, on=["mission", "instrument", "day"])
    read = read.filter(pl.col("received_at") <= pl.col("created_at"))
    return read.group_by("product", "day", "created_at").agg(pl.col("received_at").max())


def _delivery_hops(facts: Facts, exports: pl.DataFrame) -> dict[str, float]:
    keys = ["product", "day", "version"]
    rows = facts.ops("deliveries").filter(pl.col("delivered_at").is_not_null())
    first = rows.group_by(*keys, "recipient").agg(pl.col("delivered_at").min())
    made = exports.group_by(keys).agg(pl.col("created_at").min())
    hop = (pl.col("delivered_at") - pl.col("created_at")).dt.total_microseconds().median() / 1e6
    return dict(first.join(made, on=keys).group_by("product").agg(hop).iter_rows())
