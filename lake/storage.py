# SPDX-License-Identifier: Apache-2.0
"""Where a lake's bytes lie: a folder, or a prefix in object storage. Both offer the same few calls.

Objects are named by keys, relative POSIX paths below the root. An object appears whole or not at all.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lake.config import read_settings
from lake.files import PART, finished, reading, sync, sync_all, temporary, write_source, writing
from lake.lease import flocked

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCRATCH = ".scratch-"  # folders in which files are written before they get their place
LOCKS = "locks"


class Entry(NamedTuple):
    """An object: its key, its size, when it was written in Unix seconds, and its entity tag in object storage."""

    key: str
    bytes: int
    modified: float
    tag: str = ""


class Storage(Protocol):
    """What a lake asks of the place it is in. Every call raises StorageError if it is refused."""

    address: str

    @property
    def options(self) -> dict[str, str] | None:
        """Storage options for delta-rs and polars; None for a folder."""

    @property
    def arrow(self) -> FileSystem | None:
        """The file system of Arrow for the paths of `uri`, without their scheme; None for a folder."""

    def uri(self, key: str) -> str:
        """The object's path or URI, as delta-rs, polars and DuckDB take it."""

    def key(self, uri: str) -> str:
        """The key of an object by its path or URI."""

    def is_there(self) -> bool:
        """True if there is anything at the root."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Objects whose key begins with `prefix`, by key."""

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if it is not there."""

    def read(self, key: str) -> bytes:
        """All bytes of an object."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """A file with the object's bytes, to be read within the block."""

    def put(self, key: str, source: bytes | Path, mode: int = 0o644) -> None:
        """Write an object in place of what is there."""

    def put_new(self, key: str, source: bytes | Path, mode: int = 0o644) -> bool:
        """Write an object unless its key is taken; False if it was. Of several processes one succeeds."""

    def put_group(self, objects: Sequence[tuple[str, Path]], disk: int | None = None) -> list[bool]:
        """Write objects from files of `scratch` unless their keys are taken, and wait for the disk once for all.

        False where a key was taken. The caller holds the lease under which such objects are written. `disk` is as in
        `sync_all`; the files are used up, and keep their rights.
        """

    def publish(self, key: str, body: bytes, kind: str) -> None:
        """Write an object of media type `kind` in place of what is there, for browsers. It may be lost with the power:
        what is published is made from what is not."""

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""

    def staging(self, key: str) -> Path:
        """Where a file is written that becomes an object by `finish`; nobody looks at it before."""

    def finish(self, key: str, path: Path) -> None:
        """Make a file of `staging` the object, so that it would survive a power loss."""

    def scratch(self) -> AbstractContextManager[Path]:
        """An empty folder that is gone after the block; from there `put_new` into a folder is a link, not a copy."""

    def free_bytes(self) -> int | None:
        """Free space; None if it has no limit that is known."""

    def alone(self, name: str, wait_seconds: float | None = None) -> AbstractContextManager[None]:
        """A lease: one process at a time is within blocks of the same name.

        Raises StorageError if another one is still there after `wait_seconds` (default: the setting).
        """

    def still_alone(self) -> None:
        """Raises StorageError if a lease that this process holds may have been taken over. Costs nothing."""


def open_storage(root: Path | str) -> Storage:
    """The storage at a root: a folder, or `s3://bucket/prefix`. Nothing is read or made yet."""
    if isinstance(root, str) and root.startswith("s3://"):
        from lake.storage_s3 import open_bucket  # noqa: PLC0415  a lake in a folder does without boto3

        return open_bucket(root)
    return Folder(Path(root))


