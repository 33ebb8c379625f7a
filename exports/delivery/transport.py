# SPDX-License-Identifier: Apache-2.0
"""What delivery asks of a way to a recipient. Paths are relative POSIX paths below the recipient's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lake.errors import DeliveryError


class PathError(DeliveryError):
    """A recipient that answers, and refuses something about one path; the others may well be taken."""


class Transport(Protocol):
    """A way to a recipient, open.

    Every call raises DeliveryError, which names the recipient, if the recipient cannot be reached or refuses all, and
    PathError if it refuses one path.
    """

    def size(self, path: str) -> int | None:
        """Bytes of what has this name; None if nothing has."""

    def sha256(self, path: str) -> str | None:
        """sha256 of what has this name, of bytes read back from the recipient; None if nothing has."""

    def put(self, path: str, source: Path, replace: bool = False) -> bool:
        """Give a file this name, whole or not at all: where the way can, it is sent under a name out of sight.

        True if its hash was read back and was right before it got its name; else the caller reads it back by `sha256`.
        Raises DeliveryError if the name is taken, unless `replace`, or if other bytes were read back.
        """

    def read(self, path: str) -> bytes | None:
        """All bytes of a small file; None if it is not there."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; empty if there is no such folder, or if the way cannot list."""

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
