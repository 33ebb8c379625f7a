# SPDX-License-Identifier: Apache-2.0
"""Packets between markers: a prefix before each one, and perhaps a suffix behind it.

A prefix before a believable packet is left out of the stream that is scanned for packets, and so is the suffix behind
it, also a damaged one, if what lies on its other side is believed. Everything else stays in the stream and is judged
there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.ccsds import CHUNK_BYTES, Chunk, Reason, Stretch
from ingest.resync import HeaderTable, header_table
from ingest.transport.idle import with_idle
from ingest.transport.pieces import PieceScan, no_packets
from lake.packet_definitions import HEADER_BYTES, LONGEST_PACKET, Packet
from lake.source_definitions import Transport

Octets = NDArray[np.uint8]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Cut(NamedTuple):
    """Bytes to leave out: whether they are a marker as it should be, and whether no packet can go on behind them."""

    start: int
    stop: int
    whole: bool = True
    breaks: bool = False


class Run(NamedTuple):
    """Pieces of a file in the order of the stream, with the bytes of markers before each one; `ended`: no packet goes
    on behind them.
    """

    starts: Positions
    stops: Positions
    before: Positions
    ended: bool


def marker_chunks(
    path: Path, packets: tuple[Packet, ...], transport: Transport, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Chunk]:
    """Chunks of the good packets of a file that lie between markers; the markers are overhead."""
    if not path.stat().st_size:
        return
    data = np.asarray(np.memmap(path, np.uint8, "r"))
    types = with_idle(packets) if transport.idle else packets
    cutter = _Cutter(_Markers(data, header_table(types), transport))
    scan = PieceScan(data, packets, transport.idle)
    for start in range(0, len(data), chunk_bytes):
        runs, damaged = cutter.runs(start, min(start + chunk_bytes, len(data)))
        yield no_packets(damaged, 0)
        for run in runs:
            yield scan.feed(run.starts, run.stops, run.before)
            if run.ended:
                yield scan.end((Reason.TRUNCATED,), Reason.BAD_LENGTH, "the packet reaches beyond the next marker")
    yield scan.end()
    yield scan.finish()
    yield no_packets((), cutter.stream.passed)


@dataclass(frozen=True)
class _Found:
    """Places of a prefix, where the packet behind each one would begin and end, and what speaks for it.

    `linked`: behind the packet and its suffix there is another prefix, or the end of the file. `known`: the header is
    one of a known type. `suffixed`: the suffix is there.
    """

    at: Positions
    starts: Positions
    stops: Positions
    linked: Mask
    known: Mask
    suffixed: Mask

    def those(self, chosen: Mask) -> _Found:
        """Some of them."""
        at, starts, stops = self.at[chosen], self.starts[chosen], self.stops[chosen]
        return _Found(at, starts, stops, self.linked[chosen], self.known[chosen], self.suffixed[chosen])

    def rows(self) -> list[tuple[int, int, int, bool, bool, bool]]:
        """All columns of one after the other."""
        columns = (self.at, self.starts, self.stops, self.linked, self.known, self.suffixed)
        return list(zip(*(column.tolist() for column in columns), strict=True))


class _Markers:
    """Where the prefix is in a file, and what follows."""

    def __init__(self, data: Octets, table: HeaderTable, transport: Transport) -> None:
        self.data, self.table = data, table
        self.prefix, self.suffix = (
            np.frombuffer(bytes.fromhex(text), np.uint8) for text in (transport.prefix, transport.suffix)
        )

    def find(self, start: int, stop: int) -> _Found:
        """The prefixes that begin in [start, stop) before a header that may be one.

        A packet is not linked if another one of a known type lies in it and ends where it ends: then its length is
        wrong by chance so that it leads to a prefix.
        """
        at = self._places(start, stop + LONGEST_PACKET)
        found = self._judged(at, at + len(self.prefix))
        ends, which = np.unique(found.stops, return_inverse=True)
        last = np.zeros(len(ends), np.int64)
        np.maximum.at(last, which[found.known], found.at[found.known])
        return replace(found, linked=found.linked & (last[which] <= found.at)).those(found.at < stop)

    def regular(self, found: _Found) -> Mask:
        """True where all is as it should be, and the next prefix comes at once."""
        behind = found.stops + len(self.suffix)
        regular = found.linked & (found.suffixed if len(self.suffix) else True)
        regular &= behind == np.append(found.at[1:], -1)[: len(behind)]
        return regular

    def without_prefix(self, at: int) -> _Found:
        """Linked packets of known types behind a prefix that should be at a place, but is damaged or shorter."""
        starts = np.arange(at, at + len(self.prefix) + 1)[::-1]
        starts = starts[(starts + HEADER_BYTES <= len(self.data)) & ~self._stands(self.prefix, np.array([at]))]
        found = self._judged(starts, starts)
        return found.those(found.linked & found.known)

    def _judged(self, at: Positions, starts: Positions) -> _Found:
        """What is at places where a packet should begin; those without a believable header are left out."""
        words, lengths = self._words(starts), self._words(starts + 4) + 7
        stops = starts + lengths
        behind = stops + len(self.suffix)
        linked = (behind == len(self.data)) | self._stands(self.prefix, behind)
        known, suffixed = self.table.kinds[words] >= 0, self._stands(self.suffix, stops)
        plausible = (lengths >= self.table.shortest[words]) & (lengths <= self.table.longest[words])
        return _Found(at, starts, stops, linked, known, suffixed).those(plausible)

    def _places(self, start: int, stop: int) -> Positions:
        behind = max(len(self.data) - len(self.prefix) - HEADER_BYTES + 1, 0)  # no header fits from there on
        at = np.flatnonzero(self.data[start : min(stop, behind)] == self.prefix[0]) + start
        return at[self._stands(self.prefix, at)]

    def _words(self, at: Positions) -> Positions:
        return self.data[at].astype(np.int64) << 8 | self.data[at + 1]

    def _stands(self, marker: Octets, at: Positions) -> Mask:
        """True where these bytes stand."""
        there = at + len(marker) <= len(self.data)
        for index, octet in enumerate(marker.tolist()):
            there[there] = self.data[at[there] + index] == octet
        return there


class _Stream:
    """What is left of a file, piece by piece, when markers are cut out of it."""

    def __init__(self) -> None:
        self.position = 0  # where the next piece begins
        self.passed = 0  # bytes of markers since the last piece
        self.junk: list[Stretch] = []
        self.runs: list[Run] = []
        self.rows: list[Positions] = []

    def cut(self, cut: Cut) -> None:
        """Leave out some bytes behind all that were left out before."""
        if cut.start > self.position:
            self.rows.append(np.array([[self.position, cut.start, self.passed]], np.int64))
            self.passed = 0
        if cut.breaks:
            self.end_run(ended=True)
        if not cut.whole:
            detail = "no marker where one should be"
            self.junk.append(Stretch(cut.start, cut.stop - cut.start, Reason.JUNK, detail))
        self.position, self.passed = cut.stop, self.passed + (cut.stop - cut.start if cut.whole else 0)

    def keep(self, starts: Positions, stops: Positions) -> None:
        """Pieces with nothing but whole markers between them; the first one begins where the last cut ended."""
        before = starts - np.append(starts[0] - self.passed, stops[:-1])
        self.rows.append(np.stack([starts, stops, before], axis=1))
        self.position, self.passed = int(stops[-1]), 0

    def end_run(self, ended: bool) -> None:
        """No packet goes on behind the pieces so far if they `ended`."""
        starts, stops, before = np.concatenate([np.empty((0, 3), np.int64), *self.rows]).T
        self.rows = []
        self.runs.append(Run(starts, stops, before, ended))


class _Cutter:
    """Cuts the markers out of a file, range by range."""

    def __init__(self, markers: _Markers) -> None:
        self.markers, self.stream = markers, _Stream()
        self.covered = 0  # up to here a packet is believed to reach: what looks like a prefix in it is none
        self.trusted = True  # the next packet, with its prefix, should begin there
        self.suffix: Cut | None = None  # of the last packet, if nothing begins before it

    def runs(self, start: int, stop: int) -> tuple[list[Run], tuple[Stretch, ...]]:
        """The file up to about `stop` without markers, and the damaged markers that were cut out."""
        stream, found = self.stream, self.markers.find(start, stop)
        self._cut_all(found)
        self._without_prefix(stop)
        self._end_before(stop)
        limit = min(stop, self.suffix.start) if self.suffix else stop
        if limit > stream.position:
            stream.cut(Cut(limit, limit))
        stream.end_run(ended=False)
        runs, junk = stream.runs, tuple(stream.junk)
        stream.runs, stream.junk = [], []
        return runs, junk

    def _cut_all(self, found: _Found) -> None:
        """Cut all prefixes that were found, and the suffixes behind their packets."""
        ends = np.append(np.flatnonzero(~self.markers.regular(found)), len(found.at))
        rows, index = found.rows(), 0
        while index < len(rows):
            self._prefix(*rows[index])
            index += 1
            # Where all is as it should be, there is no need to look at each packet.
            end = int(ends[np.searchsorted(ends, index)])
            if end - index > 1 and self.trusted and self.covered == found.at[index]:
                self._prefix(*rows[index])
                self.stream.keep(found.starts[index:end], found.stops[index:end])
                self.covered = int(found.stops[end - 1]) + len(self.markers.suffix)
                self._suffix_at(int(found.stops[end - 1]), whole=True)
                index = end

    def _prefix(self, at: int, begin: int, end: int, linked: bool, known: bool, suffixed: bool) -> None:
        """Cut a prefix if there is no doubt about it."""
        self._without_prefix(at)
        behind = end + len(self.markers.suffix)
        if at < self.covered or not (linked or known):
            return
        trusted = linked or self._packet_at(behind) is not None
        self._end_before(at)
        self.stream.cut(Cut(at, begin, breaks=not self.trusted))
        self.suffix = None
        if suffixed or trusted:
            self._suffix_at(end, suffixed)
        self.covered, self.trusted = behind if trusted else begin, trusted

    def _without_prefix(self, stop: int) -> None:
        """Packets whose prefix is damaged or lost, behind one another, as far as they begin before `stop`."""
        while self.trusted and self.covered < stop:
            packet = self._packet_at(self.covered)
            if packet is None:
                self.trusted = False
                return
            begin, end, suffixed = packet
            self._end_before(begin)
            if begin > self.covered:
                self.stream.cut(Cut(self.covered, begin, whole=False))
            self.covered = end + len(self.markers.suffix)
            self._suffix_at(end, suffixed)

    def _packet_at(self, at: int) -> tuple[int, int, bool] | None:
        """Beginning and end of the packet at a place where its prefix is not whole, and whether it has its suffix."""
        found = self.markers.without_prefix(at)
        if not len(found.at):
            return None
        return int(found.starts[0]), int(found.stops[0]), bool(found.suffixed[0])

    def _suffix_at(self, end: int, whole: bool) -> None:
        behind = end + len(self.markers.suffix)
        self.suffix = Cut(end, behind, whole) if behind > end else None

    def _end_before(self, at: int) -> None:
        """Cut the suffix of the last packet, if it ends before the next one begins."""
        if self.suffix and self.suffix.stop <= at:
            self.stream.cut(self.suffix)
            self.suffix = None
