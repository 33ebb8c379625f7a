# SPDX-License-Identifier: Apache-2.0
"""MeDDEA's transforms on the values of the real ground files, against the outputs of the reference implementation.

The splined products of the reference are made here from the same L0 values, slots and calibrations: they would differ
if a slot, a parameter or an axis were mixed up. They are no products of swxlake: a spline does not conserve counts.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from lake.definition_files import read_definitions
from lake.definitions import Calibration
from tests.shared_data import telemetry_root
from transforms.conversions import Floats
from transforms.padre import meddea

CHECKOUT = Path(__file__).parents[2]
TELEMETRY = telemetry_root()
GOLDEN = TELEMETRY.parent / "golden" / "padre"
PHOTONS, SPECTRA = GOLDEN / "padreMDA0_240916122901", GOLDEN / "padreMDA2_240916122851"
HOUSEKEEPING = GOLDEN / "padreMDU8_240916122904"

pytestmark = [
    pytest.mark.telemetry,
    pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no golden files in {GOLDEN}; set SWXLAKE_TELEMETRY"),
]

MEDDEA = read_definitions(CHECKOUT / "missions").mission("padre").instrument("meddea")
TABLES = {table.name.removeprefix("meddea_"): table for table in MEDDEA.tables}
DAY = date(2024, 9, 16)
SLOT_NOT_DEFAULT, GROUND_DETECTOR, ENERGY_UNCALIBRATED, PHOTONS_DROPPED = 1 << 13, 1 << 11, 1 << 10, 1 << 15


def calibration(name: str) -> Calibration:
    found = MEDDEA.calibration(name, DAY)
    assert found is not None
    return found


def with_l0_columns(frame: pl.DataFrame, sequence_count: str, **columns: Any) -> pl.LazyFrame:
    """Golden rows with the columns that every L0 table has; MET stands for the epoch."""
    return frame.lazy().with_columns(
        epoch_tt2000=pl.col("exact_met_ns"),
        time=pl.from_epoch(pl.col("exact_unix_ns_leap") // 1000, time_unit="us").dt.replace_time_zone("UTC"),
        quality_flag=pl.lit(0, pl.Int32),
        file_sha256=pl.lit("a" * 64),
        byte_offset=pl.col(sequence_count).cast(pl.Int64) * 100_000,
        sequence_count=pl.col(sequence_count).cast(pl.Int16),
        time_s=pl.col("pkttimes").cast(pl.Int64),
        **columns,
    )


# ---- photons -------------------------------------------------------------------------------------------------------
def photon_events() -> pl.DataFrame:
    packets = pl.read_parquet(PHOTONS / "packets.parquet").select("seqcount", "flags")
    return pl.read_parquet(PHOTONS / "events.parquet").join(packets, on="seqcount", maintain_order="left")


@pytest.fixture(scope="module")
def l1_photon() -> pl.DataFrame:
    photon = with_l0_columns(
        photon_events(),
        "seqcount",
        time_clocks=pl.col("pktclock").cast(pl.Int64),
        flags=pl.col("flags").cast(pl.Int32),
        checksum=pl.col("seqcount").cast(pl.Int32),
        pixel_id=(pl.col("asic").cast(pl.Int32) * 32 + pl.col("channel")).cast(pl.Int32),
        asic=pl.col("asic").cast(pl.Int8),
        channel=pl.col("channel").cast(pl.Int8),
        atod=pl.col("atod").cast(pl.Int16),
        baseline=pl.lit(None, pl.Int16),
    )
    maps = {name: calibration(name) for name in ("pixel_map", "decimation")}
    return meddea.l1_photon(TABLES["l1_photon"], photon=photon, **maps).collect()


def test_photons_have_the_events_and_pixels_of_the_reference(l1_photon: pl.DataFrame) -> None:
    golden = photon_events()
    assert len(l1_photon) == 767
    names = ["epoch_tt2000", "sequence_count", "asic", "channel", "atod", "pixel"]
    wanted = golden.select(
        pl.col("exact_met_ns").alias("epoch_tt2000"), pl.col("seqcount").alias("sequence_count"), *names[2:]
    )
    wanted = wanted.cast(dict(zip(names, l1_photon.select(names).dtypes, strict=True)))
    assert l1_photon.select(names).sort(names).equals(wanted.sort(names))
    assert l1_photon["epoch_tt2000"].is_sorted()


def test_photons_are_of_the_ground_detector_at_levels_0_and_1(l1_photon: pl.DataFrame) -> None:
    rows = l1_photon.group_by("sequence_count", maintain_order=True).agg(pl.first("decimation_level", "quality_flag"))
    always = GROUND_DETECTOR | ENERGY_UNCALIBRATED
    assert rows["decimation_level"].to_list() == [0, 0, 1, 1]
    assert rows["quality_flag"].to_list() == [always, always, always | PHOTONS_DROPPED, always | PHOTONS_DROPPED]
    weights = l1_photon.group_by("decimation_level").agg(pl.col("decimation_weight").unique()).sort("decimation_level")
    assert weights["decimation_weight"].to_list() == [[1.0], [pytest.approx(4 / 3)]]


def test_pulse_heights_have_the_spectrum_of_the_reference(l1_photon: pl.DataFrame) -> None:
    golden = pl.read_parquet(PHOTONS / "spectrum_all_pixels.parquet")
    axis = golden["spectral_axis"].to_numpy()
    counts, _ = np.histogram(l1_photon["atod"], np.append(axis - 0.5, axis[-1] + 0.5))
    assert counts.tolist() == golden["counts"].to_list()


def test_photon_packets_have_the_rates_of_the_reference(l1_photon: pl.DataFrame) -> None:
    packets = pl.read_parquet(PHOTONS / "packets.parquet").sort("seqcount")
    hits = l1_photon.group_by("sequence_count").len().sort("sequence_count")["len"]
    assert hits.to_list() == packets["num_hits"].to_list()
    tick = meddea.TICK_NS / 1e9
    np.testing.assert_allclose(hits / (packets["inttime"] * tick), packets["rate"], rtol=1e-9)
    np.testing.assert_allclose(hits / (packets["livetime"] * tick), packets["corr_rate"], rtol=1e-9)


# ---- spectra -------------------------------------------------------------------------------------------------------
def l0_counts() -> NDArray[np.int64]:
    """Counts [spectrum, slot, bin] as sent."""
    rows = pl.read_parquet(SPECTRA / "spectra.parquet").sort("packet_index", "slot")
    return rows["counts"].explode(empty_as_null=True).to_numpy().reshape(4, 24, 512)


@pytest.fixture(scope="module")
def l1_spectrum() -> pl.DataFrame:
    slots = pl.read_parquet(SPECTRA / "spectra.parquet").sort("packet_index", "slot")
    lists = slots.group_by("packet_index", maintain_order=True).agg(
        pl.col("pixel_id").cast(pl.Int32), pl.col("counts").explode(empty_as_null=True).cast(pl.Int32)
    )
    packets = pl.read_parquet(SPECTRA / "packets.parquet").sort("seqcount").with_columns(lists)
    spectrum = with_l0_columns(
        packets,
        "seqcount",
        time_clocks=pl.col("pktclock").cast(pl.Int64),
        integration_time=pl.col("inttime").cast(pl.Int64),
        live_time=pl.col("livetime").cast(pl.Int64),
        checksum=pl.col("seqcount").cast(pl.Int32),
    )
    maps = {name: calibration(name) for name in ("spectrum_energy", "default_slots")}
    return meddea.l1_spectrum(TABLES["l1_spectrum"], spectrum=spectrum, **maps).collect()


def test_rebinned_spectra_have_all_counts_of_every_slot(l1_spectrum: pl.DataFrame) -> None:
    counts = np.array(l1_spectrum["counts"].to_list()).reshape(4, 24, 280)
    assert l0_counts().sum() == 45_595
    np.testing.assert_allclose(counts.sum(axis=2), l0_counts().sum(axis=2), rtol=1e-6)
    assert counts.sum() == pytest.approx(45_595, rel=1e-7)
    assert l1_spectrum["integration_time_s"].to_list() == [10.0] * 4
    assert l1_spectrum["quality_flag"].to_list() == [SLOT_NOT_DEFAULT] * 4


def test_rebinned_spectra_keep_the_mean_energy(l1_spectrum: pl.DataFrame) -> None:
    """A count may move by half a bin or channel, their mean must not: an offset of half a bin would be 0.125 keV."""
    energy = calibration("spectrum_energy").frame
    centres = np.outer(energy["slope_kev_per_bin"], np.arange(512)) + energy["intercept_kev"].to_numpy()[:, None]
    mean = (l0_counts() * centres).sum(axis=(1, 2)) / l0_counts().sum(axis=(1, 2))
    counts = np.array(l1_spectrum["counts"].to_list()).reshape(4, 24, 280).sum(axis=1)
    axis = np.array(TABLES["l1_spectrum"].axis("energy").values)
    np.testing.assert_allclose((counts * axis).sum(axis=1) / counts.sum(axis=1), mean, atol=0.01)


def splined(axis: Floats) -> Floats:
    """Counts/bin [spectrum, slot, energy] as the reference interpolates them over seconds and energy."""
    met = pl.read_parquet(SPECTRA / "packets.parquet").sort("seqcount")["exact_met_ns"]
    seconds = ((met - met[0]) / 1e9).to_numpy()
    energy = calibration("spectrum_energy").frame.sort("slot")
    counts = l0_counts()
    slots = [
        RectBivariateSpline(seconds, slope * np.arange(512) + intercept, counts[:, slot])(seconds, axis)
        for slot, slope, intercept in energy.iter_rows()
    ]
    return np.stack(slots, axis=1)


def test_the_references_calibrated_spectra_come_out_of_our_slots_and_parameters() -> None:
    golden = pl.read_parquet(SPECTRA / "spectra_calibrated_default.parquet").sort("packet_index", "slot")
    flux = np.array(golden["flux"].to_list()).reshape(4, 24, 1000)
    np.testing.assert_allclose(splined(np.arange(0, 100, 0.1)), flux, rtol=0, atol=1e-9)


def test_the_references_light_curve_comes_out_of_our_bands() -> None:
    golden = pl.read_parquet(SPECTRA / "ql_lightcurve.parquet")
    axis = np.arange(5.0, 100.0, 2.0)
    all_slots = splined(axis).sum(axis=1)
    np.testing.assert_allclose(all_slots, np.array(golden["specgram"].to_list()), rtol=0, atol=1e-9)
    for low, high in calibration("lightcurve_bands").frame.iter_rows():
        in_band = all_slots[:, (axis > low) & (axis < high)].sum(axis=1)
        np.testing.assert_allclose(in_band, golden[f"{low}to{high}_keV"], rtol=0, atol=1e-9)


def test_the_references_pixel_light_curve_comes_out_of_our_bins() -> None:
    golden = pl.read_parquet(SPECTRA / "lightcurve_pix_50_100_400.parquet")
    all_slots = l0_counts().sum(axis=1)
    assert all_slots[:, 51:100].sum(axis=1).tolist() == golden["50to100_pix"].to_list()
    assert all_slots[:, 101:400].sum(axis=1).tolist() == golden["100to400_pix"].to_list()


def test_our_light_curve_is_the_counts_between_the_bands_edges(l1_spectrum: pl.DataFrame) -> None:
    """Counts below an energy are the cumulative counts of the bins, interpolated inside the bin at that energy."""
    bands = calibration("lightcurve_bands")
    curve = meddea.ql_lightcurve(TABLES["ql_lightcurve"], spectrum=l1_spectrum.lazy(), lightcurve_bands=bands).collect()
    live = pl.read_parquet(SPECTRA / "packets.parquet").sort("seqcount")["livetime"].to_numpy() * 12.8e-6
    for low, high in bands.frame.iter_rows():
        counts = np.array([cumulative(high, i) - cumulative(low, i) for i in range(4)])
        np.testing.assert_allclose(curve[f"rate_{low}_{high}_kev"], counts / live, rtol=1e-6)
        np.testing.assert_allclose(curve[f"rate_{low}_{high}_kev_uncertainty"], np.sqrt(counts) / live, rtol=1e-6)


def cumulative(energy: float, spectrum: int) -> float:
    parameters = calibration("spectrum_energy").frame.sort("slot").iter_rows()
    below = 0.0
    for (_, slope, intercept), counts in zip(parameters, l0_counts()[spectrum], strict=True):
        below += np.interp((energy - intercept) / slope + 0.5, np.arange(513), np.append(0, np.cumsum(counts)))
    return below


# ---- housekeeping --------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def l1_housekeeping() -> pl.DataFrame:
    raw = pl.read_parquet(HOUSEKEEPING / "housekeeping_raw.parquet")
    housekeeping = with_l0_columns(raw, "CCSDS_SEQUENCE_COUNT").with_columns(
        pl.selectors.by_dtype(pl.UInt16).cast(pl.Int32)
    )
    maps = {name: calibration(name) for name in ("housekeeping_polynomial", "housekeeping_spline")}
    return meddea.l1_housekeeping(TABLES["l1_housekeeping"], housekeeping=housekeeping, **maps).collect()


def test_housekeeping_is_calibrated_as_the_reference_does(l1_housekeeping: pl.DataFrame) -> None:
    golden = pl.read_parquet(HOUSEKEEPING / "housekeeping_calibrated.parquet").sort("exact_met_ns")
    converted = [column for column in TABLES["l1_housekeeping"].columns if column.conversion]
    assert len(converted) == 9
    for column in converted:
        np.testing.assert_allclose(l1_housekeeping[column.name], golden[str(column.source)], rtol=1e-9)
    for name in ("hit_rate", "good_cmd_cnt", "error_cnt", "decimation_rate", "error_summary"):
        assert l1_housekeeping[name].to_list() == golden[name].to_list()
    assert l1_housekeeping["quality_flag"].to_list() == [0] * 4


def test_error_bits_have_the_names_of_the_reference(l1_housekeeping: pl.DataFrame) -> None:
    golden = pl.read_parquet(HOUSEKEEPING / "error_flags.parquet")
    for bit, name in calibration("error_bits").frame.iter_rows():
        assert (l1_housekeeping["error_summary"] // 2**bit % 2 == 1).to_list() == golden[name].to_list()
