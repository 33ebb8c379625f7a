# SPDX-License-Identifier: Apache-2.0
"""An instrument whose packets an XTCE file defines: from raw file to calibrated rows, without a CSV or any Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lake.definition_files import read_definitions
from lake.reading import scan
from lake.store import Lake
from swxlake.doctor import examine
from swxlake.night import Selection, transform
from tests.lab import write_lab
from tests.meddea import drop, quarantined, take, unbalanced
from tests.packets import build_packet
from tests.xtce import compare, container, document, entry, parameter, uint

NOON = 8918 * 86_400 + 43_200 + 5  # 2024-06-01T12:00:00Z in SI seconds since 2000, five leap seconds later
NAME = "lab_box_20240601T120000.bin"
TABLES = """\
  box_l0_env: {title: Environment, grain: one row per packet, packet: env}
  box_l0_fault: {title: Faults, grain: one row per packet, packet: fault}
  box_l1_env:
    title: Environment in physical units
    grain: one row per packet
    order: strict
    inputs: {env: box_l0_env}
    method: calibrated
    calibrations: [env_polynomial, env_linear, env_states]
    columns:
      - epoch_tt2000
      - time
      - {name: temp_degc, type: float64, unit: degC, source: temp, conversion: polynomial, nullable: true}
      - {name: bus_v, type: float64, unit: V, source: volts, conversion: linear, nullable: true}
      - {name: mode_name, type: string, source: mode, conversion: states, nullable: true}
      - sequence_count
      - quality_flag
