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
from ingest.identities import Received
from ingest.l0 import Decoded, decode_file
from ingest.landing import Landed, land, refused_rows
from lake.ledger import incomplete_files, l0_definition, read_ops
from lake.reading import table_id
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
    damaged: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def count(self, decoded: Decoded) -> None:
        """Add what became of one file."""
        name = decoded.receipt.name
        self.files += 1
        self.packets += decoded.packets
        self.duplicates += decoded.duplicates
        self.bytes += decoded.receipt.bytes
        self.clock_invalid += decoded.clock_invalid
        self.quarantined += [(name, str(s.reason), s.offset, s.length) for s in decoded.stretches]
        message = "ingest file=%s bytes=%d packets=%d duplicates=%d quarantined=%d"
        log.info(message, name, decoded.receipt.bytes, decoded.packets, decoded.duplicates, decoded.bytes_quarantined)


def take_in(lake: Lake, paths: list[Path], run_id: str, now: datetime, settle_seconds: float) -> Intake:
    """Land the files of `paths`, then decode every archived file that is not decoded yet."""
    landed = land(lake, paths, now, settle_seconds) if paths else Landed()
    _note_refused(lake, landed, run_id)
    intake = Intake(landed)
    pending = pending_receipts(lake)
    unread = {receipt.file_sha256 for receipt in pending}
    for start in range(0, len(pending), FILES_PER_COMMIT):
        batch = Batch(lake, run_id, intake, unread)
        for receipt in pending[start : start + FILES_PER_COMMIT]:
            batch.take(receipt)
        batch.close()
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
    """Archived files that are not in today's tables as today's definitions say, in order of arrival."""
    archive, today = RawArchive(lake), definitions_today(lake)
    done = set(read_ops(lake, "files").select("receipt", "definition").iter_rows())
    incomplete = incomplete_files(lake)
    pending = []
    for key, path in archive.keys().items():
        mission, instrument = path.parts[-4:-2]
        if (key, today.get((mission, instrument), "")) not in done or key.partition("-")[0] in incomplete:
            pending.append(archive.receipt(path))
    return sorted(pending, key=lambda receipt: (receipt.received_at, receipt.name))


class Batch:
    """Files that are decoded one after the other, and the books about them, which are written together at the end.

    `unread` are the hashes of all files that are still to be decoded: their packets do not count as received before.
    """

    def __init__(self, lake: Lake, run_id: str, intake: Intake, unread: set[str]) -> None:
        self.lake, self.run_id, self.intake, self.unread = lake, run_id, intake, unread
        self.today, self.rows, self.received = definitions_today(lake), OpsRows(), Received(lake)
        self.decoded: list[Decoded] = []
        self.earlier = {(row["definition"], row["file_sha256"]): row for row in _ingested(lake, self.today)}
        unread.difference_update(sha256 for _, sha256 in self.earlier)

    def take(self, receipt: Receipt) -> None:
        """Decode a file, or note why there is nothing to decode."""
        definition = self.today.get((receipt.mission, receipt.instrument))
        damage = RawArchive(self.lake).damage(receipt)
        if damage:
            self.intake.damaged.append(damage)
        elif definition is None:
            self.rows.add("files", **_undefined(receipt, self.run_id))
            self.rows.add("quarantine", **_stretch_row(Decoded(receipt, ""), _whole(receipt), self.run_id))
            self.intake.undefined.append(receipt.name)
        elif receipt.bytes == 0:
            row = _file_row(Decoded(receipt, definition), self.run_id, "empty", "holds no byte")
            self.rows.add("files", **row)
            self.intake.empty.append(receipt.name)
        elif (definition, receipt.file_sha256) in self.earlier:
            row = _same_bytes(receipt, self.earlier[definition, receipt.file_sha256], self.run_id)
            self.rows.add("files", **row)
            self.intake.duplicates += row["duplicates"]
        else:
            self._decode(receipt)

    def _decode(self, receipt: Receipt) -> None:
        decoded = decode_file(self.lake, receipt, self.unread, self.received)
        self.unread.discard(receipt.file_sha256)
        self.decoded.append(decoded)
        row = _file_row(decoded, self.run_id, "ingested", _remark(decoded))
        self.rows.add("files", **row)
        self.earlier[decoded.definition, receipt.file_sha256] = row
        for stretch in decoded.stretches:
            self.rows.add("quarantine", **_stretch_row(decoded, stretch, self.run_id))
        self.intake.count(decoded)

    def close(self) -> None:
        """Write the books. ops.files comes last: a file without a row there is decoded again, which changes nothing."""
        self.received = Received(self.lake)  # frees its memory, which the search for gaps can use
        touched = defaultdict[tuple[str, str], set[date]](set)
        for decoded in self.decoded:
            touched[decoded.receipt.mission, decoded.receipt.instrument] |= {day for _, day in decoded.rows}
            for row in self._contents(decoded):
                self.rows.add("contents", **row)
        for (mission, name), days in touched.items():
            self.intake.missing += update_gaps(self.lake, mission, name, days)
        _forget_quarantine(self.lake, {decoded.receipt.file_sha256 for decoded in self.decoded})
        for table in ("quarantine", "contents", "files"):
            append_ops(self.lake, table, self.rows.rows.get(table, []))

    def _contents(self, decoded: Decoded) -> list[dict[str, Any]]:
        tables = {address for address, _ in decoded.rows}
        identities = {address: table_id(self.lake, self.lake.definitions.tables[address]) for address in tables}
        return [
            {
                "table_name": address,
                "day": day,
                "file_sha256": decoded.receipt.file_sha256,
                "rows": count,
                "new_rows": decoded.new_rows[address, day],
                "definition": decoded.definition,
                "table_id": identities[address],
                "run_id": self.run_id,
            }
            for (address, day), count in decoded.rows.items()
        ] or [self._nothing(decoded)]

    def _nothing(self, decoded: Decoded) -> dict[str, Any]:
        """The row that says that a file gave no rows, so that what an earlier decoding gave no longer counts."""
        return {
            "table_name": "",
            "day": date.fromisoformat(decoded.receipt.day),
            "file_sha256": decoded.receipt.file_sha256,
            "rows": 0,
            "new_rows": 0,
            "definition": decoded.definition,
            "table_id": "",
            "run_id": self.run_id,
        }


def _forget_quarantine(lake: Lake, fresh: set[str]) -> None:
    """Remove what was quarantined of these files before: they have just been decoded anew, with other definitions."""
    stale = fresh & set(read_ops(lake, "quarantine")["file_sha256"])
    if stale:
        listed = ", ".join(f"'{sha256}'" for sha256 in sorted(stale))
        replace_ops(lake, "quarantine", [], f"file_sha256 IN ({listed})")


def _ingested(lake: Lake, today: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Rows of ops.files about files whose rows are all there."""
    of_today = pl.col("definition").is_in(list(today.values()))
    complete = ~pl.col("file_sha256").is_in(list(incomplete_files(lake)))
    return read_ops(lake, "files").filter(pl.col("status") == "ingested", of_today, complete).to_dicts()


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
