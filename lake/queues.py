# SPDX-License-Identifier: Apache-2.0
"""A queue of SQS that tells of changes in a bucket.

Messages are hints: S3 may deliver one late, twice, in another order, or never. Each is kept out of sight while it is
worked on, and deleted only when its receiver says so. What is no message about the bucket is left alone, so that the
queue moves it to its dead-letter queue; it is logged once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from queue import Empty, Full, Queue
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from lake.errors import SwxlakeError, WayError
from lake.events import Change, changes_in
from lake.storage_s3 import CONNECT_SECONDS, FIRST_ATTEMPTS, encrypted
from lake.ways.names import is_path
from lake.ways.settings import S3Way

log = logging.getLogger(__name__)

POLL_SECONDS = 20  # the longest that SQS waits for a message; shorter costs more calls
VISIBLE_AGAIN_SECONDS = 120  # after the last sign of life of whoever works on a message
RENEW_SECONDS = 40.0  # so that two renewals may fail
BATCH = 10  # messages of one call, the most of SQS
MOST_WAITING = 100  # batches that are taken before somebody works on them
MOST_STRAYS = 10_000  # messages that are remembered as told of; each has a line in the log
REGION = "us-east-1"  # of queues whose address names none, such as those of a test
Result = TypeVar("Result")


@dataclass(frozen=True)
class Batch:
    """Paths below the way's prefix that messages told of, and the receipts by which those are deleted."""

    paths: frozenset[str]
    receipts: tuple[str, ...]


