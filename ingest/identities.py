# SPDX-License-Identifier: Apache-2.0
"""Which packets have been received before: by sequence count and the identity fields of their definition."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lake.definitions import Table
from lake.packet_definitions import Packet
from lake.reading import data_files, open_table, stored_definition
from lake.store import Lake

UInt64 = NDArray[np.uint64]


def identities(packet: Packet, columns: Mapping[str, NDArray[np.generic]]) -> UInt64:
    """One 64-bit number for each packet; equal for equal packets, and else different but for about 1 in 2**64 pairs."""
    mixed = np.zeros(len(columns["sequence_count"]), np.uint64)
    for name in ("sequence_count", *packet.identity):
        mixed = _mix(mixed ^ np.asarray(columns[name]).astype(np.int64).view(np.uint64))
    return mixed


def _mix(values: UInt64) -> UInt64:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection in which every input bit moves all others."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


class Received:
    """Identities of the packets of one type received so far: of the lake, read day by day, and of this file.

    `unread` are hashes of this file and of those still to come: if an earlier run was killed, rows of theirs are there;
    they do not count, so that what is a repetition depends on the order of arrival alone. Nor do rows of a table that
    was made with another definition.
    """

    def __init__(self, lake: Lake, table: Table, packet: Packet, unread: AbstractSet[str], definition: str) -> None:
        self.lake, self.table, self.packet = lake, table, packet
        self.unread, self.definition = unread, definition
        self.days: set[date] = set()
        self.sorted: list[UInt64] = []

    def seen(self, columns: Mapping[str, NDArray[np.generic]], days: list[date]) -> NDArray[np.bool_]:
        """True for packets that had been received before, earlier ones of the same call included; notes all of them."""
        for day in days:
            self._load(day)
        new = identities(self.packet, columns)
        _, first = np.unique(new, return_index=True)
        before = np.ones(len(new), bool)
        before[first] = False
        for known in self.sorted:
            before |= _contains(known, new)
        self._note(np.sort(new[~before]))
        return before

    def _note(self, new: UInt64) -> None:
        self.sorted.append(new)
        if len(self.sorted) > 16:  # a search in each costs more than merging them now and then
            self.sorted = [np.sort(np.concatenate(self.sorted))]

    def _load(self, day: date) -> None:
        if day in self.days:
            return
        self.days.add(day)
        delta = open_table(self.lake, self.table)
        if delta is None or stored_definition(delta) != self.definition:
            return
        names = ["file_sha256", "sequence_count", *self.packet.identity]
        for path in data_files(delta, [day]):
            rows = pq.ParquetFile(path).read(columns=names)
            read = [sha256 for sha256 in rows["file_sha256"].unique().to_pylist() if sha256 not in self.unread]
            rows = rows.filter(pc.is_in(rows["file_sha256"], pa.array(read, pa.string())))
            self._note(np.sort(identities(self.packet, {name: rows[name].to_numpy() for name in names[1:]})))


def _contains(known: UInt64, values: UInt64) -> NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(known[at] == values)
