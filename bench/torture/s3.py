# SPDX-License-Identifier: Apache-2.0
"""A lake in object storage: several processes that ingest the same files, and a night on a server that fails and hangs.

The server is the tests' own: moto in a process of its own, with writes one at a time.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import polars as pl

from bench.torture import commands
from bench.torture.commands import CONTEXT, Command, Ended, finish
from bench.torture.figures import Figure
from bench.torture.scenes import Scene, copy_missions, telemetry
from bench.torture.state import unlike
from lake.definition_files import read_definitions
from lake.reading import scan
from lake.store import Lake
from tests.meddea import drop, housekeeping, met
from tests.s3_server import Faults, Server, fresh_bucket, s3_server

PROCESSES, PACKETS = 4, 5
FILES, DUPLICATES = 200, 60
FILES_SHORT, DUPLICATES_SHORT = 24, 8
NIGHTS, NIGHTS_SHORT = 10, 1
LIMIT_SECONDS = 2.0  # for a call, of the client
SEVERE, MILD = Faults(0.1, 0.02, hang_seconds=4.0), Faults(0.03, 0.003, hang_seconds=4.0)
TABLE = "padre.meddea_l0_housekeeping"


# ---- a command on a lake in S3 -------------------------------------------------------------------------------------
def _run(command: Command, environment: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {name: value for name, value in environment.items() if value}
    commands.run(command)


def environment_of(variables: dict[str, str]) -> dict[str, str]:
    """What a command needs to reach a bucket, and limits that suit a test."""
    limits = {"SWXLAKE_S3_TIMEOUT_SECONDS": str(LIMIT_SECONDS), "SWXLAKE_LEASE_SECONDS": "10"}
    return {name: value for name, value in variables.items() if name.startswith("AWS_")} | limits


def start(command: Command, environment: dict[str, str]) -> ForkServerProcess:
    """The command in a process of its own, started, with these variables and no other ones of AWS."""
    process = CONTEXT.Process(target=_run, args=(command, environment))
    process.start()
    return process


# ---- each row exactly once -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Crowd:
    """What came of several processes that ingest at once."""

    ended: list[Ended]
    rows: int
    wanted: int
    twice: int
    flagged: int
    seconds: float

    @property
    def well(self) -> bool:
        """True if each row is there once, and no process failed."""
        whole = self.rows == self.wanted and not self.twice and not self.flagged
        return whole and all(ended.code == 0 for ended in self.ended)


def write_inboxes(folder: Path, files: int, duplicates: int) -> list[Path]:
    """An inbox for each process; `duplicates` of the files are others' over again, half of them under another name."""
    inboxes, first = [folder / f"inbox{number}" for number in range(PROCESSES)], met(2026, 8, 1)
    for number in range(files):
        original = number % (files - duplicates)
        again, renamed = number != original, number != original and number % 2 == 1
        packets = [housekeeping(PACKETS * original + i, first + PACKETS * original + i) for i in range(PACKETS)]
        name = f"padreMDU8_260801{_clock(number if renamed else original)}.dat"
        drop(inboxes[(number + again) % PROCESSES], name, *packets)
    return inboxes


def _clock(second: int) -> str:
    return time.strftime("%H%M%S", time.gmtime(second))


def crowd(server: Server, folder: Path, files: int, duplicates: int) -> Crowd:
    """Let several processes ingest at once into a lake in S3, and count what is there afterwards."""
    missions, inboxes = copy_missions(folder), write_inboxes(folder, files, duplicates)
    with fresh_bucket(server) as root:
        orders = [
            Command(("ingest", str(inbox), "--root", root), missions, inbox.with_suffix(".log")) for inbox in inboxes
        ]
        started, reach = time.monotonic(), environment_of(server.environment)
        ended = [finish(process, order) for process, order in [(start(order, reach), order) for order in orders]]
        seconds = time.monotonic() - started
        lake = Lake(root, read_definitions(missions))
        rows = scan(lake, lake.definitions.tables[TABLE]).select("time_s", "quality_flag").collect()
    twice = rows.height - rows["time_s"].n_unique()
    flagged = rows.filter(pl.col("quality_flag") != 0).height
    return Crowd(ended, rows.height, (files - duplicates) * PACKETS, twice, flagged, seconds)


