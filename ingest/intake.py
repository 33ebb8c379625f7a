# SPDX-License-Identifier: Apache-2.0
"""Intake: land what is new, decode what has not been decoded with today's definitions, and keep the books."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from ingest.ccsds import Reason, Stretch
from ingest.gaps import update_gaps
from ingest.l0 import Decoded, decode_file
from ingest.landing import Landed, land, refused_rows
from lake.ledger import l0_definition, read_ops
from lake.store import Lake, RawArchive, Receipt
from lake.tables import OpsRows, append_ops, replace_ops

log = logging.getLogger(__name__)

FILES_PER_COMMIT = 50


@dataclass
class Intake:
    """What an intake did."""

    landed: Landed
    files: int = 0
    packets: int = 0
    duplicates: int = 0
    bytes: int = 0
    quarantined: list[tuple[str, str, int, int]] = field(default_factory=list)
    undefined: list[str] = field(default_factory=list)
    clock_invalid: int = 0
    missing: int = 0


def take_in(lake: Lake, paths: list[Path], run_id: str, now: datetime, settle_seconds: float) -> Intake:
    """Land the files of `paths`, then decode every archived file that is not decoded yet."""
    landed = land(lake, paths, now, settle_seconds) if paths else Landed()
    _note_refused(lake, landed, run_id)
    intake = Intake(landed)
    pending = pending_receipts(lake)
    unread = {receipt.file_sha256 for receipt in pending}
    for start in range(0, len(pending), FILES_PER_COMMIT):
        _decode_batch(lake, pending[start : start + FILES_PER_COMMIT], run_id, intake, unread)
    return intake


def _note_refused(lake: Lake, landed: Landed, run_id: str) -> None:
    """Write refused files to ops.quarantine, each once as long as its name, size and reason stay the same."""
    rows = OpsRows()
    refused_rows(landed.refused, run_id, rows)
    new = rows.rows.get("quarantine", [])
    if new:
        known = set(read_ops(lake, "quarantine").select("name", "bytes", "reason").iter_rows())
        append_ops(lake, "quarantine", [r for r in new if (r["name"], r["bytes"], r["reason"]) not in known])


def definitions_today(lake: Lake) -> dict[tuple[str, str], str]:
    """Fingerprint of the L0 definitions by mission and instrument."""
    return {(m.name, i.name): l0_definition(m, i) for m in lake.definitions.missions for i in m.instruments}


def pending_receipts(lake: Lake) -> list[Receipt]:
    """Archived files that today's definitions have not decoded, in order of arrival."""
    archive, today = RawArchive(lake), definitions_today(lake)
    done = set(read_ops(lake, "files").select("receipt", "definition").iter_rows())
    pending = []
    for key, path in archive.keys().items():
        mission, instrument = path.parts[-4:-2]
        if (key, today.get((mission, instrument), "")) not in done:
            pending.append(archive.receipt(path))
    return sorted(pending, key=lambda receipt: (receipt.received_at, receipt.name))


def _decode_batch(lake: Lake, receipts: list[Receipt], run_id: str, intake: Intake, unread: set[str]) -> None:
    """Decode files in order of arrival, then write the books about them; takes them out of `unread`."""
    rows, touched = OpsRows(), defaultdict[tuple[str, str], set[date]](set)
    today, fresh = definitions_today(lake), set[str]()
    earlier = {(row["definition"], row["file_sha256"]): row for row in _ingested(lake, today)}
    unread.difference_update(sha256 for _, sha256 in earlier)
    for receipt in receipts:
        instrument = (receipt.mission, receipt.instrument)
        if instrument not in today:
            rows.add("files", **_undefined(receipt, run_id))
            rows.add("quarantine", **_stretch_row(Decoded(receipt, ""), _whole(receipt), run_id))
            intake.undefined.append(receipt.name)
        elif receipt.bytes == 0:
            rows.add("files", **_file_row(Decoded(receipt, today[instrument]), run_id, "empty", "holds no byte"))
        elif (today[instrument], receipt.file_sha256) in earlier:
            rows.add("files", **_same_bytes(receipt, earlier[today[instrument], receipt.file_sha256], run_id))
        else:
            decoded = decode_file(lake, receipt, unread)
            unread.discard(receipt.file_sha256)
            fresh.add(receipt.file_sha256)
            row = _note_decoded(decoded, run_id, rows, intake)
            earlier[decoded.definition, receipt.file_sha256] = row
            touched[instrument] |= {day for _, day in decoded.rows}
    for (mission, name), days in touched.items():
        intake.missing += update_gaps(lake, mission, name, days)
    _forget_quarantine(lake, fresh)
    # ops.files comes last: a file without a row there is decoded again, which changes nothing.
    for table in ("quarantine", "contents", "files"):
        append_ops(lake, table, rows.rows.get(table, []))


