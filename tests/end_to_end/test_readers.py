# SPDX-License-Identifier: Apache-2.0
"""Every product of both missions holds its table, and every library reads the same bytes from it."""

from __future__ import annotations

import math
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import cdflib
import numpy as np
import polars as pl
import pycdfpp
import pytest

from exports.cdf import read
from exports.cdf.reader import CdfReader
from lake.definitions import Column, Table
from lake.reading import scan
from lake.store import Lake
from tests.product_lakes import PRODUCTS

Files = dict[tuple[str, date], Path]
NOT_IN_PRODUCTS = ("time", "day")
# ISTP's fill values.
FILLS = {"Int8": -(2**7), "Int16": -(2**15), "Int32": -(2**31), "Int64": -(2**63)}
FILL_OF_REALS = -1e31
AXES = ("DEPEND_1", "DEPEND_2", "DEPEND_3")


def table_of(lake: Lake, product: str, day: date) -> tuple[Table, pl.DataFrame]:
    """The table that a product is made of, and its rows of the day."""
    table = lake.definitions.tables[product]
    return table, scan(lake, table, [day]).collect()


def expected(table: Table, column: Column, rows: pl.DataFrame) -> np.ndarray[Any, Any]:
    """A column as the CDF should hold it: fill for null and NaN, arrays in their shape."""
    values = rows[column.name]
    shape = table.shape(column)
    if column.is_list:  # a record without the array has no value in any cell
        nothing = pl.lit([None] * math.prod(shape), dtype=values.dtype)
        values = rows.select(pl.col(column.name).fill_null(nothing).list.explode(empty_as_null=False)).to_series()
    if values.dtype.is_float():
        return values.fill_nan(None).fill_null(FILL_OF_REALS).to_numpy().reshape(-1, *shape)
    values = values.cast(pl.Int8) if values.dtype == pl.Boolean else values
    return values.fill_null(FILLS[str(values.dtype)]).to_numpy().reshape(-1, *shape)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_product_holds_its_table(every_product: Files, padre_lake: Lake, hermes_lake: Lake, product: str) -> None:
    lake = padre_lake if product.startswith("padre.") else hermes_lake
    for path, (table, rows) in (
        (path, table_of(lake, name, day)) for (name, day), path in every_product.items() if name == product
    ):
        file = cdflib.CDF(path, validate=True)
        assert rows.height > 0
        for column in table.columns:
            if column.export and column.name not in NOT_IN_PRODUCTS:
                name = "Epoch" if column.name == "epoch_tt2000" else column.name
                np.testing.assert_array_equal(file.varget(name), expected(table, column, rows), err_msg=name)


def numbers(values: Any) -> np.ndarray[Any, Any]:
    """Values of any library: times as integers, texts as bytes, no dimension of one record."""
    array = np.asarray(values)
    if array.dtype.kind == "U":
        array = array.astype("S")
    return array.view(np.int64) if array.dtype.kind in "MV" else array


@pytest.mark.oracle
@pytest.mark.parametrize("product", PRODUCTS)
def test_four_libraries_read_the_same_bytes_of_every_variable(every_product: Files, product: str) -> None:
    """cdflib, NASA's library under spacepy, pycdfpp, and ours."""
    from spacepy import pycdf  # noqa: PLC0415

    for path in (path for (name, _), path in every_product.items() if name == product):
        first, third, ours = cdflib.CDF(path, validate=True), pycdfpp.load(str(path)), CdfReader(path)
        with warnings.catch_warnings(), pycdf.CDF(str(path)) as nasa:
            warnings.simplefilter("ignore")
            assert list(nasa) == list(third) == list(ours.variables) == first.cdf_info().zVariables
            for name in nasa:
                others = (first.varget(name), third[name].values, ours.values(name))
                read = numbers(nasa.raw_var(name)[...])
                assert {numbers(other).tobytes() for other in others} == {read.tobytes()}, name
                assert {numbers(other).dtype for other in others} == {read.dtype}, name


@pytest.mark.parametrize("product", PRODUCTS)
def test_our_frames_have_null_for_fill_and_tell_units_and_axes(every_product: Files, product: str) -> None:
    for path in (path for (name, _), path in every_product.items() if name == product):
        file, table = cdflib.CDF(path), read(path)
        assert table.frame["Epoch"].to_list() == file.varget("Epoch").tolist()
        for name in table.frame.columns[1:]:
            attributes, values = file.varattsget(name), file.varget(name)
            assert table.units.get(name, "") == attributes["UNITS"].strip()
            assert table.axes.get(name, ()) == tuple(attributes[a] for a in AXES if a in attributes)
            flat = table.frame[name].reshape((values.size,))
            has_value = values.ravel() != np.asarray(attributes["FILLVAL"]).astype(values.dtype)
            assert flat.is_not_null().to_list() == has_value.tolist(), name
            np.testing.assert_array_equal(flat.drop_nulls().to_numpy(), values.ravel()[has_value], err_msg=name)
