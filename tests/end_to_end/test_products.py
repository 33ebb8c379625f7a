# SPDX-License-Identifier: Apache-2.0
"""What the CDF files of the night on the real telemetry say of themselves; test_readers.py reads what they hold."""

from __future__ import annotations

from pathlib import Path

import cdflib
import polars as pl
import pytest

from exports.istp.text import SPELLED
from lake.store import Lake
from tests.product_lakes import products_of


@pytest.fixture(scope="module")
def products(padre_lake: Lake) -> dict[str, Path]:
    return {product: path for (product, _), path in products_of(padre_lake).items()}


def test_a_unit_is_the_same_in_the_cdf_and_in_the_definition(padre_lake: Lake, products: dict[str, Path]) -> None:
    table = padre_lake.definitions.tables["padre.meddea_l1_housekeeping"]
    file = cdflib.CDF(products[table.address])
    columns = [column for column in table.columns if column.name not in ("time", "day", "epoch_tt2000")]
    units = {column.name: SPELLED.get(column.unit, column.unit) for column in columns}
    assert {name: file.varattsget(name)["UNITS"] for name in units} == units
    assert (file.varattsget("fp_temp_degc")["UNITS"], file.varattsget("hvps_vsense_v")["UNITS"]) == ("Celsius", "V")


def test_the_newest_input_dates_the_file_and_its_parents_are_the_raw_files(
    padre_lake: Lake, products: dict[str, Path]
) -> None:
    attributes = cdflib.CDF(products["padre.meddea_l1_photon"]).globalattsget()
    assert attributes["Parents"] == ["padreMDA0_240916122901.dat"]
    received = pl.read_json(next(padre_lake.root.glob("raw/padre/meddea/2024-09-16/*.json")))["received_at"][0]
    assert attributes["Generation_date"] == [received[:10].replace("-", "")]
    assert attributes["Data_version"] == ["1.0.0"]
