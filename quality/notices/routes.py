# SPDX-License-Identifier: Apache-2.0
"""What has to be told of the events of alerts, and to whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake.watch_definitions import Color
from quality.alerts.nouns import Alert, Event
from quality.notices.settings import AlertSettings, Maintenance

BEGINNINGS = ("opened", "reopened")


@dataclass(frozen=True)
class Happening:
    """What happened to one alert at one time, in order: opened and over in one run is told at once."""

    events: tuple[Event, ...]

    @property
    def alert(self) -> Alert:
        """The alert after it all."""
        return self.events[-1].alert

    @property
    def at(self) -> datetime:
        """When it happened, UTC."""
        return self.events[-1].at

    @property
    def severity(self) -> Color:
        """The worst severity that the alert had."""
        return "red" if any(event.alert.severity == "red" for event in self.events) else "yellow"

    @property
    def words(self) -> str:
        """What happened: `opened and resolved`."""
        return " and ".join(event.name for event in self.events)

    @property
    def came_and_went(self) -> bool:
        """Whether it is over and was not told while it stood."""
        return self.alert.state == "resolved" and any(event.name in BEGINNINGS for event in self.events)


def happenings(settings: AlertSettings, events: Iterable[Event], now: datetime) -> list[Happening]:
    """What has to be told of some events, in their order: not acknowledgements, nor what is muted or long over."""
    groups: dict[tuple[str, datetime], list[Event]] = {}
    for event in events:
        if event.name != "acknowledged":  # by a person, who knows
            groups.setdefault((event.alert.alert_id, event.at), []).append(event)
    found = [Happening(tuple(group)) for group in groups.values()]
    return [happening for happening in found if _is_told(settings, happening, now)]


def _is_told(settings: AlertSettings, happening: Happening, now: datetime) -> bool:
    """Age is that of the data only of what came and went at once: else it stands, or somebody waits for its end."""
    alert = happening.alert
    oldest = now - timedelta(days=settings.notify_days)
    if happening.at < oldest or (happening.came_and_went and alert.end < oldest):
        return False
    return window_of(settings, alert, now) is None


def window_of(settings: AlertSettings, alert: Alert, now: datetime) -> Maintenance | None:
    """The maintenance window that mutes an alert at a time; what is not over has to be taken to last until then."""
    end = alert.end if alert.state == "resolved" else max(alert.end, now)
    return settings.muted(alert.mission, alert.instrument, alert.start, end)


def channels_of(settings: AlertSettings, happening: Happening) -> Sequence[str]:
    """Names of the channels that are told."""
    return settings.told(happening.alert.mission, happening.alert.instrument, happening.severity)
