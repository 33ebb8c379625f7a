# SPDX-License-Identifier: Apache-2.0
"""SPAN-I: counts, rates, differential energy flux and moments of H+, He++ and O+.

Each function makes the table of its name for one UTC day; the tables of large arrays come in stretches of a few
minutes. The packets follow an assumed interface document; every number of the instrument is in its calibrations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Calibration, Table
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
    lists_where,
    stretches,
)
from transforms.hermes.spani_flux import (
    Timing,
    attenuator_factor,
    flux_of,
    leakage_matrix,
    one_count,
    only_row,
    timing_of,
)
from transforms.hermes.spani_moments import moments_of, read_known
from transforms.rows import (
    columns_of,
    flags_where,
    set_flags,
    spare_packets,
    time_blocks,
    with_conflicts,
    with_valid_clock,
    without,
)

STRETCH_S = 220  # 251 accumulations: 25 MB of counts and uncertainties, and one row group
CELLS = ("azimuth", "energy", "deflection")
COUNTERS = ("start", "stop", "valid")
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

    A species without a usable packet is null and flagged: codes are not put on axes of another table, and none are used
    if packets of two species name different settings. Of two packets of one species and time the one with the smaller
    sequence count is used and time_conflict set. The largest code may stand for more: null.
    Raises: CalibrationError if the calibrations do not fit each other.
    """
    known = layout(table, sweep, energy, deflection)
    inputs = {"h": h, "he": he, "o": o}
    rows = accumulations(table, inputs, species, known.table_id)
    rows = rows.with_columns(**_durations(timing), quality_flag=_attenuator_flags(table, attenuator))
    for stretch in stretches(rows, stretch_s):
        yield _with_counts(table, stretch, inputs, known)


def _durations(timing: Calibration) -> dict[str, pl.Expr]:
    sweeps = 2.0 ** pl.col("sweeps_log2")
    return {
        "before_epoch_s": pl.lit(0, pl.Float32),
        "accumulation_s": (sweeps * timing_of(timing).sweep_s).cast(pl.Float32),
        "sweeps": sweeps.cast(pl.Int32),
    }


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
            lists_where(values[codes], usable, full).alias(f"{name}_counts"),
            lists_where(uncertainty[codes], usable, full).alias(f"{name}_counts_uncertainty"),
        )
    flagged = rows.lazy().with_columns(quality_flag=set_flags(table, counts_saturated=pl.lit(pl.Series(saturated))))
    return columns_of(table, flagged).collect()


def _attenuator_flags(table: Table, attenuator: Calibration) -> pl.Expr:
    factor = attenuator_factor(attenuator)
    return set_flags(table, attenuator_in=factor != 1, attenuator_unknown=factor.is_null())


def l1_rates(
    table: Table, *, rates: pl.LazyFrame, timing: Calibration, attenuator: Calibration, counter: Calibration
) -> pl.LazyFrame:
    """Rates [count/s] of start, stop and valid events of each anode.

    Null where a counter is at its end, and where the packet does not hold sums over the sweeps: then it holds one of
    them, and for how long it counted is not known. Raises: CalibrationError if a calibration cannot be used.
    """
    valid = with_valid_clock(rates, table)
    once = with_conflicts(without(valid, spare_packets(valid, table, once=EPOCH)), valid, table)
    seconds = 2.0 ** pl.col("sweeps_log2") * timing_of(timing).sweep_s
    (full,) = only_row(counter, ("full",))
    summed = pl.col("summed") == 1
    below = pl.when(pl.element() < full).then(pl.element().cast(pl.Float64))
    counted = {name: pl.when(summed).then(pl.col(name).list.eval(below)) for name in COUNTERS}
    made = once.with_columns(quality_flag=_attenuator_flags(table, attenuator)).with_columns(
        before_epoch_s=pl.lit(0, pl.Float32),
        accumulation_s=seconds.cast(pl.Float32),
        quality_flag=_rates_flags(table, full, summed),
        **{f"{name}_rate": (values / seconds).cast(pl.List(pl.Float32)) for name, values in counted.items()},
    )
    return columns_of(table, made).sort(EPOCH)


