# SPDX-License-Identifier: Apache-2.0
"""What is wrong in a lake now, read from its tables: anomalies, no new data, failed checks, failed builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

import polars as pl

from lake.clock import unix_ns_from_tt2000
from lake.definitions import Table
from lake.ledger import last_runs, read_ops, standing_checks
from lake.reading import scan, stored_days
from lake.store import Lake
from quality.alerts.episodes import COLORS, anomaly_rows, episodes_of
from quality.alerts.life import Conditions
from quality.alerts.silence import behind, silent_rows
from quality.alerts.standing import BUILD, CHECKS, Fault, build_episodes, check_episodes, stale_rows
from quality.alerts.stretches import Row
from quality.anomalies.books import GONE

NS_PER_US = 1000


def read_conditions(lake: Lake, now: datetime) -> Conditions:
    """What is wrong as of `now` (UTC), and which table-days that is known of."""
    tables = lake.definitions.tables
    watched = {address: table for address, table in tables.items() if table.watch is not None}
    seen, days = _watched_days(lake, now)
    last = {address: max(own) for address, own in days.items()}
    rows = anomaly_rows(_anomalies(lake), watched) + _without_data(lake, watched, days, now)
    failed, checked = _checks(lake)
    unbuilt, built = _builds(lake)
    episodes = (
        *episodes_of(rows, watched, last),
        *check_episodes(failed, tables),
        *build_episodes(unbuilt, tables),
    )
    judges = {*watched, *(f"{address}{ending}" for address in tables for ending in (CHECKS, BUILD))}
    return Conditions(episodes, frozenset(seen | checked | built), frozenset(judges))


def _anomalies(lake: Lake) -> pl.DataFrame:
    """Yellow and red rows of ops.anomalies; there are many more of info."""
    return scan(lake, lake.ops("anomalies")).filter(pl.col("severity").is_in(COLORS)).collect()


def _watched_days(lake: Lake, now: datetime) -> tuple[set[tuple[str, date]], dict[str, list[date]]]:
    """All days that were watched, and those of each table that are there.

    A day that is gone, or still to come by what a wrong clock said, does not tell that former ones have ended.
    """
    rows = read_ops(lake, "watched", ["table_name", "day", "state", "run_id"])
    there = rows.filter(pl.col("state") != GONE, pl.col("day") <= now.astimezone(UTC).date())
    days = there.group_by("table_name").agg("day")
    return set(rows.select("table_name", "day").iter_rows()), dict(days.iter_rows())


def _without_data(lake: Lake, tables: Mapping[str, Table], days: Mapping[str, list[date]], now: datetime) -> list[Row]:
    """Tables whose data are too old, or end before those of others of their instrument."""
    fresh = {table.address for table in tables.values() if table.watch and table.watch.fresh_hours}
    late = {address: other for address, other in behind(days, tables).items() if address not in fresh}
    times = {address: next(_times(lake, tables[address], now), None) for address in {*fresh, *late, *late.values()}}
    last = {address: time for address, time in times.items() if time is not None}
    expected = {address: time for address, time in last.items() if address in fresh}
    return stale_rows(expected, tables, now) + silent_rows(late, last, tables)


def _times(lake: Lake, table: Table, now: datetime) -> Iterator[datetime]:
    """The newest time of each day of a table, the newest day first; days without any are left out.

    A time to come is no sign of life.
    """
    column = "time" if "time" in table.by_name else "epoch_tt2000"
    for day in reversed(stored_days(lake, table)):
        if day <= now.astimezone(UTC).date():
            times = scan(lake, table, [day]).select(column).collect()[column]
            newest = _in_utc(times).filter(_in_utc(times) <= now).max()
            if isinstance(newest, datetime):
                yield newest


def _in_utc(times: pl.Series) -> pl.Series:
    if times.dtype != pl.Int64:
        return times
    micros = unix_ns_from_tt2000(times.drop_nulls().to_numpy()) // NS_PER_US
    return pl.Series(times.name, micros, pl.Int64).cast(pl.Datetime("us", "UTC"))


def _checks(lake: Lake) -> tuple[list[Fault], set[tuple[str, date]]]:
    """Checks of severity fail that do not hold, and all days that were judged."""
    failed = standing_checks(lake, (pl.col("severity") == "fail") & ~pl.col("passed"))
    judged = scan(lake, lake.ops("checks")).select("table_name", "day").unique().collect()
    days = {(f"{table}{CHECKS}", day) for table, day in judged.iter_rows()}
    return failed.select("table_name", "day", "rule", "detail").rows(), days


def _builds(lake: Lake) -> tuple[list[Fault], set[tuple[str, date]]]:
    """Table-days that could not be built, and all that were tried."""
    runs = last_runs(lake)
    failed = [key for key, run in runs.items() if run["status"] == "failed"]
    faults = [(table, day, "build", str(runs[table, day]["error"])) for table, day in failed]
    return faults, {(f"{table}{BUILD}", day) for table, day in runs}
