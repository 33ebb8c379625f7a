# SPDX-License-Identifier: Apache-2.0
"""EEA's moments: weights for its cells, what to do where steps are missing, and which moments can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lake.definitions import Axis, Calibration, Table
from transforms.hermes.eea_cells import CellValues
from transforms.hermes.eea_sweeps import named_value
from transforms.moments import Cells, Moments, cells, moments, sums, weights, whole_sky
from transforms.physics import ELECTRON_CHARGE, ELECTRON_MASS, Floats

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class MomentRules:
    """How fluxes become moments: weights of the ten sums and of the density's variance, and when moments are fit."""

    cells: Cells
    weights: Floats
    variance: Floats
    min_completeness: float
    min_counts: int


@dataclass(frozen=True)
class SweepMoments:
    """Moments of sweeps with the uncertainty of their density and the part of the sky that they rest on: all [n].

    `fit` says where there is a density, `full` where there are velocity and temperature too.
    """

    moments: Moments
    density_uncertainty_cm3: Floats
    coverage: Floats
    fit: Mask
    full: Mask


def read_rules(table: Table, limits: Calibration, flux_per_count: Floats, potential_v: float) -> MomentRules:
    """The rules for the cells of a table, whose potential [V] against the plasma is known or taken as 0."""
    energy, deflection, azimuth = (_borders(table.axis(name)) for name in ("energy", "deflection", "azimuth"))
    seen = cells(energy[:, 1], energy[:, 0], energy[:, 2], deflection, azimuth)
    by_order = weights(seen, ELECTRON_MASS, ELECTRON_CHARGE, potential_v, extend_to_zero=True)
    by_order *= whole_sky(seen)[:, None, None, None]
    return MomentRules(
        cells=seen,
        weights=by_order,
        # A flux F of C counts, each of k, has the variance F k.
        variance=by_order[:1] ** 2 * flux_per_count,
        min_completeness=named_value(limits, "min_completeness"),
        min_counts=int(named_value(limits, "min_counts")),
    )


def _borders(axis: Axis) -> Floats:
    """Lower border, centre and upper border of each cell: [cells, 3]."""
    centre, minus, plus = (np.asarray(values, np.float64) for values in (axis.values, axis.minus, axis.plus))
    return np.stack([centre - minus, centre, centre + plus], axis=1)


def sweep_moments(
    rules: MomentRules, flux: CellValues, completeness: FloatArray, counts: FloatArray, unusable: Mask
) -> SweepMoments:
    """Moments of fluxes [n, energy, deflection, azimuth].

    Where a step is missing, the mean of the other deflections at that energy and azimuth stands for it, as the seen
    part of the sky stands for the whole. `unusable` are sweeps with cells that were received and have no flux: what is
    lost there is unknown.
    """
    values, coverage, whole = flux.values, np.full(len(flux.values), rules.cells.coverage), np.ones(len(counts), bool)
    again = values
    if flux.there is not None:
        seen = np.einsum("neda,da->ne", flux.there, rules.cells.solid_angle) / rules.cells.solid_angle.sum()
        whole, coverage = (seen > 0).all(axis=1), coverage * seen.mean(axis=1)
        # What is seen counts 1 / seen times in the sum, its variance the square of that.
        again = values / np.where(seen > 0, seen**2, 1)[:, :, None, None]
        values = _filled(values, flux.there)
    found = moments(sums(values, rules.weights), ELECTRON_MASS)
    sigma = np.sqrt(sums(again, rules.variance)[:, 0])
    fit = whole & ~unusable & (completeness >= rules.min_completeness)
    # NaN, where there is no density, is not above 0.
    full = fit & (counts >= rules.min_counts) & (found.temperature_ev > 0)
    return SweepMoments(found, sigma, coverage, fit, full)


def _filled(values: FloatArray, there: Mask) -> FloatArray:
    """Values [n, e, d, a] with the mean over the deflections in place of what is not there."""
    mean = values.sum(axis=2, keepdims=True, where=there) / np.maximum(there.sum(axis=2, keepdims=True), 1)
    return np.where(there, values, mean.astype(values.dtype))
