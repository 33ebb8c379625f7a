# SPDX-License-Identifier: Apache-2.0
"""A channel's last days in a line of text: paths of SVG, the envelope filled and the mean drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, MARGIN = 140, 26, 2  # in units of the picture

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spark:
    """Paths of the envelope and of the mean in a picture of `width` x `height`."""

    envelope: str
    mean: str
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def said(self) -> dict[str, object]:
        """The same as templates and fingerprints take it."""
        return asdict(self)


def spark(
    times: Sequence[int], lows: Sequence[float], highs: Sequence[float], means: Sequence[float], step: int
) -> Spark:
    """Buckets that are `step` long; a missing bucket is a gap. Times are in the unit of `step`."""
    time = np.array(times, np.int64)
    low, high, mean = (np.array(values, np.float64) for values in (lows, highs, means))
    there = np.isfinite(mean)
    time, low, high, mean = time[there], low[there], high[there], mean[there]
    if not len(time):
        return Spark("", "")
    least, greatest = float(low.min()), float(high.max())
    scale = (HEIGHT - 2 * MARGIN) / (greatest - least) if greatest > least else 0.0
    x = np.round((time - time[0]) * (WIDTH - 2.0) / max(time[-1] - time[0], step), 1) + 1

    def y(values: Numbers) -> Numbers:
        return np.round(HEIGHT - MARGIN - (values - least) * scale if scale else np.full(len(values), HEIGHT / 2), 1)

    pieces = _pieces(time, step)
    tops, bottoms, middles = y(high), y(low), y(mean)
    envelope = "".join(_area(x[a:b], tops[a:b], bottoms[a:b]) for a, b in pieces)
    return Spark(envelope, "".join(_line(x[a:b], middles[a:b]) for a, b in pieces))


def _pieces(time: npt.NDArray[np.int64], step: int) -> list[tuple[int, int]]:
    """Where stretches without a gap begin and end."""
    cuts = [0, *(np.flatnonzero(np.diff(time) > step) + 1).tolist(), len(time)]
    return list(pairwise(cuts))


def _line(x: Numbers, y: Numbers) -> str:
    """A path through points; a point alone is a short dash."""
    points = _points(x, y)
    return "M" + "L".join(points) + ("h1" if len(points) == 1 else "")


def _area(x: Numbers, top: Numbers, bottom: Numbers) -> str:
    return "M" + "L".join([*_points(x, top), *reversed(_points(x, bottom))]) + "z"


def _points(x: Sequence[float] | Numbers, y: Sequence[float] | Numbers) -> list[str]:
    return [f"{a:g} {b:g}" for a, b in zip(x, y, strict=True)]
