# SPDX-License-Identifier: Apache-2.0
"""HAPI gives of every product what its CDF holds, as cdflib and hapiclient read both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import cdflib
import numpy as np
import pytest

from exports.hapi.serving import application
from lake.answers import Answers
from lake.catalog import refresh
from lake.health import Health
from lake.serving import Listen
from lake.store import Lake
from lake.web import serving
from tests.exports.hapi.asking import Client
from tests.product_lakes import products_of

Cdfs = dict[str, tuple[date, Path]]
# One with vectors, one with arrays of three dimensions, one with bins and flags, one with times in columns.
SOME = ("hermes_nem_l2-mag", "hermes_eea_l1-counts", "hermes_mrt_l2-flux", "hermes_nem_l1-status")


@pytest.fixture(scope="module")
def cdfs(hermes_lake: Lake) -> Cdfs:
    """The file of each dataset on its first day."""
    refresh(hermes_lake)
    files = sorted(products_of(hermes_lake).items(), reverse=True)
    return {path.name.rsplit("_", 2)[0]: (day, path) for (_, day), path in files}


@pytest.fixture(scope="module")
def client(hermes_lake: Lake, cdfs: Cdfs) -> Client:
    assert cdfs
    return Client(hermes_lake)


def asked(day: date) -> dict[str, str]:
    return {"start": day.isoformat(), "stop": (day + timedelta(days=1)).isoformat()}


def assert_equal(file: Any, name: str, found: np.ndarray[Any, Any]) -> None:
    """Values of HAPI are those of the variable to the last bit, fill values too."""
    expected = file.varget("Epoch" if name == "Time" else name)
    if found.dtype.kind == "S":
        texts = [cdflib.cdfepoch.encode_tt2000(int(tt2000)) for tt2000 in expected]  # of many it leaves fills out
        assert found.tolist() == [f"{text}Z".encode() for text in texts]
    else:
        assert np.array_equal(found.astype(expected.dtype), expected)


@pytest.mark.parametrize("form", ["csv", "binary", "json"])
def test_every_product_is_served_as_its_cdf_has_it(client: Client, cdfs: Cdfs, form: str) -> None:
    catalog = [entry["id"] for entry in client.get("/catalog").json["catalog"]]
    assert sorted(catalog) == sorted(cdfs)
    for dataset in catalog if form == "binary" else SOME:
        day, path = cdfs[dataset]
        file = cdflib.CDF(path)
        for name, found in client.columns(dataset, form, **asked(day)).items():
            assert_equal(file, name, found)


def test_axes_and_fill_values_are_those_of_the_cdf(client: Client, cdfs: Cdfs) -> None:
    binned = 0
    for dataset, (_, path) in cdfs.items():
        file = cdflib.CDF(path)
        for parameter in client.parameters(dataset)[1:]:
            attributes = file.varattsget(parameter["name"])
            fill = attributes["FILLVAL"]
            if parameter["type"] != "isotime":
                assert type(fill)(float(parameter["fill"])) == fill
            assert (parameter["units"] or " ") == attributes["UNITS"] or parameter["type"] == "isotime"
            for i, found in enumerate(parameter.get("bins", []), 1):
                if isinstance(found["centers"], list):
                    values = file.varget(attributes[f"DEPEND_{i}"])
                    assert np.array_equal(np.array(found["centers"]).astype(values.dtype), values)
                    binned += 1
    assert binned > 20


@pytest.fixture(scope="module")
def server(hermes_lake: Lake, cdfs: Cdfs) -> Iterator[str]:
    assert cdfs
    with serving(application(hermes_lake, Answers(hermes_lake), Health("hapi")), Listen(port=0)) as address:
        yield f"{address}/hapi"


@pytest.mark.parametrize("form", ["csv", "binary"])
@pytest.mark.parametrize("dataset", SOME)
def test_hapiclient_reads_what_cdflib_reads(server: str, cdfs: Cdfs, tmp_path: Path, dataset: str, form: str) -> None:
    hapi = pytest.importorskip("hapiclient").hapi
    day, path = cdfs[dataset]
    options = {"format": form, "cachedir": str(tmp_path), "usecache": False}
    found, _ = hapi(server, dataset, "", *asked(day).values(), **options)
    assert len(found) > 20
    for name in found.dtype.names:
        assert_equal(cdflib.CDF(path), name, found[name])


def test_a_header_is_what_info_says_of_every_product(client: Client, cdfs: Cdfs) -> None:
    for dataset, (day, _) in cdfs.items():
        start = day.isoformat()
        body = client.data(dataset, start=start, stop=f"{start}T00:00:00.000000001", include="header").body
        lines = body.decode().splitlines()
        header = json.loads("".join(line[1:] for line in lines if line.startswith("#")))
        about = client.get("/info", dataset=dataset).json
        for document in (header, about):
            document.pop("status")
        assert header == about | {"format": "csv"}
