# SPDX-License-Identifier: Apache-2.0
"""What is told of a batch at the recipient: its manifest, and lines of changes. Both follow from the ledger alone.

A batch that puts a newer version of a product-day beside an older one has two changes: the new file is `added` and says
what it supersedes, the old one is `superseded`. It stays where it is. A file that was lost and sent again is
`restored`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import polars as pl

from exports.delivery.selection import version_number
from exports.utc import iso_utc

MANIFESTS, PIECES, FEED = "manifests", "changes", "changes.jsonl"
PRODUCT_DAY = ["product", "day", "format"]
SENT_FACTS = ("md5", "records", "first_epoch_tt2000", "last_epoch_tt2000")

Change = dict[str, Any]  # a line of the feed


def changes(history: pl.DataFrame) -> Iterator[Change]:
    """What changed at a recipient, in order, given all events of some product-days there."""
    events = history.filter(pl.col("event").is_in(["delivered", "withdrawn"])).with_columns(number=version_number())
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    sent, withdrawn = set[str](), set[str]()
    for row in events.iter_rows(named=True):
        if row["event"] == "withdrawn":
            withdrawn.add(row["path"])
            yield _change(row, row, "withdrawn", reason=row["detail"])
            continue
        if row["path"] in sent:
            yield _change(row, row, "restored")
            continue
        sent.add(row["path"])
        last = newest.get(key := tuple(row[name] for name in PRODUCT_DAY))
        if last is None or last["number"] <= row["number"]:
            newest[key] = row
        if last is None or last["number"] >= row["number"]:
            yield _change(row, row, "added")
            continue
        if last["path"] not in withdrawn:
            yield _change(last, row, "superseded", superseded_by=row["path"])
        yield _change(row, row, "added", supersedes=last["path"])


def _change(
    row: dict[str, Any],
    cause: dict[str, Any],
    change: Literal["added", "restored", "superseded", "withdrawn"],
    **also: str,
) -> Change:
    """A change of the file in `row`, in the batch of the event that is its cause."""
    facts = {name: row[name] for name in ("product", "version", "format", "dataset", "path", "bytes", "sha256")}
    when = {"batch": cause["batch"], "at": cause["attempted_at"].isoformat(), "day": row["day"].isoformat()}
    return facts | when | {"change": change} | also


def changes_of(history: pl.DataFrame, batch: str) -> list[Change]:
    """The changes of one batch; product-days that are not in it are not looked at."""
    days = history.filter(pl.col("batch") == batch).select(PRODUCT_DAY).unique()
    return [change for change in changes(history.join(days, on=PRODUCT_DAY, how="semi")) if change["batch"] == batch]


def manifest(recipient: str, batch: str, found: Iterable[Change], events: Iterable[dict[str, Any]]) -> bytes:
    """The manifest of a batch as JSON, from its changes and its events in the journal."""
    facts = {event["path"]: event for event in events}
    files = [_described(change, facts.get(change["path"], {})) for change in found]
    content = {"batch": batch, "recipient": recipient, "files": files}
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def _described(change: Change, event: dict[str, Any]) -> dict[str, Any]:
    """A change as the manifest has it: of a file that was sent, with what only the journal knows."""
    plain = {name: value for name, value in change.items() if name != "batch"}
    if change["change"] not in ("added", "restored"):
        return plain
    epochs = {f"{end}_epoch_utc": utc_text(event.get(f"{end}_epoch_tt2000")) for end in ("first", "last")}
    return plain | {name: event.get(name) for name in SENT_FACTS} | epochs


def lines(found: Iterable[Change]) -> Iterator[bytes]:
    """Changes as JSON lines."""
    return (json.dumps(change, sort_keys=True).encode() + b"\n" for change in found)


def utc_text(tt2000: int | None) -> str | None:
    """TT2000 [ns] as UTC in ISO 8601, to the nanosecond; None for none. Within a leap second the second is 60."""
    return None if tt2000 is None else f"{iso_utc(tt2000)}Z"
