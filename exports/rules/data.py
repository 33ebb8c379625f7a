# SPDX-License-Identifier: Apache-2.0
"""Rules about values: V23 about times and V27 about all others; F06, because reading them shows that they can be read.

Values are read in pieces, so that a file of any size is judged in the same memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from exports.cdf.reader import CdfReader, VariableInfo
from exports.rules.attributes import FLOATS, epochs, is_text, is_time, numbers_of, plain_type, role, text_of
from exports.rules.nouns import Findings, error, warning

Values = np.ndarray[Any, np.dtype[Any]]

PIECE_BYTES = 4 << 20  # read at a time; large enough for several blocks, small enough for a processor's cache of today
LARGE_BLOCK_BYTES = 32 << 20  # a larger one is unpacked once, and read in parts of a piece
SEARCHED = ("data", "support_data")
FLAG = "Set such values to fill, or correct the range in tables.yaml"


def pieces(file: CdfReader, variable: VariableInfo) -> Iterator[tuple[int, Values]]:
    """Number of the first record, and records, of whole blocks as far as they fit into a piece."""
    step = max(1, PIECE_BYTES // max(1, variable.record_bytes))
    block = max(1, variable.block_records if variable.compression else 1)
    if block * variable.record_bytes <= LARGE_BLOCK_BYTES:
        step = max(block, step // block * block)
    for start in range(0, variable.records, step):
        yield start, file.values(variable.name, start, start + step)


def values(file: CdfReader) -> Findings:
    """V27, F06: all numbers but epochs are in their range; texts are read, too."""
    times = {epoch.name for epoch in epochs(file)}
    for variable in file.variables.values():
        if variable.name in times:
            continue
        if is_text(variable) or variable.type == "CDF_EPOCH16" or role(variable) not in SEARCHED:
            for _ in pieces(file, variable):
                pass
        else:
            yield from _out_of_range(file, variable)


@dataclass(frozen=True)
class Summary:
    """All values of a variable: how many are the fill value, smallest and largest of the others (None without any), and
    how many are not valid, with record and value of the first of these."""

    fills: int = 0
    low: float | None = None
    high: float | None = None
    bad: int = 0
    nan: int = 0
    first: int = -1
    shown: str = ""

    def and_then(self, other: Summary) -> Summary:
        """Of these values and of those that follow them."""
        lows, highs = ([v for v in pair if v is not None] for pair in ((self.low, other.low), (self.high, other.high)))
        first, shown = (self.first, self.shown) if self.bad else (other.first, other.shown)
        low, high = min(lows, default=None), max(highs, default=None)
        return Summary(self.fills + other.fills, low, high, self.bad + other.bad, self.nan + other.nan, first, shown)


# Of files that are open: values are read once, for the rules about them and for the comparison with their table.
_known: WeakKeyDictionary[CdfReader, dict[str, Summary]] = WeakKeyDictionary()


def summary(file: CdfReader, variable: VariableInfo) -> Summary:
    """What is to be known of all values of a numeric variable that is not CDF_EPOCH16."""
    known = _known.setdefault(file, {})
    if variable.name not in known:
        low, high = (_limit(variable, name) for name in ("VALIDMIN", "VALIDMAX"))
        found = Summary()
        for start, rows in pieces(file, variable):
            found = found.and_then(_summarized(variable, start, rows, low, high))
        known[variable.name] = found
    return known[variable.name]


def _summarized(variable: VariableInfo, start: int, rows: Values, low: Values | None, high: Values | None) -> Summary:
    if not rows.size:
        return Summary()
    smallest, largest = rows.min(), rows.max()
    fill = _fill(variable, rows.dtype)
    # Most pieces have neither fill values nor wrong ones, and need no mask.
    if _all_within(smallest, largest, low, high) and (fill is None or not smallest <= fill <= largest):
        return Summary(low=smallest.item(), high=largest.item())
    is_fill = np.zeros(rows.shape, np.bool_) if fill is None else np.isnan(rows) if fill != fill else rows == fill  # noqa: PLR0124
    bad = ~is_fill & _bad(rows, low, high)
    others = rows[~is_fill & np.isfinite(rows)]
    first = int(bad.reshape(len(bad), -1).any(axis=1).argmax())
    return Summary(
        fills=int(is_fill.sum()),
        low=others.min().item() if others.size else None,
        high=others.max().item() if others.size else None,
        bad=int(bad.sum()),
        nan=int(np.isnan(rows[bad]).sum()),
        first=start + first,
        shown=str(rows[bad].ravel()[0]) if bad.any() else "",
    )


def _fill(variable: VariableInfo, dtype: np.dtype[Any]) -> Any:
    """The fill value as numpy compares it with values; None without one."""
    fill = next(iter(numbers_of(variable, "FILLVAL")), None)
    with np.errstate(over="ignore"):
        return dtype.type(fill) if fill is not None and variable.type in FLOATS else fill


def _out_of_range(file: CdfReader, variable: VariableInfo) -> Findings:
    found = summary(file, variable)
    if found.bad:
        low, high = (_told(_limit(variable, name)) for name in ("VALIDMIN", "VALIDMAX"))
        wrong = "are NaN" if found.nan == found.bad else f"are not within {low} to {high}"
        some = f", {found.nan} of them NaN" if 0 < found.nan < found.bad else ""
        what = f"{found.bad} values {wrong}{some}, first {found.shown} in record {found.first}"
        yield error("V27", variable.name, what, FLAG)


def _limit(variable: VariableInfo, name: str) -> Values | None:
    """A limit that numpy compares cell by cell; None if the file has none that fits: V07 and V22 are about those."""
    entry = variable.attributes.get(name)
    if entry is None or isinstance(entry.value, str) or plain_type(entry.type) != plain_type(variable.type):
        return None
    # A limit of the values' own type, or numpy would make all of them larger to compare.
    limits = np.array(entry.value, dtype=variable.dtype)
    if len(limits) == 1:
        return np.asarray(limits[0])
    axis = next((i for i in reversed(range(len(variable.dims))) if variable.dims[i] == len(limits)), None)
    return None if axis is None else limits.reshape(-1, *(1 for _ in variable.dims[axis + 1 :]))


def _told(limit: Values | None) -> str:
    return "any" if limit is None else str(limit)


def _all_within(smallest: Any, largest: Any, low: Values | None, high: Values | None) -> bool:
    """True if no value can be bad, even if it were no fill; NaN is not within."""
    floor = smallest if low is None else np.max(low)
    ceiling = largest if high is None else np.min(high)
    return bool(np.isfinite(smallest) and np.isfinite(largest) and floor <= smallest and largest <= ceiling)


def _bad(rows: Values, low: Values | None, high: Values | None) -> Values:
    """Where values are not finite, or out of the range."""
    good = np.isfinite(rows)
    if low is not None:
        good &= rows >= low
    if high is not None:
        good &= rows <= high
    return ~good


def times(file: CdfReader) -> Findings:
    """V23: epochs as values."""
    for epoch in epochs(file):
        if epoch.type != "CDF_EPOCH16" and not epoch.dims:
            yield from _in_order(file, epoch)


# What may be wrong with the times of an epoch, by how it is told.
CASES = {
    "fill": (error, "are fill values", "Leave out records without a time"),
    "back": (error, "are out of order, against MONOTON", "Sort the records"),
    "equal": (warning, "repeat the one before", "Right for lists of events; else remove what came twice"),
}


def _in_order(file: CdfReader, epoch: VariableInfo) -> Findings:
    counts, firsts = dict.fromkeys(CASES, 0), dict.fromkeys(CASES, -1)
    last: Values | None = None
    for start, rows in pieces(file, epoch):
        for case, mask in _masks(epoch, rows, last).items():
            if mask.any():
                firsts[case] = firsts[case] if counts[case] else start + int(mask.argmax())
                counts[case] += int(mask.sum())
        last = rows[-1:]
    for case, (finding, what, remedy) in CASES.items():
        if counts[case]:
            yield finding("V23", epoch.name, f"{counts[case]} times {what}, first in record {firsts[case]}", remedy)


def repeats(file: CdfReader, epoch: VariableInfo) -> int:
    """How often a time is that of the record before."""
    count, last = 0, None
    for _, rows in pieces(file, epoch):
        count += int(_masks(epoch, rows, last)["equal"].sum())
        last = rows[-1:]
    return count


def _masks(epoch: VariableInfo, rows: Values, last: Values | None) -> dict[str, Values]:
    """Where times are wrong; `last` is the time before them, if there is one."""
    fill = next(iter(numbers_of(epoch, "FILLVAL")), None)
    earlier = np.concatenate((rows[:1] if last is None else last, rows[:-1]))
    equal = rows == earlier
    equal[0] &= last is not None
    back = rows > earlier if text_of(epoch, "MONOTON") == "DECREASE" else rows < earlier
    return {"fill": rows == fill, "back": back, "equal": equal}


def out_of_range_of_epochs(file: CdfReader) -> Findings:
    """V27: epochs are within their valid range, fill apart, which V23 is about."""
    for epoch in epochs(file):
        if is_time(epoch) and epoch.type != "CDF_EPOCH16":
            yield from _out_of_range(file, epoch)


CHECKS = (values, times, out_of_range_of_epochs)
