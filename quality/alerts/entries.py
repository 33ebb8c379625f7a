# SPDX-License-Identifier: Apache-2.0
"""Alerts and their events as entries of the journal and as rows of the lake's tables, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from lake.errors import StorageError
from quality.alerts.nouns import Alert, Event

TIMES = ("start", "since", "end", "opened_at", "changed_at")
PAIRS = ("table", "table_name"), ("column", "column_name"), *((time, f"{time}_time") for time in TIMES[:3])
COLUMNS = dict(PAIRS)
FIELDS = {column: field for field, column in COLUMNS.items()}


def entry_of(events: Sequence[Event]) -> dict[str, Any]:
    """Events as one entry of the journal, each with its alert."""
    return {
        "events": [
            {"event": e.name, "at": _text(e.at), "detail": e.detail, "by": e.by, "alert": _content(e.alert)}
            for e in events
        ]
    }


def events_in(entry: Mapping[str, Any], key: str) -> list[Event]:
    """The events of an entry. Raises StorageError if it is not one of alerts."""
    try:
        return [
            Event(_alert(e["alert"]), e["event"], datetime.fromisoformat(e["at"]), e["detail"], e["by"])
            for e in entry["events"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"journal/alerts/{key}.json: is no readable entry of alerts ({error!r}). Restore it from a backup."
        ) from None


def _content(alert: Alert) -> dict[str, Any]:
    fields = asdict(alert)
    return fields | {name: _text(fields[name]) for name in TIMES} | {"rules": list(alert.rules)}


def _alert(content: Mapping[str, Any]) -> Alert:
    times = {name: datetime.fromisoformat(content[name]) for name in TIMES}
    return Alert(**{**content, **times, "rules": tuple(content["rules"])})


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def alert_row(alert: Alert, run_id: str) -> dict[str, Any]:
    """An alert as a row of ops.alerts."""
    fields = {COLUMNS.get(name, name): value for name, value in asdict(alert).items()}
    return fields | {"rules": ",".join(alert.rules), "run_id": run_id}


def alert_in(row: Mapping[str, Any]) -> Alert:
    """The alert in a row of ops.alerts."""
    fields = {FIELDS.get(name, name): value for name, value in row.items() if name != "run_id"}
    times = {name: fields[name].astimezone(UTC) for name in TIMES}
    return Alert(**{**fields, **times, "rules": tuple(row["rules"].split(","))})


def event_row(event: Event, run_id: str) -> dict[str, Any]:
    """An event as a row of ops.alert_events."""
    return {
        "alert_id": event.alert.alert_id,
        "event": event.name,
        "at": event.at,
        "severity": event.alert.severity,
        "detail": event.detail,
        "by": event.by,
        "run_id": run_id,
    }
