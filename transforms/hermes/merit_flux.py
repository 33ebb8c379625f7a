# SPDX-License-Identifier: Apache-2.0
"""MERiT's formulas: count rates free of dead time, the inverse of leakage, and flux at the energy of a bin.

Arrays have the shape [n, heads, bins] or [n, heads]; NaN stands for a value that there is none of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import exprel

from transforms.conversions import Floats

# At this index the mean over a bin is exactly the value at its geometric centre: 1/(low high) = 1/centre^2.
NEUTRAL_INDEX = 2.0
# The correction is a few percent, so the index that it is taken from settles at once.
ROUNDS = 3


@dataclass(frozen=True)
class Rates:
    """Count rates and their Poisson errors [1/s], and the trigger rate of each head times its dead time."""

    rate: Floats
    sigma: Floats
    dead_fraction: Floats


def count_rates(counts: Floats, live_time_s: Floats, triggers: Floats, dead_time_s: Floats, largest: Floats) -> Rates:
    """Rates corrected for live time and for a non-paralysable dead time that each trigger causes.

    R = C / t_live, R0 = R / (1 - R_trigger tau) (G. F. Knoll, Radiation Detection and Measurement, 4th ed., 4.VII).
    Heads without live time, or with a dead fraction of `largest` or more, have none. The error of a bin without counts
    is that of one count.
    """
    live = np.where(live_time_s > 0, live_time_s, np.nan)
    dead = triggers / live * dead_time_s
    per_second = 1 / (live * np.where(dead < largest, 1 - dead, np.nan))[..., np.newaxis]
    return Rates(counts * per_second, np.sqrt(np.maximum(counts, 1)) * per_second, dead)


def without_leakage(rates: Rates, leakage: Floats) -> tuple[Floats, Floats]:
    """Rates of the bins in which particles belong, and their errors: the inverse of leakage [measured, true]."""
    inverse = np.linalg.inv(leakage)
    # einsum adds in a fixed order; a product by the linear algebra library may depend on the rows around it.
    rate = np.einsum("ij,nhj->nhi", inverse, rates.rate)
    variance = np.einsum("ij,nhj->nhi", inverse**2, rates.sigma**2)
    return rate, np.sqrt(variance)


def means_of_stretches(values: Floats, sigma: Floats, starts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The mean over the rows from each of `starts` to the next, without those that are NaN, and its error."""
    there = np.isfinite(values)
    total, rows = (np.add.reduceat(np.where(there, part, 0), starts, axis=0) for part in (values, 1.0))
    variance = np.add.reduceat(np.where(there, sigma**2, 0), starts, axis=0)
    rows = np.where(rows > 0, rows, np.nan)
    return total / rows, np.sqrt(variance) / rows


def to_bin_energies(
    mean: Floats, sigma: Floats, energies: Floats, edges: tuple[Floats, Floats], significant_sigma: float
) -> Floats:
    """The factor from the mean flux over each bin to the flux at its energy.

    In each bin the flux is taken for the power law that its neighbours tell: J(E) = mean / ((1/dE) integral of
    (e/E)^-index de), with the index from the slope of log J against log E. Where the bin or a neighbour is below
    `significant_sigma` times its counting error the index is taken as 2, for which the mean is the value at the
    geometric centre.
    """
    significant = mean > significant_sigma * sigma
    factor = np.ones_like(mean)
    for _ in range(ROUNDS):
        index = local_index(np.where(significant, mean * factor, np.nan), energies)
        factor = 1 / bin_mean(index, energies, edges)
    return factor


def local_index(flux: Floats, energies: Floats) -> Floats:
    """The index -d log J / d log E in each bin; 2 where it or a neighbour is NaN."""
    slope = np.gradient(np.log(flux), np.log(energies), axis=-1)
    return np.where(np.isnan(slope), NEUTRAL_INDEX, -slope)


def bin_mean(index: Floats, energies: Floats, edges: tuple[Floats, Floats]) -> Floats:
    """The mean of (e/E)^-index over each bin, E being its energy: the integral in closed form over the width.

    With u = ln(e/E) and a = 1 - index the integral is exp(a u_low) (u_high - u_low) exprel(a (u_high - u_low)), which
    holds for index 1 too.
    """
    low, high = edges[0] / energies, edges[1] / energies
    exponent, span = 1 - index, np.log(high / low)
    integral = np.exp(exponent * np.log(low)) * span * exprel(exponent * span)
    return np.asarray(integral / (high - low), np.float64)
