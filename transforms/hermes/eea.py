# SPDX-License-Identifier: Apache-2.0
"""EEA: counts by sweep, differential energy flux, and the moments of the electrons.

Each function makes the table of its name for one UTC day, in stretches of time, so that a day of 14 million packets and
85,000 sweeps fits into memory. Source of the layout and of the stepper table: hermes_eea, the package of the instrument
team, and the real file; of the formulas: transforms/physics.py and transforms/moments.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.clock import NS, day_bounds
from lake.definitions import Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import calibration_rows, named_numbers
from transforms.hermes.eea_cells import CellValues, from_lists
from transforms.hermes.eea_moments import MomentRules, SweepMoments, read_rules, sweep_moments
from transforms.hermes.eea_response import US_PER_S, FluxByCount, Response, flux_by_count, read_response
from transforms.hermes.eea_sweeps import (
    US_NS,
    Stepper,
    Sweeps,
    read_stepper,
    sweeps_in_blocks,
)
from transforms.physics import Floats, energy_flux
from transforms.rows import ORIGIN, flags_where, flat, list_column, time_blocks, utc_column, with_valid_clock

BLOCK_S = 1800.0  # A stretch: 300,000 packets or 1,800 sweeps, 19 MB of counts.
CARRIED = ("epoch_tt2000", "time", "delta_minus_s", "delta_plus_s", "n_steps", "completeness", "total_counts")
Flags = NDArray[np.int32]


# ---- counts --------------------------------------------------------------------------------------------------------
def l1_counts(
    table: Table, *, sci: pl.LazyFrame, stepper: Calibration, readout: Calibration, day: date, block_s: float = BLOCK_S
) -> Iterator[pl.DataFrame]:
    """Sweeps whose first packet is of the day: counts [energy, deflection, azimuth], null where there was no packet.

    The epoch is the stamp of the first packet, which is the end of its dwell. The result depends neither on the order
    of the rows of `sci` nor on `block_s`.
    Raises: CalibrationError if the stepper table cannot be used or has none of the day's steps.
    """
    steps = read_stepper(table, stepper, readout)
    full = {name: int(value) for name, value in named_numbers(readout, "counter_full", "total_counter_full").items()}
    names = ("epoch_tt2000", "quality_flag", "counter1", "counter2", "accum", *table.identity, *ORIGIN)
    science = int(named_numbers(readout, "science_sheid")["science_sheid"])
    packets = with_valid_clock(sci, table).filter(pl.col("sheid") == science).select(*dict.fromkeys(names))
    start, stop = day_bounds(day)
    _check_steps(packets, steps, stepper, start, stop)
    for sweeps, strays in sweeps_in_blocks(packets, table, steps, block_s):
        rows = _sweep_rows(table, sweeps, steps, strays, full)
        rows = rows.filter(pl.col("epoch_tt2000").is_between(start, stop, closed="left"))
        if not rows.is_empty():
            yield rows


def _check_steps(packets: pl.LazyFrame, steps: Stepper, stepper: Calibration, start: int, stop: int) -> None:
    """Raises CalibrationError if the stepper table knows none of the day's science packets."""
    today = pl.col("epoch_tt2000").is_between(start, stop, closed="left")
    known = pl.col("step") < len(steps.cell)
    sent, placed = packets.filter(today).select(pl.len(), known=known.sum()).collect().row(0)
    if sent and not placed:
        raise CalibrationError(
            f"{stepper.path}: has none of the steps of the day's {sent} packets. "
            "Add the stepper table that the instrument had loaded."
        )


def _sweep_rows(
    table: Table, sweeps: Sweeps, steps: Stepper, strays: dict[str, NDArray[np.bool_]], full: dict[str, int]
) -> pl.DataFrame:
    """One row for each sweep."""
    packets, first, last = sweeps.packets, sweeps.first, sweeps.last
    time, step, count = (packets[name].to_numpy() for name in ("epoch_tt2000", "step", "sequence_count"))
    values = _packet_values(sweeps)
    n_steps = last + 1 - first
    conditions = strays | {"incomplete": n_steps < len(steps.cell)}
    of_packets = np.bitwise_or.reduceat(_packet_flags(table, packets, values, full), first)
    columns = {
        "epoch_tt2000": time[first],
        "time": utc_column(time[first]),
        "delta_minus_s": steps.dwell_us[step[first]] / US_PER_S,
        "delta_plus_s": (time[last] - time[first]) / NS,
        **_cells_of_sweeps(sweeps, steps, values),
        "n_steps": n_steps.astype(np.int16),
        "completeness": (n_steps / len(steps.cell)).astype(np.float32),
        "total_counts": np.add.reduceat(values["accum"].sum(axis=1, dtype=np.int32), first, dtype=np.int32),
        "first_sequence_count": count[first],
        "last_sequence_count": count[last],
        "quality_flag": of_packets | flags_where(table, conditions),
    }
    return _frame(table, columns)


