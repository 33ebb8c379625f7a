# SPDX-License-Identifier: Apache-2.0
"""What one day teaches later days about a channel: pattern, scatter, changes. A function of the day's rows alone.

The rows are those in which the channel was as usual; anomalies teach nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lake.ledger import fingerprint
from quality.anomalies.series import (
    EXACT,
    Bool,
    Float64,
    Int64,
    Series,
    Texts,
    running_median,
    runs_of_equals,
    spread,
)
from quality.metrics_watched import MAD_TO_SIGMA

LEAST_ROWS = 20  # of a mode in a day, to learn from it
LEAST_IN_BIN = 3  # rows for a median that one wild sample does not move
LEAST_FOR_SIGMA = 10  # rows of a phase bin, for a scatter of its own: known to a quarter then
ROWS_PER_BIN = 8  # on the average; a day with fewer is too thin to show a pattern
LEAST_SEEN = 0.9  # of the phase bins: beyond, a straight line across the rest is no pattern
LEAST_SHARE = 0.5  # of the channel's scatter, that each phase bin has at least
WINDOW = 30  # rows in which a scatter is measured: known to an eighth, and five minutes at a cadence of ten seconds
WILDEST = 4  # steps of a window that do not count: two wild samples make four large ones
LEAST_WINDOWS = 8
WRAPS = (8, 16, 24, 32)  # bits of counters
NEAR_WRAP = 0.05  # of a counter's range: a fall by nearly all of it is a wrap, a smaller one a reset
DIGITS = 9  # of a number in fingerprints: what differs behind is arithmetic, not data


@dataclass(frozen=True)
class ModeLesson:
    """How a channel went in one mode. `medians` and `sigmas` are by phase bin, NaN where the day does not tell.

    `phases` are the mean phases of the rows in the bins. `center` is the level whatever part of the pattern was seen.
    `spreads` are center and scatter of the logarithm of the variance in short windows, `edge` is the scatter of steps
    between neighbouring running medians; both in units of sigma. A `flat` lesson is that of a day that was too thin to
    show the pattern: its level may be that of any part of it.
    """

    rows: int
    phases: Float64
    medians: Float64
    sigmas: Float64
    sigma: float
    center: float
    spreads: tuple[float, float] | None
    edge: float
    flat: bool = False

    @property
    def tells_level(self) -> bool:
        """Whether the center is that of the whole pattern, not of the part of it that the day happened to show."""
        return not self.flat and bool(np.isfinite(self.medians).mean() >= LEAST_SEEN)


@dataclass(frozen=True)
class Lesson:
    """What a day teaches about a channel. `quantum` is the smallest step seen, 0 if none was.

    `changing` is the share of rows that differ from the one before, `longest` the longest run of equal ones. `largest`
    and `resets` are those of a counter, `counts` are rows by value of a setting. `empty` is the share of rows without a
    value, `spikes` the number of rows that were told as spikes.
    """

    modes: Mapping[str, ModeLesson] = field(default_factory=dict)
    quantum: float = 0.0
    changing: float = 0.0
    longest: int = 0
    low: float = 0.0
    high: float = 0.0
    largest: float = 0.0
    resets: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    empty: float = 0.0
    spikes: int = 0

    @property
    def teaches(self) -> bool:
        """True if there is something to learn."""
        return bool(self.modes or self.counts)

    @property
    def mark(self) -> str:
        """Fingerprint of the lesson."""
        modes = {name: list(_texts(lesson)) for name, lesson in self.modes.items()}
        plain = [self.quantum, self.changing, self.longest, self.low, self.high, self.largest]
        plain += [self.resets, self.empty, self.spikes]
        return fingerprint(modes, [_text(number) for number in plain], dict(self.counts))


def _texts(lesson: ModeLesson) -> Iterator[str]:
    for array in (lesson.phases, lesson.medians, lesson.sigmas):
        yield from map(_text, array.tolist())
    for number in (lesson.rows, lesson.sigma, lesson.center, *(lesson.spreads or ()), lesson.edge, lesson.flat):
        yield _text(number)


def _text(number: float) -> str:
    return f"{number:.{DIGITS}g}"


def learn(all_rows: Series, good: Bool, bins: int, kind: str, empty: float = 0.0, spikes: int = 0) -> Lesson:
    """The lesson of those numbers of a day that are as usual, in as many phase bins.

    `empty` is the share of rows without a number, `spikes` how many were told as spikes.
    """
    if good.sum() < LEAST_ROWS:
        return Lesson()
    series = all_rows.where(good)
    quantum = quantum_of(series.values)
    if not quantum:
        series = replace(series, values=np.full(len(series.values), np.median(series.values)))
    values, counter = series.values, kind == "counter"
    runs = runs_of_equals(values)[1]
    # A step is one between neighbours: what lies on both sides of an anomaly says nothing about a step.
    steps = increases(all_rows)[good[1:] & good[:-1]] if counter else np.zeros(0)
    names = [str(name) for name in np.unique(series.modes)]
    parts = {name: series.where(series.modes == name) for name in names} if len(names) > 1 else {names[0]: series}
    return Lesson(
        modes={name: _learn_mode(s, bins, quantum) for name, s in parts.items() if len(s.values) >= LEAST_ROWS},
        quantum=quantum,
        changing=(len(runs) - 1) / (len(values) - 1),
        longest=int(runs.max()),
        low=float(values.min()),
        high=float(values.max()),
        largest=float(steps.max(initial=0.0)),
        resets=int(np.sum(steps < 0)),
        empty=empty,
        spikes=spikes,
    )


def increases(counts: Series) -> Float64:
    """The steps of a counter from row to row, falls below 0. Where it began anew at 8, 16, 24 or 32 bits it went on
    rising, and a rise over a stretch without rows is that of each row that should be there.
    """
    steps = np.diff(counts.values)
    for bits in WRAPS:
        wrapped = (steps < 0) & (counts.values[:-1] < 2**bits) & (steps + 2**bits <= NEAR_WRAP * 2**bits)
        steps = np.where(wrapped, steps + 2**bits, steps)
    spans = np.diff(counts.times)
    usual = float(np.median(spans)) if len(spans) else 0.0
    rows = np.maximum(np.round(spans / usual), 1.0) if usual > 0 else 1.0
    return np.asarray(np.where(steps > 0, steps / rows, steps), np.float64)


def learn_texts(texts: Texts, empty: float = 0.0) -> Lesson:
    """The lesson of a setting: how often each of its values was there; `empty` is the share of rows without one."""
    names, counts = np.unique(texts.values, return_counts=True)
    known = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    return Lesson(counts=known, empty=empty) if len(texts.values) >= LEAST_ROWS else Lesson()


def quantum_of(values: Float64) -> float:
    """The smallest step between values of a channel, which comes in counts; 0 if all are equal or none is there."""
    steps = np.diff(np.unique(values))
    # The same count may come out of a conversion with different last bits.
    steps = steps[steps > EXACT * np.abs(values).max()] if len(steps) else steps
    return float(steps.min()) if len(steps) else 0.0


def _learn_mode(series: Series, bins: int, quantum: float) -> ModeLesson:
    """Pattern and scatter about it. A day that is too thin for a pattern has its level everywhere, and its whole swing
    as scatter.
    """
    count = len(series.values)
    if count < ROWS_PER_BIN * bins:
        return _flat(series, bins, quantum)
    which = np.minimum((series.phase * bins).astype(np.int64), bins - 1)
    medians, rows = _by_bin(series.values, which, bins)
    known = rows >= LEAST_IN_BIN
    if known.sum() < 2:
        return _flat(series, bins, quantum)
    medians = np.where(known, medians, np.nan)
    sums = np.bincount(which, series.phase, bins)
    phases = np.where(known, sums / np.maximum(rows, 1), np.nan)
    rest = series.values - at_phase(phases, medians, series.phase)
    sigmas, _ = _by_bin(np.abs(rest), which, bins)
    sigma = spread(rest)
    center = float(np.mean(at_phase(phases, medians, (np.arange(bins) + 0.5) / bins)))
    own = np.where(rows >= LEAST_FOR_SIGMA, MAD_TO_SIGMA * sigmas, np.nan)
    scale = np.maximum(np.where(np.isfinite(own), np.maximum(own, LEAST_SHARE * sigma), sigma), quantum)
    spreads, edge = _short_term(rest, scale[which], quantum)
    return ModeLesson(count, phases, medians, own, sigma, center, spreads, edge)


def _flat(series: Series, bins: int, quantum: float) -> ModeLesson:
    center, sigma = float(np.median(series.values)), spread(series.values)
    scale = np.full(len(series.values), max(sigma, quantum))
    spreads, edge = _short_term(series.values - center, scale, quantum)
    middles, levels, unknown = (np.arange(bins) + 0.5) / bins, np.full(bins, center), np.full(bins, np.nan)
    return ModeLesson(len(series.values), middles, levels, unknown, sigma, center, spreads, edge, flat=bins > 1)


def _short_term(rest: Float64, scale: Float64, quantum: float) -> tuple[tuple[float, float] | None, float]:
    """How the logarithm of the variance in windows scatters, and steps between running medians, in sigma."""
    if (scale <= 0).any():
        return None, 0.0
    logs = log_variances(rest / scale, quantum / float(np.median(scale)))
    spreads = (float(np.median(logs)), spread(logs)) if len(logs) >= LEAST_WINDOWS else None
    return spreads, spread(edges(rest / scale))


def log_variances(scores: Float64, quantum: float) -> Float64:
    """Logarithm of the variance from row to row in windows one after the other; what is left at the end is left out.

    The variance of a step of one count is added, so that a channel of few counts does not seem restless when it moves.
    """
    number = len(scores) // WINDOW
    steps = np.sort(np.diff(scores[: number * WINDOW].reshape(number, WINDOW), axis=1) ** 2, axis=1)
    return np.asarray(np.log(steps[:, :-WILDEST].mean(axis=1) / 2 + max(quantum, 1e-3) ** 2), np.float64)


def edges(scores: Float64) -> Float64:
    """The running median of the next five rows less that of the last five, at each row but for some at the ends."""
    smooth = running_median(scores)
    return smooth[5:] - smooth[:-5]


def at_phase(phases: Float64, values: Float64, phase: Float64) -> Float64:
    """Values at phases, linear between those of the bins that are known, around the circle."""
    known = np.isfinite(values)
    order = np.argsort(phases[known])
    return np.interp(phase, phases[known][order], values[known][order], period=1.0)


def _by_bin(values: Float64, which: Int64, bins: int) -> tuple[Float64, Int64]:
    """Median of the values in each bin, NaN if there are none, and their number."""
    order = np.lexsort((values, which))
    ranked = values[order]
    counts = np.bincount(which, minlength=bins)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    low = np.minimum(starts + np.maximum(counts - 1, 0) // 2, len(values) - 1)
    high = np.minimum(starts + counts // 2, len(values) - 1)
    return np.where(counts > 0, (ranked[low] + ranked[high]) / 2, np.nan), counts
