# SPDX-License-Identifier: Apache-2.0
"""EEA sweeps put together from packets, each placed by its own STEP, whatever is lost, repeated or swapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import calibration_rows
from transforms.rows import ORIGIN, time_blocks

Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

US_NS = 1000
SCIENCE = 1  # SHEID of packets that belong to a sweep; 0 is "integrate"


@dataclass(frozen=True)
class Stepper:
    """The stepper table by STEP: `cell` is energy * deflections + deflection, or -1; dwell and stamp are in us.

    `stamp_us` is when a step's packet is stamped, counted from the stamp of step 0.
    """

    cell: Int64
    dwell_us: Int64
    stamp_us: Int64
    period_us: int
    gap_factor: float

    @property
    def longest_ns(self) -> int:
        """The longest time from the first packet of a sweep to its last that the gap rule allows."""
        return int(self.gap_factor * self.period_us * US_NS)


def named_values(calibration: Calibration) -> dict[str, float]:
    """The values of a calibration of rows name, value. Raises CalibrationError if a name is there twice."""
    rows = calibration_rows(calibration, key=("name",), numbers=("value",))
    return {name: float(value) for name, value in rows.select("name", "value").iter_rows()}


def named_value(calibration: Calibration, name: str) -> float:
    """One value of a calibration of rows name, value. Raises CalibrationError if it is not there."""
    values = named_values(calibration)
    if name not in values:
        raise CalibrationError(f"{calibration.path}: has no row {name}. Add it.")
    return values[name]


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
    overhead, once = named_value(readout, "step_overhead"), named_value(readout, "sweep_overhead")
    interval = dwell + int(overhead)
    stamp = np.cumsum(interval) - interval[0]
    return Stepper(cell, dwell, stamp, int(interval.sum() + once), named_value(readout, "gap_factor"))


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

    def __len__(self) -> int:
        return len(self.first)


def sweeps_in_blocks(
    packets: pl.LazyFrame, table: Table, stepper: Stepper, seconds: float
) -> Iterator[tuple[Sweeps, Mask]]:
    """All sweeps in stretches of about so many seconds, and which of them a packet of unknown STEP fell into.

    A sweep that is not finished at the end of a stretch waits for the next, so the result does not depend on how long
    a stretch is. `packets` may hold any SHEID, in any order; a packet that is there twice counts once.
    """
    science = packets.filter(pl.col("sheid") == SCIENCE)
    waiting, stray = pl.DataFrame(), np.empty(0, np.int64)
    for block in time_blocks(science, seconds):
        ordered = _one_of_each_in_order(block, table)
        known = ordered.filter(pl.col("step") < len(stepper.cell))
        lost = ordered.filter(pl.col("step") >= len(stepper.cell))["epoch_tt2000"].to_numpy()
        sweeps = _split(pl.concat([waiting, known]) if waiting.height else known, stepper)
        stray = np.concatenate([stray, lost])
        if not len(sweeps):
            continue
        last = int(sweeps.first[-1])
        done = _split(sweeps.packets[:last], stepper)
        if len(done):
            yield done, _hit(done, stray, stepper, int(sweeps.packets["epoch_tt2000"][last]))
        waiting = sweeps.packets[last:]
        start = int(waiting["epoch_tt2000"][0])
        stray = stray[(stray >= start) & (stray < start + stepper.longest_ns)]
    if waiting.height:
        rest = _split(waiting, stepper)
        yield rest, _hit(rest, stray, stepper, None)


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
    """A new sweep begins where STEP does not rise, or after a longer time than the steps passed over need."""
    if packets.is_empty():
        return Sweeps(packets, np.empty(0, np.int64), np.empty(0, np.int64))
    time, step = packets["epoch_tt2000"].to_numpy(), packets["step"].to_numpy()
    expected_ns = np.diff(stepper.stamp_us[step]) * US_NS
    begins = (np.diff(step) <= 0) | (np.diff(time) > stepper.gap_factor * expected_ns)
    first = np.concatenate([[0], np.flatnonzero(begins) + 1])
    return Sweeps(packets, np.concatenate([[0], np.cumsum(begins)]), first)


def _hit(sweeps: Sweeps, stray: Int64, stepper: Stepper, until: int | None) -> Mask:
    """Which sweeps a packet of unknown step fell into: the one that began last before it, if not too long ago."""
    hit = np.zeros(len(sweeps), np.bool_)
    starts = sweeps.packets["epoch_tt2000"].to_numpy()[sweeps.first]
    here = stray[(stray >= starts[0]) & ((stray < until) if until is not None else True)]
    which = np.searchsorted(starts, here, side="right") - 1
    hit[which[here - starts[which] < stepper.longest_ns]] = True
    return hit
