# SPDX-License-Identifier: Apache-2.0
"""A folder of this machine or of a mounted disk, from where others may copy with rsync."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, cast

from lake.errors import PathError, StorageError, WayError
from lake.files import copy_hashed, finished, new_file, reading, sha256_of, sync, writing
from lake.ways.names import (
    INCOMING,
    SMALL_BYTES,
    PassedOver,
    check_size,
    checked,
    is_path,
    is_stale,
    new_sender,
    passed_over,
    plain,
    sent_as,
)
from lake.ways.settings import FolderWay
from lake.ways.transport import Found

UNLISTED = "cannot be looked at ({}); give the right to read it"
IRREGULAR = "is no regular file; remove it"
FILE_MODE, FOLDER_MODE = 0o644, 0o755  # readable by whoever fetches


def open_folder(who: str, way: FolderWay) -> FolderTransport:
    """The folder. Raises WayError if it is not there or cannot be written."""
    root = way.path
    if not root.is_dir():
        raise WayError(f"{who}: {root} is no folder. Mount the disk, or make the folder.")
    if not os.access(root, os.W_OK | os.X_OK):
        raise WayError(f"{who}: {root} cannot be written. Give the right to write there.")
    transport = FolderTransport(who, root)
    transport.remove_stale()
    return transport


class FolderTransport:
    """A folder of others. Bytes and names are synced to disk before a call returns."""

    def __init__(self, who: str, root: Path, goes_on: bool = False) -> None:
        self.who, self.root, self.sender, self.refused = who, root, new_sender(), PassedOver()
        self.goes_on = goes_on  # past what a listing cannot look at

    def size(self, path: str) -> int | None:
        """Bytes of a file."""
        with self._told():
            found = self._at(path)
            return found.stat().st_size if self._is_file(found) else None

    def sha256(self, path: str) -> str | None:
        """sha256 of a file's bytes."""
        with self._told():
            found = self._at(path)
            return sha256_of(found) if self._is_file(found) else None

    def put(self, path: str, source: Path, replace: bool = False) -> bool:
        """Copy to `.incoming`, sync, read back, rename. The time of the copy is that of the source, for rsync."""
        with self._told():
            target = self._at(path)
            with writing(target):
                if not replace and (target.exists() or target.is_symlink()):
                    what = f"{target} is there already. Compare it, or remove it."
                    raise PathError(f"{self.who}: {what}")
                _make(target.parent)
            with self._told(WayError), writing(target):  # a disk that is full refuses all
                self._arrive(source, self.root / sent_as(path, self.sender), target)
        return True

    def _arrive(self, source: Path, part: Path, target: Path) -> None:
        """Copy a file aside and give it its name when it is whole there."""
        _make(part.parent)
        try:
            if _copy(source, part) != sha256_of(part):
                raise WayError(f"{self.who}: {target}: came as other bytes. Mend the disk.")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync(target.parent)

    def read(self, path: str) -> bytes | None:
        """All bytes of a small file."""
        with self._told():
            found = self._at(path)
            if not self._is_file(found):
                return None
            with reading(found), found.open("rb") as stream:
                content = stream.read(SMALL_BYTES + 1)
            if len(content) > SMALL_BYTES:
                raise PathError(f"{self.who}: {found} is too large to be read. Remove it there.")
            return content

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Copy a file that stands still. Raises PathError if it changed meanwhile; nothing is left then."""
        with self._told(), new_file(target) as file:
            found = self._at(path)
            if not self._is_file(found):
                raise PathError(f"{self.who}: {found} is not there.")
            before = found.lstat()
            check_size(self.who, found, before.st_size, most)
            changed = PathError(f"{self.who}: {found} changed while it was read. Repeat when its writer has finished.")
            with writing(target):
                sha256 = copy_hashed(found, cast("IO[bytes]", _Bounded(file, before.st_size, changed)))
            after = found.lstat()
            if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns):
                raise changed
            return sha256

    def entries(self, folder: str = "") -> Iterator[Found]:
        """Files below a folder; links are not followed. `refused` has what was passed over, and why."""
        self.refused.clear()
        with self._told(WayError):
            place = self._at(folder) if folder else self._whole()
            with reading(place):
                for at, folders, names in os.walk(place, onerror=partial(self._unlisted, place)):
                    below = Path(at).relative_to(self.root)
                    links = {name for name in folders if (Path(at) / name).is_symlink()}
                    yield from filter(None, (self._listed(below / name) for name in sorted({*names, *links})))
                    folders[:] = sorted(name for name in folders if name not in links and self._enters(below / name))

    def _unlisted(self, place: Path, error: OSError) -> None:
        """Note a folder that may not be listed. One that was removed meanwhile is none; the place itself must be."""
        if not isinstance(error, FileNotFoundError):
            if Path(error.filename) == place or not self.goes_on:
                raise error
            path = Path(error.filename).relative_to(self.root).as_posix()
            self.refused.note(path, UNLISTED.format(error.strerror), is_folder=True)

    def _enters(self, path: Path) -> bool:
        """Whether a folder is walked through; one of an odd name is noted."""
        self.refused.note(path.as_posix(), passed_over(path.as_posix()))
        return is_path(path.as_posix())

    def _listed(self, path: Path) -> Found | None:
        """A file of a listing; what is none, or may not be looked at, is noted."""
        name = path.as_posix()
        if not is_path(name):
            self.refused.note(name, passed_over(name))
            return None
        try:
            found = _found(self.root, path)
        except OSError as error:
            if not self.goes_on:
                raise
            self.refused.note(name, UNLISTED.format(error.strerror))
            return None
        if found is None and os.path.lexists(self.root / path):
            self.refused.note(name, IRREGULAR)
        return found

    def found(self, path: str) -> Found | None:
        """A file as `entries` gives it."""
        with self._told(), reading(place := self._at(path)):
            return _found(self.root, place.relative_to(self.root))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder; those that begin with a dot are no business of ours."""
        with self._told():
            place = self._at(folder) if folder else self.root
            if not place.is_dir():
                return []
            with reading(place):
                return plain(path.name for path in place.iterdir() if path.is_file())

    def remove(self, path: str) -> None:
        """Remove a file."""
        with self._told():
            target = self._at(path)
            with writing(target):
                target.unlink(missing_ok=True)

    def remove_stale(self) -> None:
        """Remove what processes that died have left in `.incoming`."""
        with self._told(WayError):
            incoming = self.root / INCOMING
            with writing(incoming):
                for part in incoming.iterdir() if incoming.is_dir() else ():
                    if is_stale(part.name, part.lstat().st_mtime):
                        part.unlink(missing_ok=True)

    def _whole(self) -> Path:
        """The folder. Raises WayError if it is gone, which must not look as if it were empty."""
        if not self.root.is_dir():
            raise WayError(f"{self.who}: {self.root} is no folder, or none any more. Mount the disk.")
        return self.root

    def _at(self, path: str) -> Path:
        """The place of a path. Raises PathError if a link leads out of the folder, WayError if that is gone."""
        place = self._whole() / checked(self.who, path)
        if not place.parent.resolve().is_relative_to(self.root.resolve()):
            raise PathError(f"{self.who}: {place} leads out of the folder by a link. Remove it.")
        return place

    def _is_file(self, place: Path) -> bool:
        """Whether there is a file of its own; a link could show what is not of this place."""
        with reading(place):
            return place.is_file() and not place.is_symlink()

    @contextmanager
    def _told(self, kind: type[WayError] = PathError) -> Iterator[None]:
        """Turn a refusal of the operating system into an error of `kind`; of all if the folder itself is gone."""
        try:
            yield
        except StorageError as error:
            told = kind if self.root.is_dir() else WayError
            raise told(f"{self.who}: {error}") from None


class _Bounded:
    """A file that takes so many bytes and no more: one that grows for ever would fill the disk."""

    def __init__(self, file: IO[bytes], most: int, excess: PathError) -> None:
        self.file, self.left, self.excess = file, most, excess

    def write(self, block: bytes) -> int:
        """Write bytes. Raises `excess` if they are too many."""
        self.left -= len(block)
        if self.left < 0:
            raise self.excess
        return self.file.write(block)


def _found(root: Path, path: Path) -> Found | None:
    """A regular file of a listing; None for anything else."""
    try:
        status = (root / path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode) or not is_path(path.as_posix()):
        return None
    mark = f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    return Found(path.as_posix(), status.st_size, status.st_mtime, mark)


def _make(folder: Path) -> None:
    """Make a folder, and those above it, that others may read."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)
        sync(folder.parent)


def _copy(source: Path, part: Path) -> str:
    """Copy a file, with its time, onto the disk; sha256 of what was read."""
    part.unlink(missing_ok=True)
    with part.open("xb") as file:
        sha256 = copy_hashed(source, file)
        status = source.stat()
        os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        finished(file, FILE_MODE)
    return sha256
