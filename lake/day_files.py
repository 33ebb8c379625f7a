# SPDX-License-Identifier: Apache-2.0
"""Parquet files of a table on their way: written, finished, and invisible until a commit names them (lake/tables.py).

No unsigned types, no fixed-size lists, no nanosecond timestamps get in: schemas come from the definitions, never from
the data.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, RemoveAction

from lake.definitions import Table
from lake.errors import TableError
from lake.files import sha256_of, writing
from lake.packet_definitions import INTEGER_BITS
from lake.reading import arrow_schema, data_files, open_table, partitioned
from lake.store import Lake, iso_day

ROW_GROUP_VALUES = 1 << 20  # values of the widest column in a row group, about


@dataclass(frozen=True)
class Written:
    """What a commit added: rows, their days, a fingerprint of the bytes, names of the files, the table's identity."""

    rows: int
    days: tuple[date, ...]
    content: str
    files: tuple[str, ...] = ()
    table_id: str = ""


@dataclass(frozen=True)
class Part:
    """A finished Parquet file of one day (None in tables without days): its key, rows, size and hash."""

    day: date | None
    key: str
    rows: int
    bytes: int
    sha256: str
    modified: int

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class Parts:
    """Finished files of one table that no commit names yet; any process may commit them."""

    table: Table
    definition: str
    parts: tuple[Part, ...]


def structure(table: Table) -> str:
    """Fingerprint of what the stored columns look like: names, types and shapes, but no words."""
    columns = [(c.name, c.type, table.shape(c), c.ragged) for c in table.columns]
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()


