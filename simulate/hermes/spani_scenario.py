# SPDX-License-Identifier: Apache-2.0
"""The scenario of a simulated SPAN-I day, read from spani_scenario.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from lake.definition_text import build_at, read_yaml
from lake.packet_definitions import Noun

SCENARIO = Path(__file__).with_name("spani_scenario.yaml")


class Cycle(Noun):
    """The time of an accumulation in ticks of a clock."""

    ticks: int = Field(gt=0)
    hertz: int = Field(gt=0)


class AttenuatorRule(Noun):
    """Positions of the attenuator, and the dead part of the time at the peak of the flux above which it goes in."""

    out_position: int
    in_position: int
    in_above_dead_part: float = Field(gt=0)


class RateRule(Noun):
    """How many of the ions make a start and a stop, and dark counts of each anode per second."""

    start_efficiency: float = Field(gt=0, le=1)
    stop_efficiency: float = Field(gt=0, le=1)
    noise_per_s: float = Field(ge=0)


class Scenario(Noun):
    """Everything that a simulated day of SPAN-I needs beyond plasma, definitions and calibrations."""

    cycle: Cycle
    sweeps_log2: int = Field(ge=0, le=15)
    temperature_ratio: dict[str, float]
    attenuator: AttenuatorRule
    rates: RateRule
    high_voltage_mode: int = Field(ge=0, le=15)
    file_bytes: int = Field(gt=0)


@cache
def read_scenario(path: Path = SCENARIO) -> Scenario:
    """The scenario in a YAML file. Raises DefinitionError that names line and field."""
    return build_at(Scenario, read_yaml(path), path, ())
