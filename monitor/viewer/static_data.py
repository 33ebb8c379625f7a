# SPDX-License-Identifier: Apache-2.0
"""Envelopes as scripts, for pages that no server helps: fetch does not work from a folder, a script does.

A script calls swxlakeData(table, channel, part, {...}). Least and greatest values are exact, means have six digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import polars as pl

from lake.ledger import fingerprint
from monitor.envelopes.channels import Viewed
from monitor.site import places
from monitor.site.page import Asset

FORM = "2"  # of the scripts; raise it when they are written in another way
MICROSECOND = 1_000_000

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Buckets of one width of a table: `name` is that of the scripts, `rows` has all channels side by side.

    `start_us` and `stop_us` bound what it holds; where it has no bucket there, there were no rows. `marks` are those of
    the days in it: the same rows give the same marks, but means that differ in their last digits, as rows are summed in
    any order.
    """

    level: str
    name: str
    width_s: int
    start_us: int
    stop_us: int
    rows: pl.DataFrame
    marks: Mapping[date, str] = field(default_factory=dict)

    @property
    def said(self) -> dict[str, object]:
        """What a page is told of it."""
        return {
            "level": self.level,
            "name": self.name,
            "width": self.width_s,
            "start": self.start_us,
            "stop": self.stop_us,
        }

    @cached_property
    def times(self) -> npt.NDArray[np.int64]:
        """Starts of the buckets in microseconds since 1970 UTC."""
        return self.rows.get_column("time").to_physical().to_numpy()

    def numbers(self, channel: Viewed, what: str) -> Numbers:
        """One number of each bucket (`low`, `high` or `mean`); NaN where there is none."""
        return self.rows.get_column(f"{channel.name}.{what}").to_numpy()


def by_month(part: Part) -> Iterator[Part]:
    """The part cut at the ends of UTC months, each named as 2026-08: what is over is not written again."""
    months = part.rows.with_columns(month=pl.col("time").dt.strftime("%Y-%m"))
    for (month,), rows in months.group_by("month", maintain_order=True):
        first, after = _month(str(month))
        bounds = max(part.start_us, first), min(part.stop_us, after)
        marks = {day: mark for day, mark in part.marks.items() if f"{day:%Y-%m}" == month}
        yield Part(part.level, str(month), part.width_s, *bounds, rows.drop("month"), marks)


def scripts(address: str, channels: tuple[Viewed, ...], part: Part) -> Iterator[Asset]:
    """A script for each channel."""
    for channel in channels:
        place = places.channel_data(address, channel.name, part.name)
        yield Asset(place, _mark(channel, part), partial(script, address, channel, part))


def script(address: str, channel: Viewed, part: Part) -> bytes:
    """The text of a script. Buckets without a value of the channel are left out."""
    low, mean = part.numbers(channel, "low"), part.numbers(channel, "mean")
    there = np.flatnonzero(np.isfinite(low))
    starts = part.times[there] // MICROSECOND
    first = int(starts[0]) if len(starts) else 0
    data = {
        "width": part.width_s,
        "first": first,
        "at": ((starts - first) // part.width_s).tolist(),
        "low": _told(channel, low[there]),
        "high": _told(channel, part.numbers(channel, "high")[there]),
        "mean": [float(f"{value:.6g}") for value in mean[there]],
        "count": part.rows["count"].to_numpy()[there].tolist(),
    }
    words = ",".join(json.dumps(word) for word in (address, channel.name, part.name))
    return f"swxlakeData({words},{json.dumps(data, separators=(',', ':'))});\n".encode()


def _told(channel: Viewed, values: Numbers) -> list[float]:
    """Exact values in as few digits as tell them: 20.1 for the float32 that is next to it."""
    if channel.column.type == "float32":
        return [float(str(value)) for value in values.astype(np.float32)]
    return [int(value) if value.is_integer() and abs(value) < 1e15 else value for value in values.tolist()]


def _mark(channel: Viewed, part: Part) -> str:
    days = sorted((f"{day}", mark) for day, mark in part.marks.items())
    return fingerprint(FORM, channel.name, channel.column.type, part.width_s, days)


def _month(month: str) -> tuple[int, int]:
    """The bounds of a month in microseconds."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return round(first.timestamp()) * MICROSECOND, round(after.timestamp()) * MICROSECOND


def month_start(us: int) -> int:
    """When the UTC month of a time begins, both in microseconds."""
    return _month(f"{datetime.fromtimestamp(us // MICROSECOND, UTC):%Y-%m}")[0]
