# SPDX-License-Identifier: Apache-2.0
"""A release as a BagIt bag: valid by bagit's own validator, with the bytes that the release names."""

from __future__ import annotations

import json
from pathlib import Path

import bagit
import polars as pl
import pytest

from lake.errors import ConfigurationError, ExportError
from lake.ledger import read_ops
from lake.store import Journal, Lake
from swxlake.bags import make_bag
from swxlake.releases import make_release
from tests.exports.delivery.stage import BOX, DAYS, publish
from tests.kept_lake import flip
from tests.lake.backup.copies import small_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a release, after which another version was published."""
    lake = small_lake(tmp_path)
    make_release(lake, "v1", "for the archive")
    publish(lake, (BOX, DAYS[0], "1.0.1"), run="run-2")
    return lake


def test_a_bag_is_valid_and_says_what_it_is(lake: Lake, tmp_path: Path) -> None:
    make_bag(lake, "v1", tmp_path / "bag", doi="10.5281/zenodo.1")
    bag = bagit.Bag(str(tmp_path / "bag"))
    bag.validate()
    assert {name: bag.info[name] for name in ("Title", "External-Description", "DOI")} == {
        "Title": "Release v1",
        "External-Description": "for the archive",
        "DOI": "10.5281/zenodo.1",
    }
    assert bag.info["Payload-Oxum"].endswith(f".{len(bag.payload_entries())}")
    assert sorted(path.name for path in tmp_path.iterdir() if "bag" in path.name) == ["bag"]


def test_a_bag_has_the_files_and_the_rows_of_the_release(lake: Lake, tmp_path: Path) -> None:
    make_bag(lake, "v1", tmp_path / "bag")
    data = tmp_path / "bag/data"
    entry = json.loads((data / "release.json").read_text())
    assert entry == Journal(lake).entry("releases", "v1")
    products = [path.relative_to(data).as_posix() for path in data.rglob("*.cdf")]
    assert sorted(products) == sorted(product["path"] for product in entry["products"])
    rows = pl.read_parquet(data / "tables/ops/exports/*.parquet")
    assert sorted(rows["version"]) == ["1.0.0"] * 6
    assert read_ops(lake, "exports").height == 7


def test_a_bag_without_tables_is_smaller(lake: Lake, tmp_path: Path) -> None:
    outcome = make_bag(lake, "v1", tmp_path / "bag", tables=False)
    assert outcome.facts["holds"] == {"products": 6, "table_files": 0}
    assert not (tmp_path / "bag/data/tables").exists()


def test_a_file_that_has_changed_since_the_release_is_not_packed(lake: Lake, tmp_path: Path) -> None:
    flip(next((tmp_path / "lake/exports").rglob("*.cdf")))
    with pytest.raises(ExportError, match="has changed since the release"):
        make_bag(lake, "v1", tmp_path / "bag")
    assert [path.name for path in tmp_path.iterdir() if "bag" in path.name] == []


def test_what_is_there_is_not_overwritten_and_no_release_is_no_bag(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'v2': is no release"):
        make_bag(lake, "v2", tmp_path / "bag")
    (tmp_path / "bag").mkdir()
    with pytest.raises(ConfigurationError, match="is there already"):
        make_bag(lake, "v1", tmp_path / "bag")
