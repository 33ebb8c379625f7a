# SPDX-License-Identifier: Apache-2.0
"""EEA sweeps put together from packets, each placed by its own STEP, whatever is lost, repeated or swapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import calibration_rows, named_numbers
from transforms.rows import ORIGIN, time_blocks

Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

US_NS = 1000
STRAYS = ("step_unknown", "time_unlikely")  # flags of sweeps around a packet that is in L0 only
MOST = 0.75
NONE: Int64 = np.empty(0, np.int64)


OVERHEADS = ("step_overhead", "sweep_overhead")


@dataclass(frozen=True)
class Stepper:
    """The stepper table by STEP: `cell` is energy * deflections + deflection; dwell and stamp are in us.

    `stamp_us` is when a step's packet is stamped, counted from the stamp of step 0; `period_us` is the time from one
    step 0 to the next.
    """

    path: Path
    cell: Int64
    dwell_us: Int64
    stamp_us: Int64
    period_us: int
    gap_factor: float


def read_stepper(table: Table, stepper: Calibration, readout: Calibration) -> Stepper:
    """The stepper table with its times. Raises CalibrationError if it does not fit the axes of the table."""
    numbers = ("step", "energy_index", "deflection_index", "dwell_us")
    rows = calibration_rows(stepper, key=("step",), numbers=numbers)
    step, energy, deflection, dwell = (rows[name].cast(pl.Int64).to_numpy() for name in numbers)
    energies, deflections = table.axis("energy").size, table.axis("deflection").size
    cell = energy * deflections + deflection
    inside = (energy >= 0) & (energy < energies) & (deflection >= 0) & (deflection < deflections)
    if not np.array_equal(step, np.arange(len(step))) or not inside.all() or len(np.unique(cell)) < len(cell):
        raise CalibrationError(
            f"{stepper.path}: needs steps 0, 1, 2, ... and for each a cell of its own among {energies} energies and "
            f"{deflections} deflections. Correct its rows."
        )
    known = named_numbers(readout, *OVERHEADS, "gap_factor", units=dict.fromkeys(OVERHEADS, "us"))
    interval = dwell + int(known["step_overhead"])
    stamp = np.cumsum(interval) - interval[0]
    period = int(interval.sum() + known["sweep_overhead"])
    return Stepper(stepper.path, cell, dwell, stamp, period, known["gap_factor"])


@dataclass(frozen=True)
class Sweeps:
    """Packets in order of time with the sweep that each belongs to, numbered from 0, and the first packet of each."""

    packets: pl.DataFrame
    sweep: Int64
    first: Int64

    @property
    def last(self) -> Int64:
        """The last packet of each sweep."""
        return np.append(self.first[1:], self.packets.height) - 1

    def all_but_last(self) -> tuple[Sweeps, pl.DataFrame]:
        """The sweeps but the last, and the packets of the last."""
        last = int(self.first[-1])
        return Sweeps(self.packets[:last], self.sweep[:last], self.first[:-1]), self.packets[last:]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class Stretch:
    """Packets that can be placed, in order of time, and times [ns] of those that cannot, by the flag that says why.

    `step_unknown`: the stepper table lacks their STEP; `time_unlikely`: they fit no neighbour. To the latter belong the
    times of the neighbours, too, as nobody knows which of them is right.
    """

    packets: pl.DataFrame
    strays: dict[str, Int64]


def sweeps_in_blocks(
    packets: pl.LazyFrame, table: Table, stepper: Stepper, seconds: float
) -> Iterator[tuple[Sweeps, dict[str, Mask]]]:
    """All sweeps in stretches of about so many seconds, and by flag which of them a stray packet fell into.

    A sweep that is not finished at the end of a stretch waits for the next, so the result does not depend on how long
    a stretch is. `packets` are in any order; a packet that is there twice counts once.
    """
    waiting, strays = pl.DataFrame(), dict.fromkeys(STRAYS, NONE)
    for stretch in _stretches(packets, table, stepper, seconds):
        strays = {flag: np.concatenate([strays[flag], times]) for flag, times in stretch.strays.items()}
        waiting = pl.concat([waiting, stretch.packets]) if waiting.height else stretch.packets
        sweeps = _split(waiting, stepper)
        if len(sweeps) > 1:
            done, waiting = sweeps.all_but_last()
            yield done, {flag: _hit(sweeps, times)[:-1] for flag, times in strays.items()}
            # A stray between two sweeps belongs to the one that waits too.
            end = int(done.packets["epoch_tt2000"][-1])
            strays = {flag: times[times > end] for flag, times in strays.items()}
    if waiting.height:
        rest = _split(waiting, stepper)
        yield rest, {flag: _hit(rest, times) for flag, times in strays.items()}


def _stretches(science: pl.LazyFrame, table: Table, stepper: Stepper, seconds: float) -> Iterator[Stretch]:
    """Packets in order, without strays. The last packet of a stretch waits: the next one tells whether it fits."""
    held, held_soon = pl.DataFrame(), False
    for block in time_blocks(science, seconds):
        known, unknown = _known(_one_of_each_in_order(block, table), stepper)
        if held.height:
            known = pl.concat([held, known])
        soon = np.append(held_soon, _too_soon(known, stepper))
        held, held_soon = known[-1:], bool(soon[-1])
        # A packet that comes too soon, and after which the next comes too soon, fits neither of the two.
        stray = soon[:-1] & soon[1:]
        decided = known[: len(stray)]
        unlikely = _suspect(known, soon[1:], stray) if soon.any() else NONE
        fitting = decided.filter(pl.Series(~stray)) if stray.any() else decided
        yield Stretch(fitting, {"step_unknown": unknown, "time_unlikely": unlikely})
    yield Stretch(held, dict.fromkeys(STRAYS, NONE))


def _known(ordered: pl.DataFrame, stepper: Stepper) -> tuple[pl.DataFrame, Int64]:
    """The packets whose STEP is in the table, and the times [ns] of the others."""
    unknown = ordered["step"] >= len(stepper.cell)
    if not unknown.any():
        return ordered, NONE
    return ordered.filter(~unknown), ordered.filter(unknown)["epoch_tt2000"].to_numpy()


def _too_soon(packets: pl.DataFrame, stepper: Stepper) -> Mask:
    """Which packets but the first [n - 1] come much sooner after the one before than the steps between them take.

    Raises: CalibrationError if most packets of neighbouring steps do: then it is the table that is wrong.
    """
    time, step = packets["epoch_tt2000"].to_numpy(), packets["step"].to_numpy()
    soon = _soon(time, step, stepper)
    # Of the packets of two sessions that got mixed, at most every other follows its own neighbour.
    if len(soon) >= len(stepper.cell) and (soon & (np.diff(step) == 1)).mean() > MOST:
        raise CalibrationError(
            f"{stepper.path} (dwell_us): most packets follow each other sooner than its dwell times allow. "
            "Add the stepper table that the instrument had loaded."
        )
    return soon


def _suspect(packets: pl.DataFrame, soon: Mask, stray: Mask) -> Int64:
    """Times [ns] of strays, and of both packets of each short interval in which STEP does not rise by 1.

    `soon` and `stray` [n - 1] are of the intervals and of all packets but the last.
    """
    time, step = packets["epoch_tt2000"].to_numpy(), packets["step"].to_numpy()
    torn = soon & (np.diff(step) != 1)
    return np.unique(np.concatenate([time[:-1][stray | torn], time[1:][torn]]))


def _soon(time: Int64, step: Int64, stepper: Stepper) -> Mask:
    """Which intervals [n - 1] are shorter than the expected one over the gap factor; a fall of STEP is a new sweep."""
    passed = np.diff(stepper.stamp_us[step])
    expected_ns = np.where(np.diff(step) > 0, passed, passed + stepper.period_us) * US_NS
    return np.asarray(np.diff(time) * stepper.gap_factor < expected_ns, np.bool_)


def _one_of_each_in_order(block: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Packets in strict order of time, one of each identity and time, with the column `conflict`.

    Of packets with one identity, and then of those with one time, the first stays that is not flagged retransmitted and
    has the smallest identity (count first), file hash and offset; so the order of rows does not matter.
    """
    times = block["epoch_tt2000"].to_numpy()
    if (np.diff(times) > 0).all():
        return block.with_columns(conflict=pl.lit(value=False))
    again = (pl.col("quality_flag") & table.flag("retransmitted")).alias("again")
    keys = block.select(again, "epoch_tt2000", *table.identity, *ORIGIN).with_row_index("row")
    once = keys.sort("again", *table.identity, *ORIGIN).unique(table.identity, keep="first", maintain_order=True)
    once = once.with_columns(conflict=pl.len().over("epoch_tt2000") > 1)
    once = once.unique("epoch_tt2000", keep="first", maintain_order=True).sort("epoch_tt2000")
    return block[once["row"]].with_columns(once["conflict"])


