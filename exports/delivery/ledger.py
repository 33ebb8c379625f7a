# SPDX-License-Identifier: Apache-2.0
"""What every recipient has received: entries of journal/deliveries are the truth, ops.deliveries is made from them.

An entry holds some tens of events of one recipient. Its key begins with the time of its run and sorts after all before
it, and events have a number within their entry, so that it is known which event of a path is the last.
`delivery-batches` has the batches of which manifest, feed and catalogue are at the recipient, `delivery-notes` what was
told about a recipient and is not told again. What was sent to another place than where a recipient is now counts for
nothing: an entry has the place that it is about, and one without is about the present place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import polars as pl

from exports.delivery.nouns import ANSWERS, HELD, Event
from lake.errors import StorageError
from lake.reading import scan
from lake.store import JOURNAL, Journal, Lake
from lake.tables import append_ops, ops_arrow

KIND, CLOSED, NOTED = "deliveries", "delivery-batches", "delivery-notes"
EVENTS_PER_ENTRY = 32  # what a crash keeps from the journal is hashed again at the recipient by the next run
ENTRIES_PER_COMMIT = 256  # of entries that are read back after ops.deliveries was lost: some ten thousand rows
STAMP = "%Y%m%dT%H%M%S.%fZ"
KEY = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\d{4,}-.+-\d{4,}")  # time of the run, batch, recipient, part
TIMES = ("attempted_at", "delivered_at", "verified_at")
FILE = ("product", "version", "format", "dataset", "path", "bytes", "sha256")


def row_of(event: dict[str, Any], number: int, entry: dict[str, Any], key: str) -> dict[str, Any]:
    """The row of ops.deliveries about an event of an entry, which has this number in it."""
    times = {name: datetime.fromisoformat(event[name]) if event[name] else None for name in TIMES}
    facts = {name: event[name] for name in (*FILE, "event")}
    about = {"recipient": entry["recipient"], "batch": entry["batch"], "entry": key, "number": number}
    about["place"] = entry.get("place")
    return facts | times | about | {"day": date.fromisoformat(event["day"]), "detail": event["detail"] or None}


def json_of(event: Event) -> dict[str, Any]:
    """An event as its entry has it; what was sent with what the manifest says of it."""
    times = {name: time.isoformat() if (time := getattr(event, name)) else None for name in TIMES}
    parcel = asdict(replace(event.parcel, key="")) | {"day": event.parcel.day.isoformat()}
    del parcel["key"]
    return parcel | times | {"event": event.event, "detail": event.detail, "md5": event.md5}


class Ledger:
    """The ledger in one run: it writes entries to the journal, and their rows to ops.deliveries.

    With `dry` nothing is written; what the journal has and the table lacks is seen nevertheless. `places` says where
    recipients are; of one that is not in it, all events count.
    """

    def __init__(
        self, lake: Lake, now: datetime, places: Mapping[str, str] = MappingProxyType({}), dry: bool = False
    ) -> None:
        self.lake, self.journal, self.places, self.dry = lake, Journal(lake), places, dry
        known = set(scan(lake, lake.ops(KIND)).select(pl.col("entry").unique()).collect()["entry"])
        keys = _checked(lake, self.journal.keys(KIND))
        self.unread = [key for key in keys if key not in known]
        self.now = _after(max(keys, default=""), now)
        self.number = 0
        self.read: dict[str, pl.DataFrame] = {}
        if not dry:
            self.catch_up()

    def catch_up(self) -> None:
        """Append to ops.deliveries what the journal has and it lacks."""
        while keys := self.unread[:ENTRIES_PER_COMMIT]:
            name = hashlib.sha256(" ".join(keys).encode()).hexdigest()
            rows = list(self._rows(keys))
            append_ops(self.lake, KIND, rows, f"{KIND}/{name}")
            self.read = {of: self._with(found, of, rows) for of, found in self.read.items()}
            self.unread = self.unread[ENTRIES_PER_COMMIT:]

    def _rows(self, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        for key in keys:
            entry = self.journal.entry(KIND, key) or {"events": []}
            yield from (row_of(event, number, entry, key) for number, event in enumerate(entry["events"]))

    def history(self, recipient: str) -> pl.DataFrame:
        """All events of a recipient at its present place, in order.

        They are read once; what was noted since is added to them.
        """
        if self.unread and not self.dry:
            self.catch_up()
        if recipient not in self.read:
            self.read = {recipient: self._history(recipient)}  # one at a time
        return self.read[recipient]

    def _history(self, recipient: str) -> pl.DataFrame:
        rows = scan(self.lake, self.lake.ops(KIND)).filter(pl.col("recipient") == recipient).drop("recipient").collect()
        return self._with(rows, recipient, list(self._rows(self.unread)))  # which are there in a dry run alone

    def _with(self, found: pl.DataFrame, recipient: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
        """The events of a recipient and those of them in these rows, in order; none of another place."""
        mine = [row for row in rows if row["recipient"] == recipient]
        more = pl.DataFrame(ops_arrow(self.lake.ops(KIND), mine)).drop("recipient").cast(found.schema)
        here = pl.col("place").fill_null(place := self.places.get(recipient, "")) == place
        return pl.concat([found, more]).filter(here | (place == "")).sort("entry", "number")

    def new_batch(self, recipient: str) -> str:
        """The name of a batch that is new: it sorts after all before."""
        self.number += 1
        return f"{self.now:{STAMP}}-{self.number:04d}-{recipient}"

    def write(self, recipient: str, batch: str, part: int, events: Sequence[Event]) -> None:
        """Write events to the journal."""
        self.lake.storage.still_alone()
        key = f"{batch}-{part:04d}"
        entry: dict[str, Any] = {"recipient": recipient, "batch": batch, "place": self.places.get(recipient)}
        entry["events"] = [json_of(event) for event in events]
        if not self.journal.write_once(KIND, key, entry):
            raise StorageError(f"{key}: another process has written this entry of the ledger. Repeat when it is done.")
        self.unread.append(key)

    def entries(self, batch: str) -> Iterator[dict[str, Any]]:
        """Events of a batch as the journal has them, in order."""
        for key in self.journal.keys(KIND, f"{batch}-"):
            yield from (self.journal.entry(KIND, key) or {"events": []})["events"]

    def open_batches(self, history: pl.DataFrame) -> list[str]:
        """Batches of a recipient that changed something there and are not closed, the oldest first."""
        return sorted(set(changing_batches(history)) - set(self.journal.keys(CLOSED)))

    def is_news(self, recipient: str, subject: str) -> bool:
        """Note that something is told about a recipient; False if it was told before."""
        content = {"recipient": recipient, "subject": subject, "at": self.now.isoformat()}
        return self.journal.write_once(NOTED, _note(recipient, subject), content)

    def was_told(self, recipient: str, subject: str) -> bool:
        """Whether something was told about a recipient."""
        return self.journal.entry(NOTED, _note(recipient, subject)) is not None

    def close(self, recipient: str, batch: str) -> None:
        """Note that manifest, feed and catalogue tell of a batch."""
        self.journal.write_once(CLOSED, batch, {"recipient": recipient, "at": self.now.isoformat()})


def changing_batches(history: pl.DataFrame) -> list[str]:
    """Batches of a recipient that changed something there, the oldest first."""
    changed = history.filter(pl.col("event").is_in(["delivered", "withdrawn"]))
    return sorted(set(changed["batch"]))


def _note(recipient: str, subject: str) -> str:
    """Key of what is told about a recipient; the subject may hold any character."""
    return f"{recipient}-{hashlib.sha256(subject.encode()).hexdigest()[:32]}"


def _checked(lake: Lake, keys: list[str]) -> list[str]:
    """The keys of entries. Raises StorageError if one cannot be of the ledger: it would sort anywhere."""
    strange = next((key for key in keys if not KEY.fullmatch(key)), None)
    if strange is not None:
        where = lake.storage.uri(f"{JOURNAL}{KIND}/{strange}.json")
        raise StorageError(f"{where}: is no entry of the ledger of deliveries. Move it out of that folder.")
    return keys


def _after(last: str, now: datetime) -> datetime:
    """Now, or a microsecond after the last entry if the clock has gone back: the newest entry is the last."""
    if not last:
        return now
    time = datetime.strptime(last.partition("-")[0], STAMP).replace(tzinfo=now.tzinfo)
    return max(now, time + timedelta(microseconds=1))


def standing(history: pl.DataFrame) -> pl.DataFrame:
    """How each path of a recipient stands: its last event, and the times it was last delivered and verified.

    Columns are those of ops.deliveries but `recipient`; `held`, true for what the recipient has; `accepted`, true for
    what it has accepted as it is there; `ours`, true if what has the name there may have been put there by us.
    """
    event = pl.col("event")
    last = pl.all().exclude("path", "delivered_at", "verified_at").last()
    times = pl.col("delivered_at", "verified_at").drop_nulls().last()
    answer = event.filter(event.is_in(ANSWERS)).last() == "accepted"
    ours = (event != "blocked").any()
    found = history.group_by("path", maintain_order=True).agg(last, times, accepted=answer, ours=ours)
    held = event.is_in(HELD)
    return found.with_columns(held=held, accepted=held & pl.col("accepted").fill_null(value=False))
