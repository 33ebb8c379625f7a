# SPDX-License-Identifier: Apache-2.0
"""Which files a recipient's rules ask for, and which path each gets there.

A withdrawn version is never delivered. If it was the newest of its product-day, no older one takes its place: that was
superseded for a reason. The day waits for a new version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from exports.delivery.settings import Layout, Recipient, Send, product_names
from lake.archive_keys import archive_folder
from lake.definitions import Definitions, Table
from lake.reading import scan
from lake.store import Lake

EXPORTED = ("product", "day", "version", "path", "bytes", "sha256", "records", "deliverable")
EPOCHS = ("first_epoch_tt2000", "last_epoch_tt2000")
VERSION = ["product", "day", "version"]
STEP = 1_000_000  # versions stay below that in each of their numbers


def product_files(lake: Lake) -> pl.DataFrame:
    """All files of products that the lake has published: one row per product-day, version and format.

    Columns: those of a Parcel except `path`; `deliverable` as the export noted it; `number`, by which versions compare;
    `newest`, true for the newest version of a product-day. Products that are not defined any more are left out.
    """
    datasets = {address: names[1] for address, names in product_names(lake.definitions).items()}
    rows = scan(lake, lake.ops("exports")).filter(pl.col("product").is_in(list(datasets)))
    cdf = _newest_rows(rows.select(*EXPORTED, *EPOCHS, "run_id").collect()).with_columns(format=pl.lit("cdf"))
    files = pl.concat([cdf, _renditions(lake, cdf)], how="diagonal").rename({"path": "key"})
    files = files.with_columns(
        dataset=pl.col("product").replace_strict(datasets, return_dtype=pl.String), number=version_number()
    )
    return files.with_columns(newest=pl.col("number") == pl.col("number").max().over("product", "day"))


def _newest_rows(rows: pl.DataFrame, *also: str) -> pl.DataFrame:
    return rows.sort("run_id").unique([*VERSION, *also], keep="last", maintain_order=True).drop("run_id")


def _renditions(lake: Lake, cdf: pl.DataFrame) -> pl.DataFrame:
    """Files in other formats that were made from a CDF which is still what was published."""
    rows = scan(lake, lake.ops("renditions")).drop("created_at").collect()
    made_from = cdf.select(*VERSION, *EPOCHS, "deliverable", cdf_sha256="sha256")
    return _newest_rows(rows, "format").join(made_from, on=[*VERSION, "cdf_sha256"]).drop("cdf_sha256")


def version_number() -> pl.Expr:
    """A number by which versions X.Y.Z compare."""
    numbers = pl.col("version").str.split(".").cast(pl.List(pl.Int64))
    return (numbers.list.get(0) * STEP + numbers.list.get(1)) * STEP + numbers.list.get(2)


def version_name() -> pl.Expr:
    """The name of a version of a product-day, by which it is withdrawn: dataset_yyyymmdd_vX.Y.Z."""
    return pl.format("{}_{}_v{}", "dataset", pl.col("day").dt.strftime("%Y%m%d"), "version")


def awaited(files: pl.DataFrame, withdrawn: Iterable[str]) -> dict[str, int]:
    """How many days of each product wait for a new version, as the newest was withdrawn."""
    days = (
        files.filter("newest", version_name().is_in(list(withdrawn))).group_by("product").agg(pl.col("day").n_unique())
    )
    return dict(days.sort("product").iter_rows())


def wanted(files: pl.DataFrame, definitions: Definitions, recipient: Recipient) -> pl.DataFrame:
    """The files that a recipient's rules ask for, with their `path` there; the oldest day and version first."""
    rules = [_asks(rule, definitions) for rule in recipient.send]
    found = files.filter(pl.any_horizontal(rules)).with_columns(path=_path(recipient.layout, definitions))
    return found.sort("day", "product", "number", "format")


def _asks(rule: Send, definitions: Definitions) -> pl.Expr:
    names = product_names(definitions)
    products = [address for address, both in names.items() if rule.fits(definitions.tables[address], both)]
    x, y, z = rule.least
    asked = pl.col("product").is_in(products) & pl.col("format").is_in(rule.formats)
    asked &= pl.col("number") >= (x * STEP + y) * STEP + z
    asked &= pl.col("newest") if rule.versions == "latest" else pl.lit(value=True)
    asked &= pl.col("day") >= rule.first if rule.first else pl.lit(value=True)
    return asked & (pl.col("day") <= rule.last if rule.last else pl.lit(value=True))


def _path(layout: Layout, definitions: Definitions) -> pl.Expr:
    """Where a recipient has a file."""
    if layout == "lake":
        return pl.col("key")
    folders = {address: folder(layout, definitions, address) for address in product_names(definitions)}
    inside = {"spdf": "%Y", "swxsoc": "%Y/%m/%d"}[layout]
    name = pl.col("key").str.split("/").list.last()
    return pl.concat_str(_by_product(folders), pl.col("day").dt.strftime(inside), name, separator="/")


def folder(layout: Layout, definitions: Definitions, address: str) -> str:
    """The folder in which a layout has the years of a product; empty for that of the lake, where products share one.

    The reference has a bucket for each instrument, in which products of the first level have no descriptor.
    """
    table = definitions.tables[address]
    if layout == "spdf":
        return f"{table.mission}/{table.instrument}/{product_names(definitions)[address][1]}"
    return _archive_folder(table, definitions) if layout == "swxsoc" else ""


def _archive_folder(table: Table, definitions: Definitions) -> str:
    rules, descriptor = definitions.mission(table.mission).names, table.descriptor.removeprefix(f"{table.level}_")
    return archive_folder(rules, table.level, descriptor)


def _by_product(values: Mapping[str, str]) -> pl.Expr:
    return pl.col("product").replace_strict(values, return_dtype=pl.String)
