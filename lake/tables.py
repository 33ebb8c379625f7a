# SPDX-License-Identifier: Apache-2.0
"""Delta tables: the only module that writes them.

Parquet files are written by pyarrow and made visible by one Delta commit. No unsigned types, no fixed-size lists, no
nanosecond timestamps reach a table: schemas come from the definitions, never from the data.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from lake.definitions import Table
from lake.errors import TableError
from lake.packet_definitions import INTEGER_BITS
from lake.reading import arrow_schema, data_files, one_line, open_table, partitioned, stored_definition
from lake.store import Lake, iso_day, writing

log = logging.getLogger(__name__)

ATTEMPTS = 20
CHECKPOINT_EVERY = "50"  # commits; opening a table stays at a few milliseconds
ROW_GROUP_VALUES = 1 << 20  # values of the widest column in a row group, about


@dataclass(frozen=True)
class Written:
    """What a commit added: rows, their days, and a fingerprint of the bytes written."""

    rows: int
    days: tuple[date, ...]
    content: str


def structure(table: Table) -> str:
    """Fingerprint of what the stored columns look like: names, types and shapes, but no words."""
    columns = [(c.name, c.type, table.shape(c), c.ragged) for c in table.columns]
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()


def keeps_rows(lake: Lake, table: Table) -> bool:
    """True unless the table was written with another structure, so that the next write makes it anew."""
    delta = open_table(lake, table)
    return delta is None or stored_definition(delta) == structure(table)


def _created(lake: Lake, table: Table, definition: str) -> DeltaTable:
    """The table, made on first use; made anew, empty, if it was written with another definition.

    The lake's own tables keep their rows: they only gain the columns that they lack.
    """
    delta = open_table(lake, table)
    if delta is not None and stored_definition(delta) == definition:
        return delta
    path = lake.table_path(table)
    with writing(path), _delta_errors(path), _alone(path):
        delta = open_table(lake, table)  # another process may have made it in the meantime
        if delta is not None and stored_definition(delta) == definition:
            return delta
        if delta is not None and not partitioned(table) and _extended(delta, table, definition):
            return delta
        return DeltaTable.create(
            str(path),
            arrow_schema(table),
            mode="error" if delta is None else "overwrite",
            partition_by=["day"] if partitioned(table) else None,
            name=table.address,
            description=table.title,
            configuration={"delta.checkpointInterval": CHECKPOINT_EVERY, "swxlake.definition": definition},
            raise_if_key_not_exists=False,
        )


def _extended(delta: DeltaTable, table: Table, definition: str) -> bool:
    """Add the columns that a table lacks; False if a column changed its type, which cannot be mended so."""
    wanted = Schema.from_arrow(arrow_schema(table)).fields
    stored = {f.name: f.type for f in delta.schema().fields}
    if any(stored.get(f.name, f.type) != f.type for f in wanted):
        return False
    missing = [f for f in wanted if f.name not in stored]
    if missing:
        delta.alter.add_columns(missing)
    delta.alter.set_table_properties({"swxlake.definition": definition}, raise_if_not_exists=False)
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time makes a table: making it anew would wipe what another has just written."""
    path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _delta_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, OSError) as error:
        raise TableError(
            f"{path}: cannot be written ({one_line(error)}). Free space or give the right to write, then repeat."
        ) from None


