# SPDX-License-Identifier: Apache-2.0
"""What `swxlake describe` says of a table that SQL has otherwise: arrays are flat lists there."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake
from swxlake.describe import describe_table

DEFINITIONS = read_definitions(CHECKOUT / "missions")


@pytest.mark.parametrize("address", ["hermes.nemisis_l3_ambient", "hermes.merit_l2_flux", "hermes.spani_l2_flux"])
def test_a_cell_of_an_array_is_where_it_is_told_to_be(tmp_path: Path, address: str) -> None:
    table = DEFINITIONS.tables[address]
    told = describe_table(Lake(tmp_path, DEFINITIONS), table).facts["arrays"]
    name, count, place = re.fullmatch(r"(\w+) is one list of (\d+) in SQL; .* is \1\[(.*)\]", told).groups()  # type: ignore[union-attr]
    shape = table.shape(next(column for column in table.columns if column.name == name))
    values = np.arange(int(count)).reshape(shape)
    cell = tuple(size - 2 for size in shape)
    where = ", ".join(f"{at} AS {letter}" for letter, at in zip("ijk", cell, strict=False))
    (found,) = duckdb.sql(f"SELECT list[{place}] FROM (SELECT range({count}) AS list, {where})").fetchall()  # noqa: S608
    assert found == (values[cell],)


def test_a_table_without_arrays_says_nothing_of_them(tmp_path: Path) -> None:
    lake = Lake(tmp_path, DEFINITIONS)
    assert "arrays" not in describe_table(lake, DEFINITIONS.tables["padre.meddea_ql_lightcurve"]).facts
