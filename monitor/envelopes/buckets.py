# SPDX-License-Identifier: Apache-2.0
"""Buckets of time: how many rows each has, and the least, greatest and mean value of each channel in it.

Null, NaN and infinite values count as nothing: they are no extremes, and are left out of means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
# Values are summed this much smaller, which is exact: a trillion of the greatest floats together are a float.
SCALE = 2.0**-40


@dataclass(frozen=True)
class Buckets:
    """Buckets in the order of time; one without rows does not exist.

    time : the start of each, microseconds since 1970 UTC
    rows : how many rows each has
    low, high, total : of each channel (first axis) and bucket; NaN, NaN and 0 where it has no value; `total` is the
        sum of the values times SCALE
    valued : how many rows have a value
    """

    time: Integers
    rows: Integers
    low: Floats
    high: Floats
    total: Floats
    valued: Integers

    @property
    def mean(self) -> Floats:
        """Means of each channel and bucket, never outside of its extremes; NaN where it has no value."""
        scaled: Floats = np.full(self.total.shape, np.nan)
        np.divide(self.total, self.valued, out=scaled, where=self.valued > 0)
        with np.errstate(over="ignore"):  # by rounding, next to the greatest float
            means: Floats = np.clip(scaled / SCALE, self.low, self.high)
        return means


def of_rows(time: Integers, values: Floats, width_us: int) -> Buckets:
    """Buckets of rows in any order: their times, and a row of `values` for each channel."""
    finite = np.isfinite(values)
    values = values if finite.all() else np.where(finite, values, np.nan)
    total = (values if finite.all() else np.where(finite, values, 0.0)) * SCALE
    rows = Buckets(time, np.ones(len(time), np.int64), values, values, total, finite.astype(np.int64))
    return folded(rows, width_us)


def together(parts: Sequence[Buckets], width_us: int) -> Buckets:
    """The buckets of several parts, of which any may share one."""
    joined = Buckets(
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.low for part in parts], axis=1),
        np.concatenate([part.high for part in parts], axis=1),
        np.concatenate([part.total for part in parts], axis=1),
        np.concatenate([part.valued for part in parts], axis=1),
    )
    return folded(joined, width_us)


def folded(finer: Buckets, width_us: int) -> Buckets:
    """Wider buckets of narrower ones, or of rows."""
    if not len(finer.time):
        return finer
    start = finer.time - finer.time % width_us
    if (np.diff(start) < 0).any():
        finer, start = _sorted(finer, np.argsort(start, kind="stable"), start)
    first = np.flatnonzero(np.concatenate(([True], np.diff(start) > 0)))
    return Buckets(
        start[first],
        np.add.reduceat(finer.rows, first),
        np.fmin.reduceat(finer.low, first, axis=1),
        np.fmax.reduceat(finer.high, first, axis=1),
        np.add.reduceat(finer.total, first, axis=1),
        np.add.reduceat(finer.valued, first, axis=1),
    )


def _sorted(finer: Buckets, order: Integers, start: Integers) -> tuple[Buckets, Integers]:
    along = (finer.low[:, order], finer.high[:, order], finer.total[:, order], finer.valued[:, order])
    return Buckets(finer.time[order], finer.rows[order], *along), start[order]


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers, which are in order."""
    if not numbers:
        return []
    ends = [(one, other) for one, other in pairwise(numbers) if other != one + 1]
    return list(zip([numbers[0], *(b for _, b in ends)], [*(a for a, _ in ends), numbers[-1]], strict=True))
