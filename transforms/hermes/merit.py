# SPDX-License-Identifier: Apache-2.0
"""MERiT: counts and pulse heights in order of time, count rates, and differential flux of protons and electrons.

Each function makes the table of its name for one UTC day. All rows of an input are of that day.
Source of packets and units: the assumed interface MRT-A1; every number of it is in a calibration.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.clock import NS
from lake.definitions import Calibration, Table
from transforms.conversions import Floats, calibration_rows, named_numbers
from transforms.hermes.merit_flux import Rates, count_rates, means_of_stretches, to_bin_energies, without_leakage
from transforms.hermes.merit_response import (
    Counters,
    Heads,
    Response,
    read_counters,
    read_heads,
    read_leakage,
    read_response,
)
from transforms.rows import (
    columns_of,
    flat,
    list_column,
    one_of_each,
    set_flags,
    spare_packets,
    with_conflicts,
    with_valid_clock,
    without,
)

BLOCK_S = 3600  # Seconds at once, or the next whole stretch: 2 MB of one array of rates.


# ---- L1 ------------------------------------------------------------------------------------------------------------
def l1_counts(table: Table, *, counts: pl.LazyFrame, counter: Calibration, lut: Calibration) -> pl.LazyFrame:
    """Counts of each second, one row for each time: live time [s], triggers, temperature [degC], flags.

    Raises: CalibrationError if counter or lut cannot be used.
    """
    units = read_counters(table, counter)
    valid = with_valid_clock(counts, table)
    once = without(valid, spare_packets(valid, table, once="epoch_tt2000"))
    rows = with_conflicts(once, valid, table).with_columns(quality_flag=_counts_flags(table, units, lut))
    rows = rows.with_columns(
        live_time_s=pl.col("live_time").list.eval(pl.element().cast(pl.Float64) * units.live_time_unit),
        triggers=pl.col("triggers").list.eval((pl.element() * units.trigger_unit).cast(pl.Int32)),
        head_temperature_degc=pl.col("temperature").list.eval((pl.element() * units.temperature_unit).cast(pl.Float32)),
    )
    return columns_of(table, rows).sort("epoch_tt2000")


def _counts_flags(table: Table, units: Counters, lut: Calibration) -> pl.Expr:
    """Flags of a row whose counters are still as sent."""
    known = calibration_rows(lut, key=("lut_version",), numbers=("lut_version",))["lut_version"].to_list()
    live_time = pl.col("live_time").list
    heads = range(table.axis("head").size)
    return set_flags(
        table,
        **{f"head_{head}_saturated": _saturated(table, units, head) for head in heads},
        burst_mode=pl.col("mode") == units.burst_mode,
        mode_unknown=(pl.col("mode") != units.solar_mode) & (pl.col("mode") != units.burst_mode),
        lut_unknown=~pl.col("lut_version").is_in(known),
        live_time_low=live_time.min() * units.live_time_unit < units.live_time_min,
        live_time_impossible=live_time.max() > round(units.accumulation / units.live_time_unit),
        triggers_too_few=pl.any_horizontal(_triggers_too_few(table, units, head) for head in heads),
    )


def _saturated(table: Table, units: Counters, head: int) -> pl.Expr:
    """True if the head's bit is set, or if one of its counters has stopped at its end."""
    size = table.axis("bin").size
    full = pl.col("counts").list.slice(head * size, size).list.max() >= units.full
    reported = pl.col("saturation") // 2 ** units.saturation_bits[head] % 2 == 1
    return pl.any_horizontal(reported, full, pl.col("triggers").list.get(head) >= units.full)


def _triggers_too_few(table: Table, units: Counters, head: int) -> pl.Expr:
    """True if a head counted more than it had triggers, which are sent in whole units."""
    size = table.axis("bin").size
    counted = pl.col("counts").list.slice(head * size, size).list.sum().cast(pl.Int64)
    return counted > (pl.col("triggers").list.get(head).cast(pl.Int64) + 1) * int(units.trigger_unit) - 1


def l1_pha(table: Table, *, pha: pl.LazyFrame, counter: Calibration) -> pl.LazyFrame:
    """Pulse-height events in time order, one of each packet.

    Simultaneous events are ordered by packet and place in it: the order does not depend on the input's.
    Raises: CalibrationError if counter cannot be used.
    """
    unknown = named_numbers(counter, "species_unknown")["species_unknown"]
    events = one_of_each(with_valid_clock(pha, table), table)
    events = events.with_columns(quality_flag=set_flags(table, species_unknown=pl.col("species") == unknown)).sort(
        "epoch_tt2000", "sequence_count", "event_number", "checksum"
    )
    return columns_of(table, events)


# ---- QL ------------------------------------------------------------------------------------------------------------
def ql_rates(table: Table, *, counts: pl.LazyFrame, counter: Calibration, head: Calibration) -> Iterator[pl.DataFrame]:
    """Count rates [count/s], corrected for live and dead time, with Poisson uncertainty.

    A head that is saturated or whose live time or triggers cannot be used has none.
    Raises: CalibrationError if counter or head cannot be used.
    """
    units, heads = read_counters(table, counter), read_heads(table, head)
    for rows, _ in _blocks(counts, units):
        rates = _rates(table, rows, units, heads)
        made = rows.with_columns(
            rate=_lists(rates.rate),
            rate_uncertainty=_lists(rates.sigma),
            dead_time_ratio=_lists(rates.dead_fraction),
            quality_flag=_flagged(table, rates, heads),
        )
        yield columns_of(table, made.lazy()).collect()


