# SPDX-License-Identifier: Apache-2.0
"""Requests to send packets again: which gaps to ask for, what was asked for, and when it has come.

A request is an entry of the journal (`moc-requests`), which has its text as JSON and as CSV; one is closed
(`moc-requests-closed`) when none of its gaps is left.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from exports.contacts.outbox import Entry, File, Outbox, next_key
from exports.contacts.receipts import utc_text
from exports.contacts.settings import Answers, Requests
from exports.contacts.spans import lost
from lake.store import Journal, Lake

KIND, CLOSED = "moc-requests", "moc-requests-closed"
STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Gap:
    """A gap as it was when it was asked for. Where the clock tells no time, it is known by its day and counts."""

    mission: str
    instrument: str
    apid: int
    day: date
    missing: int
    start: datetime | None
    end: datetime | None
    sequence_from: int | None
    sequence_to: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Gap:
        """That of a row of ops.gaps."""
        return cls(
            row["mission"], row["instrument"], row["apid"], row["day"], row["missing"], row["start_time"],
            row["end_time"], row["sequence_from"], row["sequence_to"],
        )  # fmt: skip

    @property
    def counts(self) -> tuple[date, int | None, int | None]:
        """What it is known by where the clock tells no time."""
        return self.day, self.sequence_from, self.sequence_to

    @property
    def channel(self) -> tuple[str, str, int]:
        """Whose packets are missing."""
        return self.mission, self.instrument, self.apid


class Stretches:
    """Gaps by whose packets are missing, of which can be asked whether one is, or has part of, another gap."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        self.counts = set[tuple[str, str, int, date, int | None, int | None]]()
        self.starts = defaultdict[tuple[str, str, int], list[datetime]](list)
        self.ends = defaultdict[tuple[str, str, int], list[datetime]](list)  # the last one of all up to there
        for gap in sorted(gaps, key=lambda one: one.start or datetime.min.replace(tzinfo=UTC)):
            if gap.start is None or gap.end is None:
                self.counts.add((*gap.channel, *gap.counts))
            else:
                ends = self.ends[gap.channel]
                self.starts[gap.channel].append(gap.start)
                ends.append(max(ends[-1], gap.end) if ends else gap.end)

    def have_part_of(self, gap: Gap) -> bool:
        """Whether one of them and the gap share time; where the clock tells none, whether they are the same."""
        if gap.start is None or gap.end is None:
            return (*gap.channel, *gap.counts) in self.counts
        before = bisect_left(self.starts[gap.channel], gap.end)
        return before > 0 and self.ends[gap.channel][before - 1] > gap.start


@dataclass(frozen=True)
class Asked:
    """A request that was made."""

    key: str
    id: str
    at: datetime
    gaps: tuple[Gap, ...]
    closed_at: datetime | None = None


def asked(lake: Lake) -> list[Asked]:
    """All requests that were made, in order."""
    box, journal = Outbox(lake, KIND), Journal(lake)
    closed = journal.entries(CLOSED)
    return [_asked(key, box.entry(key), closed.get(key)) for key in box.numbers()]


def _asked(key: str, entry: Entry, closed: Entry | None) -> Asked:
    gaps = tuple(_gap(gap) for gap in entry["gaps"])
    closed_at = datetime.fromisoformat(closed["at"]) if closed else None
    return Asked(key, entry["id"], datetime.fromisoformat(entry["at"]), gaps, closed_at)


def _gap(found: dict[str, Any]) -> Gap:
    times = {name: datetime.fromisoformat(found[name]) if found[name] else None for name in ("start", "end")}
    return Gap(**(found | times | {"day": date.fromisoformat(found["day"])}))


def _json_of(gap: Gap) -> dict[str, Any]:
    return dict(vars(gap)) | {"day": gap.day.isoformat(), "start": utc_text(gap.start), "end": utc_text(gap.end)}


def to_ask(gaps: pl.DataFrame, before: Sequence[Asked], settings: Requests, now: datetime) -> pl.DataFrame:
    """The rows of ops.gaps to ask for: of the last days, old enough, and not asked for within the last hours."""
    recent = now - timedelta(hours=settings.ask_again_hours)
    known = Stretches(gap for request in before if request.at > recent for gap in request.gaps)
    first = (now - timedelta(days=settings.last_days)).date()
    old = pl.col("end_time").is_null() | (pl.col("end_time") <= now - timedelta(hours=settings.wait_hours))
    rows = lost(gaps).filter(pl.col("day") >= first, old).sort("mission", "instrument", "apid", "day", "start_time")
    wanted = [not known.have_part_of(Gap.of(row)) for row in rows.iter_rows(named=True)]
    return rows.filter(pl.Series(wanted, dtype=pl.Boolean))


def write_request(lake: Lake, gaps: pl.DataFrame, document: str, table: str, now: datetime) -> str | None:
    """Write a request for these rows of ops.gaps to the journal; its id, or None if another process was first.

    `document` is its text as JSON, `table` as CSV.
    """
    box = Outbox(lake, KIND)
    keys = box.numbers()
    name = f"retransmit-{now.astimezone(UTC):{STAMP}}-{next_key(keys)}"
    own = [_json_of(Gap.of(row)) for row in gaps.iter_rows(named=True)]
    entry = {"id": name, "at": now.isoformat(), "gaps": own, "json": document, "csv": table}
    return name if box.add(keys, entry) else None


def files_of(answers: Answers, entry: Entry) -> Iterator[File]:
    """The two files of a request."""
    document = {"request_id": entry["id"], "asked_at": utc_text(datetime.fromisoformat(entry["at"]))}
    text = json.dumps(document | json.loads(entry["json"]), indent=1) + "\n"
    yield f"{answers.requests}/{entry['id']}.json", text.encode()
    yield f"{answers.requests}/{entry['id']}.csv", entry["csv"].encode()


def close(lake: Lake, gaps: pl.DataFrame, packets: pl.DataFrame, before: Iterable[Asked], now: datetime) -> list[str]:
    """Note that requests are closed of which no gap is left; their ids.

    A gap is gone only if its day has an account in ops.packets: without one nothing is known of it.
    """
    left = Stretches(Gap.of(row) for row in lost(gaps).iter_rows(named=True))
    counted = set(packets.select("mission", "instrument", "apid", "day").iter_rows())
    journal, done = Journal(lake), []
    for request in before:
        gone = all((*gap.channel, gap.day) in counted and not left.have_part_of(gap) for gap in request.gaps)
        if request.closed_at is None and gone and journal.write_once(CLOSED, request.key, {"at": now.isoformat()}):
            done.append(request.id)
    return done
