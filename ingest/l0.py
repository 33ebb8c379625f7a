# SPDX-License-Identifier: Apache-2.0
"""From an archived raw file to L0: packets and events become rows, everything else is quarantined, every byte counted.

A file is read in chunks of bounded size; its rows become visible in one commit for each table, once, under an
application transaction named by the file's hash and the definitions it was decoded with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest import arrow
from ingest.ccsds import Chunk, Reason, Stretch, scan_packets
from ingest.gaps import SEQUENCE_COUNTS
from ingest.identities import PacketRows, Received
from ingest.unpack import Plan, Ragged, compile_plan, unpack
from ingest.unpackers import Extra, Unpacker, unpacker_of
from lake.clock import DAY_NS, believable, tt2000_from_met, unix_ns_from_tt2000
from lake.definitions import Instrument, Mission, Table
from lake.ledger import l0_definition
from lake.packet_definitions import Packet
from lake.store import Lake, RawArchive, Receipt, reading
from lake.tables import DayFiles, append, day_files

EPOCH_DAY = date(1970, 1, 1)
FAR_NS = 60_000_000_000  # longer than the spacing of packets that follow each other, shorter than a wrong bit is worth
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]
Columns = dict[str, NDArray[np.generic] | Ragged]


@dataclass
class Decoded:
    """What became of one raw file."""

    receipt: Receipt
    definition: str
    bytes_decoded: int = 0
    packets: int = 0
    duplicates: int = 0
    clock_invalid: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    rows: Counter[tuple[str, date]] = field(default_factory=Counter)
    new_rows: Counter[tuple[str, date]] = field(default_factory=Counter)

    @property
    def bytes_quarantined(self) -> int:
        """Bytes in all stretches."""
        return sum(stretch.length for stretch in self.stretches)


@dataclass(frozen=True)
class Stream:
    """One packet type of a file being decoded: its plan, and its tables' files."""

    packet: Packet
    plan: Plan
    unpacker: Unpacker | None
    packet_table: DayFiles | None
    event_table: DayFiles | None


@dataclass(frozen=True)
class Tags:
    """Time tags of rows: TT2000 and Unix ns, validity of the clock, and the UTC day as days since 1970."""

    tt2000: Int64
    unix_ns: Int64
    valid: Mask
    day: NDArray[np.int32]


def decode_file(
    lake: Lake, receipt: Receipt, unread: AbstractSet[str] = frozenset(), received: Received | None = None
) -> Decoded:
    """Decode an archived file into the L0 tables of its instrument, exactly once.

    `unread` are hashes of files that are still to be decoded; a packet of theirs never makes one of this file a
    repetition, even if a run that was killed has left it in the lake. `received` is what the files before this one
    have noted, if they were decoded one after the other.
    Raises StorageError or TableError if something cannot be read or written; nothing of the file is visible then.
    """
    mission = lake.definitions.mission(receipt.mission)
    instrument = mission.instrument(receipt.instrument)
    decoded = Decoded(receipt, l0_definition(mission, instrument))
    with ExitStack() as stack:
        received = received or Received(lake)
        received.start_file(unread | {receipt.file_sha256})
        decoder = FileDecoder(lake, mission, instrument, decoded, stack, received)
        path = RawArchive(lake).bytes_path(receipt)
        with reading(path), path.open("rb") as stream:
            for chunk in scan_packets(stream, instrument.packets):
                decoder.add(chunk)
        decoder.commit()
    return decoded


