# SPDX-License-Identifier: Apache-2.0
"""One round of alerts: what is wrong, what has happened since, writing it down, telling it.

Each step may be the last one of a process that dies: the next round goes on from the journal.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lake.store import Lake
from quality.alerts.book import (
    entries_to_tell,
    next_run,
    note_told,
    read_book,
    write_alerts,
    write_events,
)
from quality.alerts.conditions import read_conditions
from quality.alerts.life import Life, Terms, live
from quality.alerts.nouns import Alert, Event
from quality.notices.digest import enqueue_digest
from quality.notices.outbox import Sent, enqueue, send
from quality.notices.settings import AlertSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Alerted:
    """Outcome of a round: what happened, which alerts are open or acknowledged, what became of the notices."""

    events: list[Event] = field(default_factory=list)
    open: list[Alert] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)


def update_alerts(lake: Lake, settings: AlertSettings, now: datetime) -> Alerted:
    """Bring alerts up to date with the lake as of `now` (UTC), and tell it. Twice is the same as once.

    Raises StorageError if another process does so all the while. What a channel does wrong is told in `sent`.
    """
    with lake.storage.alone("alerts"):
        life = _brought_up(lake, settings, now)
        _tell(lake, settings, life, now)
    for event in life.events:
        log.info("alert id=%s event=%s subject=%s", event.alert.alert_id, event.name, event.alert.subject)
    standing = [alert for alert in life.alerts if alert.state != "resolved"]
    return Alerted(list(life.events), standing, send(lake, settings, now))


def _brought_up(lake: Lake, settings: AlertSettings, now: datetime) -> Life:
    """The life of alerts after what the lake says now, written down."""
    book = read_book(lake)
    terms = Terms(timedelta(hours=settings.repeat_hours), timedelta(hours=settings.reopen_hours))
    life = live(book.alerts.values(), book.told, read_conditions(lake, now), now, terms)
    if life.events:
        book = write_events(lake, book, life.events, next_run(book, now))
    changed = [alert for alert in life.alerts if alert != book.alerts.get(alert.alert_id)]
    if changed:  # they go on without an event: their end, the worst value
        write_alerts(lake, changed, next_run(book, now))
    return life


def _tell(lake: Lake, settings: AlertSettings, life: Life, now: datetime) -> None:
    """Hand to the outbox what the journal has and was not handed over yet, and the digest if it is due."""
    entries = entries_to_tell(lake)
    enqueue(lake, settings, [event for events in entries.values() for event in events], now)
    note_told(lake, list(entries))
    enqueue_digest(lake, settings, life.alerts, now)
