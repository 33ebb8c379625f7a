# SPDX-License-Identifier: Apache-2.0
"""Files of this machine: refusals in plain words, files that appear whole or not at all, and hashes of their bytes."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from lake.errors import StorageError

COPY_BYTES = 1 << 20
FEW = 8  # files that are waited for one by one; a whole disk takes longer than these
PART = ".part"  # ends the names of files that are still being written


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to read into a StorageError that names the file."""
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise StorageError(f"{place}: {_cause(error)}. Give the right to read it, or check the disk.") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into a StorageError that names the file."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        place = path if named.endswith(PART) else named or path  # a temporary name tells nobody anything
        raise StorageError(f"{place}: {_cause(error)}. Free space or give the right to write, then repeat.") from None


def _cause(error: OSError) -> str:
    """The operating system's words; Arrow's errors have only their own."""
    return error.strerror or " ".join(str(error).split())


@contextmanager
def temporary(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file beside `target` that is gone after the block, unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=PART, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield Path(name), file
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def new_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that is new, and gone if the block does not end well. What is written in the block is its own business."""
    with writing(target):
        file = target.open("xb")
    try:
        with closing(file):
            yield file
            with writing(target):
                file.flush()
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def finished(file: IO[bytes], mode: int) -> None:
    """Bytes on disk and rights set, before the file gets its name."""
    file.flush()
    os.fchmod(file.fileno(), mode)
    os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power loss."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # what is asked of a handle does not say which file it is
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(handle)


def sync_all(paths: Sequence[Path], disk: int | None) -> None:
    """Wait until these files, all on one disk, would survive a power loss.

    `disk` is a handle of anything on it that was opened before the first of them was written: with it many files are
    one call, which tells of errors that the disk has had since. Without it, or without that call, each is waited for.
    """
    wait = _syncfs()
    if disk is None or wait is None or len(paths) <= FEW:
        for path in paths:
            sync(path)
    elif wait(disk) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(paths[0].parent))


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    """The call of Linux that waits for all of a file system; other systems have none."""
    try:
        call: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    return call


def write_source(source: bytes | Path, file: IO[bytes]) -> None:
    """Copy bytes, or those of a file, into an open file."""
    if isinstance(source, bytes):
        file.write(source)
    else:
        copy_hashed(source, file)


def copy_hashed(source: Path, target: IO[bytes]) -> str:
    """Copy all bytes; their sha256. Only what the source does is called an error of reading."""
    digest = hashlib.sha256()
    with reading(source):
        stream = source.open("rb")
    with stream:
        while block := _block(source, stream):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _block(source: Path, stream: IO[bytes]) -> bytes:
    with reading(source):
        return stream.read(COPY_BYTES)


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, in hex. Raises StorageError if it cannot be read."""
    with reading(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_while_alive(parent: Path) -> Path:
    """A new folder below `parent`, locked while this process lives; those of processes that have ended are removed."""
    with writing(parent):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in parent.iterdir():
            if (handle := _locked(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(handle)
        while True:
            folder = Path(tempfile.mkdtemp(dir=parent))
            # Between these two lines another process may take the folder for one left behind.
            if _locked(folder) is not None and folder.exists():
                return folder


def _locked(folder: Path) -> int | None:
    """A handle that locks a folder until it is closed; None if another process holds it or has removed it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