class EventQueue:
    """A queue by its URL, and the way to the bucket that it is about; `who` is what messages begin with.

    Every call raises WayError if the queue cannot be reached.
    """

    def __init__(self, who: str, url: str, way: S3Way) -> None:
        self.who, self.url, self.way = who, url, way
        self.bucket, _, prefix = way.address.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self._held: dict[str, float] = {}  # receipts, and when they were last renewed
        self._strays: set[str] = set()
        self._lock = threading.Lock()

    @cached_property
    def client(self) -> Any:
        """boto3's client, of the service that the queue's URL names."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        named = host.split(".")[1] if host.startswith("sqs.") and host.count(".") > 2 else None
        config = Config(
            connect_timeout=min(CONNECT_SECONDS, self.way.seconds),
            read_timeout=POLL_SECONDS + self.way.seconds,
            retries={"mode": "standard", "total_max_attempts": FIRST_ATTEMPTS},
        )
        session = boto3.Session(profile_name=self.way.profile)
        region = named or session.region_name or REGION
        endpoint = encrypted(f"{parts.scheme}://{parts.netloc}")
        return session.client("sqs", config=config, region_name=region, endpoint_url=endpoint)

    def receive(self, seconds: float = POLL_SECONDS) -> Batch | None:
        """The next messages about buckets; None if none came within so many whole seconds, at most 20."""
        wait = max(0, min(POLL_SECONDS, int(seconds)))
        asked = {"MaxNumberOfMessages": BATCH, "WaitTimeSeconds": wait, "VisibilityTimeout": VISIBLE_AGAIN_SECONDS}
        found = self._asked(lambda: self.client.receive_message(QueueUrl=self.url, **asked)).get("Messages", ())
        understood = [(message, changes) for message in found if (changes := self._understood(message)) is not None]
        if not understood:
            return None
        receipts = tuple(str(message["ReceiptHandle"]) for message, _ in understood)
        with self._lock:
            self._held |= dict.fromkeys(receipts, time.monotonic())
        told = (self._path(change) for _, changes in understood for change in changes)
        return Batch(frozenset(path for path in told if path is not None), receipts)

    def _understood(self, message: dict[str, Any]) -> tuple[Change, ...] | None:
        """What a message says; None if it is not about our bucket, which is logged once."""
        changes = changes_in(message.get("Body", ""))
        if changes == () or any(change.bucket == self.bucket for change in changes or ()):
            return changes
        name = str(message.get("MessageId"))
        if name not in self._strays and len(self._strays) < MOST_STRAYS:
            self._strays.add(name)
            what = f"is no event of the bucket {self.bucket}, and is left to the dead-letter queue"
            log.warning("%s: %s: message %r %s", self.who, self.url, name, what)
        return None

    def _path(self, change: Change) -> str | None:
        """The path of an object that was written; None of one that is gone, or that no listing would show."""
        path = change.key.removeprefix(self.prefix)
        ours = change.bucket == self.bucket and change.key.startswith(self.prefix)
        return path if ours and not change.removed and is_path(path) else None

    def renew(self) -> None:
        """Keep messages out of sight that are still worked on. To be called every few seconds."""
        due = time.monotonic() - RENEW_SECONDS
        with self._lock:
            old = [receipt for receipt, at in self._held.items() if at < due]
            self._held |= dict.fromkeys(old, time.monotonic())
        for some in _batches(old):
            entries = [entry | {"VisibilityTimeout": VISIBLE_AGAIN_SECONDS} for entry in _entries(some)]
            self._asked(lambda e=entries: self.client.change_message_visibility_batch(QueueUrl=self.url, Entries=e))  # type: ignore[misc]

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages: all that they tell of is done. One that has come into sight again comes once more."""
        with self._lock:
            for receipt in receipts:
                self._held.pop(receipt, None)
        for some in _batches(receipts):
            entries = _entries(some)
            self._asked(lambda e=entries: self.client.delete_message_batch(QueueUrl=self.url, Entries=e))  # type: ignore[misc]

    def release(self, receipts: Sequence[str]) -> None:
        """Keep messages out of sight no longer: they come again two minutes after they were last renewed, or sooner.

        Not at once, as what kept somebody from working on them is as it was a moment ago.
        """
        with self._lock:
            for receipt in receipts:
                self._held.pop(receipt, None)

    def _asked(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except ClientError as error:
            reason = str(error.response.get("Error", {}).get("Code", ""))
        except (BotoCoreError, ValueError) as error:
            reason = " ".join(str(error).split())
        except SwxlakeError as error:
            raise WayError(f"{self.who}: {error}") from None
        raise WayError(f"{self.who}: {self.url}: refused ({reason}). Check the queue and the rights, then repeat.")


def _batches(receipts: Sequence[str]) -> list[Sequence[str]]:
    return [receipts[start : start + BATCH] for start in range(0, len(receipts), BATCH)]


def _entries(receipts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]


class Listener:
    """Listens to a queue in a thread of its own, so that messages stay out of sight while their receiver works.

    The thread ends with the process. What it holds then is in sight again two minutes later.
    """

    def __init__(self, queue: EventQueue) -> None:
        self.queue = queue
        self._found: Queue[Batch | WayError | None] = Queue(MOST_WAITING)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def next(self, seconds: float) -> Batch | None:
        """The changes that have come in, all at once; None if none came in time, or `close` was called.

        Raises WayError if the queue could not be reached since; it is asked again nevertheless.
        """
        if self._thread is None or not self._thread.is_alive():  # at first, or whatever ended it
            self._thread = threading.Thread(target=self._listen, name=f"{self.queue.who} events", daemon=True)
            self._thread.start()
        found = [first for first in [self._waited(seconds)] if first is not None]
        while found and isinstance(found[-1], Batch) and (more := self._waited(0)) is not None:
            found.append(more)
        if found and isinstance(error := found[-1], WayError):
            if len(found) == 1:
                raise error
            self._tell(error)  # to the next call, since this one has something to give
        batches = [batch for batch in found if isinstance(batch, Batch)]
        paths = frozenset(path for batch in batches for path in batch.paths)
        receipts = tuple(receipt for batch in batches for receipt in batch.receipts)
        return Batch(paths, receipts) if batches else None

    def _waited(self, seconds: float) -> Batch | WayError | None:
        try:
            return self._found.get(timeout=seconds) if seconds > 0 else self._found.get_nowait()
        except Empty:
            return None

    def _listen(self) -> None:
        failed = 0
        while not self._ended.is_set():
            try:
                self.queue.renew()
                if self._found.full():
                    self._ended.wait(1)
                elif (batch := self.queue.receive()) is not None:
                    self._found.put(batch)
                failed = 0
            except WayError as error:
                failed += 1
                self._tell(error)
                self._ended.wait(min(60.0, 2.0**failed))

    def _tell(self, error: WayError) -> None:
        try:
            self._found.put_nowait(error)
        except Full:
            return  # whoever works through a hundred batches hears of the next error

    def close(self) -> None:
        """Stop listening, and end a `next` that waits."""
        self._ended.set()
        try:
            self._found.put_nowait(None)
        except Full:
            return  # then nobody waits
