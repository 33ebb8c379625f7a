# SPDX-License-Identifier: Apache-2.0
"""The words of notices: plain text of bounded length, in which what came with telemetry cannot do anything. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from quality.alerts.nouns import Alert
from quality.notices.routes import Happening

TITLE_LENGTH = 160  # subjects of e-mail are cut by most readers before that
BODY_LENGTH = 3500  # Mattermost takes 4000 characters, title included; it is the least of the usual services
MESSAGE_LENGTH = 600  # leaves room for the rest of a body
TIME = "%Y-%m-%d %H:%M:%S UTC"


def plain(text: str, length: int = MESSAGE_LENGTH) -> str:
    """The text on one line: what a terminal, a mail or a log would act on as an escape, what is too long cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
    return shown if len(shown) <= length else f"{shown[: length - 4]} ..."


def bounded(lines: Iterable[str], length: int = BODY_LENGTH) -> str:
    """The lines as one text; those that are too many are counted instead."""
    kept, left = list[str](), list(lines)
    room = length - len("\n(00000 more lines)")
    while left and len(left[0]) + 1 <= room:
        room -= len(left[0]) + 1
        kept.append(left.pop(0))
    return "\n".join([*kept, f"({len(left)} more lines)"] if left else kept)


def with_id(notice_id: str, text: str) -> str:
    """A title that names its notice: told twice after a crash, it can be seen to be the same."""
    return plain(f"[swxlake {notice_id}] {text}", TITLE_LENGTH)


def happening_title(happening: Happening) -> str:
    """Severity, what happened, to what."""
    return f"{happening.severity.upper()} {happening.words}: {happening.alert.subject}"


def happening_body(happening: Happening) -> str:
    """What is wrong exactly, since when, how far from usual, by which rules, and what to type."""
    alert = happening.alert
    facts = [
        ("since", f"{alert.since:{TIME}}"),
        ("until", f"{alert.end:{TIME}}, {'over' if alert.state == 'resolved' else 'not known to be over'}"),
        ("value", _values(alert)),
        ("rules", ", ".join(alert.rules)),
        ("state", _state(alert)),
        ("told at", f"{happening.at:{TIME}}"),
    ]
    lines = [plain(alert.message), "", *(f"{name:<8} {plain(value)}" for name, value in facts if value)]
    return "\n".join([*lines, "", *_commands(alert)])  # each of the few lines is bounded


def _values(alert: Alert) -> str:
    if alert.value is None:
        return ""
    return f"{alert.value:.6g}" + (f", usual or limit {alert.baseline:.6g}" if alert.baseline is not None else "")


def _state(alert: Alert) -> str:
    times = f", {alert.episodes} times since {alert.start:{TIME}}" if alert.episodes > 1 else ""
    by = f", acknowledged by {alert.acknowledged_by}" if alert.acknowledged_by else ""
    return f"{alert.state}{times}{by}{f': {alert.note}' if by and alert.note else ''}"


def _commands(alert: Alert) -> Sequence[str]:
    show = f"swxlake alerts show {plain(alert.alert_id)}"
    if alert.state != "open":
        return [show]
    return [show, f"swxlake alerts ack {plain(alert.alert_id)} --by NAME --note TEXT"]


def alert_line(alert: Alert) -> str:
    """An alert on one line of a list."""
    state = "over" if alert.state == "resolved" else alert.state
    since = f"{alert.since:%Y-%m-%d %H:%M}"
    return plain(f"{alert.alert_id} {alert.severity} {state} since {since} {alert.subject}: {alert.message}", 240)


def span(start: datetime, stop: datetime) -> str:
    """A span of time."""
    return f"{start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M} UTC"
