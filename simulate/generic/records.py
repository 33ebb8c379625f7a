# SPDX-License-Identifier: Apache-2.0
"""Files of records made from their definition: CSV, JSON lines or Parquet, one file of each type for a run."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lake.clock import NS, tt2000_of_day, unix_ns_from_tt2000
from lake.definitions import Instrument, Mission
from lake.packet_definitions import INTEGER_BITS, Clock
from lake.source_definitions import RecordField, Records
from simulate.files import FileName, write_once
from simulate.generic.clock import counters, shows, tick_ns
from simulate.generic.names import raw_name
from simulate.generic.packets import DEFAULT_CADENCE
from simulate.generic.values import (
    UNLIMITED,
    Int64,
    Reach,
    key_of,
    letters,
    narrowed,
    numbers,
    octets,
    whole,
    whole_numbers,
)

log = logging.getLogger(__name__)

MOST_CELLS = 4  # of a list
WORD = 6  # letters of a text
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POLARS = {
    "bool": pl.Boolean,
    "int8": pl.Int8,
    "int16": pl.Int16,
    "int32": pl.Int32,
    "int64": pl.Int64,
    "float32": pl.Float32,
    "float64": pl.Float64,
    "string": pl.String,
    "binary": pl.Binary,
    "date": pl.Date,
    "timestamp": pl.Datetime("us", "UTC"),
}


def write_records(
    mission: Mission, instrument: Instrument, day: date, stop: int, out: Path, seed: int
) -> tuple[tuple[Path, ...], int, int]:
    """Files of all types of record that can be made, their rows, and their bytes."""
    files, rows, size = [], 0, 0
    for records in instrument.records:
        made = RecordType(mission, instrument, records, day, seed)
        name = made.file_name()
        problem = made.problem(stop) or ("no pattern of the mission's file names is for it" if name is None else None)
        if problem or name is None:
            log.warning("simulate records=%s left out: %s", records.name, problem)
            continue
        index = np.arange(max((stop - made.start) // made.step, 1), dtype=np.int64)
        data = encoded(records, made.columns(index))
        files.append(out / name(made.start))
        write_once(files[-1], data)
        rows, size = rows + len(index), size + len(data)
    return tuple(files), rows, size


@dataclass(frozen=True)
class RecordType:
    """What is sent of one type of record, at a steady rate from the first midnight of a run on."""

    mission: Mission
    instrument: Instrument
    records: Records
    day: date
    seed: int

    @property
    def clock(self) -> Clock:
        """Its own clock, or the instrument's."""
        return self.records.clock or self.instrument.clock

    @property
    def step(self) -> int:
        """Nanoseconds from row to row."""
        return round(max((self.records.cadence_seconds or DEFAULT_CADENCE) * NS, tick_ns(self.clock)))

    @property
    def start(self) -> int:
        """TT2000 [ns] of the run's first midnight."""
        return tt2000_of_day(self.day)

    def problem(self, stop: int) -> str | None:
        """Why rows of this type cannot be made; None if they can."""
        if self.records.format == "tle":
            return "orbit elements cannot be made up"
        bits = {f.name: INTEGER_BITS[f.type] - 1 for f in self.records.fields if f.type in INTEGER_BITS}
        return shows(self.clock, self.mission, bits, stop, self.start)

    def file_name(self) -> FileName | None:
        """How its files are named: its name or what its patterns of names say may serve as descriptor."""
        patterns = (*self.records.files, self.records.name)
        words = (*patterns, *(re.sub(r"[^A-Za-z0-9_-]", "", text).strip("_") for text in patterns))
        return raw_name(self.mission, self.instrument, self.start, self._is_own, tuple(word for word in words if word))

    def _is_own(self, name: str) -> bool:
        found = self.instrument.records_of(name)
        return found is not None and found.name == self.records.name

    def columns(self, index: Int64) -> dict[str, list[Any]]:
        """The cells of all fields in rows by their place in the run, by the name of the field."""
        times = self.start + index * self.step
        shown = counters(self.clock, np.asarray(times, np.int64), self.start)
        return {
            f.name: self._counted(f, shown[f.name]) if f.name in shown else self._drawn(f, index, times)
            for f in self.records.fields
        }

    def _counted(self, field: RecordField, ticks: Int64) -> list[Any]:
        """The cells of a field of the clock; a timestamp counts microseconds since 1970."""
        found = ticks.tolist()
        return [UNIX_EPOCH + timedelta(microseconds=count) for count in found] if field.type == "timestamp" else found

    def _drawn(self, field: RecordField, index: Int64, times: Int64) -> list[Any]:
        key = key_of(self.seed, self.instrument.name, self.records.name, field.name)
        cells = self._cells(field, key, index, times, MOST_CELLS if field.list else 1)
        if not field.list:
            return [row[0] for row in cells]
        sizes = whole(key + 2, index, 1, Reach(0, MOST_CELLS))[:, 0].tolist()
        return [row[:size] for row, size in zip(cells, sizes, strict=True)]

    def _cells(self, field: RecordField, key: int, index: Int64, times: Int64, items: int) -> list[list[Any]]:
        """Values of a field [n, items]."""
        if field.type in ("date", "timestamp"):
            moments = [_moment(int(time)) for time in times]
            return [[m.date() if field.type == "date" else m] * items for m in moments]
        if field.type in ("string", "binary"):
            raw = (letters if field.type == "string" else octets)(key, index, items * WORD)
            words = [[row[i : i + WORD].tobytes() for i in range(0, items * WORD, WORD)] for row in raw]
            return [[w.decode() for w in row] for row in words] if field.type == "string" else list(words)
        reach = self._reach(field)
        if field.type in ("float32", "float64"):
            drawn = numbers(key, index, items, reach)
            return list((drawn.astype(np.float32) if field.type == "float32" else drawn).tolist())
        found = whole(key, index, items, reach)
        return list((found.astype(bool) if field.type == "bool" else found).tolist())

    def _reach(self, field: RecordField) -> Reach:
        bounds = (field.valid_min, field.valid_max)
        if field.type == "bool":
            return Reach(0, 1)
        if field.type in INTEGER_BITS:
            reach = whole_numbers(INTEGER_BITS[field.type], signed=True).within(0, None)
        else:
            reach = Reach(*UNLIMITED) if bounds == (None, None) else Reach(-1e6, 1e6)
        reach = reach if field.valid_min is None or field.valid_min >= 0 else Reach(-reach.high - 1, reach.high)
        return narrowed(self.instrument, self.records.name, field.name, reach.within(*bounds), self.day)


