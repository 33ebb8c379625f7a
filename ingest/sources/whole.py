# SPDX-License-Identifier: Apache-2.0
"""Reading a file of others once, and knowing that it stood still meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lake.errors import StorageError
from lake.files import COPY_BYTES, writing

CHANGED = "changed while it was read. It is read again when it stands still."
FILE_MODE = 0o444  # what is archived is never written to
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ChangedError(StorageError):
    """A file changed while it was read; it is read again later."""


class SourceError(StorageError):
    """A file of others cannot be read; the lake is well, and so may the next file be."""


class NoRoomError(StorageError):
    """A file does not fit on the disk of the lake; a smaller one may."""


def hashed(source: Path, mark: str | None = None) -> tuple[str, int]:
    """sha256 of a file's bytes and their number. Raises as `copied`."""
    return _read(source, None, mark)


def copied(source: Path, target: Path, mark: str | None = None) -> tuple[str, int]:
    """Copy a file to a new one and hash it on the way: sha256 of the bytes and their number.

    Raises ChangedError if it was another file, or had other bytes, before than after; SourceError if it is no regular
    file or cannot be read; NoRoomError if it does not fit; StorageError if the copy cannot be written for another
    reason. With a `mark` it must be the file that had it. A link is not followed, and the copy is not synced. What
    was not copied to its end takes no room afterwards.
    """
    with _keeping():
        to = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        found = _read(source, to, mark)
        with writing(target):
            os.fchmod(to, FILE_MODE)
        return found
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise
    finally:
        os.close(to)


def _read(source: Path, to: int | None, mark: str | None) -> tuple[str, int]:
    with _giving(source):
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read_still(source, handle, to, mark)
        finally:
            os.close(handle)


def _read_still(source: Path, handle: int, to: int | None, mark: str | None) -> tuple[str, int]:
    before = os.fstat(handle)
    if not stat.S_ISREG(before.st_mode):
        raise SourceError(f"{source}: is no regular file. Remove it.")
    if mark is not None and mark_of(before) != mark:
        raise ChangedError(f"{source}: {CHANGED}")
    digest, count = _pump(handle, to, before.st_size)
    if identity(before) != identity(os.fstat(handle)) or not _is_still(source, before) or count != before.st_size:
        raise ChangedError(f"{source}: {CHANGED}")
    return digest, count


def _pump(handle: int, to: int | None, size: int) -> tuple[str, int]:
    """Read to the end, hash, and write what was read; of a file that is being written to no more than a block beyond
    its size, as its end may never come.
    """
    digest, count = hashlib.sha256(), 0
    while count <= size and (block := os.read(handle, COPY_BYTES)):
        digest.update(block)
        count += len(block)
        if to is not None:
            _write(to, block)
    return digest.hexdigest(), count


def _write(to: int, block: bytes) -> None:
    with _keeping():
        left = memoryview(block)
        while left:
            left = left[os.write(to, left) :]


@contextmanager
def _keeping() -> Iterator[None]:
    """As `writing` on the disk of the lake; that it is full is an error of its own."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoomError("it does not fit on the disk of the lake. Free space; it is tried again.") from None
        with writing(Path("the disk of the lake")):
            raise


@contextmanager
def _giving(source: Path) -> Iterator[None]:
    """What the operating system refuses within the block is the source's fault."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror}. Give the right to read it, or check the disk."
        raise SourceError(f"{error.filename or source}: {reason}") from None


def _is_still(source: Path, before: os.stat_result) -> bool:
    """True if the name still is that of the same file."""
    try:
        return identity(source.lstat()) == identity(before)
    except OSError:
        return False


def identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """What is another one whenever a file is, or has other bytes: the clock of a kernel is finer than a write is fast,
    and nobody can set the time of change (ctime).
    """
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def mark_of(status: os.stat_result) -> str:
    """The same as text, without the size, as a listing has it."""
    return f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}-{status.st_ctime_ns}"
