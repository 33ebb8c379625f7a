# SPDX-License-Identifier: Apache-2.0
"""What is watched, and what must hold: modes, limits, channels, table rules, and what to expect of a table's days."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from lake.packet_definitions import Name, Noun

Color = Literal["yellow", "red"]
DAY_SECONDS = 86_400.0
NO_GAP_SECONDS = 600.0  # where nothing is declared: shorter ones are counted by the checks
QUALITY_FLAG = "quality_flag"
FLAG_METRICS = ("flagged_share", "flag", "flag_share")


class Mode(Noun):
    """A state of the instrument in which something holds: a column of the same row is one of some values.

    Each of `any_of` is a number, a range of numbers `low..high` with both ends, or a text for columns of text. A row
    without a value in the column is in no mode.
    """

    column: Name
    any_of: tuple[str, ...] = Field(min_length=1)

    @property
    def text(self) -> str:
        """The mode as definitions write it."""
        return f"{self.column}={'|'.join(self.any_of)}"


def _mode(text: object) -> object:
    """`column=value|low..high` as a cell of a CSV has it; nothing in an empty cell."""
    if not isinstance(text, str):
        return text
    if not text:
        return None
    column, sign, values = text.partition("=")
    if not sign or not all(value.strip() for value in values.split("|")):
        raise ValueError(f"{text!r} is no mode; write column=value, or column=value|low..high")
    return {"column": column.strip(), "any_of": tuple(value.strip() for value in values.split("|"))}


When = Annotated[Mode | None, BeforeValidator(_mode)]


def _open_end(infinite: float) -> BeforeValidator:
    return BeforeValidator(lambda value: infinite if value in ("", None) else value)


class Limit(Noun):
    """An alarm limit of one column of a table, both ends in the column's unit and themselves inside.

    A yellow one asks to look, a red one to act. It holds in the mode `when`. An alert is raised when `samples` rows in
    a row, and all rows for `seconds`, lie outside; rows outside are counted however few they are. Limits never gate.
    Each limit is judged by itself: where the modes of two of them overlap, both hold.
    """

    table: Name
    column: Name
    severity: Color = "red"
    low: Annotated[float, _open_end(-math.inf)] = -math.inf
    high: Annotated[float, _open_end(math.inf)] = math.inf
    when: When = None
    samples: Annotated[int, BeforeValidator(lambda value: value or 3)] = Field(default=3, ge=1)
    seconds: Annotated[float, BeforeValidator(lambda value: value or 0.0)] = Field(
        default=0.0, ge=0, allow_inf_nan=False
    )
    source: str

    @model_validator(mode="after")
    def _ordered(self) -> Limit:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} > high {self.high:g}; swap them or correct the limit")
        if math.isnan(self.low + self.high) and not (math.isinf(self.low) and math.isinf(self.high)):
            raise ValueError("an end is no number; correct it or leave the cell empty")
        if math.isinf(self.low) and math.isinf(self.high):
            raise ValueError("has neither low nor high; give one, or remove the limit")
        return self


class Channel(Noun):
    """A column that is watched for anomalies, one channel of housekeeping.

    `analog` is a measured quantity, `counter` one that rises and starts again, of which the increase is watched,
    `state` a setting whose unusual values are told, `constant` one that is not expected to change, `science` what the
    instrument observes, which has no usual level: there only a frozen, saturated or missing channel is told. Where
    `mode` names a column, what is usual is learned for each of its values by itself.
    """

    table: Name
    column: Name
    kind: Literal["analog", "counter", "state", "constant", "science"] = "analog"
    mode: Annotated[Name | None, BeforeValidator(lambda value: value or None)] = None


class Off(Noun):
    """A planned time without data, UTC, start included, stop not."""

    start: datetime
    stop: datetime
    reason: str

    @model_validator(mode="after")
    def _ordered(self) -> Off:
        if any(time.tzinfo is None for time in (self.start, self.stop)):
            raise ValueError("a time has no zone; write it as 2026-08-01T00:00:00Z")
        if self.start >= self.stop:
            raise ValueError(f"start {self.start} is not before stop {self.stop}; swap them or correct one")
        return self


class Ratio(Noun):
    """A metric of a table-day: the sum of one column over the sum of another, as of live and elapsed time."""

    of: Name
    to: Name
    description: str


class Watch(Noun):
    """What to expect of the days of a table; one with a `watch` is watched, one without is not.

    `period` is the pattern that its channels follow: the orbit of the mission, the day, or none.
    A step in time longer than `gap_seconds` is an anomaly; by default three cadences, and at least ten minutes.
    No data for `fresh_hours` raises an alert. `rows_per_day` is how many rows a whole day has, if the cadence does not
    say it. `trends` are further metrics of table-days that are watched, as `column:metric` or `metric`.
    """

    period: Literal["orbit", "day", "none"] = "none"
    gap_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    fresh_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    rows_per_day: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    ratios: dict[Name, Ratio] = Field(default_factory=dict)
    trends: tuple[str, ...] = ()
    off: tuple[Off, ...] = ()

    @property
    def no_gap_seconds(self) -> float:
        """The longest step in time that is no gap, whatever the cadence."""
        return self.gap_seconds or NO_GAP_SECONDS

    def planned(self, start: datetime, end: datetime) -> timedelta:
        """How much of a time was planned to be without data; what lies in two planned times counts once."""
        total, covered = timedelta(), start
        for off in sorted(self.off, key=lambda off: off.start):
            stop = min(off.stop, end)
            total += max(stop - max(off.start, covered), timedelta())
            covered = max(covered, stop)
        return total


def split_trend(trend: str, columns: Collection[str]) -> tuple[str, str]:
    """Column and metric of an entry of `trends`; of a metric of the whole table the column is ''.

    A metric of flags need not name its column: `flagged_share` is that of `quality_flag`.
    """
    column, colon, metric = trend.partition(":")
    if colon and column in columns:
        return column, metric
    return (QUALITY_FLAG if column in FLAG_METRICS else "", trend)


class TableRule(Noun):
    """A rule of one table beyond those that follow from its columns. A null breaks no rule.

    Either a `metric` of the table-day (of `column`, or of the table) lies from `low` to `high`; or every value of
    `column` does, is not above `at_most` or below `at_least` (other columns), is `one_of` some values, or `rises` from
    row to row. It holds for the rows in the mode `when`.
    """

    name: Name
    severity: Literal["fail", "warn"] = "warn"
    description: str
    column: Name | None = None
    metric: str | None = None
    low: float | None = None
    high: float | None = None
    at_most: Name | None = None
    at_least: Name | None = None
    one_of: tuple[float | str, ...] = ()
    rises: bool = False
    when: When = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> TableRule:
        bounds = self.low is not None or self.high is not None
        said = (bounds, self.at_most is not None, self.at_least is not None, bool(self.one_of), self.rises)
        if sum(said) != 1:
            raise ValueError("says not one thing; give low and high, at_most, at_least, one_of or rises")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} > high {self.high:g}; swap them or correct the rule")
        if self.metric is not None and not bounds:
            raise ValueError("a metric is judged by its bounds; give low or high")
        if self.metric is not None and self.when is not None:
            raise ValueError("a metric is that of the whole day; remove `when`")
        if self.metric is None and self.column is None:
            raise ValueError("is about nothing; give column or metric")
        return self