class DayFiles:
    """Parquet files of one table being written, one for each day; nothing is visible before the commit."""

    def __init__(self, lake: Lake, table: Table, definition: str | None = None) -> None:
        self.lake, self.table = lake, table
        self.definition = definition or structure(table)
        self.path = lake.table_path(table)
        self.schema = arrow_schema(table, stored=True)
        self.writers: dict[date | None, pq.ParquetWriter] = {}
        self.paths: dict[date | None, Path] = {}
        self.rows: dict[date | None, int] = {}
        self.offered = False

    def write(self, rows: pa.Table, day: date | None) -> None:
        """Add rows (without the column `day`) to the file of a day. The columns must be those of the definition."""
        if day not in self.writers:
            self._open(day, rows.schema)
        with writing(self.paths[day]):
            self.writers[day].write_table(rows, row_group_size=_row_group_rows(self.table))
        self.rows[day] += rows.num_rows

    def _open(self, day: date | None, schema: pa.Schema) -> None:
        self._check(schema)
        folder = self.path / f"day={iso_day(day)}" if day else self.path
        path = folder / f"part-{uuid.uuid4()}.parquet"
        self.paths[day], self.rows[day] = path, 0
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
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
        """Finish the files, synced to disk."""
        for day, writer in self.writers.items():
            with writing(self.paths[day]):
                writer.close()
                with self.paths[day].open("rb+") as file:
                    os.fsync(file.fileno())

    def discard(self) -> None:
        """Remove files that were never committed. What a commit has made visible stays, however it ended."""
        visible = set(self._visible())
        for day, path in self.paths.items():
            writer = self.writers.get(day)
            if writer is not None and writer.is_open:
                with suppress(OSError):  # a full disk: the file goes anyway
                    writer.close()
            if str(path) not in visible:
                path.unlink(missing_ok=True)

    def committed(self) -> bool:
        """True if all files are visible in the newest version of the table."""
        return {str(path) for path in self.paths.values()} <= set(self._visible())

    def _visible(self) -> list[str]:
        delta = open_table(self.lake, self.table) if self.offered else None
        return data_files(delta) if delta is not None else []

    def written(self) -> Written:
        """Rows, days and content fingerprint of the finished files."""
        digest = hashlib.sha256()
        for day in sorted(self.paths, key=str):
            with self.paths[day].open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        days = tuple(sorted(day for day in self.paths if day))
        return Written(sum(self.rows.values()), days, digest.hexdigest())

    def adds(self) -> list[AddAction | RemoveAction]:
        """The Delta actions that make the files visible."""
        return [self._add(day, path) for day, path in self.paths.items()]

    def _add(self, day: date | None, path: Path) -> AddAction:
        status = path.stat()
        return AddAction(
            path=path.relative_to(self.path).as_posix(),
            size=status.st_size,
            partition_values={"day": iso_day(day)} if day else {},
            modification_time=status.st_mtime_ns // 1_000_000,
            data_change=True,
            stats=json.dumps({"numRecords": self.rows[day]}),
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
        "write_statistics": [c.name for c in columns],
    }


def append(lake: Lake, files: DayFiles, app_id: str) -> bool:
    """Commit the files once under the application transaction `app_id`; False if that had been done before.

    The version is checked and the commit made through one handle, so that a second process with the same id conflicts
    instead of doubling the rows (facts on delta-rs: a transaction alone does not deduplicate).
    """

    def commit(delta: DeltaTable) -> bool:
        if _recorded(delta, app_id):
            return False
        transaction = Transaction(_transaction_id(delta, app_id), 1)
        properties = CommitProperties(app_transactions=[transaction], max_commit_retries=ATTEMPTS)
        _commit(delta, files, "append", None, properties)
        return True

    return _committed(lake, files, commit)


def _recorded(delta: DeltaTable, app_id: str) -> bool:
    return (delta.transaction_version(_transaction_id(delta, app_id)) or 0) >= 1


def _transaction_id(delta: DeltaTable, app_id: str) -> str:
    """The transaction in this making of the table: delta-rs remembers transactions when a new making wipes the rows."""
    return f"{app_id}@{delta.metadata().id}"


def replace(lake: Lake, files: DayFiles, day: date, properties: dict[str, str]) -> None:
    """Commit the files in place of all rows of a day."""

    def commit(delta: DeltaTable) -> bool:
        filters = [("day", "=", iso_day(day))]
        _commit(delta, files, "overwrite", filters, CommitProperties(custom_metadata=properties))
        return True

    _committed(lake, files, commit)


