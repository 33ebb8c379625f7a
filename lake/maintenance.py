# SPDX-License-Identifier: Apache-2.0
"""Upkeep of a lake: few files instead of many in the lake's own tables, checkpoints, and away with what nobody needs.

Data tables are never compacted: ops.runs names the files of each of their days. A Parquet file is removed if no
version needs it that is current, or was within the retention, or is held by a release, and it is older than the
retention. Nothing of raw/, journal/ or exports/ is touched but half-written leftovers. Each step is complete in itself,
so that the end of the process at any moment does no harm.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError, DeltaError

from lake.definitions import Table
from lake.errors import ConfigurationError, StorageError, TableError
from lake.files import PART, reading, writing
from lake.reading import data_files, one_line, open_table, partitioned
from lake.storage import SCRATCH, Entry
from lake.store import AsOf, Journal, Lake
from lake.tables import SETTINGS, write_remedy

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400
LEAST_DAYS = 1  # a younger file may be that of a night at work on another machine
CLOCK_SECONDS = 3600  # by which this machine's clock may be ahead of the storage's
COMPACT_FROM = 8  # files of an ops table
CHECKPOINT_AFTER = 10  # commits
ASIDE = (SCRATCH, ".export-", ".catalog-")  # folders in which things are written before they get their place
HALF = re.compile(r"#\d+$|\.tmp$")  # files of delta-rs on their way to their names


@dataclass
class Kept:
    """What an upkeep did, or would do.

    compacted : number of files by ops table, as it was
    checkpoints, settings : addresses of tables that got them
    removed, leftovers : Parquet files that no version needs, and half-written files
    busy : addresses of tables to which another process has written meanwhile; they wait for the next time
    lost : tables in states that releases name and that are no longer there
    """

    tables: int = 0
    compacted: dict[str, int] = field(default_factory=dict)
    checkpoints: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    removed: list[Entry] = field(default_factory=list)
    leftovers: list[Entry] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Bytes of what was removed."""
        return sum(entry.bytes for entry in (*self.removed, *self.leftovers))


def maintain(lake: Lake, retention_days: float = 7, dry_run: bool = False, now: float | None = None) -> Kept:
    """Keep the lake small and quick; `now` is in Unix seconds, by default that of `storage_time`.

    Raises ConfigurationError for a retention below a day, StorageError or TableError if the lake cannot be written.
    """
    if retention_days < LEAST_DAYS:
        raise ConfigurationError(f"a retention of {retention_days:g} days is too short. Give at least {LEAST_DAYS}.")
    kept = Kept()
    with lake.storage.alone("ingest"), lake.storage.alone("build"):
        cutoff = (storage_time(lake) if now is None else now) - retention_days * DAY_SECONDS
        states = released_states(lake)
        for table in (*lake.definitions.tables.values(), *lake.definitions.ops):
            if (delta := open_table(lake, table)) is not None:
                _Upkeep(lake, table, cutoff, dry_run, kept).run(delta, states)
        _remove_leftovers(lake, cutoff, dry_run, kept)
    return kept


def storage_time(lake: Lake) -> float:
    """What time it is, by this machine or by the storage that dates the files, whichever is earlier.

    Raises StorageError if this machine is ahead by far: what it calls old may be needed.
    """
    probe = f"{SCRATCH}time-{uuid.uuid4()}/now"
    lake.storage.put(probe, b"")
    stored = next(entry.modified for entry in lake.storage.entries(probe))
    lake.storage.remove(probe)
    if isinstance(lake.root, Path):
        (lake.root / probe).parent.rmdir()
    ahead = time.time() - stored
    if ahead > CLOCK_SECONDS:
        raise StorageError(f"{lake.root}: this machine's clock is {ahead / 3600:.1f} h ahead of it. Set the clock.")
    return min(time.time(), stored)


def released_states(lake: Lake) -> list[AsOf]:
    """The state of the tables that each release names."""
    return [
        AsOf(name, {a: int(t["version"]) for a, t in entry["tables"].items()}, _ids(entry["tables"]))
        for name, entry in Journal(lake).entries("releases").items()
    ]


def _ids(tables: dict[str, dict[str, str]]) -> dict[str, str]:
    return {address: table["id"] for address, table in tables.items()}


