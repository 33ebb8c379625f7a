# SPDX-License-Identifier: Apache-2.0
"""hapiclient, the client of the heliophysics community, against a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports.hapi.serving import application
from lake.answers import Answers
from lake.health import Health
from lake.serving import Listen
from lake.store import Lake
from lake.web import serving
from tests.exports.hapi.asking import Client
from tests.exports.hapi.conftest import DATASET


@pytest.fixture(scope="module")
def server(toy: Lake) -> Iterator[str]:
    with serving(application(toy, Answers(toy), Health("hapi")), Listen(port=0)) as address:
        yield f"{address}/hapi"


@pytest.fixture(scope="module")
def hapi() -> Any:
    return pytest.importorskip("hapiclient").hapi


@pytest.mark.parametrize("form", ["csv", "binary"])
@pytest.mark.parametrize("parameters", ["", "halves_v", "voltage_v,part_ranges"])
def test_it_reads_what_there_is(
    hapi: Any, server: str, client: Client, tmp_path: Path, form: str, parameters: str
) -> None:
    asked = {"format": form, "cachedir": str(tmp_path), "usecache": False}
    found, meta = hapi(server, DATASET, parameters, "2024-09-16", "2024-09-18", **asked)
    expected = client.columns(DATASET, "binary", parameters=parameters)
    assert [p["name"] for p in meta["parameters"]] == list(expected)
    for name, values in expected.items():
        assert np.array_equal(found[name], values)


def test_it_lists_datasets_and_parameters(hapi: Any, server: str, tmp_path: Path) -> None:
    asked = {"cachedir": str(tmp_path), "usecache": False}
    assert [entry["id"] for entry in hapi(server, **asked)["catalog"]] == [DATASET]
    assert "voltage_v" in [p["name"] for p in hapi(server, DATASET, **asked)["parameters"]]
