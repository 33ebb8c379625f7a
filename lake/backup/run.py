# SPDX-License-Identifier: Apache-2.0
"""Making a copy: what the place has not yet is sent, then a snapshot says what the lake was made of.

The end of the process at any moment leaves objects that no snapshot names; the next run finds them and sends them not
again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lake.backup.contents import Item, Pins, contents, pin
from lake.backup.snapshots import About, Before, ChangedError, Line, Snapshot, as_text, written
from lake.backup.vault import Vault
from lake.errors import StorageError
from lake.files import copy_hashed, sha256_of, writing
from lake.store import RAW, Lake

log = logging.getLogger(__name__)


@dataclass
class Copied:
    """What a run did, or would do: files and bytes of the snapshot, those that were sent.

    lost : objects of the last snapshot that were missing at the place, or had another size, and were sent again
    problems, notes : what of the lake could not be copied; snapshots that have changed at the place
    """

    snapshot: str | None = None
    at_rest: bool = True
    files: int = 0
    bytes: int = 0
    new_files: int = 0
    new_bytes: int = 0
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def copy_to(
    vault: Vault,
    lake: Lake,
    configuration: Mapping[str, Path],
    made_by: tuple[str, str | None],
    now: datetime,
    dry_run: bool = False,
) -> Copied:
    """Copy a lake to a place. `made_by` are release and commit of the code.

    Raises WayError if the place refuses, TableError or StorageError if the lake cannot be read at all.
    """
    pins = pin(lake)
    copied = Copied(at_rest=pins.at_rest)
    previous = _previous(vault, copied)
    before = Before(previous.lines() if previous else iter(()))
    work = _Run(vault, lake, before, vault.objects(), vault.renewals(), copied, dry_run)
    try:
        lines = _listed(work, contents(lake, pins, configuration))
    finally:
        vault.note_renewals(now)
    if not dry_run:
        about = _about(lake, pins, previous.name if previous else None, made_by, now)
        path = written(vault.folder, replace(about, files=copied.files, bytes=copied.bytes), lines, now)
        vault.add_snapshot(path)
        copied.snapshot = path.name
    return copied


def _listed(work: _Run, items: Iterator[Item]) -> Path:
    """Send what the place lacks; a file with the lines of a snapshot."""
    lines, copied = work.vault.folder / "lines", work.copied
    with writing(lines), lines.open("w", encoding="utf-8") as file:
        ready = (one for item in items if (one := work.prepared(item)) is not None)
        for line in work.vault.mapped(work.sent, ready):
            file.write(as_text(line))
            copied.files += 1
            copied.bytes += line.bytes
    return lines


def _previous(vault: Vault, copied: Copied) -> Snapshot | None:
    """The newest snapshot that is whole; None if there is none."""
    for name in reversed(vault.snapshots()):
        try:
            return vault.snapshot(name)
        except ChangedError as error:
            copied.notes.append(str(error))
    return None


def _about(lake: Lake, pins: Pins, previous: str | None, made_by: tuple[str, str | None], now: datetime) -> About:
    tables = {address: {"version": one.version, "id": one.table_id} for address, one in sorted(pins.tables.items())}
    return About(str(lake.root), now.isoformat(), previous, pins.at_rest, *made_by, tables)


class Prepared(NamedTuple):
    """A line, and the file that is to be sent to its object, if any is, in place of what may have its name."""

    line: Line
    path: Path | None = None
    replaces: bool = False


@dataclass
class _Run:
    """The work on one file after the other. `there` are objects at the place, also those that were sent by now."""

    vault: Vault
    lake: Lake
    before: Before
    there: dict[str, int]
    renewals: dict[str, tuple[int, str]]
    copied: Copied
    dry_run: bool
    sealed: dict[str, str] = field(default_factory=dict)  # hashes of sealed objects that this run has sent or read

    def prepared(self, item: Item) -> Prepared | None:
        """The line of a file, and what is to be sent; None if it cannot be read and never could be."""
        old = self._old(item.key)
        if old is not None and self._is_same(item, old) and self._is_held(old):
            return Prepared(old)
        try:
            with self._opened(item) as path:
                return self._read(item, old, path)
        except _Gone:
            return None
        except StorageError as error:
            kept = " The copy of before is kept." if old is not None else ""
            self.copied.problems.append(f"{item.key}: is not copied as it is ({error}){kept}")
            return Prepared(old) if old is not None and self._is_held(old) else None

    def sent(self, one: Prepared) -> Line:
        """The line, whose object is at the place then. Of a bucket, several of these calls run at once."""
        if one.path is not None:
            self.vault.put(one.line, one.path, one.replaces)
            if one.path.is_relative_to(self.vault.folder):
                one.path.unlink()
            log.info("backup sent=%s object=%s bytes=%d", one.line.key, one.line.object, one.line.stored_bytes)
        return one.line

    def _old(self, key: str) -> Line | None:
        """The line of the last snapshot, with what is stored now."""
        old = self.before.line(key)
        if old is not None and old.object in self.renewals:
            size, sha256 = self.renewals[old.object]
            return old._replace(stored_bytes=size, stored_sha256=sha256)
        return old

    def _is_same(self, item: Item, old: Line) -> bool:
        return item.is_steady and (item.bytes, item.modified) == (old.bytes, old.modified)

    def _is_held(self, old: Line) -> bool:
        return self.vault.is_as_now(old) and self.there.get(old.object) == old.stored_bytes

    @contextmanager
    def _opened(self, item: Item) -> Iterator[Path]:
        """A file with the bytes of an item that does not change; a copy of what may."""
        if item.path is None and item.is_steady:
            with self.lake.storage.local(item.key) as path:
                yield path
            return
        if item.path is None and self.lake.storage.size(item.key) is None:
            raise _Gone
        copy = self.vault.new_path()
        with writing(copy), copy.open("xb") as file:
            if item.path is not None:
                copy_hashed(item.path, file)
            else:
                file.write(self.lake.storage.read(item.key))
        yield copy

    def _read(self, item: Item, old: Line | None, path: Path) -> Prepared:
        """The line of a file that was read, and the file if its bytes are not at the place."""
        sha256 = sha256_of(path)
        name = item.key.rpartition("/")[2]
        if item.key.startswith(RAW) and "." not in name and name != sha256:
            raise StorageError(f"{self.lake.storage.uri(item.key)}: has changed in the archive. Run `swxlake fsck`.")
        size, place = path.stat().st_size, self.vault.object_of(sha256)
        line = Line(item.key, size, item.modified, sha256, place, size, sha256)
        held, known = self.there.get(place), self._known(line, old)
        if known is not None and held == known.stored_bytes:
            if path.is_relative_to(self.vault.folder):
                path.unlink()
            return Prepared(known)
        return self._to_send(line, path, was_there=held is not None or known is not None)

    def _known(self, line: Line, old: Line | None) -> Line | None:
        """The line with what is stored, if that is known, or can be read back from an object that is there."""
        if not line.is_sealed:
            return line if line.object in self.there or (old is not None and old.object == line.object) else None
        if old is not None and old.object == line.object:
            return line._replace(stored_bytes=old.stored_bytes, stored_sha256=old.stored_sha256)
        if line.object not in self.there:
            return None
        stored = self.sealed.get(line.object) or self.vault.stored(line.object)
        return line._replace(stored_bytes=self.there[line.object], stored_sha256=stored) if stored else None

    def _to_send(self, line: Line, path: Path, was_there: bool) -> Prepared:
        """A file on its way, sealed if it is to be; from here on its object counts as being there."""
        if was_there:
            self.copied.lost.append(line.object)
        self.copied.new_files += 1
        self.copied.new_bytes += line.bytes
        source = None
        if not self.dry_run:
            line, source = self.vault.sealed(line, self._lasting(path))
        self.there[line.object] = line.stored_bytes
        if line.is_sealed:
            self.sealed[line.object] = line.stored_sha256
        return Prepared(line, source, was_there)

    def _lasting(self, path: Path) -> Path:
        """The file, or the copy of an object of a bucket under a name that it keeps until it was sent."""
        if isinstance(self.lake.root, Path) or path.is_relative_to(self.vault.folder):
            return path
        return Path(shutil.move(path, self.vault.new_path()))


class _Gone(Exception):  # noqa: N818  it is what happened, and nothing is wrong
    """A document of state that was removed since it was listed."""
