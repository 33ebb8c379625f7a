# SPDX-License-Identifier: Apache-2.0
"""A bucket as a source. Its listing is the truth; events of it that a queue holds save waiting for the next one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from ingest.sources.nouns import News
from lake.queues import EventQueue, Listener
from lake.ways.bucket import BucketTransport, open_place
from lake.ways.settings import S3Way
from lake.ways.transport import Found


def open_bucket(name: str, way: S3Way, queue: str | None = None) -> BucketSource:
    """The source at a bucket, with the URL of a queue of its events if there is one. Nothing is asked of either yet."""
    who = f"source {name}"
    return BucketSource(name, open_place(who, way), Listener(EventQueue(who, queue, way)) if queue else None)


class BucketSource:
    """A bucket that telemetry is put into. An object has its name only when it is whole.

    refused : what the last full listing passed over, and why.
    """

    def __init__(self, name: str, place: BucketTransport, listener: Listener | None) -> None:
        self.name, self.place, self.listener = name, place, listener
        self._closed = threading.Event()
        self.refused: Mapping[str, str] = place.refused

    def news(self, seconds: float) -> News | None:
        """Paths that events told of; None if none came in time, or `close` was called. Without a queue it waits."""
        if self.listener is None:
            self._closed.wait(seconds)
            return None
        batch = self.listener.next(seconds)
        return News(batch.paths, batch.receipts) if batch is not None else None

    def dealt_with(self, news: News) -> None:
        """Delete the messages of these news."""
        if self.listener is not None and news.receipts:
            self.listener.queue.delete(news.receipts)

    def offered(self, paths: frozenset[str] | None = None) -> Iterator[Found]:
        """All objects there are, or those of these paths."""
        if paths is None:
            return self.place.entries()
        return (found for path in sorted(paths) if (found := self.place.found(path)) is not None)

    def local(self, path: str) -> None:
        """None: an object is not on this machine."""
        del path

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Fetch one version of an object, which fits the SHA-256 that the bucket keeps where it keeps one."""
        return self.place.fetch(path, target, most)

    def close(self) -> None:
        """Stop listening. What was not dealt with comes again."""
        self._closed.set()
        if self.listener is not None:
            self.listener.close()
