# SPDX-License-Identifier: Apache-2.0
"""SPAN-I counts as differential energy flux: dead time, leakage between species, attenuator, geometric factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Calibration
from lake.errors import CalibrationError
from transforms.conversions import Floats, calibration_rows
from transforms.hermes.spani_counts import SPECIES, middle
from transforms.physics import energy_flux, without_dead_time


@dataclass(frozen=True)
class Timing:
    """How long a sweep takes and each of its steps counts [s], and what the dead time [s] does."""

    sweep_s: float
    step_s: float
    dead_time_s: float
    high_part: float
    rejected_part: float


@dataclass(frozen=True)
class Flux:
    """Flux and uncertainty [species, k] in eV/(cm2 s sr eV) of k cells, and the dead part [k] of each one's time."""

    values: Floats
    uncertainty: Floats
    dead: Floats


def only_row(calibration: Calibration, names: tuple[str, ...]) -> tuple[float, ...]:
    """The numbers in the one row of a calibration. Raises CalibrationError if it has more, or none."""
    if calibration.frame.height != 1:
        raise CalibrationError(f"{calibration.path}: has {calibration.frame.height} rows. Leave one.")
    return calibration_rows(calibration, key=(), numbers=names).select(names).row(0)


def timing_of(timing: Calibration) -> Timing:
    """Times and dead time. Raises CalibrationError if the calibration does not hold them."""
    names = ("sweep_s", "steps", "settle_part", "dead_time_s", "high_dead_part", "rejected_dead_part")
    sweep, steps, settle, *rest = only_row(timing, names)
    return Timing(sweep, sweep / steps * (1 - settle), *rest)


def attenuator_factor(attenuator: Calibration) -> pl.Expr:
    """The factor by which the attenuator reduces counts, by the column `attenuator`; null for an unknown position."""
    rows = calibration_rows(attenuator, ("position",), ("factor",))
    return pl.col("attenuator").replace_strict(rows["position"], rows["factor"].cast(pl.Float64), default=None)


def leakage_matrix(leakage: Calibration) -> Floats:
    """The part [to, from] of the events of a species that is counted for a species."""
    rows = calibration_rows(leakage, key=("from_species", "to_species"), numbers=("part",))
    matrix = np.zeros((len(SPECIES), len(SPECIES)))
    for source, target, part in rows.select("from_species", "to_species", "part").iter_rows():
        if source not in SPECIES or target not in SPECIES:
            raise CalibrationError(f"{leakage.path}: {source} to {target}: use the species {', '.join(SPECIES)}.")
        matrix[SPECIES.index(target), SPECIES.index(source)] = part
    if not np.linalg.det(matrix):
        raise CalibrationError(f"{leakage.path}: its parts cannot be inverted. Give each species its own part.")
    return matrix


def flux_of(
    counts: Floats,
    uncertainty: Floats,
    here: NDArray[np.bool_],
    live_s: Floats,
    geometric: Floats,
    matrix: Floats,
    timing: Timing,
) -> Flux:
    """Flux of counts [species, k] in k cells, the smallest that their codes stand for; NaN where there is none.

    `live_s` [k] is the time that the cell counted, `geometric` [k] its factor in cm2 sr eV/eV, the attenuator's part in
    it. The events of all species share the dead time of an anode: those that are `here` [species, k]; where one of
    these has no number, it is not known. Species i is the sum over j of the inverse of the leakage matrix times the
    rate of j; where a rate it needs is missing, it is missing too.
    """
    rate = middle(counts) / live_s
    total = np.where(here, rate, 0).sum(axis=0)
    dead = total * timing.dead_time_s
    share = np.divide(without_dead_time(total, timing.dead_time_s), total, out=np.ones_like(total), where=total != 0)
    share[dead > timing.rejected_part] = np.nan
    # d true / d measured, of the species' own counts alone: (1 - total tau + rate tau) / (1 - total tau)^2
    slope = share * (1 + rate * timing.dead_time_s * share)
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    variance = _mixed(inverse**2, (uncertainty**2 + 1) * (slope / live_s) ** 2)
    return Flux(energy_flux(_mixed(inverse, rate * share), geometric), energy_flux(np.sqrt(variance), geometric), dead)


def one_count(live_s: Floats, geometric: Floats, matrix: Floats) -> Floats:
    """Uncertainty [species, ...] of the flux of cells where nothing was counted: that of sqrt(C + 1) = 1 count."""
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    per_count = energy_flux(1 / live_s, geometric)
    return np.stack([np.sqrt((row**2).sum()) * per_count for row in inverse])


def _mixed(matrix: Floats, values: Floats) -> Floats:
    """Sums over species with the weights of each row of the matrix; what has no weight does not matter."""
    mixed = np.zeros_like(values)
    for target, source in zip(*np.nonzero(matrix), strict=True):
        mixed[target] += matrix[target, source] * values[source]
    return mixed
