# SPDX-License-Identifier: Apache-2.0
"""Who is told of alerts, where and when: the nouns of `alerts.toml`, and reading it.

No message ever repeats a value of a channel: a secret may have been put where only the name of one belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, time
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.setting_files import Setting, near, read_setting_file
from lake.watch_definitions import Color

PLACE = "the settings of alerts"  # as long as they come from no file
LITERAL = "a secret never stands in this file. Put the URL into an environment variable or a file and name that"
MOST_NOTIFY_DAYS = 366  # the outbox does not look back farther for what has to be told
MOST_HOURS = 24 * MOST_NOTIFY_DAYS  # more than a year is a slip of the pen
DAYTIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


def _daytime(value: object) -> object:
    """A time of day, from `"07:00"` or TOML's own 07:00:00; UTC without saying so."""
    if isinstance(value, time) or (isinstance(value, str) and DAYTIME.fullmatch(value)):
        return value
    raise ValueError('is no time of day; write UTC as "07:00"')


Daytime = Annotated[time, BeforeValidator(_daytime)]


class Channel(Setting):
    """A way to people: an apprise URL by reference, a file of JSON lines, or a facility of syslog.

    `url_env` names an environment variable and `url_file` a file that hold the URL. `address` is the socket or
    `host:port` (UDP) of syslog.
    """

    url_env: str | None = None
    url_file: Path | None = None
    file: Path | None = None
    syslog: str | None = None
    address: str = "/dev/log"

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, values: Any) -> Any:
        if isinstance(values, dict) and "url" in values:
            raise ValueError(f"gives a literal url; {LITERAL} with url_env or url_file")
        return values

    @field_validator("url_env")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError(f"is no name of an environment variable; {LITERAL} here")
        return value

    @field_validator("url_file", "file")
    @classmethod
    def _is_a_path(cls, value: Path | None) -> Path | None:
        if value is not None and re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", str(value)):
            raise ValueError(f"is no path of a file; {LITERAL} with url_env or url_file")
        return value

    @field_validator("syslog")
    @classmethod
    def _is_a_facility(cls, value: str | None) -> str | None:
        if value is not None and value not in SysLogHandler.facility_names:
            raise ValueError("is no facility of syslog; write daemon, user or local0 to local7")
        return value

    @model_validator(mode="after")
    def _is_one_thing(self) -> Channel:
        given = [name for name in ("url_env", "url_file", "file", "syslog") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"has {' and '.join(given) or 'no way to send'}; give one of url_env, url_file, file, syslog"
            )
        if "address" in self.model_fields_set and self.syslog is None:
            raise ValueError("has an address, which belongs to syslog; remove it")
        return self


class Route(Setting):
    """Alerts of this mission and instrument (any, if empty), of this severity at least, go to these channels."""

    mission: str | None = None
    instrument: str | None = None
    severity: Color = "yellow"
    channels: tuple[str, ...] = Field(min_length=1)


class Maintenance(Setting):
    """A time, UTC, in which nobody is told of what begins in it, and after it of what was over in it.

    Start included, stop not.
    """

    mission: str | None = None
    instrument: str | None = None
    start: datetime = Field(alias="from")
    stop: datetime = Field(alias="to")
    reason: str

    @model_validator(mode="after")
    def _ordered(self) -> Maintenance:
        if any(end.tzinfo is None for end in (self.start, self.stop)):
            raise ValueError("has a time without a zone; write 2026-08-01T10:00:00Z")
        if self.start >= self.stop:
            raise ValueError("has its `from` not before its `to`; swap them or correct one")
        return self

    def concerns(self, mission: str, instrument: str) -> bool:
        """Whether the window is about this instrument."""
        return self.mission in (None, mission) and self.instrument in (None, instrument)


class QuietHours(Setting):
    """Hours of the day, UTC, in which yellow waits; over midnight if they end before they begin."""

    start: Daytime = Field(alias="from")
    stop: Daytime = Field(alias="to")

    @model_validator(mode="after")
    def _some(self) -> QuietHours:
        if self.start == self.stop:
            raise ValueError("end when they begin; correct `from` or `to`, or remove them")
        return self

    def hold(self, now: datetime) -> bool:
        """Whether the hours hold at a time (UTC)."""
        clock = now.time()
        if self.start < self.stop:
            return self.start <= clock < self.stop
        return clock >= self.start or clock < self.stop


class Digest(Setting):
    """The summary of a day: from when on it is sent, UTC, and where to."""

    at: Daytime = time(7)
    channels: tuple[str, ...] = Field(min_length=1)


