# SPDX-License-Identifier: Apache-2.0
"""Which packets have been received before: by day, sequence count and the identity fields of their definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest import arrow
from lake.definitions import Table
from lake.reading import data_files, open_parquet, open_table, stored_definition
from lake.store import Lake

EPOCH_DAY = date(1970, 1, 1)
Columns = Mapping[str, NDArray[np.generic]]
UInt64 = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_ROWS_AT_A_TIME = 1 << 17
_LONG_RUN = 1 << 20  # sorted numbers that are not merged any further: 8 MB, about what a processor's cache holds
_SLOTS_PER_NUMBER = 8  # of the filter; about one new number in ten is looked up in vain
_FIRST_SLOTS = 1 << 16
MOST_KEPT = 1 << 24  # numbers remembered besides those of the last file: 128 MB, a day of the busiest instrument


def identities(names: tuple[str, ...], columns: Columns) -> UInt64:
    """One 64-bit number for each packet or record, from the columns of these names.

    It is equal for equal ones, and else different but for about 1 in 2**64 pairs.
    """
    mixed = np.zeros(len(columns[names[0]]), np.uint64)
    for name in names:
        mixed = _mix(mixed ^ np.asarray(columns[name]).astype(np.int64).view(np.uint64))
    return mixed


def _mix(values: UInt64) -> UInt64:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection in which every input bit moves all others."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


class Numbers:
    """A growing set of well-mixed 64-bit numbers, asked and extended by many at a time at a flat cost for each.

    It holds sorted runs, and before them a filter of bits (B. H. Bloom 1970, with one hash): most numbers that are not
    in the set are told by one look at it, and the runs need not be merged into one. Ten bytes for each number.
    """

    def __init__(self) -> None:
        self.runs: list[UInt64] = []
        self.recent: list[UInt64] = []
        self.count = 0
        self.filter = np.zeros(_FIRST_SLOTS // 8, np.uint8)

    def __len__(self) -> int:
        return self.count

    def seen(self, new: UInt64) -> Mask:
        """True for numbers that are in the set, or earlier in `new`; all of them are in the set afterwards."""
        before = np.zeros(len(new), bool)
        suspects = np.flatnonzero(self._may_hold(new))
        before[suspects] = self._holds(new[suspects])
        ordered = np.sort(new if not before.any() else new[~before])
        if (ordered[1:] == ordered[:-1]).any():
            first = np.unique(new, return_index=True)[1]
            again = np.ones(len(new), bool)
            again[first] = False
            before |= again
            ordered = np.unique(ordered)
        self._add(ordered)
        return before

    def _may_hold(self, numbers: UInt64) -> Mask:
        byte, bit = self._slots(numbers)
        found: Mask = self.filter[byte] & bit != 0
        return found

    def _slots(self, numbers: UInt64) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Byte and bit of the filter for each number, from its lowest bits."""
        slot = numbers.view(np.int64) & (8 * len(self.filter) - 1)
        return slot >> 3, np.left_shift(1, slot & 7).astype(np.uint8)

    def _holds(self, numbers: UInt64) -> Mask:
        """True for numbers that are in one of the runs."""
        found = np.zeros(len(numbers), bool)
        left = np.argsort(numbers)  # a search in order stays in the cache
        for run in (*self.runs, *self.recent):
            known = contains(run, numbers[left])
            found[left[known]] = True
            left = left[~known]
        return found

    def _add(self, ordered: UInt64) -> None:
        """Note numbers that are not in the set; they are sorted and distinct."""
        if not len(ordered):
            return
        self.count += len(ordered)
        self.recent.append(ordered)
        recent = sum(len(run) for run in self.recent)
        if recent >= _LONG_RUN or len(self.recent) > 16:
            merged = np.sort(np.concatenate(self.recent))
            self.recent = [] if recent >= _LONG_RUN else [merged]
            self.runs += [merged] if recent >= _LONG_RUN else []
        if self.count * _SLOTS_PER_NUMBER > 8 * len(self.filter):
            self.filter = np.zeros(4 * len(self.filter), np.uint8)
            for run in (*self.runs, *self.recent):
                self._mark(run)
        else:
            self._mark(ordered)

    def _mark(self, numbers: UInt64) -> None:
        byte, bit = self._slots(numbers)
        np.bitwise_or.at(self.filter, byte, bit)


def contains(known: NDArray[Any], values: NDArray[Any]) -> Mask:
    """True for values that are among the known ones, which are sorted and at least one."""
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(known[at] == values)


class SourceRows(NamedTuple):
    """Packets or records of one type: the table that holds their rows, and the definition that it was made with."""

    table: Table
    definition: str


class Received:
    """Identities of the packets received so far: of the lake, read day by day, and of the files since.

    It is kept from file to file, so that a day that comes in many files is read once. A packet can only be the same as
    another of its table and day. Rows of a table that was made with another definition do not count, nor do those of
    `unread` files, the file at hand and those still to come: if an earlier run was killed, rows of theirs are in the
    lake, but what is a repetition depends on the order of arrival alone.
    """

    def __init__(self, lake: Lake, most_kept: int = MOST_KEPT) -> None:
        self.lake, self.most_kept = lake, most_kept
        self.unread: AbstractSet[str] = frozenset()
        self.days: dict[tuple[str, str, int], Numbers] = {}
        self.used: set[tuple[str, str, int]] = set()

    def start_file(self, unread: AbstractSet[str]) -> None:
        """Get ready for the next file; the rows of those before it are in the lake, so that days can be forgotten."""
        self.unread = unread
        kept = sum(len(numbers) for numbers in self.days.values())
        for day in [day for day in self.days if day not in self.used]:  # the one not used for longest first
            if kept <= self.most_kept:
                break
            kept -= len(self.days.pop(day))
        self.used = set()

    def seen(self, rows: SourceRows, columns: Columns, day: NDArray[np.int32]) -> Mask:
        """True for packets that had been received before, earlier ones of the same call included; notes all of them.

        `day` counts from 1970-01-01: one for each packet, or a single one for all.
        """
        new = identities(rows.table.identity, columns)
        if len(day) == 1:
            return self._of_day(rows, int(day[0])).seen(new)
        before = np.zeros(len(new), bool)
        for one in np.unique(day).tolist():
            chosen = day == one
            before[chosen] = self._of_day(rows, one).seen(new[chosen])
        return before

    def _of_day(self, rows: SourceRows, day: int) -> Numbers:
        """What is known of a day; the one used last stands last."""
        key = (rows.table.address, rows.definition, day)
        numbers = self.days.pop(key, None)
        if numbers is None:
            numbers = Numbers()
            for stored in self._stored(rows, EPOCH_DAY + timedelta(days=day)):
                numbers.seen(stored)
        self.days[key] = numbers
        self.used.add(key)
        return numbers

    def _stored(self, rows: SourceRows, day: date) -> Iterator[UInt64]:
        """Identities of the packets of a day that the lake holds."""
        delta = open_table(self.lake, rows.table)
        if delta is None or stored_definition(delta) != rows.definition:
            return
        unread = pa.array(sorted(self.unread), pa.string())
        names = list(rows.table.identity)
        for path in data_files(delta, [day]):
            with open_parquet(self.lake, path, read_dictionary=["file_sha256"]) as file:
                for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=["file_sha256", *names]):
                    counted = pc.invert(pc.is_in(batch["file_sha256"], unread))
                    columns = {name: arrow.values(batch[name].filter(counted)) for name in names}
                    yield identities(rows.table.identity, columns)
