# SPDX-License-Identifier: Apache-2.0
"""The scenario of a simulated NEMISIS day, read from nemisis_scenario.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from lake.definition_text import build_at, read_yaml
from lake.packet_definitions import Noun
from simulate.hermes.plasma import Quantity

SCENARIO = Path(__file__).with_name("nemisis_scenario.yaml")


class Spikes(Noun):
    """How often a sample of a sensor is hit by a spike, and how large spikes are."""

    per_hour: float = Field(ge=0)
    fg_nt: float
    pni1_nt: float
    pni2_nt: float


class NemisisScenario(Noun):
    """Everything that a simulated day of NEMISIS needs beyond the plasma and the definitions in missions/."""

    first_tone_s: float = Field(ge=4)  # so that the samples before the first tone are of the same day
    tone_ticks_early: float = Field(ge=0)
    sent_after_tone_s: float = Field(gt=0)
    sent_jitter_s: float = Field(ge=0)
    met_at_start: int = Field(ge=0)
    oscillator_fast_ppm: float
    first_slot_phase: float = Field(ge=0, lt=1)
    acq_pos_num: int = Field(ge=0, lt=40)
    relay_off_packets: int = Field(ge=0)
    unset_rtc_packets: int = Field(ge=0)
    rtc_error_s: float
    command_failures: float = Field(ge=0, le=1)
    temperatures_degc: dict[str, Quantity]
    spikes: Spikes
    host_directions: dict[str, tuple[float, float, float]]
    attitude_step_s: int = Field(gt=0)
    attitude_margin_s: int = Field(ge=0)
    file_cap_bytes: int = Field(gt=0)


@cache
def read_nemisis_scenario(path: Path = SCENARIO) -> NemisisScenario:
    """The scenario in a YAML file. Raises DefinitionError that names line and field."""
    return build_at(NemisisScenario, read_yaml(path), path, ())
