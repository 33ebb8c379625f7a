# SPDX-License-Identifier: Apache-2.0
"""SPAN-I: counts, rates, differential energy flux and moments of H+, He++ and O+.

Each function makes the table of its name for one UTC day; the tables of large arrays come in stretches of a few
minutes. The packets follow an assumed interface document; every number of the instrument is in its calibrations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Axis, Calibration, Table
from transforms.conversions import Floats, calibration_rows
from transforms.hermes.spani_counts import (
    EPOCH,
    LARGEST_CODE,
    SPECIES,
    Layout,
    accumulations,
    array_of,
    code_table,
    code_uncertainty,
    codes_of,
    layout,
    list_column,
    stretches,
)
from transforms.hermes.spani_fit import Beam, centre, energy_bins, fit_beam, parts_between
from transforms.hermes.spani_flux import Timing, attenuator_factor, flux_of, leakage_matrix, only_row, timing_of
from transforms.physics import ATOMIC_MASS, CM_PER_KM
from transforms.rows import columns_of, set_flags, spare_packets, time_blocks, with_conflicts, with_valid_clock, without

STRETCH_S = 220  # 251 accumulations: 25 MB of counts and uncertainties, and one row group
CELLS = ("azimuth", "energy", "deflection")
COUNTER_FULL = 65535  # the rates packet's counters have 16 bits
Columns = dict[str, pl.Series]
Mask = NDArray[np.bool_]


# ---- L1 ------------------------------------------------------------------------------------------------------------
def l1_counts(  # noqa: PLR0913
    table: Table,
    *,
    h: pl.LazyFrame,
    he: pl.LazyFrame,
    o: pl.LazyFrame,
    species: Calibration,
    sweep: Calibration,
    energy: Calibration,
    deflection: Calibration,
    timing: Calibration,
    attenuator: Calibration,
    stretch_s: float = STRETCH_S,
) -> Iterator[pl.DataFrame]:
    """Counts [azimuth, energy, deflection] of the three species of each accumulation of full sweeps, joined on time.

    A species without a usable packet is null and flagged: codes are not put on axes of another table, and packets of
    one accumulation that contradict each other are not chosen from. The largest code may stand for more: null.
    Raises: CalibrationError if the calibrations do not fit each other.
    """
    known = layout(table, sweep, energy, deflection)
    inputs = {"h": h, "he": he, "o": o}
    rows = accumulations(table, inputs, species, known.table_id)
    rows = rows.with_columns(
        before_epoch_s=pl.lit(0, pl.Float32),
        accumulation_s=(2.0 ** pl.col("sweeps_log2") * timing_of(timing).sweep_s).cast(pl.Float32),
        sweeps=(2.0 ** pl.col("sweeps_log2")).cast(pl.Int32),
        quality_flag=_attenuator_flags(table, attenuator),
    )
    for stretch in stretches(rows, stretch_s):
        yield _with_counts(table, stretch, inputs, known)


def _with_counts(table: Table, rows: pl.DataFrame, inputs: dict[str, pl.LazyFrame], known: Layout) -> pl.DataFrame:
    """The rows of a stretch with their counts and uncertainties."""
    values, uncertainty = code_table()[0], code_uncertainty()
    saturated = np.zeros(len(rows), np.bool_)
    for name in SPECIES:
        usable = rows[f"{name}_usable"].to_numpy()
        codes = codes_of(rows, inputs[name], name)
        codes = np.take(codes, known.places, axis=1) if len(codes) else codes
        full = codes == LARGEST_CODE
        saturated[usable] |= full.any(axis=1)
        rows = rows.with_columns(
            list_column(values[codes], usable, full).alias(f"{name}_counts"),
            list_column(uncertainty[codes], usable, full).alias(f"{name}_counts_uncertainty"),
        )
    flagged = rows.lazy().with_columns(quality_flag=set_flags(table, counts_saturated=pl.lit(pl.Series(saturated))))
    return columns_of(table, flagged).collect()


def _attenuator_flags(table: Table, attenuator: Calibration) -> pl.Expr:
    factor = attenuator_factor(attenuator)
    return set_flags(table, attenuator_in=factor != 1, attenuator_unknown=factor.is_null())


def l1_rates(table: Table, *, rates: pl.LazyFrame, timing: Calibration, attenuator: Calibration) -> pl.LazyFrame:
    """Rates [count/s] of start, stop and valid events of each anode; null where a counter is at its end."""
    valid = with_valid_clock(rates, table)
    once = with_conflicts(without(valid, spare_packets(valid, table, once=EPOCH)), valid, table)
    seconds = 2.0 ** pl.col("sweeps_log2") * timing_of(timing).sweep_s
    counters = ("start", "stop", "valid")
    element = pl.element()
    below = pl.when(element < COUNTER_FULL).then(element.cast(pl.Float64))
    counted = {name: pl.col(name).list.eval(below) for name in counters}
    full = pl.any_horizontal(pl.col(name).list.max() >= COUNTER_FULL for name in counters)
    made = once.with_columns(quality_flag=_attenuator_flags(table, attenuator)).with_columns(
        before_epoch_s=pl.lit(0, pl.Float32),
        accumulation_s=seconds.cast(pl.Float32),
        quality_flag=set_flags(
            table,
            counts_saturated=full,
            not_in_flight_state=(pl.col("test_pulser") == 1) | (pl.col("high_voltage_on") == 0),
        ),
        **{f"{name}_rate": (values / seconds).cast(pl.List(pl.Float32)) for name, values in counted.items()},
    )
    return columns_of(table, made).sort(EPOCH)


# ---- L2 flux -------------------------------------------------------------------------------------------------------
def l2_flux(  # noqa: PLR0913
    table: Table,
    *,
    counts: pl.LazyFrame,
    species: Calibration,
    anode: Calibration,
    timing: Calibration,
    leakage: Calibration,
    attenuator: Calibration,
    stretch_s: float = STRETCH_S,
) -> Iterator[pl.DataFrame]:
    """Differential energy flux [eV/(cm2 s sr eV)] over [azimuth, energy, deflection] of the three species.

    A count is taken in the middle of what its code stands for, corrected for the dead time that the events of all
    species cost its anode, for leakage of one species into another, and for the attenuator. No flux where the position
    of the attenuator is not calibrated, the test pulser was on or the high voltage off.
    Raises: CalibrationError if a calibration cannot be used.
    """
    made_by = _FluxMaker(
        timing_of(timing),
        leakage_matrix(leakage),
        calibration_rows(anode, ("anode",), ("geometric_factor_cm2_sr",))["geometric_factor_cm2_sr"].to_numpy(),
    )
    factor = attenuator_factor(attenuator)
    for block in time_blocks(counts, stretch_s):
        rows = block.sort(EPOCH).with_columns(factor=factor)
        yield _with_flux(table, rows, made_by)


@dataclass(frozen=True)
class _FluxMaker:
    """What turns counts into flux: timing, leakage [to, from], geometric factor of each anode [cm2 sr eV/eV]."""

    timing: Timing
    matrix: Floats
    geometric: Floats


def _with_flux(table: Table, rows: pl.DataFrame, maker: _FluxMaker) -> pl.DataFrame:
    """The rows of a stretch with their flux. Only the few cells where something was counted are worked out."""
    shape = tuple(table.axis(name).size for name in CELLS)
    size = math.prod(shape)
    counted = np.stack([array_of(rows[f"{s}_counts"], size) for s in SPECIES])
    at = np.flatnonzero((counted != 0).any(axis=0))
    spread = [array_of(rows[f"{s}_counts_uncertainty"], size).reshape(-1)[at] for s in SPECIES]
    row, anode = at // size, at % size // (shape[1] * shape[2])
    live = rows["sweeps"].cast(pl.Float64).to_numpy() * maker.timing.step_s
    # No flux where the attenuator's factor is unknown, or the instrument did not measure.
    off = rows["quality_flag"].to_numpy() & table.flag("not_in_flight_state") != 0
    factor = np.where(off, np.nan, rows["factor"].to_numpy())
    geometric = maker.geometric[anode] / factor[row]
    counts = counted.reshape(len(SPECIES), -1)[:, at].astype(np.float64)
    made = flux_of(counts, np.array(spread, np.float64), live[row], geometric, maker.matrix, maker.timing)
    columns = {}
    for name, cells in (("eflux", made.values), ("eflux_uncertainty", made.uncertainty)):
        for species, values in zip(SPECIES, cells, strict=True):
            columns[f"{species}_{name}"] = _cells(at, values, np.isnan(factor), size)
    high, rejected = (
        _rows_with(row, made.dead > part, len(rows)) for part in (maker.timing.high_part, maker.timing.rejected_part)
    )
    return _flagged_flux(table, rows.with_columns(**columns), high, rejected)


def _rows_with(row: NDArray[np.intp], found: Mask, count: int) -> Mask:
    """True for the rows of which a cell is found."""
    return np.bincount(row[found], minlength=count) > 0


def _cells(at: NDArray[np.intp], values: Floats, without: Mask, size: int) -> pl.Series:
    """Lists of float32 cells, 0 but for the values; a row without any value is null as a whole, or else NaN cells."""
    rows = np.zeros((len(without), size), np.float32)
    rows.reshape(-1)[at] = values
    rows[without] = np.nan
    empty = np.isnan(rows)
    present = np.asarray(~empty.all(axis=1), np.bool_)
    return list_column(rows[present], present, empty[present])


def _flagged_flux(table: Table, rows: pl.DataFrame, high: Mask, rejected: Mask) -> pl.DataFrame:
    flags = set_flags(
        table,
        dead_time_high=pl.lit(pl.Series(high)),
        dead_time_rejected=pl.lit(pl.Series(rejected)),
    )
    return columns_of(table, rows.lazy().with_columns(quality_flag=flags)).collect()


# ---- L2 moments ----------------------------------------------------------------------------------------------------
def l2_moments(
    table: Table,
    *,
    flux: pl.LazyFrame,
    species: Calibration,
    leakage: Calibration,
    mounting: Calibration,
    fit: Calibration,
    stretch_s: float = STRETCH_S,
) -> Iterator[pl.DataFrame]:
    """Density, velocity (instrument and bus), temperature and coverage of each species, with counting uncertainties.

    Null and flagged where a cell of the species has no value, counts are fewer than the calibration asks for, or the
    fit does not converge. See spani_fit for the method. Raises: CalibrationError if a calibration cannot be used.
    """
    particles = calibration_rows(species, ("species",), ("mass_u", "charge", "min_counts"))
    known = particles.rows_by_key("species", named=True, unique=True)
    names = ("fully_inside_part", "largest_density_sigma", "largest_temperature_sigma")
    limits = dict(zip(names, only_row(fit, names), strict=True))
    matrix, to_bus = leakage_matrix(leakage), _mounting(mounting)
    leaked = matrix / np.diag(matrix)[:, None]  # flux [to, from] that seemed to be there, in parts of the other's flux
    for block in time_blocks(flux, stretch_s):
        rows = block.sort(EPOCH)
        sums = {s: _sums(table, rows, s) for s in SPECIES}
        for index, s in enumerate(SPECIES):
            others = [(leaked[index, j], sums[other]["spectrum"]) for j, other in enumerate(SPECIES) if j != index]
            background = sum((part * np.nan_to_num(spectrum) for part, spectrum in others), np.zeros(1))
            rows = rows.with_columns(**_moments(table, s, sums[s], background, known[s] | limits, to_bus))
        yield _flagged_moments(table, rows, limits["fully_inside_part"])


def _mounting(mounting: Calibration) -> Floats:
    """The matrix [bus, instrument] that turns vectors of the instrument into the frame of the bus."""
    names = ("instrument_x", "instrument_y", "instrument_z")
    return calibration_rows(mounting, key=("bus",), numbers=names).select(names).to_numpy().astype(np.float64)


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
    spread = array_of(rows[f"{species}_eflux_uncertainty"], size).reshape(-1)[at]
    row, (a, e, d) = at // size, np.unravel_index(at % size, shape)
    azimuth, deflection = (np.deg2rad(edges_of(table.axis(name))) for name in ("azimuth", "deflection"))
    solid = np.diff(azimuth)[a] * np.diff(np.sin(deflection))[d]
    flux, n, place = values.reshape(-1)[at] * solid, len(rows), row * energies + e

    def added(place: NDArray[np.intp], weights: Floats, *sizes: int) -> Floats:
        return np.bincount(place, weights, math.prod(sizes)).astype(np.float64).reshape(sizes)

    return {
        "spectrum": added(place, flux, n, energies),
        "variance": added(row, (spread * solid) ** 2, n),
        "azimuth": added(place * azimuths + a, flux, n, energies, azimuths),
        "deflection": added(place * deflections + d, flux, n, energies, deflections),
    }


def _moments(
    table: Table, species: str, sums: dict[str, Floats], background: Floats, known: dict[str, Any], to_bus: Floats
) -> Columns:
    """The columns of one species; null where there are no moments."""
    mass = known["mass_u"] * ATOMIC_MASS
    borders = edges_of(table.axis("energy"))
    bins = energy_bins(borders[:-1], borders[1:], mass, known["charge"])
    total = sums["spectrum"].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_count = sums["variance"] / (total + background.sum(axis=-1))
        there = (total / per_count >= known["min_counts"]) & np.isfinite(per_count) & (per_count > 0)
    good = {name: values[there] for name, values in sums.items()}
    noise, per_count = np.broadcast_to(background, sums["spectrum"].shape)[there], per_count[there]
    beam = fit_beam(bins, good["spectrum"], noise, per_count)
    columns = _columns(table, species, beam, good, mass, to_bus)
    vague = beam.narrow | (2 * _sigma(beam, 2) > known["largest_temperature_sigma"])
    for name in (f"{species}_temperature_ev", f"{species}_temperature_uncertainty_ev"):
        columns[name] = np.where(vague, np.nan, columns[name])
    fitted = beam.converged & (beam.counts >= known["min_counts"]) & (_sigma(beam, 0) < known["largest_density_sigma"])
    fitted &= np.all([_valid(table, name, values) for name, values in columns.items()], axis=0)
    return {name: _scattered(values, fitted, there) for name, values in columns.items()}


def _valid(table: Table, name: str, values: Floats) -> Mask:
    """True for the rows that have no value outside the column's valid range."""
    low, high = table.by_name[name].valid or (-np.inf, np.inf)
    outside = (values < low) | (values > high)
    return np.asarray(~outside.reshape(len(values), math.prod(values.shape[1:])).any(axis=1), np.bool_)


