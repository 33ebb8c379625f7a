# SPDX-License-Identifier: Apache-2.0
"""Each mistake in a definition that SPDF would send back is told by file and line before there is any data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exports.datasets.dataset import datasets
from lake.definition_files import read_definitions
from lake.errors import DefinitionError
from lake.store import Lake
from swxlake.doctor import examine
from tests.template import edit, write_template

TABLES, PRODUCTS, INSTRUMENT, MISSION = "box/tables.yaml", "box/cdf.yaml", "box/instrument.yaml", "mission.yaml"
# The file, what is changed to what, the beginning of the line that is to be named, and words of the message.
MISTAKES = {
    "long unit": (TABLES, "unit: eV", "unit: photons/cm2/s/keV/ster", "- {name: heat", "more than 20 characters"),
    "no unit": (TABLES, "unit: eV", "unit: furlongx", "- {name: heat", "'furlongx' is no unit"),
    "unit not ASCII": (TABLES, "unit: eV", "unit: µs", "- {name: heat", "printable ASCII"),
    "not ASCII": (TABLES, "Heat of each", "Heat in °C of each", "- {name: heat", "CATDESC.*printable ASCII"),
    "long sentence": (TABLES, "Flow at both", f"{'Flow ' * 30}at", "- {name: flow", "first sentence of 1"),
    "described twice": (
        *(TABLES, "Uncertainty of the voltage", "Voltage", "- {name: voltage_sigma_v"), "one CATDESC",
    ),
    "long label": (TABLES, "How long", f"Time', label: '{'x' * 21}", "- {name: lasts", "label .* more than 20"),
    "label of another": (
        *(TABLES, "description: Voltage}", "label: word_x, description: Voltage}\n      - {name: word_x, type: int8, "
        "valid: [0, 1], description: Word}", "- {name: voltage_v"), "its label names another variable",
    ),
    "range with the fill": (TABLES, "[0, 4095]", "[-32768, 4095]", "- {name: count", "holds the fill value -32768"),
    "range of another type": (TABLES, "[0, 4095]", "[0, 65535]", "- {name: count", "outside CDF_INT2"),
    "range of an integer": (TABLES, "[0, 4095]", "[0.5, 4095]", "- {name: count", "Give integers"),
    "empty range": (TABLES, "[0, 4095]", "[7, 7]", "- {name: count", "is empty"),
    "turned range": (TABLES, "[0, 4095]", "[7, 6]", "- {name: count", "Swap them"),
    "long name": (TABLES, "name: heat,", f"name: {'h' * 51},", "- {name: hhh", "name of 51 characters"),
    "text": (TABLES, "type: string, export: false", "type: string", "- {name: word", "string values have no place"),
    "other uncertainty": (
        *(TABLES, "sigma_v, type: float64, unit: V", "sigma_v, type: float64, unit: mV", "- {name: voltage_v"),
        "differs in type, unit or axes",
    ),
    "hidden uncertainty": (
        *(TABLES, "name: voltage_sigma_v,", "name: voltage_sigma_v, export: false,", "- {name: voltage_v"),
        "its uncertainty voltage_sigma_v is not exported",
    ),
    "lost uncertainty": (TABLES, "uncertainty: voltage_sigma_v", "uncertainty: none_v", "- {name: voltage_v", "none_v"),
    "frame of no vector": (TABLES, "axes: [side]", "axes: [level]", "- {name: flow", "its cells are no components"),
    "odd keyword": (TABLES, "SPASE>Particle>", "Particle>", "- {name: heat", "keyword 'Particle>"),
    "keyword lacks": (TABLES, "ParticleType:Proton,", "", "- {name: heat", "has no ParticleType"),
    "name of a label": (TABLES, "name: heat,", "name: side_label,", "- {name: side_label", "its axes make a variable"),
    "name of the time": (TABLES, "name: heat,", "name: epoch,", "- {name: epoch", "same to some readers"),
    "unknown axis": (TABLES, "axes: [side]", "axes: [sides]", "- {name: flow", "is not under `axes`"),
    "long axis label": (TABLES, "label: Level}", f"label: {'L' * 21}}}", "level:", "more than 20 characters"),
    "equal cells": (TABLES, "[left, right]", "[left, left]", "side:", "Name each cell"),
    "unit of an axis": (TABLES, "unit: cm,", "unit: furlongx,", "level:", "is no unit"),
    "axis without step": (TABLES, "step: 2,", "step: 0,", "level:", "is empty"),
    "axis of text": (TABLES, "first: 1, step: 2,", "first: 1, step: 2, type: string,", "level:", "Axes are numbers"),
    "axis not ASCII": (TABLES, "Height of a level", "Höhe", "level:", "printable ASCII"),
    "axis of each day": (TABLES, "step: 2, unit", "step: 2, valid: [0, 9], unit", "level:", "these never change"),
    "axis of all days": (TABLES, "valid: [0, 10], description: Place", "description: Place", "part:", "Add `valid:"),
    "one border": (TABLES, "plus_column: above, ", "", "part:", "minus and plus go together"),
    "omits nothing": (PRODUCTS, "mods:", "omit: [heats]\n    mods:", "omit:", "has no column heats"),
    "one reach": (PRODUCTS, "    delta_plus: lasts_s\n", "", "box_l1_tick:", "Give both"),
    "reach in volts": (PRODUCTS, "delta_plus: lasts_s", "delta_plus: voltage_v", "delta_plus:", "in s. Name one"),
    "title": (PRODUCTS, "title: Ticks", "title: Tücks", "title:", "has the character 'ü'"),
    "text not ASCII": (PRODUCTS, "text: Voltages", "text: Völtages", "text:", "has the character 'ö'"),
    "short text": (
        *(PRODUCTS, "Voltages of a box that is there for the tests, and of all of its parts", "All", "text:"),
        "at least 40",
    ),
    "mods": (PRODUCTS, "first version", "première version", "mods:", "has the character 'è'"),
    "compression": (PRODUCTS, "mods:", "compression: 11\n    mods:", "compression:", "less than or equal to 9"),
    "majority": (PRODUCTS, "mods:", "majority: diagonal\n    mods:", "majority:", "'row' or 'column'"),
    "doi": (PRODUCTS, "mods:", "doi: 10.1234/x\n    mods:", "doi:", "should match pattern"),
    "spase": (PRODUCTS, "mods:", "spase_id: spase://NASA/x\n    mods:", "spase_id:", "should match pattern"),
    "version": (PRODUCTS, 'version: "1.0"', "version: v1", "version:", "should match pattern"),
    "unknown key": (PRODUCTS, "mods:", "modes: []\n    mods:", "modes:", "Remove it or correct its spelling"),
    "place in a bin": (PRODUCTS, "bin_location: 0.5", "bin_location: 2", "bin_location:", "less than or equal to 1"),
    "unknown table": (PRODUCTS, "box_l1_tick:", "box_l1_tock:", "box_l1_tock:", "there is no such table"),
    "instrument type": (INSTRUMENT, "Particles (space)", "Particles", "Instrument_type:", "is not in the ISTP list"),
    "descriptor": (INSTRUMENT, '"BOX>A box"', "BOX", "Descriptor:", "is not 'short>long'"),
    "other descriptor": (INSTRUMENT, '"BOX>A', '"CAN>A', "Descriptor:", "is can, the definitions say box"),
    "no descriptor": (INSTRUMENT, '  Descriptor: "BOX>A box"\n', "", "cdf:", "no Descriptor"),
    "typed by hand": (INSTRUMENT, "  Descriptor:", "  TITLE: Box\n  Descriptor:", "TITLE:", "typed by hand"),
    "doi by hand": (INSTRUMENT, "  Descriptor:", "  DOI: x\n  Descriptor:", "DOI:", "typed by hand"),
    "unknown": (INSTRUMENT, "What is in", "Was ist drin, größer als", "- Was", "printable ASCII"),
    "discipline": (MISSION, "Interplanetary Studies", "Planets", "Discipline:", "is not in the ISTP list"),
    "link": (MISSION, "https://example.org", "example.org", "HTTP_LINK:", "is no http"),
    "no PI": (MISSION, "  PI_name: A. Tester\n", "", "cdf:", "no PI_name"),
    "two groups": (MISSION, "Mission_group: TOY", "Mission_group: [TOY, BOY]", "Mission_group:", "has 2 entries"),
    "link without title": (MISSION, "LINK_TEXT: The box at", "LINK_TEXT: [a, b]", "LINK_TEXT:", "one of each per link"),
    "other source": (MISSION, '"TOY>A mission', '"BOY>A mission', "Source_name:", "the definitions say toy"),
    "thanks": (MISSION, "Thank the box", "Danke schön", "Acknowledgement:", "printable ASCII"),
}  # fmt: skip


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    return write_template(tmp_path)


def test_the_template_itself_compiles(missions: Path) -> None:
    assert [dataset.name for dataset in datasets(read_definitions(missions))] == ["toy_box_l1-tick"]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_by_file_and_line(name: str, missions: Path) -> None:
    file, before, after, marker, match = MISTAKES[name]
    path = edit(missions, file, before, after)
    lines = [number for number, line in enumerate(path.read_text().splitlines(), 1) if line.strip().startswith(marker)]
    with pytest.raises(DefinitionError, match=match) as error:
        datasets(read_definitions(missions))
    assert re.search(rf"{re.escape(str(path))} line {lines[0]}[ :]", str(error.value))
    assert "\n" not in str(error.value)


def test_a_value_outside_of_what_holds_for_all_days_is_told_by_its_file(missions: Path) -> None:
    path = missions / "toy/box/calibration/parts_20250101.csv"
    path.write_text("centre,below,above\n1,0.5,0.5\n10.5,0.5,1.5\n")
    with pytest.raises(DefinitionError, match=r"axis part has a value 10\.5, beyond its valid range 0 to 10") as error:
        read_definitions(missions)
    assert str(error.value).startswith(str(path))
    path.write_text("centre,below,above\n1,0.5,0.5\n9.5,0.5,10.5\n")
    with pytest.raises(DefinitionError, match=r"distance 10\.5 to a border"):
        read_definitions(missions)


def test_the_doctor_tells_it(missions: Path, tmp_path: Path) -> None:
    path = edit(missions, TABLES, "ParticleType:Proton,", "")
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    lake.root.mkdir()
    outcome = examine(lake)
    problem = next(text for text in outcome.problems if text.startswith("products: "))
    assert problem.startswith(f"products: {path} line 24 (tables.box_l1_tick.heat): keyword")
    assert outcome.exit_code == 1
