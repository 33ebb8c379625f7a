# SPDX-License-Identifier: Apache-2.0
"""Tables that a definition alone is enough for: rows are chosen, converted and put in order without a function."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Column, Table
from lake.errors import CalibrationError
from tests.frames import calibration, checked, frame
from transforms.code import transform_of
from transforms.methods import calibrated
from transforms.padre import meddea

DEFINITIONS = read_definitions(CHECKOUT / "missions")
MEDDEA = DEFINITIONS.mission("padre").instrument("meddea")
L0, L1 = (DEFINITIONS.tables[f"padre.meddea_{level}_housekeeping"] for level in ("l0", "l1"))
DAY = date(2024, 9, 16)
NAMES = ("housekeeping_polynomial", "housekeeping_spline")
CLOCK_INVALID, RETRANSMITTED, TIME_CONFLICT, OUT_OF_RANGE = 1, 2, 4, 1 << 14


def packet(second: int, count: int, **values: Any) -> dict[str, Any]:
    where = {"file_sha256": "a", "byte_offset": 38 * count, "time_s": second}
    return {"epoch_tt2000": second * 10**9, "sequence_count": count, "fp_temp": 20000, **where, **values}


def level_1(rows: list[dict[str, Any]], table: Table = L1) -> pl.DataFrame:
    calibrations: dict[str, Any] = {name: calibration(MEDDEA, name, DAY) for name in NAMES}
    return checked(table, calibrated(table, housekeeping=frame(L0, rows), **calibrations), DAY)


def test_a_method_is_a_function_of_its_name() -> None:
    assert transform_of(L1.model_copy(update={"method": "calibrated"})) is calibrated


def test_rows_come_in_order_of_time_each_packet_once_and_without_those_that_have_no_time() -> None:
    again = packet(1, 1, file_sha256="b", quality_flag=RETRANSMITTED)
    rows = [packet(3, 3), packet(1, 1), again, packet(2, 2), packet(9, 4, quality_flag=CLOCK_INVALID)]
    got = level_1(rows)
    assert got["sequence_count"].to_list() == [1, 2, 3]
    assert got["quality_flag"].to_list() == [OUT_OF_RANGE] * 3  # the other channels are 0, below their range
    assert got["fp_temp_degc"].to_list() == pytest.approx([-2.010665] * 3, abs=6e-7)


def test_nan_is_null_where_a_column_may_be_null() -> None:
    names = ("epoch_tt2000", "time", "quality_flag")
    real = Column(name="x", type="float32", unit="V", description="As sent", nullable=True)
    table = L1.model_copy(update={"columns": (*(L1.by_name[name] for name in names), real), "calibrations": ()})
    rows = frame(L0, [packet(1, 1), packet(2, 2)]).with_columns(x=pl.Series([float("nan"), 1.5], dtype=pl.Float32))
    assert calibrated(table, housekeeping=rows).collect()["x"].to_list() == [None, 1.5]


def test_one_of_two_packets_of_one_time_is_kept_and_flagged_where_times_are_strict() -> None:
    rows = [packet(1, 8, checksum=1), packet(1, 5, checksum=2), packet(2, 9)]
    assert level_1(rows)["sequence_count"].to_list() == [5, 9]
    assert [flag & TIME_CONFLICT for flag in level_1(rows)["quality_flag"]] == [TIME_CONFLICT, 0]
    loose = level_1(rows, L1.model_copy(update={"order": "nondecreasing"}))
    assert loose["sequence_count"].to_list() == [5, 8, 9]
    assert [flag & TIME_CONFLICT for flag in loose["quality_flag"]] == [0, 0, 0]


def test_the_method_gives_what_the_instruments_own_function_gives() -> None:
    rows = [packet(s, s, fp_temp=600 + 97 * s, hvps_vsense=200 + 111 * s, csense_15v=90 * s) for s in range(600)]
    calibrations: dict[str, Any] = {name: calibration(MEDDEA, name, DAY) for name in NAMES}
    own = meddea.l1_housekeeping(L1, housekeeping=frame(L0, rows), **calibrations)
    assert level_1(rows).equals(checked(L1, own, DAY))


def test_a_day_without_rows_makes_no_rows() -> None:
    assert level_1([]).is_empty()


def test_records_are_known_by_the_number_of_their_row() -> None:
    columns = tuple(c for c in L1.columns if not c.conversion and c.name != "sequence_count")
    table = L1.model_copy(update={"columns": columns, "identity": ("row_id",), "order": "nondecreasing"})
    blank = frame(L0, [packet(2, 1), packet(1, 2), packet(1, 3)])
    got = calibrated(table, rows=blank.with_columns(row_id=pl.Series([7, 5, 5]), byte_offset=pl.Series([0, 9, 5])))
    assert got.select("epoch_tt2000").collect()["epoch_tt2000"].to_list() == [10**9, 2 * 10**9]


def test_a_channel_without_calibration_is_named() -> None:
    with pytest.raises(CalibrationError, match="column fp_temp_degc: there is no spline calibration for this day"):
        calibrated(L1, housekeeping=frame(L0, [packet(1, 1)]), housekeeping_polynomial=None)
