# SPDX-License-Identifier: Apache-2.0
"""What envelopes of a table there are now, and of which days they are those of the files that the catalog names."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lake.definitions import Table
from lake.reading import one_line, open_parquet
from lake.store import Lake
from monitor.envelopes.asking import Asked
from monitor.envelopes.buckets import Integers
from monitor.envelopes.channels import viewed_of
from monitor.envelopes.layout import (
    COARSE,
    DAY_US,
    EPOCH,
    UNREADABLE,
    WIDTHS,
    Held,
    Index,
    Level,
    by_year,
    coarse_of,
    coarse_prefix,
    marks_of,
    read_index,
    year_of,
)

log = logging.getLogger(__name__)

LOOK_SECONDS = 5  # between two looks at what is there; one costs a question to the catalog and a listing
DAYS_NOW = "SELECT day, files FROM ops.table_days WHERE table_name = ? ORDER BY day"


@dataclass(frozen=True)
class Coarse:
    """The file of a year of a table: its key, what is known of each day, and the rows of each hour."""

    key: str
    index: Index
    hours: Integers
    rows: Integers


@dataclass(frozen=True)
class State:
    """A table by the catalog as it stands: the mark of each of its days, and the files of years that there are, in
    order."""

    marks: dict[date, str]
    coarse: tuple[Coarse, ...]

    @cached_property
    def held(self) -> dict[date, Held]:
        """The days whose envelopes are those of their files now."""
        return {
            day: held
            for coarse in self.coarse
            for day, held in coarse.index.items()
            if self.marks.get(day) == held.mark
        }

    @cached_property
    def held_days(self) -> Integers:
        """The same days as numbers since 1970."""
        return np.array([(day - EPOCH).days for day in self.held], np.int64)

    def days(self, start_us: int, stop_us: int) -> list[date]:
        """The days of the table within a span, in order."""
        first, last = start_us // DAY_US, (stop_us - 1) // DAY_US
        return [day for day in self.marks if first <= (day - EPOCH).days <= last]


def state_of(answers: Asked, table: Table) -> State:
    """The state of a table, at most some seconds old."""
    return _looked_at(answers, table.address, int(time.monotonic() / LOOK_SECONDS))


@lru_cache(maxsize=128)
def _looked_at(answers: Asked, address: str, moment: int) -> State:
    """`moment` counts the times to look anew."""
    del moment
    table = answers.lake.definitions.tables[address]
    found = answers.ask(DAYS_NOW, [address]).to_pydict()
    files = dict(zip(found["day"], found["files"], strict=True))
    marks = marks_of(viewed_of(answers.lake.definitions, table), files)
    return State(marks, _files_of_years(answers, table, marks))


def _files_of_years(answers: Asked, table: Table, marks: Mapping[date, str]) -> tuple[Coarse, ...]:
    """The file of each year that can be read: that of the marks, or else the newest.

    One that was there and is not any more was replaced meanwhile: then there is another one.
    """
    wanted = {year: coarse_of(table, year, own) for year, own in by_year(marks).items()}
    found: dict[int, Coarse] = {}
    for last in (False, True):
        keys = _keys(answers, table, wanted)
        for year, key in keys.items():
            if year not in found and (coarse := _read_if_whole(answers, key, last)):
                found[year] = coarse
        if keys.keys() <= found.keys():
            break
    return tuple(coarse for _, coarse in sorted(found.items()))


def _keys(answers: Asked, table: Table, wanted: Mapping[int, str]) -> dict[int, str]:
    """The file of each year that has one."""
    best: dict[int, tuple[bool, float, str]] = {}
    for entry in answers.lake.storage.entries(coarse_prefix(table)):
        year = year_of(entry.key)
        if year is not None and year in wanted and entry.bytes:
            best[year] = max(
                best.get(year, (False, 0.0, "")), (entry.key.startswith(wanted[year]), entry.modified, entry.key)
            )
    return {year: key for year, (_, _, key) in best.items()}


def _read_if_whole(answers: Asked, key: str, tell: bool) -> Coarse | None:
    answers.seconds()
    try:
        return _read_coarse(answers, key)
    except UNREADABLE as error:
        if tell:
            log.warning("envelopes file=%s is not used: it cannot be read (%s)", key, one_line(error))
        return None


@lru_cache(maxsize=256)  # a file never changes under its name
def _read_coarse(answers: Asked, key: str) -> Coarse:
    lake = answers.lake
    with open_parquet(lake, lake.storage.uri(key)) as file:
        hours = read_level(file, COARSE, "hour", ["time", "count"])
        return Coarse(key, read_index(file), hours["time"].to_numpy(), hours["count"].to_numpy())


def read_level(file: pq.ParquetFile, levels: tuple[Level, ...], level: Level, columns: list[str]) -> pa.Table:
    """Columns of a level: time as microseconds since 1970, what belongs to channels as float64."""
    rows = file.read_row_group(levels.index(level), columns=columns, use_threads=False)
    whole = {"time": pa.int64(), "count": pa.int64()}
    return rows.select(columns).cast(pa.schema([(name, whole.get(name, pa.float64())) for name in columns]))


def read_file(lake: Lake, key: str, levels: tuple[Level, ...], level: Level, columns: list[str]) -> pa.Table | None:
    """The same of a file; None if it is not there any more, or cannot be read."""
    try:
        with open_parquet(lake, lake.storage.uri(key)) as file:
            return read_level(file, levels, level, columns)
    except UNREADABLE as error:
        log.warning("envelopes file=%s is not used: it cannot be read (%s)", key, one_line(error))
        return None


def width_us(level: Level) -> int:
    """How long a bucket of a level is, in microseconds."""
    return WIDTHS[level] * 1_000_000