class DayFiles:
    """Parquet files of one table being written, one for each day; nothing is visible before the commit.

    `table_id` is the identity of the Delta table that holds them, or held the same rows before; empty until a commit.
    """

    def __init__(self, lake: Lake, table: Table, definition: str | None = None) -> None:
        self.lake, self.table = lake, table
        self.definition = definition or structure(table)
        self.schema = arrow_schema(table, stored=True)
        self.writers: dict[date | None, pq.ParquetWriter] = {}
        self.paths: dict[date | None, Path] = {}
        self.keys: dict[date | None, str] = {}
        self.rows: dict[date | None, int] = {}
        self.done: tuple[Part, ...] = ()
        self.offered = self.sent = False  # whether a commit was asked for, and whether one was tried
        self.table_id = ""

    @classmethod
    def of(cls, lake: Lake, parts: Parts) -> DayFiles:
        """Files that another process has written and finished, to be committed or discarded."""
        files = cls(lake, parts.table, parts.definition)
        files.done = parts.parts
        files.keys = {part.day: part.key for part in parts.parts}
        return files

    def parts(self) -> Parts:
        """The finished files, for another process."""
        return Parts(self.table, self.definition, self.done)

    def write(self, rows: pa.Table, day: date | None) -> None:
        """Add rows (without the column `day`) to the file of a day. The columns must be those of the definition."""
        if day not in self.writers:
            self._open(day, rows.schema)
        with writing(self.paths[day]):
            self.writers[day].write_table(rows, row_group_size=_row_group_rows(self.table))
        self.rows[day] += rows.num_rows

    def _open(self, day: date | None, schema: pa.Schema) -> None:
        self._check(schema)
        folder = self.lake.table_key(self.table) + (f"/day={iso_day(day)}" if day else "")
        key = f"{folder}/part-{uuid.uuid4()}.parquet"
        path = self.lake.storage.staging(key)
        self.keys[day], self.paths[day], self.rows[day] = key, path, 0
        with writing(path):
            self.writers[day] = pq.ParquetWriter(path, schema, **parquet_options(self.table))

    def _check(self, schema: pa.Schema) -> None:
        """The columns must be those of the definition; text that repeats may come as a dictionary."""
        given = {f.name: f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in schema}
        wanted = dict(zip(self.schema.names, self.schema.types, strict=True))
        odd = sorted(name for name in given | wanted if given.get(name) != wanted.get(name))
        if odd or schema.names != self.schema.names:
            shown = ", ".join(f"{n} is {given.get(n, 'missing')}, not {wanted.get(n, 'defined')}" for n in odd)
            raise TableError(
                f"{self.table.address}: the rows do not fit the definition ({shown or 'columns in another order'}). "
                "Correct what makes them, or the definition."
            )

    def close(self) -> None:
        """Finish the files: complete, hashed, and where they would survive a power loss."""
        self.done = tuple(self._finish(day, writer) for day, writer in self.writers.items())

    def _finish(self, day: date | None, writer: pq.ParquetWriter) -> Part:
        path, key = self.paths[day], self.keys[day]
        with writing(path):
            writer.close()
            size = path.stat().st_size
        sha256 = sha256_of(path)
        self.lake.storage.finish(key, path)
        return Part(day, key, self.rows[day], size, sha256, time.time_ns() // 1_000_000)

    def discard(self) -> None:
        """Remove files that were never committed. What a commit has made visible stays, however it ended.

        In object storage a commit that seems to have failed may yet take effect, or may have and been replaced: its
        files wait for the maintenance, which removes what no commit names.
        """
        kept = self.sent and self.lake.storage.options is not None
        visible = set(self._visible())
        for day, key in self.keys.items():
            writer = self.writers.get(day)
            if writer is not None and writer.is_open:
                with suppress(OSError):  # a full disk: the file goes anyway
                    writer.close()
            if day in self.paths and self.lake.storage.uri(key) != str(self.paths[day]):
                self.paths[day].unlink(missing_ok=True)
            if not kept and self.lake.storage.uri(key) not in visible:
                self.lake.storage.remove(key)

    def committed(self) -> bool:
        """True if there are files and all are visible in the newest version of the table, whose identity is noted."""
        delta, uris = open_table(self.lake, self.table), {self.lake.storage.uri(key) for key in self.keys.values()}
        if delta is None or not uris or not uris <= set(data_files(delta)):
            return False
        self.table_id = str(delta.metadata().id)
        return True

    def _visible(self) -> list[str]:
        delta = open_table(self.lake, self.table) if self.offered else None
        return data_files(delta) if delta is not None else []

    def written(self) -> Written:
        """Rows, days, content fingerprint and names of the finished files."""
        digest = hashlib.sha256()
        for part in sorted(self.done, key=lambda part: str(part.day)):
            digest.update(bytes.fromhex(part.sha256))
        days = tuple(sorted(part.day for part in self.done if part.day))
        names = tuple(sorted(part.name for part in self.done))
        return Written(sum(part.rows for part in self.done), days, digest.hexdigest(), names, self.table_id)

    def adds(self) -> list[AddAction | RemoveAction]:
        """The Delta actions that make the files visible."""
        return [self._add(part) for part in self.done]

    def _add(self, part: Part) -> AddAction:
        return AddAction(
            path=part.key.removeprefix(self.lake.table_key(self.table) + "/"),
            size=part.bytes,
            partition_values={"day": iso_day(part.day)} if part.day else {},
            modification_time=part.modified,
            data_change=True,
            stats=json.dumps({"numRecords": part.rows}),
        )


def _row_group_rows(table: Table) -> int:
    widest = max((int(np.prod(table.shape(c), dtype=np.int64)) for c in table.columns), default=1)
    return max(64, ROW_GROUP_VALUES // max(1, widest))


def parquet_options(table: Table) -> dict[str, Any]:
    """zstd 1, dictionaries on narrow columns and lists of counts, delta packing on counters and times.

    That is smallest and nearly fastest; on lists of floats a dictionary would seldom pay.
    """
    columns = [c for c in table.columns if not c.is_list and not (partitioned(table) and c.name == "day")]
    dictionary = [c.name for c in columns if c.type in ("bool", "int8", "string")]
    counts = [f"{c.name}.list.element" for c in table.columns if c.is_list and c.type in INTEGER_BITS]
    packed = [c.name for c in columns if c.type in ("int16", "int32", "int64", "timestamp", "date")]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": counts + [name for name in dictionary if table.by_name[name].type != "bool"],
        "column_encoding": dict.fromkeys(packed, "DELTA_BINARY_PACKED"),
        "store_schema": False,  # dictionaries are a matter of writing only
        "write_page_checksum": True,  # fsck reads them
        "write_statistics": [c.name for c in columns],
    }


@contextmanager
def day_files(lake: Lake, table: Table, definition: str | None = None) -> Iterator[DayFiles]:
    """Files to be written and committed inside the block; removed again if the block fails."""
    files = DayFiles(lake, table, definition)
    try:
        yield files
    except BaseException:
        files.discard()
        raise
