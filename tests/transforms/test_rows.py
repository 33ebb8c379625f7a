# SPDX-License-Identifier: Apache-2.0
"""Columns of lists and of UTC, and flags, that transforms make from arrays."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.definition_files import read_definitions
from transforms.rows import flags_where, list_column, utc_column

DEFINITIONS = read_definitions(Path(__file__).parents[2] / "missions")


def test_a_row_of_an_array_is_a_list_and_nan_is_null() -> None:
    made = list_column(np.array([[1.5, np.nan], [np.nan, 4.0]], np.float32))
    assert made.dtype == pl.List(pl.Float32)
    assert made.to_list() == [[1.5, None], [None, 4.0]]


def test_missing_cells_of_whole_numbers_are_null() -> None:
    missing = np.array([[[False, True]], [[False, False]]])
    made = list_column(np.array([[[7, 0]], [[0, 9]]], np.int16), missing)
    assert made.dtype == pl.List(pl.Int16)
    assert made.to_list() == [[7, None], [0, 9]]


def test_a_cell_is_null_if_it_is_missing_or_nan() -> None:
    assert list_column(np.array([[1.0, np.nan, 3.0]]), np.array([[True, False, False]])).to_list() == [
        [None, None, 3.0]
    ]


def test_values_that_are_transposed_in_memory_keep_their_places() -> None:
    values = np.arange(6, dtype=np.int32).reshape(2, 3).T
    assert list_column(values, values == 4).to_list() == [[0, 3], [1, None], [2, 5]]


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_no_rows_and_no_cells(shape: tuple[int, int]) -> None:
    assert list_column(np.zeros(shape, np.float64)).to_list() == [[]] * shape[0]


def test_utc_is_cut_to_the_microsecond() -> None:
    # 2017-01-01T00:00:00 UTC is 69.184 s of TT after it; CDF_TT2000 of the day is 536,500,869,184,000,000.
    made = utc_column(np.array([536_500_869_184_000_000, 536_500_869_184_001_999]))
    assert made.dtype == pl.Datetime("us", "UTC")
    assert made.to_list() == [datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 1, 1, microsecond=1, tzinfo=UTC)]


def test_flags_of_several_conditions_are_set_together() -> None:
    table = DEFINITIONS.tables["hermes.merit_l1_counts"]
    conditions = {"clock_invalid": np.array([True, True, False]), "retransmitted": np.array([True, False, False])}
    assert flags_where(table, conditions).tolist() == [3, 1, 0]
    assert flags_where(table, conditions).dtype == np.int32
