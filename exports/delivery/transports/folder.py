# SPDX-License-Identifier: Apache-2.0
"""Delivery into a folder of this machine or of a mounted disk, from where others may copy with rsync."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exports.delivery.transport import PathError
from exports.delivery.transports.names import INCOMING, SMALL_BYTES, checked, is_stale, new_sender, plain, sent_as
from exports.delivery.ways import FolderWay
from lake.errors import DeliveryError, StorageError
from lake.files import copy_hashed, finished, reading, sha256_of, sync, writing

FILE_MODE, FOLDER_MODE = 0o644, 0o755  # readable by whoever fetches


def open_folder(recipient: str, way: FolderWay) -> FolderTransport:
    """The folder. Raises DeliveryError if it is not there or cannot be written."""
    root = way.path
    if not root.is_dir():
        raise DeliveryError(f"recipient {recipient}: {root} is no folder. Mount the disk, or make the folder.")
    if not os.access(root, os.W_OK | os.X_OK):
        raise DeliveryError(f"recipient {recipient}: {root} cannot be written. Give the right to write there.")
    transport = FolderTransport(recipient, root)
    transport.remove_stale()
    return transport


class FolderTransport:
    """A recipient's folder. Bytes and names are synced to disk before a call returns."""

    def __init__(self, recipient: str, root: Path) -> None:
        self.recipient, self.root, self.sender = recipient, root, new_sender()

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
                    raise PathError(f"recipient {self.recipient}: {what}")
                _make(target.parent)
            with self._told(DeliveryError), writing(target):  # a disk that is full refuses all
                self._arrive(source, self.root / sent_as(path, self.sender), target)
        return True

    def _arrive(self, source: Path, part: Path, target: Path) -> None:
        """Copy a file aside and give it its name when it is whole there."""
        _make(part.parent)
        try:
            if _copy(source, part) != sha256_of(part):
                raise DeliveryError(f"recipient {self.recipient}: {target}: came as other bytes. Mend the disk.")
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
                raise PathError(f"recipient {self.recipient}: {found} is too large to be read. Remove it there.")
            return content

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
        with self._told(DeliveryError):
            incoming = self.root / INCOMING
            with writing(incoming):
                for part in incoming.iterdir() if incoming.is_dir() else ():
                    if is_stale(part.name, part.lstat().st_mtime):
                        part.unlink(missing_ok=True)

    def _at(self, path: str) -> Path:
        """The place of a path. Raises PathError if a link leads out of the folder, DeliveryError if that is gone."""
        if not self.root.is_dir():
            raise DeliveryError(f"recipient {self.recipient}: {self.root} is no folder any more. Mount the disk.")
        place = self.root / checked(self.recipient, path)
        if not place.parent.resolve().is_relative_to(self.root.resolve()):
            raise PathError(f"recipient {self.recipient}: {place} leads out of the folder by a link. Remove it.")
        return place

    def _is_file(self, place: Path) -> bool:
        """Whether there is a file of its own; a link could show what is not of this recipient."""
        with reading(place):
            return place.is_file() and not place.is_symlink()

    @contextmanager
    def _told(self, kind: type[DeliveryError] = PathError) -> Iterator[None]:
        """Turn a refusal of the operating system into an error of `kind`; of all if the folder itself is gone."""
        try:
            yield
        except StorageError as error:
            told = kind if self.root.is_dir() else DeliveryError
            raise told(f"recipient {self.recipient}: {error}") from None


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
