# SPDX-License-Identifier: Apache-2.0
"""Units as the field writes them are known; words that look like units are not."""

from __future__ import annotations

import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.units import check_units, is_same_unit, is_unit


@pytest.mark.parametrize(
    "unit",
    ["", "1", "s", "mA", "degC", "degC/128", "12.8 us", "1/65536 s", "eV/q", "cm-3", "km/s", "count/s", "adu", "%",
     "1/(cm2 s sr MeV)", "eV/(cm2 s sr eV)", "W/m2", "rad s-1", "mV/LSB", "nanoampere", "percent", "deg"],
)  # fmt: skip
def test_units_of_the_field_are_known(unit: str) -> None:
    assert is_unit(unit)


@pytest.mark.parametrize("unit", ["degc", "Celcius", "volts?", "-", "2", "mAmp ere", "import os", "(", "m/", "none"])
def test_what_is_no_unit_is_told(unit: str) -> None:
    assert not is_unit(unit)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("mA", "milliampere", True),
        ("1/(cm2 s)", "cm-2 s-1", True),
        ("degC", "celsius", True),
        ("mV", "V", False),
        ("degC", "K", False),
        ("V", "A", False),
    ],
)
def test_units_are_the_same_by_quantity_and_scale(one: str, other: str, same: bool) -> None:
    assert is_same_unit(one, other) == same


def test_every_unit_of_the_missions_is_one() -> None:
    assert check_units(read_definitions(CHECKOUT / "missions")) > 20