def _sigma(beam: Beam, index: int) -> Floats:
    """Relative uncertainty of density (0), bulk (1) or thermal speed (2)."""
    return np.sqrt(np.maximum(beam.covariance[:, index, index], 0))


def _columns(
    table: Table, species: str, beam: Beam, sums: dict[str, Floats], mass: float, to_bus: Floats
) -> dict[str, Floats]:
    """Moments [n] or [n, 3] by column name, from the beam and its distribution over the angles."""
    look, coverage = _direction(table, beam, sums)
    density = beam.density_cm3 / coverage
    velocity = -look * beam.bulk[:, None] / CM_PER_KM
    temperature = mass * beam.thermal**2
    columns = {
        "density_cm3": density,
        "density_uncertainty_cm3": density * _sigma(beam, 0),
        "speed_km_s": beam.bulk / CM_PER_KM,
        "speed_uncertainty_km_s": beam.bulk / CM_PER_KM * _sigma(beam, 1),
        "velocity_km_s": velocity,
        "velocity_bus_km_s": np.einsum("ij,nj->ni", to_bus, velocity),
        "temperature_ev": temperature,
        "temperature_uncertainty_ev": temperature * 2 * _sigma(beam, 2),
        "coverage": coverage,
    }
    return {f"{species}_{name}": values for name, values in columns.items()}


