# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every storage call of a night, at calls of later nights and of maintenance, and at random moments.

After each, the command is given once more, and the lake must be what it would have been without the kill.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench.torture.commands import Ended, KillAt, finish, left_over, start
from bench.torture.figures import Figure
from bench.torture.scenes import Scene, workshop
from bench.torture.state import unlike

POINTS, POINTS_SHORT = 500, 10
SHARES = {"second night": 60, "maintenance": 40, "two workers": 20}  # calls of these; all calls of the first night
SHARES_SHORT = {"first night": 4, "second night": 2, "maintenance": 1, "two workers": 1}
MOMENTS, MOMENTS_SHORT = 40, 2  # at least
LATER = timedelta(hours=1)
PATIENCE_SECONDS = 15  # for workers to notice that they are orphans

TEST = "SIGKILL at {} points of nights and of maintenance"
TARGET = "after a rerun contents and CDF bytes equal an undisturbed lake's, each time; no repair by hand"


@dataclass(frozen=True)
class Point:
    """A moment to die at: before the n-th storage call, or after some seconds if `call` is 0."""

    scene: Scene
    call: int
    kind: str
    seconds: float = 0.0

    def __str__(self) -> str:
        when = f"call {self.call} ({self.kind})" if self.call else f"after {self.seconds:.2f} s"
        return f"{self.scene.name}, {when}"


@dataclass(frozen=True)
class Result:
    """What was wrong after a kill and a rerun; empty if nothing was. `killed` is False if it had ended before."""

    point: Point
    problem: str
    killed: bool = True


def suffer(point: Point, folder: Path) -> Result:
    """Kill, repeat, compare. What is left is thrown away if nothing was wrong."""
    root = Path(tempfile.mkdtemp(dir=folder)) / "lake"
    point.scene.prepare(root)
    ended, orphans = _struck(point, root)
    if ended.code != -signal.SIGKILL:
        return Result(point, f"ended with {ended.code} before it was killed: {ended.text}" if point.call else "", False)
    problem = f"workers outlive the night: {orphans}" if orphans else _after(point.scene, root)
    if not problem:
        shutil.rmtree(root.parent)
    return Result(point, problem)


def _struck(point: Point, root: Path) -> tuple[Ended, list[int]]:
    """Run the command until it is killed; how it ended, and workers that were left."""
    command = point.scene.command(root)
    process = start(command, KillAt(point.call) if point.call else None, root)
    if not point.call:
        process.join(point.seconds)
        process.kill()
    ended = finish(process, command)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := left_over(process)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return ended, left


def _after(scene: Scene, root: Path) -> str:
    """The command once more: what is wrong with it, or with the lake; empty if nothing."""
    ended = scene.run(root, LATER)
    if ended.traceback:
        return f"the rerun ended with {ended.code}: {ended.text}"
    return unlike(scene.lake(root), scene.lake(scene.undisturbed))


# ---- which points --------------------------------------------------------------------------------------------------
def points(scenes: dict[str, Scene], short: bool, rng: random.Random) -> list[Point]:
    """Every call of the first night, some of the others, and random moments of it up to the number wanted."""
    shares = SHARES_SHORT if short else SHARES
    chosen: list[Point] = []
    for name, scene in scenes.items():
        kinds = scene.calls
        numbers = sorted(rng.sample(range(1, len(kinds) + 1), min(shares.get(name, len(kinds)), len(kinds))))
        chosen += [Point(scene, number, kinds[number - 1]) for number in numbers]
    first, missing = scenes["first night"], (POINTS_SHORT if short else POINTS) - len(chosen)
    moments = max(missing, MOMENTS_SHORT if short else MOMENTS)
    return chosen + [Point(first, 0, "moment", rng.uniform(0, first.seconds)) for _ in range(moments)]


def run(short: bool, seed: int) -> list[Figure]:
    """The row of this test."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        scenes = workshop(folder)
        chosen = points(scenes, short, random.Random(seed))  # noqa: S311
        results = list(pool.map(lambda point: suffer(point, folder), chosen))
    return [_figure(results)]


def _figure(results: list[Result]) -> Figure:
    killed = [result for result in results if result.killed]
    failed = [result for result in results if result.problem]
    equal = sum(not result.problem for result in killed)
    early = len(results) - len(killed)
    text = f"{equal} of {len(killed)} equal" + (f"; {early} more had ended before their moment" if early else "")
    details = (*_by_kind(killed), *(f"{result.point}: {result.problem}" for result in failed))
    return Figure(TEST.format(len(results)), TARGET, text, not failed, details)


def _by_kind(killed: list[Result]) -> Iterator[str]:
    """How many points there were of each kind of call, by scene."""
    for scene in dict.fromkeys(result.point.scene.name for result in killed):
        kinds = Counter(result.point.kind for result in killed if result.point.scene.name == scene)
        yield f"{scene}: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
