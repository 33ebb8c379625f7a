# SPDX-License-Identifier: Apache-2.0
"""Rows of CSV, JSON lines and Parquet files, and orbit elements, as rows of L0 tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ingest.ccsds import Reason, Stretch
from ingest.record.files import record_pieces
from ingest.record.known_by import clock_counters, row_ids, too_late
from ingest.record.piece import BadRow, Piece
from ingest.rows import Columns, RowWriter, Tags
from lake.errors import RecordFileError
from lake.source_definitions import Records

SINGLE_ROWS = 1000  # bad rows that are quarantined one by one; of those beyond, neighbours share a stretch


def decode_records(path: Path, records: Records, rows: RowWriter) -> None:
    """Write the rows of a file; what is none is quarantined with a reason, and every byte is counted."""
    decoded = rows.decoded
    try:
        for piece in record_pieces(path, records):
            for bad in piece.bad:
                _quarantine(bad, decoded.stretches)
            decoded.bytes_decoded += piece.decoded
            decoded.packets += len(piece.offsets)
            if len(piece.offsets):
                _write(piece, records, rows)
    except RecordFileError as error:
        rows.forget()
        detail = f"the file {error}. The records {records.name} are defined in {records.file}"
        decoded.stretches.append(Stretch(0, decoded.receipt.bytes, Reason.BAD_RECORD, detail))


def _quarantine(bad: BadRow, stretches: list[Stretch]) -> None:
    """Note a bad row. A wrong definition may make all of a million rows bad, of which nobody would read each."""
    last = stretches[-1] if len(stretches) >= SINGLE_ROWS else None
    if last is None or last.offset + (last.length if bad.length else last.packets) != bad.offset:
        stretches.append(Stretch(bad.offset, bad.length, Reason.BAD_RECORD, bad.detail, packets=1))
        return
    count, first = last.packets + 1, last.detail.partition("; this and")[0]
    detail = f"{first}; this and the rows behind it, {count} in all"
    stretches[-1] = replace(last, length=last.length + bad.length, detail=detail, packets=count)


def _write(piece: Piece, records: Records, rows: RowWriter) -> None:
    tags = _tags(piece, records, rows)
    rows.decoded.clock_invalid += int((~tags.valid).sum())
    columns: Columns = {
        **piece.columns,
        "byte_offset": piece.offsets,
        "row_id": row_ids(piece.columns),
        "quality_flag": np.where(tags.valid, 0, rows.clock_invalid).astype(np.int32),
    }
    for table in rows.instrument.l0_tables(records.name):
        rows.write(table, columns, tags)


def _tags(piece: Piece, records: Records, rows: RowWriter) -> Tags:
    """Time tags. A row without a time has none, nor has one that lies after the file was received."""
    clock = records.clock or rows.instrument.clock
    counters, rest, known = clock_counters(clock, piece.columns)
    tt2000, valid = rows.times(clock, counters)
    tags = rows.tags(tt2000 + rest, valid & known)
    late = too_late(tags.unix_ns, rows.decoded.receipt.received_at, rows.mission.names.clock_skew)
    return rows.tags(tags.tt2000, tags.valid & ~late) if late.any() else tags
