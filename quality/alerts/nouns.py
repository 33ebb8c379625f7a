# SPDX-License-Identifier: Apache-2.0
"""The nouns of alerts: an episode in the data, an alert, an event of its life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lake.watch_definitions import Color

State = Literal["open", "acknowledged", "resolved"]
EventName = Literal["opened", "raised", "repeated", "acknowledged", "resolved", "reopened"]


@dataclass(frozen=True)
class Episode:
    """A stretch of time in which something is wrong, whatever rules say so. Times are UTC, of the data.

    `subject` names what is wrong, such as `padre.meddea_l1_housekeeping.fp_temp_degc`: of episodes of one subject, at
    most one is there at a time. `rules` has the worst first. `parts` are the subjects that it would have channel by
    channel, or table by table, if they had not begun together.
    """

    subject: str
    mission: str
    instrument: str
    table: str
    column: str
    rules: tuple[str, ...]
    severity: Color
    start: datetime
    end: datetime
    ended: bool
    value: float | None
    baseline: float | None
    message: str
    plot: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alert:
    """Episodes of one subject that follow each other within a day, and what people were told and said of them.

    `start` and `end` are times of data, `since` is when the last episode began; `opened_at` and `changed_at` are times
    of this world. The subject becomes that of the whole where others turn out to have begun together with it; the id
    stays.
    """

    alert_id: str
    subject: str
    mission: str
    instrument: str
    table: str
    column: str
    rules: tuple[str, ...]
    severity: Color
    state: State
    start: datetime
    since: datetime
    end: datetime
    episodes: int
    value: float | None
    baseline: float | None
    message: str
    plot: str
    opened_at: datetime
    changed_at: datetime
    acknowledged_by: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened to an alert, and the alert after it."""

    alert: Alert
    name: EventName
    at: datetime
    detail: str
    by: str = ""