def _packet_values(sweeps: Sweeps) -> dict[str, NDArray[Any]]:
    """What each packet puts into the cell of its step: [n], and [n, anodes] of `accum`, which ends with the pulses."""
    packets, time = sweeps.packets, sweeps.packets["epoch_tt2000"].to_numpy()
    accum = flat(packets["accum"]).reshape(packets.height, -1)
    return {
        **{name: packets[name].to_numpy() for name in ("counter1", "counter2")},
        "accum": accum[:, :-2],
        "pulse_a": accum[:, -2],
        "pulse_b": accum[:, -1],
        "offset_us": ((time - time[sweeps.first][sweeps.sweep]) // US_NS).astype(np.int32),
    }


def _cells_of_sweeps(sweeps: Sweeps, steps: Stepper, values: dict[str, NDArray[Any]]) -> dict[str, pl.Series]:
    """Values of packets [n] or [n, anodes] as lists over the cells of each sweep."""
    size = len(steps.cell)
    place = sweeps.sweep * size + steps.cell[sweeps.packets["step"].to_numpy()]
    there = np.zeros(len(sweeps) * size, np.bool_)
    there[place] = True
    columns = {}
    for name, value in values.items():
        cells = np.zeros((len(there), *value.shape[1:]), value.dtype)
        cells[place] = value
        missing = np.broadcast_to(~there.reshape(-1, *(1,) * (value.ndim - 1)), cells.shape)
        columns[name] = list_column(cells.reshape(len(sweeps), -1), missing.reshape(len(sweeps), -1))
    return columns


def _packet_flags(table: Table, packets: pl.DataFrame, values: dict[str, NDArray[Any]], full: dict[str, int]) -> Flags:
    """Flags of single packets that their sweep takes on."""
    counters = np.maximum(values["counter1"], values["counter2"])
    conditions = {
        "time_conflict": packets["conflict"].to_numpy(),
        "counter_saturated": (values["accum"] >= full["counter_full"]).any(axis=1),
        "total_saturated": counters >= full["total_counter_full"],
    }
    return flags_where(table, conditions)


# ---- flux ----------------------------------------------------------------------------------------------------------
def l2_flux(
    table: Table,
    *,
    counts: pl.LazyFrame,
    readout: Calibration,
    geometry: Calibration,
    efficiency: Calibration,
    detector: Calibration,
) -> Iterator[pl.DataFrame]:
    """Differential energy flux [eV/(cm2 s sr eV)] and its counting uncertainty, corrected for dead time.

    A cell that was not received, whose counter is full, or that was dead for most of the time is null.
    Raises: CalibrationError if the response is incomplete.
    """
    response = read_response(table, geometry, efficiency, detector)
    look_up = flux_by_count(response, int(named_numbers(readout, "counter_full")["counter_full"]))
    for block in _blocks(counts, "accum"):
        yield _flux_rows(table, block, response, look_up)


def _flux_rows(table: Table, block: pl.DataFrame, response: Response, look_up: FluxByCount) -> pl.DataFrame:
    cells = from_lists(block["accum"], _shape(table))
    counts, missing = np.minimum(cells.values, len(look_up.rate) - 1), cells.missing
    if not look_up.usable[: int(counts.max()) + 1].all():
        missing = ~look_up.usable[counts] | (False if missing is None else missing)
    dead = look_up.dead[counts.max(axis=(1, 2, 3))]
    high = {"dead_time_high": dead > response.dead_high, "dead_time_rejected": dead > response.dead_limit}
    scale = response.factor.astype(np.float32)
    columns = {
        **_carried(table, block),
        "energy_flux": list_column(energy_flux(look_up.rate[counts], scale), missing),
        "energy_flux_uncertainty": list_column(energy_flux(look_up.sigma[counts], scale), missing),
        "quality_flag": block["quality_flag"].to_numpy() | flags_where(table, high),
    }
    return _frame(table, columns)


# ---- moments -------------------------------------------------------------------------------------------------------
def ql_moments(
    table: Table,
    *,
    counts: pl.LazyFrame,
    geometry: Calibration,
    efficiency: Calibration,
    detector: Calibration,
    moments: Calibration,
) -> Iterator[pl.DataFrame]:
    """Density, velocity and temperature straight from counts, without dead time and spacecraft potential.

    Raises: CalibrationError if the response is incomplete.
    """
    response = read_response(table, geometry, efficiency, detector)
    rules = read_rules(table, moments, response.flux_per_count, 0.0)
    per_count = response.flux_per_count.astype(np.float32)
    for block in _blocks(counts, "accum"):
        cells = from_lists(block["accum"], _shape(table))
        flux = CellValues(cells.values * per_count, cells.missing)
        yield _moment_rows(table, block, flux, rules, None)


def l2_moments(
    table: Table,
    *,
    flux: pl.LazyFrame,
    geometry: Calibration,
    efficiency: Calibration,
    detector: Calibration,
    moments: Calibration,
    spacecraft_potential: Calibration | None = None,
) -> Iterator[pl.DataFrame]:
    """Moments of the phase space density, for the whole sky, corrected for the spacecraft potential if it is known.

    Raises: CalibrationError if the response is incomplete or the potential leaves no energy.
    """
    potential = _potential(table, spacecraft_potential)
    response = read_response(table, geometry, efficiency, detector)
    rules = read_rules(table, moments, response.flux_per_count, potential or 0.0)
    for block in _blocks(flux, "energy_flux"):
        yield _moment_rows(table, block, from_lists(block["energy_flux"], _shape(table)), rules, potential)


def _potential(table: Table, calibration: Calibration | None) -> float | None:
    """The spacecraft potential [V] of the day, from a calibration of one row potential_v."""
    if calibration is None:
        return None
    rows = calibration_rows(calibration, key=("potential_v",), numbers=("potential_v",))
    highest = table.axis("energy").values[-1]
    if rows.height != 1 or not rows["potential_v"][0] < highest:
        raise CalibrationError(f"{calibration.path}: needs one row with a potential_v below {highest:g}. Correct it.")
    return float(rows["potential_v"][0])


def _moment_rows(
    table: Table, block: pl.DataFrame, flux: CellValues, rules: MomentRules, potential: float | None
) -> pl.DataFrame:
    """One row for each sweep; what cannot be believed is null and flagged."""
    flags = block["quality_flag"].to_numpy()
    unusable = flags & (table.flag("counter_saturated") | table.flag("dead_time_rejected")) != 0
    found = sweep_moments(rules, flux, _completeness(block), block["total_counts"].to_numpy(), unusable)
    values, fit, full = found.moments, found.fit, found.full
    columns = {
        **_carried(table, block),
        "density_cm3": _nullable(np.nan_to_num(values.density_cm3), fit),
        "density_uncertainty_cm3": _nullable(found.density_uncertainty_cm3, fit),
        "velocity_km_s": _vectors(values.velocity_km_s, full),
        "temperature_ev": _nullable(values.temperature_ev, full),
        "temperature_tensor_ev": _vectors(values.temperature_tensor_ev, full),
        "coverage": found.coverage.astype(np.float32),
        "extrapolated_fraction": _nullable(found.extrapolated.astype(np.float32), fit & (values.density_cm3 > 0)),
        "potential_v": pl.Series([potential] * len(flags), dtype=pl.Float32),
        "quality_flag": flags | _moment_flags(table, found, rules),
    }
    return _frame(table, columns)


def _moment_flags(table: Table, found: SweepMoments, rules: MomentRules) -> Flags:
    fit, full = found.fit, found.full
    conditions = {
        "sweep_unfit": ~fit,
        "counts_few": fit & ~full,
        # NaN, where there is no density, is not above the limit.
        "extrapolation_high": fit & (found.extrapolated > rules.limits["extrapolation_high"]),
        "flow_fast": np.abs(found.flow_error) > rules.limits["flow_error_high"],
    }
    return flags_where(table, conditions)


def _completeness(block: pl.DataFrame) -> NDArray[np.float64]:
    return block["completeness"].cast(pl.Float64).to_numpy()


def _nullable(values: NDArray[np.floating], there: NDArray[np.bool_]) -> pl.Series:
    return pl.select(pl.when(pl.lit(pl.Series(there))).then(pl.Series(values))).to_series()


def _vectors(values: Floats, there: NDArray[np.bool_]) -> pl.Series:
    return list_column(values, np.broadcast_to(~there[:, None], values.shape))


# ---- rows ----------------------------------------------------------------------------------------------------------
def _blocks(rows: pl.LazyFrame, cells: str) -> Iterator[pl.DataFrame]:
    """The rows of an input in stretches of time: their cells, and of the other columns only what is needed."""
    needed = (*CARRIED, "quality_flag", cells)
    return time_blocks(rows.select(needed), BLOCK_S)


def _shape(table: Table) -> tuple[int, ...]:
    """Energies, deflections and azimuths of a sweep."""
    return tuple(table.axis(name).size for name in ("energy", "deflection", "azimuth"))


def _carried(table: Table, block: pl.DataFrame) -> dict[str, Any]:
    """The columns that a table takes over from its input as they are."""
    return {name: block[name] for name in CARRIED if name in table.by_name}


def _frame(table: Table, columns: dict[str, Any]) -> pl.DataFrame:
    """The columns of the table, in its order, without `day`."""
    return pl.DataFrame({column.name: columns[column.name] for column in table.columns if column.name != "day"})
