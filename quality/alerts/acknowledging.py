# SPDX-License-Identifier: Apache-2.0
"""Finding an alert by the beginning of its id, and acknowledging it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches

import polars as pl

from lake.errors import ConfigurationError
from lake.reading import scan
from lake.store import Lake
from quality.alerts.book import look_up, next_run, read_book, write_events
from quality.alerts.episodes import COLORS, OUTAGE, SEVERAL
from quality.alerts.life import acknowledged
from quality.alerts.nouns import Alert, Event
from quality.alerts.standing import BUILD, CHECKS
from quality.alerts.stretches import root
from quality.anomalies.normal import accept

SHOWN = 5  # ids in a message
LEVELS = {"level", "drift", "noise", "state", "change", "trend"}  # rules that compare with what was usual before


def read_alerts(lake: Lake) -> list[Alert]:
    """All alerts as they are known, the oldest first. Nothing is written."""
    return sorted(look_up(lake).alerts.values(), key=lambda alert: (alert.start, alert.subject, alert.alert_id))


def find_alert(alerts: Iterable[Alert], beginning: str) -> Alert:
    """The alert whose id begins so. Raises ConfigurationError with the ids that do, or with near ones."""
    by_id = {alert.alert_id: alert for alert in alerts}
    found = sorted(key for key in by_id if beginning and key.startswith(beginning.lower()))
    if len(found) == 1:
        return by_id[found[0]]
    if found:
        raise ConfigurationError(f"alert {beginning!r}: begins {_listed(found, by_id)}. Give more of the id.")
    near = get_close_matches(beginning.lower(), by_id, n=SHOWN, cutoff=0.5)
    hint = f"Did you mean {_listed(near, by_id)}?" if near else "`swxlake alerts --all` lists them."
    raise ConfigurationError(f"there is no alert {beginning!r}. {hint}")


def _listed(ids: list[str], alerts: dict[str, Alert]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(f"{key} ({alerts[key].subject})" for key in ids[:SHOWN]) + more


def acknowledge(lake: Lake, beginning: str, by: str, note: str, now: datetime) -> Event:
    """Write down who knows of an alert, and what that person notes; the alert is not repeated any more.

    Raises ConfigurationError if there is no such alert, if it is over, or if nobody acknowledges it.
    """
    with lake.storage.alone("alerts"):
        book = read_book(lake)
        event = acknowledged(_to_know(book.alerts.values(), beginning, by), by.strip(), note.strip(), now)
        write_events(lake, book, [event], next_run(book, now))
    return event


def accept_level(lake: Lake, beginning: str, by: str, note: str) -> list[str]:
    """Accept the levels that an alert is about from the UTC day on which it began; the columns of which there are some.

    Raises ConfigurationError where `acknowledge` does, and if there is no level to accept.
    """
    alert = _to_know(read_alerts(lake), beginning, by)
    columns = levels(lake, alert)
    for column in columns:
        accept(lake, alert.table, column, alert.start.astimezone(UTC).date(), by.strip(), note.strip())
    return columns


def _to_know(alerts: Iterable[Alert], beginning: str, by: str) -> Alert:
    """The alert that somebody acknowledges. Raises ConfigurationError if there is nothing to acknowledge, or nobody."""
    if not by.strip():
        raise ConfigurationError("--by is empty. Give the name of who acknowledges the alert.")
    alert = find_alert(alerts, beginning)
    if alert.state == "resolved":
        raise ConfigurationError(
            f"alert {alert.alert_id}: is resolved since {alert.changed_at:%Y-%m-%dT%H:%M:%SZ}; nothing is left to "
            "acknowledge. It opens again by itself if it comes back."
        )
    return alert


def levels(lake: Lake, alert: Alert) -> list[str]:
    """The columns of an alert whose level could be a new normal. Raises ConfigurationError if there is none."""
    rows = anomalies_of(lake, alert).select("column_name", "rule").unique().iter_rows()
    found = sorted({column for column, rule in rows if column and root(rule) in LEVELS})
    if not found:
        raise ConfigurationError(
            f"alert {alert.alert_id}: {alert.subject} ({', '.join(alert.rules)}) has no level to accept. "
            "Leave --new-normal out."
        )
    return found


def anomalies_of(lake: Lake, alert: Alert) -> pl.DataFrame:
    """The rows of ops.anomalies that an alert is made of, in order of time; those of all its channels or tables."""
    rows = scan(lake, lake.ops("anomalies")).filter(
        pl.col("severity").is_in(COLORS),
        pl.col("rule").is_in(alert.rules),
        pl.col("start_time") <= alert.end,
        pl.col("end_time") >= alert.start,
        _about(alert),
    )
    return rows.sort("start_time", "table_name", "column_name", "rule").collect()


def _about(alert: Alert) -> pl.Expr:
    """What rows are about by the kind of an alert's subject."""
    if alert.subject.endswith((CHECKS, BUILD)):
        return pl.lit(False)
    column = pl.col("column_name")
    if alert.subject.endswith(OUTAGE):
        instrument = (pl.col("mission") == alert.mission) & (pl.col("instrument") == alert.instrument)
        return instrument & (column == "")
    several = alert.subject.endswith(SEVERAL)
    return (pl.col("table_name") == alert.table) & (column != "" if several else column == alert.column)
