# SPDX-License-Identifier: Apache-2.0
"""Labelled faults for the benchmark of anomalies: where they are, how large, and what they do to the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from bench.anomalies_days import SCIENCE, STATES, House, Rows, pattern
from lake.clock import DAY_S, NS
from quality.anomalies.series import Bool

KINDS = ("spike", "step", "drift", "stuck", "noise", "gap", "saturation", "mode slip")
SMALLEST, LARGEST = 3.0, 30.0  # sigma
OF_SCIENCE = ("stuck", "saturation")  # what is told of channels that have no usual level
SHORT_S = 20  # two rows: fewer than an alert needs, whatever their size
UNSIZED = ("stuck", "gap")  # a frozen channel or a hole in time has no size in sigma
MARGIN_S = 5400  # between two faults of one channel: less would be one trouble
SLIP_SHARE = 0.5  # of mode slips that are those of a setting; the others move a channel's pattern by half an orbit


@dataclass(frozen=True)
class Fault:
    """One injected fault: kind, channel ('' for all), Unix seconds of its start and stop, size in sigma, sign."""

    kind: str
    column: str
    start: float
    stop: float
    size: float
    sign: float = 1.0

    @property
    def short(self) -> bool:
        """True for a spike of so few rows that nobody is to be woken; it is recorded."""
        return self.kind == "spike" and self.stop - self.start <= SHORT_S

    @property
    def begins(self) -> datetime:
        """UTC of the start."""
        return datetime.fromtimestamp(self.start, UTC)

    @property
    def ends(self) -> datetime:
        """UTC of the stop."""
        return datetime.fromtimestamp(self.stop, UTC)


def midnight(day: date) -> float:
    """Unix seconds of a day's start."""
    return float((day - date(1970, 1, 1)).days * DAY_S)


class Places:
    """Where faults may still be put: not on clean days, not near another one of the same channel."""

    def __init__(self, random: np.random.Generator, blocks: Sequence[tuple[date, date]]) -> None:
        self.random, self.blocks = random, blocks
        self.taken: list[tuple[str, float, float]] = []

    def place(
        self, columns: Sequence[str], seconds: Callable[[], float], whole_days: bool = False
    ) -> tuple[str, float, float] | None:
        """A column with start and stop of a fault in it; None if no place was found."""
        for _ in range(400):
            column = str(self.random.choice(columns))
            first, last = self.blocks[int(self.random.integers(len(self.blocks)))]
            length, low, high = seconds(), midnight(first), midnight(last + timedelta(days=1))
            edge = 0 if whole_days else 600  # a fault begins and ends on the days of its block
            if high - length - edge < low + edge:
                continue
            start = self.random.uniform(low + edge, high - length - edge)
            start = math.floor((start - low) / DAY_S) * DAY_S + low if whole_days else start
            if self._free(column, start, start + length):
                self.taken.append((column, start, start + length))
                return column, start, start + length
        return None

    def _free(self, column: str, start: float, stop: float) -> bool:
        return not any(
            start < end + MARGIN_S and begin < stop + MARGIN_S
            for other, begin, end in self.taken
            if other == column or (stop - start < DAY_S and end - begin < DAY_S and "" in (column, other))
        )


def draw(house: House, seed: int, blocks: Sequence[tuple[date, date]], number: int) -> list[Fault]:
    """As many faults, of all kinds in turn; the same seed gives the same ones. Drifts take days, so they come first."""
    random = np.random.default_rng((seed, 99))
    places = Places(random, blocks)
    kinds = [KINDS[i % len(KINDS)] for i in range(number)]
    order = sorted(kinds, key=lambda kind: (kind != "drift", kind != "gap"))
    found: list[Fault] = []
    drifts = 0
    for drawn in order:
        # More drifts would not leave the channels any day without one.
        kind = "step" if drawn == "drift" and drifts >= number // 2 // len(KINDS) + 1 else drawn
        fault = _draw(house, places, random, kind)
        if fault is not None:
            drifts += kind == "drift"
            found.append(fault)
    return sorted(found, key=lambda fault: (fault.start, fault.column))


def _draw(house: House, places: Places, random: np.random.Generator, kind: str) -> Fault | None:
    size = float(np.exp(random.uniform(math.log(SMALLEST), math.log(LARGEST))))
    sign = float(random.choice([-1.0, 1.0]))
    columns = [c for c in sorted(house.sigmas) if kind in OF_SCIENCE or c not in SCIENCE]
    setting = kind == "mode slip" and random.random() < SLIP_SHARE
    if setting:
        columns = list(STATES)
    elif kind == "mode slip":
        columns = [column for column in columns if 2 * house.swing(column) > SMALLEST]
    place = places.place([""] if kind == "gap" else columns, lambda: _seconds(kind, random), kind == "drift")
    if place is None:
        return None
    column, start, stop = place
    if kind == "mode slip":
        size = LARGEST if setting else 2 * house.swing(column)
    upward = kind == "saturation" or column == "hit_rate"  # counts cannot fall below zero
    return Fault(kind, column, start, stop, size, 1.0 if upward else sign)


def _seconds(kind: str, random: np.random.Generator) -> float:
    if kind == "spike":
        return float(random.choice([10.0, 20.0, 30.0, 40.0, 60.0]))
    if kind == "drift":
        return float(random.integers(4, 9)) * DAY_S - 60
    if kind == "gap":
        return float(random.uniform(900, 6 * 3600))
    return float(random.uniform(1200, 3 * 3600))


def inject(house: House, rows: Rows, faults: Sequence[Fault], random: np.random.Generator) -> None:
    """Put the faults into a day's rows."""
    unix = rows.unix_ns / NS
    for fault in faults:
        here = (unix >= fault.start) & (unix < fault.stop)
        if here.any():
            _inject(house, rows, fault, here, random)


def _inject(house: House, rows: Rows, fault: Fault, here: Bool, random: np.random.Generator) -> None:
    if fault.kind == "gap":
        rows.kept &= ~here
        return
    values = rows.values[fault.column]
    if fault.column in STATES:
        values[here] = 4096.0
        return
    away = fault.sign * fault.size * house.sigmas[fault.column]
    unix = rows.unix_ns[here] / NS
    if fault.kind in ("spike", "step"):
        values[here] += away
    elif fault.kind == "drift":
        values[here] += away * (unix - fault.start) / (fault.stop - fault.start)
    elif fault.kind == "stuck":
        values[here] = values[here][0]
    elif fault.kind == "noise":
        values[here] += abs(away) * random.standard_normal(here.sum())
    elif fault.kind == "saturation":
        values[here] = pattern(house, fault.column, np.linspace(0, 1, 100)).max() + away
    else:
        usual = pattern(house, fault.column, rows.phase[here])
        values[here] += pattern(house, fault.column, rows.phase[here] + 0.5) - usual
