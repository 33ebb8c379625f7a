# SPDX-License-Identifier: Apache-2.0
"""Values for fields of which only the definition is known: slow walks within the range that they may have.

A value depends on the seed, the field and its place in the run, and on nothing before it, so that a day may be made in
pieces of any length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.polynomial.polynomial import polyval

from lake.definitions import Calibration, Column, Instrument, Table
from lake.packet_definitions import Condition, PacketField

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.generic]

FEW_VALUES = 8  # a field with so many values or fewer jumps between them, others walk
WIDEST = 2**53  # a double holds every whole number up to it
PERIOD = 540  # of a walk, in packets
UNLIMITED = (-100.0, 100.0)  # for a float of which nothing is known


@dataclass(frozen=True)
class Reach:
    """The values that a field may have: `low` to `high`, or `only` some of them."""

    low: float
    high: float
    only: tuple[int, ...] = ()

    def within(self, low: float | None, high: float | None) -> Reach:
        """What is left between two bounds; the same as before if that is nothing."""
        first = self.low if low is None else max(self.low, low)
        last = self.high if high is None else min(self.high, high)
        return replace(self, low=first, high=last) if first <= last else self

    def among(self, values: tuple[int, ...]) -> Reach:
        """Only those of the values that it has; the same as before if it has none of them."""
        left = tuple(value for value in values if self.low <= value <= self.high)
        return replace(self, only=left) if left else self

    def where(self, condition: Condition) -> Reach:
        """What is left where a condition holds."""
        value = condition.value
        if condition.operator == "==":
            return Reach(value, value)
        if condition.operator == "!=":
            return self.without(value)
        step = 0 if "=" in condition.operator else 1
        return self.within(None, value - step) if "<" in condition.operator else self.within(value + step, None)

    def without(self, value: int) -> Reach:
        """All but one of the values, on the longer side of it."""
        if self.only:
            return self.among(tuple(other for other in self.only if other != value))
        if not self.low <= value <= self.high:
            return self
        return self.within(value + 1, None) if self.high - value >= value - self.low else self.within(None, value - 1)


def whole_numbers(bits: int, signed: bool) -> Reach:
    """The whole numbers of so many bits, as far as a double and a signed column hold them."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return Reach(max(low, -WIDEST), min(high, WIDEST))


def reach_of_field(instrument: Instrument, source: str, field: PacketField, day: date) -> Reach:
    """What a field of a packet may be: what its bits hold, is valid, and is calibrated on the day."""
    if field.kind == "float":
        reach = Reach(*UNLIMITED) if field.valid_min is None and field.valid_max is None else Reach(-1e6, 1e6)
    else:
        reach = whole_numbers(field.bits, field.kind == "int")
    return narrowed(instrument, source, field.name, reach.within(field.valid_min, field.valid_max), day)


def narrowed(instrument: Instrument, source: str, name: str, reach: Reach, day: date) -> Reach:
    """What is left of a reach where the tables made of a source convert it, and give what is valid and no alarm."""
    for table, column in _uses(instrument, source, name):
        good = _good(instrument, table, column)
        if not column.conversion:
            reach = reach.within(good.low, good.high)
            continue
        for calibration in _calibrations(instrument, table, column, day):
            reach = _calibrated(reach, calibration, (column.name, name), good)
    return reach


def _good(instrument: Instrument, table: Table, column: Column) -> Reach:
    """The valid range of a column, within its alarm limits."""
    good = Reach(*(column.valid or (-math.inf, math.inf)))
    for limit in instrument.limits:
        if (limit.table, limit.column) == (table.name, column.name):
            good = good.within(limit.low, limit.high)
    return good


def _uses(instrument: Instrument, source: str, name: str) -> Iterator[tuple[Table, Column]]:
    """Columns that hold a field of a source, or are made from it."""
    first = {table.name for table in instrument.l0_tables(source)}
    for table in instrument.tables:
        if table.name in first or first & set(table.inputs.values()):
            yield from ((table, column) for column in table.columns if (column.source or column.name) == name)


def _calibrations(instrument: Instrument, table: Table, column: Column, day: date) -> Iterator[Calibration]:
    for name in (*table.calibrations, *table.optional_calibrations):
        calibration = instrument.calibration(name, day)
        if calibration is not None and column.is_converted_by(name):
            yield calibration


