# SPDX-License-Identifier: Apache-2.0
"""What is said of datasets and parameters."""

from __future__ import annotations

import re
from typing import Any

import pytest

from exports.datasets.dataset import datasets
from exports.hapi.describing import parameter
from exports.hapi.holdings import Dataset, Day
from lake.clock import utc_now
from lake.definitions import Definitions
from lake.store import Lake
from tests.exports.hapi.asking import Client
from tests.exports.hapi.conftest import DATASET, SECOND_DAY
from tests.meddea import DEFINITIONS
from tests.toy import DAY

# Patterns of the JSON schema of HAPI 3.3 for dates.
DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ|Z)")


@pytest.fixture(scope="module")
def about(client: Client) -> dict[str, Any]:
    return dict(client.get("/info", dataset=DATASET).json)


@pytest.fixture(scope="module")
def all_parameters() -> list[tuple[Dataset, dict[str, Any]]]:
    """The parameters of every product of all missions, as if each had one day of data."""
    return [(d, parameter(d, field)) for d in _every(DEFINITIONS) for field in d.fields]


def _every(definitions: Definitions) -> list[Dataset]:
    lake = Lake("nowhere", definitions)
    day = Day(SECOND_DAY.replace(year=2026), (), "", 1, utc_now(), 0, 0)
    return [
        Dataset(lake, d.product, definitions.tables[d.structure.table.address], (day,)) for d in datasets(definitions)
    ]


def test_a_dataset_is_known_by_its_logical_source(client: Client) -> None:
    assert client.get("/catalog").json["catalog"] == [{"id": DATASET, "title": "Ticks in volts"}]


def test_a_deep_catalog_holds_what_info_says(client: Client, about: dict[str, Any]) -> None:
    (entry,) = client.get("/catalog", depth="all").json["catalog"]
    assert entry["info"] == {name: value for name, value in about.items() if name not in ("HAPI", "status")}
    assert client.get("/capabilities").json["catalogDepthOptions"] == ["dataset", "all"]


def test_the_dates_are_those_of_the_data(about: dict[str, Any]) -> None:
    assert (about["startDate"], about["stopDate"]) == (f"{DAY}Z", "2024-09-18Z")
    assert (about["sampleStartDate"], about["modificationDate"] > "2024") == ("2024-09-17T00:00:00Z", True)


def test_a_sample_and_the_test_of_about_give_records(client: Client, about: dict[str, Any]) -> None:
    sample = client.data(DATASET, start=about["sampleStartDate"], stop=about["sampleStopDate"])
    assert sample.code == 1200
    query = client.get("/about").json["dataTest"]["query"]
    assert client.get("/data", **query).code == 1200


def test_words_come_from_the_definitions(about: dict[str, Any]) -> None:
    voltage = next(p for p in about["parameters"] if p["name"] == "voltage_v")
    assert voltage == {
        "name": "voltage_v", "type": "double", "units": "V", "fill": "-1e+31", "description": "Voltage",
        "label": "Voltage",
    }  # fmt: skip
    assert about["timeStampLocation"] == "center"
    assert about["x_table"] == "toy.box_l1_tick"


def test_time_comes_first_without_fill_values(all_parameters: list[tuple[Dataset, dict[str, Any]]]) -> None:
    firsts = {d.id: p for d, p in reversed(all_parameters)}
    for p in firsts.values():
        assert (p["name"], p["type"], p["units"], p["fill"], p["length"]) == ("Time", "isotime", "UTC", None, 30)


def test_parameters_are_as_the_specification_wants_them(all_parameters: list[tuple[Dataset, dict[str, Any]]]) -> None:
    for _, p in all_parameters:
        assert re.fullmatch(r"[A-Za-z_]\w*", p["name"])
        assert p["units"] is None or p["units"].strip()
        assert ("length" in p) == (p["type"] == "isotime")
        assert p["label"]
        assert all(size > 1 for size in p.get("size", []))
        labels = p["label"]
        assert isinstance(labels, str) or len(labels) == p["size"][0]
        if p["name"] != "Time":
            assert isinstance(p["fill"], str)
            assert p["type"] == "isotime" or float(p["fill"]) == {"double": float, "integer": int}[p["type"]](p["fill"])
        if p["type"] == "integer":
            assert -(2**31) <= int(p["fill"]) < 2**31


def test_names_differ_by_more_than_their_case(all_parameters: list[tuple[Dataset, dict[str, Any]]]) -> None:
    names = [(d.id, p["name"].lower()) for d, p in all_parameters]
    assert len(names) == len(set(names))


def test_bins_are_as_many_as_cells(all_parameters: list[tuple[Dataset, dict[str, Any]]]) -> None:
    binned = [p for _, p in all_parameters if "bins" in p]
    assert len(binned) > 20
    for p in binned:
        assert len(p["bins"]) == len(p["size"])
        for size, found in zip(p["size"], p["bins"], strict=True):
            assert found["units"] is None or found["units"]
            if found["centers"] is not None:
                assert len(found["centers"]) == size
                ranges = found.get("ranges", [])
                assert len(ranges) in (0, size)
                assert all(low <= center <= high for center, (low, high) in zip(found["centers"], ranges, strict=False))


def test_units_can_be_read_by_the_schema_that_is_named(all_parameters: list[tuple[Dataset, dict[str, Any]]]) -> None:
    units = pytest.importorskip("astropy.units")
    for text in {p["units"] for _, p in all_parameters if p["units"] not in (None, "UTC")}:
        units.Unit(text)


def test_times_in_columns_are_times(all_parameters: list[tuple[Dataset, dict[str, Any]]]) -> None:
    kinds = {p["name"]: (p["type"], p["units"]) for d, p in all_parameters if d.id == "hermes_nem_l1-status"}
    assert kinds["tone_tt2000"] == ("isotime", "UTC")
    assert kinds["pkt_id"] == ("double", None)
    assert kinds["quality_flag"] == ("integer", None)


def test_a_vector_says_its_frame_and_components(all_parameters: list[tuple[Dataset, dict[str, Any]]]) -> None:
    (field,) = [p for d, p in all_parameters if d.id == "hermes_nem_ql-mag" and p["name"] == "fg_b_gse_nt"]
    assert (field["coordinateSystemName"], field["vectorComponents"]) == ("GSE", ["x", "y", "z"])
    assert field["label"] == ["x", "y", "z"]
    assert "bins" not in field


def test_dates_have_the_form_of_the_specification(about: dict[str, Any]) -> None:
    names = ("startDate", "stopDate", "sampleStartDate", "sampleStopDate", "modificationDate")
    assert all(DATE.fullmatch(about[name]) for name in names)


def test_a_page_for_people_shows_the_datasets(client: Client) -> None:
    page = client.get("").body.decode()
    assert f'href="/hapi/info?dataset={DATASET}"' in page
    assert "2024-09-16 to 2024-09-17" in page
    assert "<script" not in page
