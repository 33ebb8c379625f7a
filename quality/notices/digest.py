# SPDX-License-Identifier: Apache-2.0
"""What is told without an event: the digest of a day, and what a maintenance window has muted.

Journal kind `digests`: one entry for each UTC day, with the text, from when it was made; its notices follow from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from lake.store import Journal, Lake
from quality.alerts.nouns import Alert
from quality.notices.notice import Notice, notice_id
from quality.notices.outbox import addressed, queues, write
from quality.notices.recent import Recent, ended_windows, in_order, recent
from quality.notices.settings import AlertSettings, Digest, Maintenance
from quality.notices.texts import alert_line, bounded, plain, span

DAY = timedelta(days=1)
LISTED = 10  # of a list in a digest; `swxlake alerts` has all


def enqueue_digest(lake: Lake, settings: AlertSettings, alerts: Sequence[Alert], now: datetime) -> int:
    """Write the day's digest and what ended windows muted into the outbox; how many notices are new.

    `alerts` are those that are open, or all. Twice is the same as once; ops.alerts and ops.alert_events have to be up
    to date.
    """
    count = write(lake, list(_muted_notices(lake, settings, now)))
    if settings.digest is None:
        return count
    entry = _digest(lake, settings, settings.digest, alerts, now)
    return count + write(lake, [_digest_notice(entry, channel) for channel in settings.digest.channels])


def _digest(
    lake: Lake, settings: AlertSettings, digest: Digest, alerts: Sequence[Alert], now: datetime
) -> dict[str, Any]:
    """The entry of the day whose digest is due: the one that is there, or a new one."""
    due = datetime.combine(now.date(), digest.at, now.tzinfo)
    day = (due if due <= now else due - DAY).date().isoformat()
    journal = Journal(lake)
    entry = journal.entry("digests", day)
    if entry is None:
        since = _last(journal, now)
        words, body = digest_text(alerts, recent(lake, settings, since, now), waiting(lake, now), since, now)
        content = {"day": day, "at": now.isoformat(), "title": f"digest of {day}: {words}", "body": body}
        journal.write_once("digests", day, content)
        entry = journal.entry("digests", day)
    return entry or {}


def _last(journal: Journal, now: datetime) -> datetime:
    """When the last digest was made, within two months; else a day ago."""
    months = {f"{moment:%Y-%m}" for moment in (now, now - 31 * DAY)}
    days = max((key for month in months for key in journal.keys("digests", month)), default=None)
    entry = journal.entry("digests", days) if days else None
    return datetime.fromisoformat(entry["at"]) if entry else now - DAY


def _digest_notice(entry: dict[str, Any], channel: str) -> Notice:
    at = datetime.fromisoformat(entry["at"])
    identity = notice_id("digest", entry["day"], channel)
    return addressed(channel, Notice(identity, channel, "digest", "info", "", at, entry["title"], entry["body"]))


def waiting(lake: Lake, now: datetime) -> dict[str, int]:
    """How many notices of earlier runs wait, by channel: held in quiet hours, or not delivered."""
    old = {name: sum(notice.at < now for notice in queue.values()) for name, queue in queues(lake, now).items()}
    return {name: count for name, count in old.items() if count}


def digest_text(
    alerts: Sequence[Alert], found: Recent, held: dict[str, int], since: datetime, now: datetime
) -> tuple[str, str]:
    """A digest in few words, and its body. Pure."""
    standing = in_order([alert for alert in alerts if alert.state != "resolved"])
    well = not standing and not found.opened
    red = sum(alert.severity == "red" for alert in standing)
    counts = f"{len(standing)} open ({red} red), {len(found.opened)} opened, {len(found.resolved)} resolved"
    lines = [
        span(since, now),
        *(["All is well: no alert is open, and none was opened."] if well else []),
        *_listed("open now", standing),
        *_listed("opened", found.opened),
        *_listed("resolved", found.resolved),
        *_listed("muted by maintenance", found.muted),
        "",
        f"waiting for delivery: {', '.join(f'{name} {count}' for name, count in held.items()) or 'nothing'}",
        f"noted only: {_info(found.info)}",
        f"completeness: {_completeness(found)}",
        f"quarantine: {_quarantine(found.quarantine)}",
    ]
    return "all is well" if well else counts, bounded(lines)


def _listed(title: str, alerts: Sequence[Alert]) -> Iterator[str]:
    if alerts:
        yield from ("", f"{title}: {len(alerts)}", *map(alert_line, alerts[:LISTED]))
    if len(alerts) > LISTED:
        yield f"({len(alerts) - LISTED} more: `swxlake alerts --all` lists them)"


def _info(info: pl.DataFrame) -> str:
    """Anomalies that raise no alert, counted by table."""
    tables: dict[str, Counter[str]] = {}
    for table, rule, count in info.iter_rows():
        tables.setdefault(table, Counter())[rule] += count
    counts = (f"{table} {', '.join(f'{n} {rule}' for rule, n in rules.items())}" for table, rules in tables.items())
    return plain("; ".join(counts)) or "nothing"


def _completeness(found: Recent) -> str:
    if not found.measured:
        return "nothing new was measured"
    short = found.completeness
    if short.is_empty():
        return f"all of {found.measured} table-days are whole"
    table, day, value = short.row(0)
    return f"{short.height} of {found.measured} table-days lack rows, most of all {table}@{day} with {value:.1%} there"


def _quarantine(quarantine: pl.DataFrame) -> str:
    if quarantine.is_empty():
        return "nothing new"
    reasons = ", ".join(f"{count} {reason}" for reason, count, _ in quarantine.iter_rows())
    return plain(f"{quarantine['bytes'].sum()} bytes ({reasons})")


def _muted_notices(lake: Lake, settings: AlertSettings, now: datetime) -> Iterator[Notice]:
    """A notice for each ended window and channel that would have been told of alerts that began in it.

    Its id is made of these alerts: where late data add one, it is told again with all of them.
    """
    for window, alerts in ended_windows(lake, settings, now):
        channels: dict[str, list[Alert]] = {}
        for alert in alerts:
            for channel in settings.told(alert.mission, alert.instrument, alert.severity):
                channels.setdefault(channel, []).append(alert)
        for channel, its in channels.items():
            yield _muted_notice(window, channel, its)


def _muted_notice(window: Maintenance, channel: str, alerts: list[Alert]) -> Notice:
    """As urgent as the worst of the alerts, which is the first."""
    identity = notice_id("maintenance", window.start, window.stop, channel, *sorted(a.alert_id for a in alerts))
    words = f"maintenance {span(window.start, window.stop)} has ended: {plain(window.reason, 100)}"
    lines = [words, f"Alerts that began in it, of which nobody was told while it lasted: {len(alerts)}", ""]
    body = bounded([*lines, *map(alert_line, alerts)])
    title = f"maintenance over, {len(alerts)} muted: {plain(window.reason, 60)}"
    worst = alerts[0].severity
    return addressed(channel, Notice(identity, channel, "maintenance", worst, "", window.stop, title, body))
