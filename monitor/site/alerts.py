# SPDX-License-Identifier: Apache-2.0
"""Alerts: those that stand, those that are over, and a page for each with what happened to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from lake.definitions import Definitions
from monitor.envelopes.channels import viewed_of
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.filters import number, utc
from monitor.site.page import Page
from monitor.site.sections import Cell, amount, bounded, equal, link, mark, record, section, select, told

Row = Mapping[str, Any]
COLUMNS = ("severity", "what", "rules", "since", "value", "usual or limit", "state", "what was found")
BESIDE = timedelta(hours=1)  # of the plot before and after what is wrong
RELATED = 50
DIGITS = 7  # of values: as many as a float32 holds


def parts(facts: Facts) -> Iterator[Page]:
    """The list, and each alert."""
    alerts = facts.ops("alerts").sort("since_time", descending=True).to_dicts()
    events = defaultdict[str, list[Row]](list)
    for row in facts.ops("alert_events").sort("at").iter_rows(named=True):
        events[row["alert_id"]].append(row)
    anomalies = facts.ops("anomalies").filter(pl.col("severity").is_in(["yellow", "red"])).sort("start_time")
    yield _index(alerts)
    for alert in alerts:
        yield _alert(facts, alert, events[alert["alert_id"]], anomalies)


def _index(alerts: Sequence[Row]) -> Page:
    standing = [alert for alert in alerts if alert["state"] != "resolved"]
    standing.sort(key=lambda alert: (alert["severity"] != "red", alert["state"] != "open"))
    over = [alert for alert in alerts if alert["state"] == "resolved"]
    every = "alert_id, severity, state, subject, rules, since_time, value, baseline, message"
    listed, note = bounded(over, 1000)
    return record(
        places.ALERTS,
        "Alerts",
        [
            ("open", number(sum(alert["state"] == "open" for alert in standing))),
            ("acknowledged", number(sum(alert["state"] == "acknowledged" for alert in standing))),
            ("resolved", number(len(over))),
        ],
        [
            section(
                "Standing",
                COLUMNS,
                [_listed(alert) for alert in standing],
                query=select(every, "ops.alerts", "state <> 'resolved'", order="severity, since_time DESC"),
                finder="standing",
                none="No alert stands.",
            ),
            section(
                "Resolved",
                COLUMNS,
                [_listed(alert) for alert in listed],
                note=note,
                query=select(every, "ops.alerts", "state = 'resolved'", order="since_time DESC"),
                finder="resolved",
                none="None was resolved yet.",
            ),
        ],
        lead="Red asks to act, yellow to look. An alert is resolved by data that are as usual again.",
    )


def _listed(alert: Row) -> tuple[Cell, ...]:
    return (
        mark(alert["severity"], alert["severity"]),
        link(told(alert["subject"], 120), places.alert(alert["alert_id"])),
        told(alert["rules"], 80),
        utc(alert["since_time"]),
        amount(number(alert["value"], DIGITS)),
        amount(number(alert["baseline"], DIGITS)),
        mark(alert["state"], alert["state"]),
        told(alert["message"], 240),
    )


def _alert(facts: Facts, alert: Row, events: Sequence[Row], anomalies: pl.DataFrame) -> Page:
    return record(
        places.alert(alert["alert_id"]),
        told(alert["subject"], 120),
        _pairs(facts.definitions, alert),
        [
            _events(alert, events),
            _related(alert, anomalies),
            section("The data to look at", (), [], none="As SQL:", query=alert["plot"]),
        ],
        trail=[link("Alerts", places.ALERTS)],
        lead=told(alert["message"], 2000),
    )


def _pairs(definitions: Definitions, alert: Row) -> list[tuple[str, Cell]]:
    table = definitions.tables.get(alert["table_name"])
    instrument = f"{alert['mission']}/{alert['instrument']}"
    known = table is not None
    pairs: list[tuple[str, Cell]] = [
        ("severity", mark(alert["severity"], alert["severity"])),
        ("state", mark(alert["state"], alert["state"])),
        ("wrong since", f"{utc(alert['since_time'])} (data time)"),
        ("first", utc(alert["start_time"])),
        ("last wrong data", utc(alert["end_time"])),
        ("times it began", number(alert["episodes"])),
        ("rules", told(alert["rules"])),
        ("worst value", f"{number(alert['value'], DIGITS)} {_unit(definitions, alert)}".strip()),
        ("usual, or the limit", f"{number(alert['baseline'], DIGITS)} {_unit(definitions, alert)}".strip()),
        ("table", link(alert["table_name"], places.table(alert["table_name"]) if known else "")),
        ("instrument", link(instrument, places.instrument(alert["mission"], alert["instrument"]) if known else "")),
        *_plot(definitions, alert),
        ("opened", utc(alert["opened_at"])),
        ("last event", utc(alert["changed_at"])),
        ("id", alert["alert_id"]),
    ]
    if alert["acknowledged_by"]:
        pairs += [("acknowledged by", told(alert["acknowledged_by"], 120)), ("note", told(alert["note"]))]
    elif alert["state"] == "open":
        pairs += [("to acknowledge it", f'swxlake alerts ack {told(alert["alert_id"], 80)} --by NAME --note "..."')]
    return pairs


def _unit(definitions: Definitions, alert: Row) -> str:
    """The column's unit, for rules whose values are in it: limits and levels; gaps are in seconds, others in theirs."""
    table = definitions.tables.get(alert["table_name"])
    column = table.by_name.get(alert["column_name"]) if table else None
    rule = alert["rules"].split(",")[0].strip()
    if rule == "gap":
        return "s"
    in_unit = rule.startswith(("red_", "yellow_", "level", "spike", "drift"))
    return column.unit if column and in_unit else ""


