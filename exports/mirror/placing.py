# SPDX-License-Identifier: Apache-2.0
"""Bringing files: fetched under a name out of sight, compared, synced to disk, and only then given their names.

Each is fetched by itself; those that have come are synced together, since a disk takes about as long for many files as
for one. What somebody changed here is put aside under another name. Nothing is ever deleted.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exports.mirror.facts import Fact
from exports.mirror.state import FILE_MODE, HIDDEN, Kept
from lake.errors import PathError, StorageError
from lake.files import sha256_of, sync, sync_all, writing
from lake.ways.transport import Found, Transport

INCOMING = "incoming"
FOLDER_MODE = 0o755


@dataclass(frozen=True)
class Task:
    """A file to be brought: what the source says of it, where it goes, what it must be, and what we had.

    kept : of this file, wherever it was. laid : what we put into the place, which may have been another file.
    """

    found: Found
    target: str
    fact: Fact | None
    kept: Kept | None
    laid: Kept | None


@dataclass(frozen=True)
class Fetched:
    """A file that is as it should be, and what was in its place then. `part` is None if that is the same."""

    task: Task
    sha256: str
    there: str | None
    part: Path | None


@dataclass(frozen=True)
class Brought:
    """A file that is in its place: its hash and how it stands there, whether it was there already, what gave way."""

    task: Task
    sha256: str
    stat: str
    is_new: bool
    aside: str | None = None


class MismatchError(PathError):
    """Bytes that are not those that a manifest names; `sha256` is that of the manifest."""

    def __init__(self, message: str, sha256: str) -> None:
        super().__init__(message)
        self.sha256 = sha256


def standing(path: Path) -> str | None:
    """How a file stands here: another text whenever somebody has touched it. None if there is none."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # whoever writes there will be told the same
        return f"no file: {error.strerror}"
    kind = "" if stat.S_ISREG(status.st_mode) else "no file "
    return f"{kind}{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def fetch(folder: Path, transport: Transport, task: Task) -> Fetched:
    """Fetch a file, unless it is here. Raises WayError if it cannot be, MismatchError, StorageError."""
    part = folder / HIDDEN / INCOMING / f"{uuid.uuid4().hex}.part"
    with writing(folder / task.target):
        try:
            fetched = _fetched_or_here(_place(folder, task.target), part, transport, task)
        except BaseException:
            _remove(part)
            raise
        if fetched.part is None:
            _remove(part)
        return fetched


def _fetched_or_here(target: Path, part: Path, transport: Transport, task: Task) -> Fetched:
    there = standing(target)
    held = _held(target, there, task.laid)
    if there is not None and task.fact is not None and held == task.fact.sha256:
        return Fetched(task, task.fact.sha256, there, None)
    sha256 = _fetched(transport, task, part)
    if there is not None and sha256 == held:
        return Fetched(task, sha256, there, None)
    part.chmod(FILE_MODE)
    os.utime(part, (task.found.modified, task.found.modified))
    return Fetched(task, sha256, there, part)


def place_all(folder: Path, disk: int | None, group: Sequence[Fetched], now: datetime) -> list[Brought | StorageError]:
    """Put fetched files into their places: what came of each. When it returns, they would survive a power loss.

    `disk` is a handle of the folder's disk from before the first of them was written.
    """
    try:
        with writing(folder):
            sync_all([one.part for one in group if one.part is not None], disk)
    except StorageError as error:
        return [error if one.part is not None else _placed(folder, one, now) for one in group]
    else:
        return _named_on_disk(folder, [(one, _placed(folder, one, now)) for one in group])
    finally:
        for one in group:
            if one.part is not None:
                _remove(one.part)


def _named_on_disk(
    folder: Path, placed: Iterable[tuple[Fetched, Brought | StorageError]]
) -> list[Brought | StorageError]:
    """What came of files, once their names would survive a power loss: each folder is waited for once."""
    outcomes, lost = list(placed), dict[Path, StorageError]()
    new = {(folder / one.task.target).parent for one, came in outcomes if isinstance(came, Brought) and came.is_new}
    for parent in sorted(new):
        try:
            with writing(parent):
                sync(parent)
        except StorageError as error:
            lost[parent] = error
    return [lost.get((folder / one.task.target).parent, came) for one, came in outcomes]


def _placed(folder: Path, one: Fetched, now: datetime) -> Brought | StorageError:
    """A file in its place, or why it is not. What lies there and is not ours gives way."""
    task, target = one.task, folder / one.task.target
    try:
        with writing(target):
            if one.part is None:
                return Brought(task, one.sha256, one.there or "", is_new=False)
            there = standing(_place(folder, task.target))
            is_ours = task.laid is not None and _held(target, there, task.laid) == task.laid.sha256
            aside = None if there is None or is_ours else _put_aside(target, now)
            _name(one.part, target)
            return Brought(task, one.sha256, standing(target) or "", is_new=True, aside=aside)
    except StorageError as error:
        return error


def _held(target: Path, there: str | None, laid: Kept | None) -> str | None:
    """The sha256 of what is in a place, which is read unless it stands as we put it there; None if it is no file."""
    if there is None or there.startswith("no file"):
        return None
    return laid.sha256 if laid is not None and laid.stat == there else sha256_of(target)


def _place(folder: Path, path: str) -> Path:
    """The place of a path. Raises StorageError if a link here leads out of the folder."""
    target = folder / path
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise StorageError(f"{target}: leads out of the mirror by a link. Remove the link, or correct `into`.")
    return target


def _fetched(transport: Transport, task: Task, part: Path) -> str:
    """The sha256 of a file that was fetched, as it should be."""
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    path = task.found.path
    sha256 = transport.fetch(path, part, task.found.bytes)
    if task.fact is not None and sha256 != task.fact.sha256:
        what = f"has the SHA-256 {sha256}, and its manifest says {task.fact.sha256}. It is not taken"
        raise MismatchError(f"{path}: {what}; ask the center.", task.fact.sha256)
    if part.stat().st_size != task.found.bytes:
        raise PathError(f"{path}: changed since it was listed. It is fetched again.")
    return sha256


def _put_aside(target: Path, now: datetime) -> str:
    """Give what is in the way another name, which nothing has."""
    number, ending = 1, f".changed-{now:%Y%m%dT%H%M%SZ}"
    while standing(other := target.with_name(f"{target.name}{ending}")) is not None:
        number += 1
        ending = f".changed-{now:%Y%m%dT%H%M%SZ}-{number}"
    target.rename(other)
    return other.name


def _name(part: Path, target: Path) -> None:
    """Give a whole file its name."""
    make_folder(target.parent)
    part.replace(target)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that they survive a power loss."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)
        sync(folder.parent)


def _remove(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove what a process that died was fetching; nobody else is at work."""
    incoming = folder / HIDDEN / INCOMING
    with writing(incoming):
        for part in incoming.iterdir() if incoming.is_dir() else ():
            part.unlink(missing_ok=True)
