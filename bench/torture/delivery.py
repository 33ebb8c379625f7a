# SPDX-License-Identifier: Apache-2.0
"""A day delivered in order, in pieces that overlap and are shuffled, or backwards; and clocks that jump between nights.

What level 1 holds does not depend on it, and repetitions are counted exactly.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cdflib
import numpy as np
import polars as pl

from bench.torture.commands import finish, start
from bench.torture.figures import Figure
from bench.torture.mutations import split
from bench.torture.scenes import DAY, Scene, copy_missions
from bench.torture.state import data_state, newest_products
from bench.torture.world import DAYS, world
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.store import Lake
from simulate.run import simulate

PIECES, OVERLAP = 7, 0.2
MINUTES, MINUTES_SHORT = 60, 3
JUMPS = (0, -365, 365, -700, 30)  # days by which the clock is off in each night

TEST = "{} minutes of MeDDEA in order, backwards, shuffled over 7 files with 20 % sent twice"
TARGET = "the same rows of level 1 and the same data in the CDF files; repetitions counted as injected"
CLOCK_TEST = "{} nights between which the clock jumps by up to two years"
CLOCK_TARGET = "the same rows as with a steady clock; equal to a rebuild, CDF bytes included"


@dataclass(frozen=True)
class Delivery:
    """A way to deliver: files of packets by name, and how many packets are sent more than once."""

    name: str
    files: dict[str, bytes]
    repeated: int = 0


def deliveries(streams: dict[str, list[bytes]], rng: random.Random) -> list[Delivery]:
    """Packets of some streams in order, backwards, and in pieces."""
    in_order = {_name(stream, 0): b"".join(packets) for stream, packets in streams.items()}
    backwards = {_name(stream, 0): b"".join(reversed(packets)) for stream, packets in streams.items()}
    pieces, repeated = dict[str, bytes](), 0
    for stream, packets in streams.items():
        again = rng.sample(packets, int(OVERLAP * len(packets)))
        repeated += len(again)
        mixed = rng.sample(packets, len(packets)) + again
        pieces |= {_name(stream, n): b"".join(mixed[n::PIECES]) for n in range(min(PIECES, len(mixed)))}
    return [
        Delivery("in order", in_order),
        Delivery("backwards", backwards),
        Delivery("shuffled", pieces, repeated),
    ]


def _name(stream: str, number: int) -> str:
    return f"padre{stream}_{DAY:%y%m%d}0000{number:02}.DAT"


def telemetry(folder: Path, missions: Path, minutes: float) -> dict[str, list[bytes]]:
    """Packets of simulated files by stream."""
    streams: dict[str, list[bytes]] = {}
    for path in simulate(read_definitions(missions), "padre", "meddea", DAY, folder, 6, None, minutes / 60).files:
        streams.setdefault(path.name[5:9], []).extend(split(path.read_bytes()))
    return streams


def received(folder: Path, delivery: Delivery) -> Lake:
    """The lake of a delivery after a night."""
    inbox = folder / delivery.name / "inbox"
    inbox.mkdir(parents=True)
    for name, data in delivery.files.items():
        (inbox / name).write_bytes(data)
    scene = Scene(delivery.name, folder, None, ("night", "--inbox", str(inbox)))
    root = inbox.with_name("lake")
    ended = finish(start(command := scene.command(root)), command)
    if ended.traceback:
        raise AssertionError(f"the night of {delivery.name} ended with {ended.code}: {ended.text}")
    return scene.lake(root)


def rows_of_levels(lake: Lake) -> dict[str, pl.DataFrame]:
    """Rows of the tables above level 0 in an order of their own."""
    levels = {name: frame for name, frame in data_state(lake).items() if "_l0_" not in name}
    return {name: frame.sort([c for c in frame.columns if frame[c].dtype != pl.List]) for name, frame in levels.items()}


def data_of_products(lake: Lake) -> dict[str, dict[str, list[object]]]:
    """Values of every variable of the newest products, in the order of the file."""
    found = {}
    for key in newest_products(lake):
        file = cdflib.CDF(lake.storage.uri(key))
        names = file.cdf_info().zVariables
        found[key.rpartition("_v")[0]] = {name: np.asarray(file.varget(name)).tolist() for name in names}
    return found


def differences(folder: Path, minutes: float, rng: random.Random) -> list[str]:
    """What differs between the ways to deliver."""
    ways = deliveries(telemetry(folder / "packets", copy_missions(folder), minutes), rng)
    problems, lakes = [], [received(folder, way) for way in ways]
    expected = rows_of_levels(lakes[0]), data_of_products(lakes[0])
    for way, lake in zip(ways, lakes, strict=True):
        counted = int(read_ops(lake, "files")["duplicates"].sum())
        rows = rows_of_levels(lake)
        problems += [
            f"{way.name}: {name} differs" for name, rows_ in expected[0].items() if not rows_.equals(rows[name])
        ]
        if repr(data_of_products(lake)) != repr(expected[1]):
            problems.append(f"{way.name}: data of the CDF files differ")
        if counted != way.repeated:
            problems.append(f"{way.name}: {counted} repetitions counted, {way.repeated} injected")
    return problems


def jumps() -> str:
    """What differs after nights whose clock jumps; empty if nothing."""
    with world() as steady, world() as jumping:
        for number, days in enumerate(JUMPS):
            ticks = [(DAYS[i % 3], 60 * (number + i // 3), i) for i in range(9)]
            for one, ahead in ((steady, 0), (jumping, days)):
                one.drop(f"seaBY01_2409160000{number:02}.dat", ticks)
                one.now += timedelta(days=ahead + 1000)  # later than the file's name, which would be refused
                one.night()
                one.now -= timedelta(days=ahead + 1000)
        found = {
            name: frame.equals(data_state(steady.lake())[name]) for name, frame in data_state(jumping.lake()).items()
        }
        odd = [f"{name} differs from that of a steady clock" for name, equal in found.items() if not equal]
        return "; ".join(odd) or jumping.difference()


def run(short: bool, seed: int) -> list[Figure]:
    """The rows of this test."""
    minutes = MINUTES_SHORT if short else MINUTES
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        problems = differences(Path(name), minutes, random.Random(seed))  # noqa: S311
    test = TEST.format(minutes)
    differ = jumps()
    return [
        Figure(test, TARGET, "equal" if not problems else f"{len(problems)} differ", not problems, tuple(problems)),
        Figure(CLOCK_TEST.format(len(JUMPS)), CLOCK_TARGET, "differs" if differ else "equal", not differ, (differ,)),
    ]
