# SPDX-License-Identifier: Apache-2.0
"""The CDF files of the night on the real telemetry, before the referees that SPDF and its users have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import cdflib
import numpy as np
import polars as pl
import pycdfpp
import pytest

from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.reading import scan
from lake.store import Lake
from swxlake.night import run_night
from tests.shared_data import shared_folder, telemetry_folder

PRODUCTS = ("l1-photon", "l1-spectrum", "l1-housekeeping", "ql-lightcurve")
UNASSIGNED = ("DOI", "spase_DatasetResourceID")  # nobody has given these out yet, and they are never invented


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Lake:
    root = tmp_path_factory.mktemp("lake")
    lake = Lake(root, read_definitions(CHECKOUT / "missions"))
    outcome = run_night(lake, Settings(root=root, settle_seconds=0), telemetry_folder("padre", "meddea"))
    assert outcome.exit_code == 0, outcome.problems
    return lake


@pytest.fixture(scope="module")
def products(night) -> dict[str, Path]:
    found = {path.name.split("_")[2]: path for path in sorted(night.root.glob("exports/**/*.cdf"))}
    assert tuple(sorted(found)) == tuple(sorted(PRODUCTS))
    return found


@pytest.mark.oracle
def test_the_istp_checker_finds_only_unassigned_names_and_simultaneous_photons(products):
    checker = shared_folder() / "tools" / "check_istp.py"
    if not checker.is_file():
        pytest.skip(f"{checker} is not there; it lies beside the telemetry")
    files = [str(path) for path in products.values()]
    command = [sys.executable, str(checker), "--strict", "--json", *files]
    found = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    findings = {(Path(f).name.split("_")[2], x["rule"], x["where"]) for f, rows in found.items() for x in rows}
    assert findings == {(p, "G03", a) for p in PRODUCTS for a in UNASSIGNED} | {("l1-photon", "V23", "Epoch")}


@pytest.mark.oracle
def test_astralint_finds_only_unassigned_names(night, products):
    command = [str(Path(sys.executable).with_name("astralint")), "lint", "--strict", "--suite", "CDAWeb"]
    done = subprocess.run(
        [*command, str(night.root / "exports")],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    problems = {line for line in lines if line.startswith(("ERROR", "FATAL", "CRITICAL", "WARNING"))}
    assert problems == {f"WARNING ISTP-GA-002  missing recommended global attribute(s): {', '.join(UNASSIGNED)}"}


@pytest.mark.oracle
def test_spacepy_finds_nothing(products):
    from spacepy import pycdf  # noqa: PLC0415
    from spacepy.pycdf import istp  # noqa: PLC0415

    for name, path in products.items():
        with warnings.catch_warnings(), pycdf.CDF(str(path)) as file:
            warnings.simplefilter("ignore")
            assert istp.FileChecks.all(file, catch=True) == [], name


def values_of(lake: Lake, table: Table, column: str) -> np.ndarray:
    """A column as the CDF should hold it: fill for null, arrays in their shape."""
    definition = table.by_name[column]
    series = scan(lake, table).sort("day", maintain_order=True).select(column).collect()[column]
    if definition.axes:
        return np.array(series.to_list()).reshape(-1, *table.shape(definition))
    fill = {"Int8": -(2**7), "Int16": -(2**15), "Int32": -(2**31), "Int64": -(2**63)}.get(str(series.dtype), -1e31)
    return series.fill_null(fill).to_numpy()


@pytest.mark.oracle
@pytest.mark.parametrize("product", PRODUCTS)
def test_three_libraries_read_the_values_of_the_table(night, products, product):
    from spacepy import pycdf  # noqa: PLC0415

    table = night.definitions.tables[f"padre.meddea_{product.replace('-', '_')}"]
    path = str(products[product])
    ours, third = cdflib.CDF(path, validate=True), pycdfpp.load(path)
    with warnings.catch_warnings(), pycdf.CDF(path) as nasa:
        warnings.simplefilter("ignore")
        for column in table.columns:
            if column.name in ("time", "day"):
                continue
            name = "Epoch" if column.name == "epoch_tt2000" else column.name
            expected = values_of(night, table, column.name)
            np.testing.assert_allclose(ours.varget(name), expected, rtol=1e-6 if column.type == "float32" else 0)
            np.testing.assert_array_equal(nasa.raw_var(name)[...], ours.varget(name), err_msg=name)
            read = np.asarray(third[name].values)
            np.testing.assert_array_equal(read.view(np.int64) if name == "Epoch" else read, ours.varget(name), name)


def test_a_unit_is_the_same_in_the_cdf_and_in_the_definition(night, products):
    table = night.definitions.tables["padre.meddea_l1_housekeeping"]
    file = cdflib.CDF(str(products["l1-housekeeping"]))
    units = {c.name: c.unit or " " for c in table.columns if c.name not in ("time", "day", "epoch_tt2000")}
    assert {name: file.varattsget(name)["UNITS"] for name in units} == units
    assert (file.varattsget("fp_temp_degc")["UNITS"], file.varattsget("hvps_vsense_v")["UNITS"]) == ("degC", "V")


def test_the_newest_input_dates_the_file_and_its_parents_are_the_raw_files(night, products):
    attributes = cdflib.CDF(str(products["l1-photon"])).globalattsget()
    assert attributes["Parents"] == ["padreMDA0_240916122901.dat"]
    received = pl.read_json(next(night.root.glob("raw/padre/meddea/2024-09-16/*.json")))["received_at"][0]
    assert attributes["Generation_date"] == [received[:10].replace("-", "")]
    assert attributes["Data_version"] == ["1.0.0"]
