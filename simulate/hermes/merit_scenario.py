# SPDX-License-Identifier: Apache-2.0
"""The scenario of a simulated MERiT day, read from merit_scenario.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from lake.definition_text import build_at, read_yaml
from lake.packet_definitions import Noun
from simulate.hermes.plasma import Quantity

SCENARIO = Path(__file__).with_name("merit_scenario.yaml")


class Head(Noun):
    """A detector head and the part of the flux that it sees."""

    name: str
    flux_part: float = Field(ge=0)


class Triggers(Noun):
    """Triggers of a head: so many for each counted particle, noise, and when they are too many."""

    per_count: float = Field(ge=1)
    noise_per_s: float = Field(ge=0)
    saturated_dead_part: float = Field(gt=0, lt=1)


class Burst(Noun):
    """A stretch in which the instrument is in another mode."""

    after_s: float
    seconds: float = Field(ge=0)
    mode: int = Field(ge=0, le=255)


class Species(Noun):
    """What the instrument calls a species, and the parts of its energy that the four detectors see."""

    id: int = Field(ge=0, le=3)
    parts: tuple[float, float, float, float]


class Events(Noun):
    """How many pulse heights are sent, and how large they are."""

    most_per_head: int = Field(ge=0, le=255)
    adu_per_mev: tuple[float, float, float, float]
    spread: float = Field(ge=0)
    species: dict[str, Species]


class MeritScenario(Noun):
    """Everything that a simulated day of MERiT needs beyond the plasma and the definitions in missions/."""

    first_packet_s: float = Field(ge=0, lt=1)
    heads: tuple[Head, ...]
    triggers: Triggers
    readout_s: float = Field(ge=0)
    lut_version: int = Field(ge=0, le=255)
    mode: int = Field(ge=0, le=255)
    burst: Burst
    head_temperature_degc: tuple[Quantity, ...]
    events: Events
    truth_step_s: int = Field(gt=0)
    file_cap_bytes: int = Field(gt=0)


@cache
def read_merit_scenario(path: Path = SCENARIO) -> MeritScenario:
    """The scenario in a YAML file. Raises DefinitionError that names line and field."""
    return build_at(MeritScenario, read_yaml(path), path, ())
