# SPDX-License-Identifier: Apache-2.0
"""A lake with one small product of two days, between which an axis got other values."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from lake.catalog import refresh
from lake.store import Lake
from tests.exports.hapi.asking import Client
from tests.toy import DAY, receive
from tests.toy_product import build, exported, instrument_file, lake_with_product, now

SECOND_DAY = date(2024, 9, 17)
DATASET = "toy_box_l1-tick"


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """1, 2, 3 of the first day twice as large, and 4, 5 of the second. Nobody changes it."""
    folder = tmp_path_factory.mktemp("hapi")
    with pytest.MonkeyPatch.context() as patch, lake_with_product(folder, patch) as lake:
        moved = "centre,below,above\n1.1,0.5,0.5\n2.2,0.6,1.5\n"
        instrument_file(lake, "calibration/parts_20240917.csv").write_text(moved)
        receive(now(lake), "b", [4, 5], SECOND_DAY)
        build(lake)
        assert len(exported(lake).published) == 2
        refresh(now(lake))
        return now(lake)


@pytest.fixture(scope="session")
def client(toy: Lake) -> Client:
    """Asks for it."""
    return Client(toy)


@pytest.fixture
def own(toy: Lake, tmp_path: Path) -> Lake:
    """A copy, to be changed."""
    assert isinstance(toy.root, Path)
    lake = Lake(Path(shutil.copytree(toy.root, tmp_path / "lake")), toy.definitions)
    refresh(lake)
    return lake


assert DAY < SECOND_DAY