def _moment(tt2000: int) -> datetime:
    return UNIX_EPOCH + timedelta(microseconds=int(unix_ns_from_tt2000(tt2000)) // 1000)


# ---- formats -------------------------------------------------------------------------------------------------------
def encoded(records: Records, columns: dict[str, list[Any]]) -> bytes:
    """The bytes of a file with these cells."""
    if records.format == "parquet":
        frame = pl.DataFrame([_series(field, columns[field.name]) for field in records.fields])
        file = io.BytesIO()
        frame.write_parquet(file, compression="zstd")
        return file.getvalue()
    rows = zip(*([_plain(cell) for cell in columns[field.name]] for field in records.fields), strict=True)
    headers = [field.header for field in records.fields]
    if records.format == "jsonl":
        return b"".join(json.dumps(dict(zip(headers, row, strict=True))).encode() + b"\n" for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows([json.dumps(cell) if isinstance(cell, list) else _cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _series(field: RecordField, cells: list[Any]) -> pl.Series:
    kind: Any = POLARS[field.type]
    return pl.Series(field.header, cells, pl.List(kind) if field.list else kind)


def _plain(cell: Any) -> Any:
    """A cell as JSON has it: times and bytes are text."""
    if isinstance(cell, list):
        return [_plain(value) for value in cell]
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    return cell.hex() if isinstance(cell, bytes) else cell


def _cell(cell: Any) -> Any:
    return str(cell).lower() if isinstance(cell, bool) else cell
