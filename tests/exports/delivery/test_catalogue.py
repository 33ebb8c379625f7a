# SPDX-License-Identifier: Apache-2.0
"""What a tree has for those who pull from it."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import cdflib
import pytest

from exports.delivery.approvals import withdraw
from lake.store import Lake
from tests.exports.delivery.stage import BOX, DAYS, NOW, path_of, products_at, publish, run, settings, stage

PATHS = [path_of(BOX, day) for day in DAYS]
NEW = path_of(BOX, DAYS[1], "1.0.1")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with two versions of one day, both in the tree, and a withdrawn version of another day."""
    lake = stage(tmp_path)
    run(lake, settings(tmp_path, pull=True))
    publish(lake, (BOX, DAYS[1], "1.0.1"), run="run-2")
    withdraw(lake, PATHS[2], "Ada", "wrong gain", NOW)
    run(lake, settings(tmp_path, pull=True), 24)
    return lake


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "spdf" / "catalogue" / name).read_text().splitlines()))


def test_the_catalogue_lists_what_is_there(lake: Lake, tmp_path: Path) -> None:
    assert [row["path"] for row in rows(tmp_path, "files.csv")] == [PATHS[0], PATHS[1], NEW]
    for row in rows(tmp_path, "files.csv"):
        content = (tmp_path / "spdf" / row["path"]).read_bytes()
        assert (int(row["bytes"]), row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    first = rows(tmp_path, "files.csv")[0]
    assert (first["day"], first["version"], first["records"]) == ("2024-09-16", "1.0.0", "3")
    assert first["first_epoch_utc"] == "2024-09-16T12:00:00.000000000Z"
    assert first["delivered_at"] == "2026-08-01T02:00:00Z"
    listed = json.loads((tmp_path / "spdf" / "catalogue" / "files.json").read_text())
    assert [row["path"] for row in listed] == [PATHS[0], PATHS[1], NEW]


def test_the_newest_version_of_each_day_is_listed_by_itself(lake: Lake, tmp_path: Path) -> None:
    assert [row["path"] for row in rows(tmp_path, "latest.csv")] == [PATHS[0], NEW]


def test_each_dataset_has_a_readme(lake: Lake, tmp_path: Path) -> None:
    text = (tmp_path / "spdf" / "toy" / "box" / "toy_box_l1-tick" / "00readme.txt").read_text()
    assert text.startswith("Ticks in volts\n\nVoltages of a box that is there for the tests")
    assert (tmp_path / "spdf/toy/box/toy_box_l1-tick" / "../../../catalogue/files.csv").exists()
    assert "../../../catalogue/files.csv has all files" in text


def test_each_dataset_has_its_master_skeleton_and_spase_record(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "spdf" / "masters"
    name = "toy_box_l1-tick"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{name}.xml", f"{name}_00000000_v01.cdf", f"{name}_00000000_v01.skt",
    ]  # fmt: skip
    assert cdflib.CDF(folder / f"{name}_00000000_v01.cdf").globalattsget()["Logical_source"] == [name]
    assert name in (folder / f"{name}.xml").read_text()


def test_a_run_without_news_leaves_the_tree_as_it_is(lake: Lake, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "spdf").rglob("*") if path.is_file()}
    run(lake, settings(tmp_path, pull=True), 48)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "spdf").rglob("*") if path.is_file()} == before


def test_a_recipient_that_is_pushed_to_has_no_catalogue(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path, ("pushed",)), 48)
    assert len(products_at(tmp_path / "pushed")) == 2
    assert not (tmp_path / "pushed" / "catalogue").exists()
