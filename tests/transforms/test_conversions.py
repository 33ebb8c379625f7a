# SPDX-License-Identifier: Apache-2.0
"""Conversions and rebinning against check values of the instrument team, hand calculations and scipy."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import CubicSpline

from lake.definition_files import read_definitions
from lake.definitions import Calibration, Column, Conversion, Table
from lake.errors import CalibrationError
from lake.packet_definitions import ColumnType
from transforms.conversions import check_rotation, convert_columns, named_numbers, rebin_counts, rebin_matrix

MEDDEA = read_definitions(Path(__file__).parents[2] / "missions").mission("padre").instrument("meddea")
OUT_OF_RANGE = 1 << 14


def housekeeping_table(*added: Column) -> Table:
    table = next(t for t in MEDDEA.tables if t.name == "meddea_l1_housekeeping")
    return table.model_copy(update={"columns": (*table.columns, *added)})


def only(column: Column) -> Table:
    return housekeeping_table().model_copy(update={"columns": (column,)})


def meddea_calibration(name: str) -> Calibration:
    found = MEDDEA.calibration(name, date(2024, 9, 16))
    assert found is not None
    return found


def calibration(name: str, /, **columns: Any) -> Calibration:
    return Calibration(name, date(2024, 1, 1), Path(f"{name}_20240101.csv"), "", pl.DataFrame(columns))


def column(name: str, source: str, conversion: Conversion = "polynomial", kind: ColumnType = "float64") -> Column:
    return Column(name=name, type=kind, description="test", source=source, conversion=conversion, nullable=True)


def convert(table: Table, rows: dict[str, Any], **calibrations: Calibration | None) -> pl.DataFrame:
    frame = pl.LazyFrame(rows).with_columns(quality_flag=pl.lit(0, pl.Int32))
    named = (replace(given, name=kind) for kind, given in calibrations.items() if given is not None)
    return convert_columns(frame, table, *named).collect()


def convert_one(name: str, adc: int | None) -> tuple[float | None, int]:
    by_name = housekeeping_table().by_name
    source, kind = str(by_name[name].source), str(by_name[name].conversion)
    rows = {source: pl.Series([adc], dtype=pl.Int32)}
    row = convert(only(by_name[name]), rows, **{kind: meddea_calibration(f"housekeeping_{kind}")}).row(0, named=True)
    return row[name], row["quality_flag"]


@pytest.mark.parametrize(
    ("name", "adc", "value"),
    [
        ("fp_temp_degc", 7632, 24.008144),
        ("fp_temp_degc", 20000, -2.010665),
        ("fp_temp_degc", 45978, -31.754978),
        ("dib_temp_degc", 45978, 9.845995),
        ("dib_temp_degc", 55000, -6.504985),
        ("hvps_temp_degc", 40000, -6.183463),
        ("hvps_temp_degc", 50000, -20.529833),
        ("fp_temp_degc", 31116, -15.498193),
        ("dib_temp_degc", 7088, 87.174568),
        ("hvps_temp_degc", 20683, 21.294733),
        ("hvps_vsense_v", 21951, -220.4141),
        ("hvps_csense_na", 5428, 0.913936),
        ("csense_15v_ma", 28189, 142.405336),
        ("csense_33vd_ma", 36659, 51.132616),
        ("csense_33va_ma", 37148, 45.863152),
        ("heater_pwm_duty_cycle_percent", 25449, 40.7184),
    ],
)
def test_housekeeping_has_the_instrument_teams_check_values(name: str, adc: int, value: float) -> None:
    got, flag = convert_one(name, adc)
    assert got == pytest.approx(value, abs=6e-7)
    assert flag == 0


@pytest.mark.parametrize("name", ["fp_temp", "dib_temp", "hvps_temp"])
def test_a_spline_passes_through_its_points_and_agrees_with_another_spline_between_them(name: str) -> None:
    points = meddea_calibration("housekeeping_spline").frame.filter(pl.col("channel") == name).sort("adc")
    adc = np.arange(points["adc"].min(), points["adc"].max() + 1, 37)  # type: ignore[arg-type,operator]
    adc = np.concatenate([points["adc"].to_numpy(), adc])
    table = only(housekeeping_table().by_name[f"{name}_degc"])
    got = convert(table, {name: adc}, spline=meddea_calibration("housekeeping_spline"))[f"{name}_degc"].to_numpy()
    np.testing.assert_allclose(got[: len(points)], points["value"].to_numpy(), atol=1e-9)
    np.testing.assert_allclose(got, CubicSpline(points["adc"], points["value"])(adc), atol=1e-8)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("fp_temp_degc", (592, 55867), (591, 55868, 0, 65000)),
        ("hvps_vsense_v", (273, 63351), (272, 63352)),
        ("csense_15v_ma", (20000, 40000), (19999, 40001)),
    ],
)
def test_nothing_is_extrapolated(name: str, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    for adc in inside:
        value, flag = convert_one(name, adc)
        assert value is not None
        assert flag == 0
    for adc in outside:
        assert convert_one(name, adc) == (None, OUT_OF_RANGE)


def test_a_missing_count_is_null_and_not_out_of_range() -> None:
    assert convert_one("fp_temp_degc", None) == (None, 0)
    assert convert_one("hvps_vsense_v", None) == (None, 0)


def test_flags_that_a_row_has_are_kept() -> None:
    table = only(housekeeping_table().by_name["hvps_vsense_v"])
    frame = pl.LazyFrame({"hvps_vsense": [0, 300], "quality_flag": pl.Series([2, 2], dtype=pl.Int32)})
    got = convert_columns(frame, table, meddea_calibration("housekeeping_polynomial"), None).collect()
    assert got["quality_flag"].to_list() == [2 | OUT_OF_RANGE, 2]


def test_a_new_channel_needs_a_column_and_a_calibration_row_only() -> None:
    new = column("rate_hz", "hit_rate")
    poly = calibration("p", channel=["hit_rate"], adc_min=[0], adc_max=[100], c0=[1], c1=[2.0], c2=[0.5], c3=[None])
    assert convert(only(new), {"hit_rate": [4]}, polynomial=poly)["rate_hz"].to_list() == [1 + 8 + 8]


def test_columns_may_share_a_source_and_reuse_its_name() -> None:
    poly = calibration("p", channel=["raw", "raw_in_mv"], adc_min=[0, 0], adc_max=[9, 9], c0=[0, 0], c1=[2, 2000])
    points = calibration("s", channel=["raw"] * 4, adc=[3, 0, 2, 1], value=[27.0, 0.0, 8.0, 1.0])
    columns = (column("raw", "raw"), column("raw_in_mv", "raw"), column("raw_cubed", "raw", "spline"))
    table = housekeeping_table().model_copy(update={"columns": columns})
    got = convert(table, {"raw": [2, 3]}, polynomial=poly, spline=points)
    assert got["raw"].to_list() == [4, 6]
    assert got["raw_in_mv"].to_list() == [4000, 6000]
    assert got["raw_cubed"].to_list() == pytest.approx([8, 27])


def test_a_table_without_conversions_stays_as_it_is() -> None:
    table = next(t for t in MEDDEA.tables if t.name == "meddea_l1_photon")
    assert convert(table, {"atod": [1]}).to_dicts() == [{"atod": 1, "quality_flag": 0}]


P: dict[str, list[Any]] = {"channel": ["a"], "adc_min": [0], "adc_max": [9], "c0": [1.0]}
S: dict[str, list[Any]] = {"channel": ["a"] * 4, "adc": [0, 1, 2, 3], "value": [0.0, 1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("kind", "rows", "complaint"),
    [
        ("polynomial", {**P, "channel": ["b"]}, r"x_20240101\.csv: there is no channel a for column y\. Add its row"),
        ("spline", {**S, "channel": ["b"] * 4}, r"x_20240101\.csv: there is no channel a for column y\. Add its row"),
        ("polynomial", {**P, "adc_min": ["low"]}, r"x_20240101\.csv \(adc_min\): a cell is no number\. Correct"),
        ("polynomial", {**P, "c0": ["one"]}, r"x_20240101\.csv \(c0\): a cell is no number\. Correct"),
        ("polynomial", {k: v * 2 for k, v in P.items()}, r"x_20240101\.csv: the same channel is there twice\. Leave"),
        ("polynomial", {k: v for k, v in P.items() if k != "c0"}, r"x_20240101\.csv: has no column c0\. Add"),
        ("polynomial", {k: v for k, v in P.items() if k != "adc_max"}, r"\(adc_max\): there is no such column\. Add"),
        ("spline", {k: v[:3] for k, v in S.items()}, r"x_20240101\.csv: channel a has 3 points\. Give four"),
        ("spline", {**S, "adc": [0, 1, 1, 3]}, r"x_20240101\.csv: the same channel, adc is there twice\. Leave"),
        ("linear", {k: v[:1] for k, v in S.items()}, r"x_20240101\.csv: channel a has 1 points\. Give two"),
        ("states", {"channel": ["a"], "value": [0.5], "label": ["x"]}, r"\(a\): a value is no whole number\. Correct"),
        ("states", {"channel": ["a"], "value": [1], "label": [None]}, r"\(label\): a cell is empty\. Fill it in"),
    ],
)
def test_a_bad_calibration_is_named_with_its_remedy(kind: Conversion, rows: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CalibrationError, match=complaint):
        convert(only(column("y", "a", kind)), {"a": [1]}, **{kind: calibration("x", **rows)})


def test_a_conversion_without_its_calibration_is_refused() -> None:
    with pytest.raises(CalibrationError, match="column y: there is no spline calibration for this day"):
        convert(only(column("y", "a", "spline")), {"a": [1]})


# ---- lines, steps, states, open ends -------------------------------------------------------------------------------
POINTS: dict[str, list[Any]] = {"channel": ["a"] * 3, "adc": [10, 20, 40], "value": [1.0, 2.0, 8.0]}


def curve(kind: Conversion, values: list[Any], **rows: list[Any]) -> list[tuple[Any, bool]]:
    """What a channel `a` becomes, each with whether it is flagged."""
    table = only(column("y", "a", kind, "string" if kind == "states" else "float64"))
    got = convert(table, {"a": values}, **{kind: calibration("x", **rows)})
    return list(zip(got["y"].to_list(), (got["quality_flag"] == OUT_OF_RANGE).to_list(), strict=True))


def test_a_line_goes_from_point_to_point() -> None:
    got = curve("linear", [10, 15, 20, 30, 40, 9, 41, None], **POINTS)
    assert got == [*((v, False) for v in (1.0, 1.5, 2.0, 5.0, 8.0)), (None, True), (None, True), (None, False)]


def test_a_step_holds_until_the_next_point() -> None:
    got = curve("steps", [10, 19, 20, 39, 40, 9, 41], **POINTS)
    assert got == [*((v, False) for v in (1.0, 1.0, 2.0, 2.0, 8.0)), (None, True), (None, True)]


@pytest.mark.parametrize("yes", [True, "true", "TRUE", 1])
def test_lines_steps_and_splines_go_on_where_the_calibration_says_so(yes: object) -> None:
    assert curve("linear", [0, 50], **POINTS, extrapolate=[yes] * 3) == [(0.0, False), (11.0, False)]
    assert curve("steps", [0, 50], **POINTS, extrapolate=[yes] * 3) == [(1.0, False), (8.0, False)]
    cubes = {"channel": ["a"] * 4, "adc": [0, 1, 2, 3], "value": [0.0, 1.0, 8.0, 27.0], "extrapolate": [yes] * 4}
    assert curve("spline", [4], **cubes) == [(pytest.approx(64.0), False)]


@pytest.mark.parametrize("no", [False, "false", 0, None])
def test_an_answer_of_no_is_the_same_as_none(no: object) -> None:
    assert curve("linear", [41], **POINTS, extrapolate=[no] * 3) == [(None, True)]


def test_a_channel_extrapolates_as_a_whole_or_not() -> None:
    with pytest.raises(CalibrationError, match=r"x_20240101\.csv \(a\): extrapolate is not the same"):
        curve("linear", [1], **POINTS, extrapolate=[True, None, True])


def test_a_state_has_a_name_and_an_unknown_one_is_flagged() -> None:
    rows = {"channel": ["a", "a", "b"], "value": [0, 3, 1], "label": ["OFF", "ON", "other"]}
    assert curve("states", [0, 3, 1, None], **rows) == [
        ("OFF", False), ("ON", False), (None, True), (None, False)
    ]  # fmt: skip
    assert curve("states", [True], channel=["a", "a"], value=[0, 1], label=[10, 11]) == [("11", False)]


def test_an_empty_bound_of_a_polynomial_is_none() -> None:
    rows = {"channel": ["a"], "adc_min": [None], "adc_max": [9], "c0": [1], "c1": [2]}
    assert curve("polynomial", [-100, 9, 10], **rows) == [(-199.0, False), (19.0, False), (None, True)]
    both = rows | {"adc_max": [None]}
    assert curve("polynomial", [10**6, None], **both) == [(2000001.0, False), (None, False)]
    assert curve("polynomial", [float("nan"), float("inf")], **both) == [(None, True), (None, True)]


def test_each_cell_of_a_list_is_converted_and_one_outside_flags_the_row() -> None:
    listed = column("y", "a", "linear").model_copy(update={"ragged": True})
    got = convert(only(listed), {"a": [[10, 40], [15, 99], [], None]}, linear=calibration("x", **POINTS))
    assert got["y"].to_list() == [[1.0, 8.0], [1.5, None], [], None]
    assert got["quality_flag"].to_list() == [0, OUT_OF_RANGE, 0, 0]


def test_a_column_with_a_source_alone_is_a_copy_even_of_a_column_that_is_converted() -> None:
    copy = Column(name="a_dn", type="int64", description="test", source="a")
    table = housekeeping_table().model_copy(update={"columns": (column("a", "a", "linear"), copy)})
    got = convert(table, {"a": [10]}, linear=calibration("x", **POINTS))
    assert got.select("a", "a_dn").row(0) == (1.0, 10)


def test_the_calibration_that_has_the_channel_is_used() -> None:
    table = only(column("y", "a", "linear"))
    other = replace(calibration("x", **POINTS | {"channel": ["b"] * 3}), name="other_linear")
    right = replace(calibration("x", **POINTS), name="right_linear")
    frame = pl.LazyFrame({"a": [10]}).with_columns(quality_flag=pl.lit(0, pl.Int32))
    assert convert_columns(frame, table, other, None, right).collect()["y"].to_list() == [1.0]


@settings(max_examples=50, deadline=None)
@given(
    points=st.lists(
        st.tuples(st.integers(0, 4000), st.floats(-1e6, 1e6)), min_size=2, max_size=9, unique_by=lambda p: p[0]
    ),
    adc=st.lists(st.integers(-100, 4100), min_size=1, max_size=20),
)
def test_lines_agree_with_numpy_between_the_points_and_are_null_outside(
    points: list[tuple[int, float]], adc: list[int]
) -> None:
    x, y = zip(*points, strict=True)
    got = curve("linear", adc, channel=["a"] * len(x), adc=list(x), value=list(y))
    order = np.argsort(x)
    expected = np.interp(adc, np.array(x)[order], np.array(y)[order])
    for (value, flagged), sent, right in zip(got, adc, expected, strict=True):
        inside = min(x) <= sent <= max(x)
        assert flagged != inside
        assert value == (pytest.approx(right, rel=1e-9, abs=1e-6) if inside else None)


# ---- rebinning -----------------------------------------------------------------------------------------------------
def test_a_bins_energy_is_its_centre() -> None:
    # Bin 2 of slope 1 and intercept 0 covers 1.5 to 2.5: half of it in channel 1-2, half in channel 2-3.
    got = rebin_counts(np.array([[[0, 0, 10, 0]]]), [1.0], [0.0], np.arange(-1.0, 6.0))
    assert got.dtype == np.float32
    assert got.tolist() == [[[0, 0, 5, 5, 0, 0]]]


def test_bins_are_shared_out_by_overlap() -> None:
    # Slope 0.4, intercept 0.2: bins 0-0.4, 0.4-0.8, 0.8-1.2. Channels of 0.5: 0-0.5, 0.5-1, 1-1.5.
    got = rebin_counts(np.array([[[100, 200, 400]]]), [0.4], [0.2], [0.0, 0.5, 1.0, 1.5])
    np.testing.assert_allclose(got, [[[100 + 50, 150 + 200, 200]]], rtol=1e-6)


def test_each_slot_has_its_own_energy() -> None:
    got = rebin_counts(np.array([[[7, 0], [7, 0]]]), [1.0, 1.0], [0.5, 2.5], [0.0, 1.0, 2.0, 3.0, 4.0])
    assert got.tolist() == [[[7, 0, 0, 0], [0, 0, 7, 0]]]


def test_the_axis_edges_belong_to_the_axis() -> None:
    counts = np.array([[[3, 4]]])
    assert rebin_counts(counts, [1.0], [0.5], [0.0, 1.0, 2.0]).tolist() == [[[3, 4]]]


@pytest.mark.parametrize(
    ("slope", "intercept"), [(1.0, 0.4), (1.0, 0.6), (-1.0, 1.0), (0.0, 1.0), (float("nan"), 1.0), (1.0, float("nan"))]
)
def test_a_bin_outside_the_axis_is_refused_and_not_cut(slope: float, intercept: float) -> None:
    with pytest.raises(CalibrationError, match=r"slot 1: its bins cover .* widen the axis in tables\.yaml"):
        rebin_counts(np.ones((1, 2, 2)), [1.0, slope], [0.5, intercept], [0.0, 1.0, 2.0])


counts_of_slots = arrays(np.int32, (3, 4, 16), elements=st.integers(0, 65535))
slopes = arrays(np.float64, 4, elements=st.floats(0.05, 1.0))
intercepts = arrays(np.float64, 4, elements=st.floats(-8.0, 8.0))


@settings(max_examples=60, deadline=None)
@given(counts=counts_of_slots, slope=slopes, intercept=intercepts)
def test_rebinning_keeps_the_counts_of_every_slot(counts: Any, slope: Any, intercept: Any) -> None:
    got = rebin_counts(counts, slope, intercept, np.arange(-10.0, 26.5, 0.5))
    assert (got >= 0).all()
    np.testing.assert_allclose(got.sum(axis=2, dtype=np.float64), counts.sum(axis=2), rtol=2e-7, atol=0)


@settings(max_examples=30, deadline=None)
@given(slope=slopes, intercept=intercepts)
def test_every_bin_is_shared_out_completely(slope: Any, intercept: Any) -> None:
    matrix = rebin_matrix(slope, intercept, 16, np.arange(-10.0, 26.5, 0.5))
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(counts=counts_of_slots, slope=slopes, intercept=intercepts)
def test_rebinning_follows_the_cumulative_counts(counts: Any, slope: Any, intercept: Any) -> None:
    edges = np.arange(-10.0, 26.5, 0.5)
    got = rebin_counts(counts[:1], slope, intercept, edges)[0]
    for slot in range(4):
        borders = slope[slot] * (np.arange(17) - 0.5) + intercept[slot]
        below = np.interp(edges, borders, np.concatenate([[0], np.cumsum(counts[0, slot])]))
        np.testing.assert_allclose(got[slot], np.diff(below), rtol=1e-6, atol=1e-2)


def test_a_spectrum_gives_the_same_bits_in_any_block() -> None:
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 65536, (37, 4, 64))
    slope, intercept, edges = rng.uniform(0.2, 0.3, 4), rng.uniform(-7, -4, 4), np.arange(-10.0, 26.5, 0.5)
    together = rebin_counts(counts, slope, intercept, edges)
    alone = np.concatenate([rebin_counts(c[None], slope, intercept, edges) for c in counts])
    assert together.tobytes() == alone.tobytes()


# ---- named numbers -------------------------------------------------------------------------------------------------
def test_named_numbers_come_in_the_order_they_are_asked_for() -> None:
    known = calibration("parameters", name=["b", "a", "c"], value=[2, 1, 3])
    assert list(named_numbers(known, "c", "a").items()) == [("c", 3.0), ("a", 1.0)]
    assert named_numbers(known) == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_missing_names_are_named_with_their_file() -> None:
    known = calibration("parameters", name=["a"], value=[1])
    with pytest.raises(CalibrationError, match=r"parameters_20240101\.csv.*no row b, c"):
        named_numbers(known, "a", "b", "c")


@pytest.mark.parametrize("value", [["1", "many"], [1.0, None], [1.0, float("nan")]])
def test_named_values_have_to_be_numbers(value: list[Any]) -> None:
    with pytest.raises(CalibrationError, match=r"parameters_20240101\.csv \(value\)"):
        named_numbers(calibration("parameters", name=["a", "b"], value=value), "a")


def test_a_name_is_there_once() -> None:
    with pytest.raises(CalibrationError, match="twice"):
        named_numbers(calibration("parameters", name=["a", "a"], value=[1, 2]))


def test_a_unit_is_the_one_that_is_read() -> None:
    known = calibration("detector", name=["dead_time", "limit"], value=[100.0, 0.3], unit=["ns", None])
    assert named_numbers(known, "dead_time", units={"dead_time": "ns"}) == {"dead_time": 100.0}
    with pytest.raises(
        CalibrationError, match=r"\(dead_time\): is given in 'ns'. Give it in 'us'; nothing is converted"
    ):
        named_numbers(known, "dead_time", units={"dead_time": "us"})
    with pytest.raises(CalibrationError, match=r"\(unit\): there is no such column"):
        named_numbers(calibration("detector", name=["a"], value=[1.0]), "a", units={"a": "s"})


@pytest.mark.parametrize("matrix", [np.diag([1, 1, -1]), np.diag([5, 1, 1]), np.ones((3, 3))])
def test_a_matrix_that_stretches_or_mirrors_is_no_rotation(matrix: np.ndarray) -> None:
    with pytest.raises(CalibrationError, match=r"mounting_20240101.csv \(x\): is no rotation"):
        check_rotation(calibration("mounting", a=[1]), "x", matrix.astype(np.float64))


def test_a_turn_is_a_rotation() -> None:
    check_rotation(calibration("mounting", a=[1]), "x", np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
