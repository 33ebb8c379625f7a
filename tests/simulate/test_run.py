# SPDX-License-Identifier: Apache-2.0
"""All simulators of a mission at once: they share one folder, one plasma and one list of faults."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from simulate.run import available_simulators, simulate

DEFINITIONS = read_definitions(CHECKOUT / "missions")
DAY = date(2026, 8, 1)
HOURS = 0.0029  # 10.44 s: not a whole number of seconds


def faults(folder: Path, *rows: str) -> Path:
    path = folder / "faults.csv"
    path.write_text("\n".join(["kind,stream,start,stop,count", *rows]))
    return path


def test_every_instrument_has_a_simulator() -> None:
    instruments = {f"{m.name}/{i.name}" for m in DEFINITIONS.missions for i in m.instruments}
    assert set(available_simulators(DEFINITIONS)) == instruments


def test_a_mission_is_simulated_into_one_folder_with_one_truth_about_the_plasma(tmp_path: Path) -> None:
    rows = faults(tmp_path, "gap,merit,00:00:03,00:00:05,", "gap,eea,00:00:01,00:00:02,")
    done = simulate(DEFINITIONS, "hermes", None, DAY, tmp_path / "out", seed=3, faults_path=rows, hours=HOURS)
    targets = {path.name.split("_")[1] for path in done.files}
    assert targets == {"EEA", "NEM", "SPANI", "MERIT"}
    assert {fault.stream for fault in done.faults} == {"eea", "merit"}
    assert len(list((tmp_path / "out" / "truth").glob("plasma_*.csv"))) == 1
    assert len(pl.read_csv(tmp_path / "out" / "truth" / "merit_faults_20260801.csv")) == 2  # counts and pulse heights


def test_a_fault_of_no_stream_names_the_streams(tmp_path: Path) -> None:
    rows = faults(tmp_path, "gap,photon,00:00:03,00:00:05,")
    with pytest.raises(ConfigurationError, match=r"no stream 'photon'\. Use one of eea, merit, nemisis, spani"):
        simulate(DEFINITIONS, "hermes", None, DAY, tmp_path / "out", faults_path=rows, hours=HOURS)
    assert not (tmp_path / "out").exists()
