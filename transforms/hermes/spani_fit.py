# SPDX-License-Identifier: Apache-2.0
"""Density, velocity and temperature of ion beams that are narrower than the bins that see them.

A solar wind beam is often colder than a bin is wide, so that sums over bins give it the bins' width and centre. Here a
drifting Maxwellian, averaged over each energy bin, is fitted to the spectrum summed over all directions, whose shape
does not depend on the direction of the beam. Nothing is published by what the fitted width is: a width that the bins
cannot tell from zero comes with the uncertainty of a beam that they could just tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transforms.conversions import Floats
from transforms.physics import speed

NODES = 12  # Gauss-Legendre nodes in a bin: enough for beams an eighth of the bin wide
ITERATIONS = 40
CONVERGED = 1e-4
LARGEST_STEP = np.array([1.0, 0.15, 0.4])  # of ln n, ln V and ln w; a larger one may lead out of the spectrum
SMALLEST_VARIANCE = 1e-3  # count^2, so that empty bins far from the beam can be weighted
WIDER = np.log(1.15)  # step of ln w on the way to a width that the bins can tell
WIDEST = np.log(3)  # of w / V


@dataclass(frozen=True)
class Bins:
    """Energy bins of one species: speeds [e, nodes] in cm/s, the weights [nodes] of their mean over ln E, and ln E."""

    speed: Floats
    weight: Floats
    log_centre: Floats
    log_width: Floats


@dataclass(frozen=True)
class Beam:
    """A drifting Maxwellian for each of n rows: density [cm-3], bulk and thermal speed sqrt(T/m) [cm/s].

    `covariance` [n, 3, 3] is that of the logarithms of the three; `counts` [n] are those that the fit explains;
    `share` [n, e] is the part of each bin's counts that belongs to the beam and not to the background. `heat_sigma`
    [n] is the uncertainty of the square of the thermal speed [cm2/s2], also where that is near 0.
    """

    density_cm3: Floats
    bulk: Floats
    thermal: Floats
    covariance: Floats
    counts: Floats
    share: Floats
    converged: NDArray[np.bool_]
    heat_sigma: Floats


@dataclass(frozen=True)
class _Data:
    """What is fitted: bins, counts and background counts [n, e], flux of one count and first ln V [n]."""

    bins: Bins
    counts: Floats
    noise: Floats
    per_count: Floats
    start: Floats
    narrowest: float

    def of(self, rows: NDArray[np.intp]) -> _Data:
        """Some of the rows."""
        names = ("counts", "noise", "per_count", "start")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def energy_bins(lower_ev_q: Floats, upper_ev_q: Floats, mass: float, charge: int) -> Bins:
    """Bins of a species of a mass [eV s2 cm-2] and charge [elementary charges], evenly sensitive over ln E."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    low, high = np.log(lower_ev_q * charge), np.log(upper_ev_q * charge)
    centre, width = (low + high) / 2, high - low
    logs = centre[:, None] + width[:, None] / 2 * nodes
    return Bins(speed(np.exp(logs), mass), weights / 2, centre, width)


def spectrum(bins: Bins, density: Floats, bulk: Floats, thermal: Floats) -> tuple[Floats, Floats]:
    """Mean flux over all directions [n, e] in 1/(cm2 s), and its derivatives [n, e, 3] by ln n, ln V and ln w.

    J_E = v4 f / 2 for f = n (2 pi w2)^(-3/2) exp(-(v - V)2 / 2 w2); over the sphere the exponential gives
    2 pi w2 / (v V) [exp(-(v - V)2 / 2 w2) - exp(-(v + V)2 / 2 w2)].
    """
    n, big, w = (value[:, None, None] for value in (density, bulk, thermal))
    v = bins.speed
    towards, away = np.exp(-((v - big) ** 2) / (2 * w**2)), np.exp(-((v + big) ** 2) / (2 * w**2))
    front = n * v**3 / (2 * big * np.sqrt(2 * np.pi) * w) * bins.weight
    value = front * (towards - away)
    by_bulk = front * (towards * (v - big) + away * (v + big)) * big / w**2 - value
    by_width = front * (towards * (v - big) ** 2 - away * (v + big) ** 2) / w**2 - value
    mean = value.sum(axis=2)
    return mean, np.stack([mean, by_bulk.sum(axis=2), by_width.sum(axis=2)], axis=2)


