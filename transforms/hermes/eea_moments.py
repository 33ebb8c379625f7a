# SPDX-License-Identifier: Apache-2.0
"""EEA's moments: weights for its cells, what to do where steps are missing, and which moments can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lake.definitions import Axis, Calibration, Table
from transforms.conversions import named_numbers
from transforms.hermes.eea_cells import CellValues
from transforms.hermes.eea_filling import Filling, codes, filled, read_filling
from transforms.moments import Cells, Moments, cells, directions, moments, sums, weights, whole_sky
from transforms.moments_below import Below, SlopeRules, below, rises, slope, sums_below
from transforms.physics import CM_PER_KM, ELECTRON_CHARGE, ELECTRON_MASS, Floats

SQUARES = slice(4, 7)  # xx, yy, zz among the ten sums
LIMITS = (
    *("min_completeness", "min_counts", "extrapolation_high", "flow_error_high"),
    *("slope_cells", "slope_sigmas", "slope_limit"),
)
Mask = NDArray[np.bool_]
FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class MomentRules:
    """How fluxes become moments: weights of the ten sums and of the density's variance, and when moments are fit.

    `sky` [10] takes the sums over the field of view to the whole sky; `view` [3] is by how much the mean squares of the
    directions that are seen are above those of the whole sky; `one_count` is the variance of one count in the cell that
    weighs most; `limits` are those of the calibration.
    """

    cells: Cells
    weights: Floats
    sky: Floats
    view: Floats
    variance: Floats
    one_count: float
    flux_per_count: Floats
    below: Below
    filling: Filling
    limits: dict[str, float]


@dataclass(frozen=True)
class SweepMoments:
    """Moments of sweeps and how far they can be believed: all [n].

    `coverage` is the part of the sky that they rest on, `extrapolated` the part of the density that is below the
    energies that are seen, `flow_error` the relative error of the density that a drifting Maxwellian of this velocity
    and temperature has, to second order. `fit` says where there is a density, `full` where there are velocity and
    temperature too.
    """

    moments: Moments
    density_uncertainty_cm3: Floats
    coverage: Floats
    extrapolated: Floats
    flow_error: Floats
    fit: Mask
    full: Mask


def read_rules(table: Table, limits: Calibration, flux_per_count: Floats, potential_v: float) -> MomentRules:
    """The rules for the cells of a table, whose potential [V] against the plasma is known or taken as 0."""
    energy, deflection, azimuth = (_borders(table.axis(name)) for name in ("energy", "deflection", "azimuth"))
    seen = cells(energy[:, 1], energy[:, 0], energy[:, 2], deflection, azimuth)
    known, sky = named_numbers(limits, *LIMITS), whole_sky(seen)
    slope_rules = SlopeRules(int(known["slope_cells"]), known["slope_sigmas"], known["slope_limit"])
    below_seen = below(seen, ELECTRON_MASS, ELECTRON_CHARGE, potential_v, slope_rules)
    by_order = weights(seen, ELECTRON_MASS, ELECTRON_CHARGE, potential_v)
    per_count = by_order[0] * flux_per_count
    per_count[below_seen.lowest] += below_seen.weights[0] * flux_per_count[below_seen.lowest]
    return MomentRules(
        cells=seen,
        weights=by_order * sky[:, None, None, None],
        sky=sky,
        view=(directions(seen.flow)[SQUARES] * seen.solid_angle).sum(axis=(1, 2)) / seen.solid_angle.sum() - 1 / 3,
        # A flux F of C counts, each of k, has the variance F k.
        variance=(by_order[:1] * sky[0]) ** 2 * flux_per_count,
        one_count=float((per_count.max() * sky[0]) ** 2),
        flux_per_count=flux_per_count,
        below=below_seen,
        filling=read_filling(seen),
        limits=known,
    )


def _borders(axis: Axis) -> Floats:
    """Lower border, centre and upper border of each cell: [cells, 3]."""
    centre, minus, plus = (np.asarray(values, np.float64) for values in (axis.values, axis.minus, axis.plus))
    return np.stack([centre - minus, centre, centre + plus], axis=1)


@dataclass(frozen=True)
class Seen:
    """The fluxes of sweeps [n, e, d, a] with every step filled, and what is known of the filling.

    The weighted sum of `again` is the variance; `coverage` is a part of the sky; `whole` says where each energy was
    seen, `pointed` where it was seen at two deflections or more, without which there is no flow across the ring.
    """

    values: FloatArray
    again: FloatArray
    counts: Floats
    coverage: Floats
    whole: Mask
    pointed: Mask


def sweep_moments(
    rules: MomentRules, flux: CellValues, completeness: FloatArray, counts: FloatArray, unusable: Mask
) -> SweepMoments:
    """Moments of fluxes [n, energy, deflection, azimuth].

    Where a step is missing, f0 + f1 . u through the other directions of that energy stands for it, as it does for the
    unseen part of the sky. `unusable` are sweeps with cells that were received and have no flux: what is lost there is
    unknown.
    """
    seen = _seen(rules, flux)
    rise, sigma, shared = slope(rules.below, _by_energy(rules, seen.values), seen.counts)
    factor, by_rise = rises(rules.below, rise)
    under = sums_below(rules.below, seen.values[:, rules.below.lowest], factor) * rules.sky
    total = sums(seen.values, rules.weights) + under
    found = moments(total, ELECTRON_MASS)
    change = under[:, 0] / factor[:, 0] * by_rise[:, 0]
    of_slope = (change * sigma) ** 2 + 2 * change * (shared * _densities(rules, seen.values, under[:, 0])).sum(axis=1)
    fit = seen.whole & ~unusable & (completeness >= rules.limits["min_completeness"])
    # NaN, where there is no density, is not above 0.
    full = fit & seen.pointed & (counts >= rules.limits["min_counts"]) & (found.temperature_ev > 0)
    uncertainty = np.sqrt(np.maximum(_variance(rules, seen, factor[:, 0]) + of_slope, rules.one_count))
    extrapolated = under[:, 0] / np.where(total[:, 0] > 0, total[:, 0], np.nan)
    return SweepMoments(found, uncertainty, seen.coverage, extrapolated, _flow_error(rules, found, full), fit, full)


def _seen(rules: MomentRules, flux: CellValues) -> Seen:
    values, n = flux.values, len(flux.values)
    lowest = slice(rules.below.lowest, rules.below.lowest + len(rules.below.energy_ev))
    counts: Floats = (values[:, lowest] / rules.flux_per_count[lowest]).sum(axis=(2, 3), dtype=np.float64)
    everywhere = np.ones(n, np.bool_)
    if flux.missing is None:
        return Seen(values, values, counts, np.full(n, rules.cells.coverage), everywhere, everywhere)
    there = ~flux.missing
    code = codes(there)
    whole, again = filled(rules.filling, values, there, code)
    coverage: Floats = rules.cells.coverage * rules.filling.seen[code].mean(axis=1)
    deflections = np.bitwise_count(code).min(axis=1)
    return Seen(whole, again, counts, coverage, np.asarray(deflections > 0), np.asarray(deflections > 1))


def _by_energy(rules: MomentRules, values: FloatArray) -> Floats:
    """Mean fluxes [n, c] over the directions of the lowest energies, which give the slope."""
    lowest = slice(rules.below.lowest, rules.below.lowest + len(rules.below.energy_ev))
    share = rules.cells.solid_angle / rules.cells.solid_angle.sum()
    return np.asarray(np.einsum("neda,da->ne", values[:, lowest].astype(np.float64), share))


def _densities(rules: MomentRules, values: FloatArray, under: Floats) -> Floats:
    """The parts [n, c] of the density that the lowest energies give, the first with what is below it."""
    lowest = slice(rules.below.lowest, rules.below.lowest + len(rules.below.energy_ev))
    parts = np.einsum("neda,eda->ne", values[:, lowest].astype(np.float64), rules.weights[0, lowest])
    parts[:, 0] += under
    return np.asarray(parts)


def _variance(rules: MomentRules, seen: Seen, factor: Floats) -> Floats:
    """Variance [n] of the density: that of its counts, and of one more in the cell that weighs most, as with the flux.

    The lowest cell counts for what is below it too.
    """
    lowest = rules.below.lowest
    more = 1 + factor * rules.below.weights[0, 0, 0] * rules.sky[0] / rules.weights[0, lowest, 0, 0]
    at_lowest = np.einsum("nda,da->n", seen.again[:, lowest].astype(np.float64), rules.variance[0, lowest])
    return np.asarray(sums(seen.again, rules.variance)[:, 0] + at_lowest * (more**2 - 1) + rules.one_count)


def _flow_error(rules: MomentRules, found: Moments, full: Mask) -> Floats:
    """3 sum of w_i^2 (<u_i^2> - 1/3), w being V over the thermal speed sqrt(2 T / m); 0 where there is no velocity.

    Source: the density of a drifting Maxwellian in the field of view, taken to the sky by its coverage, to order w^2.
    """
    thermal = np.where(full, 2 * found.temperature_ev, np.inf) / ELECTRON_MASS
    flow = np.where(full[:, None], found.velocity_km_s, 0) * CM_PER_KM
    return np.asarray(3 * (flow**2 * rules.view).sum(axis=1) / thermal)
