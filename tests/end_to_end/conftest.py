# SPDX-License-Identifier: Apache-2.0
"""The lake with a past that tests of fsck, upkeep and lineage look at, or damage a copy of."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.store import Lake
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
