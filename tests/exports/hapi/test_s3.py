# SPDX-License-Identifier: Apache-2.0
"""A lake in object storage is served as one in a folder."""

from __future__ import annotations

from pathlib import Path

from lake.catalog import refresh
from lake.storage import open_storage
from lake.store import Lake
from tests.exports.hapi.asking import Client
from tests.exports.hapi.conftest import DATASET


def test_a_lake_in_s3_is_served(toy: Lake, client: Client, s3_root: str) -> None:
    assert isinstance(toy.root, Path)
    storage = open_storage(s3_root)
    needed = ("tables/toy/box_l1_tick", "tables/ops/exports", "tables/ops/runs")
    for path in (path for folder in needed for path in (toy.root / folder).rglob("*")):
        if path.is_file():
            storage.put(path.relative_to(toy.root).as_posix(), path)
    lake = Lake(s3_root, toy.definitions)
    refresh(lake)
    other = Client(lake)
    assert other.data(DATASET).body == client.data(DATASET).body
    assert other.get("/info", "GET", "", dataset=DATASET).json == client.get("/info", dataset=DATASET).json
