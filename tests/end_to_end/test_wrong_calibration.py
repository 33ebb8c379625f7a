# SPDX-License-Identifier: Apache-2.0
"""A calibration that is wrong: nothing that rests on it is published, and doctor says so before the night."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from exports.export import export_all
from ingest.intake import take_in
from lake.clock import utc_now
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake
from quality.checks import check_all
from simulate.run import simulate
from swxlake.doctor import examine
from transforms.engine import build_all

DAY = date(2025, 8, 1)
GEOMETRY = "hermes/eea/calibration/geometry_20000101.csv"


@pytest.fixture(scope="module")
def missions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The definitions of EEA alone, in a copy."""
    copy = tmp_path_factory.mktemp("copy") / "missions"
    others = shutil.ignore_patterns("padre", "nemisis", "spani", "merit")
    shutil.copytree(CHECKOUT / "missions", copy, ignore=others)
    return copy


def lose_a_row(missions: Path) -> None:
    path = missions / GEOMETRY
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def test_what_descends_from_a_failed_day_waits_and_doctor_knows(tmp_path: Path, missions: Path) -> None:
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    assert examine(lake).problems == []
    simulate(lake.definitions, "hermes", "eea", DAY, tmp_path / "drop", hours=0.002)
    take_in(lake, [tmp_path / "drop"], "run-1", utc_now(), 0)
    assert build_all(lake, "run-1").failed == []
    lose_a_row(missions)
    lake = Lake(lake.root, read_definitions(missions))
    failed = {step.table.name for step, _ in build_all(lake, "run-2").failed}
    assert failed == {"eea_l2_flux", "eea_ql_moments"}
    check_all(lake, "run-2")
    exported = export_all(lake, "run-2")
    assert [key.split("_")[2] for key in exported.published] == ["l1-counts"]
    reasons = {(table, day): reason for table, day, reason in exported.blocked}
    assert reasons["hermes.eea_l2_moments", DAY] == "hermes.eea_l2_flux of that day failed; mend it first"
    assert any("geometry_20000101.csv" in problem for problem in examine(lake).problems)
