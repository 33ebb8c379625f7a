# SPDX-License-Identifier: Apache-2.0
"""SPAN-I flux as moments: sums over directions and bins, the fitted beam and its direction as columns, and flags."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Axis, Calibration, Table
from transforms.conversions import Floats, calibration_rows, check_rotation
from transforms.hermes.spani_counts import SPECIES, array_of, lists_where
from transforms.hermes.spani_direction import Direction, direction
from transforms.hermes.spani_fit import Beam, energy_bins, fit_beam
from transforms.hermes.spani_flux import leakage_matrix, only_row
from transforms.physics import ATOMIC_MASS, CM_PER_KM
from transforms.rows import columns_of, set_flags

CELLS = ("azimuth", "energy", "deflection")
LIMITS = (
    "fully_inside_part",
    "smallest_coverage",
    "largest_coverage_sigma",
    "largest_density_sigma",
    "largest_temperature_sigma",
    "narrowest_beam",
    "slowest_thermal_speeds",
)
BY_DIRECTION = (
    "density_cm3",
    "density_uncertainty_cm3",
    "velocity_km_s",
    "velocity_bus_km_s",
    "direction_uncertainty_deg",
    "coverage",
)
Columns = dict[str, pl.Series]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Known:
    """From calibrations: species, limits, leakage [to, from] in parts of the flux of the other, mounting."""

    species: dict[str, dict[str, Any]]
    limits: dict[str, float]
    leaked: Floats
    to_bus: Floats


def read_known(species: Calibration, leakage: Calibration, mounting: Calibration, fit: Calibration) -> Known:
    """Raises: CalibrationError if a calibration cannot be used."""
    particles = calibration_rows(species, ("species",), ("mass_u", "charge", "min_counts"))
    limits = dict(zip(LIMITS, only_row(fit, LIMITS), strict=True))
    matrix = leakage_matrix(leakage)
    leaked = matrix / np.diag(matrix)[:, None]
    return Known(particles.rows_by_key("species", named=True, unique=True), limits, leaked, _mounting(mounting))


def moments_of(table: Table, rows: pl.DataFrame, known: Known) -> pl.DataFrame:
    """The moments of rows of flux that are in order."""
    sums = {s: _sums(table, rows, s) for s in SPECIES}
    for index, s in enumerate(SPECIES):
        others = [(known.leaked[index, j], sums[other]["spectrum"]) for j, other in enumerate(SPECIES) if j != index]
        background = sum((part * np.nan_to_num(spectrum) for part, spectrum in others), np.zeros(1))
        rows = rows.with_columns(**_moments(table, s, sums[s], background, known))
    return _flagged_moments(table, rows, known)


def _mounting(mounting: Calibration) -> Floats:
    """The matrix [bus, instrument] that turns vectors of the instrument into the frame of the bus."""
    names = ("instrument_x", "instrument_y", "instrument_z")
    matrix = calibration_rows(mounting, key=("bus",), numbers=names).select(names).to_numpy().astype(np.float64)
    check_rotation(mounting, "instrument_x, instrument_y, instrument_z", matrix)
    return matrix


def edges_of(axis: Axis) -> Floats:
    """The borders of an axis' cells [k + 1] that follow each other."""
    values = np.array(axis.values)
    return np.append(values - np.array(axis.minus), values[-1] + axis.plus[-1])


def _sums(table: Table, rows: pl.DataFrame, species: str) -> dict[str, Floats]:
    """Flux times solid angle [sr]: over all directions [n, e], by energy and azimuth, by energy and deflection.

    NaN in rows of which a cell has no value. Only cells with flux are added up, in their order.
    """
    shape = azimuths, energies, deflections = [table.axis(name).size for name in CELLS]
    size = math.prod(shape)
    values = array_of(rows[f"{species}_eflux"], size)
    at = np.flatnonzero(values)
    spread = array_of(rows[f"{species}_eflux_uncertainty"], size)
    row, (a, e, d) = at // size, np.unravel_index(at % size, shape)
    azimuth, deflection = (np.deg2rad(edges_of(table.axis(name))) for name in ("azimuth", "deflection"))
    solid = np.diff(azimuth)[a] * np.diff(np.sin(deflection))[d]
    flux, n, place = values.reshape(-1)[at] * solid, len(rows), row * energies + e
    # C counts have the uncertainty of C + 1; that of the anode's empty cells is the one.
    one = spread.reshape(n, azimuths, energies * deflections).min(axis=2)[row, a]
    variance = np.maximum(spread.reshape(-1)[at].astype(np.float64) ** 2 - one.astype(np.float64) ** 2, 0)

    def added(place: NDArray[np.intp], weights: Floats, *sizes: int) -> Floats:
        return np.bincount(place, weights, math.prod(sizes)).astype(np.float64).reshape(sizes)

    return {
        "spectrum": added(place, flux, n, energies),
        "variance": added(row, variance * solid**2, n),
        "azimuth": added(place * azimuths + a, flux, n, energies, azimuths),
        "deflection": added(place * deflections + d, flux, n, energies, deflections),
    }


