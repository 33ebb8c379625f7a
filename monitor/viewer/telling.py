# SPDX-License-Identifier: Apache-2.0
"""What the viewer's scripts are told of a channel: its words, its limits, and the alerts and anomalies of its table."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from lake.definitions import Definitions, Table
from lake.watch_definitions import Limit, Mode
from monitor.envelopes.channels import Viewed
from monitor.site import places
from monitor.site.facts import Facts

SPANS = 50  # of an alert, the newest: those that are not shaded are counted, and its page lists its anomalies
MARKS = 300  # of a table, the newest: a plot with more is unreadable, and alerts/index.html lists them all
LONGEST_TEXT = 240
COLORS = ("red", "yellow")  # of anomalies that raise an alert
OUTAGE, SEVERAL = " outage", " several"  # end the subject of an alert about an instrument, about channels of a table
WITHOUT = (" checks", " build")  # end that of an alert that is not about anomalies


def told(definitions: Definitions, channel: Viewed) -> dict[str, Any]:
    """A channel: name, words, type, scale, limits."""
    return {
        "name": channel.name,
        "column": channel.column.name,
        "label": channel.label,
        "unit": channel.unit,
        "description": channel.description,
        "type": channel.column.type,
        "scale": channel.column.scale,
        "limits": [_limit(limit) for limit in limits_of(definitions, channel)],
    }


def limits_of(definitions: Definitions, channel: Viewed) -> list[Limit]:
    """The limits of a channel, yellow ones first."""
    limits = definitions.instrument(channel.table).limits
    mine = [limit for limit in limits if (limit.table, limit.column) == (channel.table.name, channel.column.name)]
    return sorted(mine, key=lambda limit: limit.severity, reverse=True)


def verdict(limits: list[Limit], value: float | None, row: Mapping[str, Any]) -> str:
    """The worst color outside whose limits a value lies, or ok; none if it has no limits, or is no number.

    `row` has the columns of the modes in which limits hold.
    """
    if value is None or math.isnan(value) or not limits:
        return "none"
    outside = {
        limit.severity
        for limit in limits
        if not limit.low <= value <= limit.high and (limit.when is None or is_in(limit.when, row))
    }
    return "red" if "red" in outside else "yellow" if outside else "ok"


def is_in(mode: Mode, row: Mapping[str, Any]) -> bool:
    """Whether a row is in a mode; one without a value is not."""
    value = row.get(mode.column)
    return value is not None and any(_fits(value, text) for text in mode.any_of)


def _fits(value: object, text: str) -> bool:
    if isinstance(value, str):
        return value == text
    low, dots, high = text.partition("..")
    number = float(str(value)) if not isinstance(value, bool) else float(value)
    return float(low) <= number <= float(high) if dots else number == float(text)


def marks(facts: Facts, table: Table) -> list[dict[str, Any]]:
    """Alerts and anomalies of a table, the newest first, each with a word, of an alert with its page.

    `spans` are the stretches of time to shade: of an alert those of its anomalies in this table, not the healthy data
    between them; of an anomaly itself, but none if it is one of an alert that is told. An outage of the whole
    instrument is one of all its tables.
    """
    about = pl.col("table_name") == table.address
    rows = facts.ops("anomalies").filter(about).sort("start_time", descending=True).with_row_index("place")
    outage = pl.col("subject") == f"{table.mission}.{table.instrument}{OUTAGE}"
    told_of = facts.ops("alerts").filter(about | outage).sort("start_time", descending=True).head(MARKS)
    made_of = [(row, rows.filter(_of(row))) for row in told_of.iter_rows(named=True)]
    taken = {place for _, own in made_of for place in own["place"]}
    alerts = [_alert(row, own, table) for row, own in made_of]
    anomalies = [_anomaly(row, taken) for row in rows.head(MARKS - len(alerts)).iter_rows(named=True)]
    return sorted(alerts + anomalies, key=lambda mark: str(mark["start"]), reverse=True)


def _of(alert: Mapping[str, Any]) -> pl.Expr:
    """The anomalies that an alert is made of."""
    subject, column = alert["subject"], pl.col("column_name")
    if subject.endswith(WITHOUT):
        return pl.lit(False)
    own: pl.Expr = column != "" if subject.endswith(SEVERAL) else column == alert["column_name"]
    found: pl.Expr = (
        pl.col("severity").is_in(COLORS)
        & pl.col("rule").is_in(alert["rules"].split(", "))
        & (pl.col("start_time") <= alert["end_time"])
        & (pl.col("end_time") >= alert["start_time"])
        & (column == "" if subject.endswith(OUTAGE) else own)
    )
    return found


def _span(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"column": row["column_name"], "start": _iso(row["start_time"]), "stop": _iso(row["end_time"])}


def _alert(row: Mapping[str, Any], anomalies: pl.DataFrame, table: Table) -> dict[str, Any]:
    """An alert; one of another table is an outage of the whole instrument."""
    return {
        "kind": "alert",
        "column": row["column_name"] if row["table_name"] == table.address else "",
        "severity": row["severity"],
        "state": row["state"],
        "word": _short(row["rules"]),
        "text": _short(row["message"]),
        "start": _iso(row["start_time"]),
        "stop": _iso(row["end_time"]) if row["state"] == "resolved" else None,
        "spans": [_span(anomaly) for anomaly in anomalies.head(SPANS).iter_rows(named=True)],
        "unshaded": max(anomalies.height - SPANS, 0),
        "to": places.alert(row["alert_id"]),
    }


def _anomaly(row: Mapping[str, Any], taken: Collection[int]) -> dict[str, Any]:
    return {
        "kind": "anomaly",
        "column": row["column_name"],
        "severity": row["severity"],
        "state": "",
        "word": _short(row["rule"]),
        "text": _short(row["detail"]),
        "start": _iso(row["start_time"]),
        "stop": _iso(row["end_time"]),
        "spans": [] if row["place"] in taken else [_span(row)],
        "unshaded": 0,
        "to": "",
    }


def _short(text: str | None) -> str:
    """A text of others on one line, of a length that fits."""
    line = " ".join((text or "").split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _limit(limit: Limit) -> dict[str, Any]:
    return {
        "severity": limit.severity,
        "low": limit.low if math.isfinite(limit.low) else None,
        "high": limit.high if math.isfinite(limit.high) else None,
        "when": limit.when.text if limit.when else "",
    }
