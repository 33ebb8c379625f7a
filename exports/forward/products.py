# SPDX-License-Identifier: Apache-2.0
"""Telling a webhook of products as they are published: one message for each file, in the order of the exports.

A message names the file and its hash; who is to have the bytes gets them by delivery. Where a client has come to is in
state/forward-products/<client>.json: run, time and path of the last export that it was told of. One export runs at a
time, one file after the other, so that what comes later is behind that.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import polars as pl

from exports.forward.nouns import Answer
from exports.forward.settings import Client
from exports.forward.tries import Trying
from exports.forward.webhooks import WebhookSink
from lake.reading import scan
from lake.state import State
from lake.store import Journal, Lake

KIND, DEAD, REVIVED = "forward-products", "forward-dead-products", "forward-revived-products"
TYPE = "product"
COLUMNS = (
    "product", "day", "version", "path", "bytes", "sha256", "records", "deliverable", "created_at", "run_id",
)  # fmt: skip
LOOK_SECONDS = 30.0  # between looks at ops.exports while following; products are made by the night

Row = dict[str, Any]


class Place(NamedTuple):
    """A position in the order of exports: behind this one. `at` is when it was made, UTC in ISO 8601."""

    run: str
    at: str
    path: str


FIRST = Place("", "", "")


@dataclass
class Notices:
    """What one client is told of products. `told` hears of each that it took, `gone` that it wants nothing any more."""

    lake: Lake
    name: str
    client: Client
    sink: WebhookSink
    trying: Trying
    stop: threading.Event
    told: Callable[[], object]
    given_up: Callable[[str], object]
    gone: Callable[[str, Answer], object]
    _looked: float = field(default=float("-inf"))

    def round(self, now: datetime, asked: bool) -> None:
        """Tell of what was published since; at once if the client was named, else when its time has come."""
        trouble = self.trying.trouble
        if trouble is not None and not asked and not trouble.is_due(now):
            self.trying.say(trouble.words)
            return
        if trouble is None and time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for row in published(self.lake, self.client, self._place()):
            if self.stop.is_set() or not self._taken(row):
                return
            self._note(place_of(row))
            self.trying.end()

    def revive(self, now: datetime) -> list[str]:
        """Tell once more of what it did not take, each by itself; why it still does not, for each that it does not."""
        journal, reasons = Journal(self.lake), list[str]()
        for key in dead_notices(self.lake, self.name):
            entry = journal.entry(DEAD, key)
            if entry is None or self.stop.is_set():
                continue
            answer = self.sink.post(entry["id"], entry["body"].encode())
            if answer.taken:
                self.told()
                journal.write_once(REVIVED, key, {"at": f"{now:%Y-%m-%dT%H:%M:%SZ}"})
            else:
                reasons.append(answer.reason)
        return reasons

    def _place(self) -> Place:
        """Where the client has come to; noted where it begins."""
        content = State(self.lake, KIND).read(self.name)
        if all(isinstance(content.get(name), str) for name in Place._fields):
            return Place(*(content[name] for name in Place._fields))
        place = FIRST
        if self.client.start == "now":
            rows = scan(self.lake, self.lake.ops("exports")).select("run_id", "created_at", "path").collect()
            place = max(map(place_of, rows.iter_rows(named=True)), default=FIRST)
        self._note(place)
        return place

    def _note(self, place: Place) -> None:
        State(self.lake, KIND).write(self.name, place._asdict())

    def _taken(self, row: Row) -> bool:
        """Whether the client was told of a product, or that was put aside."""
        body = notice(self.name, row)
        name = notice_id(self.name, row)
        answer = self.trying.offer(name, lambda: self.sink.post(name, body))
        if answer.taken:
            self.told()
            return True
        if answer.gone:
            self.gone(name, answer)
        elif self.trying.is_over:
            key, content = f"{self.name}.{name}", {"id": name, "body": body.decode(), "reason": answer.reason}
            Journal(self.lake).write_once(DEAD, key, content)
            remedy = f"The notice is a dead letter; `swxlake forward push --dead {self.name}` sends it."
            self.given_up(f"{answer.reason} {remedy}")
            return True
        return False


def dead_notices(lake: Lake, client: str) -> list[str]:
    """Keys of the notices that a client did not take, and has not taken since."""
    journal, prefix = Journal(lake), f"{client}."
    return sorted(set(journal.keys(DEAD, prefix)) - set(journal.keys(REVIVED, prefix)))


def place_of(row: Row) -> Place:
    """The position behind an export."""
    return Place(row["run_id"], f"{row['created_at']:%Y-%m-%dT%H:%M:%S.%fZ}", row["path"])


def published(lake: Lake, client: Client, place: Place) -> list[Row]:
    """What was published behind a position, oldest first."""
    tables = lake.definitions.tables
    asked = [address for address in tables if _fits(client, tables[address].mission, tables[address].instrument)]
    rows = scan(lake, lake.ops("exports")).filter(
        pl.col("run_id") >= place.run, pl.col("status") == "published", pl.col("product").is_in(asked)
    )
    found = rows.select(COLUMNS).collect().sort("run_id", "created_at", "path")
    return [
        row | {"mission": tables[row["product"]].mission, "instrument": tables[row["product"]].instrument}
        for row in found.iter_rows(named=True)
        if place_of(row) > place
    ]


def _fits(client: Client, mission: str, instrument: str) -> bool:
    return (not client.missions or mission in client.missions) and (
        not client.instruments or instrument in client.instruments
    )


def notice_id(client: str, row: Row) -> str:
    """The id of the message about a file, the same at each try."""
    text = " ".join((client, row["path"], row["sha256"], row["run_id"]))
    return f"msg_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def notice(client: str, row: Row) -> bytes:
    """The message about a file in JSON, the same bytes at each try."""
    at = f"{row['created_at']:%Y-%m-%dT%H:%M:%SZ}"
    names = ("mission", "instrument", "product", "version", "path", "bytes", "sha256", "records", "deliverable")
    facts = {name: row[name] for name in names} | {"day": row["day"].isoformat(), "created_at": at}
    facts |= {"client": client, "file": PurePosixPath(row["path"]).name}
    return json.dumps({"type": TYPE, "timestamp": at, "data": facts}, separators=(",", ":"), sort_keys=True).encode()