"""


def xtce() -> str:
    """Packets `env`, and of the mode FAULT packets `fault`, which have a code behind the same fields."""
    polynomial = (
        "<xtce:DefaultCalibrator><xtce:PolynomialCalibrator><xtce:Term coefficient='-10' exponent='0'/>"
        "<xtce:Term coefficient='0.25' exponent='1'/></xtce:PolynomialCalibrator></xtce:DefaultCalibrator>"
    )
    spline = (
        "<xtce:DefaultCalibrator><xtce:SplineCalibrator><xtce:SplinePoint raw='0' calibrated='0'/>"
        "<xtce:SplinePoint raw='1000' calibrated='5'/></xtce:SplineCalibrator></xtce:DefaultCalibrator>"
    )
    alarm = (
        "<xtce:DefaultAlarm><xtce:StaticAlarmRanges><xtce:CriticalRange minInclusive='-5' maxInclusive='40'/>"
        "</xtce:StaticAlarmRanges></xtce:DefaultAlarm>"
    )
    types = uint("U8", 8) + uint("Seconds", 32) + uint("Temp", 12, polynomial, alarm) + uint("Volts", 16, spline)
    types += (
        "<xtce:EnumeratedParameterType name='Mode'><xtce:IntegerDataEncoding sizeInBits='4'/><xtce:EnumerationList>"
        "<xtce:Enumeration value='1' label='QUIET'/><xtce:Enumeration value='9' label='FAULT'/></xtce:EnumerationList>"
        "</xtce:EnumeratedParameterType><xtce:BinaryParameterType name='Blob'><xtce:BinaryDataEncoding>"
        "<xtce:SizeInBits><xtce:DynamicValue><xtce:ParameterInstanceRef parameterRef='N'/>"
        "<xtce:LinearAdjustment slope='8'/></xtce:DynamicValue></xtce:SizeInBits></xtce:BinaryDataEncoding>"
        "</xtce:BinaryParameterType><xtce:StringParameterType name='Word'><xtce:StringDataEncoding><xtce:Variable "
        "maxSizeInBits='64'><xtce:DynamicValue><xtce:ParameterInstanceRef parameterRef='N'/><xtce:LinearAdjustment "
        "slope='8'/></xtce:DynamicValue></xtce:Variable></xtce:StringDataEncoding></xtce:StringParameterType>"
    )
    named = {"TIME_S": "Seconds", "TEMP": "Temp", "MODE": "Mode", "VOLTS": "Volts", "N": "U8", "BLOB": "Blob"}
    named |= {"WORD": "Word", "CODE": "U8"}
    parameters = "".join(parameter(name, kind, f"The {name}") for name, kind in named.items())
    entries = "".join(entry(name) for name in list(named)[:-1])
    return document(
        types,
        parameters,
        container("Env", entries, criteria=compare("PKT_APID", 20))
        + container("Fault", entry("CODE"), "Env", compare("MODE", "FAULT")),
    )


def sent(number: int, temp: int, mode: int, volts: int, text: str, code: int | None = None) -> bytes:
    word = text.encode()
    blob = bytes(range(len(word)))
    body = (NOON + number).to_bytes(4, "big") + (temp << 4 | mode).to_bytes(2, "big") + volts.to_bytes(2, "big")
    body += bytes([len(word)]) + blob + word + (b"" if code is None else bytes([code]))
    return build_packet(20, "".join(f"{octet:08b}" for octet in body), number)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    missions = write_lab(tmp_path / "missions")
    box = missions / "lab/box"
    instrument = box / "instrument.yaml"
    instrument.write_text(re.sub(r"transports:\n.*\n", "", instrument.read_text()))
    (box / "packets/box.xml").write_text(xtce())
    with (box / "tables.yaml").open("a") as file:
        file.write(TABLES)
    return Lake(tmp_path / "lake", read_definitions(missions))


def test_packets_of_an_xtce_file_become_calibrated_rows(lake: Lake, tmp_path: Path) -> None:
    packets = [
        sent(0, 100, 1, 500, "ok"),
        sent(1, 200, 9, 2000, "", code=77),
        sent(2, 300, 2, 2000, "é"),
        sent(3, 40, 1, 1000, "abc"),
    ]
    take(lake, drop(tmp_path / "drop", NAME, *packets))
    assert transform(lake, Selection()).problems == []
    tables = lake.definitions.tables
    assert quarantined(lake) == []
    assert unbalanced(lake) == []
    raw = scan(lake, tables["lab.box_l0_env"]).collect().sort("sequence_count")
    assert raw.select("temp", "mode", "volts", "n", "blob", "word").rows() == [
        (100, 1, 500, 2, b"\0\1", "ok"),
        (300, 2, 2000, 2, b"\0\1", "é"),
        (40, 1, 1000, 3, b"\0\1\2", "abc"),
    ]
    faults = scan(lake, tables["lab.box_l0_fault"]).collect()
    assert faults.select("sequence_count", "mode", "code").rows() == [(1, 9, 77)]
    values = scan(lake, tables["lab.box_l1_env"]).collect().sort("sequence_count")
    assert values.select("temp_degc", "bus_v", "mode_name", "quality_flag").rows() == [
        (15.0, 2.5, "QUIET", 0),
        (65.0, None, None, 256),  # the spline does not extrapolate, and mode 2 has no label
        (0.0, 5.0, "QUIET", 0),
    ]
    assert values["time"][0].isoformat() == "2024-06-01T12:00:00+00:00"


def test_bytes_that_no_container_describes_are_not_passed_over(lake: Lake, tmp_path: Path) -> None:
    good, longer = sent(0, 100, 1, 500, "ok"), sent(1, 100, 1, 500, "ok", code=5)  # of mode 1, which has no code
    take(lake, drop(tmp_path / "drop", NAME, good, longer))
    assert quarantined(lake) == [(len(good), len(longer), "BAD_LAYOUT")]
    assert unbalanced(lake) == []


def test_alarm_ranges_are_limits_of_the_calibrated_column(lake: Lake) -> None:
    limits = lake.definitions.mission("lab").instrument("box").limits
    alarm = next(limit for limit in limits if limit.table == "box_l1_env")
    assert (alarm.column, alarm.low, alarm.high) == ("temp_degc", -5, 40)


def test_doctor_finds_nothing_wrong_with_the_definitions(lake: Lake) -> None:
    assert [problem for problem in examine(lake).problems if "box" in problem] == []