def _commit(
    delta: DeltaTable,
    files: DayFiles,
    mode: Literal["append", "overwrite"],
    filters: list[tuple[str, str, Any]] | None,
    properties: CommitProperties,
) -> None:
    partition_by = ["day"] if partitioned(files.table) else None
    delta.create_write_transaction(
        files.adds(),
        mode,
        delta.schema(),
        partition_by=partition_by,
        partition_filters=filters,
        commit_properties=properties,
    )


def _committed(lake: Lake, files: DayFiles, commit: Callable[[DeltaTable], bool]) -> bool:
    files.offered = True
    for _ in range(ATTEMPTS):
        try:
            delta = _created(lake, files.table, files.definition)
            with _delta_errors(files.path):
                return commit(delta)
        except CommitFailedError:
            continue  # another process committed: look again with a fresh handle
        except TableError as error:
            if not files.committed():
                raise
            log.warning("commit table=%s written, but %s", files.table.address, error)  # a checkpoint failed after it
            return True
    raise TableError(f"{files.path}: {ATTEMPTS} commits in a row met another writer. Repeat when it has finished.")


def replace_day(
    lake: Lake,
    table: Table,
    day: date,
    rows: pa.Table | Iterable[pa.Table],
    properties: dict[str, str],
    definition: str | None = None,
) -> Written:
    """Replace one day of a table by `rows` (without the column `day`), in one piece or several, in one commit."""
    with day_files(lake, table, definition) as files:
        for piece in [rows] if isinstance(rows, pa.Table) else rows:
            files.write(piece, day)
        files.close()
        replace(lake, files, day, properties)
        return files.written()


@contextmanager
def day_files(lake: Lake, table: Table, definition: str | None = None) -> Iterator[DayFiles]:
    """Files to be written and committed inside the block; removed again if the block fails."""
    files = DayFiles(lake, table, definition)
    try:
        yield files
    except BaseException:
        files.discard()
        raise


@dataclass
class OpsRows:
    """Rows for the lake's own tables, collected to be committed together."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, /, **values: Any) -> None:
        """One more row of an ops table."""
        self.rows.setdefault(table, []).append(values)


def ops_arrow(table: Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of an ops table in its schema. A key that is no column, or a null where none may be, is a TableError."""
    names = {column.name for column in table.columns}
    for row in rows:
        if set(row) - names:
            raise TableError(f"{table.address}: row has unknown columns {sorted(set(row) - names)}.")
        missing = [c.name for c in table.columns if not c.nullable and row.get(c.name) is None]
        if missing:
            raise TableError(f"{table.address}: row lacks {missing}.")
    return pa.Table.from_pylist(rows, schema=arrow_schema(table))


def append_ops(lake: Lake, name: str, rows: list[dict[str, Any]], app_id: str | None = None) -> None:
    """Append rows to `ops.<name>`, once if an application transaction id is given."""
    if not rows:
        return
    table = lake.ops(name)
    with day_files(lake, table) as files:
        files.write(ops_arrow(table, rows), None)
        files.close()
        if not append(lake, files, app_id or f"ops/{uuid.uuid4()}"):
            files.discard()


def replace_ops(lake: Lake, name: str, rows: list[dict[str, Any]], predicate: str) -> None:
    """Replace the rows of `ops.<name>` for which the predicate (SQL of checked names and dates only) holds."""
    from deltalake import write_deltalake  # noqa: PLC0415  next to its single use

    table = lake.ops(name)
    path = lake.table_path(table)
    data = ops_arrow(table, rows)
    for _ in range(ATTEMPTS):
        try:
            delta = _created(lake, table, structure(table))
            with _delta_errors(path):
                return write_deltalake(delta, data, mode="overwrite", predicate=predicate)
        except CommitFailedError:
            continue
    raise TableError(f"{path}: {ATTEMPTS} commits in a row met another writer. Repeat when it has finished.")