def _calibrated(reach: Reach, calibration: Calibration, channels: tuple[str, str], good: Reach) -> Reach:
    """What is left of a reach where the curve of a channel holds and gives something good, or its states have names."""
    frame = calibration.frame
    found = [rows for channel in channels if len(rows := frame.filter(pl.col("channel") == channel))]
    if not found:
        return reach
    rows = found[0]
    if "label" in rows.columns:
        return reach.among(tuple(int(value) for value in rows["value"]))
    if "adc_min" in rows.columns:
        reach = reach.within(rows["adc_min"][0], rows["adc_max"][0])
        powers = [name for name in rows.columns if re.fullmatch(r"c\d+", name)]
        coefficients = [float(rows[name][0] or 0) for name in sorted(powers, key=lambda name: int(name[1:]))]
        return _giving(reach, good, lambda adc: np.asarray(polyval(adc, coefficients), np.float64))
    points = rows.select(pl.col("adc", "value").cast(pl.Float64)).sort("adc")
    reach = reach.within(points["adc"][0], points["adc"][-1])
    return _giving(reach, good, lambda adc: np.asarray(np.interp(adc, points["adc"], points["value"]), np.float64))


def _giving(reach: Reach, good: Reach, curve: Callable[[Floats], Floats]) -> Reach:
    """The longest stretch of a reach in which a curve gives something good, found by trial."""
    wide = np.geomspace(1, max(abs(reach.low), abs(reach.high), 2), 2000)
    tried = np.unique(np.concatenate([-wide, wide, [0.0], np.linspace(reach.low, reach.high, 2000)]))
    tried = tried[(tried >= reach.low) & (tried <= reach.high)]
    values = curve(tried)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (values >= good.low) & (values <= good.high), [0]])))
    stretches = [(tried[first], tried[stop - 1]) for first, stop in edges.reshape(-1, 2)]
    return reach.within(*max(stretches, key=lambda ends: ends[1] - ends[0])) if stretches else reach


# ---- numbers -------------------------------------------------------------------------------------------------------
def key_of(*words: object) -> int:
    """A number for a seed and the names of what it is for."""
    return crc32("/".join(map(str, words)).encode())


def uniform(key: int, index: Int64, items: int) -> Floats:
    """Numbers from 0 to below 1 [n, items]: the same for the same key and index (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        place = index.astype(np.uint64)[:, None] * np.uint64(items) + np.arange(items, dtype=np.uint64)
        state: npt.NDArray[Any] = (place + np.uint64(key) * np.uint64(0x632BE59BD9B4E019) + np.uint64(1)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = (state ^ (state >> np.uint64(31))) >> np.uint64(11)
    return np.asarray(state.astype(np.float64) * 2.0**-53, np.float64)


def whole(key: int, index: Int64, items: int, reach: Reach) -> Int64:
    """Whole numbers of a reach [n, items]."""
    if reach.only:
        chosen = (uniform(key, index, items) * len(reach.only)).astype(np.int64)
        return np.array(reach.only, np.int64)[chosen]
    low, high = math.ceil(reach.low), math.floor(reach.high)
    if high - low < FEW_VALUES:
        return np.asarray(low + np.floor(uniform(key, index, items) * (high - low + 1)), np.int64)
    return np.clip(np.round(numbers(key, index, items, reach)), low, high).astype(np.int64)


def numbers(key: int, index: Int64, items: int, reach: Reach) -> Floats:
    """Numbers within a reach [n, items]: a slow wave with a little noise, each item with its own phase."""
    phase = uniform(key + 1, np.zeros(1, np.int64), items)
    wave = np.sin(2 * np.pi * (index[:, None] / PERIOD + phase)) * 0.7
    noise = (2 * uniform(key, index, items) - 1) * 0.1
    middle, half = (reach.low + reach.high) / 2, (reach.high - reach.low) / 2
    return np.asarray(middle + half * (wave + noise), np.float64)


def letters(key: int, index: Int64, items: int) -> npt.NDArray[np.uint8]:
    """Capital letters A to Z as bytes [n, items]."""
    return (65 + np.floor(uniform(key, index, items) * 26)).astype(np.uint8)


def octets(key: int, index: Int64, items: int) -> npt.NDArray[np.uint8]:
    """Any bytes [n, items]."""
    return np.floor(uniform(key, index, items) * 256).astype(np.uint8)
