# SPDX-License-Identifier: Apache-2.0
"""Which APIDs, over which times, raw files hold, as level 0 has them; and the gaps that end in each file.

A gap ends in the file that has the first packet behind it; of several such files, in that which arrived first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date

import polars as pl

from lake.definitions import Table
from lake.reading import scan
from lake.store import Lake

SPANS = pl.Schema(
    {
        "file_sha256": pl.String(),
        "mission": pl.String(),
        "instrument": pl.String(),
        "apid": pl.Int16(),
        "packets": pl.Int64(),
        "first_time": pl.Datetime("us", "UTC"),
        "last_time": pl.Datetime("us", "UTC"),
        "day": pl.Date(),
    }
)
OWN = ["mission", "instrument", "apid"]


def lost(gaps: pl.DataFrame) -> pl.DataFrame:
    """The rows of ops.gaps by which packets are missing."""
    return gaps.filter(pl.col("missing") > 0, pl.col("kind").fill_null("loss") != "disorder")


def spans(lake: Lake, contents: pl.DataFrame) -> pl.DataFrame:
    """SPANS of the files in these rows of ops.contents: one row per file, APID and UTC day.

    Only tables with a row for each packet count. Packets without a time have a day and no times.
    """
    found = [pl.DataFrame(schema=SPANS)]
    for (address,), rows in contents.group_by("table_name", maintain_order=True):
        table = lake.definitions.tables.get(str(address))
        if table is not None and table.level == "l0" and table.packet and table.rows == "packet":
            found.append(_spans(lake, table, rows["day"].unique().to_list(), rows["file_sha256"].unique().to_list()))
    return pl.concat(found)


def _spans(lake: Lake, table: Table, days: Iterable[date], files: Collection[str]) -> pl.DataFrame:
    """Those of some files in a table."""
    rows = scan(lake, table, days).filter(pl.col("file_sha256").is_in(list(files)))
    counted = rows.group_by("file_sha256", "apid", "day").agg(
        packets=pl.len().cast(pl.Int64), first_time=pl.col("time").min(), last_time=pl.col("time").max()
    )
    about = {"mission": pl.lit(table.mission), "instrument": pl.lit(table.instrument)}
    return counted.collect(engine="streaming").with_columns(**about).select(SPANS.names()).cast(SPANS)


def gaps_of_files(found: pl.DataFrame, gaps: pl.DataFrame, arrivals: pl.DataFrame) -> pl.DataFrame:
    """Rows of ops.gaps with the `file_sha256` of the file in which each ends; of gaps that end in none, none.

    found : SPANS. arrivals : file_sha256 and received_at of the files.
    """
    first = arrivals.group_by("file_sha256").agg(pl.col("received_at").min())
    numbered = lost(gaps).with_row_index("gap")
    joined = numbered.join(found.drop("packets"), on=[*OWN, "day"]).join(first, on="file_sha256")
    inside = pl.col("end_time").is_between("first_time", "last_time")
    known = joined.filter(pl.col("end_time").is_null() | inside)
    chosen = known.sort("gap", "received_at", "file_sha256").unique("gap", keep="first", maintain_order=True)
    return chosen.select("file_sha256", *gaps.columns)