def _blocks(counts: pl.LazyFrame, units: Counters) -> Iterator[tuple[pl.DataFrame, NDArray[np.int64]]]:
    """The rows in order of time, about an hour at once, with the first row of each stretch of one spectral index.

    Blocks hold whole stretches, which count from J2000. A day of counts fits into memory, a day of fluxes hardly.
    """
    stretch = pl.col("epoch_tt2000") // round(units.index_stretch * NS)
    part = stretch // max(1, round(BLOCK_S / units.index_stretch))
    rows = counts.sort("epoch_tt2000").with_columns(stretch=stretch, part=part).collect()
    for block in rows.partition_by("part", maintain_order=True):
        numbers = block["stretch"].to_numpy()
        yield block, np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1)).astype(np.int64)


def _rates(table: Table, rows: pl.DataFrame, units: Counters, heads: Heads) -> Rates:
    size = table.axis("head").size
    counts, live_time, triggers = (
        flat(rows[name]).astype(np.float64).reshape(rows.height, size, -1)
        for name in ("counts", "live_time_s", "triggers")
    )
    usable = _usable(table, rows, live_time[:, :, 0], units)
    usable &= counts.sum(axis=2) <= triggers[:, :, 0] + units.trigger_unit - 1
    live = np.where(usable, live_time[:, :, 0], np.nan)
    return count_rates(counts, live, triggers[:, :, 0], heads.dead_time_s, heads.largest_dead_fraction)


def _usable(table: Table, rows: pl.DataFrame, live_time_s: Floats, units: Counters) -> NDArray[np.bool_]:
    """True [n, heads] where a head is not saturated and its live time is possible."""
    flags = rows["quality_flag"].to_numpy()
    saturated = [flags & table.flag(f"head_{head}_saturated") != 0 for head in range(live_time_s.shape[1])]
    # Half a unit more than the packet lasts is rounding.
    longest = units.accumulation + units.live_time_unit / 2
    possible = (live_time_s >= units.live_time_min) & (live_time_s <= longest)
    return np.asarray(possible & ~np.stack(saturated, axis=1), np.bool_)


def _flagged(table: Table, rates: Rates, heads: Heads) -> pl.Expr:
    high = (rates.dead_fraction > heads.trusted_dead_fraction).any(axis=1)
    return set_flags(table, dead_time_high=pl.lit(pl.Series(high)))


def _lists(values: Floats) -> pl.Series:
    """A list of float32 for each row, NaN as null."""
    return list_column(values.astype(np.float32))


# ---- L2 ------------------------------------------------------------------------------------------------------------
def l2_flux(  # noqa: PLR0913
    table: Table,
    *,
    counts: pl.LazyFrame,
    counter: Calibration,
    head: Calibration,
    response: Calibration,
    leakage: Calibration,
    proton_energy: Calibration,
    electron_energy: Calibration,
) -> Iterator[pl.DataFrame]:
    """Differential flux [1/(cm2 s sr MeV)] of protons and electrons at the energies of the bins, with uncertainty.

    J = (L^-1 R0 - b) / (G dE efficiency), taken to the bin's energy along the power law that the bins around it follow
    over some minutes; the uncertainty is that of the counts and the systematic one together. A head has none where it
    has no rate or the bins are unknown.
    Raises: CalibrationError if a calibration cannot be used or does not fit the axes.
    """
    units, heads = read_counters(table, counter), read_heads(table, head)
    answer = read_response(table, response, (proton_energy, electron_energy))
    matrix = read_leakage(table, leakage)
    for rows, starts in _blocks(counts, units):
        rates = _rates(table, rows, units, heads)
        unknown = rows["quality_flag"].to_numpy() & table.flag("lut_unknown") != 0
        rates.rate[unknown] = np.nan
        true = without_leakage(rates, matrix)
        made = rows.with_columns(
            **_flux(table, true, "proton", starts, heads, answer, units.significant_sigma),
            **_flux(table, true, "electron", starts, heads, answer, units.significant_sigma),
            quality_flag=_flagged(table, rates, heads),
        )
        yield columns_of(table, made.lazy()).collect()


def _flux(
    table: Table,
    true: tuple[Floats, Floats],
    species: str,
    starts: NDArray[np.int64],
    heads: Heads,
    response: Response,
    significant_sigma: float,
) -> dict[str, pl.Series]:
    """Flux and uncertainty of one species as columns."""
    bins, axis = response.bins[species], table.axis(f"{species}_energy")
    energies, minus, plus = (np.array(values) for values in (axis.values, axis.minus, axis.plus))
    # Counts per unit flux: [heads, bins of the species].
    sensitivity = heads.geometric_factor_cm2_sr[:, np.newaxis] * response.efficiency[:, bins] * (minus + plus)
    mean = (true[0][:, :, bins] - response.background_per_s[:, bins]) / sensitivity
    counting = true[1][:, :, bins] / sensitivity
    longer = means_of_stretches(mean, counting, starts)
    factor = to_bin_energies(*longer, energies, (energies - minus, energies + plus), significant_sigma)
    each = np.repeat(factor, np.diff(starts, append=len(mean)), axis=0)
    flux = mean * each
    sigma = np.hypot(counting * each, heads.systematic_fraction[:, np.newaxis] * flux)
    return {f"{species}_flux": _lists(flux), f"{species}_flux_uncertainty": _lists(sigma)}