def _direction(table: Table, beam: Beam, sums: dict[str, Floats]) -> tuple[Floats, Floats]:
    """Look direction [n, 3] of the beam's centre, and the part [n] of the beam inside the field of view.

    Bins of energy count by the share of the beam in them. Around its centre a beam of thermal speed w and bulk speed V
    is w / V wide in each angle; the solid angle moves its centre in deflection d by (w / V)2 tan(d) / 2.
    """
    width = beam.thermal / beam.bulk
    edges = {name: np.deg2rad(edges_of(table.axis(name))) for name in ("azimuth", "deflection")}
    seen = {name: np.einsum("ne,nek->nk", beam.share, sums[name]) for name in edges}
    middle = centre(seen["deflection"], edges["deflection"], width)
    elevation = middle + width**2 * np.tan(middle) / 2
    across = width / np.cos(elevation)
    azimuth = centre(seen["azimuth"], edges["azimuth"], across)
    ends = {name: values[[0, -1]] for name, values in edges.items()}
    inside = parts_between(ends["deflection"], elevation, width) * parts_between(ends["azimuth"], azimuth, across)
    flat = np.cos(elevation)
    look = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    return look, inside[:, 0]


def _scattered(values: Floats, fitted: Mask, there: Mask) -> pl.Series:
    """Values of the rows that are `there` in a column of all rows; null where they are not fitted, or not finite."""
    wide = values[:, None] if values.ndim == 1 else values
    whole = np.full((len(there), wide.shape[1]), np.nan, np.float32)
    whole[there] = np.where(fitted[:, None], wide, np.nan)
    if values.ndim == 1:
        return pl.Series(whole[:, 0]).fill_nan(None)
    present = np.asarray(np.isfinite(whole).all(axis=1), np.bool_)
    return list_column(whole[present], present)


def _flagged_moments(table: Table, rows: pl.DataFrame, fully_inside: float) -> pl.DataFrame:
    cold = (pl.col(f"{s}_temperature_ev").is_null() & pl.col(f"{s}_density_cm3").is_not_null() for s in SPECIES)
    outside = (pl.col(f"{s}_coverage").fill_null(1.0) < fully_inside for s in SPECIES)
    flags = set_flags(
        table,
        **{f"{s}_not_fitted": pl.col(f"{s}_density_cm3").is_null() for s in SPECIES},
        temperature_unresolved=pl.any_horizontal(cold),
        partly_outside=pl.any_horizontal(outside),
    )
    ratio, valid = pl.col("he_density_cm3") / pl.col("h_density_cm3"), table.by_name["alpha_ratio"].valid
    alphas = ratio if valid is None else pl.when(ratio.is_between(*valid)).then(ratio)
    return columns_of(table, rows.lazy().with_columns(quality_flag=flags, alpha_ratio=alphas)).collect()
