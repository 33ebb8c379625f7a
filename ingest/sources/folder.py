# SPDX-License-Identifier: Apache-2.0
"""A folder of this machine or of a mounted disk as a source. Its listing is the truth.

The operating system's news of changes only shorten the wait: they are lost when too many come at once, when the folder
is removed and made again, and a network mount gives none of what happens on other machines.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.sources.nouns import News
from ingest.sources.whole import copied, mark_of
from lake.errors import PathError, WayError
from lake.ways.settings import FolderWay
from lake.ways.transport import Found

if TYPE_CHECKING:
    from watchfiles import Change

STEP_MILLISECONDS = 50  # for changes to come together before they are news
LOOK_MILLISECONDS = 500  # at most, before somebody looks whether it is time to end
LINK = "is a link; put the file itself there"
SPECIAL = "is no regular file (a device, a pipe or a socket); remove it"
DEEPEST = 64  # folders within folders; nobody sorts telemetry deeper, and paths have an end (4,096 bytes on Linux)
TOO_DEEP = f"lies below more than {DEEPEST} folders; move what is in it up"
UNPRINTABLE = "has a name with control characters or a backslash; rename it"


def open_folder(name: str, way: FolderWay, subfolders: bool = False) -> FolderSource:
    """The folder. Raises WayError if it is not there or cannot be read."""
    source = FolderSource(name, way.path, subfolders)
    source.check()
    return source


class FolderSource:
    """Files in a folder; also below it if asked. Nothing there is ever written or removed.

    refused : what the last full listing passed over, and why. Names that begin with a dot are no business of ours.
    """

    def __init__(self, name: str, root: Path, subfolders: bool = False) -> None:
        self.name, self.root, self.subfolders = name, root, subfolders
        self.refused: dict[str, str] = {}
        self._watch: tuple[int, Iterator[set[tuple[Change, str]]]] | None = None

    def check(self) -> None:
        """Raises WayError if the folder is not there, or may not be read."""
        if not self.root.is_dir():
            raise WayError(f"source {self.name}: {self.root} is no folder. Mount the disk, or make the folder.")
        if not os.access(self.root, os.R_OK | os.X_OK):
            raise WayError(f"source {self.name}: {self.root} cannot be read. Give the right to read it.")

    def offered(self, paths: frozenset[str] | None = None) -> Iterator[Found]:
        """Files of the folder, or those of these paths. A file that is gone meanwhile is left out."""
        self.check()
        if paths is None:
            self.refused = {}
            yield from self._all()
            return
        for path in sorted(paths):
            if self._is_ours(path) and (found := self._found(path)) is not None:
                yield found

    def _all(self) -> Iterator[Found]:
        """All files, folder by folder."""
        waiting = [""]
        while waiting:
            folders = list[str]()
            yield from self._below(waiting.pop(), folders)
            waiting += sorted(folders, reverse=True) if self.subfolders else []

    def _below(self, prefix: str, folders: list[str]) -> Iterator[Found]:
        """Files of one folder; those in it that are to be looked at come to `folders`, with a slash at the end."""
        for name, is_folder in self._listed(self.root / prefix, prefix):
            path = prefix + name
            if not _is_plain(name):
                self.refused[path] = UNPRINTABLE
            elif not is_folder:
                if found := self._found(path):
                    yield found
            elif prefix.count("/") < DEEPEST:
                folders.append(f"{path}/")
            else:
                self.refused[path] = TOO_DEEP

    def _listed(self, folder: Path, prefix: str) -> Iterator[tuple[str, bool]]:
        """Names in a folder and whether they are folders, but for hidden ones."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        yield entry.name, entry.is_dir(follow_symlinks=False)
        except FileNotFoundError:
            return  # it was removed while others were looked at
        except OSError as error:
            if not prefix:
                raise WayError(f"source {self.name}: {folder}: {error.strerror}. Give the right to read it.") from None
            self.refused[prefix.rstrip("/")] = f"cannot be listed ({error.strerror}); give the right to read it"

    def _found(self, path: str) -> Found | None:
        """A regular file as it is now; anything else is noted."""
        try:
            status = os.lstat(f"{self.root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None  # it was removed meanwhile
        except OSError as error:
            self.refused[path] = f"cannot be looked at ({error.strerror}); give the right to"
            return None
        if stat.S_ISREG(status.st_mode):
            return Found(path, status.st_size, status.st_mtime, mark_of(status))
        if not stat.S_ISDIR(status.st_mode):
            self.refused[path] = LINK if stat.S_ISLNK(status.st_mode) else SPECIAL
        return None

    def _is_ours(self, path: str) -> bool:
        """True for a path as a listing gives it."""
        parts = path.split("/")
        plain = all(part and part[0] != "." and _is_plain(part) for part in parts)
        deepest = DEEPEST + 1 if self.subfolders else 1
        return plain and len(parts) <= deepest and self._is_inside(path)

    def _is_inside(self, path: str) -> bool:
        """False if a folder on the way is a link, which may lead anywhere."""
        return "/" not in path or (self.root / path).parent.resolve().is_relative_to(self.root.resolve())

    def local(self, path: str) -> Path | None:
        """The file. Raises PathError if a link leads out of the folder."""
        if not self._is_ours(path):
            raise PathError(f"source {self.name}: {path!r} leads out of the folder by a link. Remove it.")
        return self.root / path

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Copy a file. Raises StorageError if it cannot be read, or changed meanwhile."""
        del most  # a file of this machine is landed from where it is
        return copied(self.local(path) or self.root, target)[0]

    # ---- news ------------------------------------------------------------------------------------------------------
    def news(self, seconds: float) -> News | None:
        """Paths that changed; anything after a change to the folder itself. None after so many seconds."""
        from watchfiles import watch  # noqa: PLC0415  only who follows a folder needs it

        try:
            inode = self.root.stat().st_ino
        except OSError:
            self._watch = None
            time.sleep(min(seconds, LOOK_MILLISECONDS / 1000))
            return None
        if self._watch is None or self._watch[0] != inode:
            changes = watch(
                self.root, recursive=self.subfolders, step=STEP_MILLISECONDS, debounce=4 * STEP_MILLISECONDS,
                rust_timeout=LOOK_MILLISECONDS, yield_on_timeout=True, ignore_permission_denied=True,
                raise_interrupt=False,
            )  # fmt: skip
            self._watch = (inode, iter(changes))
            return News()  # what happened before this look is news, too
        return self._next(self._watch[1], time.monotonic() + seconds)

    def _next(self, changes: Iterator[set[tuple[Change, str]]], until: float) -> News | None:
        while time.monotonic() < until:
            try:
                found = next(changes)
            except (StopIteration, OSError, RuntimeError):  # the folder is gone, or there are too many watches
                self._watch = None
                time.sleep(max(0.0, min(until - time.monotonic(), LOOK_MILLISECONDS / 1000)))
                return None
            if found:
                below = {path.removeprefix(f"{self.root}/"): path for _, path in found}
                is_file = not any(Path(path).is_dir() for path in below.values())  # of a folder only its name is told
                return News(frozenset(below)) if is_file else News()
        return None

    def dealt_with(self, news: News) -> None:
        """Nothing is to be said to a folder."""

    def close(self) -> None:
        """Look no longer."""
        self._watch = None


def _is_plain(name: str) -> bool:
    return name.isprintable() and "\\" not in name
