# SPDX-License-Identifier: Apache-2.0
"""What an analyser does not see below its lowest energy: extrapolated from the cells next to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.moments import ORDER, ORDERS, Cells, angular_weights
from transforms.physics import Floats, phase_space_density, speed

NODES = 8  # Gauss-Legendre nodes between zero and the lowest speed: exact to 1e-6 where f rises tenfold


@dataclass(frozen=True)
class SlopeRules:
    """How the slope of ln f is found: in so many cells, if it is so many sigmas from 0; f rises to so much at most."""

    cells: int
    sigmas: float
    limit: float


@dataclass(frozen=True)
class Below:
    """What is below the lowest cell with E' > 0, number `lowest`, whose lower border is at E' = `border_ev`.

    `energy_ev` [c] are the energies E' of the cells from `lowest` on that give the slope, `flux_to_f` [c] is the phase
    space density of one unit of flux in each, `weights` [10, d, a] turn the flux of the lowest cell into the sums of
    order 0, 1 and 2 from zero up to the border with constant f.
    """

    lowest: int
    border_ev: float
    energy_ev: Floats
    flux_to_f: Floats
    weights: Floats
    rules: SlopeRules


def below(cells: Cells, mass: float, charge: int, potential_v: float, rules: SlopeRules) -> Below:
    """What the cells do not see of a plasma at whose spacecraft they stand; see `moments.weights`."""
    plasma_ev = cells.energy_ev + charge * potential_v
    lowest = int(np.argmax(plasma_ev > 0))
    used = slice(lowest, lowest + rules.cells)
    border = max(float(cells.lower_ev[lowest]) + charge * potential_v, 0.0)
    to_f = phase_space_density(1.0, cells.energy_ev[used], mass)
    radial = np.array([[speed(border, mass) ** (k + 3) / (k + 3) * to_f[0]] for k in range(ORDERS)])
    return Below(lowest, border, plasma_ev[used], to_f, angular_weights(cells, radial)[:, 0], rules)


def slope(below: Below, flux: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """The rise [1/eV] of ln f towards lower energies, from mean fluxes and counts [n, c] of cells.

    Also its sigma, both [n], and its covariance [n, c] with ln f of each cell.

    Least squares with the counts as weights, as ln f has the variance 1 / counts: exact for a Maxwellian, whose slope
    is 1 / T. It is 0 if it is not clear of the noise or negative, and at most what the limit allows.
    """
    rules = below.rules
    there = (counts > 0) & (flux > 0)
    weight = np.where(there, counts, 0)
    log_f = np.log(np.where(there, flux * below.flux_to_f, 1))
    total = np.maximum(weight.sum(axis=1), 1)
    energy = below.energy_ev - ((weight * below.energy_ev).sum(axis=1) / total)[:, None]
    spread = (weight * energy**2).sum(axis=1)
    known = spread > 0
    rise = -(weight * energy * log_f).sum(axis=1) / np.where(known, spread, 1)
    sigma = 1 / np.sqrt(np.where(known, spread, np.inf))
    clear = known & (rise > rules.sigmas * sigma)
    sigma = np.where(clear, sigma, 0)
    limited = np.where(clear, np.minimum(rise, np.log(rules.limit) / below.energy_ev[0]), 0)
    return limited, sigma, np.where(there, -energy * sigma[:, None] ** 2, 0)


def rises(below: Below, rise: Floats) -> tuple[Floats, Floats]:
    """How many times more than with constant f there is below, by order, and its derivative by the rise: [n, 3].

    (k + 3) times the integral of t^(k+2) exp(rise (E0 - E1 t2)) from 0 to 1, t being the speed over that at the border.
    """
    nodes, share = np.polynomial.legendre.leggauss(NODES)
    t, share = (nodes + 1) / 2, share / 2
    lift = below.energy_ev[0] - below.border_ev * t**2
    f = np.exp(rise[:, None] * lift)
    order = np.arange(ORDERS)[:, None]
    kernel = (order + 3) * t ** (order + 2) * share
    whole, lifted = (np.einsum("nt,kt->nk", values, kernel) for values in (f, f * lift))
    return whole, lifted


def sums_below(below: Below, flux: NDArray[np.floating], factor: Floats) -> Floats:
    """The ten sums [n, 10] below, of fluxes [n, d, a] in the lowest cell, times factors [n, 3] by order."""
    return np.asarray(np.einsum("nda,kda->nk", flux.astype(np.float64), below.weights) * factor[:, ORDER])
