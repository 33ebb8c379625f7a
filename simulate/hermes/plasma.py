# SPDX-License-Identifier: Apache-2.0
"""The plasma around HERMES in a simulation: quiet wind, a shock, energetic particles, and fields of the host.

One scenario, read from plasma_scenario.yaml, drives the simulators of all four instruments. Everything is a function
of time alone and free of random numbers. Shock and particles happen once, counted from the first midnight of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field
from scipy.spatial.transform import Rotation

from lake.clock import NS, unix_ns_from_tt2000
from lake.definition_text import build_at, read_yaml
from lake.packet_definitions import Noun
from simulate.files import write_once

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

SCENARIO = Path(__file__).with_name("plasma_scenario.yaml")


class Wave(Noun):
    """A sine wave in time; `turn` is its phase at J2000 as a part of the period."""

    amplitude: float
    period_s: float = Field(gt=0)
    turn: float = 0.0


class Quantity(Noun):
    """A number that varies slowly and smoothly: a mean and waves on it."""

    mean: float
    waves: tuple[Wave, ...]

    def at(self, tt2000: Int64) -> Float64:
        """Its values [n] at TT2000 times [ns]."""
        seconds = tt2000 / NS
        value = np.full(len(tt2000), self.mean)
        for wave in self.waves:
            value += wave.amplitude * np.sin(2 * np.pi * (seconds / wave.period_s + wave.turn))
        return value


class Wind(Noun):
    """The quiet solar wind."""

    density_cm3: Quantity
    speed_km_s: Quantity
    flow_azimuth_deg: Quantity
    flow_elevation_deg: Quantity
    proton_temperature_ev: Quantity
    electron_temperature_ev: Quantity
    alpha_ratio: Quantity
    oxygen_ratio: Quantity


class MagneticField(Noun):
    """The quiet interplanetary field by magnitude and direction in GSE."""

    magnitude_nt: Quantity
    azimuth_deg: Quantity
    elevation_deg: Quantity


class Shock(Noun):
    """An interplanetary shock: factors (an addition for the speed) right behind it."""

    after_s: float = Field(ge=0)
    ramp_s: float = Field(gt=0)
    relaxation_s: float = Field(gt=0)
    density_factor: float = Field(ge=1)
    speed_km_s: float
    temperature_factor: float = Field(ge=1)
    field_factor: float = Field(ge=1)

    def strength(self, seconds: Float64) -> Float64:
        """How much of the jump is there: 0 before, 1 at the end of the ramp, then relaxing."""
        since = seconds - self.after_s
        ramp = np.clip(since / self.ramp_s, 0, 1)
        smooth = ramp * ramp * (3 - 2 * ramp)
        return np.asarray(smooth * np.exp(-np.maximum(since - self.ramp_s, 0) / self.relaxation_s), np.float64)


class PowerLaw(Noun):
    """The differential flux of one species, quiet and at the peak of the event."""

    reference_mev: float = Field(gt=0)
    quiet_j0: float = Field(gt=0)
    quiet_index: float
    peak_j0: float = Field(gt=0)
    peak_index: float

    def at(self, profile: Float64) -> tuple[Float64, Float64]:
        """Flux at the reference energy and index, where the event has reached a part 0 to 1 of its peak."""
        share = self.peak_j0 * profile / (self.quiet_j0 + self.peak_j0 * profile)
        j0 = self.quiet_j0 + (self.peak_j0 - self.quiet_j0) * profile
        return j0, self.quiet_index + (self.peak_index - self.quiet_index) * share


class ParticleEvent(Noun):
    """An energetic-particle event: onset, decay, and the spectra of its species."""

    after_s: float = Field(ge=0)
    rise_s: float = Field(gt=0)
    decay_s: float = Field(gt=0)
    protons: PowerLaw
    electrons: PowerLaw

    def profile(self, seconds: Float64) -> Float64:
        """Intensity relative to the peak: (1 - exp(-t / rise)) exp(-t / decay), scaled to a maximum of 1."""
        since = np.maximum(seconds - self.after_s, 0)
        ratio = self.rise_s / self.decay_s
        peak = (ratio / (1 + ratio)) ** ratio / (1 + ratio)
        return np.asarray(-np.expm1(-since / self.rise_s) * np.exp(-since / self.decay_s) / peak, np.float64)


class HostSource(Noun):
    """A current of the host that is on for a part of each period, its field given at the place of sensor pni1."""

    name: str
    amplitude_nt: float
    period_s: float = Field(gt=0)
    on_part: float = Field(gt=0, lt=1)
    offset_s: float = 0.0

    def at(self, elapsed_ns: Int64) -> Float64:
        """The field [nT] at times since midnight: the amplitude while it is on, otherwise 0."""
        period = round(self.period_s * NS)
        phase = (elapsed_ns - round(self.offset_s * NS)) % period
        return np.where(phase < self.on_part * period, self.amplitude_nt, 0.0)


class Attitude(Noun):
    """The bus against GSE by yaw (Z), pitch (Y') and roll (X'')."""

    yaw_deg: Quantity
    pitch_deg: Quantity
    roll_deg: Quantity


class PlasmaScenario(Noun):
    """Everything around the spacecraft that the instruments measure."""

    wind: Wind
    field: MagneticField
    shock: Shock
    particles: ParticleEvent
    host_sources: tuple[HostSource, ...] = Field(min_length=1)
    attitude: Attitude
    truth_step_s: int = Field(gt=0)


@dataclass(frozen=True)
class Plasma:
    """The plasma at n times. Vectors are in GSE; electrons number n_p (1 + 2 alpha_ratio + oxygen_ratio).

    Fluxes are 1/(cm2 s sr MeV) at 10 MeV (protons) and 1 MeV (electrons), J = J0 (E / E0)^-index.
    """

    density_cm3: Float64
    alpha_ratio: Float64
    oxygen_ratio: Float64
    velocity_gse_km_s: Float64
    proton_temperature_ev: Float64
    electron_temperature_ev: Float64
    b_gse_nt: Float64
    proton_j0: Float64
    proton_index: Float64
    electron_j0: Float64
    electron_index: Float64
    host_source_nt: Float64


@cache
def read_scenario(path: Path = SCENARIO) -> PlasmaScenario:
    """The scenario in a YAML file. Raises DefinitionError that names line and field."""
    return build_at(PlasmaScenario, read_yaml(path), path, ())


def plasma_at(scenario: PlasmaScenario, tt2000: Int64, midnight: int) -> Plasma:
    """The plasma at TT2000 times [ns] of a run whose first midnight is at TT2000 `midnight` [ns]."""
    wind, shock = scenario.wind, scenario.shock
    jump = shock.strength((tt2000 - midnight) / NS)
    density, temperature, field = (
        1 + (factor - 1) * jump for factor in (shock.density_factor, shock.temperature_factor, shock.field_factor)
    )
    speed = wind.speed_km_s.at(tt2000) + shock.speed_km_s * jump
    profile = scenario.particles.profile((tt2000 - midnight) / NS)
    proton_j0, proton_index = scenario.particles.protons.at(profile)
    electron_j0, electron_index = scenario.particles.electrons.at(profile)
    magnetic = scenario.field
    return Plasma(
        density_cm3=wind.density_cm3.at(tt2000) * density,
        alpha_ratio=wind.alpha_ratio.at(tt2000),
        oxygen_ratio=wind.oxygen_ratio.at(tt2000),
        velocity_gse_km_s=-_vector(speed, wind.flow_azimuth_deg.at(tt2000), wind.flow_elevation_deg.at(tt2000)),
        proton_temperature_ev=wind.proton_temperature_ev.at(tt2000) * temperature,
        electron_temperature_ev=wind.electron_temperature_ev.at(tt2000) * temperature,
        b_gse_nt=_vector(
            magnetic.magnitude_nt.at(tt2000) * field, magnetic.azimuth_deg.at(tt2000), magnetic.elevation_deg.at(tt2000)
        ),
        proton_j0=proton_j0,
        proton_index=proton_index,
        electron_j0=electron_j0,
        electron_index=electron_index,
        host_source_nt=np.stack([source.at(tt2000 - midnight) for source in scenario.host_sources], axis=1),
    )


def _vector(length: Float64, azimuth_deg: Float64, elevation_deg: Float64) -> Float64:
    """Vectors [n, 3] from their length and direction."""
    azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    flat = length * np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), length * np.sin(elevation)], axis=1)


