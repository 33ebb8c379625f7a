# SPDX-License-Identifier: Apache-2.0
"""EEA's packets that cannot be placed: an unknown STEP, a time that fits no neighbour; and gaps at the limit."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.errors import CalibrationError
from lake.store import Lake
from tests.hermes_eea import (
    DEFINITIONS,
    INCOMPLETE,
    PERIOD_US,
    RETRANSMITTED,
    STEP_UNKNOWN,
    TIME_UNLIKELY,
    calibrations,
    cells,
    changed,
    l0,
    l1,
    packet,
    stamps_us,
    sweep_packets,
    sweeps_of,
    take,
)

HOUR = 3_600_000_000  # us since the clock's epoch, 2000-01-01T11:58:55.816 UTC
FOREIGN = [9] * 34  # counts that no other packet has


def three_sweeps() -> list[list[bytes]]:
    return [sweep_packets(k, HOUR + k * PERIOD_US) for k in range(3)]


def rows_of(tmp_path: Path, sweeps: list[list[bytes]], *more: bytes) -> pl.DataFrame:
    rows = sweeps_of(tmp_path, b"".join([*chain.from_iterable(sweeps), *more]))
    assert cells(rows, "accum").max() == 6, "the counts of a stray packet are in a cell"
    return rows


# ---- a step that the table lacks -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sweep", "step", "flagged"),
    [(0, 0, [0]), (0, 163, [0, 1]), (1, 0, [0, 1]), (1, 30, [1]), (1, 163, [1, 2]), (2, 30, [2]), (2, 163, [2])],
)
def test_an_unknown_step_flags_the_sweeps_that_it_lies_between(
    tmp_path: Path, sweep: int, step: int, flagged: list[int]
):
    sweeps = three_sweeps()
    sweeps[sweep][step] = packet(500, HOUR + sweep * PERIOD_US + stamps_us()[step], 200, FOREIGN)
    rows = rows_of(tmp_path, sweeps)
    lost = [INCOMPLETE if k == sweep else 0 for k in range(3)]
    assert rows["quality_flag"].to_list() == [lost[k] | (STEP_UNKNOWN if k in flagged else 0) for k in range(3)]
    assert rows["n_steps"].to_list() == [163 if k == sweep else 164 for k in range(3)]


@pytest.mark.parametrize(("after_s", "flagged"), [(-2, [0]), (60, [2])])
def test_an_unknown_step_far_from_all_sweeps_is_told_by_the_nearest(tmp_path: Path, after_s: int, flagged: list[int]):
    rows = rows_of(tmp_path, three_sweeps(), packet(500, HOUR + after_s * 10**6, 200, FOREIGN))
    assert rows["quality_flag"].to_list() == [STEP_UNKNOWN if k in flagged else 0 for k in range(3)]


# ---- a time that fits no neighbour ---------------------------------------------------------------------------------
@pytest.mark.parametrize("step", [50, 30, 10, 0, 163])
def test_a_packet_soon_after_another_splits_no_sweep(tmp_path: Path, step: int):
    """3 ms after step 30 of the second sweep: no step can be there, and the next is too soon after it."""
    sweeps = three_sweeps()
    kept = [sent for at, sent in enumerate(sweeps[1]) if at != step or step == 30]
    stray = packet(500, HOUR + PERIOD_US + stamps_us()[30] + 3000, step, FOREIGN)
    rows = rows_of(tmp_path, [sweeps[0], kept, sweeps[2]], stray)
    whole = step == 30
    assert rows["n_steps"].to_list() == [164, 164 if whole else 163, 164]
    # Without its last step the second sweep ends in time, without its first it begins late: the stray is within both.
    assert rows["quality_flag"].to_list() == [0, TIME_UNLIKELY | (0 if whole else INCOMPLETE), 0]


def test_an_early_packet_stays_if_the_next_fits(tmp_path: Path):
    sweep = sweep_packets(0, HOUR)
    sweep[31] = packet(31, HOUR + stamps_us()[30] + 3500, 31, [5] * 34)
    rows = rows_of(tmp_path, [sweep])
    assert rows.select("n_steps", "quality_flag").rows() == [(164, 0)]


def test_two_packets_that_came_together_are_both_left_out(tmp_path: Path):
    at = HOUR + PERIOD_US + stamps_us()[30]
    strays = packet(500, at + 2000, 50, FOREIGN), packet(501, at + 4000, 51, FOREIGN)
    rows = rows_of(tmp_path, three_sweeps(), *strays)
    assert rows["quality_flag"].to_list() == [0, TIME_UNLIKELY, 0]
    assert rows["n_steps"].to_list() == [164] * 3


def test_an_unlikely_packet_between_sweeps_flags_both(tmp_path: Path):
    rows = rows_of(tmp_path, three_sweeps(), packet(500, HOUR + PERIOD_US - 3000, 50, FOREIGN))
    assert rows["quality_flag"].to_list() == [TIME_UNLIKELY, TIME_UNLIKELY, 0]
    assert rows["n_steps"].to_list() == [164] * 3


@pytest.mark.parametrize(("interval", "sweeps"), [(8110, [2]), (8111, [2, 1])])
def test_a_packet_is_unlikely_below_the_expected_interval_over_the_factor(
    tmp_path: Path, interval: int, sweeps: list[int]
):
    """Steps 10, 12, 11: from 10 to 12 it takes 12,166 us, two thirds of which are 8110.67 us."""
    times = {10: HOUR, 12: HOUR + interval, 11: HOUR + interval + 1000}
    rows = sweeps_of(tmp_path, b"".join(packet(step, time, step, [1] * 34) for step, time in times.items()))
    assert rows["n_steps"].to_list() == sweeps
    assert set(rows["quality_flag"]) == {INCOMPLETE | TIME_UNLIKELY}


def test_mixed_sessions_put_no_counts_into_each_others_cells(tmp_path: Path):
    """The second of two sessions began half a sweep later by the up-time; where they overlap nothing can be told."""
    sweeps = [sweep_packets(k, HOUR + k * PERIOD_US) for k in range(6)]
    other = [
        packet(9000 + 164 * k + step, HOUR + (2 * k + 5) * PERIOD_US // 2 + 2500 + stamps_us()[step], step, FOREIGN)
        for k in range(2)
        for step in range(164)
    ]
    rows = sweeps_of(tmp_path, b"".join([*chain.from_iterable(sweeps), *other]))
    foreign = [set(np.unique(row)) - {-1} for row in cells(rows, "accum")]
    assert [counts for counts in foreign if 9 in counts and counts != {9}] == []
    # Sweeps before and after are whole, all between are flagged.
    assert rows["n_steps"].to_list()[:2] == [164, 164]
    flagged = (rows["quality_flag"] & TIME_UNLIKELY).to_numpy() != 0
    assert flagged[2:-1].all()
    assert not flagged[[0, 1, -1]].any()


def test_a_table_with_dwells_longer_than_the_intervals_is_refused(tmp_path: Path):
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    take(lake, tmp_path / "inbox", b"".join(chain.from_iterable(three_sweeps())))
    longer = calibrations("stepper")["stepper"].frame.with_columns(pl.col("dwell_us") * 2)
    with pytest.raises(CalibrationError, match=r"stepper_20000101.csv \(dwell_us\): most packets follow each other"):
        l1(l0(lake), stepper=changed("stepper", longer))


# ---- gaps and repetitions ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("interval", "sweeps"), [(18_249, [2]), (18_250, [1, 1])])
def test_a_sweep_begins_above_one_and_a_half_times_the_expected_interval(
    tmp_path: Path, interval: int, sweeps: list[int]
):
    """From step 10 to 12 it takes 2 * 6083 us."""
    sent = packet(10, HOUR, 10, [1] * 34) + packet(12, HOUR + interval, 12, [1] * 34)
    assert sweeps_of(tmp_path, sent)["n_steps"].to_list() == sweeps


@pytest.mark.parametrize("flagged", [0, 1])
def test_of_a_repeated_packet_the_one_that_is_no_retransmission_stays(tmp_path: Path, flagged: int):
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    sent = [packet(count, HOUR, 10, [1] * 34) for count in (700, 800)]
    take(lake, tmp_path / "inbox", b"".join(sent))
    packets = l0(lake).with_columns(
        quality_flag=pl.when(pl.col("sequence_count") == 700 + 100 * flagged)
        .then(RETRANSMITTED)
        .otherwise(0)
        .cast(pl.Int32)
    )
    assert l1(packets)["first_sequence_count"].to_list() == [800 - 100 * flagged]