@dataclass(frozen=True)
class _Upkeep:
    """The upkeep of one table."""

    lake: Lake
    table: Table
    cutoff: float
    dry_run: bool
    kept: Kept

    def run(self, delta: DeltaTable, states: list[AsOf]) -> None:
        """Settings, compaction, checkpoint, then the removal of files."""
        self.kept.tables += 1
        try:
            self._set(delta)
            self._compact(delta)
            self._checkpoint(delta)
        except CommitFailedError:
            self.kept.busy.append(self.table.address)  # the next upkeep will do it
        except (DeltaError, OSError) as error:
            where = self.lake.table_uri(self.table)
            remedy = f"{write_remedy(self.lake)}, then repeat."
            raise TableError(f"{where}: cannot be maintained ({one_line(error)}). {remedy}") from None
        self._sweep(delta, states)

    def _set(self, delta: DeltaTable) -> None:
        if SETTINGS.items() <= delta.metadata().configuration.items():
            return
        self.kept.settings.append(self.table.address)
        if not self.dry_run:
            delta.alter.set_table_properties(SETTINGS, raise_if_not_exists=False)

    def _compact(self, delta: DeltaTable) -> None:
        count = len(delta.file_uris())
        if partitioned(self.table) or count < COMPACT_FROM:
            return
        self.kept.compacted[self.table.address] = count
        if not self.dry_run:
            delta.optimize.compact(writer_properties=WriterProperties(compression="ZSTD", compression_level=1))

    def _checkpoint(self, delta: DeltaTable) -> None:
        place = f"{self.lake.table_key(self.table)}/_delta_log/_last_checkpoint"
        try:
            last = int(json.loads(self.lake.storage.read(place))["version"]) if self.lake.storage.size(place) else -1
        except (ValueError, LookupError, TypeError):
            last = -1 - CHECKPOINT_AFTER  # damaged: a checkpoint writes it anew
        if delta.version() - last < CHECKPOINT_AFTER:
            return
        self.kept.checkpoints.append(self.table.address)
        if not self.dry_run:
            delta.create_checkpoint()

    def _sweep(self, delta: DeltaTable, states: list[AsOf]) -> None:
        """Remove files that no version needs. They are listed first: what is committed meanwhile is no longer old."""
        old = [entry for entry in parquet_files(self.lake, self.table) if entry.modified < self.cutoff]
        if not old:
            return
        needed = self._needed(delta, states)
        self.lake.storage.still_alone()
        for entry in old:
            if entry.key not in needed:
                if not self.dry_run:
                    self.lake.storage.remove(entry.key)
                self.kept.removed.append(entry)
                log.info("maintain removed=%s bytes=%d", entry.key, entry.bytes)

    def _needed(self, delta: DeltaTable, states: list[AsOf]) -> set[str]:
        """Keys of the files of the newest version, of those within the retention, and of those of releases.

        Raises TableError if a version cannot be read that may be there: then nothing of the table is removed.
        """
        needed = set(removed_since(self.lake, self.table, self.cutoff))
        for state in (None, *(state for state in states if self.table.address in state.versions)):
            try:
                opened = open_table(Lake(self.lake.root, self.lake.definitions, state), self.table)
            except TableError as error:
                if state is None or not self._is_gone(delta, state):
                    raise
                self.kept.lost.append(str(error))
                continue
            needed |= {self.lake.storage.key(uri) for uri in (data_files(opened) if opened is not None else ())}
        return needed

    def _is_gone(self, delta: DeltaTable, state: AsOf) -> bool:
        """True if the log lacks the version that a state names, or has another table's in its place."""
        version = state.versions[self.table.address]
        place = f"{self.lake.table_key(self.table)}/_delta_log/{version:020}."
        if next(iter(self.lake.storage.entries(place)), None) is None:
            return True
        try:
            delta.load_as_version(version)
        except (DeltaError, OSError):
            return False
        return str(delta.metadata().id) != state.table_ids.get(self.table.address)


def parquet_files(lake: Lake, table: Table) -> list[Entry]:
    """The Parquet files below a table's place, whether a version names them or not."""
    place = f"{lake.table_key(table)}/"
    found = lake.storage.entries(place)
    return [e for e in found if e.key.endswith(".parquet") and not e.key.startswith(f"{place}_delta_log/")]


def removed_since(lake: Lake, table: Table, cutoff: float) -> Iterator[str]:
    """Keys of files that commits have taken out of a table since `cutoff`: a version of that time may need them."""
    yield from _named_in_log(lake, table, cutoff, ("remove",))


def ever_named(lake: Lake, table: Table) -> set[str]:
    """Keys of all files that any commit of a table's log names."""
    return set(_named_in_log(lake, table, 0, ("add", "remove")))


def _named_in_log(lake: Lake, table: Table, cutoff: float, actions: tuple[str, ...]) -> Iterator[str]:
    place = lake.table_key(table)
    for entry in lake.storage.entries(f"{place}/_delta_log/"):
        if entry.key.endswith(".json") and entry.modified >= cutoff:
            for line in lake.storage.read(entry.key).splitlines():
                action = json.loads(line)
                yield from (f"{place}/{unquote(action[name]['path'])}" for name in actions if name in action)


def half_written(key: str) -> bool:
    """True for what a process that ended has left on its way to its place."""
    return key.startswith(ASIDE) or HALF.search(key) is not None


def leftovers(lake: Lake) -> list[Entry]:
    """What processes that ended have left half-written, in a folder also what its storage does not list."""
    found = [entry for entry in lake.storage.entries("") if half_written(entry.key)]
    if not isinstance(lake.root, Path):
        return found
    with reading(lake.root):
        parts = [(path, path.stat()) for path in sorted(lake.root.rglob(f"*{PART}"))]
    hidden = [Entry(path.relative_to(lake.root).as_posix(), status.st_size, status.st_mtime) for path, status in parts]
    return [*found, *hidden]


def _remove_leftovers(lake: Lake, cutoff: float, dry_run: bool, kept: Kept) -> None:
    """Remove half-written files older than the retention, and the folders that were made for them."""
    kept.leftovers = [entry for entry in leftovers(lake) if entry.modified < cutoff]
    folders = _folders_aside(lake, cutoff)
    if dry_run:
        return
    lake.storage.still_alone()
    for entry in kept.leftovers:
        lake.storage.remove(entry.key)
    for folder in folders:
        with writing(folder):
            shutil.rmtree(folder)


def _folders_aside(lake: Lake, cutoff: float) -> list[Path]:
    """Folders aside in which nothing is younger than the cutoff; object storage has none."""
    if not isinstance(lake.root, Path):
        return []
    folders = [f for f in lake.root.iterdir() if f.is_dir() and f.name.startswith(ASIDE)]
    return [f for f in folders if all(p.stat().st_mtime < cutoff for p in (f, *f.rglob("*")))]
