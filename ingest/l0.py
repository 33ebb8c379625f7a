# SPDX-License-Identifier: Apache-2.0
"""From an archived raw file to L0: packets and events become rows, everything else is quarantined, every byte counted.

A file is read in chunks of bounded size and gives Parquet files that nobody sees yet. Nothing here knows of any other
file, so files can be decoded in any order, anywhere; `ingest.commit` makes their rows visible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest import arrow
from ingest.ccsds import Chunk, Reason, Stretch, scan_packets
from ingest.gaps import SEQUENCE_COUNTS
from ingest.unpack import Plan, Ragged, compile_plan, unpack
from ingest.unpackers import Extra, Unpacker, unpacker_of
from lake.clock import DAY_NS, believable, tt2000_from_met, unix_ns_from_tt2000
from lake.day_files import DayFiles, Parts, day_files
from lake.definitions import Instrument, Mission, Table
from lake.files import reading
from lake.ledger import l0_definition
from lake.packet_definitions import Packet
from lake.store import Lake, RawArchive, Receipt

EPOCH_DAY = date(1970, 1, 1)
FAR_NS = 60_000_000_000  # longer than the spacing of packets that follow each other, shorter than a wrong bit is worth
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]
Columns = dict[str, NDArray[np.generic] | Ragged]


@dataclass
class Decoded:
    """What became of one raw file; `parts` are the files that hold its rows, one for each table.

    `duplicates` and `new_rows` are right once the file is committed: only then is it known what came before it. So are
    `table_ids`, the identities of the tables that have the rows, by address.
    """

    receipt: Receipt
    definition: str
    bytes_decoded: int = 0
    packets: int = 0
    duplicates: int = 0
    clock_invalid: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    rows: Counter[tuple[str, date]] = field(default_factory=Counter)
    new_rows: Counter[tuple[str, date]] = field(default_factory=Counter)
    parts: list[Parts] = field(default_factory=list)
    table_ids: dict[str, str] = field(default_factory=dict)

    @property
    def bytes_quarantined(self) -> int:
        """Bytes in all stretches."""
        return sum(stretch.length for stretch in self.stretches)

    def discard(self, lake: Lake) -> None:
        """Remove the files that hold its rows; none of them was committed."""
        for parts in self.parts:
            DayFiles.of(lake, parts).discard()


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


def decode_file(lake: Lake, receipt: Receipt) -> Decoded:
    """Decode an archived file; its rows lie in finished files beside the L0 tables of its instrument, not yet visible.

    Raises DamageError if its bytes are missing or have changed; StorageError or TableError if something cannot be read
    or written. Nothing of the file is left then.
    """
    mission = lake.definitions.mission(receipt.mission)
    instrument = mission.instrument(receipt.instrument)
    decoded = Decoded(receipt, l0_definition(mission, instrument))
    with RawArchive(lake).local(receipt) as path, ExitStack() as stack:
        decoder = FileDecoder(lake, mission, instrument, decoded, stack)
        with reading(path), path.open("rb") as stream:
            for chunk in scan_packets(stream, instrument.packets):
                decoder.add(chunk)
        decoder.finish()
    return decoded


class FileDecoder:
    """Decodes one file chunk by chunk."""

    def __init__(
        self, lake: Lake, mission: Mission, instrument: Instrument, decoded: Decoded, stack: ExitStack
    ) -> None:
        self.lake, self.mission, self.instrument, self.decoded, self.stack = lake, mission, instrument, decoded, stack
        self.file_day = date.fromisoformat(decoded.receipt.day)
        self.clock_invalid = flag_mask(instrument, "clock_invalid")
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
        self.decoded.clock_invalid += int((~tags.valid).sum())
        columns["quality_flag"] = np.where(tags.valid, 0, self.clock_invalid).astype(np.int32)
        if stream.packet_table is not None:
            self._write_rows(stream.packet_table, columns, tags)
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
        self._write_rows(files, repeated | dict(extra.event), self._tags(tt2000, valid))

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

    def _write_rows(self, files: DayFiles, columns: Columns, tags: Tags) -> None:
        rows = self._arrow(files.table, columns, tags)
        for day in self._days(tags):
            chosen = None if len(tags.day) == 1 else tags.day == (day - EPOCH_DAY).days
            part = rows if chosen is None else rows.take(arrow.numbers(np.flatnonzero(chosen), pa.int64()))
            files.write(part, day)
            key = (files.table.address, day)
            self.decoded.rows[key] += part.num_rows
            self.decoded.new_rows[key] += int(tags.valid.sum() if chosen is None else (tags.valid & chosen).sum())

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

    def finish(self) -> None:
        """Finish the files that hold the rows."""
        for stream in self.streams.values():
            for files in (stream.packet_table, stream.event_table):
                if files is not None and files.paths:
                    files.close()
                    self.decoded.parts.append(files.parts())


def flag_mask(instrument: Instrument, name: str) -> int:
    """The bit of a flag in quality_flag."""
    return {flag.name: flag.mask for flag in instrument.flags}[name]


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
