# SPDX-License-Identifier: Apache-2.0
"""The toy's box with a product that has something of everything: axes of each kind, a vector, an uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

from tests.toy import write_missions

MISSION = """\
name: toy
title: A mission for tests
valid_time: {start: 2024-01-01, stop: 2050-01-01}
cdf:
  Source_name: "TOY>A mission for tests"
  Project: "TOY>A project for tests"
  Discipline: "Space Physics>Interplanetary Studies"
  Mission_group: TOY
  PI_name: A. Tester
  PI_affiliation: University of Tests
  Acknowledgement: Thank the box.
  Rules_of_use: Open to all tests.
  HTTP_LINK: "https://example.org/box"
  LINK_TEXT: The box at
  LINK_TITLE: its page
"""
INSTRUMENT = """\
cdf:
  Descriptor: "BOX>A box"
  Instrument_type: Particles (space)
unknowns:
  - What is in the box.
"""
TABLES = """\
axes:
  part: {size: 2, calibration: parts, column: centre, minus_column: below, plus_column: above, unit: mm,
         valid: [0, 10], description: Place of a part, label: Part}
  side: {size: 2, labels: [left, right], description: Side of the box, label: Side}
  level: {size: 3, first: 1, step: 2, unit: cm, description: Height of a level, label: Level}
tables:
  box_l0_tick:
    title: Ticks
    grain: one row per packet
    packet: tick
  box_l1_tick:
    title: Ticks in volts
    grain: one row per packet
    order: strict
    inputs: {tick: box_l0_tick}
    calibrations: [gain]
    columns:
      - epoch_tt2000
      - {name: lasts_s, type: float64, unit: s, valid: [0, 10], description: 'How long a tick lasts'}
      - {name: voltage_v, type: float64, unit: V, valid: [0, 100], uncertainty: voltage_sigma_v, description: Voltage}
      - {name: voltage_sigma_v, type: float64, unit: V, valid: [0, 100], description: Uncertainty of the voltage}
      - {name: count_of_parts, type: int16, unit: count, axes: [part], valid: [0, 4095], description: Parts seen}
      - {name: flow_km_s, type: float32, unit: km/s, axes: [side], frame: BOX, description: Flow at both sides}
      - {name: heat, type: float32, unit: eV, axes: [part, level], description: Heat of each part and level,
         spase: "SPASE>Particle>ParticleType:Proton,ParticleQuantity:Temperature"}
      - {name: word, type: string, export: false, description: A word}
      - quality_flag
"""
PRODUCTS = """\
products:
  box_l1_tick:
    version: "1.0"
    title: Ticks in volts
    text: Voltages of a box that is there for the tests, and of all of its parts.
    time_resolution: 1 second
    bin_location: 0.5
    delta_minus: lasts_s
    delta_plus: lasts_s
    mods: ["1.0: first version"]
"""
PARTS = "centre,below,above\n"
EDITS = dict[str, Sequence[tuple[str, str]]]


def write_template(folder: Path) -> Path:
    """The definitions as a folder missions/, with two calibrations that give the parts their places."""
    missions = write_missions(folder / "missions")
    box = missions / "toy" / "box"
    (missions / "toy" / "mission.yaml").write_text(dedent(MISSION))
    (box / "instrument.yaml").write_text((box / "instrument.yaml").read_text() + dedent(INSTRUMENT))
    (box / "tables.yaml").write_text(TABLES)
    (box / "cdf.yaml").write_text(PRODUCTS)
    (box / "calibration" / "parts_20240101.csv").write_text(f"{PARTS}1,0.5,0.5\n2,0.5,1.5\n")
    (box / "calibration" / "parts_20250101.csv").write_text(f"{PARTS}1.0625,0.25,0.5\n9.5,0.5,0.125\n")
    return missions


def edit(missions: Path, name: str, before: str, after: str) -> Path:
    """Change a file of the mission, given as below missions/toy; the file."""
    path = missions / "toy" / name
    text = path.read_text()
    assert text.count(before) == 1, (before, text.count(before))
    path.write_text(text.replace(before, after))
    return path
