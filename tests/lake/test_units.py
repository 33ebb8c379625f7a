# SPDX-License-Identifier: Apache-2.0
"""Units as the field writes them are known; words that look like units are not."""

from __future__ import annotations

import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.units import check_units, is_same_unit, is_unit, si_factor, units_of


@pytest.mark.parametrize(
    "unit",
    ["", "1", "s", "mA", "degC", "degC/128", "12.8 us", "1/65536 s", "eV/q", "cm-3", "km/s", "count/s", "adu", "%",
     "1/(cm2 s sr MeV)", "eV/(cm2 s sr eV)", "W/m2", "rad s-1", "mV/LSB", "nanoampere", "percent", "deg", "1e-9 T",
     "1.5e3 km/s"],
)  # fmt: skip
def test_units_of_the_field_are_known(unit: str) -> None:
    assert is_unit(unit)


@pytest.mark.parametrize(
    "unit", ["degc", "Celcius", "volts?", "-", "2", "mAmp ere", "import os", "(", "m/", "none", "T/1e9", "m 1e-3"]
)
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


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("unit", "spelled"),
    [
        ("nT", "nT"), ("keV", "keV"), ("km/s", "km/s"), ("cm-3", "cm-3"), ("deg", "deg"), ("nPa", "nPa"), ("h", "h"),
        ("1/(cm2 s sr MeV)", "1/(cm2 s sr MeV)"), ("1/(cm2 s sr)", "1/(cm2 s sr)"), ("W/m2", "W/m2"), ("uA", "uA"),
    ],
)  # fmt: skip
def test_the_factor_to_si_is_that_of_another_library(unit: str, spelled: str) -> None:
    from astropy import units  # noqa: PLC0415  slow to import

    found = si_factor(unit)
    assert found is not None
    factor, si = found
    assert factor == pytest.approx(units.Unit(spelled).to(units.Unit(si)), rel=1e-14)


# Units without a factor, and those that the other library reads otherwise or not at all.
NO_FACTOR = {"", "1", "adu", "byte", "degC", "degC/128"}
NOT_READ = {"1/65536 s", "eV/q"}


@pytest.mark.oracle
def test_the_factor_of_every_unit_of_the_missions_is_that_of_another_library() -> None:
    from astropy import units  # noqa: PLC0415  slow to import

    found = {unit: si_factor(unit) for unit in units_of(read_definitions(CHECKOUT / "missions"))}
    assert {unit for unit, factor in found.items() if factor is None} == NO_FACTOR
    for unit, factor in found.items():
        if factor and unit not in NOT_READ:
            assert factor[0] == pytest.approx(units.Unit(unit).to(units.Unit(factor[1].replace("unitless", "")))), unit


@pytest.mark.parametrize(
    ("unit", "factor", "si"),
    [("deg/s", 0.017453292519943295, "rad/s"), ("1e-9 T", 1e-9, "T"), ("2.5e3 km/s", 2.5e6, "m/s"), ("kHz", 1e3, "Hz")],
)
def test_angles_and_powers_of_ten_have_their_factor(unit: str, factor: float, si: str) -> None:
    found = si_factor(unit)
    assert found is not None
    assert (found[0], found[1]) == (pytest.approx(factor, rel=1e-14), si)


# One rpm is 2 pi / 60 rad/s, and no 0.1047 Hz.
@pytest.mark.parametrize(
    "unit", ["", "1", "degC", "degF", "degC/128", "adu", "LSB", "mV/LSB", "no unit", "rpm", "nT rpm"]
)
def test_what_no_factor_leads_to_si_has_none(unit: str) -> None:
    assert si_factor(unit) is None
