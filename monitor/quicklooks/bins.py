# SPDX-License-Identifier: Apache-2.0
"""The time axis of a picture and the bins that a day is reduced to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
MOST_BINS = 1440  # about as many as a picture has pixels across
# Of net values: means of a minute or more rise out of the noise, and so many of six lines fit a page's script.
MOST_NET_BINS, NET_US = 720, 60 * SECOND_US
WIDTHS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)  # what people read off a clock
SHORT_US = 3 * 3600 * SECOND_US  # data of less than this would be a sliver in a picture of the whole day
# What a shorter span is rounded to: the widest of these that leaves no more than about half of the picture empty.
ROUND_US = (300 * SECOND_US, 60 * SECOND_US, 10 * SECOND_US)
GAP_STEPS = 3  # cadences without a row that make a gap, as checks of table-days have it


@dataclass(frozen=True)
class Span:
    """A stretch of time in microseconds since 1970 UTC, half-open."""

    start: int
    stop: int


@dataclass(frozen=True)
class Bins:
    """Even bins of a span; the last one may reach beyond it."""

    span: Span
    width: int

    @property
    def count(self) -> int:
        """How many there are."""
        return -(-(self.span.stop - self.span.start) // self.width)

    @property
    def edges(self) -> Whole:
        """Starts of all bins, and the end of the last."""
        return self.span.start + self.width * np.arange(self.count + 1, dtype=np.int64)

    @property
    def centers(self) -> Whole:
        """The middle of each bin."""
        return self.edges[:-1] + self.width // 2

    @property
    def seconds(self) -> float:
        """Width of a bin."""
        return self.width / SECOND_US

    def places(self, time: Whole) -> Whole:
        """The bin of each time; below 0 or not below `count` outside of the span."""
        return (time - self.span.start) // self.width


def day_start(day: date) -> int:
    """The start of a UTC day in microseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND_US


def shown_span(day: date, spans: Iterable[tuple[int, int]]) -> Span:
    """What the pictures of a mission's day show: all of the day, or where its data last less than three hours, those.

    `spans` are the first and the last time of each table.
    """
    whole = Span(day_start(day), day_start(day) + DAY_US)
    found = [(first, last) for first, last in spans if first < whole.stop and last >= whole.start]
    if not found:
        return whole
    first, last = max(whole.start, min(f for f, _ in found)), min(whole.stop - 1, max(last for _, last in found))
    if last - first >= SHORT_US:
        return whole
    even = next((width for width in ROUND_US if 2 * (last - first) >= width), ROUND_US[-1])
    return Span(first // even * even, -(-(last + 1) // even) * even)


def bins_for(span: Span, cadence: float) -> Bins:
    """Bins of a width that people read off a clock, not more than a picture can show, none narrower than a cadence."""
    least = max((span.stop - span.start) / MOST_BINS, cadence)
    width = next((w * SECOND_US for w in WIDTHS_S if w * SECOND_US >= least), WIDTHS_S[-1] * SECOND_US)
    return Bins(span, width)


def net_bins(span: Span, cadence: float) -> Bins:
    """Bins of values whose noise is taken for signal where bins are narrow, being net of a background."""
    return bins_for(span, max(cadence, NET_US, (span.stop - span.start) / MOST_NET_BINS))


def median_step(time: Whole) -> float:
    """The usual step from row to row in microseconds; 0 if there are no steps."""
    steps = np.diff(time)
    steps = steps[steps > 0]
    return float(np.median(steps)) if steps.size else 0.0


def reach_of(bins: Bins, cadence: float) -> int:
    """How many bins may lie from one with rows to the next before there is a gap between them."""
    return max(1, int(np.ceil(GAP_STEPS * cadence / bins.width)))


def filled_to(held: npt.NDArray[np.bool_], reach: int) -> Whole:
    """For each bin the one whose value it shows: itself, the last one before if the next row is no gap away, or -1.

    A row stands for the time until the next one, so that a bin between two rows is none that lacks data.
    """
    number = np.arange(held.size)
    last = np.maximum.accumulate(np.where(held, number, -1))
    following = np.minimum.accumulate(np.where(held, number, 2 * held.size + reach)[::-1])[::-1]
    near = held | ((last >= 0) & (following - last <= reach))
    return np.where(near, last, -1)
