# SPDX-License-Identifier: Apache-2.0
"""Definitions beside plain packets: records, markers, clocks, packets that share an APID, and what instruments share.

One wrong cell in them is one line of complaint that names file, place and remedy.
"""
# ruff: noqa: E501  one broken cell to a line

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.definition_files import read_definitions
from lake.definition_order import in_order
from lake.definitions import Definitions
from lake.errors import DefinitionError
from lake.names import parse_name
from lake.units import check_units
from tests.lab import write_lab

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return write_lab(tmp_path / "missions")


@pytest.fixture
def definitions(lab: Path) -> Definitions:
    return read_definitions(lab)


def test_instruments_bring_their_own_file_names(definitions: Definitions) -> None:
    rules = definitions.mission("lab").names
    assert parse_name(rules, "lab_box_20250101T000000.bin", NOW).instrument == "box"
    assert parse_name(rules, "lab_log_20250101T000000.csv", NOW).instrument == "log"
    assert rules.instruments["log"].short_name == "lg"


def test_calibrations_are_borrowed_and_the_lender_comes_first(definitions: Definitions) -> None:
    mission = definitions.mission("lab")
    assert [instrument.name for instrument in mission.instruments] == ["box", "log"]
    (lent,) = mission.instrument("log").calibrations
    assert lent is mission.instrument("box").calibrations[0]


def test_a_converted_column_has_the_words_of_its_source(definitions: Definitions) -> None:
    column = definitions.tables["lab.box_l1_warm"].by_name["temp_degc"]
    assert column.description == "Temperature of the box"
    assert column.unit == "degC"


def test_fields_at_given_bits_follow_each_other_with_fill_between(lab: Path) -> None:
    path = lab / "lab/box/packets/dated.csv"
    path.write_text(path.read_text().replace("level,uint,8,112", "level,uint,8,120"))
    dated = read_definitions(lab).mission("lab").instrument("box").packet("dated")
    assert [(field.name, field.kind, field.bits * field.items) for field in dated.fields] == [
        ("days", "uint", 16),
        ("ms", "uint", 32),
        ("gap_4", "fill", 24),
        ("level", "uint", 8),
    ]
    assert dated.min_bytes == 16


def test_a_packet_csv_of_others_loads_with_names_that_sql_takes(lab: Path) -> None:
    path = lab / "lab/box/packets/dated.csv"
    path.write_text(
        "name, data_type, bit_length\nDAYS, uint, 16\nMS, UINT, 32\nTIME, uint, 8\n3V3-rail, uint(DAYS), 8\n"
    )
    dated = read_definitions(lab).mission("lab").instrument("box").packet("dated")
    assert [field.name for field in dated.fields] == ["days", "ms", "packet_time", "packet_3v3_rail"]
    assert dated.fields[-1].length_field == "days"


def test_a_file_holds_records_or_packets_by_its_name(definitions: Definitions) -> None:
    log, box = (definitions.mission("lab").instrument(name) for name in ("log", "box"))
    assert log.records_of("LAB_log_20250101T000000.CSV") is log.records[0]
    assert log.records_of("lab_log_20250101T000000.bin") is None
    assert box.transport_of("lab_box_sync_1.bin").prefix == "1acffc1d"


def test_a_range_with_one_end_ends_where_its_bits_do(lab: Path) -> None:
    (lab / WARM).write_text(
        "name,data_type,bit_length,valid_min,valid_max\ntime_s,uint,32,,\nkind,uint,8,,\ntemp,int,16,,-5\nvolts,uint,8,3,\n"
        "crc,uint,16,,\n"
    )
    columns = read_definitions(lab).tables["lab.box_l0_warm"].by_name
    assert (columns["temp"].valid, columns["volts"].valid) == ((-32768, -5), (3, 255))


def test_an_array_of_one_item_is_that_item(lab: Path) -> None:
    path = lab / DATED
    path.write_text(path.read_text().replace("level,uint,", "level,uint(1),"))
    assert not read_definitions(lab).tables["lab.box_l0_dated"].by_name["level"].is_list


def instrument(folder: Path, name: str, *inputs: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "instrument.yaml").write_text(f"name: {name}\n")
    listed = ", ".join(f"i{n}: {table}" for n, table in enumerate(inputs))
    (folder / name / "tables.yaml").write_text(f"tables:\n  {name}_l1_x:\n    inputs: {{{listed}}}\n")
    return folder / name


