# SPDX-License-Identifier: Apache-2.0
"""The scenario of a simulated MeDDEA day, read from meddea_scenario.yaml."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path

from pydantic import Field

from lake.definition_text import build_at, read_yaml
from lake.errors import CalibrationError
from lake.packet_definitions import Noun
from simulate.sun import Band, FlarePlan, Source

SCENARIO = Path(__file__).with_name("meddea_scenario.yaml")


class ClockError(Noun):
    """How the instrument's clock departs from true time, and when the 10 s grid of the day begins."""

    drift_ticks: int
    drift_over_s: int = Field(gt=0)
    first_packet_s: float = Field(ge=0, lt=10)


class Detector(Noun):
    """Detectors, sharing of photons between pixels, resolution, dead time, baseline."""

    asics: tuple[int, ...] = Field(min_length=1)
    pixel_weights: dict[str, float]
    fwhm_kev: float = Field(gt=0)
    fwhm_per_sqrt_kev: float = Field(ge=0)
    dead_time_us: tuple[float, float]
    baseline_adu: float
    baseline_sigma_adu: float = Field(ge=0)


class FillTime(Noun):
    """Fill times of a packet that raise and lower the decimation level, from a day on."""

    valid_from: date
    up: int
    down: int


class PhotonRules(Noun):
    """When a photon packet closes and how many words an event has."""

    time_unit_ns: int = Field(gt=0)
    max_integration: int = Field(gt=0, lt=65536)
    full_bytes: int = Field(gt=0)
    turnaround_units: int = Field(ge=0)
    words_without_baseline: int
    words_with_baseline: int
    fill_times: tuple[FillTime, ...] = Field(min_length=1)

    def fill_time(self, day: date) -> FillTime:
        """The newest entry that is valid on the day. Raises CalibrationError."""
        valid = [entry for entry in self.fill_times if entry.valid_from <= day]
        if not valid:
            raise CalibrationError(f"{SCENARIO} (photon.fill_times): none is valid on {day}. Choose a later day.")
        return max(valid, key=lambda entry: entry.valid_from)


class SpectrumRules(Noun):
    """Integration of a spectrum in units of the photon packet's time unit."""

    integration: int = Field(gt=0)


class HousekeepingChannel(Noun):
    """A housekeeping value in physical units: mean, half swing over the orbit, lag behind sunrise, noise."""

    mean: float
    swing: float
    lag: float
    noise: float = Field(ge=0)


class HousekeepingRules(Noun):
    """Cadence and values of the housekeeping packets."""

    cadence_s: int = Field(gt=0)
    first_s: float = Field(ge=0)
    channels: dict[str, HousekeepingChannel]
    command_errors: int
    error_bit: str
    error_chance: float = Field(ge=0, le=1)


class Contacts(Noun):
    """When the ground commands register reads, and what they answer."""

    orbits: tuple[int, ...]
    minutes_after_sunrise: float
    step_s: float = Field(gt=0)
    registers: dict[str, int]


class Files(Noun):
    """Size at which a file closes, and what the names of each stream's files begin with."""

    cap_bytes: int = Field(gt=0)
    streams: dict[str, str]


class Scenario(Noun):
    """Everything that a simulated day of MeDDEA needs beyond the definitions in missions/."""

    night_fraction: float = Field(ge=0, lt=1)
    clock: ClockError
    band: Band
    sources: tuple[Source, ...]
    flares: tuple[FlarePlan, ...]
    detector: Detector
    photon: PhotonRules
    spectrum: SpectrumRules
    housekeeping: HousekeepingRules
    contacts: Contacts
    files: Files


@cache
def read_scenario(path: Path = SCENARIO) -> Scenario:
    """The scenario in a YAML file. Raises DefinitionError that names line and field."""
    return build_at(Scenario, read_yaml(path), path, ())
