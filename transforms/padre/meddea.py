# SPDX-License-Identifier: Apache-2.0
"""MeDDEA: photons, spectra and housekeeping in physical units, and the quick-look light curve.

Each function makes the table of its name for one UTC day. All rows of an input are of that day.
Source of the packet layouts and constants: padre_meddea, the instrument team's package, and the real files.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from lake.definitions import Axis, Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import (
    Floats,
    apply_rebin,
    calibration_rows,
    coefficient_names,
    convert_columns,
    horner,
    overlap_fractions,
    rebin_matrix,
)
from transforms.rows import (
    columns_of,
    flat,
    in_blocks,
    one_of_each,
    set_flags,
    spare_packets,
    with_conflicts,
    with_valid_clock,
    without,
)

TICK_NS = 12_800  # Integration time, live time and event clocks count 12.8 us (256 ticks of the 20 MHz clock).
FLIGHT_ASICS = (0, 1, 2, 3)
GROUND_ASIC = 7
GUARD_RING = "G"
# The detector dead time is 30 to 80 us for each event in the real photon packets. A third of the smallest leaves room
# for events that share one readout, and still marks the millions of counts that id words pretend.
MIN_NS_PER_COUNT = 10_000
# Id words found in the first histogram after a start; no bin of a real 10 s spectrum comes near such counts.
ID_WORDS = ((0xCA00, 0xCA7F), (0xCD00, 0xEAFF))
BIN_FULL = 65535


# ---- photons -------------------------------------------------------------------------------------------------------
def l1_photon(
    table: Table,
    *,
    photon: pl.LazyFrame,
    pixel_map: Calibration,
    decimation: Calibration,
    photon_energy: Calibration | None = None,
) -> pl.LazyFrame:
    """Photon events in time order, one of each packet, with pixel, energy [keV] and decimation weight.

    Simultaneous events are ordered by packet, pixel id and pulse height: the order does not depend on the input's.
    Raises: CalibrationError if pixel_map, decimation or photon_energy cannot be used.
    """
    events = one_of_each(with_valid_clock(photon, table), table)
    events = events.with_columns(
        pixel=_pixel(pixel_map),
        decimation_level=(pl.col("flags") // 4096 % 8).cast(pl.Int8),
    )
    events = events.with_columns(
        energy_kev=_photon_energy(photon_energy),
        decimation_weight=_decimation_weight(decimation),
    )
    order = ("epoch_tt2000", "sequence_count", "pixel_id", "atod", "baseline", "flags", "quality_flag")
    events = events.with_columns(quality_flag=_photon_flags(table, pixel_map)).sort(order)
    return columns_of(table, events)


def _pixel(pixel_map: Calibration) -> pl.Expr:
    """Pixel of the event's channel; null for an unconnected channel or an impossible detector."""
    rows = calibration_rows(pixel_map, key=("channel",), numbers=("channel", "pixel"))
    known = pl.col("asic").is_in([*FLIGHT_ASICS, GROUND_ASIC])
    pixel = pl.col("channel").replace_strict(rows["channel"], rows["pixel"], default=None, return_dtype=pl.Int8)
    return pl.when(known).then(pixel)


def _photon_energy(photon_energy: Calibration | None) -> pl.Expr:
    """Energy [keV] of the pulse height by the row asic, pixel, c0, c1, ... of the pixel; null without one."""
    if photon_energy is None:
        return pl.lit(None, pl.Float32)
    names = coefficient_names(photon_energy)
    rows = calibration_rows(photon_energy, key=("asic", "pixel"), numbers=("asic", "pixel"), optional=names)
    # One number for both, as in the pixel id word; 32 is more than any pixel.
    detector_pixel = pl.col("asic").cast(pl.Int16) * 32 + pl.col("pixel")
    rows = rows.select(detector_pixel.alias("key"), pl.col(names).cast(pl.Float64).fill_null(0.0))
    coefficients = [detector_pixel.replace_strict(rows["key"], rows[name], default=None) for name in names]
    return horner(pl.col("atod").cast(pl.Float64), coefficients).cast(pl.Float32)


def _decimation_weight(decimation: Calibration) -> pl.Expr:
    """Photons that an event stands for: (keep + discard) / keep of its level and pulse-height bin."""
    weights = _weight_table(decimation)
    highest = weights.shape[1] - 1

    def look_up(events: pl.Series) -> pl.Series:
        level, atod = (events.struct.field(name).to_numpy() for name in ("decimation_level", "atod"))
        return pl.Series(weights[level, np.clip(atod, 0, highest)])

    columns = pl.struct("decimation_level", "atod")
    return columns.map_batches(look_up, return_dtype=pl.Float32, is_elementwise=True)


