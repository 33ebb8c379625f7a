# SPDX-License-Identifier: Apache-2.0
"""Packets in TM and AOS transfer frames, put together for each virtual channel (CCSDS 132.0-B-3, CCSDS 732.0-B-4).

A frame says where the first packet starts in it. While the frame counts of a channel follow each other, packets may go
on from frame to frame. Where they do not, the packet that was begun has no end; packets start again at the next
pointer to a first header.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.ccsds import CHUNK_BYTES, Chunk, Reason, Stretch
from ingest.transport.frame_headers import COUNTS, NO_START, ONLY_IDLE, frame_headers
from ingest.transport.frame_sync import FoundFrames, FrameSync
from ingest.transport.pieces import PieceScan, no_packets
from lake.packet_definitions import Packet
from lake.source_definitions import Frames

Octets = NDArray[np.uint8]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


def frame_chunks(
    path: Path, packets: tuple[Packet, ...], frames: Frames, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Chunk]:
    """Chunks of the good packets in the frames of a file; all but packets in good frames is overhead."""
    if not path.stat().st_size:
        return
    data = np.asarray(np.memmap(path, np.uint8, "r"))
    sync = FrameSync(data, frames)
    channels: dict[int, _Channel] = {}
    last = _NO_FRAME
    for found in sync.blocks(chunk_bytes):
        block = _block(data, frames, found, sync.stride, last)
        last = block.last
        yield no_packets(found.stretches, block.overhead)
        for channel in np.unique(block.channels).tolist():
            if channel not in channels:
                channels[channel] = _Channel(channel, frames, PieceScan(data, packets, idle=True))
            yield from channels[channel].add(block.of(channel))
    for one in channels.values():
        yield one.scan.end()
        yield one.scan.finish()


class _Last(NamedTuple):
    """The last frame with packets before a block: where it begins, its channel, and where its packets end.

    `full`: it has packets.
    """

    at: int
    channel: int
    stop: int
    full: bool


_NO_FRAME = _Last(-1, -1, -1, full=False)


@dataclass(frozen=True)
class _Block:
    """Frames with packets, in the order of the file: where their packets are, and what their headers say.

    `before` are the bytes of overhead between the packets of the frame before and of this one if it follows that frame
    at once and in the same channel, else 0. `overhead` are all other bytes of the good frames that hold no packets; it
    is negative if `before` has more bytes of the block before.
    """

    channels: Positions
    counts: Positions
    pointers: Positions
    starts: Positions
    stops: Positions
    before: Positions
    overhead: int
    last: _Last

    def of(self, channel: int) -> _Block:
        """The frames of one channel."""
        own = self.channels == channel
        counts, pointers, before = self.counts[own], self.pointers[own], self.before[own]
        return _Block(self.channels[own], counts, pointers, self.starts[own], self.stops[own], before, 0, self.last)


def _block(data: Octets, frames: Frames, found: FoundFrames, stride: int, last: _Last) -> _Block:
    """What the headers of good frames say; `last` is the frame before them."""
    headers = frame_headers(data, frames, found.at)
    kept = headers.carries
    at, marked, channels, pointers = found.at[kept], found.marked[kept], headers.channels[kept], headers.pointers[kept]
    starts, stops = at + headers.starts[kept], at + headers.stops[kept]
    full = pointers != ONLY_IDLE
    follows = (np.diff(at, prepend=last.at) == stride) & (np.diff(channels, prepend=last.channel) == 0)
    follows &= full & np.append(last.full, full)[:-1] & marked
    before = np.where(follows, starts - np.append(last.stop, stops)[:-1], 0)
    sync = stride - frames.length
    used = len(found.at) * frames.length + int(found.marked.sum()) * sync
    overhead = used - int((stops - starts)[full].sum()) - int(before.sum())
    if len(at):
        last = _Last(int(at[-1]), int(channels[-1]), int(stops[-1]), bool(full[-1]))
    return _Block(channels, headers.counts[kept], pointers, starts, stops, before, overhead, last)


class _Channel:
    """One virtual channel: its packets so far, its last frame count, and why a packet start is awaited, if it is."""

    def __init__(self, channel: int, frames: Frames, scan: PieceScan) -> None:
        self.channel, self.modulus, self.scan = channel, COUNTS[frames.kind], scan
        self.last_count: int | None = None
        self.waiting = ""  # why what comes before the next packet start is of no use

    def add(self, block: _Block) -> Iterator[Chunk]:
        """What these frames of the channel complete."""
        before = block.counts[0] - 1 if self.last_count is None else self.last_count
        missing = (np.diff(block.counts, prepend=before) - 1) % self.modulus
        if self.last_count is None:
            self.waiting = f"virtual channel {self.channel} has no frame before"
        self.last_count = int(block.counts[-1])
        edges = [0, *(np.flatnonzero(missing[1:]) + 1).tolist(), len(missing)]
        for first, stop in pairwise(edges):
            if missing[first]:
                self.waiting = self._gap(int(missing[first]))
                detail = f"the beginning of a packet: {self.waiting}"
                yield self.scan.end((Reason.TRUNCATED, Reason.JUNK), Reason.FRAME_GAP, detail)
            yield from self._run(block, first, stop)

    def _gap(self, missing: int) -> str:
        if missing > self.modulus // 2:  # a repetition or a reset
            return f"the frame count of virtual channel {self.channel} goes back"
        return f"{missing} {'frame' if missing == 1 else 'frames'} of virtual channel {self.channel} missing"

    def _run(self, block: _Block, first: int, stop: int) -> Iterator[Chunk]:
        """What frames complete whose counts follow each other."""
        chosen = np.arange(first, stop)[block.pointers[first:stop] != ONLY_IDLE]
        starts, stops, before = block.starts[chosen].copy(), block.stops[chosen], block.before[chosen].copy()
        if self.waiting and len(chosen):
            begins = np.flatnonzero(block.pointers[chosen] < NO_START)
            at = int(begins[0]) if len(begins) else len(chosen)
            ends = stops[: at + 1].copy()
            if at < len(chosen):
                ends[at] = starts[at] = starts[at] + block.pointers[chosen[at]]
            yield self._headless(block.starts[chosen[: at + 1]], ends, before)
            before[: at + 1] = 0
            starts, stops, before = starts[at:], stops[at:], before[at:]
            self.waiting = "" if at < len(chosen) else self.waiting
        if len(starts):
            yield self.scan.feed(starts, stops, before)

    def _headless(self, starts: Positions, stops: Positions, before: Positions) -> Chunk:
        """The quarantine for the end of a packet whose beginning is missing; frames that touch make one stretch."""
        found: list[Stretch] = []
        overhead = 0
        for start, stop, gap in zip(starts.tolist(), stops.tolist(), before[: len(starts)].tolist(), strict=True):
            last = found[-1] if found else None
            if last and gap and last.offset + last.length + gap == start:
                found[-1] = replace(last, length=stop - last.offset)
                continue
            overhead += gap
            if stop > start:
                found.append(Stretch(start, stop - start, Reason.FRAME_GAP, f"the end of a packet: {self.waiting}"))
        return no_packets(tuple(found), overhead)
