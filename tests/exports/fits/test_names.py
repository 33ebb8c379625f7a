# SPDX-License-Identifier: Apache-2.0
"""Names of FITS files are archive names of the mission, and lead back to the CDF."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exports.fits.names import of_cdf, of_fits
from lake.names import parse_name
from lake.product_names import ScienceName, create_name
from tests.meddea import DEFINITIONS, NOW

RULES = DEFINITIONS.mission("padre").names
CDF = "padre_meddea_l1-photon_20240916_v1.0.12"
FITS = "padre_meddea_l1_photon_20240916T000000_v1.0.12.fits"


def test_the_name_is_the_one_that_the_grammar_of_the_archive_makes() -> None:
    wanted = ScienceName("meddea", "l1", datetime(2024, 9, 16, tzinfo=UTC), "1.0.12", descriptor="photon")
    found = of_cdf(f"exports/padre/meddea/l1/2024/{CDF}.cdf")
    assert found is not None
    assert found.fits_name == create_name(RULES, wanted, NOW) == FITS


@pytest.mark.parametrize("data_type", ["l1-photon", "ql-lightcurve", "l1-meddea-housekeeping", "l1-adcs-op-status"])
def test_the_mission_reads_the_name_and_it_leads_back(data_type: str) -> None:
    file_id = f"padre_craft_{data_type}_20251107_v2.1.0"
    found = of_cdf(file_id)
    assert found is not None
    parsed = parse_name(RULES, found.fits_name, NOW)
    assert (parsed.level, parsed.descriptor, parsed.version) == (found.level, found.descriptor, "2.1.0")
    back = of_fits(f"fits/padre/{found.fits_name}")
    assert back == found
    assert back.file_id == file_id


@pytest.mark.parametrize(
    "name",
    ["", "x.fits", CDF + ".fits", FITS.replace("T000000", "T120000"), FITS.replace("0916", "0931"), FITS + ".part"],
)
def test_other_names_are_not_those_of_products(name: str) -> None:
    assert of_fits(name) is None
