# SPDX-License-Identifier: Apache-2.0
"""Where in the field of view of SPAN-I the centre of a beam lies, how well the counts tell it, and what part is seen.

Around its centre a beam of thermal speed w and bulk speed V is w / V wide in each angle. Its centre is where the mean
over the bins of the angle is that of the counts. A beam of which only an outermost bin sees anything could be far
outside: the counts then do not tell its centre, nor what part of it they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from transforms.conversions import Floats

BISECTIONS = 20  # of 270 deg: to 0.001 deg
OUTSIDE = 4.0  # widths beyond the borders within which a centre is looked for; 3e-5 of a beam is seen from there
AT_EDGE = 1e-3  # part of the counts in an outermost bin; where there is less, less than that is outside


@dataclass(frozen=True)
class Angle:
    """Centre and its uncertainty [n, rad] in one angle, part [n] of the beam seen, and its relative uncertainty."""

    centre: Floats
    sigma: Floats
    inside: Floats
    inside_sigma: Floats


@dataclass(frozen=True)
class Direction:
    """Look direction [n, 3] of the centre and its uncertainty [rad], coverage, and the uncertainty of its logarithm."""

    look: Floats
    sigma: Floats
    coverage: Floats
    coverage_sigma: Floats


def direction(
    seen: dict[str, Floats], edges: dict[str, Floats], per_count: Floats, width: Floats, width_sigma: Floats
) -> Direction:
    """The direction of beams of a width and its uncertainty [n, rad] from the flux [n, k] in the bins of each angle.

    `edges` [k + 1, rad] border the bins, `per_count` [n] is the flux of one count. The solid angle moves the centre in
    deflection d by width^2 tan(d) / 2, and a degree of azimuth is cos(d) of a degree.
    """
    deflection = angle(seen["deflection"], edges["deflection"], per_count, width, width_sigma)
    elevation = deflection.centre + width**2 * np.tan(deflection.centre) / 2
    flat = np.cos(elevation)
    azimuth = angle(seen["azimuth"], edges["azimuth"], per_count, width / flat, width_sigma / flat)
    look = np.stack([flat * np.cos(azimuth.centre), flat * np.sin(azimuth.centre), np.sin(elevation)], axis=1)
    return Direction(
        look,
        np.hypot(deflection.sigma, flat * azimuth.sigma),
        deflection.inside * azimuth.inside,
        np.hypot(deflection.inside_sigma, azimuth.inside_sigma),
    )


def angle(values: Floats, edges: Floats, per_count: Floats, width: Floats, width_sigma: Floats) -> Angle:
    """One angle. What part is seen is worked out with its uncertainty where an outermost bin sees anything."""
    mean, error = mean_of(values, edges, per_count)
    middle = centre(mean, edges, width)
    inside, spread = np.ones_like(middle), np.zeros_like(middle)
    near = np.maximum(values[:, 0], values[:, -1]) > AT_EDGE * values.sum(axis=1)
    near |= ~np.isfinite(mean)
    inside[near], spread[near] = _seen(edges, mean[near], error[near], width[near], width_sigma[near])
    return Angle(middle, _sigma(edges, middle, error, width), inside, spread)


def _seen(edges: Floats, mean: Floats, error: Floats, width: Floats, width_sigma: Floats) -> tuple[Floats, Floats]:
    """The part [n] that is seen, and what a standard deviation of the mean, and of the width, does to its logarithm."""
    wide = np.sqrt(width**2 + width_sigma**2)
    narrow = np.sqrt(np.maximum(width**2 - width_sigma**2, width**2 / 4))
    tried = ((mean, width), (mean - error, width), (mean + error, width), (mean, narrow), (mean, wide))
    inside, *others = (seen_part(edges, centre(m, edges, w), w) for m, w in tried)
    return inside, np.hypot(_spread(inside, *others[:2]), _spread(inside, *others[2:]))


def _sigma(edges: Floats, middle: Floats, error: Floats, width: Floats) -> Floats:
    """Uncertainty [n] of centres from that of the means; in a bin that sees the whole beam, that of anywhere in it."""
    parts = parts_between(edges, middle, width)
    x = (edges - middle[:, None]) / width[:, None]
    by_centre = -np.diff(np.exp(-(x**2) / 2), axis=1) / np.sqrt(2 * np.pi) / width[:, None]
    at, total = (edges[1:] + edges[:-1]) / 2, parts.sum(axis=1)
    mean = np.einsum("nk,k->n", parts, at) / total
    slope = np.einsum("nk,nk->n", by_centre, at - mean[:, None]) / total
    anywhere = np.diff(edges)[np.argmax(parts, axis=1)] / np.sqrt(12)
    return np.asarray(np.minimum(error / np.maximum(slope, 1e-12), anywhere), np.float64)


def _spread(middle: Floats, *others: Floats) -> Floats:
    """The largest difference of the logarithms of parts that are seen."""
    return np.asarray(np.max([np.abs(np.log(other / middle)) for other in others], axis=0))


def mean_of(values: Floats, edges: Floats, per_count: Floats) -> tuple[Floats, Floats]:
    """The mean [n] over the middles of the bins, and its uncertainty; one count more may have been in the next bin."""
    middle = (edges[1:] + edges[:-1]) / 2
    total = values.sum(axis=1)
    mean = np.divide(np.einsum("nk,k->n", values, middle), total, out=np.full_like(total, np.nan), where=total > 0)
    scatter = (np.abs(values) * (middle - mean[:, None]) ** 2).sum(axis=1)
    step = np.gradient(middle)[np.argmax(values, axis=1)]
    variance = per_count * scatter + (per_count * step) ** 2
    return mean, np.sqrt(np.divide(variance, total**2, out=np.full_like(total, np.nan), where=total > 0))


def centre(mean: Floats, edges: Floats, width: Floats) -> Floats:
    """The centre [n] of a normal distribution of a width [n] that has this mean [n] over the bins between the edges.

    Found by bisection, as the mean grows with the centre; no further outside than a few widths.
    """
    middle = (edges[1:] + edges[:-1]) / 2
    low, high = edges[0] - OUTSIDE * width, edges[-1] + OUTSIDE * width
    for _ in range(BISECTIONS):
        at = (low + high) / 2
        parts = parts_between(edges, at, width)
        below = np.einsum("nk,k->n", parts, middle) < mean * parts.sum(axis=1)
        low, high = np.where(below, at, low), np.where(below, high, at)
    return np.asarray((low + high) / 2, np.float64)


def seen_part(edges: Floats, centre: Floats, width: Floats) -> Floats:
    """The part [n] of normal distributions that lies between the outermost edges."""
    return parts_between(edges[[0, -1]], centre, width)[:, 0]


def parts_between(edges: Floats, centre: Floats, width: Floats) -> Floats:
    """The parts [n, k] of normal distributions between edges [k + 1], as exact far above the centre as far below."""
    x = (edges - centre[:, None]) / width[:, None]
    tail = ndtr(-np.abs(x))
    astride = (x[:, 1:] > 0) & (x[:, :-1] <= 0)
    return np.where(astride, 1 - tail[:, 1:] - tail[:, :-1], np.abs(np.diff(tail, axis=1)))
