# SPDX-License-Identifier: Apache-2.0
"""Packets in pieces of a file: the pieces are scanned as if one followed the other, and what is found is told by its
place in the file.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ingest.bits import join
from ingest.ccsds import Chunk, PacketScan, Reason, Stretch
from ingest.transport.idle import with_idle, without_idle
from ingest.transport.segments import SegmentJoiner
from lake.packet_definitions import Packet

Octets = NDArray[np.uint8]
Positions = NDArray[np.int64]
NONE = np.empty(0, np.int64)


def no_packets(stretches: tuple[Stretch, ...], overhead: int) -> Chunk:
    """A chunk of stretches and overhead only."""
    return Chunk(0, np.empty(0, np.uint8), NONE, NONE, np.empty(0, np.int16), stretches, NONE, overhead)


class PieceScan:
    """A scan for packets in pieces of `data`, the bytes of a file, which are handed over in the order of the stream.

    Of each piece it is known how many bytes just before it are overhead. A stretch over several pieces takes in the
    overhead between them if they touch but for that; else it is told in as many parts as there are pieces.
    """

    def __init__(self, data: Octets, packets: tuple[Packet, ...], idle: bool) -> None:
        self.data, self.types = data, len(packets)
        packets = with_idle(packets) if idle else packets
        self.scan, self.joiner = PacketScan(packets), SegmentJoiner(packets)
        self.fed = 0
        self.at, self.places, self.before = NONE, NONE, NONE  # of the pieces: in the stream, in the file, overhead

    def feed(self, starts: Positions, stops: Positions, before: Positions) -> Chunk:
        """What these pieces complete; none of them is empty."""
        sizes = stops - starts
        self.at = np.append(self.at, self.fed + np.cumsum(sizes) - sizes)
        self.places, self.before = np.append(self.places, starts), np.append(self.before, before)
        self.fed += int(sizes.sum())
        return self._told(self.scan.feed(join(self.data, starts, stops).tobytes(), last=False))

    def end(self, ends: tuple[Reason, ...] = (), reason: Reason = Reason.TRUNCATED, detail: str = "") -> Chunk:
        """What is found if no packet goes on; a last stretch for one of the reasons `ends` is told with another one."""
        chunk = self.scan.feed(b"", last=True)
        last = chunk.stretches[-1] if chunk.stretches else None
        if last is not None and last.offset + last.length == self.fed and last.reason in ends:
            last = replace(last, reason=reason, detail=detail)
            chunk = replace(chunk, stretches=(*chunk.stretches[:-1], last))
        return self._told(chunk)

    def finish(self) -> Chunk:
        """What is left when the stream has ended: parts of packets that never came to an end."""
        stretches = self._in_file(self.joiner.finish())
        return no_packets(stretches, self._passed())

    def _told(self, chunk: Chunk) -> Chunk:
        chunk = self.joiner.join(without_idle(chunk, self.types))
        places, stretches = self._place(chunk.at), self._in_file(chunk.stretches)
        return replace(chunk, base=0, places=places, stretches=stretches, overhead=chunk.overhead + self._passed())

    def _place(self, at: Positions) -> Positions:
        """Offsets in the file of places in the stream."""
        piece = np.searchsorted(self.at, at, side="right") - 1
        return self.places[piece] + at - self.at[piece] if len(at) else at

    def _in_file(self, stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
        return tuple(part for stretch in stretches for part in self._parts(stretch))

    def _parts(self, stretch: Stretch) -> list[Stretch]:
        """A stretch of the stream as stretches of the file; the overhead that they take in is none any more."""
        start, stop = stretch.offset, stretch.offset + stretch.length
        first, behind = int(np.searchsorted(self.at, start, "right")), int(np.searchsorted(self.at, stop, "left"))
        edges = np.concatenate([[start], self.at[first:behind], [stop]])
        begins = self._place(edges[:-1])
        ends = begins + np.diff(edges)
        touching = begins[1:] - self.before[first:behind] == ends[:-1]
        self.before[first:behind][touching] = 0
        begins, ends = begins[np.append(True, ~touching)], ends[np.append(~touching, True)]
        return [
            replace(stretch, offset=begin, length=end - begin, packets=0 if index else stretch.packets)
            for index, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True))
        ]

    def _passed(self) -> int:
        """Forget the pieces of which everything has been told; the overhead before them."""
        told = self.scan.open_from if self.joiner.open_from is None else min(self.scan.open_from, self.joiner.open_from)
        done = len(self.at) if told >= self.fed else max(int(np.searchsorted(self.at, told, side="right")) - 1, 0)
        overhead = int(self.before[:done].sum())
        self.at, self.places, self.before = self.at[done:], self.places[done:], self.before[done:]
        return overhead