def _plot(definitions: Definitions, alert: Row) -> list[tuple[str, Cell]]:
    """The way to the viewer, at the channel and its time."""
    table = definitions.tables.get(alert["table_name"])
    channels = viewed_of(definitions, table) if table else ()
    if not channels:
        return []
    name = next((c.name for c in channels if c.column.name == alert["column_name"]), channels[0].name)
    start, stop = alert["since_time"] - BESIDE, alert["end_time"] + BESIDE
    return [("plot", link("the channel at that time", channel_at(alert["table_name"], name, start, stop)))]


def channel_at(address: str, name: str, start: datetime, stop: datetime) -> str:
    """The viewer's page at a channel and a span of time."""
    span = "/".join(f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" for time in (start, stop))
    return f"{places.channels(address, name)}@{span}"


def _events(alert: Row, events: Sequence[Row]) -> dict[str, Any]:
    listed, note = bounded(events)
    rows = [
        (
            utc(row["at"]),
            mark(row["event"], row["event"] if row["event"] in ("acknowledged", "resolved") else "warn"),
            mark(row["severity"], row["severity"]),
            told(row["by"], 120),
            told(row["detail"]),
        )
        for row in listed
    ]
    about = equal(alert_id=alert["alert_id"])
    columns = "alert_events.at, event, severity, alert_events.by, detail"  # bare ones are words of SQL's own
    query = select(columns, "ops.alert_events", about, order="alert_events.at")
    return section("What happened", ("at", "event", "severity", "by", "what was told"), rows, note=note, query=query)


def _related(alert: Row, anomalies: pl.DataFrame) -> dict[str, Any]:
    """Anomalies of the instrument at the time of the alert: what it is made of, and what went with it."""
    found = anomalies.filter(
        pl.col("mission") == alert["mission"],
        pl.col("instrument") == alert["instrument"],
        pl.col("start_time") <= alert["end_time"],
        pl.col("end_time") >= alert["start_time"],
    )
    rows = [
        (
            mark(row["severity"], row["severity"]),
            told(f"{row['table_name']}.{row['column_name']}".rstrip("."), 120),
            told(row["rule"], 80),
            utc(row["start_time"]),
            utc(row["end_time"]),
            amount(number(row["value"], DIGITS)),
            amount(number(row["baseline"], DIGITS)),
            told(row["detail"], 240),
        )
        for row in found.head(RELATED).iter_rows(named=True)
    ]
    note = f"The first {RELATED} of {found.height:,}." if found.height > RELATED else ""
    between = f"start_time <= {_time(alert['end_time'])} AND end_time >= {_time(alert['start_time'])}"
    columns = "severity, table_name, column_name, rule, start_time, end_time, value, baseline, detail"
    colors = "severity IN ('yellow', 'red')"
    about = equal(mission=alert["mission"], instrument=alert["instrument"])
    query = select(columns, "ops.anomalies", colors, about, between, order="start_time")
    heads = ("severity", "channel", "rule", "from", "to", "value", "usual or limit", "what was found")
    none = "No anomaly: it is about checks or builds."
    return section("Anomalies of the instrument at that time", heads, rows, note=note, query=query, none=none)


def _time(value: datetime) -> str:
    return f"TIMESTAMPTZ '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00'"
