# SPDX-License-Identifier: Apache-2.0
"""The books on raw files: rows of ops.files, ops.quarantine and ops.contents."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from ingest.arrivals import Arrival
from ingest.ccsds import Reason, Stretch
from ingest.rows import Decoded
from lake.store import Receipt

Row = dict[str, Any]


def ingested(decoded: Decoded, place: int, run_id: str) -> Row:
    """The row of ops.files about a decoded file."""
    return _file_row(decoded, place, run_id, "ingested", _remark(decoded))


def empty(arrival: Arrival, definition: str, run_id: str) -> Row:
    """The row of ops.files about a file without a byte."""
    return _file_row(Decoded(arrival.receipt, definition), arrival.place, run_id, "empty", "holds no byte")


def undefined(arrival: Arrival, run_id: str) -> tuple[Row, Row]:
    """Rows of ops.files and ops.quarantine about a file of an instrument that missions/ does not have.

    It is archived and refused, and all of its bytes are quarantined.
    """
    receipt, nothing = arrival.receipt, Decoded(arrival.receipt, "")
    detail = f"missions/{receipt.mission}/{receipt.instrument} defines no packets"
    whole = Stretch(0, receipt.bytes, Reason.NO_DEFINITION, detail)
    row = _file_row(nothing, arrival.place, run_id, "refused", f"{whole.reason}: {whole.detail}")
    return row | {"bytes_quarantined": receipt.bytes}, _stretch_row(receipt, whole, run_id)


def same_bytes(arrival: Arrival, earlier: Row, run_id: str) -> Row:
    """The row of ops.files about bytes that came before under another name: every packet or record is a duplicate."""
    nothing, reason = Decoded(arrival.receipt, earlier["definition"]), f"same bytes as {earlier['name']}"
    row = _file_row(nothing, arrival.place, run_id, "ingested", reason)
    copied = ("bytes_decoded", "bytes_quarantined", "packets")
    return row | {name: earlier[name] for name in copied} | {"duplicates": earlier["packets"]}


def quarantined(decoded: Decoded, run_id: str) -> list[Row]:
    """Rows of ops.quarantine about a decoded file."""
    return [_stretch_row(decoded.receipt, stretch, run_id) for stretch in decoded.stretches]


def contents(decoded: Decoded, run_id: str) -> list[Row]:
    """Rows of ops.contents about a decoded file.

    A file that gave no rows has a row that says so, so that what an earlier decoding gave no longer counts.
    """
    given = decoded.rows or {("", date.fromisoformat(decoded.receipt.day)): 0}
    return [
        {
            "mission": decoded.receipt.mission,
            "instrument": decoded.receipt.instrument,
            "table_name": address,
            "day": day,
            "file_sha256": decoded.receipt.file_sha256,
            "rows": count,
            "new_rows": decoded.new_rows[address, day],
            "definition": decoded.definition,
            "table_id": decoded.table_ids.get(address, ""),
            "run_id": run_id,
        }
        for (address, day), count in given.items()
    ]


def _file_row(decoded: Decoded, place: int, run_id: str, status: str, reason: str) -> Row:
    receipt = decoded.receipt
    return {
        "file_sha256": receipt.file_sha256,
        "name": receipt.name,
        "mission": receipt.mission,
        "instrument": receipt.instrument,
        "received_at": datetime.fromisoformat(receipt.received_at),
        "bytes": receipt.bytes,
        "bytes_decoded": decoded.bytes_decoded,
        "bytes_quarantined": decoded.bytes_quarantined,
        "packets": decoded.packets,
        "duplicates": decoded.duplicates,
        "status": status,
        "reason": reason,
        "revision": receipt.revision,
        "arrival": place,
        "definition": decoded.definition,
        "receipt": receipt.key,
        "run_id": run_id,
    }


def _remark(decoded: Decoded) -> str:
    remarks = []
    if decoded.receipt.revision > 1:
        remarks.append(f"revision {decoded.receipt.revision} of this name")
    if decoded.stretches:
        remarks.append(f"{len(decoded.stretches)} stretches quarantined")
    if decoded.clock_invalid:
        remarks.append(f"{decoded.clock_invalid} without a believable time")
    return ", ".join(remarks)


def _stretch_row(receipt: Receipt, stretch: Stretch, run_id: str) -> Row:
    return {
        "file_sha256": receipt.file_sha256,
        "name": receipt.name,
        "byte_offset": stretch.offset,
        "bytes": stretch.length,
        "reason": str(stretch.reason),
        "detail": stretch.detail,
        "mission": receipt.mission,
        "instrument": receipt.instrument,
        "apid": stretch.apid,
        "packets": stretch.packets,
        "day": date.fromisoformat(receipt.day),
        "run_id": run_id,
    }