def _crowd_figure(server: Server, folder: Path, short: bool) -> Figure:
    files, duplicates = (FILES_SHORT, DUPLICATES_SHORT) if short else (FILES, DUPLICATES)
    found = crowd(server, folder, files, duplicates)
    text = f"{found.rows} rows of {found.wanted} packets, {found.twice} of them twice; {found.seconds:.0f} s"
    test = f"{PROCESSES} processes ingesting {files} files with {duplicates} duplicates on S3"
    failed = tuple(ended.text for ended in found.ended if ended.code != 0)
    return Figure(test, "each row exactly once", text, found.well, failed)


# ---- a night in trouble --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Trouble:
    """A night on a server that fails and hangs, and its repetition on one that does not."""

    faults: Faults
    ended: Ended
    counts: dict[str, int]
    equal_at_once: bool
    difference: str

    @property
    def problem(self) -> str:
        """What should not have been; empty if all was well."""
        if self.ended.traceback:
            return f"ended with {self.ended.code}: {self.ended.text}"
        if not self.equal_at_once and self.ended.code == 0:
            return f"ended as if all were well, but was not: {self.ended.text}"
        return self.difference


def undisturbed(folder: Path) -> Scene:
    """The scene of a night of a few minutes, with the lake that it gives in a folder."""
    inbox, _ = telemetry(folder, copy_missions(folder))
    scene = Scene("night", folder, None, ("night", "--inbox", str(inbox)))
    ended = scene.run(scene.undisturbed)
    if ended.traceback:
        raise AssertionError(f"the undisturbed night ended with {ended.code}: {ended.text}")
    return scene


def troubled_night(server: Server, scene: Scene, faults: Faults) -> Trouble:
    """The night on a server in trouble, then once more on a healthy one."""
    with fresh_bucket(server) as root:
        order = Command((*scene.arguments, "--root", root), scene.missions, scene.folder / f"{faults.seed}.log")
        lake, wanted = Lake(root, read_definitions(scene.missions)), scene.lake(scene.undisturbed)
        reach = environment_of(server.environment)
        with server.faults(faults) as counts:
            ended = finish(start(order, reach), order)
        equal = not unlike(lake, wanted)
        again = finish(start(order, reach), order)
        difference = f"the rerun ended with {again.code}: {again.text}" if again.traceback else unlike(lake, wanted)
    return Trouble(faults, ended, counts, equal, difference)


def _trouble_figure(server: Server, folder: Path, short: bool, seed: int) -> Figure:
    kind, count = (MILD, NIGHTS_SHORT) if short else (SEVERE, NIGHTS)
    scene = undisturbed(folder)
    nights = [troubled_night(server, scene, replace(kind, seed=seed + number)) for number in range(count)]
    bad = [night for night in nights if night.problem]
    calls, failed, hung = (sum(night.counts[name] for night in nights) for name in ("calls", "failed", "hung"))
    at_once = sum(night.equal_at_once for night in nights)
    right = f"{len(nights) - len(bad)} of {len(nights)}; {at_once} right at once"
    text = f"{right}; {calls} calls, {failed} failed, {hung} hung"
    test = f"storage that fails {kind.fail:.0%} of calls and times out {kind.hang:.1%}, {len(nights)} nights"
    target = "the night ends right or says what failed; the rerun completes"
    return Figure(test, target, text, not bad, tuple(f"seed {night.faults.seed}: {night.problem}" for night in bad))


def run(short: bool, seed: int) -> list[Figure]:
    """The rows of these tests."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name, s3_server() as server:
        folder = Path(name)
        for part in ("crowd", "trouble"):
            (folder / part).mkdir()
        return [
            _crowd_figure(server, folder / "crowd", short),
            _trouble_figure(server, folder / "trouble", short, seed),
        ]
