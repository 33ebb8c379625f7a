# SPDX-License-Identifier: Apache-2.0
"""What EEA counts of a plasma: expected counts of every anode in every step of a sweep, and their Poisson draws.

The forward model: a drifting Maxwellian, its differential energy flux at each cell, the analyser's response, dead time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import constants
from scipy.spatial.transform import Rotation

from lake.definition_text import build_at, read_yaml
from lake.definitions import Instrument
from lake.packet_definitions import Noun
from simulate.hermes.calibrations import calibration_frame, named_values
from simulate.hermes.plasma import PlasmaScenario, attitude_at, plasma_at

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

SCENARIO = Path(__file__).with_name("eea_scenario.yaml")
ELECTRON_MASS = constants.m_e / constants.e * 1e-4  # eV s2 cm-2; CODATA, as scipy.constants gives it
CM_PER_KM = 1e5


class EeaScenario(Noun):
    """What there is besides the plasma, and how the run is cut into pieces."""

    background_counts: float = Field(ge=0)
    counter1_extra: float = Field(ge=0)
    counter2_extra: float = Field(ge=0)
    phase_us: int
    mounting_deg: tuple[float, float, float]
    file_bytes: int = Field(gt=0)
    sweeps_at_once: int = Field(gt=0)


def read_scenario(path: Path = SCENARIO) -> EeaScenario:
    """The scenario in a YAML file. Raises DefinitionError that names line and field."""
    return build_at(EeaScenario, read_yaml(path), path, ())


@dataclass(frozen=True)
class Analyser:
    """The instrument's own numbers by step [s] and anode [a].

    `flow` [s, a, 3] is the direction of flight of the electrons that a cell sees; `stamp_us` [s] is when a step's
    packet is stamped after that of step 0; `counts_per_flux` [s, a] turns differential energy flux into counts.
    """

    energy_ev: Float64
    flow: Float64
    counts_per_flux: Float64
    stamp_us: Int64
    period_us: int
    seconds: float
    dead_time_s: float
    counter_full: int
    total_full: int

    @property
    def steps(self) -> int:
        """Steps of a sweep."""
        return len(self.stamp_us)


def read_analyser(instrument: Instrument, day: date) -> Analyser:
    """The analyser by its calibrations of a day. Raises CalibrationError if one is missing."""
    names = ("stepper", "energy", "deflection", "azimuth", "geometry", "efficiency")
    rows = {name: calibration_frame(instrument, name, day) for name in names}
    steps, azimuth = rows["stepper"].sort("step"), rows["azimuth"].sort("anode")
    energy = rows["energy"].sort("energy_index")["energy_ev"].to_numpy()
    deflection = rows["deflection"].sort("deflection_index")["deflection_deg"].to_numpy()
    at_energy, at_deflection = (steps[name].to_numpy() for name in ("energy_index", "deflection_index"))
    readout, detector = (named_values(instrument, name, day) for name in ("readout", "detector"))
    seconds = detector["accumulation_time"] / 1e6
    efficiency = rows["efficiency"].sort("energy_index")["efficiency"].to_numpy()[at_energy]
    geometry = rows["geometry"].sort("anode")["geometric_factor_cm2_sr"].to_numpy()
    interval = steps["dwell_us"].to_numpy() + int(readout["step_overhead"])
    return Analyser(
        energy_ev=energy[at_energy],
        flow=-_look(deflection[at_deflection], azimuth["azimuth_deg"].to_numpy()),
        counts_per_flux=seconds * efficiency[:, None] * geometry,
        stamp_us=np.cumsum(interval) - interval[0],
        period_us=int(interval.sum() + readout["sweep_overhead"]),
        seconds=seconds,
        dead_time_s=detector["dead_time"] / 1e9,
        counter_full=int(readout["counter_full"]),
        total_full=int(readout["total_counter_full"]),
    )


def _look(deflection_deg: Float64, azimuth_deg: Float64) -> Float64:
    """Look directions [s, a, 3] of elevations [s] above the plane in which the azimuth [a] runs from x to y."""
    elevation, azimuth = np.deg2rad(deflection_deg)[:, None], np.deg2rad(azimuth_deg)[None, :]
    flat = np.cos(elevation)
    parts = (flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation) + 0 * azimuth)
    return np.stack(parts, axis=-1)


@dataclass(frozen=True)
class Electrons:
    """A drifting Maxwellian at n times: density, temperature, and velocity [n, 3] in the analyser's frame."""

    density_cm3: Float64
    temperature_ev: Float64
    velocity_km_s: Float64


def electrons_at(plasma: PlasmaScenario, scenario: EeaScenario, tt2000: Int64, midnight: int) -> Electrons:
    """The electrons at TT2000 times [ns] of a run from `midnight` on: as many as the ions have charges."""
    state = plasma_at(plasma, tt2000, midnight)
    density = state.density_cm3 * (1 + 2 * state.alpha_ratio + state.oxygen_ratio)
    bus = attitude_at(plasma, tt2000).inv().apply(state.velocity_gse_km_s)
    mounting = Rotation.from_euler("ZYX", scenario.mounting_deg, degrees=True)
    return Electrons(density, state.electron_temperature_ev, mounting.inv().apply(bus))


def expected_counts(analyser: Analyser, electrons: Electrons, background: float) -> Float64:
    """Mean counts [n, step, anode] before dead time.

    f = n (m / 2 pi T)^(3/2) exp(-m (v - V)^2 / 2T); the analyser counts J_E = 2 E^2 f / m^2 times its response.
    """
    mass, temperature = ELECTRON_MASS, electrons.temperature_ev[:, None, None]
    speed = np.sqrt(2 * analyser.energy_ev / mass)
    bulk = electrons.velocity_km_s * CM_PER_KM
    # m (v - V)^2 / 2 = E - m v (u . V) + m V^2 / 2
    along = np.einsum("sac,nc->nsa", analyser.flow * speed[:, None, None], bulk)
    drift = mass / 2 * (bulk**2).sum(axis=1)[:, None, None]
    exponent = (mass * along - drift - analyser.energy_ev[:, None]) / temperature
    scale = electrons.density_cm3[:, None, None] * (mass / (2 * np.pi * temperature)) ** 1.5
    response = analyser.counts_per_flux * (2 * analyser.energy_ev**2 / mass**2)[:, None]
    return np.asarray(scale * np.exp(exponent) * response + background)


def draw(analyser: Analyser, expected: Float64, random: np.random.Generator) -> Int64:
    """Counts of the anodes with dead time (R = R0 / (1 + R0 tau)) and full counters."""
    live = expected / (1 + expected * (analyser.dead_time_s / analyser.seconds))
    return np.asarray(np.minimum(random.poisson(live), analyser.counter_full), np.int64)


def draw_totals(analyser: Analyser, anodes: Int64, extra: float, random: np.random.Generator) -> Int64:
    """A total counter of each step: what the anodes saw and now and then an event more."""
    totals = anodes.sum(axis=-1)
    return np.asarray(np.minimum(totals + random.poisson(extra, totals.shape), analyser.total_full), np.int64)