def _rates_flags(table: Table, full: float, summed: pl.Expr) -> pl.Expr:
    return set_flags(
        table,
        counts_saturated=pl.any_horizontal(pl.col(name).list.max() >= full for name in COUNTERS),
        packing_unknown=~summed,
        not_in_flight_state=(pl.col("test_pulser") == 1) | (pl.col("high_voltage_on") == 0),
    )


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
    of the attenuator is not calibrated, the test pulser was on or the high voltage off; none of a species into which
    one leaks that is missing. The uncertainty of C counts is that of C + 1, so that it is never 0.
    Raises: CalibrationError if a calibration cannot be used.
    """
    made_by = _flux_maker(anode, timing, leakage)
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


def _flux_maker(anode: Calibration, timing: Calibration, leakage: Calibration) -> _FluxMaker:
    geometric = calibration_rows(anode, ("anode",), ("geometric_factor_cm2_sr",))["geometric_factor_cm2_sr"]
    return _FluxMaker(timing_of(timing), leakage_matrix(leakage), geometric.to_numpy())


def _with_flux(table: Table, rows: pl.DataFrame, maker: _FluxMaker) -> pl.DataFrame:
    """The rows of a stretch with their flux. Only the few cells where something was counted are worked out."""
    size = math.prod(table.axis(name).size for name in CELLS)
    cells = size // table.axis("azimuth").size
    counted = np.stack([array_of(rows[f"{s}_counts"], size) for s in SPECIES])
    at = np.flatnonzero((counted != 0).any(axis=0))
    spread = [array_of(rows[f"{s}_counts_uncertainty"], size).reshape(-1)[at] for s in SPECIES]
    here = np.stack([rows[f"{s}_counts"].is_not_null().to_numpy() for s in SPECIES])
    live, geometric = _exposure(table, rows, maker)
    row, anode = at // size, at % size // cells
    counts = counted.reshape(len(SPECIES), -1)[:, at].astype(np.float64)
    made = flux_of(
        counts, np.array(spread, np.float64), here[:, row], live[row], geometric[row, anode], maker.matrix, maker.timing
    )
    empty = one_count(live[:, None], geometric, maker.matrix)
    columns = {}
    for i, s in enumerate(SPECIES):
        columns[f"{s}_eflux"] = _cells(at, made.values[i], 0 * geometric, size)
        columns[f"{s}_eflux_uncertainty"] = _cells(at, made.uncertainty[i], empty[i], size)
    return _flagged_flux(table, rows.with_columns(**columns), here, maker, _worst(row, made.dead, len(rows)))


def _exposure(table: Table, rows: pl.DataFrame, maker: _FluxMaker) -> tuple[Floats, Floats]:
    """Seconds [n] that each cell counts, and geometric factor [n, anodes] with the attenuator's part in it.

    NaN where the attenuator's factor is unknown, or the instrument did not measure.
    """
    live = rows["sweeps"].cast(pl.Float64).to_numpy() * maker.timing.step_s
    off = rows["quality_flag"].to_numpy() & table.flag("not_in_flight_state") != 0
    factor = np.where(off, np.nan, rows["factor"].to_numpy())
    return live, maker.geometric / factor[:, None]


def _worst(row: NDArray[np.intp], dead: Floats, count: int) -> Floats:
    """The largest dead part [n] of the cells of each row; 0 without any."""
    worst = np.zeros(count)
    np.fmax.at(worst, row, dead)
    return worst


def _cells(at: NDArray[np.intp], values: Floats, empty: Floats, size: int) -> pl.Series:
    """Lists of float32 cells: the values, elsewhere the value [n, anodes] of an empty cell of the anode.

    A row without any value is null as a whole.
    """
    rows = np.repeat(empty.astype(np.float32), size // empty.shape[1], axis=1)
    rows.reshape(-1)[at] = values
    present = np.asarray(~np.isnan(rows).all(axis=1), np.bool_)
    return lists_where(rows[present], present)


def _flagged_flux(table: Table, rows: pl.DataFrame, here: Mask, maker: _FluxMaker, dead: Floats) -> pl.DataFrame:
    """The rows with their flags: `here` [species, n] tells which have counts, `dead` [n] is the worst dead part."""
    leaks = (maker.matrix != 0) & ~np.eye(len(SPECIES), dtype=np.bool_)
    found = {
        "dead_time_high": dead > maker.timing.high_part,
        "dead_time_rejected": dead > maker.timing.rejected_part,
        "dead_time_incomplete": here.any(axis=0) & ~here.all(axis=0),
        "leakage_unknown": (here & (leaks.astype(int) @ ~here > 0)).any(axis=0),
    }
    flags = pl.col("quality_flag") | pl.lit(pl.Series(flags_where(table, found)))
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
    fit does not converge; density and velocity also where the counts do not tell how much of the beam they are. See
    spani_fit and spani_direction for the method. Raises: CalibrationError if a calibration cannot be used.
    """
    known = read_known(species, leakage, mounting, fit)
    for block in time_blocks(flux, stretch_s):
        yield moments_of(table, block.sort(EPOCH), known)
