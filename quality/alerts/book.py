# SPDX-License-Identifier: Apache-2.0
"""The book of alerts. The journal is the truth: an entry for each run that had events and for each acknowledgement.

`ops.alerts` and `ops.alert_events` are made from it, and come back if they are deleted. They also save reading it: an
entry is opened once, when it is new. All of this is to be done under the lease `alerts`.

An entry is written first, then the rows of ops.alerts, then those of ops.alert_events: an entry that has rows there has
been taken in. So a process may die in between, and the next one takes in what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from lake.ledger import new_run_id, read_ops
from lake.reading import scan
from lake.store import Journal, Lake
from lake.tables import append_ops
from lake.watch_definitions import Color
from quality.alerts.entries import alert_in, alert_row, entry_of, event_row, events_in
from quality.alerts.nouns import Alert, Event

KIND, TOLD = "alerts", "alerts-told"  # kinds in the journal: events, and which entries were handed to the outbox


@dataclass(frozen=True)
class Book:
    """All alerts by id as they are known; the severity after the last event of each; the newest run."""

    alerts: Mapping[str, Alert]
    told: Mapping[str, Color]
    last_run: str


def read_book(lake: Lake) -> Book:
    """The book, after entries of the journal were taken into the tables that are not there."""
    book, new, listed = _looked_up(lake)
    if new:
        write_alerts(lake, list(_last(new).values()), book.last_run)
    for key, events in new.items():
        if key not in listed:
            _list(lake, key, events)
    return book


def look_up(lake: Lake) -> Book:
    """The book as the journal and the tables have it; nothing is written, and no lease is needed."""
    return _looked_up(lake)[0]


def _looked_up(lake: Lake) -> tuple[Book, dict[str, list[Event]], set[str]]:
    """The book, entries that ops.alerts does not have yet, and the keys of those that ops.alert_events has."""
    stored = read_ops(lake, "alerts")
    alerts = {alert.alert_id: alert for alert in map(alert_in, stored.iter_rows(named=True))}
    events = scan(lake, lake.ops("alert_events")).select("alert_id", "severity", "run_id").collect().sort("run_id")
    keys, listed = Journal(lake).keys(KIND), set(events["run_id"])
    whole = set(events["alert_id"]) <= set(alerts)
    new = {key: read_entry(lake, key) for key in sorted(keys) if not whole or key not in listed}
    last = _last(new)
    told = dict(events.select("alert_id", "severity").iter_rows())
    told |= {key: alert.severity for key, alert in last.items()}
    newest = max([*keys, *stored["run_id"].to_list()], default="")
    return Book({**alerts, **last}, told, newest), new, listed


def _last(entries: Mapping[str, Sequence[Event]]) -> dict[str, Alert]:
    """The alerts after the events of entries, which come in their order."""
    return {event.alert.alert_id: event.alert for events in entries.values() for event in events}


def read_entry(lake: Lake, key: str) -> list[Event]:
    """The events of an entry. Raises StorageError if it cannot be read."""
    return events_in(Journal(lake).entry(KIND, key) or {}, key)


def write_events(lake: Lake, book: Book, events: Sequence[Event], run_id: str) -> Book:
    """Write events to the journal under `run_id`, then to the tables; the book after them."""
    Journal(lake).write_once(KIND, run_id, entry_of(events))
    after = {event.alert.alert_id: event.alert for event in events}
    write_alerts(lake, list(after.values()), run_id)
    _list(lake, run_id, events)
    told = {key: alert.severity for key, alert in after.items()}
    return replace(book, alerts={**book.alerts, **after}, told={**book.told, **told}, last_run=run_id)


def write_alerts(lake: Lake, alerts: Sequence[Alert], run_id: str) -> None:
    """Add rows to ops.alerts; the newest row of an alert counts."""
    append_ops(lake, "alerts", [alert_row(alert, run_id) for alert in alerts])


def _list(lake: Lake, key: str, events: Sequence[Event]) -> None:
    """Add the rows of an entry to ops.alert_events, once."""
    append_ops(lake, "alert_events", [event_row(event, key) for event in events], f"alerts/{key}")


def next_run(book: Book, now: datetime) -> str:
    """The key of the next entry, behind all that there are: entries are read in order."""
    return new_run_id(now, book.last_run)


def entries_to_tell(lake: Lake) -> dict[str, list[Event]]:
    """The entries that were not handed to the outbox yet, by key, oldest first."""
    journal = Journal(lake)
    return {key: read_entry(lake, key) for key in sorted(set(journal.keys(KIND)) - set(journal.keys(TOLD)))}


def note_told(lake: Lake, keys: Sequence[str]) -> None:
    """Note that entries were handed to the outbox, which has written them down."""
    for key in keys:
        Journal(lake).write_once(TOLD, key, {})


def events_of(lake: Lake, alert_id: str) -> list[Event]:
    """What happened to an alert, in order. Only the entries that name it are opened."""
    rows = scan(lake, lake.ops("alert_events")).filter(pl.col("alert_id") == alert_id).select("run_id")
    keys = sorted(set(rows.collect()["run_id"]) | set(_looked_up(lake)[1]))
    return [event for key in keys for event in read_entry(lake, key) if event.alert.alert_id == alert_id]
