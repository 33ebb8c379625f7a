# SPDX-License-Identifier: Apache-2.0
"""Making the envelopes of table-days that changed. They are a cache: nothing is lost with them but time.

Files that nothing names any more are removed one run later, since somebody may be reading them. A new day has the
coarse file of its year written again, and not those of all years.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake.definitions import Table
from lake.errors import TableError
from lake.ledger import Contents, file_list
from lake.reading import files_by_day, one_line, open_parquet, open_table
from lake.snapshots import Source
from lake.storage import Entry
from lake.store import Lake
from monitor.envelopes.buckets import Buckets, folded, of_rows, together
from monitor.envelopes.channels import Viewed, viewed_of, viewed_tables
from monitor.envelopes.layout import (
    COARSE,
    DAY_US,
    FINE,
    FOLDER,
    LEAST_ROWS,
    UNREADABLE,
    US,
    WIDTHS,
    Held,
    Index,
    Level,
    as_table,
    body,
    coarse_key,
    coarse_of,
    coarse_prefix,
    day_start,
    fine_files,
    fine_key,
    folder,
    marks_of,
    read_index,
    schema,
    year_of,
)
from monitor.envelopes.rows import batches

log = logging.getLogger(__name__)

Files = Mapping[date, tuple[str, ...]]


@dataclass
class Made:
    """What came of it: table-days made, those that were up to date, and those that failed with the reason."""

    made: int = 0
    unchanged: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def make_envelopes(lake: Lake, force: bool = False, contents: Contents | None = None) -> Made:
    """Bring the envelopes of all table-days up to date. `contents` saves opening the tables, if it was just read.

    Raises StorageError if they cannot be written.
    """
    made = Made()
    with lake.storage.alone("envelopes"):
        listed = _listed(lake)
        for table in viewed_tables(lake.definitions):
            there = listed.pop(folder(table), [])
            try:
                files = _files(lake, table, contents)
            except TableError as error:
                made.failed.append((table.address, str(error)))
                continue
            _make_table(lake, table, files, there, made, force)
        _remove(lake, (entry.key for there in listed.values() for entry in there))  # of tables that are no more
    return made


def _listed(lake: Lake) -> dict[str, list[Entry]]:
    """The files that there are, by their folder."""
    found: dict[str, list[Entry]] = {}
    for entry in lake.storage.entries(FOLDER):
        found.setdefault(f"{entry.key.rpartition('/')[0]}/", []).append(entry)
    return found


def _files(lake: Lake, table: Table, contents: Contents | None) -> Files:
    known = contents.tables.get(table.address) if contents else None
    return known.files if known else files_by_day(open_table(lake, table))


def _make_table(lake: Lake, table: Table, files: Files, there: Sequence[Entry], made: Made, force: bool) -> None:
    """Year by year. What belongs to none is not ours any more."""
    days, entries = dict[int, dict[date, tuple[str, ...]]](), dict[int | None, dict[str, Entry]]()
    for day, names in sorted(files.items()):
        days.setdefault(day.year, {})[day] = names
    for entry in there:
        entries.setdefault(year_of(entry.key), {})[entry.key] = entry
    _remove(lake, entries.pop(None, {}))
    for year in sorted({*days, *(year for year in entries if year is not None)}):
        _Making(lake, table, year, days.get(year, {}), entries.get(year, {}), made, force).run()


def _remove(lake: Lake, keys: Iterable[str]) -> None:
    for key in keys:
        lake.storage.remove(key)


@dataclass
class _Coarse:
    """The file of a year: what is known of each day, and by level the buckets that it had and those that are new."""

    index: Index = field(default_factory=dict)
    had: dict[Level, pa.Table] = field(default_factory=dict)
    new: dict[Level, list[Buckets]] = field(default_factory=lambda: {level: [] for level in COARSE})

    def only(self, days: set[date]) -> _Coarse:
        """What it had of some days."""
        wanted = pa.array(sorted(days), pa.date32())
        had = {
            level: rows.filter(pc.is_in(rows["time"].cast(pa.date32()), wanted))
            for level, rows in self.had.items()
            if days
        }
        return _Coarse({day: self.index[day] for day in days}, had)

    def table(self, level: Level, channels: Sequence[Viewed]) -> pa.Table:
        """All buckets of a level in the order of time."""
        parts = [self.had[level]] if self.had else [schema(channels).empty_table()]
        if self.new[level]:
            parts.append(as_table(together(self.new[level], WIDTHS[level] * US), channels, level))
        return pa.concat_tables(parts).sort_by("time")


@dataclass(frozen=True)
class _Making:
    """The envelopes of one year of a table, of which `there` are the files by key."""

    lake: Lake
    table: Table
    year: int
    files: Files
    there: Mapping[str, Entry]
    made: Made
    force: bool

    @cached_property
    def channels(self) -> tuple[Viewed, ...]:
        return viewed_of(self.lake.definitions, self.table)

    @cached_property
    def marks(self) -> dict[date, str]:
        return marks_of(self.channels, {day: file_list(names) for day, names in sorted(self.files.items())})

    @cached_property
    def whole(self) -> set[str]:
        """The files that have bytes. One that was cut to nothing, as by a power loss, is as good as none."""
        return {key for key, entry in self.there.items() if entry.bytes}

    def run(self) -> None:
        """Make what changed or is missing. The file of the year comes last: before it is there, nobody looks for the
        others."""
        fine = {fine_key(self.table, day, mark) for day, mark in self.marks.items()}
        coarse = self._newest(coarse_of(self.table, self.year, self.marks))
        if not self.marks or (coarse and len(fine & self.whole) == fine_files(coarse) and not self.force):
            self.made.unchanged += len(self.marks)
            if superseded := self.there.keys() - fine - {coarse}:
                self._sweep(superseded)
            return
        old_key, old = self._old()
        held = {fine_key(self.table, day, held.mark) for day, held in old.index.items()}
        self._sweep(self.there.keys() - fine - held - {coarse, old_key})
        self._make(old)

    def _newest(self, prefix: str) -> str:
        """The newest file whose name begins so; empty if there is none."""
        found = [self.there[key] for key in self.whole if key.startswith(prefix)]
        return max(found, key=lambda entry: entry.modified).key if found else ""

    def _sweep(self, superseded: Iterable[str]) -> None:
        self.lake.storage.still_alone()
        _remove(self.lake, sorted(superseded))

    def _old(self) -> tuple[str, _Coarse]:
        """The newest file of the year and what it has; nothing if there is none, or none that can be read."""
        newest = self._newest(coarse_prefix(self.table))
        if not newest:
            return "", _Coarse()
        try:
            with open_parquet(self.lake, self.lake.storage.uri(newest)) as file:
                index = read_index(file)
                tables = {level: file.read_row_group(place) for place, level in enumerate(COARSE)}
        except UNREADABLE as error:
            log.warning("envelopes file=%s is made again: it cannot be read (%s)", newest, one_line(error))
            return newest, _Coarse()
        return newest, _Coarse(index, tables)

    def _make(self, old: _Coarse) -> None:
        kept = set() if self.force else {day for day, held in old.index.items() if self._is_whole(day, held)}
        coarse = old.only(kept)
        self.made.unchanged += len(kept)
        with self.lake.storage.scratch() as scratch:
            fine = [made for day in self.marks if day not in kept and (made := self._day(day, coarse, scratch))]
            _remove(self.lake, (key for key, _ in fine if key in self.there))  # else those that are there would stay
            self.lake.storage.put_group(fine)
        self._publish(coarse)

    def _is_whole(self, day: date, held: Held) -> bool:
        """Whether a day is that of its files now, and has its own file if it should."""
        return self.marks.get(day) == held.mark and (
            not held.levels or fine_key(self.table, day, held.mark) in self.whole
        )

    def _day(self, day: date, coarse: _Coarse, scratch: Path) -> tuple[str, Path] | None:
        """Add a day to the file of the year; its own file and the key of it, if it gets one."""
        try:
            minutes, ends = self._minutes(day)
        except UNREADABLE as error:
            self.made.failed.append((f"{self.table.address} {day}", one_line(error)))
            return None
        levels = {level: folded(minutes, WIDTHS[level] * US) for level in (*FINE, *COARSE)}
        for level in COARSE:
            coarse.new[level].append(levels[level])
        rows = int(minutes.rows.sum())
        worth: tuple[Level, ...] = tuple(
            level for level in FINE if rows >= LEAST_ROWS * max(1, len(levels[level].time))
        )
        coarse.index[day] = Held(self.marks[day], rows, *ends, worth)
        self.made.made += 1
        if not worth:
            return None
        path = scratch / day.isoformat()
        path.write_bytes(body([as_table(levels[x], self.channels, x) for x in worth], schema(self.channels)))
        return fine_key(self.table, day, self.marks[day]), path

    def _minutes(self, day: date) -> tuple[Buckets, tuple[int, int]]:
        """The minutes of a day, and the times of its first and its last row."""
        width, start = WIDTHS["minute"] * US, day_start(day)
        nothing = np.zeros(0, np.int64), np.zeros((len(self.channels), 0))
        parts, ends = [of_rows(*nothing, width)], list[int]()
        for time, values in batches(self.lake, Source(self.table.address, day, self.files[day]), self.channels):
            if len(time):
                # A leap second is the first moment of the day after, as microseconds since 1970 have it.
                own = np.clip(time, start, start + DAY_US - 1)
                ends += [int(time.min()), int(time.max())]
                parts.append(of_rows(own, values, width))
        return together(parts, width), (min(ends, default=0), max(ends, default=0))

    def _publish(self, coarse: _Coarse) -> None:
        index = dict(sorted(coarse.index.items()))
        tables = [coarse.table(level, self.channels) for level in COARSE]
        self.lake.storage.put(coarse_key(self.table, self.year, index), body(tables, schema(self.channels), index))
