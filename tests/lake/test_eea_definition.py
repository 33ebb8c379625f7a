# SPDX-License-Identifier: Apache-2.0
"""EEA's definition: what is assumed, the frame of its vectors, labels, and flags that the transforms set."""

from __future__ import annotations

import polars as pl
import pytest
from scipy import constants

from tests.hermes_eea import EEA, TABLES, calibrations

PUBLISHED = ("l1_counts", "ql_moments", "l2_flux", "l2_moments")


@pytest.mark.parametrize("name", ["energy", "deflection", "azimuth", "readout", "geometry", "detector", "moments"])
def test_a_calibration_with_assumed_numbers_says_which_and_is_listed(name: str) -> None:
    source = calibrations(name)[name].frame["source"]
    assert source.null_count() == 0
    assert source.str.contains("assumed").any()
    assert f"{name}_20000101" in EEA.assumed


def test_the_gap_factor_is_assumed() -> None:
    readout = calibrations("readout")["readout"].frame
    assert readout.filter(pl.col("name") == "gap_factor")["source"][0].startswith("assumed")


@pytest.mark.parametrize("name", ["ql_moments", "l2_moments"])
def test_velocities_are_in_the_frame_of_the_instrument_and_below_the_speed_of_light(name: str) -> None:
    velocity = TABLES[name].by_name["velocity_km_s"]
    assert velocity.frame == "EEA"
    assert velocity.valid is not None
    assert max(abs(limit) for limit in velocity.valid) <= constants.c / 1000


def test_the_tensor_says_its_frame() -> None:
    assert "frame EEA" in TABLES["l2_moments"].by_name["temperature_tensor_ev"].description


def test_labels_of_all_data_are_different() -> None:
    labels: dict[str, set[str]] = {}
    for table in PUBLISHED:
        here = [column.label for column in TABLES[table].columns if column.label]
        assert len(here) == len(set(here)), table
        for column in TABLES[table].columns:
            if column.label:
                labels.setdefault(column.label, set()).add(column.name)
    assert {label: names for label, names in labels.items() if len(names) > 1} == {}
