# SPDX-License-Identifier: Apache-2.0
"""Nights on a disk that fails and is slow: they end right or say what failed, and a repeat completes them."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import duckdb
from deltalake.exceptions import DeltaError

from bench.torture.commands import Ended, finish, start
from bench.torture.figures import Figure
from bench.torture.scenes import Scene, clean_night
from bench.torture.state import unlike

NIGHTS, NIGHTS_SHORT = 60, 4
SHARES = (0.1, 0.1, 0.01, 0.001)  # of calls that fail
SLOW_SHARE, SLOW_SECONDS = 0.05, 0.02
LATER = timedelta(hours=1)
WORDS = os.strerror(errno.EIO)

TEST = "{} nights on a disk that fails 10 % of calls, or 1 % or 0.1 %, and is slow"
TARGET = "a night ends right, or with exit code 1 and a line that says what failed; the rerun completes it"


@dataclass
class Fail:
    """Refuses a share of the calls as a broken disk would, and takes its time with others."""

    share: float
    seed: int
    quiet: int = 0
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311

    def __call__(self, kind: str) -> None:
        """One call: refused, slow or neither; the first `quiet` ones are well."""
        self.quiet -= 1
        if self.quiet >= 0:
            return
        if self.rng.random() < SLOW_SHARE:
            time.sleep(SLOW_SECONDS)
        if self.rng.random() < self.share:
            raise refusal(kind)


def refusal(kind: str) -> Exception:
    """The error with which a kind of call reports a broken disk."""
    if kind == "duckdb.connect":
        return duckdb.IOException(f"IO Error: Could not write file: {WORDS}")
    if kind.startswith("DeltaTable.") or kind == "write_deltalake":
        return DeltaError(f"Generic LocalFileSystem error: Unable to open file: {WORDS} (os error {errno.EIO})")
    return OSError(errno.EIO, WORDS)


@dataclass(frozen=True)
class Trial:
    """One night on a bad disk, and what was wrong with it or with its repeat; empty if nothing."""

    share: float
    seed: int
    ended: Ended
    problem: str


def trial(scene: Scene, folder: Path, share: float, seed: int) -> Trial:
    """A night on a disk that turns bad at some call, then one on a good one. With an even seed it is bad at once."""
    quiet = random.Random(seed).randrange(3 * len(scene.calls)) if seed % 2 else 0  # noqa: S311  two of three only look
    root = scene.prepare(Path(tempfile.mkdtemp(dir=folder)) / "lake")
    command = scene.command(root)
    ended = finish(start(command, Fail(share, seed, quiet), root, looks=True), command)
    problem = wrong_end(scene, root, ended, WORDS) or wrong_repeat(scene, root)
    if not problem:
        shutil.rmtree(root.parent)
    return Trial(share, seed, ended, problem)


def wrong_end(scene: Scene, root: Path, ended: Ended, words: str) -> str:
    """What is wrong with how a command ended that was refused something; `words` name the refusal."""
    if ended.traceback:
        return f"ended with {ended.code}: {ended.text}"
    if ended.code == 0:
        return unlike(scene.lake(root), scene.lake(scene.undisturbed))
    return "" if words in ended.text else f"ended with {ended.code} and does not say {words!r}: {ended.text}"


def wrong_repeat(scene: Scene, root: Path) -> str:
    """What is wrong with the command once more, or with the lake then."""
    ended = scene.run(root, LATER)
    if ended.code:
        return f"the rerun ended with {ended.code}: {ended.text}"
    return unlike(scene.lake(root), scene.lake(scene.undisturbed))


def run(short: bool, seed: int) -> list[Figure]:
    """The row of this test."""
    number = NIGHTS_SHORT if short else NIGHTS
    with tempfile.TemporaryDirectory(prefix="torture-") as name, ThreadPoolExecutor(2) as pool:
        scene = clean_night(Path(name))
        tasks = [
            pool.submit(trial, scene, Path(name), SHARES[n % len(SHARES)], seed * NIGHTS + n) for n in range(number)
        ]
        trials = [task.result() for task in tasks]
    failed = [one for one in trials if one.problem]
    right = sum(one.ended.code == 0 for one in trials)
    text = f"{right} ended right, {number - right} said what failed; {number - len(failed)} of {number} equal"
    details = tuple(f"share {one.share}, seed {one.seed}: {one.problem}" for one in failed)
    return [Figure(TEST.format(number), TARGET, text, not failed, details)]
