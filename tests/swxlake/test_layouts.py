# SPDX-License-Identifier: Apache-2.0
"""`swxlake describe mission/instrument/packet`: where each field stands, without a lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.store import Lake
from swxlake.describe import describe
from swxlake.doctor import examine
from tests.lab import write_lab
from tests.meddea import drop, take
from tests.xtce import one_packet, uint


@pytest.fixture
def nowhere(tmp_path: Path) -> Lake:
    """Definitions with a lake that does not exist."""
    return Lake(tmp_path / "lake", read_definitions(write_lab(tmp_path / "missions")))


def test_a_packet_is_told_field_by_field(nowhere: Lake) -> None:
    told = describe(nowhere, "lab/box/wordy")
    layout = {row["field"]: row for row in told.tables["layout"]}
    assert (layout["apid"]["byte"], layout["apid"]["bit"], layout["apid"]["bits"]) == (0, 5, 11)
    assert (layout["kind"]["byte"], layout["kind"]["bits"]) == (10, 8)
    assert (layout["words"]["byte"], layout["words"]["items"]) == (12, "count")
    assert layout["crc"]["byte"] is None
    assert told.facts["when"] == ["kind > 1"]
    assert told.facts["bytes"] == "14 to 65542"
    assert told.facts["tables"] == ["lab.box_l0_wordy"]


def test_a_clock_is_told_with_its_fields(nowhere: Lake) -> None:
    assert describe(nowhere, "lab/box/dated").facts["clock"] == "days + ms since 1958-01-01T00:00:00 UTC, posix"


def test_the_secondary_header_flag_is_told(tmp_path: Path) -> None:
    missions = write_lab(tmp_path / "missions")
    instrument = missions / "lab/box/instrument.yaml"
    text = instrument.read_text()
    for written, told in (("", 0), (", secondary_header: 1", 1), (", secondary_header: null", "0 or 1")):
        instrument.write_text(text.replace("apids: [8]", f"apids: [8]{written}"))
        outcome = describe(Lake(tmp_path / "lake", read_definitions(missions)), "lab/box/dated")
        assert outcome.facts["secondary_header"] == told


def test_orbit_elements_are_told_by_their_keywords(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", read_definitions(CHECKOUT / "missions"))
    headers = {row["column"]: row["header"] for row in describe(lake, "padre/craft/tle").tables["columns"]}
    assert (headers["epoch_unix_us"], headers["bstar"]) == ("EPOCH", "BSTAR")


def test_an_alarm_of_an_xtce_file_that_no_value_can_keep_is_told_with_its_line(tmp_path: Path) -> None:
    missions = write_lab(tmp_path / "missions")
    alarm = (
        "<xtce:DefaultAlarm><xtce:StaticAlarmRanges>\n<xtce:WarningRange minInclusive='7'/></xtce:StaticAlarmRanges>"
        "</xtce:DefaultAlarm>"
    )
    file = missions / "lab/box/packets/box.xml"
    kinds = uint("U32", 32) + uint("V", 8, outside=alarm)
    file.write_text(one_packet(kinds, {"time_s": "U32", "volts": "V"}, 9))
    tables = missions / "lab/box/tables.yaml"
    tables.write_text(
        tables.read_text() + "  box_l0_hk: {title: Volts, grain: one row per packet, packet: hk}\n"
        "  box_l1_hk: {title: Volts, grain: one row per packet, inputs: {hk: box_l0_hk}, method: calibrated, columns: "
        "[epoch_tt2000, time, {name: bus_v, type: int16, source: volts, valid: [0, 5]}, quality_flag]}\n"
    )
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    (problem,) = [problem for problem in examine(lake).problems if problem.startswith("limits: ")]
    line = file.read_text().partition("<xtce:WarningRange")[0].count("\n") + 1
    assert problem.startswith(f"limits: {file} line {line} (box_l1_hk.bus_v): 7 to inf lies outside the valid range")


def test_a_record_is_told_column_by_column(nowhere: Lake) -> None:
    told = describe(nowhere, "lab/log/line")
    assert [(row["header"], row["column"], row["type"]) for row in told.tables["columns"]] == [
        ("Time", "ms", "int64"),
        ("Temp", "temp", "int32"),
    ]
    assert told.facts["files"] == ["*.csv"]


def test_a_table_is_told_without_a_lake_and_a_day_is_not(nowhere: Lake) -> None:
    assert describe(nowhere, "lab.box_l0_warm").facts["packet"] == "lab/box/warm"
    with pytest.raises(ConfigurationError, match="is no lake"):
        describe(nowhere, "lab.box_l0_warm@2025-01-01")


def test_the_path_of_a_file_is_its_name(nowhere: Lake, tmp_path: Path) -> None:
    file = tmp_path / "lab_box_20240601T120000.bin"
    file.write_bytes(b"")
    take(nowhere, drop(tmp_path / "drop", file.name, b"no packets"))
    assert describe(nowhere, str(file)).facts["raw file"] == file.name


def test_a_wrong_name_is_met_with_similar_ones(nowhere: Lake) -> None:
    with pytest.raises(ConfigurationError, match=r"no packet 'lab/box/wordly'\. Did you mean lab/box/wordy"):
        describe(nowhere, "lab/box/wordly")
