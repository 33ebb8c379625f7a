# SPDX-License-Identifier: Apache-2.0
"""One channel of one day as arrays, and stretches of rows in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from quality.metrics_watched import MAD_TO_SIGMA

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Words = npt.NDArray[np.str_]
Stretch = tuple[int, int]  # first and last row

UNIX = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = 1e-9  # of a number: what differs behind is arithmetic, not data
SMOOTHED = 5  # rows of a running median: it takes three of five to move it, so one or two wild samples do not


@dataclass(frozen=True)
class Series:
    """The numbers of a channel in time order: UTC as Unix microseconds, phase of the pattern (0 to 1), mode in words.

    Rows without a number are left out. `step` is the smallest that its type has: 1 for integers, 0 if there is none.
    """

    column: str
    times: Int64
    values: Float64
    phase: Float64
    modes: Words
    step: float = 0.0

    def where(self, mask: Bool) -> Series:
        """Some of the rows."""
        return Series(self.column, self.times[mask], self.values[mask], self.phase[mask], self.modes[mask], self.step)


@dataclass(frozen=True)
class Texts:
    """The values of a setting in time order, as words."""

    column: str
    times: Int64
    values: Words


def utc(unix_us: int) -> datetime:
    """UTC of Unix microseconds."""
    return UNIX + timedelta(microseconds=int(unix_us))


def unix_us(time: datetime) -> int:
    """Unix microseconds of a UTC time."""
    return (time - UNIX) // timedelta(microseconds=1)


def stretches(mask: Bool, pieces: Int64 | None = None) -> list[Stretch]:
    """The stretches of rows for which a mask holds, each within one of the numbered pieces of the rows."""
    cut = np.diff(pieces) != 0 if pieces is not None else False
    begins = mask & np.concatenate(([True], ~mask[:-1] | cut))[: len(mask)]
    ends = mask & np.concatenate((~mask[1:] | cut, [True]))[: len(mask)]
    firsts, lasts = np.flatnonzero(begins), np.flatnonzero(ends)
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def joined(found: Sequence[Stretch], rows: int) -> list[Stretch]:
    """Stretches with no more than so many rows between them made one."""
    result: list[Stretch] = []
    for first, last in found:
        if result and first - result[-1][1] - 1 <= rows:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result


def reaching(score: Float64, high: float, low: float) -> list[Stretch]:
    """Stretches of scores of at least `low` in which one is at least `high`: so a borderline one is not torn apart."""
    return [(first, last) for first, last in stretches(score >= low) if score[first : last + 1].max() >= high]


def running_median(values: Float64) -> Float64:
    """The median of five rows about each row; at the ends, of those that are there."""
    if len(values) < SMOOTHED:
        return np.full(len(values), np.median(values) if len(values) else 0.0)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(values, SMOOTHED), axis=1)
    half = SMOOTHED // 2
    start = [np.median(values[: half + 1 + i]) for i in range(half)]
    end = [np.median(values[-half - 1 - i :]) for i in reversed(range(half))]
    return np.concatenate((start, windows[:, half], end))


def runs_of_equals(values: Float64) -> tuple[Int64, Int64]:
    """First rows of the stretches with one value, last bits aside, and how many rows each has."""
    moved = np.abs(values[1:] - values[:-1]) > EXACT * np.abs(values[1:])
    starts = np.flatnonzero(np.concatenate(([True], moved))) if len(values) else np.zeros(0, np.int64)
    return starts, np.diff(np.concatenate((starts, [len(values)])))


def spread(values: Float64) -> float:
    """The standard deviation that a normal distribution of the same median absolute deviation has; 0 for no values."""
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values)))) if len(values) else 0.0
