# SPDX-License-Identifier: Apache-2.0
"""The packets of a file by their types: told apart, unpacked, judged by their layout, and timed by their clocks.

Level 0 makes rows of them; the packet log gives them on as they are. Both mean the same packets and the same times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ingest.ccsds import Chunk, Reason
from ingest.limits import SEQUENCE_COUNTS
from ingest.rows import Columns, Int64, Mask, believed_times
from ingest.unpack import Plan, Ragged, compile_plan, unpack
from ingest.unpackers import Extra, Unpacker, unpacker_of
from ingest.variants import split
from lake.definitions import Instrument, Mission, Table
from lake.packet_definitions import Clock, Packet

FAR_NS = 60_000_000_000  # longer than the spacing of packets that follow each other, shorter than a wrong bit is worth


@dataclass(frozen=True)
class Stream:
    """One packet type of a file being decoded: its plan, its clock, and its tables."""

    packet: Packet
    plan: Plan
    unpacker: Unpacker | None
    clock: Clock
    packet_table: Table | None
    event_table: Table | None


@dataclass(frozen=True)
class Batch:
    """Packets of one type: where each begins in `data`, its bytes there, where it began in the file, its parts, and its
    number within the chunk, from 0.
    """

    data: NDArray[np.uint8]
    offsets: Int64
    lengths: Int64
    places: Int64
    segments: Int64
    numbers: Int64

    def those(self, chosen: Mask) -> Batch:
        """Some of the packets."""
        if chosen.all():
            return self
        columns = (self.offsets, self.lengths, self.places, self.segments, self.numbers)
        return Batch(self.data, *(column[chosen] for column in columns))


@dataclass(frozen=True)
class Good:
    """Packets of one type that fit their definition, their columns, and what their unpacker made of them."""

    stream: Stream
    batch: Batch
    columns: Columns
    extra: Extra


Refuse = Callable[[Batch, Reason, str], None]  # what becomes of packets that fit no definition, and why; {} is a length


class PacketTypes:
    """The packet types of an instrument, as they are met in one file."""

    def __init__(self, mission: Mission, instrument: Instrument, refuse: Refuse) -> None:
        self.instrument, self.refuse = instrument, refuse
        self.valid_time = instrument.valid_time or mission.valid_time
        self.streams: dict[int, Stream] = {}

    def good(self, chunk: Chunk) -> Iterator[Good]:
        """The packets of a chunk that fit their definitions, type by type."""
        segments = np.ones(len(chunk.offsets), np.int64) if chunk.segments is None else chunk.segments
        numbers = np.arange(len(chunk.offsets), dtype=np.int64)
        whole = Batch(chunk.data, chunk.offsets, chunk.lengths, chunk.at, segments, numbers)
        for kind in np.unique(chunk.types).tolist():
            batch = whole.those(chunk.types == kind)
            for variant, chosen in split(self.instrument.packets, kind, batch.data, batch.offsets, batch.lengths):
                if variant is None:
                    self.refuse(batch.those(chosen), Reason.NO_DEFINITION, "a packet that meets no type's `when`")
                else:
                    yield self._unpacked(self._stream(variant), batch.those(chosen))

    def times(self, good: Good) -> tuple[Int64, Mask]:
        """TT2000 [ns] of packets, and whether it can be believed."""
        tt2000, valid = believed_times(good.stream.clock, self.valid_time, good.columns)
        counts, apids = (np.asarray(good.columns[name]).astype(np.int64) for name in ("sequence_count", "apid"))
        return tt2000, valid & ~contradicted(tt2000, counts, apids, good.batch.segments)

    def _stream(self, kind: int) -> Stream:
        if kind not in self.streams:
            packet = self.instrument.packets[kind]
            tables = {table.rows: table for table in self.instrument.l0_tables(packet.name)}
            clock = packet.clock or self.instrument.clock
            plan, unpacker = compile_plan(packet, whole=True), unpacker_of(packet)
            self.streams[kind] = Stream(packet, plan, unpacker, clock, tables.get("packet"), tables.get("event"))
        return self.streams[kind]

    def _unpacked(self, stream: Stream, batch: Batch) -> Good:
        unpacked = unpack(stream.plan, batch.data, batch.offsets, batch.lengths)
        batch = self._keep(stream, batch, ~(unpacked.short | unpacked.overflow))
        columns: Columns = dict(unpacked.columns)
        extra = Extra({})
        if stream.unpacker:
            extra = stream.unpacker(batch.data, batch.offsets, batch.lengths, dict(unpacked.columns))
        columns |= extra.packet
        if extra.bad is not None and extra.bad.any():
            good = ~extra.bad
            batch = self._keep(stream, batch, good)
            columns = {name: column[good] for name, column in columns.items() if not isinstance(column, Ragged)}
            extra = replace(extra, counts=extra.counts[good])
        columns |= {"byte_offset": batch.places, "packet_bytes": batch.lengths, "packet_segments": batch.segments}
        return Good(stream, batch, columns, extra)

    def _keep(self, stream: Stream, batch: Batch, good: Mask) -> Batch:
        """The good packets; the others are refused."""
        if not good.all():
            name = f"a {stream.packet.name} packet"
            self.refuse(batch.those(~good), Reason.BAD_LAYOUT, f"{name} of {{}} bytes, which do not fit its definition")
        return batch.those(good)


def contradicted(tt2000: Int64, counts: Int64, apids: Int64, segments: Int64) -> Mask:
    """True for packets whose time lies far from those of the packets sent just before and just after.

    The three follow each other in the file and by the sequence counts of their parts, and the outer two agree. Many
    checksums leave out the time, so a single bit that turned over there would put a packet on another day.
    """
    lone: Mask = np.zeros(len(tt2000), np.bool_)
    follows = (np.diff(apids) == 0) & ((counts[1:] - counts[:-1]) % SEQUENCE_COUNTS == segments[:-1] % SEQUENCE_COUNTS)
    far = np.abs(np.diff(tt2000)) > FAR_NS
    apart = follows & far
    lone[1:-1] = apart[:-1] & apart[1:] & (np.abs(tt2000[2:] - tt2000[:-2]) <= FAR_NS)
    return lone
