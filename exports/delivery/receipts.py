# SPDX-License-Identifier: Apache-2.0
"""Receipts: what a recipient says of files that it got, in `receipts/*.json` of its own folder.

A receipt is a JSON object: `path` with the file's `sha256`, or `batch`; `status`, accepted or rejected; `reason`.
Each is read once. It comes from outside, so nothing in it is believed that the ledger does not know, and one that
cannot be read is told of once and keeps nothing from being sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

from exports.delivery.nouns import Event, parcel_in
from lake.errors import PathError
from lake.ways.transport import Transport

RECEIPTS = "receipts"
NAME = re.compile(r"[\w.-]+\.json")  # no other character: the ledger knows by its name that a receipt was read
LARGEST_BYTES = 1_000_000  # a receipt about a file or a batch has some hundreds
ASK = "Ask the recipient, and have it written again under a new name."
LONGEST_REASON = 300  # characters; the rest is in the receipt


@dataclass(frozen=True)
class Receipt:
    """A receipt about one path or one batch."""

    name: str
    status: Literal["accepted", "rejected"]
    path: str
    sha256: str
    batch: str
    reason: str

    @property
    def detail(self) -> str:
        """What the ledger notes: the receipt, and what it says."""
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Unread:
    """A receipt, by its path, of which nothing can be believed, and what is wrong with it in words."""

    name: str
    wrong: str


def new_receipts(
    transport: Transport, history: pl.DataFrame, was_told: Callable[[str], bool]
) -> Iterator[Receipt | Unread]:
    """Receipts that were not read before, and not told of as unread. Raises WayError if they cannot be listed."""
    told = history.filter(pl.col("event").is_in(["accepted", "rejected"]))["detail"].str.split(": ").list.first()
    known = set(told)
    for name in (name for name in transport.names(RECEIPTS) if name.endswith(".json")):  # others are none of ours
        path = f"{RECEIPTS}/{name}"
        if path not in known and not was_told(path):
            yield _receipt(transport, path)


def _receipt(transport: Transport, path: str) -> Receipt | Unread:
    """A receipt that is fetched, unless it has a size or a name that receipts do not have. Raises WayError."""
    if not NAME.fullmatch(path.removeprefix(f"{RECEIPTS}/")):
        return Unread(path, "is no name of a receipt; those have letters, digits, . _ -")
    try:
        if (transport.size(path) or 0) > LARGEST_BYTES:
            return Unread(path, f"is larger than {LARGEST_BYTES} bytes. {ASK}")
        return _read(path, transport.read(path) or b"")
    except PathError as error:
        return Unread(path, f"cannot be read ({error}). {ASK}")


def _read(path: str, content: bytes) -> Receipt | Unread:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):  # no JSON, no text, or nested without end
        found = None
    if not isinstance(found, dict) or found.get("status") not in ("accepted", "rejected"):
        return Unread(path, f"is no JSON object with the status accepted or rejected. {ASK}")
    text = {key: _text(found.get(key)) for key in ("path", "sha256", "batch", "reason")}
    if bool(text["path"]) == bool(text["batch"]) or (text["path"] and not text["sha256"]):
        return Unread(path, f"names neither a batch nor a path with its sha256. {ASK}")
    return Receipt(path, found["status"], **text | {"sha256": text["sha256"].lower()})


def _text(value: Any) -> str:
    """A text of one printable line; empty for what is no text."""
    words = " ".join(value.split()) if isinstance(value, str) else ""
    return "".join(letter for letter in words if letter.isprintable())[:LONGEST_REASON]


def events_of(receipt: Receipt, stands: pl.DataFrame, history: pl.DataFrame, now: datetime) -> list[Event]:
    """What a receipt says of files that the recipient has; empty if the ledger knows none that it could be about."""
    about = (pl.col("path") == receipt.path) & (pl.col("sha256") == receipt.sha256)
    if receipt.batch:
        sent = history.filter(pl.col("batch") == receipt.batch, pl.col("event") == "delivered")
        about = pl.col("path").is_in(sent["path"].to_list())
    rows = stands.filter(about, pl.col("held"))
    return [
        Event(parcel_in(row), receipt.status, now, row["delivered_at"], row["verified_at"], receipt.detail)
        for row in rows.iter_rows(named=True)
    ]
