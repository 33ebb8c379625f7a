# SPDX-License-Identifier: Apache-2.0
"""From an archived raw file to L0: packets, events and records become rows, everything else is quarantined, every byte
counted.

A file is read in chunks of bounded size and gives Parquet files that nobody sees yet. Nothing here knows of any other
file, so files can be decoded in any order, anywhere; `ingest.commit` makes their rows visible.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from ingest.ccsds import Chunk, Reason, Stretch
from ingest.limits import SEQUENCE_COUNTS
from ingest.packet_types import Batch, Good, PacketTypes, Stream
from ingest.record.decoding import decode_records
from ingest.rows import Columns, Decoded, Int64, Mask, RowWriter, Tags, flag_mask
from ingest.transport.forms import packet_chunks
from ingest.unpackers import Extra
from lake.definitions import Table
from lake.files import reading
from lake.ledger import l0_definition
from lake.store import Lake, RawArchive, Receipt


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
        self.types = PacketTypes(rows.mission, rows.instrument, self._quarantine)
        self.sequence_gap = flag_mask(self.instrument, "sequence_gap")
        self.last_counts: dict[int, int] = {}

    def add(self, chunk: Chunk) -> None:
        """Decode the packets of a chunk and note its stretches."""
        self.decoded.stretches += chunk.stretches
        self.decoded.bytes_decoded += chunk.overhead
        for good in self.types.good(chunk):
            if len(good.batch.offsets):
                self._write(good)
            self.decoded.packets += len(good.batch.offsets)
            self.decoded.bytes_decoded += int(good.batch.lengths.sum())

    def _quarantine(self, batch: Batch, reason: Reason, detail: str) -> None:
        columns = (batch.offsets, batch.places, batch.lengths, batch.segments)
        for at, place, length, parts in zip(*(column.tolist() for column in columns), strict=True):
            apid = (int(batch.data[at]) << 8 | int(batch.data[at + 1])) & 0x7FF
            joined = f"; of {parts} parts, of which the first one begins here" if parts > 1 else ""
            self.decoded.stretches.append(Stretch(place, length, reason, detail.format(length) + joined, apid, 1))

    def _write(self, good: Good) -> None:
        stream, columns, extra = good.stream, good.columns, good.extra
        tags = self.rows.tags(*self.types.times(good))
        self.decoded.clock_invalid += int((~tags.valid).sum())
        flags = np.where(tags.valid, 0, self.rows.clock_invalid)
        if self.sequence_gap:
            counts, apids = (np.asarray(columns[name]).astype(np.int64) for name in ("sequence_count", "apid"))
            flags |= np.where(self._behind_gaps(counts, apids, good.batch.segments), self.sequence_gap, 0)
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
