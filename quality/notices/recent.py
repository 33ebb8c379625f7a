# SPDX-License-Identifier: Apache-2.0
"""What the lake's own tables say of the time since the last digest, and of maintenance windows that have ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from lake.ledger import RUN_TIME, read_ops
from lake.reading import scan
from lake.store import Lake
from quality.alerts.entries import alert_in
from quality.alerts.nouns import Alert
from quality.notices.routes import window_of
from quality.notices.settings import AlertSettings, Maintenance


@dataclass(frozen=True)
class Recent:
    """What happened since the last digest. Frames: `info` (table_name, rule, count), `completeness` (table_name, day,
    value) of table-days with anything missing, `quarantine` (reason, count, bytes)."""

    opened: list[Alert]
    resolved: list[Alert]
    muted: list[Alert]
    info: pl.DataFrame
    completeness: pl.DataFrame
    measured: int
    quarantine: pl.DataFrame


def recent(lake: Lake, settings: AlertSettings, since: datetime, now: datetime) -> Recent:
    """What the tables have since a time, UTC: of events their times, of findings the run that noted them."""
    alerts = known_alerts(lake)
    events = scan(lake, lake.ops("alert_events")).filter(pl.col("at") > since).collect()
    complete = _completeness(lake, since)
    opened, resolved = (_alerts_with(alerts, events, *names) for names in (("opened", "reopened"), ("resolved",)))
    return Recent(
        opened=[alert for alert in opened if not window_of(settings, alert, now)],
        resolved=[alert for alert in resolved if not window_of(settings, alert, now)],
        muted=[alert for alert in opened if window_of(settings, alert, now)],
        info=_info(lake, since),
        completeness=complete.filter(pl.col("value") < 1),
        measured=complete.height,
        quarantine=_quarantine(lake, since),
    )


def known_alerts(lake: Lake) -> dict[str, Alert]:
    """All alerts by id, as they stand."""
    return {row["alert_id"]: alert_in(row) for row in read_ops(lake, "alerts").iter_rows(named=True)}


def _alerts_with(alerts: dict[str, Alert], events: pl.DataFrame, *names: str) -> list[Alert]:
    """Alerts that one of these events happened to, the worst and then the oldest first."""
    ids = events.filter(pl.col("event").is_in(names))["alert_id"].unique().to_list()
    return in_order([alerts[alert_id] for alert_id in ids if alert_id in alerts])


def in_order(alerts: list[Alert]) -> list[Alert]:
    """The alerts as lists show them: the worst and then the oldest first."""
    return sorted(alerts, key=lambda alert: (alert.severity != "red", alert.start, alert.alert_id))


def _since(lake: Lake, name: str, since: datetime) -> pl.LazyFrame:
    """Rows of an ops table that runs after a time wrote: ids of runs begin with their time."""
    return scan(lake, lake.ops(name)).filter(pl.col("run_id") > f"{since:{RUN_TIME}}Z")


def _info(lake: Lake, since: datetime) -> pl.DataFrame:
    rows = _since(lake, "anomalies", since).filter(pl.col("severity") == "info")
    return rows.group_by("table_name", "rule").agg(count=pl.len()).sort("table_name", "rule").collect()


def _completeness(lake: Lake, since: datetime) -> pl.DataFrame:
    rows = _since(lake, "metrics", since).filter(pl.col("metric") == "completeness", pl.col("column_name") == "")
    newest = rows.sort("run_id").group_by("table_name", "day").agg(pl.col("value").last())
    return newest.filter(pl.col("value").is_not_null()).sort("value", "table_name", "day").collect()


def _quarantine(lake: Lake, since: datetime) -> pl.DataFrame:
    rows = _since(lake, "quarantine", since).group_by("reason")
    return rows.agg(count=pl.len(), bytes=pl.col("bytes").sum()).sort("reason").collect()


def ended_windows(lake: Lake, settings: AlertSettings, now: datetime) -> Iterator[tuple[Maintenance, list[Alert]]]:
    """Maintenance windows that ended within `notify_days`, each with the alerts that began in it.

    An alert without an episode is none: later data took it back.
    """
    first = now - timedelta(days=settings.notify_days)
    ended = [window for window in settings.maintenance if first <= window.stop <= now]
    alerts = list(known_alerts(lake).values()) if ended else []
    for window in ended:
        yield window, in_order([alert for alert in alerts if alert.episodes and _began_in(window, alert)])


def _began_in(window: Maintenance, alert: Alert) -> bool:
    return window.concerns(alert.mission, alert.instrument) and window.start <= alert.start < window.stop
