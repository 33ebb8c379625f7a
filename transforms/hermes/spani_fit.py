# SPDX-License-Identifier: Apache-2.0
"""Density, velocity and temperature of ion beams that are narrower than the bins that see them.

A solar wind beam is often colder than a bin is wide, so that sums over bins give it the bins' width and centre. Here a
drifting Maxwellian, averaged over each energy bin, is fitted to the spectrum summed over all directions, whose shape
does not depend on the direction of the beam. Then its centre in each angle follows from the mean over the angle's bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from transforms.conversions import Floats
from transforms.physics import speed

NODES = 12  # Gauss-Legendre nodes in a bin: enough for beams an eighth of the bin wide
ITERATIONS = 40
CONVERGED = 1e-4
LARGEST_STEP = np.array([1.0, 0.15, 0.4])  # of ln n, ln V and ln w; a larger one may lead out of the spectrum
NARROWEST = 0.04  # relative width of a beam in energy, dE/E; bins cannot tell it from a narrower one
SMALLEST_VARIANCE = 1e-3  # count^2, so that empty bins far from the beam can be weighted


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
    `share` [n, e] is the part of each bin's counts that belongs to the beam and not to the background; `narrow` beams
    [n] are narrower than the bins can tell.
    """

    density_cm3: Floats
    bulk: Floats
    thermal: Floats
    covariance: Floats
    counts: Floats
    share: Floats
    converged: NDArray[np.bool_]
    narrow: NDArray[np.bool_]


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


def fit_beam(bins: Bins, flux: Floats, background: Floats, per_count: Floats) -> Beam:
    """The Maxwellian of greatest likelihood for spectra [n, e] of flux summed over directions [1/(cm2 s)].

    `background` [n, e] is what has been subtracted, whose counts still scatter; `per_count` [n] is the flux of one
    count. Fisher scoring with the variance of the model, so that few counts do not bias it.
    """
    counts, noise = flux / per_count[:, None], np.maximum(background, 0) / per_count[:, None]
    logs = _start(bins, counts, noise, per_count)
    start = logs[:, 1].copy()
    active, reach, before = np.arange(len(logs)), np.ones(len(logs)), np.zeros(len(logs))
    for _ in range(ITERATIONS):
        # A row that has converged is left alone, so that it does not depend on the rows it came with.
        rows = (logs[active], counts[active], noise[active], per_count[active], start[active])
        step = _step(bins, *rows)
        # With few counts the width may jump to and fro across its best value: then steps become shorter.
        reach[active] *= np.where(step[:, 2] * before[active] < 0, 0.5, 1)
        before[active] = step[:, 2]
        logs[active] = _bounded(bins, rows[0] + reach[active, None] * step)
        active = active[~(np.abs(logs[active] - rows[0]).max(axis=1) < CONVERGED)]
        if not len(active):
            break
    information, gradient, model = _score(bins, logs, counts, noise, per_count, start)
    narrow = _narrowest(logs) & (np.linalg.solve(information, gradient[:, :, None])[:, 2, 0] <= 0)
    covariance = np.asarray(np.linalg.inv(_without_width(information, narrow)), np.float64)
    n, bulk, thermal = np.exp(logs).T
    share = model / (model + noise + SMALLEST_VARIANCE)
    converged = ~np.isin(np.arange(len(logs)), active)
    return Beam(n, bulk, thermal, covariance, model.sum(axis=1), share, converged, narrow)


def _step(bins: Bins, logs: Floats, counts: Floats, noise: Floats, per_count: Floats, start: Floats) -> Floats:
    """The next step [n, 3] of the scoring, shortened where it would lead too far; a width at its end stays there."""
    information, gradient, _ = _score(bins, logs, counts, noise, per_count, start)
    step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
    ends = _narrowest(logs) & (step[:, 2] <= 0)
    gradient[ends, 2] = 0
    step = np.linalg.solve(_without_width(information, ends), gradient[:, :, None])[:, :, 0]
    largest = np.max(np.abs(step) / LARGEST_STEP, axis=1, keepdims=True)
    return np.asarray(step / np.maximum(largest, 1))


def _narrowest(logs: Floats) -> NDArray[np.bool_]:
    """True where the thermal speed is the smallest that is tried."""
    return np.asarray(logs[:, 2] - logs[:, 1] <= np.log(NARROWEST / 2) + 1e-9)


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


def _bounded(bins: Bins, logs: Floats) -> Floats:
    """Keeps bulk speeds near the bins, and widths between what bins can tell and the bulk speed itself."""
    n, bulk, thermal = logs.T
    bulk = np.clip(bulk, np.log(bins.speed.min() / 2), np.log(bins.speed.max() * 2))
    thermal = np.clip(thermal, bulk + np.log(NARROWEST / 2), bulk + np.log(3))
    return np.asarray(np.stack([np.clip(n, -30, 30), bulk, thermal], axis=1), np.float64)


def _score(
    bins: Bins, logs: Floats, counts: Floats, noise: Floats, per_count: Floats, start: Floats
) -> tuple[Floats, Floats, Floats]:
    """Fisher information [n, 3, 3] and gradient [n, 3] of the likelihood, and counts [n, e] that the model expects.

    Where all counts are in one bin the speed could be anywhere in it: it is held to its start, the mean of the counts,
    by half the bin's width in ln E, which is all that the bin covers in ln V. It hardly matters elsewhere.
    """
    flux, slopes = spectrum(bins, *np.exp(logs).T)
    model, slopes = flux / per_count[:, None], slopes / per_count[:, None, None]
    weight = 1 / (model + noise + SMALLEST_VARIANCE)
    weighted = slopes * weight[:, :, None]
    information = np.einsum("nei,nej->nij", weighted, slopes) + 1e-9 * np.eye(3)
    gradient = np.einsum("nei,ne->ni", weighted, counts - model)
    hold = (2 / bins.log_width.mean()) ** 2
    information[:, 1, 1] += hold
    gradient[:, 1] -= hold * (logs[:, 1] - start)
    return information, gradient, model


# ---- direction -----------------------------------------------------------------------------------------------------
def centre(values: Floats, edges: Floats, spread: Floats) -> Floats:
    """The centre [n] of a normal distribution of width `spread` [n] of which the bins [n, k] between edges see parts.

    It is where the mean over the bins is that of the values; found by bisection, as the mean grows with the centre.
    """
    middle = (edges[1:] + edges[:-1]) / 2
    total = values.sum(axis=1)
    wanted = np.divide(np.einsum("nk,k->n", values, middle), total, out=np.zeros_like(total), where=total > 0)
    low, high = (np.full(len(values), edge) for edge in (edges[0], edges[-1]))
    for _ in range(30):
        at = (low + high) / 2
        parts = parts_between(edges, at, spread) + 1e-30
        below = np.einsum("nk,k->n", parts, middle) / parts.sum(axis=1) < wanted
        low, high = np.where(below, at, low), np.where(below, high, at)
    return np.asarray((low + high) / 2, np.float64)


def parts_between(edges: Floats, centre: Floats, spread: Floats) -> Floats:
    """The parts [n, k] of normal distributions that lie between edges [k + 1]."""
    return np.asarray(np.diff(ndtr((edges - centre[:, None]) / spread[:, None]), axis=1))
