# SPDX-License-Identifier: Apache-2.0
"""Columns that are converted, and tables that a method makes: what is missing is named when definitions are read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import DefinitionError


@pytest.fixture
def thermo(tmp_path: Path) -> Path:
    """The folder of the template's instrument, in a mission of its own."""
    shutil.copytree(CHECKOUT / "missions" / "_template" / "demo", tmp_path / "missions" / "demo")
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, tmp_path / "missions")
    return tmp_path / "missions" / "demo" / "thermo"


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        (
            "flags.csv",
            "adc_out_of_range",
            "other",
            r"tables\.yaml line \d+ .*plate_temp_degc\): the instrument has no flag",
        ),
        (
            "tables.yaml",
            ", hk_states]",
            "]",
            r"\.heater\): the table has no calibration of kind states\. Add one named",
        ),
        ("tables.yaml", "conversion: linear, nullable: true}", "conversion: linear}", r"Add `nullable: true`\."),
        (
            "tables.yaml",
            "{name: heater, type: string",
            "{name: heater, type: int8",
            r"states give text, not int8\. Correct",
        ),
        (
            "tables.yaml",
            "source: heater_state, conversion",
            "source: pressure, conversion",
            r"\.heater\): its source pressure is float32, and states are of whole numbers\. Correct",
        ),
        (
            "tables.yaml",
            "coil_current_ma, type: float64",
            "coil_current_ma, type: string",
            r"linear give numbers, not str",
        ),
        (
            "tables.yaml",
            "inputs: {hk: thermo_l0_hk}",
            "inputs: {}",
            r"line \d+ \(method\): it makes a table of one input",
        ),
    ],
)
def test_what_a_conversion_needs_is_named(thermo: Path, file: str, before: str, after: str, message: str) -> None:
    change(thermo / file, before, after)
    if file == "tables.yaml" and before.startswith("inputs"):  # the columns of an input would be missing first
        text = (thermo / file).read_text()
        (thermo / file).write_text(f"{text.partition('    columns:')[0]}    columns: [epoch_tt2000, quality_flag]\n")
        for path in (thermo / "cdf.yaml", thermo / "limits.csv"):
            path.unlink()
    with pytest.raises(DefinitionError, match=message):
        read_definitions(thermo.parents[1])


def test_a_plain_name_of_an_array_brings_its_axis_along(thermo: Path) -> None:
    change(thermo / "packets" / "hk.csv", "mode,uint,6,", '"mode","uint(3, 2)",1,')
    change(thermo / "channels.csv", "thermo_l1_hk,mode,state,\n", "")
    table = read_definitions(thermo.parents[1]).tables["demo.thermo_l1_hk"]
    assert table.by_name["mode"].axes == ("mode_0", "mode_1")
    assert table.shape(table.by_name["mode"]) == (3, 2)


@pytest.mark.parametrize("kind", ["polynomial", "hk_polynomial", "a_b_polynomial"])
def test_a_calibration_is_for_a_kind_of_conversion_by_the_end_of_its_name(thermo: Path, kind: str) -> None:
    column = read_definitions(thermo.parents[1]).tables["demo.thermo_l1_hk"].by_name["bus_voltage_v"]
    assert column.is_converted_by(kind)
    assert not column.is_converted_by(f"{kind}_2")
    assert not column.is_converted_by("monopolynomial")
