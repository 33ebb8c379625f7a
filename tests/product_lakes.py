# SPDX-License-Identifier: Apache-2.0
"""A lake for each mission in which every product was made: PADRE's of real telemetry, HERMES' of simulated."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from lake.config import Settings
from lake.ledger import read_ops
from lake.store import Lake
from simulate.run import simulate
from swxlake.night import run_night
from tests.meddea import DEFINITIONS
from tests.shared_data import telemetry_folder

# Every product of both missions, by the address of its table.
PRODUCTS = tuple(
    f"{mission.name}.{product.table}"
    for mission in DEFINITIONS.missions
    for instrument in mission.instruments
    for product in instrument.products
)
SIMULATED_DAY = date(2026, 8, 1)
SIMULATED_HOURS = 0.03  # 108 s: more than a hundred records of each product but the packets of 4 s


def padre_lake(folder: Path) -> Lake:
    """A night on the real files of MeDDEA and of the spacecraft. Skips the test where there are none."""
    inbox = folder / "inbox"
    inbox.mkdir(parents=True)
    for path in telemetry_folder("padre", "meddea").iterdir():
        shutil.copyfile(path, inbox / path.name)
    for path in telemetry_folder("padre", "craft").glob("padre_get_*.csv"):
        shutil.copyfile(path, inbox / path.name)
    return _lake_after_a_night(folder / "lake", inbox)


def hermes_lake(folder: Path) -> Lake:
    """A night on the simulated files of all four instruments."""
    simulate(DEFINITIONS, "hermes", None, SIMULATED_DAY, folder / "inbox", 11, None, SIMULATED_HOURS)
    return _lake_after_a_night(folder / "lake", folder / "inbox")


def _lake_after_a_night(root: Path, inbox: Path) -> Lake:
    lake = Lake(root, DEFINITIONS)
    outcome = run_night(lake, Settings(root=root, settle_seconds=0), inbox)
    assert (outcome.exit_code, outcome.problems) == (0, [])
    return lake


def products_of(lake: Lake) -> dict[tuple[str, date], Path]:
    """The file of each product and day."""
    assert isinstance(lake.root, Path)
    rows = read_ops(lake, "exports").select("product", "day", "path").iter_rows()
    return {(product, day): lake.root / path for product, day, path in rows}