class Folder:
    """A lake in a folder. Bytes and names are synced to disk before a call returns."""

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root)

    @property
    def options(self) -> None:
        """None: paths need no options."""
        return

    @property
    def arrow(self) -> None:
        """None: Arrow opens paths by itself."""
        return

    def uri(self, key: str) -> str:
        """The object's path."""
        return str(self.root / key)

    def key(self, uri: str) -> str:
        """The path below the root."""
        return Path(uri).relative_to(self.root).as_posix()

    def is_there(self) -> bool:
        """True if the folder exists."""
        return self.root.is_dir()

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Files whose path below the root begins with `prefix`, by key."""
        folder = self.root / prefix.rpartition("/")[0]
        with reading(folder):
            walked = os.walk(folder, onerror=_unless_gone)
            names = [os.path.join(at, name) for at, _, files in walked for name in files]  # noqa: PTH118
            start = len(str(self.root)) + 1
            whole = [name for name in names if not name.endswith(PART)]
            for path in sorted(name for name in whole if name[start:].startswith(prefix)):
                status = _status(Path(path))
                if status is not None:  # another process may have removed it
                    yield Entry(path[start:], status.st_size, status.st_mtime)

    def size(self, key: str) -> int | None:
        """Bytes of a file; None if it is not there."""
        path = self.root / key
        with reading(path):
            status = _status(path)
        return status.st_size if status is not None else None

    def read(self, key: str) -> bytes:
        """All bytes of a file."""
        path = self.root / key
        with reading(path):
            return path.read_bytes()

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """The file itself."""
        yield self.root / key

    def put(self, key: str, source: bytes | Path, mode: int = 0o644) -> None:
        """Write beside the file, sync, rename."""
        target = self.root / key
        with writing(target), temporary(target) as (path, file):
            write_source(source, file)
            finished(file, mode)
            path.replace(target)
            sync(target.parent)

    def put_new(self, key: str, source: bytes | Path, mode: int = 0o644) -> bool:
        """Write beside the file, sync, link: a link is refused where a file is."""
        target = self.root / key
        if target.exists():
            return False
        with writing(target):
            if isinstance(source, Path) and self._is_ours(source):
                return _linked(source, target, mode)
            with temporary(target) as (path, file):
                write_source(source, file)
                finished(file, mode)
                return _linked(path, target, mode)

    def put_group(self, objects: Sequence[tuple[str, Path]], disk: int | None = None) -> list[bool]:
        """Sync all files, then rename them, then sync the folders: what has its name has its bytes."""
        if not objects:
            return []
        placed = [(str(path), f"{self.root}/{key}") for key, path in objects]
        folders = {Path(folder) for folder in {target.rpartition("/")[0] for _, target in placed}}
        with writing(self.root):
            sync_all([path for _, path in objects], disk)
            _make_folders(folders)
            new = [_renamed(path, target) for path, target in placed]
            for folder in folders:
                sync(folder)
        return new

    def publish(self, key: str, body: bytes, kind: str) -> None:
        """Write beside the file and rename, without waiting for the disk; the name's suffix tells its type."""
        target = self.root / key
        with writing(target), temporary(target) as (path, file):
            file.write(body)
            file.flush()
            path.chmod(0o644)
            path.replace(target)

    def _is_ours(self, source: Path) -> bool:
        """True for files in `scratch`: nobody else writes to them, so they need not be copied."""
        return source.is_relative_to(self.root) and source.relative_to(self.root).parts[0].startswith(SCRATCH)

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""
        path = self.root / key
        with writing(path):
            path.unlink(missing_ok=True)

    def staging(self, key: str) -> Path:
        """The file's final place: what is staged has a name that nothing mentions before it is finished."""
        path = self.root / key
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def finish(self, key: str, path: Path) -> None:
        """Sync the file and its name."""
        with writing(self.root / key):
            sync(path)
            sync(path.parent)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder below the root."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self.root, ignore_cleanup_errors=True)
        with folder as name:
            yield Path(name)

    def free_bytes(self) -> int | None:
        """Free space of the disk."""
        return shutil.disk_usage(_existing(self.root)).free

    def alone(self, name: str, wait_seconds: float | None = None) -> AbstractContextManager[None]:
        """A lock of the operating system, which ends with the process that holds it."""
        wait = read_settings().wait_seconds if wait_seconds is None else wait_seconds
        return flocked(self.root / LOCKS / f"{name}.lock", wait)

    def still_alone(self) -> None:
        """A lock of the operating system is lost with the process only."""


def _unless_gone(error: OSError) -> None:
    if error.errno != errno.ENOENT:
        raise error


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def _linked(source: Path, target: Path, mode: int) -> bool:
    """Give a file a second name, unless that is taken."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.chmod(mode)
    sync(source)
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return False
    sync(target.parent)
    return True


def _renamed(source: str, target: str) -> bool:
    """Give a file its name, unless that is taken. As text, since there are thousands of them."""
    if os.path.lexists(target):
        return False
    os.rename(source, target)  # noqa: PTH104
    return True


def _make_folders(folders: Iterable[Path]) -> None:
    """Make folders, and those above them, whose names would survive a power loss."""
    for folder in folders:
        if not folder.is_dir():
            _make_folders([folder.parent])
            folder.mkdir(exist_ok=True)
            sync(folder.parent)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
