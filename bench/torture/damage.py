# SPDX-License-Identifier: Apache-2.0
"""Thousands of damaged packet files through the decoder: no crash, no hang, every byte accounted for, little lost."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from bench.torture.decoding import MemoryDecoder, survival
from bench.torture.figures import Figure, unmeasured
from bench.torture.mutations import in_turns, mutate
from lake.config import CHECKOUT

FILES, FILES_SHORT = 10_000, 1_000
BLOCK = 250
SECONDS = 30  # for a file that takes a hundredth of a second
LOST_PER_CORRUPTION = 2
REAL_FILES = ("padreMDA0_240916122901.dat", "padreMDU8_240916122904.dat", "padreMDA2_240916122851.dat")

TEST = "{} damaged packet files (flips, cuts, inserts, swaps, zero blocks, repeats)"
TARGET = "0 crashes, 0 hangs, bytes balance each time, at most 2 intact packets lost per corruption"


@dataclass
class Damage:
    """What became of a number of damaged files; seeds of those that fell short."""

    files: int = 0
    intact: int = 0
    lost: int = 0
    crashed: list[str] = field(default_factory=list)
    unbalanced: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    too_many_lost: list[int] = field(default_factory=list)

    def add(self, other: Damage) -> None:
        """Count the files of another block too."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def well(self) -> bool:
        """True if nothing fell short."""
        return not (self.crashed or self.unbalanced or self.wrong or self.too_many_lost)


def telemetry() -> Path:
    """The folder of real MeDDEA files; it need not be there."""
    default = CHECKOUT.parent / "shared" / "telemetry"
    return Path(os.environ.get("SWXLAKE_TELEMETRY", default)) / "padre" / "meddea"


def originals(folder: Path) -> list[bytes]:
    """The real files, and one in which their packets take turns; those that are decoded fast come first."""
    photon, mixed, spectrum = [(folder / name).read_bytes() for name in REAL_FILES]
    return [photon, mixed, in_turns(photon, mixed, spectrum), spectrum]


def damage(files: list[bytes], seeds: Iterable[int]) -> Damage:
    """Damage a file for each seed, decode it, and count. A file that takes too long ends the process."""
    decoder, done = MemoryDecoder(), Damage()
    known = decoder.known(files)
    for seed in seeds:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            _count(done, decoder, known, files, seed)
        except Exception as error:  # noqa: BLE001  a crash of any kind is what is looked for
            done.crashed.append(f"seed {seed}: {type(error).__name__}: {error}")
        done.files += 1
    faulthandler.cancel_dump_traceback_later()
    return done


def _count(done: Damage, decoder: MemoryDecoder, known: dict[bytes, bytes], files: list[bytes], seed: int) -> None:
    original, data, corruptions = mutate(files, seed)
    found = survival(decoder, known, original, data)
    done.intact += found.intact
    done.lost += found.lost
    if not found.balanced:
        done.unbalanced.append(seed)
    if found.wrong:
        done.wrong.append(seed)
    if found.lost > LOST_PER_CORRUPTION * corruptions:
        done.too_many_lost.append(seed)


def run(short: bool, seed: int) -> list[Figure]:
    """The row of this test."""
    number = FILES_SHORT if short else FILES
    if not telemetry().is_dir():
        return [unmeasured(TEST.format(f"{number:,}"), TARGET, f"no telemetry in {telemetry()}; set SWXLAKE_TELEMETRY")]
    files, first, total = originals(telemetry()), seed * FILES, Damage()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        blocks = [range(start, min(start + BLOCK, first + number)) for start in range(first, first + number, BLOCK)]
        for block, task in [(block, pool.submit(damage, files, block)) for block in blocks]:
            total.add(_finished(task, block))
    return [_figure(total, number)]


def _finished(task: Future[Damage], block: range) -> Damage:
    try:
        return task.result()
    except BrokenProcessPool:
        return Damage(crashed=[f"seeds {block.start} to {block.stop - 1}: the process died, or hung for {SECONDS} s"])


def _figure(total: Damage, number: int) -> Figure:
    text = (
        f"{total.files:,} decoded, {len(total.crashed)} crashes or hangs, {len(total.unbalanced)} out of balance; "
        f"{total.lost:,} of {total.intact:,} intact packets lost, {len(total.too_many_lost)} files above the limit, "
        f"{len(total.wrong)} with other rows"
    )
    details = [
        *total.crashed,
        *(f"out of balance: seed {seed}" for seed in total.unbalanced),
        *(f"other rows: seed {seed}" for seed in total.wrong),
        *(f"too many lost: seed {seed}" for seed in total.too_many_lost),
    ]
    return Figure(TEST.format(f"{number:,}"), TARGET, text, total.well and total.files == number, tuple(details))
