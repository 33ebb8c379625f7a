# SPDX-License-Identifier: Apache-2.0
"""Restoring a lake from a copy: each file is compared with its hash before it gets its place, the logs of tables last.

A table without its log is none, so that nobody sees half of one. A marker says which snapshot is on its way; with it a
restore that was killed goes on where it was.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lake.backup.marker import MARKER, is_half_restored
from lake.backup.opening import fitting_keys
from lake.backup.sealing import NO_KEY, SPOILED, Identities, unseal
from lake.backup.snapshots import Line, Snapshot
from lake.backup.vault import Vault
from lake.errors import ConfigurationError, StorageError
from lake.files import sha256_of
from lake.storage import LOCKS, SCRATCH, Folder, Storage
from lake.store import RAW

LOG = "/_delta_log/"
CONFIG = "config"
FREE_SHARE = 1.01  # of the bytes that come: names and folders take some room, too


@dataclass
class Restored:
    """What a restore did. `there`: files that an earlier attempt had restored."""

    snapshot: str
    files: int = 0
    bytes: int = 0
    there: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, placed: Placed) -> None:
        """Count a file."""
        if placed.problem:
            self.problems.append(placed.problem)
        elif placed.was_there:
            self.there += 1
        else:
            self.files += 1
            self.bytes += placed.bytes


class Placed(NamedTuple):
    """What became of a file."""

    bytes: int = 0
    was_there: bool = False
    problem: str = ""


def restore(
    vault: Vault,
    snapshot: Snapshot,
    storage: Storage,
    config_folder: Path,
    only: str | None = None,
) -> Restored:
    """Restore a snapshot into an empty place; `only` what is below a key. Configuration goes to a folder of its own.

    Raises ConfigurationError if the place is not empty, nothing is below the key, or the private key opens nothing;
    StorageError if it has no room or cannot be written; WayError if the copy cannot be reached. What is damaged in the
    copy is a problem.
    """
    _check(vault, snapshot, storage, config_folder, only)
    keys = fitting_keys(vault, _sealed(vault, snapshot, only))
    with ExitStack() as leases:
        for name in ("ingest", "build"):
            leases.enter_context(storage.alone(name))
        storage.put(MARKER, _marker(snapshot.name, only))
        work = _Restore(vault, storage, config_folder, Restored(snapshot.name), keys)
        for logs in (False, True):
            wanted = (line for line in _lines(snapshot, only) if (LOG in line.key) == logs)
            for placed in vault.mapped(work.place, wanted):
                work.done.add(placed)
        if not work.done.problems:
            storage.remove(MARKER)
    return work.done


def _check(vault: Vault, snapshot: Snapshot, storage: Storage, config_folder: Path, only: str | None) -> None:
    """Raises ConfigurationError or StorageError, as `restore` says, before anything is written."""
    if not _goes_on(storage, snapshot.name, only):
        for place in (storage, Folder(config_folder)):
            _check_empty(place)
    if next(_lines(snapshot, only), None) is None:
        raise ConfigurationError(f"{vault.who}: nothing of snapshot {snapshot.name} is below {only!r}. Correct --only.")
    _check_room(storage, sum(line.bytes for line in _lines(snapshot, only)))


def _lines(snapshot: Snapshot, only: str | None) -> Iterator[Line]:
    below = only.rstrip("/") if only else None
    return (line for line in snapshot.lines() if below is None or line.key == below or line.key.startswith(f"{below}/"))


def _sealed(vault: Vault, snapshot: Snapshot, only: str | None) -> Iterator[tuple[str, str]]:
    """Encrypted objects, and the hash of what is stored in each now."""
    lines = (line for line in _lines(snapshot, only) if line.is_sealed)
    renewed = vault.renewals()
    return ((line.object, renewed.get(line.object, (0, line.stored_sha256))[1]) for line in lines)


def _marker(name: str, only: str | None) -> bytes:
    return json.dumps({"snapshot": name, "only": only}).encode() + b"\n"


def _goes_on(storage: Storage, name: str, only: str | None) -> bool:
    """Whether an earlier attempt at the same has left its marker. Raises ConfigurationError if another one has."""
    if not is_half_restored(storage):
        return False
    if storage.read(MARKER) != _marker(name, only):
        raise ConfigurationError(f"{storage.address}: another snapshot was being restored there. Empty it, or use it.")
    _remove_scratch(storage)
    return True


def _check_empty(storage: Storage) -> None:
    """Raises ConfigurationError unless nothing is there."""
    strange = next((key for key in _names(storage) if not key.startswith(LOCKS)), None)
    if strange is not None:
        raise ConfigurationError(f"{storage.address}: is not empty, it has {strange!r}. Choose an empty place.")


def _names(storage: Storage) -> Iterator[str]:
    """What is at the root of a place."""
    if isinstance(storage, Folder):
        return (path.name for path in storage.root.iterdir()) if storage.root.is_dir() else iter(())
    return (entry.key for entry in storage.entries(""))


def _remove_scratch(storage: Storage) -> None:
    """Remove what the attempt before was writing when it ended."""
    if isinstance(storage, Folder):
        for folder in storage.root.glob(f"{SCRATCH}*"):
            shutil.rmtree(folder)


def _check_room(storage: Storage, size: int) -> None:
    free = storage.free_bytes()
    if free is not None and free < size * FREE_SHARE and not is_half_restored(storage):
        raise StorageError(f"{storage.address}: {size} bytes come, and {free} are free. Choose a larger disk.")


@dataclass
class _Restore:
    """The work on one file after the other."""

    vault: Vault
    storage: Storage
    config_folder: Path
    done: Restored
    keys: Identities
    there: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = Folder(self.config_folder)
        self.there = {entry.key: entry.bytes for entry in self.storage.entries("")}

    def place(self, line: Line) -> Placed:
        """Give a file its place, unless it has it. From a bucket, several of these calls run at once."""
        to, key = self.storage, line.key
        if line.kind == CONFIG:
            to, key = self.config, line.key.removeprefix(f"{CONFIG}/")
        held = to.size(key) if to is self.config else self.there.get(key)
        if held == line.bytes:
            return Placed(was_there=True)
        with to.scratch() as folder, self.vault.fetched(line.object, folder) as (path, stored):
            if (wrong := self._wrong(line, path, stored, folder / "file")) is not None:
                return Placed(problem=f"{line.key}: {line.object} {wrong}; it is not restored")
            os.utime(folder / "file", (line.modified, line.modified))
            if not to.put_new(key, folder / "file", mode=0o444 if _is_raw(line.key) else 0o644):
                raise StorageError(f"{to.uri(key)}: is there with other bytes. Empty the place, then repeat.")
        return Placed(line.bytes)

    def _wrong(self, line: Line, path: Path, stored: str | None, target: Path) -> str | None:
        """What is wrong with an object; None if `target` has the bytes of the line."""
        if stored is None:
            return "is missing, or cannot be read"
        if not line.is_sealed:
            path.rename(target)
            return None if stored == line.sha256 else "has changed"
        if (fault := unseal(path, target, self.keys)) is not None:
            return SPOILED if fault == NO_KEY and stored != line.stored_sha256 else fault
        return None if sha256_of(target) == line.sha256 else "holds other bytes than its name says"


def _is_raw(key: str) -> bool:
    """Whether these are the bytes of a raw file, which nobody may write to."""
    return key.startswith(RAW) and not key.endswith(".json")