def test_instruments_stand_in_one_order_and_tables_belong_to_the_longest_name(tmp_path: Path) -> None:
    folders = [
        instrument(tmp_path, "eea", "eea_hk_l0_x"),
        instrument(tmp_path, "eea_hk", "eea_hk_l0_x", "z_l0_x", "y_l0_x", "x_l0_x"),
        *(instrument(tmp_path, name) for name in "xyz"),
    ]
    assert [folder.name for folder in in_order(folders)] == ["x", "y", "z", "eea_hk", "eea"]


BOX, LOG = "lab/box/instrument.yaml", "lab/log/instrument.yaml"
WARM, DATED, LINE = "lab/box/packets/warm.csv", "lab/box/packets/dated.csv", "lab/log/records/line.csv"

# File, text in it, what it becomes, and the place and a part of the complaint; @ is the number of the edited line.
BROKEN = {
    "unknown clock of an instrument": (BOX, "clock: seconds", "clock: second", f"{BOX} line @ (clock): there is no second under clocks. Add"),
    "unknown clock of a packet": (BOX, "clock: days}", "clock: day}", f"{BOX} line @ (clock): there is no day under clocks. Add"),
    "clock without a field": (BOX, "coarse: time_s", "coarse: seconds", f"(clock.coarse): {WARM} has no field seconds. Add it or correct"),
    "clock of days without a field": (BOX, "days: days,", "days: dy,", f"(clock.days): {DATED} has no field dy. Add it or correct"),
    "days and leap seconds": (BOX, "policy: posix, days", "policy: leap, days", "days have 86,400 s; give policy posix"),
    "ticks that do not divide": (BOX, "coarse_ticks_per_second: 1000}", "coarse_ticks_per_second: 1000, fine: us, fine_ticks_per_second: 1500}", "no whole number of ticks of fine"),
    "condition on no field": (BOX, "when: {kind: 1}", "when: {kin: 1}", f"{BOX} line @ (when): the packet has no field kin. Correct the name."),
    "condition with an unknown operator": (BOX, 'operator: ">"', 'operator: "=>"', f"{BOX} line "),
    "condition on a word": (BOX, "when: {kind: 1}", "when: {kind: one}", f"{BOX} line "),
    "fine field that no packet has": (BOX, "coarse: time_s}", "coarse: time_s, fine: subsec, fine_ticks_per_second: 10}", "(clock.fine): no packet has a field subsec."),
    "APID shared without conditions": (BOX, "warm: {apids: [7], when: {kind: 1},", "warm: {apids: [7],", "packets warm and wordy share APID 7 and are not told apart."),
    "APID shared with another checksum": (BOX, "value: 1}], checksum: crc16_ccitt", "value: 1}], checksum: xor16", "packets warm and wordy share APID 7 and not their checksum."),
    "APID shared with the same condition": (BOX, "when: {kind: 1}", 'when: [{field: kind, operator: ">", value: 1}]', "share APID 7 and have the same `when`."),
    "clock that is text": (WARM, "time_s,uint,32", "time_s,str,32", "(clock.coarse): time_s of "),
    "clock that is an array": (WARM, "time_s,uint,32", "time_s,uint(2),32", " is no single whole number. Name another field."),
    "version of four bits": (BOX, "warm: {apids: [7],", "warm: {apids: [7], version: 9,", f"{BOX} line @ (version): Input should be less than or equal to 7"),
    "APID twice": (BOX, "dated: {apids: [8]", "dated: {apids: [8, 8]", "an APID is there twice; remove one"),
    "epoch of antiquity": (BOX, '"2000-01-01T00:00:00", policy: leap', '"0001-01-01T00:00:00", policy: leap', "is not between 1900 and 2200"),
    "frames of an impossible spacecraft": (BOX, "prefix: 1acffc1d", "frames: {kind: tm, length: 100, spacecraft: 5000}", "spacecraft 5000 is not between 0 and 1023"),
    "frames of an impossible channel": (BOX, "prefix: 1acffc1d", "frames: {kind: tm, length: 100, channels: [9]}", "channel 9 is not between 0 and 7"),
    "frames of the other kind": (BOX, "prefix: 1acffc1d", "frames: {kind: tm, length: 100, insert_zone: 4}", "are of AOS frames; remove them"),
    "frames without room": (BOX, "prefix: 1acffc1d", "frames: {kind: aos, length: 64, insert_zone: 60}", "leaves no room for packets"),
    "condition on a text": (WARM, "kind,uint,8", "kind,str,8", f"{BOX} line 14 (when): kind is no single whole number, so packets cannot be told by it."),
    "condition on a float": (WARM, "kind,uint,8", "kind,float,32", f"{BOX} line 14 (when): kind is no single whole number"),
    "condition on bytes": (WARM, "kind,uint,8", "kind,bytes,8", f"{BOX} line 14 (when): kind is no single whole number"),
    "condition on an array": (WARM, "kind,uint,8", "kind,uint(2),8", f"{BOX} line 14 (when): kind is no single whole number"),
    "condition behind a variable field": (WARM, "kind,uint,8", "n,uint,8,,Number\nwords,uint(n),8,,Words\nkind,uint,8", f"{BOX} line 14 (when): kind stands behind a field of variable length."),
    "fields in the entry of a packet": (BOX, "apids: [8],", "apids: [8], fields: [],", f"{BOX} line @ (fields): the layout of dated tells it. Remove it here."),
    "another name in the entry of a packet": (BOX, "apids: [8],", "apids: [8], name: other,", f"{BOX} line @ (name): the layout of dated tells it."),
    "array of no items": (WARM, "temp,uint,", "temp,uint(0),", f"{WARM} row @ (temp) (shape.0): Input should be greater than or equal to 1"),
    "unknown checksum": (BOX, "checksum: crc16_ccitt}\n  wordy", "checksum: crc16}\n  wordy", f"{BOX} line @ (checksum): Input should be 'xor16'"),
    "checksum of another width": (BOX, "dated: {apids: [8]", "dated: {apids: [8], checksum: crc32", "crc32 needs a last field of 32 bits"),
    "prefix that is no hexadecimal": (BOX, "1acffc1d", "1acffc1x", f"{BOX} line @ (transports.0.prefix): '1acffc1x' is not whole bytes in hexadecimal"),
    "suffix alone": (BOX, "prefix: 1acffc1d", "suffix: 1acffc1d", "a suffix alone does not tell where packets begin; give a prefix"),
    "frames and a prefix": (BOX, "prefix: 1acffc1d", "prefix: 1a, frames: {kind: tm, length: 100}", "packets in frames have no prefix or suffix"),
    "frames of unknown kind": (BOX, "prefix: 1acffc1d", "frames: {kind: tc, length: 100}", "frames.kind): Input should be 'tm' or 'aos'"),
    "bits that overlap": (DATED, "ms,uint,32,64", "ms,uint,32,60", f"{DATED} row @ (ms): begins at bit 60, the field before it ends at bit 64."),
    "bit offset no number": (DATED, "ms,uint,32,64", "ms,uint,32,b64", f"{DATED} row @ (bit_offset): 'b64' is no whole number."),
    "unknown type of record": ("lab/log/tables.yaml", "records: line", "records: lines", "(records): there is no record lines. Correct the name."),
    "unknown format": (LOG, "format: csv", "format: xls", f"{LOG} line @ (format): Input should be 'csv'"),
    "records without their file": (LOG, "  line: {", "  lines: {", "lab/log/records/lines.csv: No such file or directory. Create the file"),
    "records without the clock's field": (LINE, "ms,Time", "msec,Time", f"(clock.coarse): {LINE} has no field ms. Add it"),
    "column of a record twice": (LINE, "temp,Temp", "ms,Temp", f"{LINE} row @ (name): ms is taken."),
    "header of a record twice": (LINE, "temp,Temp", "temp,Time", f"{LINE} row @ (header): Time is taken."),
    "unsigned column": (LINE, "temp,Temp,int32", "temp,Temp,uint16", f"{LINE} row @ (temp) (type): Input should be"),
    "range of a record reversed": (LINE, "showed,0,65535", "showed,9,5", f"{LINE} row @ (temp): valid_min 9 > valid_max 5. Swap"),
    "unit that is none": (WARM, "temp,uint,16,adu", "temp,uint,16,aduu", f"{WARM} row @ (temp): 'aduu' is no unit."),
    "unit of a record that is none": (LINE, "int32,adu", "int32,kelvins per", f"{LINE} row @ (temp): 'kelvins per' is no unit."),
    "unit of a column that is none": ("lab/box/tables.yaml", "unit: degC", "unit: degc", "(box_l1_warm.temp_degc): 'degc' is no unit."),
    "borrowed from nobody": (LOG, "borrows: {box:", "borrows: {bx:", f"{LOG} line @ (borrows): bx has no calibration temp_polynomial."),
    "borrowed what is not there": (LOG, "[temp_polynomial]", "[temp]", f"{LOG} line @ (borrows): box has no calibration temp."),
    "missing calibration file": ("lab/box/tables.yaml", "[temp_polynomial]", "[temp_polynomial, temp_spline]", "there is no calibration temp_spline. Add "),
    "names with an unknown key": ("lab/box/names.yaml", "families:", "family:", "lab/box/names.yaml line @ (family): Extra inputs are not permitted. Remove it"),
    "names of a known instrument": ("lab/names.yaml", "{spare: {short_name: spr}}", "{box: {short_name: bx}}", "lab/box/names.yaml: box is named in the mission's names.yaml, too."),
    "names of no family": ("lab/box/names.yaml", '  - {extension: bin, pattern: "{mission}_box_{time}", time: archive}', "", "lab/box/names.yaml line 1 (families): Input should be a valid list, not None."),
    "family that is a word": ("lab/box/names.yaml", "families:", "families:\n  - csv", "lab/box/names.yaml line 2 (families.0): Input should be a valid dictionary, not 'csv'."),
    "no sidecars": ("lab/box/names.yaml", "families:", "sidecars:\nfamilies:", "lab/box/names.yaml line @ (sidecars): Input should be a valid dictionary"),
    "instruments that are a list": ("lab/names.yaml", "{spare: {short_name: spr}}", "[spare]", "lab/names.yaml line @ (instruments): Input should be a valid dictionary"),
    "sources that are a list": ("lab/box/tables.yaml", "source: temp,", "source: [temp], description: Temperature,", "lab/box/tables.yaml line @ (source): Input should be a valid string"),
    "sources that are a mapping": ("lab/box/tables.yaml", "source: temp,", "source: {a: temp}, description: Temperature,", "lab/box/tables.yaml line @ (source): Input should be a valid string"),
    "unknown method": ("lab/box/tables.yaml", "method: calibrated", "method: l1_warm", "lab/box/tables.yaml line @ (method): Input should be 'calibrated'"),
    "method on a table of level 1": ("lab/box/tables.yaml", "      - quality_flag\n", "      - quality_flag\n  box_l2_warm: {title: A, grain: b, inputs: {warm: box_l1_warm}, method: calibrated, columns: [epoch_tt2000]}\n", "lab/box/tables.yaml line 19 (method): it makes a table of one input of level 0."),
    "unit that the calibration does not give": ("lab/box/calibration/temp_polynomial_20240101.csv", "c1\ntemp,0,65535,-10,0.5", "c1,unit\ntemp,0,65535,-10,0.5,K", "lab/box/tables.yaml line 16 (box_l1_warm.temp_degc): its unit is degC, but "),
    "no unit of a calibration": ("lab/box/calibration/temp_polynomial_20240101.csv", "c1\ntemp,0,65535,-10,0.5", "c1,unit\ntemp,0,65535,-10,0.5,1", "converts temp to 1. Correct one."),
    "unit of a calibration that is none": ("lab/box/calibration/temp_polynomial_20240101.csv", "c1\ntemp,0,65535,-10,0.5", "c1,unit\ntemp,0,65535,-10,0.5,degc", "lab/box/calibration/temp_polynomial_20240101.csv row 2 (temp): 'degc' is no unit."),
    "unit of a field with odd letters": (WARM, "temp,uint,16,adu,Temperature of the box", "temp,uint,16,adu,Temperature of the box\n3V3-Rail,uint,16,volts?,Rail", f"{WARM} row 5 (packet_3v3_rail): 'volts?' is no unit."),
    "file names without a time": ("lab/box/names.yaml", "box_{time}", "box", "lab/box/names.yaml line "),
    "instruments in a circle": ("lab/box/tables.yaml", "inputs: {warm: box_l0_warm}", "inputs: {warm: log_l0_line}", "lab: instruments read each other's tables in a circle: "),
    "margin of more than a month": ("lab/box/tables.yaml", "    method: calibrated", "    method: calibrated\n    margins: {warm: [2678401, 0]}", "(margins): warm reaches farther than a month."),
}  # fmt: skip


@pytest.mark.parametrize(("name", "before", "after", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_one_wrong_cell_is_one_line_that_says_where(
    lab: Path, name: str, before: str, after: str, message: str
) -> None:
    path = lab / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    line = text.partition(before)[0].count("\n") + 1
    with pytest.raises(DefinitionError) as caught:
        check_units(read_definitions(lab))
    complaint = str(caught.value).replace(f"{lab}/", "")
    assert message.replace("@", str(line)) in complaint
    assert "\n" not in complaint
    assert complaint.endswith(".")
