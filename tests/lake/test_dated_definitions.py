# SPDX-License-Identifier: Apache-2.0
"""Axes that a dated calibration gives their values, clocks chosen by name, and assumptions that stay visible."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from lake.clock import tt2000_from_met
from lake.definition_files import read_definitions
from lake.definitions import Axis, Definitions, Table
from lake.errors import CalibrationError, DefinitionError
from lake.ledger import table_definition
from tests.toy import DAY, L1, write_missions

AXIS = "part: {size: 2, first: 0, step: 1, type: int16, description: Part, label: Part}"
DATED = (
    "part: {size: 2, calibration: width, column: middle_v, minus_column: below_v, plus_column: above_v, "
    "type: float64, description: Part, label: Part}"
)


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    return write_missions(tmp_path / "missions")


def edit(missions: Path, name: str, old: str, new: str) -> None:
    path = missions / "toy/box" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def calibrate(missions: Path, name: str, text: str) -> None:
    (missions / "toy/box/calibration" / f"{name}.csv").write_text(text)


def dated(missions: Path) -> Definitions:
    edit(missions, "tables.yaml", AXIS, DATED)
    calibrate(missions, "width_20240101", "middle_v,below_v,above_v\n1,0.5,1\n3,1,2\n")
    calibrate(missions, "width_20240917", "middle_v,below_v,above_v\n2,0.5,1\n7,1,2\n")
    return read_definitions(missions)


def part(definitions: Definitions, day: date) -> Axis:
    return definitions.on_day(definitions.tables[L1], day).axis("part")


# ---- axes ----------------------------------------------------------------------------------------------------------
def test_an_axis_has_the_values_of_the_calibration_of_the_day(missions: Path) -> None:
    definitions = dated(missions)
    assert part(definitions, DAY).values == (1, 3)
    assert part(definitions, date(2024, 9, 17)).values == (2, 7)
    assert (part(definitions, DAY).minus, part(definitions, DAY).plus) == ((0.5, 1), (1, 2))


def test_without_a_day_a_dated_axis_has_no_values(missions: Path) -> None:
    with pytest.raises(DefinitionError, match="axis part: its values depend on the day"):
        _ = dated(missions).tables[L1].axis("part").values


def test_a_day_without_a_calibration_of_the_axis_is_refused(missions: Path) -> None:
    with pytest.raises(CalibrationError, match=r"no calibration width is valid on 2023-12-31. Add calibration/width_<"):
        part(dated(missions), date(2023, 12, 31))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("middle_v,below_v,above_v\n1,1,1\n", "has 1 rows, axis part has 2 cells"),
        ("middle,below_v,above_v\n1,1,1\n2,1,1\n", r"\(middle_v\): axis part needs a number in each row"),
        ("middle_v,below_v,above_v\n1,1,1\nx,1,1\n", "is no number"),
        ("middle_v,below_v,above_v\n1,1,1\n2,,1\n", r"\(below_v\): axis part needs a number in each row"),
        ("middle_v,below_v,above_v\n1,1,1\n1,1,1\n", r"\(middle_v\): the values of axis part neither rise nor fall"),
        ("middle_v,below_v,above_v\n1,1,1\n2,1,-1\n", "axis part has a cell of negative size"),
    ],
)
def test_a_calibration_that_does_not_fit_the_axis_is_refused(missions: Path, text: str, complaint: str) -> None:
    dated(missions)
    calibrate(missions, "width_20240916", text)
    with pytest.raises(DefinitionError, match=complaint):
        read_definitions(missions)


@pytest.mark.parametrize(
    ("kind", "rows", "complaint"),
    [
        ("float64", "1.0000001,1,1\n1.0000002,1,1\n", "has values that are equal to six digits, as labels of cells"),
        ("int16", "1,1,1\n2.5,1,1\n", "has the value 2.5, but its type is int16. Correct it, or give the axis a float"),
    ],
)
def test_a_calibration_of_which_some_day_could_make_no_file_is_refused(
    missions: Path, kind: str, rows: str, complaint: str
) -> None:
    dated(missions)
    edit(
        missions, "tables.yaml", "type: float64, description: Part,", f"type: {kind}, valid: [0, 9], description: Part,"
    )
    calibrate(missions, "width_20240101", f"middle_v,below_v,above_v\n{rows}")
    with pytest.raises(DefinitionError, match=rf"width_20240101\.csv: axis part {complaint}"):
        read_definitions(missions)


def test_one_distance_to_the_borders_is_that_of_each_cell(missions: Path) -> None:
    edit(missions, "tables.yaml", AXIS, AXIS.replace("step: 1", "step: 1, minus: 0.5, plus: [1, 2]"))
    axis = read_definitions(missions).tables[L1].axis("part")
    assert (axis.minus, axis.plus) == ((0.5, 0.5), (1, 2))


def test_rows_that_were_moved_are_refused_by_their_numbers(missions: Path) -> None:
    edit(missions, "tables.yaml", AXIS, DATED.replace("column: middle_v", "column: middle_v, key_column: place", 1))
    calibrate(missions, "width_20240101", "place,middle_v,below_v,above_v\n0,1,1,1\n1,3,1,1\n")
    assert part(read_definitions(missions), DAY).values == (1, 3)
    calibrate(missions, "width_20250101", "place,middle_v,below_v,above_v\n1,3,1,1\n0,1,1,1\n")
    with pytest.raises(DefinitionError, match=r"width_20250101.csv \(place\): does not count the rows of axis part"):
        read_definitions(missions)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("", "its values are not given in one way"),
        ("first: 0, step: 1, labels: [x, y], ", "its values are not given in one way"),
        ("first: 0, ", "first goes with step"),
        ("cells: [1, 2, 3], ", "cells has 3 entries, size is 2"),
        ("calibration: gain, ", "calibration with column"),
        ("cells: [1, 2], minus: [1, 1], ", "minus and plus go together"),
    ],
)
def test_an_axis_gets_its_values_in_one_way(missions: Path, values: str, complaint: str) -> None:
    edit(missions, "tables.yaml", "first: 0, step: 1, ", values)
    with pytest.raises(DefinitionError, match=complaint):
        read_definitions(missions)


def test_the_calibration_of_an_axis_must_be_there(missions: Path) -> None:
    edit(missions, "tables.yaml", AXIS, DATED)
    with pytest.raises(DefinitionError, match=r"tables.yaml line \d+ \(box_l1_tick\): there is no calibration width"):
        read_definitions(missions)


def test_cells_and_labels(missions: Path) -> None:
    edit(missions, "tables.yaml", "first: 0, step: 1, ", "cells: [-5.5, 7], ")
    assert part(read_definitions(missions), DAY).values == (-5.5, 7)
    edit(missions, "tables.yaml", "cells: [-5.5, 7], ", "labels: [x, y], ")
    axis = part(read_definitions(missions), DAY)
    assert (axis.labels, axis.values) == (("x", "y"), (0, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [("step: 1", "step: 2"), ("tick: box_l0_tick}", "tick: box_l0_tick}\n    margins: {tick: [0, 1]}")],
)
def test_what_changes_a_result_changes_the_fingerprint_of_its_table(missions: Path, old: str, new: str) -> None:
    def of_table() -> str:
        table: Table = read_definitions(missions).tables[L1]
        return table_definition(table)

    before = of_table()
    edit(missions, "tables.yaml", "description: Part", "description: Half")
    assert of_table() == before
    edit(missions, "tables.yaml", old, new)
    assert of_table() != before


# ---- clocks --------------------------------------------------------------------------------------------------------
def test_a_clock_may_be_one_of_several_by_name(missions: Path) -> None:
    plain = 'clock: {epoch: "2000-01-01T00:00:00", policy: leap, coarse: time_s}'
    clocks = (
        "clock: up\nclocks:\n"
        '  up: {epoch: "2000-01-01T11:58:55.816", policy: leap, coarse: time_s}\n'
        '  noon: {epoch: "2000-01-01T12:00:00", policy: leap, coarse: time_s}'
    )
    edit(missions, "instrument.yaml", plain, clocks)
    seconds = np.array([18541])
    clock = read_definitions(missions).mission("toy").instrument("box").clock
    assert tt2000_from_met(clock, seconds, None).tolist() == [18_541_000_000_000]
    edit(missions, "instrument.yaml", "clock: up", "clock: noon")
    clock = read_definitions(missions).mission("toy").instrument("box").clock
    assert tt2000_from_met(clock, seconds, None).tolist() == [18_605_184_000_000]
    edit(missions, "instrument.yaml", "clock: noon", "clock: nine")
    with pytest.raises(DefinitionError, match=r"instrument.yaml line \d+ \(clock\): there is no nine under clocks"):
        read_definitions(missions)


# ---- assumptions ---------------------------------------------------------------------------------------------------
def test_an_assumed_calibration_is_told_until_another_replaces_it(missions: Path) -> None:
    calibrate(missions, "gain_20240917", "factor\n3\n")
    edit(missions, "instrument.yaml", "status: flying", "status: flying\nassumed: {gain_20240101: nobody measured it}")
    definitions = read_definitions(missions)
    for address in (L1, "toy.box_ql_mean"):
        table = definitions.tables[address]
        told = ("Assumed calibration gain_20240101: nobody measured it",)
        assert definitions.assumptions(table, DAY) == told
        assert definitions.assumptions(table, date(2024, 9, 17)) == ()


def test_everything_of_an_assumed_instrument_is_assumed(missions: Path) -> None:
    edit(missions, "instrument.yaml", "status: flying", "status: assumed\nstatus_reason: no document is public")
    definitions = read_definitions(missions)
    told = ("Status of the instrument's definition: assumed. no document is public",)
    assert definitions.assumptions(definitions.tables[L1], DAY) == told


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("status: assumed", "status is assumed without a reason; write status_reason"),
        ("status: flying\nassumed: {gain_2024: it is}", "assumed names gain_2024, no file in calibration/"),
    ],
)
def test_an_assumption_has_a_reason_and_a_file(missions: Path, text: str, complaint: str) -> None:
    edit(missions, "instrument.yaml", "status: flying", text)
    with pytest.raises(DefinitionError, match=complaint):
        read_definitions(missions)


# ---- checksums -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("packet", "layout", "wrong"),
    [
        ("checksum: byte_sum", "value,uint,16", False),
        ("checksum: fletcher255, checksum_first_byte: 9", "value,uint,16", False),
        ("checksum: byte_sum, checksum_first_byte: 10", "value,uint,16", True),
        ("checksum: byte_sum", "value,uint,32", True),
        ("checksum: byte_sum", "value,int,16", True),
        ("checksum: fletcher255", "value,uint(2),16", True),
        ("checksum: fletcher255", "value,uint(expand),16", True),
    ],
)
def test_a_sum_stands_in_the_last_16_bits(missions: Path, packet: str, layout: str, wrong: bool) -> None:
    edit(missions, "instrument.yaml", "{apids: [7], identity: [time_s]", "{apids: [7], identity: [time_s], " + packet)
    edit(missions, "packets/tick.csv", "value,uint,16", layout)
    if not wrong:
        read_definitions(missions)
        return
    with pytest.raises(DefinitionError, match=r"\(checksum\): \w+ needs a last field of 16 bits"):
        read_definitions(missions)


def test_what_the_values_of_all_days_lie_in_builds_no_table_again(missions: Path) -> None:
    before = table_definition(dated(missions).tables[L1])
    edit(
        missions, "tables.yaml", "type: float64, description: Part,", "type: float64, valid: [0, 9], description: Part,"
    )
    definitions = read_definitions(missions)
    assert definitions.tables[L1].axis("part").valid == (0, 9)
    assert table_definition(definitions.tables[L1]) == before
