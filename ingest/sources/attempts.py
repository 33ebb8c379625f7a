# SPDX-License-Identifier: Apache-2.0
"""What a source has given so far, and what came of it: kept in the lake, so that it outlives the process.

It saves work and holds nothing that cannot be found out again: without it all files are hashed again and found known.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ingest.sources.nouns import State
from lake.state import State as Documents
from lake.store import Lake
from lake.ways.transport import Found

KIND = "receive"
SHARDS = 16  # documents of one source; a new file among 100,000 known ones writes one of them
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=1)
MOST_DOUBLINGS = 16  # of the first pause; beyond it the longest one is reached long since
FINAL: tuple[State, ...] = ("landed", "known", "ignored", "refused", "mismatched")


@dataclass(frozen=True)
class Seen:
    """One path of a source. `mark` and `bytes` are of the file that the rest is about; `again` is when to try next.

    `digest` is what a sidecar gives, `compared` that and the hash of the file that it was held against last.
    """

    mark: str
    bytes: int
    state: State
    first: str
    detail: str = ""
    sha256: str | None = None
    digest: str | None = None
    attempts: int = 1
    again: str | None = None
    manifest: str | None = None
    compared: str | None = None

    def is_of(self, found: Found) -> bool:
        """True if it is about the file as it is now."""
        return (self.mark, self.bytes) == (found.mark, found.bytes)

    def is_due(self, now: datetime) -> bool:
        """True if it is to be tried now."""
        return self.state not in FINAL and (self.again is None or self.again <= now.isoformat())


@dataclass
class Attempts:
    """All paths of one source, by path."""

    lake: Lake
    source: str
    seen: dict[str, Seen] = field(default_factory=dict)
    _changed: set[int] = field(default_factory=set)

    def read(self) -> None:
        """What was written down. What cannot be understood counts as never seen."""
        documents = Documents(self.lake, KIND)
        self.seen = {}
        for number in range(SHARDS):
            content = documents.read(self._name(number))
            for path, values in content.items():
                seen = _seen(values)
                if seen is not None:
                    self.seen[path] = seen

    def write(self) -> None:
        """Write down what changed."""
        documents = Documents(self.lake, KIND)
        shards: dict[int, dict[str, Any]] = {number: {} for number in self._changed}
        for path, seen in self.seen.items() if shards else ():
            if (number := _shard(path)) in shards:
                given = asdict(seen).items()
                shards[number][path] = {key: value for key, value in given if key == "mark" or value not in (None, "")}
        for number, content in sorted(shards.items()):
            documents.write(self._name(number), content)
            self._changed.discard(number)

    def put(self, path: str, seen: Seen) -> None:
        """What is known of a path now."""
        self.seen[path] = seen
        self._changed.add(_shard(path))

    def forget(self, paths: Iterable[str]) -> None:
        """These are there no longer, or are to be looked at anew."""
        for path in paths:
            if self.seen.pop(path, None) is not None:
                self._changed.add(_shard(path))

    def _name(self, number: int) -> str:
        return f"{self.source}.{number:x}"


def _shard(path: str) -> int:
    return zlib.crc32(path.encode("utf-8", "surrogateescape")) % SHARDS


def _seen(values: Any) -> Seen | None:
    try:
        return Seen(**values)
    except TypeError:
        return None


def next_try(attempts: int, now: datetime, jitter: random.Random) -> str:
    """When to try again after so many attempts: pauses that double, and differ by half so that not all come at once."""
    pause = min(FIRST_PAUSE * 2 ** min(attempts - 1, MOST_DOUBLINGS), LONGEST_PAUSE)
    at: datetime = now + pause * jitter.uniform(0.5, 1.0)
    return at.isoformat()
