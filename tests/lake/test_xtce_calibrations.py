# SPDX-License-Identifier: Apache-2.0
"""What calibrators and labels of an XTCE file become."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from xml.sax.saxutils import quoteattr

import polars as pl
import pytest

from lake.definition_calibrations import read_calibration
from lake.definition_files import read_definitions
from lake.errors import DefinitionError
from lake.units import check_units
from lake.xtce.reading import Xtce, read_xtce
from tests.lab import write_lab
from tests.xtce import alarm, one_packet, uint

TYPES = uint("U8", 8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box.xml"


def read(path: Path, text: str) -> Xtce:
    path.write_text(text)
    return read_xtce(path, {}, path.with_name("instrument.yaml"))


def calibrated(inside: str, outside: str = "") -> str:
    calibrator = f"<xtce:DefaultCalibrator>{inside}</xtce:DefaultCalibrator>"
    return one_packet(TYPES + uint("T", 16, calibrator, outside), {"volts": "T", "n": "U8"})


def test_a_polynomial_is_a_calibration_without_bounds(path: Path) -> None:
    terms = '<xtce:Term coefficient="0.5" exponent="2"/><xtce:Term coefficient="-4" exponent="0"/>'
    unit = "<xtce:UnitSet><xtce:Unit>V</xtce:Unit></xtce:UnitSet>"
    xtce = read(path, calibrated(f"<xtce:PolynomialCalibrator>{terms}</xtce:PolynomialCalibrator>", unit))
    (found,) = xtce.calibrations
    assert (found.name, found.valid_from, found.path) == ("hk_polynomial", date(1970, 1, 1), path)
    assert found.frame.rows(named=True) == [
        {"channel": "volts", "adc_min": None, "adc_max": None, "c0": -4.0, "c1": 0.0, "c2": 0.5, "unit": "V"}
    ]
    assert xtce.packets[0].fields[0].unit == ""  # volts are what it becomes, not what was sent


@pytest.mark.parametrize(("order", "kind"), [('order="0"', "steps"), ('order="1"', "linear"), ("", "linear")])
def test_a_spline_is_steps_or_straight_lines(path: Path, order: str, kind: str) -> None:
    points = '<xtce:SplinePoint raw="10" calibrated="1.5"/><xtce:SplinePoint raw="0" calibrated="1"/>'
    spline = f'<xtce:SplineCalibrator {order} extrapolate="true">{points}</xtce:SplineCalibrator>'
    (found,) = read(path, calibrated(spline)).calibrations
    assert found.name == f"hk_{kind}"
    assert found.frame.select("adc", "value", "extrapolate").rows() == [(0.0, 1.0, True), (10.0, 1.5, True)]


def test_enumerations_and_booleans_are_states(path: Path) -> None:
    kinds = (
        '<xtce:EnumeratedParameterType name="E"><xtce:IntegerDataEncoding sizeInBits="7" encoding="twosComplement"/>'
        '<xtce:EnumerationList><xtce:Enumeration value="-1" label="BAD"/>'
        '<xtce:Enumeration value="0x10" maxValue="18" label="OK"/></xtce:EnumerationList>'
        '</xtce:EnumeratedParameterType><xtce:BooleanParameterType name="B" zeroStringValue="OFF">'
        '<xtce:IntegerDataEncoding sizeInBits="1"/></xtce:BooleanParameterType>'
    )
    (found,) = read(path, one_packet(kinds, {"e": "E", "b": "B"})).calibrations
    assert found.name == "hk_states"
    assert found.frame.select("channel", "value", "label").rows() == [
        *(("e", -1, "BAD"), ("e", 16, "OK"), ("e", 17, "OK"), ("e", 18, "OK")),
        *(("b", 0, "OFF"), ("b", 1, "True")),
    ]


def test_labels_are_the_same_from_a_csv(path: Path, tmp_path: Path) -> None:
    labels = ["007", "28", "OFF", "1e3", "a,b", 'said "x"']
    listed = "".join(f"<xtce:Enumeration value='{n}' label={quoteattr(label)}/>" for n, label in enumerate(labels))
    kind = (
        '<xtce:EnumeratedParameterType name="E"><xtce:IntegerDataEncoding sizeInBits="8"/>'
        f"<xtce:EnumerationList>{listed}</xtce:EnumerationList></xtce:EnumeratedParameterType>"
    )
    (found,) = read(path, one_packet(kind, {"e": "E"})).calibrations
    file = tmp_path / "hk_states_19700101.csv"
    file.write_bytes(found.content())
    from_csv = read_calibration(file, "hk_states", date(1970, 1, 1)).frame
    assert from_csv["label"].to_list() == found.frame["label"].to_list() == labels


def test_scale_and_offset_of_a_time_are_a_polynomial(path: Path) -> None:
    kind = (
        '<xtce:AbsoluteTimeParameterType name="T"><xtce:Encoding scale="1e-6" offset="3"><xtce:IntegerDataEncoding '
        'sizeInBits="64"/></xtce:Encoding><xtce:ReferenceTime><xtce:Epoch>TAI</xtce:Epoch></xtce:ReferenceTime>'
        "</xtce:AbsoluteTimeParameterType>"
    )
    (found,) = read(path, one_packet(kind, {"t": "T"})).calibrations
    assert found.frame.select("c0", "c1", "unit").rows() == [(3.0, 1e-6, "s")]


def test_frames_have_the_types_that_conversions_want(path: Path) -> None:
    terms = '<xtce:PolynomialCalibrator><xtce:Term coefficient="1" exponent="0"/></xtce:PolynomialCalibrator>'
    (found,) = read(path, calibrated(terms)).calibrations
    assert found.frame.schema["adc_min"] == pl.Float64


# ---- in the tables of an instrument --------------------------------------------------------------------------------
TABLES = """\
  box_l0_hk: {title: Rail, grain: one row per packet, packet: hk}
  box_l1_hk:
    title: Rail in V
    grain: one row per packet
    inputs: {hk: box_l0_hk}
    method: calibrated
    calibrations: [hk_polynomial]
    columns:
      - epoch_tt2000
      - time
      - {name: rail_v, type: float64, unit: V, description: Rail, source: rail, conversion: polynomial, nullable: true}
      - {name: rail_dn, type: int32, source: rail, description: Rail as it was sent}
      - rail
      - amps
      - {name: amps_dn, type: int32, source: amps, description: Current as it was sent}
      - quality_flag
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """An instrument with an XTCE file: a rail with a calibrator and a current without one, both with an alarm."""
    box = write_lab(tmp_path / "missions") / "lab/box"
    unit = "<xtce:UnitSet>\n<xtce:Unit>V</xtce:Unit></xtce:UnitSet>"
    term = "<xtce:PolynomialCalibrator><xtce:Term coefficient='2' exponent='1'/></xtce:PolynomialCalibrator>"
    calibrator = f"<xtce:DefaultCalibrator>{term}</xtce:DefaultCalibrator>"
    types = uint("U32", 32) + uint("Rail", 16, calibrator, unit + alarm('WarningRange maxInclusive="30"'))
    types += uint("Amps", 16, outside=alarm('WarningRange maxInclusive="900"'))
    (box / "packets/box.xml").write_text(one_packet(types, {"time_s": "U32", "Rail": "Rail", "AMPS": "Amps"}, 9))
    with (box / "tables.yaml").open("a") as file:
        file.write(TABLES)
    return box


