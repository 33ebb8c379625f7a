# SPDX-License-Identifier: Apache-2.0
"""The files of envelopes: where they are, what they are called, and what is in them.

envelopes/<mission>/<table>/<day>-<mark>.parquet has the minutes and ten minutes of a table-day, each in a row group of
its own; coarse-<year>-<mark>-<number>.parquet has the hours and the days of a year of the table, and in its metadata
what is known of each day; that number of days have a file of their own. A mark is a fingerprint of what the file was
made from, so a file that is right never changes under its name.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lake.definitions import Table
from lake.ledger import fingerprint
from monitor.envelopes.buckets import Buckets
from monitor.envelopes.channels import Viewed

FORMAT = 2  # to be raised when what is in the files changes
FOLDER = "envelopes/"
US = 1_000_000
DAY_US = 86_400 * US
EPOCH = date(1970, 1, 1)

Level = Literal["raw", "minute", "ten_minutes", "hour", "day"]
WIDTHS: dict[Level, int] = {"minute": 60, "ten_minutes": 600, "hour": 3600, "day": 86_400}  # seconds
FINE: tuple[Level, ...] = ("minute", "ten_minutes")
COARSE: tuple[Level, ...] = ("hour", "day")
# A bucket has three numbers for each channel, of a row's one: with fewer rows in each they are as good and as quick.
LEAST_ROWS = 4
NARROW = ("bool", "int8", "int16", "float32")  # whose values float32 has exactly
DAYS = b"swxlake.days"
NAME = re.compile(
    r"(coarse-(?P<year>\d{4})-[0-9a-f]{16}-\d+|(?P<fine>\d{4})-\d\d-\d\d-[0-9a-f]{16})\.parquet", re.ASCII
)
UNREADABLE = (OSError, ValueError)  # of which pa.ArrowInvalid is one: what reading a damaged file raises


@dataclass(frozen=True)
class Held:
    """What the envelopes of a table have of a day: its mark, its rows with a time, the times of the first and the last
    of them in microseconds since 1970, and the levels of its own file."""

    mark: str
    rows: int
    first_us: int
    last_us: int
    levels: tuple[Level, ...]


Index = dict[date, Held]


def folder(table: Table) -> str:
    """Where the files of a table are."""
    return f"{FOLDER}{table.mission}/{table.name}/"


def fine_key(table: Table, day: date, mark: str) -> str:
    """The file of a day."""
    return f"{folder(table)}{day.isoformat()}-{mark}.parquet"


def coarse_prefix(table: Table) -> str:
    """What the name of each file of a year begins with."""
    return f"{folder(table)}coarse-"


def coarse_of(table: Table, year: int, marks: Mapping[date, str]) -> str:
    """What the name of the file of a year begins with, if those are the marks of its days."""
    return f"{coarse_prefix(table)}{year:04}-{fingerprint(sorted(marks.items()))[:16]}-"


def coarse_key(table: Table, year: int, index: Index) -> str:
    """The file of a year."""
    marks = {day: held.mark for day, held in index.items()}
    return f"{coarse_of(table, year, marks)}{sum(bool(held.levels) for held in index.values())}.parquet"


def year_of(key: str) -> int | None:
    """The year that a file belongs to; None if its name does not tell."""
    found = NAME.fullmatch(key.rpartition("/")[2])
    return int(found["year"] or found["fine"]) if found else None


def fine_files(key: str) -> int:
    """How many days of a year have a file of their own, by the name of the year's file."""
    return int(key.rpartition("-")[2].removesuffix(".parquet"))


def by_year(marks: Mapping[date, str]) -> dict[int, dict[date, str]]:
    """The marks of each year, in order."""
    found: dict[int, dict[date, str]] = {}
    for day, mark in sorted(marks.items()):
        found.setdefault(day.year, {})[day] = mark
    return found


def marks_of(channels: Sequence[Viewed], files: Mapping[date, str]) -> dict[date, str]:
    """The mark of each day that has these Parquet files, written as ops.table_days has them."""
    structure = fingerprint(FORMAT, [(channel.name, channel.column.type, channel.place) for channel in channels])
    return {day: hashlib.sha256((structure + names).encode()).hexdigest()[:16] for day, names in files.items()}


def day_start(day: date) -> int:
    """Its midnight in microseconds since 1970 UTC."""
    return (day - EPOCH).days * DAY_US


def day_of(number: int) -> date:
    """The day of that number since 1970."""
    return EPOCH + timedelta(days=number)


# ---- what is in a file ---------------------------------------------------------------------------------------------
def schema(channels: Sequence[Viewed]) -> pa.Schema:
    """Columns of all files: width, time of the bucket's start, rows, and three for each channel."""
    fields = [("width_s", pa.int32()), ("time", pa.timestamp("us", "UTC")), ("count", pa.int64())]
    for channel in channels:
        kind = pa.float32() if channel.column.type in NARROW else pa.float64()
        fields += [(f"{channel.name}.{word}", kind) for word in ("low", "high", "mean")]
    return pa.schema(fields)


def as_table(buckets: Buckets, channels: Sequence[Viewed], level: Level) -> pa.Table:
    """Buckets as a file has them: null where a channel has no value."""
    columns = [pa.array(np.full(len(buckets.time), WIDTHS[level], np.int32)), pa.array(buckets.time)]
    columns.append(pa.array(buckets.rows))
    mean = buckets.mean
    for place in range(len(channels)):
        columns += [pa.array(x[place], from_pandas=True) for x in (buckets.low, buckets.high, mean)]
    wanted = schema(channels)
    cast = [column.cast(field.type) for column, field in zip(columns, wanted, strict=True)]
    return pa.Table.from_arrays(cast, schema=wanted)


def body(tables: Sequence[pa.Table], wanted: pa.Schema, index: Index | None = None) -> bytes:
    """A file with a row group for each of the tables."""
    target = io.BytesIO()
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    with pq.ParquetWriter(target, wanted, **options) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
        if index is not None:
            told = {str(day): astuple(held) for day, held in index.items()}
            writer.add_key_value_metadata({DAYS: json.dumps(told).encode()})
    return target.getvalue()


def read_index(file: pq.ParquetFile) -> Index:
    """What is known of each day. Raises ValueError if the file does not tell."""
    told = json.loads((file.metadata.metadata or {}).get(DAYS, b""))
    return {
        date.fromisoformat(day): Held(mark, rows, first, last, tuple(levels))
        for day, (mark, rows, first, last, levels) in told.items()
    }
