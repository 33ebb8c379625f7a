# SPDX-License-Identifier: Apache-2.0
"""The books of watching: what ops.watched and ops.anomalies say, and their new rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake, iso_day
from lake.tables import append_ops, replace_ops
from quality.anomalies.memory import Memory
from quality.anomalies.nouns import Anomaly
from quality.anomalies.plot import plot_of
from quality.anomalies.rows import Plan

GONE = "gone"  # the state of a table-day that is watched no more
FIELDS = ("column_name", "rule", "severity", "start_time", "end_time", "ended", "value", "baseline", "score")


@dataclass(frozen=True)
class State:
    """A table-day as it was watched: fingerprint of what the finding depends on, its memory as text."""

    state: str
    usual: str


@dataclass
class News:
    """What a run found: rows of ops.anomalies and ops.watched."""

    anomalies: list[dict[str, Any]] = field(default_factory=list)
    watched: list[dict[str, Any]] = field(default_factory=list)


def read_states(lake: Lake) -> dict[str, dict[date, State]]:
    """What was watched, by table and day."""
    found: dict[str, dict[date, State]] = {}
    rows = read_ops(lake, "watched", ["table_name", "day", "state", "usual", "run_id"])
    for address, day, state, usual, _ in rows.iter_rows():
        found.setdefault(address, {})[day] = State(state, usual)
    return found


def read_anomalies(lake: Lake, table: str, first: date) -> dict[date, list[Anomaly]]:
    """Anomalies of a table from a day on, by day."""
    rows = scan(lake, lake.ops("anomalies")).filter(pl.col("table_name") == table, pl.col("day") >= first)
    found: dict[date, list[Anomaly]] = {}
    for day, *values in rows.select("day", *FIELDS, "samples", "detail").collect().iter_rows():
        found.setdefault(day, []).append(Anomaly(*values))
    return found


def note(
    news: News, plan: Plan, day: date, state: State, anomalies: Sequence[Anomaly], missions: Mapping[str, str]
) -> None:
    """Add the rows about a table-day to the news; `missions` has the names that all its rows begin with."""
    about = {"table_name": plan.table.address, "day": day}
    news.watched.append({**about, "state": state.state, "usual": state.usual, "anomalies": len(anomalies)})
    news.anomalies += [{**missions, **about, **_row(plan, anomaly)} for anomaly in anomalies]


def forget(news: News, table: str, day: date) -> None:
    """Add to the news that a table-day is watched no more: it is not there, or its table is not watched."""
    news.watched.append({"table_name": table, "day": day, "state": GONE, "usual": Memory().text, "anomalies": 0})


def _row(plan: Plan, anomaly: Anomaly) -> dict[str, Any]:
    return {
        "column_name": anomaly.column,
        "rule": anomaly.rule,
        "severity": anomaly.severity,
        "start_time": anomaly.start,
        "end_time": anomaly.end,
        "ended": anomaly.ended,
        "value": anomaly.value,
        "baseline": anomaly.baseline,
        "score": anomaly.score,
        "samples": anomaly.samples,
        "detail": anomaly.detail,
        "plot": plot_of(plan, anomaly),
    }


def write(lake: Lake, news: News, run_id: str) -> None:
    """Replace the anomalies of the table-days in the news, then say that they were watched.

    In this order: a day whose anomalies are not written is due again.
    """
    if not news.watched:
        return
    days: dict[str, list[date]] = {}
    for row in news.watched:
        days.setdefault(row["table_name"], []).append(row["day"])
    if news.anomalies or _are_there(lake, days):
        replace_ops(lake, "anomalies", [row | {"run_id": run_id} for row in news.anomalies], _predicate(days))
    append_ops(lake, "watched", [row | {"run_id": run_id} for row in news.watched])


def _are_there(lake: Lake, days: Mapping[str, Iterable[date]]) -> bool:
    about = [(pl.col("table_name") == table) & pl.col("day").is_in(list(of)) for table, of in days.items()]
    rows = scan(lake, lake.ops("anomalies")).filter(pl.any_horizontal(about))
    return bool(rows.select(pl.len()).collect().item())


def _predicate(days: Mapping[str, Sequence[date]]) -> str:
    """SQL for the rows of table-days; addresses are names of the definitions."""
    parts = []
    for table, of in sorted(days.items()):
        listed = ", ".join(f"'{iso_day(day)}'" for day in of)
        parts.append(f"(table_name = '{table}' AND day IN ({listed}))")
    return " OR ".join(parts)