@pytest.mark.parametrize(
    ("unit", "problem"),
    [
        ("mV", r"tables\.yaml line \d+ \(box_l1_hk\.rail_v\): its unit is V, but .*box\.xml converts rail to mV\."),
        ("volts?", r"packets/box\.xml line \d+ \(rail\): 'volts\?' is no unit\."),
    ],
)
def test_the_unit_of_a_calibrator_is_a_unit_and_that_of_the_column(box: Path, unit: str, problem: str) -> None:
    check_units(read_definitions(box.parents[1]))
    file = box / "packets/box.xml"
    file.write_text(file.read_text().replace("<xtce:Unit>V<", f"<xtce:Unit>{unit}<"))
    with pytest.raises(DefinitionError, match=problem):
        check_units(read_definitions(box.parents[1]))


@pytest.mark.parametrize(
    "entry", ["fields: []", "when: {amps: 1}", "version: 1", "secondary_header: 1", "max_bytes: 90", "name: other"]
)
def test_what_the_file_tells_cannot_be_replaced_in_instrument_yaml(box: Path, entry: str) -> None:
    file = box / "instrument.yaml"
    file.write_text(file.read_text().replace("packets:\n", f"packets:\n  hk: {{{entry}}}\n"))
    with pytest.raises(DefinitionError, match=r"instrument\.yaml line \d+ \(\w+\): the layout of hk tells it\. Remove"):
        read_definitions(box.parents[1])
