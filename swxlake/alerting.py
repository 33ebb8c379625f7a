# SPDX-License-Identifier: Apache-2.0
"""What the commands about alerts find and do: lists, one alert explained, acknowledging, telling."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import polars as pl

from lake.clock import utc_now
from lake.config import Settings
from lake.ledger import standing_checks
from lake.store import Lake
from quality.alerts.acknowledging import accept_level, acknowledge, anomalies_of, find_alert, read_alerts
from quality.alerts.advice import advice
from quality.alerts.book import events_of
from quality.alerts.nouns import Alert, Event
from quality.alerts.run import Alerted, update_alerts
from quality.alerts.standing import CHECKS
from quality.notices.outbox import Sent, send, try_channel
from quality.notices.settings import AlertSettings, check, read_alert_settings
from swxlake.outcome import Outcome
from swxlake.sql_output import printable

SHOWN = 20  # anomalies of one alert, and events of one round; the tables have them all


def alert_settings(lake: Lake, settings: Settings) -> AlertSettings:
    """Who is told of alerts. Raises ConfigurationError if that is wrong, or names what is not defined."""
    found = read_alert_settings(settings.alerts)
    if settings.alerts is not None:
        check(found, lake.definitions, settings.alerts)
    return found


def list_alerts(lake: Lake, everything: bool) -> Outcome:
    """Alerts that are not over, or all; red ones first, then the oldest."""
    alerts = read_alerts(lake)
    shown = [alert for alert in alerts if everything or alert.state != "resolved"]
    rows = [_line(alert) for alert in sorted(shown, key=lambda alert: (alert.severity != "red", alert.start))]
    counts = Counter(alert.state for alert in alerts)
    outcome = Outcome(facts={"states": {state: counts[state] for state in ("open", "acknowledged", "resolved")}})
    if rows:
        outcome.tables["alerts"] = rows
    else:
        outcome.facts["alerts"] = []
    return outcome


def _line(alert: Alert) -> dict[str, Any]:
    by = ": ".join(words for words in (alert.acknowledged_by, alert.note) if words)
    return {
        "id": alert.alert_id,
        "severity": alert.severity,
        "state": alert.state,
        "subject": printable(alert.subject),
        "since": _iso(alert.since),
        "what": printable(alert.message),
        "rules": printable(", ".join(alert.rules)),
        "acknowledged": printable(by) if by else None,
    }


def _iso(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def show_alert(lake: Lake, beginning: str) -> Outcome:
    """All that is known of an alert: what is wrong, compared with what, what happened, the data, what to do."""
    alert = find_alert(read_alerts(lake), beginning)
    unit = _unit(lake, alert)
    line = _line(alert)
    facts = {
        **{name: line[name] for name in ("id", "subject", "severity", "state", "what", "rules")},
        "value": _number(alert.value, unit),
        "usual": _number(alert.baseline, unit),
        "from": _iso(alert.start),
        "to": _iso(alert.end),
        "episodes": alert.episodes,
        "acknowledged": line["acknowledged"] or "by nobody",
        "plot": printable(alert.plot),
        "to do": [*advice(alert), *_next(alert)],
    }
    tables = {
        "anomalies": _anomalies(lake, alert),
        "checks": _checks(lake, alert),
        "events": [_event(e) for e in events_of(lake, alert.alert_id)],
    }
    return Outcome(facts=facts, tables={title: rows for title, rows in tables.items() if rows})


def _unit(lake: Lake, alert: Alert) -> str:
    """The unit of the channel; numbers of a table are in that of the rule, which its words have."""
    table = lake.definitions.tables.get(alert.table)
    column = table.by_name.get(alert.column) if table else None
    return column.unit if column else ""


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.6g} {unit}".strip()


def _next(alert: Alert) -> list[str]:
    known = (
        f"`swxlake alerts ack {alert.alert_id} --by NAME --note TEXT` says that it is known; then it is not repeated."
    )
    return [known] if alert.state == "open" else []


def _anomalies(lake: Lake, alert: Alert) -> list[dict[str, Any]]:
    """The first rows of ops.anomalies that an alert is made of."""
    names = ["column_name", "rule", "severity", "start_time", "end_time", "value", "baseline", "score", "detail"]
    rows = anomalies_of(lake, alert)
    if rows["table_name"].n_unique() > 1:
        names = ["table_name", *names]
    return [_shown(row) for row in rows.select(names).head(SHOWN).iter_rows(named=True)]


def _checks(lake: Lake, alert: Alert) -> list[dict[str, Any]]:
    """The checks that do not hold, of an alert about them."""
    if not alert.subject.endswith(CHECKS):
        return []
    days = pl.col("day").is_between(alert.start.date(), alert.end.date(), closed="left")
    about = (pl.col("table_name") == alert.table) & days & (pl.col("severity") == "fail") & ~pl.col("passed")
    rows = standing_checks(lake, about).sort("day", "rule").select("day", "rule", "value", "detail")
    return [_shown(row) for row in rows.head(SHOWN).iter_rows(named=True)]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is printed."""
    return {name: _printed(value) for name, value in row.items()}


def _printed(value: Any) -> str | None:
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return None if value is None else printable(str(value))


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": _iso(event.at),
        "event": event.name,
        "severity": event.alert.severity,
        "detail": printable(event.detail),
        "by": printable(event.by),
    }


def acknowledge_alert(lake: Lake, beginning: str, by: str, note: str, new_normal: bool) -> Outcome:
    """Write down that an alert is known; with `new_normal` its level is accepted from the day on which it began."""
    columns = accept_level(lake, beginning, by, note) if new_normal else []
    alert = acknowledge(lake, beginning, by, note, utc_now()).alert
    facts = {"acknowledged": alert.alert_id, "subject": printable(alert.subject), "by": printable(by.strip())}
    if columns:
        day = alert.start.astimezone(UTC).date()
        facts["normal"] = f"{', '.join(columns)} from {day} on; the next night judges by it"
    return Outcome(facts=facts)


def update(lake: Lake, settings: Settings) -> Outcome:
    """Bring alerts up to date, and tell."""
    return told(update_alerts(lake, alert_settings(lake, settings), utc_now()))


def told(alerted: Alerted) -> Outcome:
    """A round of alerts in words: counts, a note for each event, a problem for each channel that failed."""
    counts = Counter(event.name for event in alerted.events)
    outcome = Outcome(facts={"alerts": {"open": len(alerted.open), **counts}})
    outcome.notes += [_note(event) for event in alerted.events[:SHOWN]]
    if len(alerted.events) > SHOWN:
        outcome.notes.append(f"and {len(alerted.events) - SHOWN} more events; see `swxlake alerts --all`")
    outcome.include(_sent(alerted.sent))
    return outcome


def _note(event: Event) -> str:
    alert = event.alert
    return f"alert {alert.alert_id} {event.name}: {alert.severity} {alert.subject}: {event.detail}"


def _sent(sent: Sent) -> Outcome:
    return Outcome(
        facts={"notices": {"delivered": sent.delivered, "waiting": sent.waiting}}, problems=list(sent.failed)
    )


def send_waiting(lake: Lake, settings: Settings) -> Outcome:
    """Send what waits in the outbox."""
    return _sent(send(lake, alert_settings(lake, settings), utc_now()))


def try_out(lake: Lake, settings: Settings, name: str) -> Outcome:
    """Send a test on a channel."""
    wrong = try_channel(alert_settings(lake, settings), name, utc_now())
    problems = [f"channel {name}: {wrong}"] if wrong else []
    return Outcome(facts={"channel": name, "test": "failed" if wrong else "accepted"}, problems=problems)
