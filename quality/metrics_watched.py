# SPDX-License-Identifier: Apache-2.0
"""Metrics of the days of watched tables beyond those of every table: what channels read, and what arrived, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import polars as pl

from lake.clock import NS, tt2000_of_day, unix_ns_from_tt2000
from lake.definitions import Table
from lake.watch_definitions import Channel
from quality.metrics import SCHEMA, WHOLE_TABLE, Measure, Value
from quality.predicates import EPOCH, flagged, is_numeric, numbers
from quality.watched_days import Place, expected_rows, off_spans

# The median absolute deviation of normally distributed values is their standard deviation times the upper quartile of
# the standard normal distribution, 0.6745; this is one over it (Rousseeuw and Croux, J. Am. Stat. Assoc. 88, 1993).
MAD_TO_SIGMA = 1.4826
A_MIDNIGHT = tt2000_of_day(date(2000, 1, 1))  # TT2000 is zero within a UTC second
LATENCIES = {"latency_p50_s": 0.5, "latency_p95_s": 0.95}


def measure_watched(
    table: Table, channels: Iterable[Channel], frame: pl.LazyFrame, day: date, place: Place
) -> pl.DataFrame:
    """Median, sigma and sd of its channels, ratios and completeness of one day of a watched table, as measure_day.

    sigma is 1.4826 times the median absolute deviation from the median. `frame` holds the day's rows.
    """
    measures = [*_channel_measures(table, channels), *_ratio_measures(table)]
    named = {str(i): measure.cast(pl.Float64).alias(str(i)) for i, (_, _, measure) in enumerate(measures)}
    ends = {"first": pl.col(EPOCH).min(), "last": pl.col(EPOCH).max()}
    row = frame.select(**named, **ends).collect(engine="streaming").row(0, named=True)
    values: list[Value] = [(column, metric, row[str(i)]) for i, (column, metric, _) in enumerate(measures)]
    expected = expected_rows(table, day, place, row["first"], row["last"])
    # Of rows that came late or twice a day may have more; that is no more than complete.
    share = None if expected is None else min(1.0, _arrived(table, frame, day) / expected)
    values.append((WHOLE_TABLE, "completeness", share))
    found = pl.DataFrame(values, schema=SCHEMA, orient="row")
    return found.with_columns(pl.when(pl.col("value").is_finite()).then("value"))


def learned_channels(table: Table, channels: Iterable[Channel]) -> list[str]:
    """The columns of a table's channels that are single numbers, in the table's order."""
    names = {channel.column for channel in channels if channel.table == table.name}
    return [c.name for c in table.columns if c.name in names and is_numeric(c) and not c.is_list]


def _channel_measures(table: Table, channels: Iterable[Channel]) -> Iterator[Measure]:
    for name in learned_channels(table, channels):
        values = numbers(table.by_name[name], pl.col(name)).cast(pl.Float64).drop_nulls()
        yield name, "median", values.median()
        yield name, "sigma", (values - values.median()).abs().median() * MAD_TO_SIGMA
        yield name, "sd", values.std()


def _ratio_measures(table: Table) -> Iterator[Measure]:
    for name, ratio in table.watch.ratios.items() if table.watch else ():
        yield WHOLE_TABLE, f"ratio:{name}", _sum(table, ratio.of) / _sum(table, ratio.to)


def _sum(table: Table, name: str) -> pl.Expr:
    column, values = table.by_name[name], pl.col(name)
    flat = values.explode(empty_as_null=False, keep_nulls=False) if column.is_list else values
    return numbers(column, flat).cast(pl.Float64).sum()


def _arrived(table: Table, frame: pl.LazyFrame, day: date) -> int:
    """Rows that count as received: not those sent again, and not those of a time in which none were expected."""
    conditions = [~flagged(table, "retransmitted")] if "quality_flag" in table.by_name else []
    for start, stop in off_spans(table, day):
        conditions.append(~pl.col(EPOCH).is_between(start, stop, closed="left").fill_null(value=False))
    return int(frame.filter(*conditions).select(pl.len()).collect(engine="streaming").item())


# ---- latency -------------------------------------------------------------------------------------------------------
def latency_source(ancestors: Sequence[Table], siblings: Iterable[Table]) -> Table | None:
    """The L0 table by whose rows the latency of a table is told: its first ancestor at level 0, None if it has none.

    In place of events their packets are taken, which arrive with them and are fewer. `siblings` are the tables of the
    instrument.
    """
    source = next((ancestor for ancestor in ancestors if ancestor.level == "l0" and EPOCH in ancestor.by_name), None)
    if source is None or source.rows == "packet":
        return source
    packets = (t for t in siblings if t.level == "l0" and t.packet == source.packet and t.rows == "packet")
    return next(packets, source)


def measure_latency(source: Table | None, frame: pl.LazyFrame | None, received: pl.DataFrame) -> pl.DataFrame:
    """Median and 95th percentile of the time from a row's time to the arrival of its file, in seconds, as measure_day.

    `frame` holds a day's rows of the L0 table `source`, `received` file_sha256 and received_at. Rows that had been
    received before, and rows without a time, do not count; fractions of a second are cut off. Null without any row.
    """
    if source is None or frame is None:
        return pl.DataFrame([(WHOLE_TABLE, name, None) for name in LATENCIES], schema=SCHEMA, orient="row")
    # By the whole UTC second: a day has no more of them than 86,401 for each file, however many rows there are.
    seconds = ((pl.col(EPOCH) - A_MIDNIGHT) // NS).alias("second")
    again = flagged(source, "retransmitted") if "quality_flag" in source.by_name else pl.lit(value=False)
    rows = frame.filter(~again, pl.col(EPOCH).is_not_null()).group_by("file_sha256", seconds).len()
    counted = rows.collect(engine="streaming").join(received, on="file_sha256")
    sent = unix_ns_from_tt2000(counted["second"].to_numpy() * NS + A_MIDNIGHT) // 1000
    times = pl.Series("sent", sent).cast(pl.Datetime("us", "UTC"))
    late = (counted["received_at"] - times).dt.total_microseconds() / 1e6
    values = [(WHOLE_TABLE, name, _weighted(late, counted["len"], share)) for name, share in LATENCIES.items()]
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


def _weighted(values: pl.Series, weights: pl.Series, share: float) -> float | None:
    """The least value that at least this share of all does not exceed."""
    found = pl.DataFrame({"value": values, "weight": weights}).sort("value").with_columns(pl.col("weight").cum_sum())
    enough = found.filter(pl.col("weight") >= share * pl.col("weight").last())
    return enough["value"][0] if enough.height else None
