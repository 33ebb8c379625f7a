# SPDX-License-Identifier: Apache-2.0
"""What is disturbed: small lakes, inboxes and the commands that are killed, starved or refused on them."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from bench.torture.commands import NOON, Command, Ended, WriteDown, finish, start
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake
from simulate.run import simulate

DAY = date(2026, 8, 1)
MINUTES = 3
FAULTS = """kind,stream,start,stop,count
duplicate,photon,00:00:30,00:00:40,
gap,housekeeping,00:00:50,00:01:10,
bit_flip,photon,00:01:00,00:02:00,2
junk,spectrum,00:01:30,,37
"""


@dataclass(frozen=True)
class Scene:
    """A command on a lake as it was before, and the lake that comes of it if nothing disturbs it."""

    name: str
    folder: Path
    before: Path | None
    arguments: tuple[str, ...]
    after: timedelta = timedelta()

    @property
    def missions(self) -> Path:
        """The definitions of all lakes of a workshop."""
        return self.folder / "missions"

    @property
    def undisturbed(self) -> Path:
        """The lake after the command."""
        return self.folder / self.name.replace(" ", "_")

    def command(self, root: Path, later: timedelta = timedelta(), log: Path | None = None) -> Command:
        """The command on a lake at another place; what it writes goes beside it, unless told otherwise."""
        arguments, log = (*self.arguments, "--root", str(root)), log or root.with_suffix(".log")
        return Command(arguments, self.missions, log, NOON + self.after + later)

    @property
    def calls(self) -> list[str]:
        """The kind of each storage call that the undisturbed command made, in order."""
        return self.undisturbed.with_suffix(".calls").read_text().splitlines()

    @property
    def seconds(self) -> float:
        """How long the undisturbed command took."""
        return float(self.undisturbed.with_suffix(".seconds").read_text())

    def make(self) -> Ended:
        """Make the undisturbed lake, and write down the calls and the time that it took."""
        root, begun = self.prepare(self.undisturbed), time.monotonic()
        command = self.command(root)
        ended = finish(start(command, WriteDown(root.with_suffix(".calls")), root), command)
        root.with_suffix(".seconds").write_text(f"{time.monotonic() - begun}")
        if ended.traceback:
            raise AssertionError(f"the undisturbed {self.name} ended with {ended.code}: {ended.text}")
        return ended

    def prepare(self, root: Path) -> Path:
        """The lake as it was before, at another place."""
        if self.before:
            shutil.copytree(self.before, root, symlinks=True)
        return root

    def run(self, root: Path, later: timedelta = timedelta()) -> Ended:
        """The command, undisturbed."""
        command = self.command(root, later)
        return finish(start(command), command)

    def lake(self, root: Path) -> Lake:
        """The lake at a root, to be looked at."""
        return Lake(root, read_definitions(self.missions))


def copy_missions(folder: Path) -> Path:
    """PADRE's definitions alone: the catalog of a small lake is made faster."""
    missions = folder / "missions"
    missions.mkdir(parents=True)
    for path in (CHECKOUT / "missions").glob("*.csv"):
        shutil.copy(path, missions)
    shutil.copytree(CHECKOUT / "missions" / "padre", missions / "padre")
    return missions


def telemetry(folder: Path, missions: Path) -> tuple[Path, Path]:
    """Two inboxes: minutes of MeDDEA with faults, and what comes late: the minutes after, and a day before."""
    first, late, faults = folder / "inbox", folder / "late", folder / "faults.csv"
    faults.write_text(FAULTS)
    definitions = read_definitions(missions)
    simulate(definitions, "padre", "meddea", DAY, first, 3, faults, MINUTES / 60)
    simulate(definitions, "padre", "meddea", DAY - timedelta(days=1), late, 4, None, 1 / 60)
    whole = simulate(definitions, "padre", "meddea", DAY, folder / "more", 5, None, 1 / 60).files
    for number, path in enumerate(whole):
        shutil.copy(path, late / path.name.replace("000000.", f"00000{number + 5}."))
    return first, late


def workshop(folder: Path) -> dict[str, Scene]:
    """The scenes by name, each with its undisturbed lake made."""
    missions = copy_missions(folder)
    inbox, late = telemetry(folder, missions)
    first = Scene("first night", folder, None, ("night", "--inbox", str(inbox)))
    second = Scene("second night", folder, first.undisturbed, ("night", "--inbox", str(late)), timedelta(days=1))
    maintain = Scene("maintenance", folder, second.undisturbed, ("maintain",), timedelta(days=30))
    workers = replace(first, name="two workers", arguments=(*first.arguments, "--workers", "2"))
    scenes = {scene.name: scene for scene in (first, second, maintain, workers)}
    for scene in scenes.values():
        scene.make()
    return scenes


def clean_night(folder: Path) -> Scene:
    """A night of telemetry without faults, which ends with 0, and its undisturbed lake."""
    missions = copy_missions(folder)
    _, inbox = telemetry(folder, missions)
    scene = Scene("clean night", folder, None, ("night", "--inbox", str(inbox)))
    ended = scene.make()
    if ended.code:
        raise AssertionError(f"the undisturbed night ended with {ended.code}: {ended.text}")
    return scene
