# SPDX-License-Identifier: Apache-2.0
"""fsck of the raw archive: bytes, receipts, the order of arrival, and what ops.files and ops.quarantine say of them."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Any

import polars as pl

from ingest.intake import definitions_today
from lake.errors import StorageError
from lake.ledger import read_ops
from lake.store import RAW, RawArchive, Receipt
from swxlake.findings import FROM_BACKUP, Findings

SHA256 = re.compile(r"[0-9a-f]{64}")
AGAIN = "Run `swxlake rebuild` for a level-0 table of its instrument, which decodes it again."


def look_at_raw(found: Findings, receipts: dict[str, Receipt]) -> None:
    """Compare the bytes in raw/ with the receipts, and these with journal/arrivals."""
    _bytes(found, receipts)
    _arrivals(found, set(receipts))


def look_at_raw_books(found: Findings, receipts: dict[str, Receipt]) -> None:
    """Compare the receipts with ops.files, also in their order, and this with ops.quarantine."""
    _files(found, receipts)
    _places(found)
    _quarantine(found, receipts)


def read_receipts(found: Findings) -> dict[str, Receipt]:
    """Receipts by key; one that cannot be read, or lies under another name than its own, is a difference."""
    archive, receipts = RawArchive(found.lake), dict[str, Receipt]()
    for key, place in archive.keys().items():
        try:
            receipt = archive.receipt(place)
        except StorageError as error:
            found.problems.append(str(error))
            continue
        if (receipt.key, archive.bytes_key(receipt).rpartition("/")[0]) != (key, place.rpartition("/")[0]):
            what = f"is the receipt of {receipt.name}, which has another place"
            found.problem(found.uri(place), what, f"{FROM_BACKUP}.")
        receipts[key] = receipt
    found.counts["raw_files"] = len(receipts)
    return receipts


def _bytes(found: Findings, receipts: dict[str, Receipt]) -> None:
    """Receipts without their bytes, and bytes without a receipt."""
    archive = RawArchive(found.lake)
    of_bytes = {archive.bytes_key(receipt): receipt for receipt in receipts.values()}
    for key, receipt in of_bytes.items():
        if receipt.bytes and (wrong := found.differs(key, receipt.bytes, receipt.file_sha256)):
            remedy = f"Put {receipt.name} into the inbox again, or restore it from a backup."
            found.problem(found.uri(key), f"{wrong} ({receipt.name})", remedy)
    named = {*of_bytes, *archive.keys().values()}
    for entry in found.below(RAW):
        if entry.key in named:
            continue
        if SHA256.fullmatch(entry.key.rpartition("/")[2]):
            remedy = "Put the file into the inbox again, which writes the receipt, or restore that from a backup."
            found.problem(found.uri(entry.key), f"has no receipt, {found.age(entry)}", remedy)
        else:
            found.problem(found.uri(entry.key), "is neither raw file nor receipt", "Move it away.")


def arrivals(found: Findings) -> dict[str, dict[str, Any]]:
    """The entries of the order of arrival."""
    return found.journal("arrivals", receipts=list, first=int)


def _arrivals(found: Findings, keys: set[str]) -> None:
    """Each receipt has one place in the order of arrival, and each place has its receipt."""
    entries = arrivals(found)
    places = Counter(key for entry in entries.values() for key in entry["receipts"])
    for key in sorted(keys - places.keys()):
        found.problem(f"receipt {key}", "has no place in journal/arrivals", "Run `swxlake ingest`, which gives it one.")
    for number, entry in entries.items():
        place = found.uri(f"journal/arrivals/{number}.json")
        for key in entry["receipts"]:
            if key not in keys:
                found.problem(place, f"names the receipt {key}, which raw/ lacks", f"{FROM_BACKUP}.")
            if places[key] > 1:
                found.problem(place, f"names the receipt {key}, which another entry names too", f"{FROM_BACKUP}.")
    _gaps(found, entries)


def _gaps(found: Findings, entries: dict[str, dict[str, Any]]) -> None:
    """The entries follow each other without a gap."""
    following = 1
    for number, entry in sorted(entries.items()):
        if entry["first"] != following:
            place = found.uri(f"journal/arrivals/{number}.json")
            what = f"begins at place {entry['first']} instead of {following}: an entry before it is missing"
            found.problem(place, what, f"{FROM_BACKUP}, or which of two equal packets came first may change.")
        following = entry["first"] + len(entry["receipts"])


def _files(found: Findings, receipts: dict[str, Receipt]) -> None:
    """Each receipt has its row in ops.files, each row its receipt, and they agree."""
    rows = {row["receipt"]: row for row in read_ops(found.lake, "files").iter_rows(named=True)}
    today = definitions_today(found.lake)
    for key in sorted(receipts.keys() - rows.keys()):
        name = receipts[key].name
        found.problem(f"ops.files: {name}", f"has no row, but the receipt {key}", "Run `swxlake ingest`.")
    for key, row in rows.items():
        if (receipt := receipts.get(key)) is None:
            what = f"was decoded, but its receipt {key} is not in raw/"
            remedy = "Restore it from a backup, or put the file into the inbox again."
            found.problem(f"ops.files: {row['name']}", what, remedy)
            continue
        _row(found, receipt, row)
    outdated = [k for k, r in receipts.items() if k in rows and rows[k]["definition"] != _definition(today, r)]
    if outdated:
        found.notes.append(f"{len(outdated)} raw files wait to be decoded by new definitions; run `swxlake night`")


def _definition(today: dict[tuple[str, str], str], receipt: Receipt) -> str:
    return today.get((receipt.mission, receipt.instrument), "")


def _row(found: Findings, receipt: Receipt, row: dict[str, Any]) -> None:
    place = f"ops.files: {row['name']}"
    for name in ("file_sha256", "name", "bytes", "mission", "instrument", "revision"):
        if row[name] != getattr(receipt, name):
            found.problem(place, f"{name} is {row[name]!r}, the receipt has {getattr(receipt, name)!r}", AGAIN)
    if row["received_at"] != datetime.fromisoformat(receipt.received_at):
        what = f"received_at is {row['received_at'].isoformat()}, the receipt has {receipt.received_at}"
        found.problem(place, what, AGAIN)
    if row["bytes_decoded"] + row["bytes_quarantined"] != row["bytes"]:
        counted = f"{row['bytes_decoded']} bytes decoded and {row['bytes_quarantined']} quarantined"
        found.problem(place, f"{counted} do not make up {row['bytes']}", AGAIN)


def _places(found: Findings) -> None:
    """The place in the order of arrival that ops.files has is that of journal/arrivals."""
    places: dict[str, int] = {}
    for _, entry in sorted(arrivals(found).items()):
        for at, key in enumerate(entry["receipts"], entry["first"]):
            places.setdefault(key, at)
    for key, name, said in read_ops(found.lake, "files").select("receipt", "name", "arrival").iter_rows():
        if key in places and said is not None and said != places[key]:
            what = f"arrival is {said}, journal/arrivals has place {places[key]}"
            found.problem(f"ops.files: {name}", what, AGAIN)


def _quarantine(found: Findings, receipts: dict[str, Receipt]) -> None:
    """The stretches of ops.quarantine add up to what ops.files has, and belong to files that are there."""
    columns = ["file_sha256", "name", "bytes"]
    rows = read_ops(found.lake, "quarantine").filter(pl.col("file_sha256") != "").select(columns)
    by_name = rows.group_by("file_sha256", "name").agg(pl.col("bytes").sum())
    stretches = dict(by_name.group_by("file_sha256").agg(pl.col("bytes").max()).iter_rows())
    files = read_ops(found.lake, "files").select("file_sha256", "bytes_quarantined").iter_rows()
    said = dict(files)
    for sha256 in sorted(stretches.keys() | said.keys()):
        names = ", ".join(sorted(r.name for r in receipts.values() if r.file_sha256 == sha256)) or sha256
        listed, told = stretches.get(sha256, 0), said.get(sha256, 0)
        if listed != told:
            what = f"{listed} bytes are listed, ops.files says {told}"
            found.problem(f"ops.quarantine: {names}", what, AGAIN)
