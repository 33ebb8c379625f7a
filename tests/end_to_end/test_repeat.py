# SPDX-License-Identifier: Apache-2.0
"""A night may be repeated, interrupted anywhere and repeated again: the lake ends the same."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.store import Lake
from simulate.run import simulate
from swxlake.night import run_night
from tests.end_to_end.lake_state import assert_equal_lakes, product_state, table_state

KILLS = 20
DAY = date(2026, 8, 1)
FAULTS = """kind,stream,start,stop,count
duplicate,photon,00:00:30,00:00:40,
gap,housekeeping,00:00:50,00:01:10,
bit_flip,photon,00:01:00,00:02:00,2
junk,spectrum,00:01:30,,37
"""
SCRIPT = Path(__file__).with_name("killed_night.py")


@pytest.fixture(scope="module")
def definitions():
    return read_definitions(CHECKOUT / "missions")


@pytest.fixture(scope="module")
def inbox(tmp_path_factory, definitions) -> Path:
    """Three minutes of telemetry with a duplicate, flipped bits and junk."""
    folder = tmp_path_factory.mktemp("drop")
    faults = folder.parent / "faults.csv"
    faults.write_text(FAULTS)
    simulate(definitions, "padre", "meddea", DAY, folder, 3, faults, 0.05)
    return folder


def night(root: Path, definitions, inbox: Path) -> Lake:
    lake = Lake(root, definitions)
    run_night(lake, Settings(root=root, settle_seconds=0), inbox)
    return lake


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, definitions, inbox) -> Lake:
    return night(tmp_path_factory.mktemp("lake"), definitions, inbox)


@pytest.fixture(scope="module")
def storage_calls(tmp_path_factory, inbox) -> int:
    root = tmp_path_factory.mktemp("counted")
    done = run_killed(root, inbox, 0)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def run_killed(root: Path, inbox: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(root), str(inbox), str(kill_at)]
    return subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False, timeout=300)


def test_the_night_twice_is_the_night_once(tmp_path, definitions, inbox, undisturbed):
    lake = night(tmp_path, definitions, inbox)
    tables, products = table_state(lake), product_state(lake)
    versions = [path.name for path in sorted(tmp_path.rglob("_delta_log/*.json"))]
    night(tmp_path, definitions, inbox)
    assert product_state(lake) == products
    assert [path.name for path in sorted(tmp_path.rglob("_delta_log/*.json"))] == versions
    assert all(frame.equals(tables[name]) for name, frame in table_state(lake).items())
    assert_equal_lakes(lake, undisturbed)


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_night_that_is_repeated_ends_like_an_undisturbed_one(
    tmp_path, definitions, inbox, undisturbed, storage_calls, number
):
    kill_at = random.Random(number).randint(1, storage_calls)
    done = run_killed(tmp_path, inbox, kill_at)
    assert done.returncode == -9, f"was not killed at call {kill_at} of {storage_calls}: {done.stderr}"
    assert_equal_lakes(night(tmp_path, definitions, inbox), undisturbed)