class AlertSettings(Setting):
    """All of `alerts.toml`; by default nobody is told anything, and alerts are recorded alone.

    repeat_hours : an unacknowledged red alert is told again after so long.
    reopen_hours : what comes back within so long is the same alert.
    notify_days : what was over longer ago when it was found is not told, as when old days are built again.
    """

    repeat_hours: float = Field(default=4, gt=0, le=MOST_HOURS)
    reopen_hours: float = Field(default=24, ge=0, le=MOST_HOURS)
    notify_days: float = Field(default=30, gt=0, le=MOST_NOTIFY_DAYS)
    digest: Digest | None = None
    quiet_hours: QuietHours | None = None
    channels: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], Channel] = Field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()

    @model_validator(mode="after")
    def _channels_are_known(self) -> AlertSettings:
        for where, name in self.named_channels():
            if name not in self.channels:
                raise ValueError(f"{where} names the channel {name!r}, which is not there{near(name, self.channels)}")
        return self

    def named_channels(self) -> Iterator[tuple[str, str]]:
        """Where a channel is named, and its name."""
        yield from (("digest", name) for name in (self.digest.channels if self.digest else ()))
        for number, route in enumerate(self.routes, 1):
            yield from ((f"route {number}", name) for name in route.channels)

    def muted(self, mission: str, instrument: str, start: datetime, end: datetime) -> Maintenance | None:
        """The maintenance window in which all of this time lies; None if it began before or went on after."""
        windows = (window for window in self.maintenance if window.concerns(mission, instrument))
        return next((window for window in windows if window.start <= start and end < window.stop), None)

    def told(self, mission: str, instrument: str, severity: Color) -> list[str]:
        """Names of the channels that alerts of this kind go to, each once, in the order of the routes."""
        names = (
            name
            for route in self.routes
            if route.mission in (None, mission) and route.instrument in (None, instrument)
            if route.severity == "yellow" or severity == "red"
            for name in route.channels
        )
        return list(dict.fromkeys(names))


def read_alert_settings(path: Path | None) -> AlertSettings:
    """The settings in a TOML file, paths in it taken from its folder; without a file, defaults: nobody is told.

    Raises ConfigurationError: file, key, what is wrong, what to do.
    """
    if path is None:
        return AlertSettings()
    settings = read_setting_file(path, AlertSettings, "SWXLAKE_ALERTS")
    channels = {name: _placed(channel, path.parent) for name, channel in settings.channels.items()}
    return settings.model_copy(update={"channels": channels})


def _placed(channel: Channel, folder: Path) -> Channel:
    paths = {name: getattr(channel, name) for name in ("url_file", "file")}
    return channel.model_copy(update={name: folder / path.expanduser() for name, path in paths.items() if path})


def warnings(settings: AlertSettings, definitions: Definitions, path: Path | None) -> list[str]:
    """What `check` warns of; without a file nobody asked to be told."""
    return check(settings, definitions, path) if path else []


def check(settings: AlertSettings, definitions: Definitions, place: Path | str = PLACE) -> list[str]:
    """Warnings, one line each: what nobody would be told of.

    Raises ConfigurationError for a mission or instrument that `definitions` do not know; `place` is the file.
    """
    for number, route in enumerate(settings.routes):
        _check_names(f"{place} (routes.{number}", route, definitions)
    for number, window in enumerate(settings.maintenance):
        _check_names(f"{place} (maintenance.{number}", window, definitions)
    if not settings.channels:
        return [f"{place}: has no channel, so that nobody is told of alerts. Add [channels.NAME] and [[routes]]."]
    return [*_without_route(settings, definitions, place), *_without_use(settings, place)]


def _check_names(where: str, part: Route | Maintenance, definitions: Definitions) -> None:
    missions = [mission for mission in definitions.missions if part.mission in (None, mission.name)]
    if not missions:
        known = near(str(part.mission), [mission.name for mission in definitions.missions])
        raise ConfigurationError(f"{where}.mission): there is no mission {part.mission!r}{known}")
    instruments = [instrument.name for mission in missions for instrument in mission.instruments]
    if part.instrument is not None and part.instrument not in instruments:
        known = near(part.instrument, instruments)
        raise ConfigurationError(f"{where}.instrument): there is no instrument {part.instrument!r}{known}")


def _without_use(settings: AlertSettings, place: Path | str) -> Iterator[str]:
    used = {name for _, name in settings.named_channels()}
    for name in settings.channels:
        if name not in used:
            yield f"{place}: the channel {name!r} is in no route and no digest, so that it gets nothing. Add it to one."


def _without_route(settings: AlertSettings, definitions: Definitions, place: Path | str) -> Iterator[str]:
    """A warning for each mission of which some red alerts would reach nobody."""
    for mission in definitions.missions:
        names = [i.name for i in mission.instruments if not settings.told(mission.name, i.name, "red")]
        if names:
            yield (
                f"{place}: no route for red alerts of {mission.name} ({', '.join(names)}), so that nobody is told of "
                "them. Add one under [[routes]]."
            )
