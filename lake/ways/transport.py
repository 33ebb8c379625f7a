# SPDX-License-Identifier: Apache-2.0
"""What is asked of a way to a place of others. Paths are relative POSIX paths below the folder of the place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from lake.ways.names import PassedOver


class Found(NamedTuple):
    """A file at the place: its path, its size, when it was changed in Unix seconds.

    `mark` is another text whenever the file is another one, as far as the way can tell: an inode and a time in
    nanoseconds, an entity tag. It is compared, never read.
    """

    path: str
    bytes: int
    modified: float
    mark: str = ""


class Transport(Protocol):
    """A way to a place of others, open.

    Every call raises WayError, which names the place, if it cannot be reached or refuses all, and PathError if it
    refuses one path.
    """

    def size(self, path: str) -> int | None:
        """Bytes of what has this name; None if nothing has."""

    def sha256(self, path: str) -> str | None:
        """sha256 of what has this name, of bytes read back from there; None if nothing has."""

    def put(self, path: str, source: Path, replace: bool = False) -> bool:
        """Give a file this name, whole or not at all: where the way can, it is sent under a name out of sight.

        True if its hash was read back and was right before it got its name; else the caller reads it back by `sha256`.
        Raises PathError if the name is taken, unless `replace`, and WayError if other bytes were read back.
        """

    def read(self, path: str) -> bytes | None:
        """All bytes of a small file; None if it is not there."""

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Write the bytes of a file to a new file here; their sha256. Raises PathError if it is not there.

        So too if it holds more bytes than `most`: whoever has judged it or made room for it did so by its size then.
        """

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; empty if there is no such folder, or if the way cannot list."""

    def entries(self, folder: str = "") -> Iterator[Found]:
        """All files below a folder, however deep, in any order; none whose path has a part that begins with a dot.

        Links and devices are left out, and so are names that no path of ours could have. Raises WayError if the way
        cannot list, or if a folder may not be listed; a way opened to read goes on with the others then.
        """

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""


class Readable(Transport, Protocol):
    """A way that files are fetched by: one that can be listed.

    refused : what the last listing passed over, and why.
    """

    refused: PassedOver

    def found(self, path: str) -> Found | None:
        """One file as `entries` gives it; None if it is not there, or is none."""
