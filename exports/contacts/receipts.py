# SPDX-License-Identifier: Apache-2.0
"""Receipts for an operations center: one JSON for each file that came, of what became of it. facts: our contract, E1.

Each is written once, in the order of arrival: to the journal (`moc-receipts`), and from there to its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time
from typing import Any, Literal

import polars as pl

from exports.contacts.facts import name_of, newest_receptions, one_line
from exports.contacts.numbering import highest_number
from exports.contacts.outbox import Entry, File, Outbox
from exports.contacts.settings import Answers
from exports.contacts.spans import gaps_of_files, spans
from lake.ledger import RUN_TIME, current_contents, read_ops
from lake.state import State
from lake.store import Lake

KIND = "moc-receipts"
FORM = "swxlake receipt 1"
PER_ENTRY = 100  # so many may be sent again, with the same names and bytes, if a process dies while it sends them
MARK = 16  # hexadecimal digits by which a delivery that was told is known; of 10^6 none is mistaken for another
GAP_COLUMNS = ("apid", "kind", "missing", "sequence_from", "sequence_to", "start_time", "end_time")

Status = Literal["landed", "duplicate", "refused", "quarantined"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """What became of a delivery. `received_at` is ISO UTC; sha256 and size are None where the file was not read."""

    delivery_id: str
    name: str
    sha256: str | None
    size: int | None
    received_at: str | None
    status: Status
    reason: str
    packets: int = 0
    apids: tuple[int, ...] = ()
    gaps: tuple[Row, ...] = ()


def write_receipts(lake: Lake, answers: Answers, now: datetime) -> int:
    """Write to the journal what is to be told and was not; the number of receipts.

    Raises WayError, and writes none, if there are some and the center cannot be asked which numbers it has.
    """
    box, number, complete = Outbox(lake, KIND), 0, False
    highest: int | None = None
    while not complete:
        keys = box.numbers()
        news = new_receipts(lake, answers, _told(lake, box, keys))
        if news and highest is None:
            highest = _highest(answers, box, keys, now)
        written = _write(box, keys, news, now, highest or 0)
        number, complete = number + written, written == len(news)  # else another process was here, too
    if number:
        _told(lake, box, box.numbers())
    return number


def waiting(lake: Lake, answers: Answers) -> list[Receipt]:
    """What would be written. Nothing is."""
    box = Outbox(lake, KIND)
    marks = {mark(one["delivery_id"]) for key in box.numbers() for one in box.entry(key)["receipts"]}
    return new_receipts(lake, answers, marks)


def _highest(answers: Answers, box: Outbox, keys: Sequence[str], now: datetime) -> int:
    """The highest number that the center has of those that were written since the last entry that is known here."""
    last = datetime.fromisoformat(box.entry(keys[-1])["at"]).date() if keys else None
    return highest_number(answers, last, now.date())


def _write(box: Outbox, keys: Sequence[str], news: Sequence[Receipt], now: datetime, highest: int) -> int:
    """Write receipts behind the last entry, above a number; how many were written before another process wrote some."""
    last = box.entry(keys[-1]) if keys else {}
    first = max(int(last.get("first", 1)) + len(last.get("receipts", ())), highest + 1)
    known = list(keys)
    for start in range(0, len(news), PER_ENTRY):
        own = [asdict(one) for one in news[start : start + PER_ENTRY]]
        key = box.add(known, {"at": now.isoformat(), "first": first + start, "receipts": own})
        if key is None:
            return start
        known.append(key)
    return len(news)


def _told(lake: Lake, box: Outbox, keys: Sequence[str]) -> set[str]:
    """Marks of the deliveries that were told. State has those of the entries that were read before."""
    state = State(lake, "contacts")
    known = state.read("told")
    marks, through = set(known.get("marks", ())), str(known.get("through", ""))
    if through and through not in keys:  # of another journal, such as that of a lake that was restored
        marks, through = set(), ""
    unread = [key for key in keys if key > through]
    for key in unread:
        marks |= {mark(one["delivery_id"]) for one in box.entry(key)["receipts"]}
    if unread:
        state.write("told", {"through": keys[-1], "marks": sorted(marks)})
    return marks


def mark(delivery_id: str) -> str:
    """What is kept of a delivery in order to know it again."""
    return hashlib.sha256(delivery_id.encode()).hexdigest()[:MARK]


def files_of(answers: Answers, entry: Entry) -> Iterator[File]:
    """The files of an entry: <folder>/<day>/<number>-<delivery_id>.json. No two have one name."""
    for number, receipt in enumerate(entry["receipts"], entry["first"]):
        content = json.dumps({"form": FORM, "number": number} | receipt, indent=1) + "\n"
        yield f"{answers.receipts}/{entry['at'][:10]}/{number:08}-{receipt['delivery_id']}.json", content.encode()


# ---- what is to be told --------------------------------------------------------------------------------------------
def new_receipts(lake: Lake, answers: Answers, told: AbstractSet[str]) -> list[Receipt]:
    """Receipts of deliveries that were not told, in the order of arrival. Nothing is written."""
    since = datetime.combine(answers.since, time(), UTC) if answers.since else datetime.min.replace(tzinfo=UTC)
    files, receptions = read_ops(lake, "files"), read_ops(lake, "receptions")
    news = [*_of_receptions(receptions, files, since), *_of_names(lake, receptions, since)]
    landed = files.filter(pl.col("received_at") >= since)
    landed = landed.filter(pl.Series([mark(key) not in told for key in landed["receipt"]], dtype=pl.Boolean))
    news += _of_files(lake, landed)
    new = {one.delivery_id: one for one in news if mark(one.delivery_id) not in told}
    places = dict(landed.select("receipt", pl.col("arrival").fill_null(0)).iter_rows())
    return sorted(
        new.values(), key=lambda one: (one.received_at or "", places.get(one.delivery_id, 0), one.delivery_id)
    )


def _of_files(lake: Lake, files: pl.DataFrame) -> Iterator[Receipt]:
    """Receipts of files that were archived and looked at."""
    if files.is_empty():
        return
    contents = current_contents(lake).filter(pl.col("file_sha256").is_in(files["file_sha256"].to_list()))
    found = spans(lake, contents)
    apids = dict(found.group_by("file_sha256").agg(pl.col("apid").unique().sort()).iter_rows())
    gaps = gaps_of_files(found, read_ops(lake, "gaps"), read_ops(lake, "files"))
    by_file = {key: rows for (key,), rows in gaps.partition_by("file_sha256", as_dict=True).items()}
    mismatches = _mismatches(lake)
    for row in files.iter_rows(named=True):
        status, reason = _status(row, mismatches.get((row["file_sha256"], row["name"]), ""))
        own = by_file.get(row["file_sha256"]) if status != "duplicate" else None
        yield Receipt(
            row["receipt"], row["name"], row["file_sha256"], row["bytes"], utc_text(row["received_at"]), status, reason,
            row["packets"], tuple(apids.get(row["file_sha256"], ())), () if own is None else tuple(_gaps(own)),
        )  # fmt: skip


def _mismatches(lake: Lake) -> dict[tuple[str, str], str]:
    """Why archived files, by hash and name, are not what their source announced: manifest or sidecar is another's."""
    rows = newest_receptions(lake).filter(pl.col("state") == "mismatched", pl.col("file_sha256").is_not_null())
    found = rows.select("file_sha256", "path", "detail").iter_rows()
    return {(sha256, name_of(path)): one_line(detail) for sha256, path, detail in found}


