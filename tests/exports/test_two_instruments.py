# SPDX-License-Identifier: Apache-2.0
"""A product that descends from two instruments names the calibrations of both, and the journal keeps them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from exports.provenance import archive_calibrations, archived_calibration, calibrations_of, definitions_of, lineage
from lake.definition_files import read_definitions
from lake.definitions import Definitions, Product
from lake.store import Journal, Lake
from tests.lab import write_lab

DAY = date(2025, 1, 1)
L2 = """\
  log_l2_both:
    title: Both temperatures
    grain: one row per line
    inputs: {line: log_l1_line, warm: box_l1_warm}
    columns:
      - epoch_tt2000
      - temp_degc
"""
PRODUCT = Product(
    table="log_l2_both",
    version="1.0",
    title="Both",
    text="Temperatures of the box by both ways, for tests of what is recorded.",
    time_resolution="1 second",
    bin_location=0.0,
    mods=("1.0: first",),
)


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    folder = write_lab(tmp_path / "missions")
    tables = folder / "lab/log/tables.yaml"
    tables.write_text(tables.read_text() + L2)
    return folder


def described(definitions: Definitions) -> str:
    table = definitions.tables["lab.log_l2_both"]
    return definitions_of(definitions, PRODUCT, table, lineage(definitions, table, DAY))


def test_calibrations_of_both_are_named_and_archived(missions: Path, tmp_path: Path) -> None:
    definitions = read_definitions(missions)
    table = definitions.tables["lab.log_l2_both"]
    used = calibrations_of(definitions, table, DAY)
    assert list(used) == ["box/temp_polynomial_20240101", "temp_polynomial_20240101"]
    journal = Journal(Lake(tmp_path / "lake", definitions))
    archive_calibrations(journal, definitions.mission("lab"), table, used)
    content = (missions / "lab/box/calibration/temp_polynomial_20240101.csv").read_bytes()
    assert {archived_calibration(journal, sha256) for sha256 in used.values()} == {content}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("lab/box/packets/warm.csv", "temp,uint,16,adu", "temp,int,16,adu"),
        ("lab/log/records/line.csv", "temp,Temp", "temp,Temperature"),
        ("lab/box/instrument.yaml", "prefix: 1acffc1d", "prefix: 1acffc1e"),
    ],
)
def test_a_change_of_what_either_decodes_is_noticed(missions: Path, name: str, before: str, after: str) -> None:
    recorded = described(read_definitions(missions))
    path = missions / name
    path.write_text(path.read_text().replace(before, after))
    assert described(read_definitions(missions)) != recorded


def test_where_the_definitions_stand_makes_no_difference(missions: Path, tmp_path: Path) -> None:
    moved = missions.rename(tmp_path / "elsewhere")
    there = described(read_definitions(moved))
    assert described(read_definitions(moved.rename(missions))) == there
