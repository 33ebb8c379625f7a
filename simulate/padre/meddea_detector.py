# SPDX-License-Identifier: Apache-2.0
"""From photons that MeDDEA counts to pixel ids and pulse heights, and to the histograms of its slots."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from lake.definitions import Instrument
from lake.errors import CalibrationError
from simulate.packets import Int64, Words
from simulate.padre.meddea_scenario import Detector
from simulate.sun import Band, Float64, Spectrum

ADC_PER_BIN = 8
ADC_MAX = 4095
BINS = 512
FWHM_PER_SIGMA = 2.354820045


@dataclass(frozen=True)
class Events:
    """Counted photons in time order: time [ns since the run's grid began], pixel, slot (-1: none), ADC, dead time."""

    time_ns: Int64
    pixel_id: npt.NDArray[np.int64]
    slot: npt.NDArray[np.int64]
    adc: npt.NDArray[np.int64]
    dead_us: Float64

    def __len__(self) -> int:
        return len(self.time_ns)

    def part(self, which: slice | Int64) -> Events:
        """Some of the events."""
        return Events(*(getattr(self, f.name)[which] for f in fields(self)))

    def later(self, ns: int) -> Events:
        """The events with their times counted from so many nanoseconds earlier."""
        return replace(self, time_ns=self.time_ns + ns)


def join_events(first: Events, second: Events) -> Events:
    """Events of `first`, then of `second`."""
    return Events(*(np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in fields(Events)))


def no_events() -> Events:
    """No events at all."""
    none = np.empty(0, np.int64)
    return Events(none, none, none, none, np.empty(0, np.float64))


@dataclass(frozen=True)
class Response:
    """Per pixel of the detectors: its share of the photons, id, slot, and linear energy calibration."""

    cumulative: Float64
    pixel_id: Int64
    slot: Int64
    slope: Float64
    intercept: Float64
    slot_ids: Words


def calibration_frame(instrument: Instrument, name: str, day: date) -> pl.DataFrame:
    """The calibration that is valid on the day. Raises CalibrationError if there is none."""
    found = instrument.calibration(name, day)
    if found is None:
        raise CalibrationError(
            f"{instrument.name}: no calibration {name} is valid on {day}. Choose a later day "
            f"or add {name}_<yyyymmdd>.csv."
        )
    return found.frame


def read_response(instrument: Instrument, detector: Detector, day: date) -> Response:
    """The response on a day: pixels without a slot take the mean calibration of their detector's slots."""
    slots = calibration_frame(instrument, "default_slots", day)
    slots = slots.join(calibration_frame(instrument, "spectrum_energy", day), on="slot").sort("slot")
    means = slots.group_by("asic").agg(pl.col("slope_kev_per_bin", "intercept_kev").mean())
    pixels = pl.DataFrame({"asic": list(detector.asics)}).join(
        calibration_frame(instrument, "pixel_map", day), how="cross"
    )
    pixels = pixels.join(slots, on=["asic", "channel"], how="left").join(means, on="asic", suffix="_mean")
    pixels = pixels.sort("asic", "channel")
    weights = np.cumsum([detector.pixel_weights[size] for size in pixels["size"]])
    return Response(
        cumulative=weights / weights[-1],
        pixel_id=(pixels["asic"] * 32 + pixels["channel"]).to_numpy().astype(np.int64),
        slot=pixels["slot"].fill_null(-1).to_numpy().astype(np.int64),
        slope=pixels["slope_kev_per_bin"].fill_null(pixels["slope_kev_per_bin_mean"]).to_numpy(),
        intercept=pixels["intercept_kev"].fill_null(pixels["intercept_kev_mean"]).to_numpy(),
        slot_ids=slots["pixel_id"].to_numpy().astype(np.uint16),
    )


def count_photons(
    curves: list[tuple[Spectrum, Float64]],
    band: Band,
    detector: Detector,
    response: Response,
    random: np.random.Generator,
) -> Events:
    """The photons counted under light curves of one rate per second; time 0 is the first second's begin."""
    seconds, energies = [], []
    for spectrum, rate in curves:
        counts = random.poisson(rate)
        seconds.append(np.repeat(np.arange(len(rate), dtype=np.int64), counts))
        energies.append(spectrum.sample(band, random.random(int(counts.sum()))))
    time_ns = np.concatenate(seconds) * 1_000_000_000
    time_ns += random.integers(0, 1_000_000_000, len(time_ns))
    order = np.argsort(time_ns, kind="stable")
    return _detect(time_ns[order], np.concatenate(energies)[order], detector, response, random)


def _detect(
    time_ns: Int64, energy: Float64, detector: Detector, response: Response, random: np.random.Generator
) -> Events:
    """Pulse heights of photons [keV]: bin b of a slot has slope * b + intercept as its centre."""
    n = len(time_ns)
    pixel = np.searchsorted(response.cumulative, random.random(n), side="right")
    fwhm = np.hypot(detector.fwhm_kev, detector.fwhm_per_sqrt_kev * np.sqrt(energy))
    measured = energy + fwhm / FWHM_PER_SIGMA * random.standard_normal(n)
    height = ADC_PER_BIN * ((measured - response.intercept[pixel]) / response.slope[pixel] + 0.5)
    adc = np.clip(height, 0, ADC_MAX).astype(np.int64)
    dead = random.uniform(*detector.dead_time_us, n)
    return Events(time_ns, response.pixel_id[pixel], response.slot[pixel], adc, dead)


def histograms(events: Events, response: Response, intervals: int, interval_s: int) -> Words:
    """Slots as a spectrum packet holds them, [interval, slot, id word and bins], of events since time 0."""
    slots = len(response.slot_ids)
    seen = events.part(np.flatnonzero(events.slot >= 0))
    interval = seen.time_ns // (interval_s * 1_000_000_000)
    cell = (interval * slots + seen.slot) * BINS + seen.adc // ADC_PER_BIN
    counts = np.bincount(cell, minlength=intervals * slots * BINS).reshape(intervals, slots, BINS)
    words = np.empty((intervals, slots, 1 + BINS), np.uint16)
    words[:, :, 0] = response.slot_ids
    words[:, :, 1:] = np.minimum(counts, 0xFFFF)
    return words