def _weight_table(decimation: Calibration) -> NDArray[np.float32]:
    """Weights [level, pulse height] up to the last edge.

    A pulse height belongs to the first edge with atod < adc_upper, so the edge itself opens the next bin. That the
    edge is exclusive is assumed: the last one, 4096, is one more than a 12-bit ADC can give.
    """
    bins = calibration_rows(decimation, key=("level", "adc_upper"), numbers=("level", "adc_upper", "keep", "discard"))
    if bins["level"].unique().sort().to_list() != list(range(8)) or (bins["keep"] < 1).any():
        raise CalibrationError(f"{decimation.path}: needs levels 0 to 7 and keep of 1 or more. Correct its rows.")
    heights = np.arange(int(bins["adc_upper"].max()))  # type: ignore[arg-type]
    table = np.empty((8, len(heights)), np.float32)
    for level, rows in enumerate(bins.partition_by("level", maintain_order=True)):
        weight = ((rows["keep"] + rows["discard"]) / rows["keep"]).to_numpy()
        edge = np.searchsorted(rows["adc_upper"].to_numpy(), heights, side="right")
        table[level] = weight[np.minimum(edge, len(weight) - 1)]
    return table


def _photon_flags(table: Table, pixel_map: Calibration) -> pl.Expr:
    rows = calibration_rows(pixel_map, key=("channel", "size"), numbers=("pixel",))
    guard = rows.filter(pl.col("size") == GUARD_RING)["pixel"].to_list()
    return set_flags(
        table,
        pixel_unknown=pl.col("pixel").is_null(),
        guard_ring=pl.col("pixel").is_in(guard),
        energy_uncalibrated=pl.col("energy_kev").is_null(),
        ground_detector=pl.col("asic") == GROUND_ASIC,
        photons_dropped=pl.col("flags") % 4096 > 0,
    )


# ---- spectra -------------------------------------------------------------------------------------------------------
def l1_spectrum(
    table: Table, *, spectrum: pl.LazyFrame, spectrum_energy: Calibration, default_slots: Calibration
) -> pl.LazyFrame:
    """One spectrum for each time: counts on the energy axis, integration and live time in seconds.

    The energy parameters belong to slots, not pixels; where a slot does not hold its default pixel the row is flagged.
    A garbage spectrum keeps its row and its counts.
    Raises: CalibrationError if a slot has no parameters or its bins leave the energy axis.
    """
    valid = with_valid_clock(spectrum, table)
    matrix = _energy_matrix(table, spectrum_energy)
    spectra = valid.with_columns(quality_flag=_spectrum_flags(table, default_slots)).with_columns(
        integration_time_s=_seconds("integration_time"),
        live_time_s=_seconds("live_time"),
        counts=_on_energy_axis(table, matrix),
    )
    # The spare packets are taken out after rebinning: a copy of the raw histograms of a day would be 425 MB.
    one_of_each = without(spectra, spare_packets(valid, table, once="epoch_tt2000"))
    flagged = with_conflicts(one_of_each, valid, table)
    return columns_of(table, flagged).sort("epoch_tt2000")


def _seconds(column: str) -> pl.Expr:
    # Not "/ 1e9": polars divides a lone row by it, but multiplies many rows by its inverse, which may be one bit off.
    return pl.col(column) * TICK_NS * 1e-9


def _energy_matrix(table: Table, spectrum_energy: Calibration) -> csr_array:
    rows = _row_per_slot(table, spectrum_energy, "slope_kev_per_bin", "intercept_kev")
    slope, intercept = rows["slope_kev_per_bin"], rows["intercept_kev"]
    try:
        return rebin_matrix(slope, intercept, table.axis("bin").size, _edges(table.axis("energy")))
    except CalibrationError as error:
        raise CalibrationError(f"{spectrum_energy.path}: {error}") from None


def _row_per_slot(table: Table, calibration: Calibration, *numbers: str) -> pl.DataFrame:
    rows = calibration_rows(calibration, key=("slot",), numbers=("slot", *numbers))
    size = table.axis("slot").size
    if rows["slot"].to_list() != list(range(size)):
        raise CalibrationError(f"{calibration.path}: needs one row for each slot 0 to {size - 1}. Add or remove rows.")
    return rows


def _edges(axis: Axis) -> Floats:
    """Borders of an axis' channels; the axis gives their centres."""
    first, second = axis.values[:2]
    return first + (second - first) * (np.arange(axis.size + 1, dtype=np.float64) - 0.5)


