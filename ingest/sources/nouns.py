# SPDX-License-Identifier: Apache-2.0
"""What following a source is made of. A listing is the truth; news of changes are hints that save waiting for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from lake.store import Lake
from lake.ways.transport import Found

State = Literal["landed", "known", "ignored", "refused", "failed", "waiting", "missing", "mismatched"]


@dataclass(frozen=True)
class News:
    """What may have changed at a source: these paths, or anything (None). `receipts` are the source's own."""

    paths: frozenset[str] | None = None
    receipts: tuple[str, ...] = ()


class Source(Protocol):
    """A source of files, open. Every call raises WayError if it cannot be reached, PathError about one path.

    name : as in the settings.
    """

    name: str

    def news(self, seconds: float) -> News | None:
        """The next hint; None if none came within so many seconds. It may return early, and may be wrong."""

    def dealt_with(self, news: News) -> None:
        """Say that all that these news were about has been landed, or written down to be tried again."""

    def offered(self, paths: frozenset[str] | None = None) -> Iterator[Found]:
        """All files there are, or those of these paths that are there."""

    def local(self, path: str) -> Path | None:
        """The file itself if it is on this machine, from where it is landed without a copy in between."""

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Write the bytes of a file to a new file of this machine; their sha256. As `Transport.fetch`."""

    def close(self) -> None:
        """Hang up."""


@dataclass(frozen=True)
class Arrived:
    """A whole file on this machine, to be landed. `name` is that under which it is archived.

    source, path : where it came from, and its path there. sha256 : of its bytes, where fetching has told it already.
    manifest : the manifest that names it. mark : as `Found.mark` of a file of this machine that was judged whole; if it
    is another one when it is read, it waits.
    """

    source: str
    path: str
    name: str
    file: Path
    sha256: str | None = None
    manifest: str | None = None
    mark: str | None = None


@dataclass(frozen=True)
class Taken:
    """What came of an arrived file: state, why in words, and its bytes as they were read."""

    arrived: Arrived
    state: State
    detail: str = ""
    sha256: str | None = None
    bytes: int = 0


class Lands(Protocol):
    """Lands files in its lake, whichever thread asks. One group at a time gets its names."""

    lake: Lake

    def take(self, files: Sequence[Arrived]) -> list[Taken]:
        """Archive these files; when it returns their bytes and receipts would survive a power loss.

        What goes wrong with one file is its `Taken`. Raises StorageError if the lake cannot be written.
        """

    def aside(self) -> AbstractContextManager[Path]:
        """An empty folder, gone after the block, for bytes on their way; landing takes them from there without a copy.

        What a process that was killed has left there, the next one removes.
        """


@runtime_checkable
class Refuses(Protocol):
    """A source that says which things of its last full listing are no files that it could give."""

    refused: Mapping[str, str]  # why, by path
