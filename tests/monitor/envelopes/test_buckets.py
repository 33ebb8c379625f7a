# SPDX-License-Identifier: Apache-2.0
"""Buckets have the extremes of their rows exactly, whatever the order in which rows and parts come."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.envelopes.buckets import Buckets, folded, of_rows, runs, together

NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf]))
ROWS = st.lists(st.tuples(st.integers(0, 100), NUMBERS), min_size=1, max_size=60)


def made(rows: list[tuple[int, float]], width: int) -> Buckets:
    return of_rows(np.array([row[0] for row in rows]), np.array([[row[1] for row in rows]]), width)


def expected(rows: list[tuple[int, float]], width: int) -> list[tuple[int, int, float | None, float | None, int]]:
    """The same by another library."""
    frame = pl.DataFrame(rows, {"time": pl.Int64, "value": pl.Float64}, orient="row")
    value = pl.when(pl.col("value").is_finite()).then(pl.col("value"))
    grouped = frame.group_by(pl.col("time") // width * width).agg(
        rows=pl.len(), low=value.min(), high=value.max(), valued=value.count()
    )
    return grouped.sort("time").select("time", "rows", "low", "high", "valued").rows()


def as_rows(buckets: Buckets) -> list[tuple[int, int, float | None, float | None, int]]:
    low, high = ([None if np.isnan(x) else float(x) for x in side[0]] for side in (buckets.low, buckets.high))
    return list(zip(buckets.time.tolist(), buckets.rows.tolist(), low, high, buckets.valued[0].tolist(), strict=True))


@given(ROWS)
def test_extremes_are_those_of_the_finite_values(rows: list[tuple[int, float]]) -> None:
    assert as_rows(made(rows, 7)) == expected(rows, 7)


@given(ROWS, st.integers(1, 59))
def test_parts_and_steps_give_the_same_buckets_as_all_rows_at_once(rows: list[tuple[int, float]], cut: int) -> None:
    parts = [made(part, 5) for part in (rows[:cut], rows[cut:]) if part]
    in_steps, at_once = folded(together(parts, 5), 20), made(rows, 20)
    assert as_rows(in_steps) == as_rows(at_once)
    assert in_steps.mean == pytest.approx(at_once.mean, nan_ok=True)


def test_a_mean_is_that_of_the_values_that_there_are() -> None:
    buckets = made([(0, 1.0), (1, np.nan), (2, 4.0), (10, np.nan)], 10)
    assert buckets.mean[0, 0] == 2.5
    assert np.isnan(buckets.mean[0, 1])
    assert buckets.rows.tolist() == [3, 1]


@pytest.mark.parametrize("value", [1.7e308, 0.1, -5e-300])
def test_a_mean_is_between_the_extremes_however_great_the_sum_of_the_values(value: float) -> None:
    buckets = folded(made([(second, value) for second in range(30)], 10), 30)
    assert (buckets.low[0, 0], buckets.mean[0, 0], buckets.high[0, 0]) == (value, value, value)


def test_a_bucket_without_rows_does_not_exist() -> None:
    assert made([(0, 1.0), (95, 2.0)], 10).time.tolist() == [0, 90]


def test_no_rows_are_no_buckets() -> None:
    assert len(of_rows(np.zeros(0, np.int64), np.zeros((2, 0)), 10).time) == 0


def test_runs_of_numbers() -> None:
    assert runs([3, 4, 5, 9, 11, 12]) == [(3, 5), (9, 9), (11, 12)]
    assert runs([]) == []
