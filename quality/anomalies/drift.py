# SPDX-License-Identifier: Apache-2.0
"""Slow change: the daily levels of a channel, summed up as a two-sided CUSUM (Page 1954).

The level of a day does not depend on which part of the pattern the day has, so a day cut short is no drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from quality.anomalies.series import spread

SLACK = 0.5  # sigma a day that are forgiven: half of the smallest shift that matters
ENOUGH = 3.0  # sigma days summed up
LEAST_OFF = 2.0  # sigma; what stays below is a season, however long it lasts
BACK = 1.0  # sigma from the reference: the drift is over
REFERENCE_DAYS = 7
LEAST_REFERENCE = 5


@dataclass(frozen=True)
class Level:
    """The level of a channel on a day and its sigma; whether the day teaches what is usual."""

    day: date
    center: float
    sigma: float
    teaches: bool


@dataclass(frozen=True)
class Drift:
    """A level that went away slowly: since when, from where, how far in sigma, and the sum that says so."""

    onset: date
    level: float
    reference: float
    sigma: float
    total: float

    @property
    def off(self) -> float:
        """How far the level is away, in sigma."""
        return (self.level - self.reference) / self.sigma


def drift(levels: Sequence[Level]) -> Drift | None:
    """The drift that the last of some daily levels is in, if it is; the first days that teach are the reference."""
    reference = [level for level in levels[:-1] if level.teaches][:REFERENCE_DAYS]
    if len(reference) < LEAST_REFERENCE:
        return None
    centers = np.array([level.center for level in reference])
    usual, sigma = float(np.median(centers)), float(np.median([level.sigma for level in reference]))
    # Days differ for reasons of their own. Their scatter is known from few days, so it counts twice.
    width = max(sigma, 2 * spread(centers))
    if width <= 0:
        return None
    found = [_one_way(levels, usual, width, sign) for sign in (1.0, -1.0)]
    return max((one for one in found if one), key=lambda one: one.total, default=None)


def _one_way(levels: Sequence[Level], usual: float, width: float, sign: float) -> Drift | None:
    total, onset, alarm = 0.0, levels[0].day, False
    for level in levels:
        off = sign * (level.center - usual) / width
        if alarm and off < BACK:
            total, alarm = 0.0, False
            continue
        onset = level.day if total <= 0 else onset
        total = max(0.0, total + off - SLACK)
        alarm = alarm or (total >= ENOUGH and off >= LEAST_OFF)
    return Drift(onset, levels[-1].center, usual, width, total) if alarm else None
