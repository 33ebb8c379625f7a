# SPDX-License-Identifier: Apache-2.0
"""What MERiT counts when it is shown power laws: from flux to counters, by the calibrations of missions/hermes/merit.

The forward direction of the science products, written without them: expected counts come from the flux integrated over
each bin, then pass background, leakage between bins, dead time, live time, and counters that stop when they are full.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from lake.definitions import Instrument
from simulate.hermes.calibrations import calibration_frame, named_values
from simulate.hermes.merit_scenario import MeritScenario
from simulate.hermes.plasma import Plasma, PlasmaScenario
from simulate.packets import Int64

Float64 = npt.NDArray[np.float64]
SPECIES = ("proton", "electron")


@dataclass(frozen=True)
class Bins:
    """The energy bins of one species: their places among all, and their edges [MeV]."""

    index: Int64
    low: Float64
    high: Float64


@dataclass(frozen=True)
class Response:
    """The calibrations of one day: bins by species, arrays [heads], [heads, bins] or [measured, true bin]."""

    bins: dict[str, Bins]
    geometric_factor: Float64
    dead_time_s: Float64
    efficiency: Float64
    background: Float64
    leakage: Float64
    counters: dict[str, float]


def read_response(instrument: Instrument, day: date) -> Response:
    """The calibrations valid on a day. Raises CalibrationError if one is missing."""
    head, response, leakage = (calibration_frame(instrument, n, day) for n in ("head", "response", "leakage"))
    response = response.sort("head", "bin")
    efficiency, background = (
        response[name].to_numpy().reshape(len(head), -1) for name in ("efficiency", "background_per_s")
    )
    matrix = np.zeros((efficiency.shape[1],) * 2)
    matrix[leakage["measured_bin"].to_numpy(), leakage["true_bin"].to_numpy()] = leakage["fraction"].to_numpy()
    return Response(
        bins={species: _bins(calibration_frame(instrument, f"{species}_energy", day)) for species in SPECIES},
        geometric_factor=head.sort("head")["geometric_factor_cm2_sr"].to_numpy(),
        dead_time_s=head.sort("head")["dead_time_s"].to_numpy(),
        efficiency=efficiency,
        background=background,
        leakage=matrix,
        counters=named_values(instrument, "counter", day),
    )


def _bins(rows: pl.DataFrame) -> Bins:
    energy, minus, plus = (rows[name].to_numpy() for name in ("energy_mev", "minus_mev", "plus_mev"))
    return Bins(rows["bin"].to_numpy(), energy - minus, energy + plus)


def power_law_integral(
    j0: Float64, index: Float64, reference: float, low: Float64, high: Float64
) -> npt.NDArray[np.float64]:
    """Flux J0 (E / reference)^-index integrated over bins [1/(cm2 s sr)]: [n, bins], exact for every index.

    J0 ref^index (high^a - low^a) / a with a = 1 - index, written with expm1 so that it holds near a = 0 too.
    """
    a = (1 - index)[:, np.newaxis]
    span = np.log(high / low)
    width = np.where(a == 0, span, np.expm1(a * span) / np.where(a == 0, 1, a))
    return np.asarray(j0[:, np.newaxis] * reference * (low / reference) ** a * width, np.float64)


def true_rates(plasma: Plasma, around: PlasmaScenario, scenario: MeritScenario, response: Response) -> Float64:
    """Particles that each head and bin would count without any dead time [1/s]: [n, heads, bins]."""
    heads = len(scenario.heads)
    flux = np.zeros((len(plasma.proton_j0), response.efficiency.shape[1]))
    laws = {"proton": (plasma.proton_j0, plasma.proton_index), "electron": (plasma.electron_j0, plasma.electron_index)}
    for species, (j0, index) in laws.items():
        bins = response.bins[species]
        reference = getattr(around.particles, f"{species}s").reference_mev
        flux[:, bins.index] = power_law_integral(j0, index, reference, bins.low, bins.high)
    parts = np.array([head.flux_part for head in scenario.heads]) * response.geometric_factor
    seen = flux[:, np.newaxis, :] * (parts[:, np.newaxis] * response.efficiency) + response.background
    return np.asarray(seen.reshape(-1, seen.shape[2]) @ response.leakage.T).reshape(-1, heads, seen.shape[2])


@dataclass(frozen=True)
class Counted:
    """The counters at the end of each second, as they are sent: arrays [n, heads, bins], [n, heads] or [n]."""

    counts: Int64
    live_time: Int64
    triggers: Int64
    saturation: Int64


def count(rates: Float64, scenario: MeritScenario, response: Response, random: np.random.Generator) -> Counted:
    """Counters after a second at these rates [n, heads, bins].

    Each trigger makes the head blind for its dead time, and each counted event costs readout time of the live time.
    """
    known = response.counters
    total = rates.sum(axis=2)
    triggered = scenario.triggers.per_count * total + scenario.triggers.noise_per_s
    open_part = 1 / (1 + triggered * response.dead_time_s)
    live_s = known["accumulation"] / (1 + total * open_part * scenario.readout_s)
    live_time = np.rint(live_s / known["live_time_unit"]).astype(np.int64)
    seconds = live_time * known["live_time_unit"] * open_part
    counts = random.poisson(rates * seconds[:, :, np.newaxis])
    triggers = random.poisson(triggered * seconds) // int(known["trigger_unit"])
    full = int(known["full"])
    stopped = (
        (counts >= full).any(axis=2) | (triggers >= full) | (1 - open_part > scenario.triggers.saturated_dead_part)
    )
    bits = np.array([1 << int(known[f"head_{head}_saturation_bit"]) for head in range(rates.shape[1])], np.int64)
    return Counted(np.minimum(counts, full), live_time, np.minimum(triggers, full), (stopped * bits).sum(axis=1))
