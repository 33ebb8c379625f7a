# SPDX-License-Identifier: Apache-2.0
"""Lakes that several files of tests look at, or damage a copy of: one with a past, one of each mission."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from lake.store import Lake
from tests import product_lakes
from tests.kept_lake import copy, make_first, with_late_file


@pytest.fixture(scope="session")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake after one night with two days of housekeeping and some photons. Nobody changes it."""
    folder = tmp_path_factory.mktemp("first_night")
    return make_first(folder / "lake", folder)


@pytest.fixture(scope="session")
def healthy(first_night: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake after a release and a second night, in which nothing is wrong. Nobody changes it."""
    folder = tmp_path_factory.mktemp("healthy")
    return with_late_file(copy(first_night, folder / "lake"), folder)


@pytest.fixture
def kept(healthy: Lake, tmp_path: Path) -> Lake:
    """A copy of it, to be changed."""
    return copy(healthy, tmp_path / "lake")


@pytest.fixture(scope="session")
def padre_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Every product of PADRE, of real telemetry. Nobody changes it."""
    return product_lakes.padre_lake(tmp_path_factory.mktemp("padre"))


@pytest.fixture(scope="session")
def hermes_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Every product of HERMES, of simulated telemetry. Nobody changes it."""
    return product_lakes.hermes_lake(tmp_path_factory.mktemp("hermes"))


@pytest.fixture(scope="session")
def every_product(padre_lake: Lake, hermes_lake: Lake) -> dict[tuple[str, date], Path]:
    """The file of each product of both missions and of each of its days."""
    return product_lakes.products_of(padre_lake) | product_lakes.products_of(hermes_lake)
