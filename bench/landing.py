# SPDX-License-Identifier: Apache-2.0
"""Landing and hashing against `cp` and `sha256sum` on the same files, in the same run: wall clock and CPU time.

Ours also writes a receipt for each file and the order of arrival, and waits until all of it would survive a power loss;
`cp` and `sha256sum` wait for nothing. The two take turns; the ratio is that of the medians, and above 0.5
is the target.

    python -m bench.landing --rounds 5
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest.sources.lander import Lander
from ingest.sources.nouns import Arrived
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake

SIZES = {"small": (5000, 2_000, 20_000), "large": (6, 60_000_000, 100_000_000)}  # files, least and most bytes
FIRST = datetime(2024, 9, 1, tzinfo=UTC)
TARGET = 0.5
HEAD = """| files | MB | landing s | cp + sha256sum s | ratio | landing CPU s | theirs CPU s |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Took:
    """Seconds of one measurement on the wall, and of CPU of the process and its children."""

    wall: float
    cpu: float


def write_files(folder: Path, kind: str, rng: random.Random) -> int:
    """Files with names of telemetry; their bytes in all."""
    count, least, most = SIZES[kind]
    folder.mkdir()
    total = 0
    for number in range(count):
        content = rng.randbytes(rng.randrange(least, most))
        (folder / f"padreMDU8_{FIRST + timedelta(minutes=number):%y%m%d%H%M%S}.dat").write_bytes(content)
        total += len(content)
    return total


def timed(act: Callable[[], object]) -> Took:
    """How long something takes, with nothing left to be written from before."""
    os.sync()
    before, begun = _cpu(), time.perf_counter()
    act()
    return Took(time.perf_counter() - begun, _cpu() - before)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def yardstick(drop: Path, copy: Path) -> None:
    """`cp` and `sha256sum`."""
    subprocess.run(["cp", "-r", str(drop), str(copy)], check=True)  # noqa: S607
    names = "\0".join(str(path) for path in drop.iterdir()).encode()
    subprocess.run(["xargs", "-0", "sha256sum"], input=names, check=True, stdout=subprocess.DEVNULL)  # noqa: S607


def land(drop: Path, lake: Lake) -> None:
    """What a round of the watcher does with files that are whole."""
    names = sorted(os.listdir(drop))  # noqa: PTH208
    taken = Lander(lake).take([Arrived("bench", name, name, drop / name) for name in names])
    assert {one.state for one in taken} == {"landed"}


def run(kind: str, rounds: int, place: Path | None = None) -> tuple[list[Took], list[Took], int]:
    """Measurements of landing and of the yardstick, in turns, and the bytes of the files."""
    definitions = read_definitions(CHECKOUT / "missions")
    with tempfile.TemporaryDirectory(prefix="landing-", dir=place) as name:
        folder = Path(name)
        drop = folder / "drop"
        size = write_files(drop, kind, random.Random(1))  # noqa: S311
        ours, theirs = list[Took](), list[Took]()
        for number in range(rounds):
            copy, root = folder / "copy", folder / f"lake{number}"
            theirs.append(timed(lambda at=copy: yardstick(drop, at)))  # type: ignore[misc]
            shutil.rmtree(copy)
            lake = Lake(root, definitions)
            ours.append(timed(lambda at=lake: land(drop, at)))  # type: ignore[misc]
            shutil.rmtree(root)
    return ours, theirs, size


def table(rounds: int = 3, place: Path | None = None) -> tuple[str, float]:
    """The figures as they stand in docs/benchmarks.md, and the smallest ratio."""
    lines, ratios = list[str](), list[float]()
    for kind, (count, *_) in SIZES.items():
        ours, theirs, size = run(kind, rounds, place)
        wall, other = (statistics.median(took.wall for took in side) for side in (ours, theirs))
        cpu, other_cpu = (statistics.median(took.cpu for took in side) for side in (ours, theirs))
        ratios.append(other / wall)
        figures = f"{wall:.2f} | {other:.2f} | {ratios[-1]:.2f} | {cpu:.2f} | {other_cpu:.2f}"
        lines.append(f"| {count} {kind} | {size / 1e6:.0f} | {figures} |")
    return HEAD + "\n".join(lines), min(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--place", type=Path, help="a folder on the disk that is to be measured; default the usual one")
    options = parser.parse_args()
    text, least = table(options.rounds, options.place)
    print(text)
    sys.exit(least < TARGET)


if __name__ == "__main__":
    main()
