# SPDX-License-Identifier: Apache-2.0
"""A folder behind SSH as a source. There is no news of it: it is listed now and then, with sizes and times."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from ingest.sources.nouns import News
from lake.errors import PathError, WayError
from lake.ways.settings import SftpWay, open_to_read
from lake.ways.transport import Found, Readable

TRIES = 3  # of one file in a row; a link that breaks more often is down, and the next round tries again


def open_sftp(name: str, way: SftpWay) -> SftpSource:
    """The source at an SFTP server. The first call connects, and so does each one after the connection was lost."""
    stack = ExitStack()
    return SftpSource(name, stack.enter_context(open_to_read(f"source {name}", way)), stack)


class SftpSource:
    """A folder of a server. Its files may still grow: whoever writes them does so under their names.

    refused : what the last full listing passed over, and why.
    """

    def __init__(self, name: str, place: Readable, stack: ExitStack) -> None:
        self.name, self.place, self._stack = name, place, stack
        self._closed = threading.Event()
        self.refused: Mapping[str, str] = place.refused

    def news(self, seconds: float) -> None:
        """None, when the time is over or `close` was called: SFTP tells nothing by itself."""
        self._closed.wait(seconds)

    def dealt_with(self, news: News) -> None:
        """Nothing is to be said."""
        del news

    def offered(self, paths: frozenset[str] | None = None) -> Iterator[Found]:
        """All files below the folder, or those of these paths, by a listing of all."""
        return (found for found in self.place.entries() if paths is None or found.path in paths)

    def local(self, path: str) -> None:
        """None: a file is not on this machine."""
        del path

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Fetch a file that stands still; from its beginning again if the connection is cut."""
        for _ in range(TRIES - 1):
            try:
                return self.place.fetch(path, target, most)
            except PathError:
                raise
            except WayError:
                continue  # the next call connects anew, and a server that is down is told of by the last one
        return self.place.fetch(path, target, most)

    def close(self) -> None:
        """Hang up."""
        self._closed.set()
        self._stack.close()