def _split(packets: pl.DataFrame, stepper: Stepper) -> Sweeps:
    """A new sweep begins where STEP does not rise, or after a longer time than the steps passed over need.

    Also where it skips steps in less time than they need: then the packets are of two sessions.
    """
    if packets.is_empty():
        return Sweeps(packets, np.empty(0, np.int64), np.empty(0, np.int64))
    time, step = packets["epoch_tt2000"].to_numpy(), packets["step"].to_numpy()
    expected_ns = np.diff(stepper.stamp_us[step]) * US_NS
    begins = (np.diff(step) <= 0) | (np.diff(time) > stepper.gap_factor * expected_ns)
    begins |= _soon(time, step, stepper) & (np.diff(step) > 1)
    first = np.concatenate([[0], np.flatnonzero(begins) + 1])
    return Sweeps(packets, np.concatenate([[0], np.cumsum(begins)]), first)


def _hit(sweeps: Sweeps, strays: Int64) -> Mask:
    """Which sweeps a stray packet fell into: the one around it, or both that it lies between."""
    hit = np.zeros(len(sweeps), np.bool_)
    time = sweeps.packets["epoch_tt2000"].to_numpy()
    after_start = np.searchsorted(time[sweeps.first], strays, side="right") - 1
    after_end = np.searchsorted(time[sweeps.last], strays, side="left")
    # Within a sweep both are that sweep; before the first and after the last there is only one.
    hit[after_start[after_start >= 0]] = True
    hit[after_end[after_end < len(sweeps)]] = True
    return hit