def _on_energy_axis(table: Table, matrix: csr_array) -> pl.Expr:
    """Counts rebinned block by block, so that only one block at a time is there in float64."""
    slots = table.axis("slot").size

    def rebin(counts: pl.Series) -> pl.Series:
        block = flat(counts).reshape(len(counts), slots, matrix.shape[1] // slots)
        return pl.Series(apply_rebin(matrix, block).reshape(len(counts), -1)).arr.to_list()

    return in_blocks("counts", rebin, pl.List(pl.Float32))


def _spectrum_flags(table: Table, default_slots: Calibration) -> pl.Expr:
    default = _row_per_slot(table, default_slots, "pixel_id")["pixel_id"].cast(pl.Int32).to_list()
    return set_flags(
        table,
        garbage_spectrum=_is_garbage(),
        slot_not_default=pl.col("pixel_id") != pl.lit(default, pl.List(pl.Int32)),
        live_time_zero=pl.col("live_time") == 0,
        bin_saturated=pl.col("counts").list.max() >= BIN_FULL,
    )


def _is_garbage() -> pl.Expr:
    """True if a bin holds an id word, or if the counts do not fit into the integration time.

    The first spectrum after a start can hold words of the histogram memory that are no counts.
    """
    needed = pl.col("counts").list.sum().cast(pl.Int64) * MIN_NS_PER_COUNT
    word = pl.element()
    is_id = pl.any_horizontal(*(word.is_between(low, high) for low, high in ID_WORDS))
    return pl.col("counts").list.eval(is_id).list.any() | (needed > pl.col("integration_time") * TICK_NS)


# ---- housekeeping --------------------------------------------------------------------------------------------------
def l1_housekeeping(
    table: Table,
    *,
    housekeeping: pl.LazyFrame,
    housekeeping_polynomial: Calibration,
    housekeeping_spline: Calibration,
) -> pl.LazyFrame:
    """Housekeeping in physical units, one row for each time. Raises CalibrationError if a channel is not calibrated."""
    valid = with_valid_clock(housekeeping, table)
    once = without(valid, spare_packets(valid, table, once="epoch_tt2000"))
    rows = with_conflicts(once, valid, table)
    rows = convert_columns(rows, table, housekeeping_polynomial, housekeeping_spline)
    return columns_of(table, rows).sort("epoch_tt2000")


# ---- quick look ----------------------------------------------------------------------------------------------------
def ql_lightcurve(table: Table, *, spectrum: pl.LazyFrame, lightcurve_bands: Calibration) -> pl.LazyFrame:
    """Count rates [count/s] over all slots in each energy band, corrected for live time, with Poisson uncertainty.

    An energy channel that a band's edge cuts gives the part of its counts that lies in the band. Garbage spectra and
    spectra without live time have no rate.
    Raises: CalibrationError if a band is not on the energy axis or has no column.
    """
    bands = _band_columns(table, lightcurve_bands)
    counts = _band_counts(bands, _band_fractions(table, lightcurve_bands))
    bad = pl.col("quality_flag") & (table.flag("garbage_spectrum") | table.flag("live_time_zero"))
    live_time = pl.when(bad == 0, pl.col("live_time_s") > 0).then("live_time_s")
    in_band = {name: pl.col("band").struct.field(name) for name in bands}
    rates = spectrum.with_columns(band=counts).with_columns(
        *((value / live_time).alias(name) for name, value in in_band.items()),
        *((value.sqrt() / live_time).alias(f"{name}_uncertainty") for name, value in in_band.items()),
    )
    return columns_of(table, rates).sort("epoch_tt2000")


def _band_columns(table: Table, lightcurve_bands: Calibration) -> list[str]:
    names = [f"rate_{low:g}_{high:g}_kev" for low, high in _bands(lightcurve_bands)]
    needed = {*names, *(f"{name}_uncertainty" for name in names)}
    odd = sorted(needed ^ {name for name in table.by_name if name.startswith("rate_")})
    if odd:
        raise CalibrationError(
            f"{lightcurve_bands.path}: bands and columns of {table.name} differ in {', '.join(odd)}. "
            "Give each band its rate and uncertainty in tables.yaml, and each rate its band."
        )
    return names


def _bands(lightcurve_bands: Calibration) -> Floats:
    """Lower and upper end [keV] of each band."""
    ends = ("low_kev", "high_kev")
    rows = calibration_rows(lightcurve_bands, key=ends, numbers=ends)
    return rows.select(ends).cast(pl.Float64).to_numpy()


def _band_fractions(table: Table, lightcurve_bands: Calibration) -> Floats:
    """The fraction of each energy channel that lies in each band: [channels, bands]."""
    edges = _edges(table.axis("energy"))
    bands = _bands(lightcurve_bands)
    for low, high in bands:
        if not edges[0] <= low < high <= edges[-1]:
            raise CalibrationError(
                f"{lightcurve_bands.path}: band {low:g}-{high:g} keV is not on the axis {edges[0]:g} to {edges[-1]:g} "
                "keV. Correct the band or widen the axis in tables.yaml."
            )
    return np.hstack([overlap_fractions(edges, band) for band in bands])


def _band_counts(names: list[str], fractions: Floats) -> pl.Expr:
    """Counts of all slots in each band, as a struct of one field for each band."""
    matrix = csr_array(fractions.T)

    def add(counts: pl.Series) -> pl.Series:
        all_slots = flat(counts).reshape(len(counts), -1, matrix.shape[1]).sum(axis=1, dtype=np.float64)
        return pl.DataFrame((matrix @ all_slots.T).T, schema=names).to_struct()

    return in_blocks("counts", add, pl.Struct(dict.fromkeys(names, pl.Float64)))
