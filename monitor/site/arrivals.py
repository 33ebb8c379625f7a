# SPDX-License-Identifier: Apache-2.0
"""When things came: raw files that were late, and how long data took from their observation to level 1."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from lake.reading import scan
from monitor.site.facts import Facts

LATENCY_METRICS = ("latency_p50_s", "latency_p95_s")
LATE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "name": pl.String,
    "mission": pl.String,
    "instrument": pl.String,
    "day": pl.Date,
    "received_at": pl.Datetime("us", "UTC"),
    "late_s": pl.Float64,
    "bytes": pl.Int64,
    "status": pl.String,
    "file_sha256": pl.String,
    "receipt": pl.String,
}


def late_files(facts: Facts) -> pl.DataFrame:
    """Raw files received later than their mission allows after the end of the day in their name, the newest first.

    Of the window and later: what came late long ago is history. `late_s` is the time from the end of the day.
    """
    if facts.window is None:
        return pl.DataFrame(schema=LATE_SCHEMA)
    days = pl.DataFrame(list(facts.file_days.items()), {"receipt": pl.String, "day": pl.Date}, orient="row")
    allowed = {mission.name: mission.late_after_hours * 3600.0 for mission in facts.definitions.missions}
    end = pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + timedelta(days=1)
    rows = facts.ops("files").join(days, on="receipt")
    rows = rows.with_columns(late_s=(pl.col("received_at") - end).dt.total_microseconds() / 1e6)
    limit = pl.col("mission").replace_strict(allowed, default=None, return_dtype=pl.Float64)
    late = rows.filter(pl.col("day") >= facts.window[0], pl.col("late_s") > limit)
    return late.sort("received_at", "name", descending=[True, False]).select(LATE_SCHEMA.keys())


def latencies(facts: Facts) -> pl.DataFrame:
    """How long the rows of each level 1 table-day of the window took, in seconds, as half and 95 % of them did.

    From the time of observation to the receipt of their file (ops.metrics), and from the newest receipt of a file that
    the first good build could read to its end. Table-days with no such metric, or built before the books, have no row.
    """
    found = _receipt(facts).join(_build(facts), on=["table_name", "day"])
    return found.with_columns(
        p50_s=pl.col("latency_p50_s") + pl.col("build_s"), p95_s=pl.col("latency_p95_s") + pl.col("build_s")
    ).sort("day", "table_name", descending=[True, False])


def _receipt(facts: Facts) -> pl.DataFrame:
    """From observation to receipt, of each level 1 table-day of the window: the newest measurement."""
    keys = ["table_name", "day"]
    about = pl.col("metric").is_in(LATENCY_METRICS) & pl.col("table_name").is_in([*_sources(facts)["table_name"]])
    asked = scan(facts.lake, facts.lake.ops("metrics")).select(*keys, "metric", "value", "run_id")
    rows = asked.filter(about, facts.within).collect()
    newest = rows.filter(pl.col("run_id") == pl.col("run_id").max().over(keys))
    values = [pl.col("value").filter(pl.col("metric") == name).max().alias(name) for name in LATENCY_METRICS]
    return newest.group_by(keys).agg(*values).drop_nulls()


def _build(facts: Facts) -> pl.DataFrame:
    """From the newest receipt to the end of the first good build, of each level 1 table-day of the window."""
    done = facts.in_window(facts.runs.filter(status="done"))
    end = pl.col("started_at") + pl.duration(microseconds=(pl.col("seconds") * 1e6).cast(pl.Int64))
    built = done.group_by("table_name", "day").agg(built_at=end.min())
    contents = facts.in_window(facts.ops("contents").filter(pl.col("rows") > 0))
    l0 = contents.select("day", "file_sha256", l0=pl.col("table_name"))
    received = facts.ops("files").select("file_sha256", "received_at")
    read = _sources(facts).join(l0, on="l0").join(received, on="file_sha256").join(built, on=["table_name", "day"])
    newest = read.filter(pl.col("received_at") <= pl.col("built_at")).group_by("table_name", "day", "built_at")
    took = newest.agg(pl.col("received_at").max())
    return took.with_columns(build_s=(pl.col("built_at") - pl.col("received_at")).dt.total_microseconds() / 1e6)


def _sources(facts: Facts) -> pl.DataFrame:
    """Each level 1 table with the level 0 tables that it descends from."""
    return pl.DataFrame(sources(facts), {"table_name": pl.String, "l0": pl.String}, orient="row")


def sources(facts: Facts) -> list[tuple[str, str]]:
    """Addresses of level 1 tables and of the level 0 tables that they descend from."""
    definitions = facts.definitions
    return [
        (table.address, source.address)
        for table in definitions.tables.values()
        if table.level == "l1"
        for source in definitions.ancestors(table)
        if source.level == "l0"
    ]
