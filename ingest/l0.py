# SPDX-License-Identifier: Apache-2.0
"""From an archived raw file to L0: packets, events and records become rows, everything else is quarantined, every byte
counted.

A file is read in chunks of bounded size and gives Parquet files that nobody sees yet. Nothing here knows of any other
file, so files can be decoded in any order, anywhere; `ingest.commit` makes their rows visible.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ingest.ccsds import Chunk, Reason, Stretch
from ingest.limits import SEQUENCE_COUNTS
from ingest.record.decoding import decode_records
from ingest.rows import Columns, Decoded, Int64, Mask, RowWriter, Tags, flag_mask
from ingest.transport.forms import packet_chunks
from ingest.unpack import Plan, Ragged, compile_plan, unpack
from ingest.unpackers import Extra, Unpacker, unpacker_of
from ingest.variants import split
from lake.definitions import Table
from lake.files import reading
from lake.ledger import l0_definition
from lake.packet_definitions import Clock, Packet
from lake.store import Lake, RawArchive, Receipt

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
    """Packets of one type: where each begins in `data`, its bytes there, where it began in the file, and its parts."""

    data: NDArray[np.uint8]
    offsets: Int64
    lengths: Int64
    places: Int64
    segments: Int64

    def those(self, chosen: Mask) -> Batch:
        """Some of the packets."""
        if chosen.all():
            return self
        columns = (self.offsets, self.lengths, self.places, self.segments)
        return Batch(self.data, *(column[chosen] for column in columns))


def decode_file(lake: Lake, receipt: Receipt) -> Decoded:
    """Decode an archived file; its rows lie in finished files beside the L0 tables of its instrument, not yet visible.

    Raises DamageError if its bytes are missing or have changed; StorageError or TableError if something cannot be read
    or written. Nothing of the file is left then.
    """
    mission = lake.definitions.mission(receipt.mission)
    instrument = mission.instrument(receipt.instrument)
    decoded = Decoded(receipt, l0_definition(mission, instrument))
    with RawArchive(lake).local(receipt) as path, ExitStack() as stack:
        rows = RowWriter(lake, mission, instrument, decoded, stack)
        records, transport = instrument.records_of(receipt.name), instrument.transport_of(receipt.name)
        with reading(path):
            if records is not None:
                decode_records(path, records, rows)
            elif not instrument.packets or transport is None:
                detail = f"nothing in missions/{mission.name}/{instrument.name} says what files of this name hold"
                decoded.stretches.append(Stretch(0, receipt.bytes, Reason.NO_DEFINITION, detail))
            else:
                decoder = PacketDecoder(rows)
                for chunk in packet_chunks(path, instrument.packets, transport):
                    decoder.add(chunk)
        rows.finish()
    return decoded


class PacketDecoder:
    """Decodes the packets of one file chunk by chunk."""

    def __init__(self, rows: RowWriter) -> None:
        self.rows, self.instrument, self.decoded = rows, rows.instrument, rows.decoded
        self.sequence_gap = flag_mask(self.instrument, "sequence_gap")
        self.streams: dict[int, Stream] = {}
        self.last_counts: dict[int, int] = {}

    def add(self, chunk: Chunk) -> None:
        """Decode the packets of a chunk and note its stretches."""
        self.decoded.stretches += chunk.stretches
        self.decoded.bytes_decoded += chunk.overhead
        segments = np.ones(len(chunk.offsets), np.int64) if chunk.segments is None else chunk.segments
        whole = Batch(chunk.data, chunk.offsets, chunk.lengths, chunk.at, segments)
        for kind in np.unique(chunk.types).tolist():
            batch = whole.those(chunk.types == kind)
            for variant, chosen in split(self.instrument.packets, kind, batch.data, batch.offsets, batch.lengths):
                if variant is None:
                    self._quarantine(batch.those(chosen), Reason.NO_DEFINITION, "a packet that meets no type's `when`")
                else:
                    self._decode(self._stream(variant), batch.those(chosen))

    def _stream(self, kind: int) -> Stream:
        if kind not in self.streams:
            packet = self.instrument.packets[kind]
            tables = {table.rows: table for table in self.instrument.l0_tables(packet.name)}
            clock = packet.clock or self.instrument.clock
            plan, unpacker = compile_plan(packet, whole=True), unpacker_of(packet)
            self.streams[kind] = Stream(packet, plan, unpacker, clock, tables.get("packet"), tables.get("event"))
        return self.streams[kind]

    def _decode(self, stream: Stream, batch: Batch) -> None:
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
        if len(batch.offsets):
            self._write(stream, columns, extra)
        self.decoded.packets += len(batch.offsets)
        self.decoded.bytes_decoded += int(batch.lengths.sum())

    def _keep(self, stream: Stream, batch: Batch, good: Mask) -> Batch:
        """The good packets; the others are quarantined."""
        if not good.all():
            name = f"a {stream.packet.name} packet"
            self._quarantine(
                batch.those(~good), Reason.BAD_LAYOUT, f"{name} of {{}} bytes, which do not fit its definition"
            )
        return batch.those(good)

    def _quarantine(self, batch: Batch, reason: Reason, detail: str) -> None:
        columns = (batch.offsets, batch.places, batch.lengths, batch.segments)
        for at, place, length, parts in zip(*(column.tolist() for column in columns), strict=True):
            apid = (int(batch.data[at]) << 8 | int(batch.data[at + 1])) & 0x7FF
            joined = f"; of {parts} parts, of which the first one begins here" if parts > 1 else ""
            self.decoded.stretches.append(Stretch(place, length, reason, detail.format(length) + joined, apid, 1))

    def _write(self, stream: Stream, columns: Columns, extra: Extra) -> None:
        tt2000, valid = self.rows.times(stream.clock, columns)
        names = ("sequence_count", "apid", "packet_segments")
        counts, apids, segments = (np.asarray(columns[name]).astype(np.int64) for name in names)
        tags = self.rows.tags(tt2000, valid & ~contradicted(tt2000, counts, apids, segments))
        self.decoded.clock_invalid += int((~tags.valid).sum())
        flags = np.where(tags.valid, 0, self.rows.clock_invalid)
        if self.sequence_gap:
            flags |= np.where(self._behind_gaps(counts, apids, segments), self.sequence_gap, 0)
        columns["quality_flag"] = flags.astype(np.int32)
        if stream.packet_table is not None:
            self.rows.write(stream.packet_table, columns, tags)
        if stream.event_table is not None and extra.counts.sum():
            self._write_events(stream, stream.event_table, columns, extra, tags)

    def _behind_gaps(self, counts: Int64, apids: Int64, segments: Int64) -> Mask:
        """True for packets whose count does not follow that of the packet of their APID before them in the file."""
        behind: Mask = np.zeros(len(counts), np.bool_)
        last = counts + segments - 1  # of the last part
        for apid in np.unique(apids).tolist():
            own = np.flatnonzero(apids == apid)
            before = np.concatenate([[self.last_counts.get(apid, counts[own[0]] - 1)], last[own[:-1]]])
            behind[own] = (counts[own] - before) % SEQUENCE_COUNTS != 1
            self.last_counts[apid] = int(last[own[-1]])
        return behind

    def _write_events(self, stream: Stream, table: Table, columns: Columns, extra: Extra, tags: Tags) -> None:
        clock, names = stream.clock, {c.name for c in table.columns} - set(extra.event)
        repeated: Columns = {
            n: np.repeat(column, extra.counts)
            for n, column in columns.items()
            if n in names and isinstance(column, np.ndarray)
        }
        ticks = extra.event[clock.event].astype(np.int64) if clock.event else np.int64(0)
        tt2000 = np.repeat(tags.tt2000, extra.counts) + ticks * clock.event_tick_ns
        valid = np.repeat(tags.valid, extra.counts)
        self.rows.write(table, repeated | dict(extra.event), self.rows.tags(tt2000, valid))


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