def _moments(table: Table, species: str, sums: dict[str, Floats], background: Floats, known: Known) -> Columns:
    """The columns of one species; null where there are no moments."""
    particle, limits = known.species[species], known.limits
    total = sums["spectrum"].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_count = sums["variance"] / (total + background.sum(axis=-1))
        there = (total / per_count >= particle["min_counts"]) & np.isfinite(per_count) & (per_count > 0)
    good = {name: values[there] for name, values in sums.items()}
    noise, per_count = np.broadcast_to(background, sums["spectrum"].shape)[there], per_count[there]
    borders, mass = edges_of(table.axis("energy")), particle["mass_u"] * ATOMIC_MASS
    bins = energy_bins(borders[:-1], borders[1:], mass, particle["charge"])
    beam = fit_beam(bins, good["spectrum"], noise, per_count, limits["narrowest_beam"])
    found = _direction(table, beam, good, per_count)
    columns = _columns(species, beam, found, mass, known.to_bus)
    by_direction = {f"{species}_{name}" for name in BY_DIRECTION}
    fitted = beam.converged & (beam.counts >= particle["min_counts"])
    fitted &= _sigma(beam, 0) < limits["largest_density_sigma"]
    fitted &= _within(table, {n: v for n, v in columns.items() if n not in by_direction})
    told = fitted & _within(table, {name: columns[name] for name in sorted(by_direction)}) & _told(found, limits)
    return {n: _scattered(v, told if n in by_direction else fitted, there) for n, v in columns.items()}


def _told(found: Direction, limits: dict[str, float]) -> Mask:
    """True where the counts tell what part of the beam they are."""
    enough = found.coverage >= limits["smallest_coverage"]
    return np.asarray(enough & (found.coverage_sigma <= limits["largest_coverage_sigma"]), np.bool_)


def _within(table: Table, columns: dict[str, Floats]) -> Mask:
    """True for the rows without a value outside its column's valid range."""
    return np.asarray(np.all([_valid(table, name, values) for name, values in columns.items()], axis=0), np.bool_)


def _valid(table: Table, name: str, values: Floats) -> Mask:
    """True for the rows that have no value outside the column's valid range."""
    low, high = table.by_name[name].valid or (-np.inf, np.inf)
    outside = (values < low) | (values > high)
    return np.asarray(~outside.reshape(len(values), math.prod(values.shape[1:])).any(axis=1), np.bool_)


def _sigma(beam: Beam, index: int) -> Floats:
    """Relative uncertainty of density (0), bulk (1) or thermal speed (2)."""
    return np.sqrt(np.maximum(beam.covariance[:, index, index], 0))


def _columns(species: str, beam: Beam, found: Direction, mass: float, to_bus: Floats) -> dict[str, Floats]:
    """Moments [n] or [n, 3] by column name, from the beam and its direction."""
    speed, density = beam.bulk / CM_PER_KM, beam.density_cm3 / found.coverage
    velocity = -found.look * speed[:, None]
    columns = {
        "density_cm3": density,
        "density_uncertainty_cm3": density * np.hypot(_sigma(beam, 0), found.coverage_sigma),
        "speed_km_s": speed,
        "speed_uncertainty_km_s": speed * _sigma(beam, 1),
        "velocity_km_s": velocity,
        "velocity_bus_km_s": np.einsum("ij,nj->ni", to_bus, velocity),
        "direction_uncertainty_deg": np.rad2deg(found.sigma),
        "temperature_ev": mass * beam.thermal**2,
        "temperature_uncertainty_ev": mass * beam.heat_sigma,
        "coverage": found.coverage,
    }
    return {f"{species}_{name}": values for name, values in columns.items()}


def _direction(table: Table, beam: Beam, sums: dict[str, Floats], per_count: Floats) -> Direction:
    """The direction of the beam. Bins of energy count by the share of the beam in them."""
    names = ("azimuth", "deflection")
    edges = {name: np.deg2rad(edges_of(table.axis(name))) for name in names}
    seen = {name: np.einsum("ne,nek->nk", beam.share, sums[name]) for name in names}
    width = beam.thermal / beam.bulk
    return direction(seen, edges, per_count, width, np.sqrt(beam.heat_sigma) / beam.bulk)


def _scattered(values: Floats, fitted: Mask, there: Mask) -> pl.Series:
    """Values of the rows that are `there` in a column of all rows; null where they are not fitted, or not finite."""
    wide = values[:, None] if values.ndim == 1 else values
    whole = np.full((len(there), wide.shape[1]), np.nan, np.float32)
    whole[there] = np.where(fitted[:, None], wide, np.nan)
    if values.ndim == 1:
        return pl.Series(whole[:, 0]).fill_nan(None)
    present = np.asarray(np.isfinite(whole).all(axis=1), np.bool_)
    return lists_where(whole[present], present)


def _flagged_moments(table: Table, rows: pl.DataFrame, known: Known) -> pl.DataFrame:
    limits = known.limits
    flags: dict[str, pl.Expr] = {}
    for s in SPECIES:
        density, speed, temperature, sigma, coverage = (
            pl.col(f"{s}_{n}")
            for n in ("density_cm3", "speed_km_s", "temperature_ev", "temperature_uncertainty_ev", "coverage")
        )
        thermal = (temperature / (known.species[s]["mass_u"] * ATOMIC_MASS)).sqrt() / CM_PER_KM
        flags |= {
            f"{s}_not_fitted": speed.is_null(),
            f"{s}_direction_unknown": density.is_null() & speed.is_not_null(),
            f"{s}_temperature_unresolved": sigma > limits["largest_temperature_sigma"] * temperature,
            f"{s}_partly_outside": coverage < limits["fully_inside_part"],
            f"{s}_slow": speed < limits["slowest_thermal_speeds"] * thermal,
        }
    ratio, valid = pl.col("he_density_cm3") / pl.col("h_density_cm3"), table.by_name["alpha_ratio"].valid
    alphas = ratio if valid is None else pl.when(ratio.is_between(*valid)).then(ratio)
    slow = pl.any_horizontal(flags.pop(f"{s}_slow") for s in SPECIES)
    flagged = set_flags(table, **flags, slow_flow=slow)
    return columns_of(table, rows.lazy().with_columns(quality_flag=flagged, alpha_ratio=alphas)).collect()
