# SPDX-License-Identifier: Apache-2.0
"""Whether the lake that a service found at its start is still the one that is there.

A disk that is unmounted, or a folder that is removed, would else be followed by a new lake with nothing in it, and
whoever sends would be told that all is well.
"""

from __future__ import annotations

from pathlib import Path

from lake.errors import StorageError
from lake.store import Lake


class Presence:
    """The lake as it was found, by the device and inode of its folder. A lake that was not there yet is noted when it
    is first seen. Of a bucket nothing is known: it does not come into being by being written to.
    """

    def __init__(self, lake: Lake) -> None:
        self.root = lake.root if isinstance(lake.root, Path) else None
        self._found = self._seen()

    def check(self) -> None:
        """Raises StorageError if the lake is gone, or another one is in its place. A call costs microseconds."""
        if self.root is None:
            return
        seen = self._seen()
        if self._found is None:
            self._found = seen
        elif seen != self._found:
            raise StorageError(
                f"{self.root}: the lake that was here is gone, or another one is in its place. Mount its disk, or "
                "restore it, and start again."
            )

    def _seen(self) -> tuple[int, int] | None:
        if self.root is None:
            return None
        try:
            status = self.root.stat()
        except OSError:  # also a disk that fails, without which there is no lake
            return None
        return status.st_dev, status.st_ino