def _status(row: Row, mismatch: str) -> tuple[Status, str]:
    """What became of an archived file, and why in words."""
    reason = one_line(row["reason"] or "")
    quarantined = row["bytes_quarantined"]
    part = f"{quarantined} of {row['bytes']} bytes are quarantined" if quarantined else ""
    again = f"revision {row['revision']} of this name" if row["revision"] > 1 else ""
    words = "; ".join(word for word in (part, reason, mismatch, again) if word)
    if row["status"] == "empty":
        return "refused", words
    if row["status"] == "refused" or (quarantined and not row["packets"]):
        return "quarantined", words
    if row["packets"] and row["duplicates"] == row["packets"]:
        return "duplicate", words or "every packet had been received before"
    return "landed", words


def _gaps(rows: pl.DataFrame) -> Iterator[Row]:
    for row in rows.select(GAP_COLUMNS).sort("apid", "start_time", "sequence_from").iter_rows(named=True):
        yield {
            "apid": row["apid"],
            "kind": row["kind"] or "loss",
            "packets": row["missing"],
            "from": row["sequence_from"],
            "to": row["sequence_to"],
            "after": utc_text(row["start_time"]),
            "before": utc_text(row["end_time"]),
        }


def _of_receptions(receptions: pl.DataFrame, files: pl.DataFrame, since: datetime) -> Iterator[Receipt]:
    """Receipts of files that sources gave and that were not archived: known ones, and refused ones."""
    archived = {(row[0], row[1]): row[2] for row in files.select("file_sha256", "name", "received_at").iter_rows()}
    told: tuple[tuple[str, Status], ...] = (("known", "duplicate"), ("refused", "refused"), ("mismatched", "refused"))
    rows = receptions.filter(pl.col("noted_at") >= since, pl.col("state").is_in([state for state, _ in told]))
    for row in rows.iter_rows(named=True):
        name, sha256 = name_of(row["path"]), row["file_sha256"]
        if row["state"] == "mismatched" and sha256 is not None:
            continue  # it was archived, and its receipt says so as soon as it was looked at
        landed_at = archived.get((sha256, name))
        if row["state"] == "known" and landed_at is not None and landed_at >= row["first_seen_at"]:
            continue  # this delivery is the one that was archived, and was looked at again
        identity = [row[key] for key in ("source", "path", "state", "file_sha256")] + [utc_text(row["noted_at"])]
        reason = one_line(row["detail"] or ("its bytes and name had come before" if row["state"] == "known" else ""))
        yield Receipt(
            _id("reception", identity), one_line(name), sha256, row["bytes"], utc_text(row["noted_at"]),
            dict(told)[row["state"]], reason,
        )  # fmt: skip


def _of_names(lake: Lake, receptions: pl.DataFrame, since: datetime) -> Iterator[Receipt]:
    """Receipts of files that were refused by their name in a drop folder, and so have no bytes in the books."""
    by_source = {name_of(path) for path in receptions.filter(pl.col("state") == "refused")["path"]}
    for row in read_ops(lake, "quarantine").filter(pl.col("file_sha256") == "").iter_rows(named=True):
        at = _time_of_run(row["run_id"])
        if row["name"] not in by_source and (at is None or at >= since):
            reason = one_line(f"{row['reason']}: {row['detail']}")
            identity = _id("name", [row["name"], row["reason"]])
            yield Receipt(identity, one_line(row["name"]), None, row["bytes"], utc_text(at), "refused", reason)


def _id(kind: str, parts: Sequence[str | None]) -> str:
    return f"{kind}-{hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:32]}"


def _time_of_run(run_id: str) -> datetime | None:
    """When a run began, by its id; None if the id tells no time."""
    try:
        return datetime.strptime(run_id.partition("Z")[0], RUN_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def utc_text(at: datetime | None) -> str | None:
    """2026-08-01T12:00:00.000000Z; None for no time."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
