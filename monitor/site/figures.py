# SPDX-License-Identifier: Apache-2.0
"""The numbers by which one sees whether all is well, each with the rows that it is counted from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from monitor.site.arrivals import late_files, latencies
from monitor.site.facts import Facts
from monitor.site.states import ABSENT, WORDS, exported, states

STAGE_STATES = {"ok": 0, "warn": 1, "failed": 2}


@dataclass(frozen=True)
class Stage:
    """One stage of a night, as ops.nights has it."""

    name: str
    state: str
    started_at: datetime
    seconds: float
    facts: Mapping[str, object]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Night:
    """A night: its state is the worst of its stages', `seconds` the sum of theirs."""

    id: str
    started_at: datetime
    seconds: float
    state: str
    code_version: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Figures:
    """The lake in numbers. Without a word on time they are about `window`: the last 30 UTC days that have data.

    `window` is the first of these days and the day after the last; None of a lake without data. `received` counts
    packets once, `expected` those too which are missing by their sequence counts; `completeness` is their quotient. Of
    `silent_days`, days of an APID without packets between days with some, nothing tells how many packets they lack.
    Latency is from the time of observation to the end of the first build at level 1. `products` are product-days that
    there could be, of which `products_passed` hold all rules that gate the export and were exported with the rows that
    they have now. `future_days` are days that are not yet and have data. `failed_runs`, `open_alerts` (by
    severity) and `acknowledged_alerts` are those that stand now, of all days. `table_days` are counted by state word.
    """

    window: tuple[date, date] | None
    received: int
    expected: int
    completeness: float | None
    packets_missing: int
    silent_days: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    quarantined_stretches: int
    quarantined_bytes: int
    products: int
    products_passed: int
    open_alerts: Mapping[str, int]
    acknowledged_alerts: int
    table_days: Mapping[str, int]
    late_files: int
    future_days: int
    failed_runs: int
    last_night: Night | None


def figures(facts: Facts) -> Figures:
    """The figures of a lake."""
    return facts.once(_figures)


def _figures(facts: Facts) -> Figures:
    packets = facts.in_window(facts.ops("packets"))
    received, expected = int(packets["distinct"].sum()), int(packets["expected"].sum())
    latency, quarantined = facts.once(latencies), quarantined_rows(facts)
    products, alerts = facts.once(product_days), facts.ops("alerts")
    return Figures(
        window=facts.window,
        received=received,
        expected=expected,
        completeness=received / expected if expected else None,
        packets_missing=int(packets["missing"].sum()),
        silent_days=int(silence(packets)["silent_days"].sum()),
        latency_p50_s=_quantile(latency["p50_s"], 0.5),
        latency_p95_s=_quantile(latency["p95_s"], 0.95),
        quarantined_stretches=quarantined.height,
        quarantined_bytes=int(quarantined["bytes"].sum()),
        products=products.height,
        products_passed=products.filter("passed").height,
        open_alerts=dict(sorted(alerts.filter(state="open").group_by("severity").len().iter_rows())),
        acknowledged_alerts=alerts.filter(state="acknowledged").height,
        table_days=_table_days(facts),
        late_files=facts.once(late_files).height,
        future_days=len(facts.future),
        failed_runs=sum(run["status"] == "failed" for run in facts.contents.runs.values()),
        last_night=next(iter(nights(facts, 1)), None),
    )


def silence(packets: pl.DataFrame) -> pl.DataFrame:
    """For each APID in rows of ops.packets: how many days it was silent between the first and the last that it came."""
    came = packets.filter(pl.col("received") > 0).group_by("mission", "instrument", "apid")
    between = (pl.col("day").max() - pl.col("day").min()).dt.total_days() + 1
    return came.agg(silent_days=between - pl.col("day").n_unique())


def quarantined_rows(facts: Facts) -> pl.DataFrame:
    """Rows of ops.quarantine about files of the window and later; where a name tells no day, by that of the run."""
    rows = facts.ops("quarantine").sort("run_id", "name", "byte_offset", descending=[True, False, False])
    day = pl.coalesce(pl.col("day").dt.strftime("%Y%m%d"), pl.col("run_id").str.head(8))
    return rows.filter(day >= f"{facts.window[0]:%Y%m%d}") if facts.window else rows


def product_days(facts: Facts) -> pl.DataFrame:
    """Product-days of the window that have rows or failed: state, whether exported, gating rules that do not hold.

    `exported` are those whose newest file has the rows that count now; `passed` those of them which were built, and of
    which all rules hold.
    """
    found, tables, files = facts.once(states), product_tables(facts), facts.once(exported)
    rows = [
        (address, day, found[address, day].word, ", ".join(found[address, day].broken), (address, day) in files)
        for address, day in sorted(found.keys())
        if address in tables and found[address, day].word not in ABSENT
    ]
    schema = {"product": pl.String, "day": pl.Date, "state": pl.String, "broken": pl.String, "exported": pl.Boolean}
    made = facts.in_window(pl.DataFrame(rows, schema, orient="row"))
    return made.with_columns(passed=pl.col("exported") & (pl.col("broken") == "") & (pl.col("state") != "failed"))


def product_tables(facts: Facts) -> frozenset[str]:
    """Addresses of the tables that products are made from."""
    missions = facts.definitions.missions
    return frozenset(f"{m.name}.{product.table}" for m in missions for i in m.instruments for product in i.products)


def nights(facts: Facts, number: int) -> list[Night]:
    """The last nights that ended, the newest first."""
    rows = facts.ops("nights").sort("night_id", "number")
    chosen = sorted(rows["night_id"].unique(), reverse=True)[:number]
    return [_night(night_id, rows.filter(night_id=night_id)) for night_id in chosen]


def _night(night_id: str, rows: pl.DataFrame) -> Night:
    stages = tuple(_stage(row) for row in rows.iter_rows(named=True))
    return Night(
        id=night_id,
        started_at=stages[0].started_at,
        seconds=sum(stage.seconds for stage in stages),
        state=max((stage.state for stage in stages), key=lambda state: STAGE_STATES.get(state, 0)),
        code_version=str(rows["code_version"][0]),
        stages=stages,
    )


def _stage(row: dict[str, Any]) -> Stage:
    return Stage(
        row["stage"],
        row["state"],
        row["started_at"],
        row["seconds"],
        json.loads(row["facts"]),
        tuple(json.loads(row["notes"])),
        tuple(json.loads(row["problems"])),
    )


def _table_days(facts: Facts) -> dict[str, int]:
    """Table-days of the window by state word; each word is there."""
    counts = dict.fromkeys(WORDS, 0)
    if facts.window is not None:
        first, after = facts.window
        for (_, day), state in facts.once(states).items():
            counts[state.word] += first <= day < after
    return counts


def _quantile(values: pl.Series, share: float) -> float | None:
    return values.quantile(share, "linear")
