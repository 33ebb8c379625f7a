# SPDX-License-Identifier: Apache-2.0
"""A visit to one recipient: its receipts are read, its files verified, what it lacks is sent, and it is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl

from exports.delivery.approvals import withdrawal
from exports.delivery.ledger import Ledger, standing
from exports.delivery.nouns import AtRecipient, Event, EventName, Parcel, parcel_in
from exports.delivery.plan import Plan, plan
from exports.delivery.receipts import Unread, events_of, new_receipts
from exports.delivery.refusal import Judge
from exports.delivery.sending import Batch, Sending, tried, whole
from exports.delivery.settings import Recipient
from exports.delivery.telling import tell
from lake.errors import DamageError, PathError, WayError
from lake.ways.settings import open_way
from lake.ways.transport import Transport

FAILURES = 2  # files in a row that a recipient does not take, after which it is left for the next run
REFUSALS = 20  # paths in a row that are refused each by itself, after which it is no longer about paths


@dataclass
class Visit:
    """What a run does at one recipient."""

    ledger: Ledger
    name: str
    recipient: Recipient
    files: pl.DataFrame
    judge: Judge
    pauses: tuple[float, ...]
    outcome: AtRecipient = field(init=False)
    damaged: list[str] = field(default_factory=list)
    refusals: int = 0  # paths in a row

    def __post_init__(self) -> None:
        """An outcome to be filled."""
        self.outcome = AtRecipient(self.name)

    def planned(self) -> AtRecipient:
        """What would be done, as lines."""
        todo = self._plan()
        self._conclude(todo)
        found = self._in_lake(todo.queue).select("path", "why").iter_rows()
        self.outcome.planned = [f"{path}: {why}" for path, why in found]
        self.outcome.withdrawn = [f"{row['path']}: withdrawn {row['reason']}" for row in _rows(todo.withdrawn)]
        return self.outcome

    def run(self, verify: bool) -> AtRecipient:
        """Do it all. What goes wrong at the recipient is in the outcome; StorageError of the lake is raised."""
        try:
            with open_way(f"recipient {self.name}", self.recipient.way) as transport:
                self._at(transport, verify)
        except WayError as error:
            self.outcome.problems.append(self._line(error))
            self._note_attempt(error)
        self._conclude(self._plan())
        return self.outcome

    def _at(self, transport: Transport, verify: bool) -> None:
        """All that is done while the way is open. No step waits for the one before to go well."""
        with self._step(self.outcome.notes, "receipts were not read: ") as batch:
            self._read_receipts(transport, batch)
        # Before files are verified: one that was removed, and not noted because of a crash, would count as lost.
        with self._step(self.outcome.problems) as batch:
            self._withdraw(batch)
        with self._step(self.outcome.problems):
            self._remove(transport)
        if verify:
            with self._step(self.outcome.problems) as batch:
                self._verify(transport, batch)
        with self._step(self.outcome.problems) as batch:
            self._send(transport, batch)
        with self._step(self.outcome.problems):
            tell(self.ledger, self.name, self.recipient, self.files, transport, verify)

    @contextmanager
    def _step(self, lines: list[str], words: str = "") -> Iterator[Batch]:
        """A batch, of which all that was noted is in the journal after the block; what ends the block is a line."""
        batch, self.refusals = Batch(self.ledger, self.name), 0
        try:
            yield batch
        except WayError as error:
            lines.append(self._line(error, words))
        finally:
            batch.flush()

    def _read_receipts(self, transport: Transport, batch: Batch) -> None:
        history = self.ledger.history(self.name)
        stands = standing(history)
        for receipt in new_receipts(transport, history, partial(self.ledger.was_told, self.name)):
            wrong = receipt.wrong if isinstance(receipt, Unread) else "is about nothing that is there"
            found = [] if isinstance(receipt, Unread) else events_of(receipt, stands, history, self.ledger.now)
            for event in found:
                batch.add(event)
                self.outcome.accepted += event.event == "accepted"
            if not found and self.ledger.is_news(self.name, receipt.name):
                self.outcome.problems.append(f"recipient {self.name}: {receipt.name}: {wrong}")

    def _verify(self, transport: Transport, batch: Batch) -> None:
        """Read back all that the recipient has and did not reject. Raises WayError if it cannot be asked."""
        held = self._stands().filter("held", pl.col("event") != "rejected")
        for row in _rows(held):
            wrong = self._wrong(transport, row)
            event = self._event(parcel_in(row), "verified")
            if wrong:
                batch.add(replace(event, event="lost", detail=wrong))
                self.outcome.lost.append(f"recipient {self.name}: {row['path']} {wrong}")
            else:
                batch.add(replace(event, delivered_at=row["delivered_at"], verified_at=self.ledger.now))
                self.outcome.verified += 1

    def _wrong(self, transport: Transport, row: dict[str, Any]) -> str:
        """What is wrong with a file at the recipient; empty if nothing is."""
        try:
            found = tried(partial(transport.sha256, row["path"]), self.pauses)
        except PathError as error:
            self._refused(error)
            return f"cannot be read there ({error})"
        self.refusals = 0
        if found == row["sha256"]:
            return ""
        return "is missing there" if found is None else "has changed there"

    def _withdraw(self, batch: Batch) -> None:
        for row in _rows(self._plan().withdrawn):
            batch.add(self._event(parcel_in(row), "withdrawn", row["reason"]))
            self.outcome.withdrawn.append(row["path"])

    def _remove(self, transport: Transport) -> None:
        """Remove what was withdrawn, where the recipient wants it. It is told of it even if that is refused."""
        withdrawn = self._stands().filter(pl.col("event") == "withdrawn", self.recipient.remove_withdrawn)
        for path in withdrawn["path"]:
            try:
                if transport.size(path) is not None:
                    tried(partial(transport.remove, path), self.pauses)
            except PathError as error:
                self._refused(error)
                self.outcome.problems.append(self._line(error))

    def _send(self, transport: Transport, batch: Batch) -> None:
        """Send what waits. Raises WayError if the recipient does not take several files in a row."""
        failures: list[WayError] = []
        for row in _rows(self._told_of_gone(self._plan().queue)):
            parcel = parcel_in(row)
            sending = Sending(transport, parcel, row["ours"])
            if self._is_withdrawn(parcel):
                continue
            try:
                batch.add(self._sent(sending))
                self.refusals = 0
                self._tell_of(failures)
            except DamageError as error:
                self.damaged.append(str(error))
            except PathError as error:
                self._tell_of(failures)
                batch.add(self._failed(sending, error))
                self._refused(error)
                self.outcome.problems.append(self._line(error))
            except WayError as error:
                batch.add(self._failed(sending, error))
                failures.append(error)
                if len(failures) == FAILURES:
                    raise
        self._tell_of(failures)

    def _refused(self, error: PathError) -> None:
        """Count a path that is refused. Raises the error if so many were in a row that it is not about paths."""
        self.refusals += 1
        if self.refusals == REFUSALS:
            raise error

    def _tell_of(self, failures: list[WayError]) -> None:
        """Make problems of failures after which the visit went on; none is left."""
        self.outcome.problems += [self._line(error) for error in failures]
        failures.clear()

    def _is_withdrawn(self, parcel: Parcel) -> bool:
        """Whether a version has been withdrawn by now; files may be on their way for hours."""
        words = withdrawal(self.ledger.lake, parcel.name)
        if words is not None:
            self.judge.withdrawn[parcel.name] = words
        return words is not None

    def _in_lake(self, queue: pl.DataFrame) -> pl.DataFrame:
        """A queue without older versions that the lake does not have any more: a rebuild makes only the newest."""
        older = queue.filter(~pl.col("newest")).select("path", "key").iter_rows()
        gone = [path for path, key in older if self.ledger.lake.storage.size(key) is None]
        return queue.filter(~pl.col("path").is_in(gone))

    def _told_of_gone(self, queue: pl.DataFrame) -> pl.DataFrame:
        """The same; what is left out is told, once."""
        found = self._in_lake(queue)
        gone = queue.join(found, on="path", how="anti")["path"] if found.height < queue.height else ()
        news = [path for path in gone if self.ledger.is_news(self.name, path)]
        self.outcome.notes += [
            f"recipient {self.name}: {path} is an older version that the lake does not have any more; it is not sent"
            for path in news
        ]
        return found

    def _sent(self, sending: Sending) -> Event:
        """Send a file and read it back; the event. Raises DamageError if the lake's file is not what was exported."""
        parcel = sending.parcel
        with whole(self.ledger.lake.storage, parcel) as (path, md5):
            is_new = tried(partial(sending.attempt, path), self.pauses)
        if is_new:
            self.outcome.sent.append(parcel.path)
        else:
            self.outcome.there += 1
        now, detail = self.ledger.now, "" if is_new else "was there already"
        return Event(parcel, "delivered", now, now, now, detail, md5)

    def _failed(self, sending: Sending, error: WayError) -> Event:
        return self._event(sending.parcel, "failed" if sending.ours else "blocked", str(error))

    def _stands(self) -> pl.DataFrame:
        return standing(self.ledger.history(self.name))

    def _plan(self) -> Plan:
        definitions = self.ledger.lake.definitions
        return plan(self.name, self.recipient, self.files, self._stands(), self.judge, definitions)

    def _conclude(self, todo: Plan) -> None:
        """What still waits, was refused, rejected, or is not what it should be."""
        self.outcome.waiting, self.outcome.refused = self._in_lake(todo.queue).height, todo.refused
        start, problems = f"recipient {self.name}:", self.outcome.problems
        if self.damaged:
            count = len(self.damaged)
            problems.append(
                f"{start} {self.damaged[0]}; {count} of its files are so and were not sent. Run `swxlake fsck`."
            )
        problems += [f"{start} rejected {row['path']} ({row['detail']})" for row in _rows(todo.rejected)]
        for row in _rows(todo.differing):
            problems.append(f"{start} {row['path']} was sent with other bytes than the lake has. Run `swxlake fsck`.")

    def _event(self, parcel: Parcel, event: EventName, detail: str = "") -> Event:
        return Event(parcel, event, self.ledger.now, detail=detail)

    def _note_attempt(self, error: WayError) -> None:
        """Note in the ledger that it was tried: at the first file that waits, not at each."""
        for row in _rows(self._plan().queue.head(1)):
            with self._step([]) as batch:
                batch.add(self._event(parcel_in(row), "blocked", str(error)))

    def _line(self, error: WayError, words: str = "") -> str:
        """A problem with the recipient's name, and what it means in words."""
        start = f"recipient {self.name}: "
        return start + words + str(error).removeprefix(start)


def _rows(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    return frame.iter_rows(named=True)