class FileDecoder:
    """Decodes one file chunk by chunk."""

    def __init__(
        self,
        lake: Lake,
        mission: Mission,
        instrument: Instrument,
        decoded: Decoded,
        stack: ExitStack,
        received: Received | None = None,
    ) -> None:
        self.lake, self.mission, self.instrument, self.decoded, self.stack = lake, mission, instrument, decoded, stack
        self.file_day = date.fromisoformat(decoded.receipt.day)
        self.received = received or Received(lake)
        self.streams: dict[int, Stream] = {}

    def add(self, chunk: Chunk) -> None:
        """Decode the packets of a chunk and note its stretches."""
        self.decoded.stretches += chunk.stretches
        for kind in np.unique(chunk.types).tolist():
            chosen = chunk.types == kind
            everything = bool(chosen.all())
            offsets = chunk.offsets if everything else chunk.offsets[chosen]
            lengths = chunk.lengths if everything else chunk.lengths[chosen]
            self._decode(self._stream(kind), chunk, offsets, lengths)

    def _stream(self, kind: int) -> Stream:
        if kind not in self.streams:
            packet = self.instrument.packets[kind]
            tables = {table.rows: table for table in self.instrument.l0_tables(packet.name)}
            files = {rows: self._files(table) for rows, table in tables.items()}
            plan, unpacker = compile_plan(packet), unpacker_of(packet)
            self.streams[kind] = Stream(packet, plan, unpacker, files.get("packet"), files.get("event"))
        return self.streams[kind]

    def _files(self, table: Table) -> DayFiles:
        return self.stack.enter_context(day_files(self.lake, table, self.decoded.definition))

    def _decode(self, stream: Stream, chunk: Chunk, offsets: Int64, lengths: Int64) -> None:
        unpacked = unpack(stream.plan, chunk.data, offsets, lengths)
        offsets, lengths = self._keep(stream, chunk, offsets, lengths, ~(unpacked.short | unpacked.overflow))
        columns: Columns = dict(unpacked.columns)
        extra = stream.unpacker(chunk.data, offsets, lengths, columns) if stream.unpacker else Extra({})
        columns |= extra.packet
        if extra.bad is not None and extra.bad.any():
            good = ~extra.bad
            offsets, lengths = self._keep(stream, chunk, offsets, lengths, good)
            columns = {name: column[good] for name, column in columns.items() if not isinstance(column, Ragged)}
            extra = replace(extra, counts=extra.counts[good])
        columns |= {"byte_offset": chunk.base + offsets, "packet_bytes": lengths}
        self._write(stream, columns, extra)
        self.decoded.packets += len(offsets)
        self.decoded.bytes_decoded += int(lengths.sum())

    def _keep(self, stream: Stream, chunk: Chunk, offsets: Int64, lengths: Int64, good: Mask) -> tuple[Int64, Int64]:
        """The good packets; the others are quarantined."""
        if good.all():
            return offsets, lengths
        self._quarantine(stream, chunk, offsets, lengths, ~good)
        return offsets[good], lengths[good]

    def _quarantine(self, stream: Stream, chunk: Chunk, offsets: Int64, lengths: Int64, refused: Mask) -> None:
        for at in np.flatnonzero(refused).tolist():
            offset, length = chunk.base + int(offsets[at]), int(lengths[at])
            header = chunk.data[int(offsets[at]) : int(offsets[at]) + 2]
            apid = (int(header[0]) << 8 | int(header[1])) & 0x7FF
            detail = f"a {stream.packet.name} packet whose {length} bytes do not fit its definition"
            self.decoded.stretches.append(Stretch(offset, length, Reason.BAD_LAYOUT, detail, apid, 1))

    def _write(self, stream: Stream, columns: Columns, extra: Extra) -> None:
        if not len(columns["byte_offset"]):  # type: ignore[arg-type]
            return
        tags = self._tag(columns)
        flags = np.where(tags.valid, 0, self._flag("clock_invalid")).astype(np.int32)
        if stream.packet_table is not None:
            scalars = {k: v for k, v in columns.items() if not isinstance(v, Ragged)}
            rows = PacketRows(stream.packet, stream.packet_table.table, self.decoded.definition)
            again = self.received.seen(rows, scalars, tags.day)
            flags |= np.where(again, self._flag("retransmitted"), 0).astype(np.int32)
            self.decoded.duplicates += int(again.sum())
        self.decoded.clock_invalid += int((~tags.valid).sum())
        columns["quality_flag"] = flags
        if stream.packet_table is not None:
            self._write_rows(stream.packet_table, columns, tags, flags)
        if stream.event_table is not None and extra.counts.sum():
            self._write_events(stream.event_table, columns, extra, tags)

    def _write_events(self, files: DayFiles, columns: Columns, extra: Extra, tags: Tags) -> None:
        clock = self.instrument.clock
        names = {c.name for c in files.table.columns} - set(extra.event)
        repeated: Columns = {
            n: np.repeat(column, extra.counts)
            for n, column in columns.items()
            if n in names and not isinstance(column, Ragged)
        }
        ticks = extra.event[clock.event].astype(np.int64) if clock.event else np.int64(0)
        tt2000 = np.repeat(tags.tt2000, extra.counts) + ticks * clock.event_tick_ns
        valid = np.repeat(tags.valid, extra.counts)
        event_tags = self._tags(tt2000, valid)
        flags = np.asarray(repeated["quality_flag"]).astype(np.int32)
        self._write_rows(files, repeated | dict(extra.event), event_tags, flags)

    def _tag(self, columns: Mapping[str, NDArray[np.generic] | Ragged]) -> Tags:
        clock = self.instrument.clock
        coarse = np.asarray(columns[clock.coarse]).astype(np.int64)
        has_fine = clock.fine is not None and clock.fine in columns
        fine = np.asarray(columns[str(clock.fine)]).astype(np.int64) if has_fine else None
        tt2000 = tt2000_from_met(clock, coarse, fine)
        valid = believable(clock, self.mission.valid_time, tt2000, fine)
        counts, apids = (np.asarray(columns[name]).astype(np.int64) for name in ("sequence_count", "apid"))
        return self._tags(tt2000, valid & ~contradicted(tt2000, counts, apids))

    def _tags(self, tt2000: Int64, valid: Mask) -> Tags:
        unix_ns = unix_ns_from_tt2000(tt2000)
        file_day = (self.file_day - EPOCH_DAY).days
        first, last = (int(unix_ns.min()) // DAY_NS, int(unix_ns.max()) // DAY_NS) if len(unix_ns) else (0, 0)
        if first == last and valid.all():
            return Tags(tt2000, unix_ns, valid, np.full(1, first, np.int32))
        return Tags(tt2000, unix_ns, valid, np.where(valid, unix_ns // DAY_NS, file_day).astype(np.int32))

    def _days(self, tags: Tags) -> list[date]:
        return [EPOCH_DAY + timedelta(days=int(day)) for day in np.unique(tags.day)]

    def _flag(self, name: str) -> int:
        return {flag.name: flag.mask for flag in self.instrument.flags}[name]

    def _write_rows(self, files: DayFiles, columns: Columns, tags: Tags, flags: NDArray[np.int32]) -> None:
        rows = self._arrow(files.table, columns, tags)
        new = (flags & (self._flag("retransmitted") | self._flag("clock_invalid"))) == 0
        for day in self._days(tags):
            chosen = None if len(tags.day) == 1 else tags.day == (day - EPOCH_DAY).days
            part = rows if chosen is None else rows.take(arrow.numbers(np.flatnonzero(chosen), pa.int64()))
            files.write(part, day)
            key = (files.table.address, day)
            self.decoded.rows[key] += part.num_rows
            self.decoded.new_rows[key] += int((new if chosen is None else new[chosen]).sum())

    def _arrow(self, table: Table, columns: Columns, tags: Tags) -> pa.Table:
        count = len(tags.tt2000)
        invalid = None if tags.valid.all() else ~tags.valid
        special = {
            "epoch_tt2000": arrow.numbers(tags.tt2000, pa.int64(), invalid),
            "time": arrow.numbers(tags.unix_ns // 1000, pa.timestamp("us", "UTC"), invalid),
            "file_sha256": arrow.repeated(self.decoded.receipt.file_sha256, count),
        }
        names = [column.name for column in table.columns if column.name != "day"]
        arrays = [special[name] if name in special else arrow.column(table, name, columns[name]) for name in names]
        return pa.Table.from_arrays(arrays, names)

    def commit(self) -> None:
        """Make the rows visible, each table in one commit; tables that have them already are left alone."""
        app_id = f"ingest/{self.decoded.receipt.file_sha256}/{self.decoded.definition[:16]}"
        for stream in self.streams.values():
            for files in (stream.packet_table, stream.event_table):
                if files is None or not files.paths:
                    continue
                files.close()
                if not append(self.lake, files, app_id):
                    files.discard()


def contradicted(tt2000: Int64, counts: Int64, apids: Int64) -> Mask:
    """True for packets whose time lies far from those of the packets sent just before and just after.

    The three follow each other in the file and by their sequence counts, and the outer two agree. Many checksums leave
    out the time, so a single bit that turned over there would put a packet on another day.
    """
    lone: Mask = np.zeros(len(tt2000), np.bool_)
    follows = (np.diff(apids) == 0) & (np.diff(counts) % SEQUENCE_COUNTS == 1)
    far = np.abs(np.diff(tt2000)) > FAR_NS
    apart = follows & far
    lone[1:-1] = apart[:-1] & apart[1:] & (np.abs(tt2000[2:] - tt2000[:-2]) <= FAR_NS)
    return lone