def fit_beam(bins: Bins, flux: Floats, background: Floats, per_count: Floats, narrowest: float) -> Beam:
    """The Maxwellian of greatest likelihood for spectra [n, e] of flux summed over directions [1/(cm2 s)].

    `background` [n, e] is what has been subtracted, whose counts still scatter; `per_count` [n] is the flux of one
    count; `narrowest` is the smallest relative width in energy, dE/E, that is tried.
    """
    counts, noise = flux / per_count[:, None], np.maximum(background, 0) / per_count[:, None]
    first = _start(bins, counts, noise, per_count)
    data = _Data(bins, counts, noise, per_count, first[:, 1].copy(), narrowest)
    logs, converged = _climbed(data, first)
    information, gradient, model = _score(data, logs)
    ends = _narrow(data, logs) & (np.linalg.solve(information, gradient[:, :, None])[:, 2, 0] <= 0)
    covariance = np.asarray(np.linalg.inv(_without_width(information, ends)), np.float64)
    share = model / (model + noise + SMALLEST_VARIANCE)
    n, bulk, thermal = np.exp(logs).T
    return Beam(n, bulk, thermal, covariance, model.sum(axis=1), share, converged, _heat_sigma(data, logs))


def _climbed(data: _Data, logs: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Logarithms [n, 3] at the greatest likelihood, and which rows got there.

    Fisher scoring with the variance of the model, so that few counts do not bias it.
    """
    active, reach, before = np.arange(len(logs)), np.ones(len(logs)), np.zeros((len(logs), 2))
    for _ in range(ITERATIONS):
        # A row that has converged is left alone, so that it does not depend on the rows it came with.
        last, part = logs[active], data.of(active)
        step = _step(part, last)
        # With few counts the width may jump to and fro across its best value, and with no width the speed: then steps
        # become shorter.
        bulk_turns, width_turns = (step[:, 1:] * before[active] < 0).T
        reach[active] *= np.where(width_turns | (bulk_turns & _narrow(part, last)), 0.5, 1)
        before[active] = step[:, 1:]
        logs[active] = _bounded(part, last + reach[active, None] * step)
        active = active[~(np.abs(logs[active] - last).max(axis=1) < CONVERGED)]
        if not len(active):
            break
    return logs, ~np.isin(np.arange(len(logs)), active)


def _heat_sigma(data: _Data, logs: Floats) -> Floats:
    """Uncertainty [n] of the square of the thermal speed [cm2/s2].

    Where it is larger than the value itself, the counts hardly depend on it, and no slope says how far it may be off:
    there it is the square of the smallest thermal speed that such counts would tell. A bin of C counts weighs C + 1.
    Of the narrowest beams that are tried it is never less than the value.
    """
    tried, sigma, active = logs.copy(), np.full(len(logs), np.inf), np.arange(len(logs))
    while len(active):
        information, _, _ = _score(data.of(active), tried[active], variance=1.0)
        relative = 2 * np.sqrt(np.maximum(np.linalg.inv(information)[:, 2, 2], 0))
        sigma[active] = np.minimum(relative, 1) * np.exp(2 * tried[active, 2])
        active = active[(relative > 1) & (tried[active, 2] - tried[active, 1] < WIDEST)]
        tried[active, 2] += WIDER
    return np.asarray(np.maximum(sigma, np.where(_narrow(data, logs), np.exp(2 * logs[:, 2]), 0)))


def _step(data: _Data, logs: Floats) -> Floats:
    """The next step [n, 3] of the scoring, shortened where it would lead too far; a width at its end stays there."""
    information, gradient, _ = _score(data, logs)
    step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
    ends = _narrow(data, logs) & (step[:, 2] <= 0)
    gradient[ends, 2] = 0
    step = np.linalg.solve(_without_width(information, ends), gradient[:, :, None])[:, :, 0]
    step[ends, 2] = step[ends, 1]  # the narrowest goes with the speed
    largest = np.max(np.abs(step) / LARGEST_STEP, axis=1, keepdims=True)
    return np.asarray(step / np.maximum(largest, 1))


def _narrow(data: _Data, logs: Floats) -> NDArray[np.bool_]:
    """True where the thermal speed is the smallest that is tried."""
    return np.asarray(logs[:, 2] - logs[:, 1] <= np.log(data.narrowest / 2) + 1e-9)


def _without_width(information: Floats, rows: NDArray[np.bool_]) -> Floats:
    """The information with the width of these rows taken as known."""
    information = information.copy()
    information[rows, 2, :], information[rows, :, 2] = 0, 0
    information[rows, 2, 2] = 1
    return information


def _start(bins: Bins, counts: Floats, noise: Floats, per_count: Floats) -> Floats:
    """Logarithms [n, 3] of density, bulk and thermal speed from the two bins to either side of the peak."""
    peak = np.argmax(counts - 3 * np.sqrt(noise), axis=1)
    near = np.abs(np.arange(counts.shape[1]) - peak[:, None]) <= 2
    inside = np.where(near, np.maximum(counts, 0), 0) + np.where(near, 1e-9, 0)
    total = inside.sum(axis=1)
    x, width = bins.log_centre, bins.log_width[peak]
    mean = np.einsum("ne,e->n", inside, x) / total
    spread = (inside * (x - mean[:, None]) ** 2).sum(axis=1) / total - width**2 / 12
    bulk = np.exp(np.interp(mean, x, np.log(bins.speed) @ bins.weight))
    thermal = bulk / 2 * np.sqrt(np.maximum(spread, (0.3 * width) ** 2))
    density = np.maximum(total * per_count * width / bulk, 1e-6)
    return np.asarray(np.log(np.stack([density, bulk, thermal], axis=1)), np.float64)


def _bounded(data: _Data, logs: Floats) -> Floats:
    """Keeps bulk speeds near the bins, and widths between the narrowest and a few times the bulk speed."""
    n, bulk, thermal = logs.T
    slowest, fastest = np.log(data.bins.speed.min() / 2), np.log(data.bins.speed.max() * 2)
    bulk = np.clip(bulk, slowest, fastest)
    thermal = np.clip(thermal, bulk + np.log(data.narrowest / 2), bulk + WIDEST)
    return np.asarray(np.stack([np.clip(n, -30, 30), bulk, thermal], axis=1), np.float64)


def _score(data: _Data, logs: Floats, variance: float = SMALLEST_VARIANCE) -> tuple[Floats, Floats, Floats]:
    """Fisher information [n, 3, 3] and gradient [n, 3] of the likelihood, and counts [n, e] that the model expects.

    Where all counts are in one bin the speed could be anywhere in it: it is held to its start, the mean of the counts,
    by half the bin's width in ln E, which is all that the bin covers in ln V. It hardly matters elsewhere.
    """
    flux, slopes = spectrum(data.bins, *np.exp(logs).T)
    model, slopes = flux / data.per_count[:, None], slopes / data.per_count[:, None, None]
    weighted = slopes / (model + data.noise + variance)[:, :, None]
    information = np.einsum("nei,nej->nij", weighted, slopes) + 1e-9 * np.eye(3)
    gradient = np.einsum("nei,ne->ni", weighted, data.counts - model)
    hold = (2 / data.bins.log_width.mean()) ** 2
    information[:, 1, 1] += hold
    gradient[:, 1] -= hold * (logs[:, 1] - data.start)
    return information, gradient, model
