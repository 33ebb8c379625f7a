# SPDX-License-Identifier: Apache-2.0
"""A small lake with a past: two nights, a late file, two versions of a product, a release; for tests of its upkeep."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from lake.config import Settings
from lake.store import AsOf, Journal, Lake
from swxlake.fsck import fsck
from swxlake.night import run_night
from swxlake.outcome import Outcome
from swxlake.releases import make_release
from tests.meddea import DEFINITIONS, NOON, PHOTON_FILE, drop, housekeeping, met, photon

DAYS = date(2024, 9, 16), date(2024, 9, 17)
HK_FILES = "padreMDU8_240916120000.dat", "padreMDU8_240917120000.dat"
LATE_FILE = "padreMDU8_240916130000.dat"
L0, L1 = "padre.meddea_l0_housekeeping", "padre.meddea_l1_housekeeping"
RELEASE = "first"


def night(lake: Lake, inbox: Path | None = None) -> Outcome:
    return run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)


def packets(start: int, first: int = 0, number: int = 6) -> list[bytes]:
    """Housekeeping packets every 5 s."""
    return [housekeeping(count, start + 5 * count, 20_000) for count in range(first, first + number)]


def inbox_of_first_night(folder: Path) -> Path:
    for name, day in zip(HK_FILES, DAYS, strict=True):
        drop(folder, name, *packets(met(day.year, day.month, day.day, 12)))
    return drop(folder, PHOTON_FILE, *(photon(count, NOON + count) for count in range(3))).parent


def late_inbox(folder: Path) -> Path:
    """A file of the first day: two packets that came before, four new ones."""
    return drop(folder, LATE_FILE, *packets(NOON, 4)).parent


def make_lake(root: Path | str, folder: Path) -> Lake:
    """The lake at `root`; its inboxes are made in `folder`."""
    return with_late_file(make_first(root, folder), folder)


def make_first(root: Path | str, folder: Path) -> Lake:
    """The lake after its first night."""
    lake = Lake(root, DEFINITIONS)
    assert night(lake, inbox_of_first_night(folder / "inbox")).exit_code == 0
    return lake


def with_late_file(lake: Lake, folder: Path) -> Lake:
    """The same lake after its release and its second night."""
    make_release(lake, RELEASE, "to have one")
    assert night(lake, late_inbox(folder / "late")).exit_code == 0
    return lake


def copy(lake: Lake, folder: Path) -> Lake:
    """The same lake in another folder."""
    assert isinstance(lake.root, Path)
    return Lake(Path(shutil.copytree(lake.root, folder)), lake.definitions)


@dataclass(frozen=True)
class Look:
    """What fsck says of a lake."""

    problems: list[str]
    notes: list[str]

    @property
    def places(self) -> list[str]:
        """Where the differences are: the words before the first colon and space."""
        return [problem.partition(": ")[0] for problem in self.problems]

    def about(self, place: str) -> str:
        """The one difference at a place."""
        (found,) = [problem for problem in self.problems if problem.startswith(f"{place}: ")]
        return found


def look(lake: Lake, quick: bool = False) -> Look:
    outcome = fsck(lake, quick)
    assert outcome.exit_code == bool(outcome.problems)
    return Look(outcome.problems, outcome.notes)


def root_of(lake: Lake) -> Path:
    assert isinstance(lake.root, Path)
    return lake.root


def strip(lake: Lake) -> Lake:
    """The lake with raw/ and journal/ alone left."""
    for path in root_of(lake).iterdir():
        if path.name not in ("raw", "journal"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return lake


def only(lake: Lake, pattern: str) -> Path:
    """The one file below the lake's root that fits a pattern."""
    (path,) = root_of(lake).glob(pattern)
    return path


def flip(path: Path, at: int = 40) -> None:
    """Turn one bit of a file over; its size stays."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def as_of_release(lake: Lake, name: str = RELEASE) -> Lake:
    entry: dict[str, Any] = Journal(lake).entry("releases", name) or {}
    versions = {address: table["version"] for address, table in entry["tables"].items()}
    return Lake(lake.root, lake.definitions, AsOf(name, versions))