def attitude_at(scenario: PlasmaScenario, tt2000: Int64) -> Rotation:
    """The rotations that take vectors of the HERMES bus frame to GSE, one for each TT2000 time [ns]."""
    attitude = scenario.attitude
    angles = [attitude.yaw_deg.at(tt2000), attitude.pitch_deg.at(tt2000), attitude.roll_deg.at(tt2000)]
    return Rotation.from_euler("ZYX", np.stack(angles, axis=1), degrees=True)


def write_truth(scenario: PlasmaScenario, midnight: int, seconds: int, folder: Path) -> None:
    """Writes `truth/plasma_<yyyymmdd>.csv`, a row every 10 s; a second call for the same run leaves it alone.

    Raises StorageError if the folder holds the truth of another run under this name.
    """
    tt2000 = midnight + np.arange(0, seconds, scenario.truth_step_s, dtype=np.int64) * NS
    unix_ns = unix_ns_from_tt2000(tt2000)
    time = pl.Series("time", unix_ns // 1000).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    numbers = _columns(plasma_at(scenario, tt2000, midnight), attitude_at(scenario, tt2000))
    frame = pl.DataFrame([time, pl.Series("epoch_tt2000", tt2000)]).with_columns(
        pl.Series(name, values).round_sig_figs(7) for name, values in numbers.items()
    )
    day = f"{np.datetime64(int(unix_ns[0]), 'ns').astype('datetime64[D]').item():%Y%m%d}"
    write_once(folder / "truth" / f"plasma_{day}.csv", frame.write_csv().encode())


def _columns(plasma: Plasma, attitude: Rotation) -> dict[str, Float64]:
    """Plasma and attitude as one column for each number; the quaternion's scalar part comes last."""
    columns: dict[str, Float64] = {}
    for name, values in [*vars(plasma).items(), ("quaternion_bus_to_gse", attitude.as_quat())]:
        parts = values[:, None] if values.ndim == 1 else values
        labels = [""] if values.ndim == 1 else [f"_{i}" for i in range(1, parts.shape[1] + 1)]
        columns |= {name + label: parts[:, i] for i, label in enumerate(labels)}
    return columns