def _forget_quarantine(lake: Lake, fresh: set[str]) -> None:
    """Remove what was quarantined of these files before: they have just been decoded anew, with other definitions."""
    stale = fresh & set(read_ops(lake, "quarantine")["file_sha256"])
    if stale:
        listed = ", ".join(f"'{sha256}'" for sha256 in sorted(stale))
        replace_ops(lake, "quarantine", [], f"file_sha256 IN ({listed})")


def _ingested(lake: Lake, today: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
    of_today = pl.col("definition").is_in(list(today.values()))
    return read_ops(lake, "files").filter(pl.col("status") == "ingested", of_today).to_dicts()


def _note_decoded(decoded: Decoded, run_id: str, rows: OpsRows, intake: Intake) -> dict[str, Any]:
    receipt = decoded.receipt
    row = _file_row(decoded, run_id, "ingested", _remark(decoded))
    rows.add("files", **row)
    for stretch in decoded.stretches:
        rows.add("quarantine", **_stretch_row(decoded, stretch, run_id))
        intake.quarantined.append((receipt.name, str(stretch.reason), stretch.offset, stretch.length))
    for (table, day), count in decoded.rows.items():
        rows.add(
            "contents",
            table_name=table,
            day=day,
            file_sha256=receipt.file_sha256,
            rows=count,
            new_rows=decoded.new_rows[table, day],
            definition=decoded.definition,
            run_id=run_id,
        )
    intake.files += 1
    intake.packets += decoded.packets
    intake.duplicates += decoded.duplicates
    intake.bytes += receipt.bytes
    intake.clock_invalid += decoded.clock_invalid
    message = "ingest file=%s bytes=%d packets=%d duplicates=%d quarantined=%d"
    log.info(message, receipt.name, receipt.bytes, decoded.packets, decoded.duplicates, decoded.bytes_quarantined)
    return row


def _remark(decoded: Decoded) -> str:
    remarks = []
    if decoded.receipt.revision > 1:
        remarks.append(f"revision {decoded.receipt.revision} of this name")
    if decoded.stretches:
        remarks.append(f"{len(decoded.stretches)} stretches quarantined")
    if decoded.clock_invalid:
        remarks.append(f"{decoded.clock_invalid} packets with an impossible clock")
    return ", ".join(remarks)


def _file_row(decoded: Decoded, run_id: str, status: str, reason: str) -> dict[str, Any]:
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
        "definition": decoded.definition,
        "receipt": receipt.key,
        "run_id": run_id,
    }


def _undefined(receipt: Receipt, run_id: str) -> dict[str, Any]:
    """A file of an instrument without packet definitions: archived, refused, all of its bytes quarantined."""
    whole = _whole(receipt)
    reason = f"{whole.reason}: {whole.detail}"
    return _file_row(Decoded(receipt, ""), run_id, "refused", reason) | {"bytes_quarantined": receipt.bytes}


def _whole(receipt: Receipt) -> Stretch:
    detail = f"missions/{receipt.mission}/{receipt.instrument} defines no packets"
    return Stretch(0, receipt.bytes, Reason.NO_DEFINITION, detail)


def _same_bytes(receipt: Receipt, earlier: dict[str, Any], run_id: str) -> dict[str, Any]:
    """A file whose bytes came before under another name: every packet is a duplicate."""
    row = _file_row(Decoded(receipt, earlier["definition"]), run_id, "ingested", f"same bytes as {earlier['name']}")
    copied = ("bytes_decoded", "bytes_quarantined", "packets")
    return row | {name: earlier[name] for name in copied} | {"duplicates": earlier["packets"]}


def _stretch_row(decoded: Decoded, stretch: Stretch, run_id: str) -> dict[str, Any]:
    receipt = decoded.receipt
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
