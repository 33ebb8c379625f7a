# SPDX-License-Identifier: Apache-2.0
"""What is usual for a channel: the lessons of the trailing days, put together by medians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quality.anomalies.lessons import LEAST_SHARE, Lesson, ModeLesson, at_phase, quantum_of
from quality.anomalies.series import EXACT, Bool, Float64, Series
from quality.metrics_watched import MAD_TO_SIGMA

TRAILING_DAYS = 7  # that teach: a week has all that people do to an instrument
LEAST_DAYS = 3
HORIZON_DAYS = 28  # with data; what has lasted so long is usual


@dataclass(frozen=True)
class UsualMode:
    """The pattern of a mode by phase bin, its scatter, and how scatter and steps themselves scatter.

    `sigma` is the scatter with that between days, `within` that within a day.
    """

    phases: Float64
    medians: Float64
    sigmas: Float64
    sigma: float
    within: float
    spreads: tuple[float, float] | None
    edge: float

    def baseline(self, phase: Float64) -> Float64:
        """What is expected at phases."""
        return at_phase(self.phases, self.medians, phase)

    def scale(self, phase: Float64) -> Float64:
        """One sigma at phases."""
        return at_phase(self.phases, self.sigmas, phase)


@dataclass(frozen=True)
class Usual:
    """What is usual for a channel; nothing, if too few days teach."""

    modes: Mapping[str, UsualMode]
    quantum: float
    changing: float
    longest: int
    low: float
    high: float
    largest: float
    resets: int
    counts: Mapping[str, int]
    empty: float = 0.0
    spikes: int = 0

    @property
    def days_teach(self) -> bool:
        """False if too little is known to call anything unusual."""
        return bool(self.modes or self.counts)


NOTHING = Usual({}, 0.0, 0.0, 0, 0.0, 0.0, 0.0, 0, {})


def usual_of(lessons: Sequence[Lesson]) -> Usual:
    """What lessons of trailing days say together."""
    known = [lesson for lesson in lessons if lesson.teaches][:TRAILING_DAYS]
    if len(known) < LEAST_DAYS:
        return NOTHING
    steps = [lesson.quantum for lesson in known if lesson.quantum > 0]
    quantum = min(steps, default=0.0)
    names = sorted({name for lesson in known for name in lesson.modes})
    by_mode = {name: [lesson.modes[name] for lesson in known if name in lesson.modes] for name in names}
    counts: dict[str, int] = {}
    for lesson in known:
        for value, number in lesson.counts.items():
            counts[value] = counts.get(value, 0) + number
    return Usual(
        modes={name: _mode(_fuller(found), quantum) for name, found in by_mode.items() if len(found) >= LEAST_DAYS},
        quantum=quantum,
        changing=float(np.median([lesson.changing for lesson in known])),
        longest=max(lesson.longest for lesson in known),
        low=min(lesson.low for lesson in known),
        high=max(lesson.high for lesson in known),
        largest=max(lesson.largest for lesson in known),
        resets=sum(lesson.resets for lesson in known),
        counts=counts,
        empty=float(np.median([lesson.empty for lesson in known])),
        spikes=max(lesson.spikes for lesson in known),
    )


def _fuller(lessons: Sequence[ModeLesson]) -> Sequence[ModeLesson]:
    """The lessons that show the pattern, if they are enough; else all."""
    full = [lesson for lesson in lessons if not lesson.flat]
    return full if len(full) >= LEAST_DAYS else lessons


def _mode(lessons: Sequence[ModeLesson], quantum: float) -> UsualMode:
    """Medians over the days; the scatter is that within days and, twice, that between them.

    The latter is known from a few days only: counted once, it would call one day in a hundred unusual.
    """
    medians = np.stack([lesson.medians for lesson in lessons])
    level, known = _median_of_days(medians)
    phases, _ = _median_of_days(np.stack([lesson.phases for lesson in lessons]))
    away = MAD_TO_SIGMA * _median_of_days(np.abs(medians - level))[0]
    between = float(np.median(away[known])) if known.any() else 0.0
    sigma = float(np.median([lesson.sigma for lesson in lessons]))
    sigmas, _ = _median_of_days(np.stack([lesson.sigmas for lesson in lessons]))
    within = np.where(np.isfinite(sigmas), np.maximum(sigmas, LEAST_SHARE * sigma), sigma)
    scale = np.maximum(np.hypot(within, 2 * between), quantum)
    spreads = [lesson.spreads for lesson in lessons if lesson.spreads]
    return UsualMode(
        phases=phases,
        medians=level,
        sigmas=np.where(known, scale, np.nan),
        sigma=max(float(np.hypot(sigma, 2 * between)), quantum),
        within=max(sigma, quantum),
        spreads=_together(spreads) if len(spreads) >= LEAST_DAYS else None,
        edge=float(np.median([lesson.edge for lesson in lessons])),
    )


def _together(spreads: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return float(np.median([center for center, _ in spreads])), float(np.median([width for _, width in spreads]))


def _median_of_days(stack: Float64) -> tuple[Float64, Bool]:
    """Median of each column of what is known, NaN where nothing is, and where something is."""
    known = np.asarray(np.isfinite(stack).any(axis=0), np.bool_)
    result = np.full(stack.shape[1], np.nan)
    if known.any():
        result[known] = np.nanmedian(stack[:, known], axis=0)
    return result, known


@dataclass(frozen=True)
class Scores:
    """For each row of a channel that can be judged: its number, what is expected, one sigma, and how many it is off.

    `inner` is how far it is off in the scatter within a day, that between days left out.
    """

    series: Series
    baseline: Float64
    scale: Float64
    z: Float64
    inner: Float64


def scores_of(series: Series, usual: Usual) -> Scores:
    """Robust z of each row about the pattern of its mode; rows of modes of which too little is known are left out."""
    known = np.isin(series.modes, list(usual.modes)) if usual.modes else np.zeros(len(series.times), bool)
    judged = series if known.all() else series.where(known)
    baseline, scale, wider = np.zeros(len(judged.times)), np.ones(len(judged.times)), np.ones(len(judged.times))
    for name, mode in usual.modes.items():
        rows = judged.modes == name
        baseline[rows], scale[rows] = mode.baseline(judged.phase[rows]), mode.scale(judged.phase[rows])
        wider[rows] = mode.sigma / mode.within if mode.within > 0 else 1.0
    rest = judged.values - baseline
    still = scale <= EXACT * np.abs(baseline)
    if still.any():
        # It never moved before: its step is that of its type, or the smallest one that is seen now.
        step = judged.step or quantum_of(np.concatenate((judged.values, baseline))) or np.inf
        scale = np.where(still, step, scale)
    return Scores(judged, baseline, scale, rest / scale, rest / scale * wider)
