# SPDX-License-Identifier: Apache-2.0
"""Every product of PADRE as FITS, of real telemetry: the values of the CDF, read by astropy, with units."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import cdflib
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable

from exports.fits.rendering import render_all
from lake.ledger import read_ops
from lake.names import parse_name
from lake.store import Lake
from tests.product_lakes import PRODUCTS

PADRE = tuple(product for product in PRODUCTS if product.startswith("padre."))
OBSERVED = {"padre.meddea_l1_photon", "padre.meddea_l1_spectrum", "padre.meddea_ql_lightcurve"}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def lake(padre_lake: Lake) -> Lake:
    """What the night made. Nothing is left to be rendered, so that nothing is changed here."""
    return padre_lake


def rows_of(lake: Lake, product: str) -> list[tuple[Row, Path, Path]]:
    """Each rendition of a product, with its file and that of its CDF."""
    exports = {row["sha256"]: row["path"] for row in read_ops(lake, "exports").iter_rows(named=True)}
    found = [row for row in read_ops(lake, "renditions").to_dicts() if row["product"] == product]
    uri = lake.storage.uri
    return [(row, Path(uri(row["path"])), Path(uri(exports[row["cdf_sha256"]]))) for row in found]


def test_every_exported_product_day_of_the_mission_is_there_once(lake: Lake) -> None:
    exports = read_ops(lake, "exports").select("product", "day", "version").sort("product", "day").rows()
    renditions = read_ops(lake, "renditions").select("product", "day", "version").sort("product", "day").rows()
    assert renditions == sorted(set(exports))
    assert {product for product, _, _ in renditions} == set(PADRE)
    again = render_all(lake)
    assert (again.made, again.unchanged) == ([], len(renditions))


@pytest.mark.oracle
@pytest.mark.parametrize("product", PADRE)
def test_astropy_reads_what_cdflib_reads_of_the_cdf(lake: Lake, product: str) -> None:
    for _, path, cdf_path in rows_of(lake, product):
        cdf = cdflib.CDF(cdf_path)
        with fits.open(path, checksum=True) as file:
            file.verify("exception")
            for name in cdf.cdf_info().zVariables:
                info, values = cdf.varinq(name), np.asarray(cdf.varget(name))
                column = file[1].data[name] if info.Rec_Vary else file["CONSTANTS"].data[name][0]
                if values.dtype.kind == "f":
                    values = np.where(values == values.dtype.type(-1e31), np.nan, values)
                if values.dtype.kind in "US":
                    assert [text.rstrip() for text in column] == [str(text).rstrip() for text in values.ravel()]
                else:
                    np.testing.assert_array_equal(column, values.reshape(column.shape), f"{path.name} {name}")


@pytest.mark.oracle
@pytest.mark.parametrize("product", PADRE)
def test_the_name_is_that_of_the_archive_and_the_header_says_the_same(lake: Lake, product: str) -> None:
    table, rules = lake.definitions.tables[product], lake.definitions.mission("padre").names
    for row, path, _ in rows_of(lake, product):
        parsed = parse_name(rules, path.name, datetime(2026, 8, 2, tzinfo=UTC))
        assert (parsed.instrument, parsed.level, parsed.version) == (table.instrument, table.level, row["version"])
        assert parsed.descriptor == table.descriptor.partition("_")[2].replace("_", "-")
        header = fits.getheader(path, 1)
        assert (header["FILENAME"], header["VERSION"], header["LEVEL"]) == (path.name, row["version"], table.level)
        assert date.fromisoformat(header["DATE-BEG"][:10]) == row["day"] == date.fromisoformat(header["DATE-END"][:10])
        assert header["OBS_HDU"] == int(product in OBSERVED)
        assert header.get("SOLARNET", -1) == (0.5 if product in OBSERVED else -1)


@pytest.mark.oracle
def test_units_come_with_the_spectra(lake: Lake) -> None:
    ((_, path, _),) = rows_of(lake, "padre.meddea_l1_spectrum")
    table, axes = QTable.read(path, hdu=1), QTable.read(path, hdu=2)
    assert table["counts"].unit == u.count
    assert table["counts"].shape[1:] == (24, 280)
    assert axes["energy"].unit == u.keV
    assert axes["energy"][0, :3].to_value(u.keV).tolist() == [-9.75, -9.25, -8.75]
    elapsed = np.diff(table["TIME"].to_value(u.s))
    assert np.median(elapsed) == pytest.approx(10, abs=1e-3)
