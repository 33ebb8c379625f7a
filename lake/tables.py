# SPDX-License-Identifier: Apache-2.0
"""Delta tables: the only module that writes them.

Parquet files are written by pyarrow and made visible by one Delta commit. No unsigned types, no fixed-size lists, no
nanosecond timestamps reach a table: schemas come from the definitions, never from the data.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from lake.day_files import DayFiles, Written, day_files, structure
from lake.definitions import Table
from lake.errors import Overtaken, TableError
from lake.files import writing
from lake.reading import arrow_schema, one_line, open_table, partitioned, stored_definition
from lake.store import Lake, iso_day

log = logging.getLogger(__name__)

ATTEMPTS = 20
REFUSALS = 4  # of one commit, that are not taken as the last word of object storage
PAUSE_SECONDS = 0.01  # after the first attempt, twice as long after each other one
LONGEST_PAUSE = 0.2
CHECKPOINT_EVERY = "10"  # commits: opening a table reads those since, about a millisecond each
# Releases and time travel need the whole log: delta-rs would forget what is older than 30 days.
SETTINGS = {"delta.enableExpiredLogCleanup": "false"}
Result = TypeVar("Result")


def _created(lake: Lake, table: Table, definition: str) -> DeltaTable:
    """The table, made on first use; made anew, empty, if it was written with another definition.

    The lake's own tables keep their rows: they only gain the columns that they lack.
    """
    delta = open_table(lake, table)
    if delta is not None and stored_definition(delta) == definition:
        return delta
    with _delta_errors(lake, table), lake.storage.alone("make"):
        delta = open_table(lake, table)  # another process may have made it in the meantime
        if delta is not None and stored_definition(delta) == definition:
            return delta
        if delta is not None and not partitioned(table):
            _extend(lake, delta, table, definition)
            return delta
        return _made(lake, table, definition, "error" if delta is None else "overwrite")


def _made(lake: Lake, table: Table, definition: str, mode: Literal["error", "overwrite"]) -> DeltaTable:
    """Make the table, or take the one that another process has made although we hold the lease: it was taken over."""
    try:
        return _make(lake, table, definition, mode)
    except (DeltaError, OSError):
        delta = open_table(lake, table)
        if delta is None or stored_definition(delta) != definition:
            raise
        return delta


def _make(lake: Lake, table: Table, definition: str, mode: Literal["error", "overwrite"]) -> DeltaTable:
    if isinstance(lake.root, Path):
        path = Path(lake.table_uri(table))
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    return DeltaTable.create(
        lake.table_uri(table),
        arrow_schema(table),
        mode=mode,
        partition_by=["day"] if partitioned(table) else None,
        name=table.address,
        description=table.title,
        configuration={**SETTINGS, "delta.checkpointInterval": CHECKPOINT_EVERY, "swxlake.definition": definition},
        storage_options=lake.storage.options,
        raise_if_key_not_exists=False,
    )


def make_anew(lake: Lake, table: Table) -> bool:
    """Empty a table and give it another identity, so that everything in it is made again; False if there was none."""

    def make() -> bool:
        with lake.storage.alone("make"):
            delta = open_table(lake, table)
            if delta is not None:
                _make(lake, table, stored_definition(delta), "overwrite")
            return delta is not None

    return _repeated(lake, table, make)


def _extend(lake: Lake, delta: DeltaTable, table: Table, definition: str) -> None:
    """Add the columns that a table lacks. Raises TableError if a column changed its type: the rows would be lost."""
    wanted = Schema.from_arrow(arrow_schema(table)).fields
    stored = {f.name: f.type for f in delta.schema().fields}
    changed = [f.name for f in wanted if stored.get(f.name, f.type) != f.type]
    if changed:
        raise TableError(
            f"{lake.table_uri(table)}: holds another type of {', '.join(changed)} than its definition. "
            "Give each its former type in the definition, or another name."
        )
    missing = [f for f in wanted if f.name not in stored]
    if missing:
        delta.alter.add_columns(missing)
    delta.alter.set_table_properties({"swxlake.definition": definition}, raise_if_not_exists=False)


@contextmanager
def _delta_errors(lake: Lake, table: Table) -> Iterator[None]:
    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, OSError) as error:
        raise TableError(
            f"{lake.table_uri(table)}: cannot be written ({one_line(error)}). {write_remedy(lake)}, then repeat."
        ) from None


def write_remedy(lake: Lake) -> str:
    """What to do where a table cannot be written."""
    if isinstance(lake.root, Path):
        return "Free space or give the right to write"
    return "Check the bucket, the rights and the network"


def append(lake: Lake, files: DayFiles, app_id: str) -> bool:
    """Commit the files once under the application transaction `app_id`; False if that had been done before.

    `files.table_id` is then the identity of the table that was committed to, or in which the transaction was found.

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


@dataclass(frozen=True)
class Claim:
    """A table-day before its inputs were read: how often it had been written, and in which making of the table."""

    table: Table
    day: date
    table_id: str
    version: int

    def expected(self, delta: DeltaTable) -> int:
        """The version that the day has in a table now, if nobody wrote it since; a table made anew begins at 0."""
        return self.version if str(delta.metadata().id) == self.table_id else 0


def claim_day(lake: Lake, table: Table, day: date) -> Claim:
    """Note the state of a table-day. To be done before anything is read that it is made from."""
    return claim_of(open_table(lake, table), table, day)


def claim_of(delta: DeltaTable | None, table: Table, day: date) -> Claim:
    """The claim to a day of a table as it is open; None if there was no table."""
    if delta is None:
        return Claim(table, day, "", 0)
    return Claim(table, day, str(delta.metadata().id), _day_version(delta, day))


def _day_version(delta: DeltaTable, day: date) -> int:
    return delta.transaction_version(_transaction_id(delta, _of_day(day))) or 0


def _of_day(day: date) -> str:
    return f"day/{iso_day(day)}"


def replace(lake: Lake, files: DayFiles, claim: Claim, properties: dict[str, str]) -> None:
    """Commit the files in place of all rows of a day. Raises Overtaken if the day was written since it was claimed.

    The day's number of writes rises as an application transaction: without it, two processes that replace a day that
    is still empty do not conflict in delta-rs, and its rows are there twice.
    """

    def commit(delta: DeltaTable) -> bool:
        version = _day_version(delta, claim.day)
        if version != claim.expected(delta):
            raise Overtaken(f"{claim.table.address}@{claim.day}: another process has written it. Repeat.")
        transaction = Transaction(_transaction_id(delta, _of_day(claim.day)), version + 1)
        kept = CommitProperties(custom_metadata=properties, app_transactions=[transaction])
        _commit(delta, files, "overwrite", [("day", "=", iso_day(claim.day))], kept)
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
    files.sent = True
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

    def attempt() -> bool:
        try:
            delta = _created(lake, files.table, files.definition)
            table_id = str(delta.metadata().id)
            with _delta_errors(lake, files.table):
                done = commit(delta)
        except TableError as error:
            if not files.committed():
                raise
            if not isinstance(error, Overtaken):  # by our own commit: its answer was lost
                log.warning("commit table=%s written, but %s", files.table.address, error)
            return True
        files.table_id = table_id
        return done or (files.sent and files.committed())  # what was found may be our own: its answer was lost

    return _repeated(lake, files.table, attempt)


def _repeated(lake: Lake, table: Table, attempt: Callable[[], Result]) -> Result:
    """What an attempt at a commit gives. Repeated, with growing pauses, when another process committed first."""
    if lake.as_of is not None:
        raise TableError(f"{table.address}: cannot be written as of {lake.as_of.words}. Ask without --as-of.")
    for number in range(ATTEMPTS):
        try:
            with _delta_errors(lake, table):
                return attempt()
        except CommitFailedError:
            pass  # the next attempt looks again with a fresh handle
        except Overtaken:
            raise
        except TableError:
            if _is_final(lake, number):
                raise
        time.sleep(min(LONGEST_PAUSE, PAUSE_SECONDS * 2**number))
    raise _crowded(lake, table)


def _is_final(lake: Lake, attempt: int) -> bool:
    """True if a refused commit is not tried again. In object storage a call may fail by chance; what it may have
    written nevertheless is seen by the next attempt.
    """
    return isinstance(lake.root, Path) or attempt >= REFUSALS


def _crowded(lake: Lake, table: Table) -> TableError:
    uri = lake.table_uri(table)
    return TableError(f"{uri}: {ATTEMPTS} commits in a row met another writer. Repeat when it has finished.")


def replace_day(
    lake: Lake,
    table: Table,
    day: date,
    rows: pa.Table | Iterable[pa.Table],
    properties: dict[str, str],
    definition: str | None = None,
    claim: Claim | None = None,
) -> Written:
    """Replace one day of a table by `rows` (without the column `day`), in one piece or several, in one commit.

    Raises Overtaken if the day was written since it was claimed (default: now).
    """
    claim = claim or claim_day(lake, table, day)
    with day_files(lake, table, definition) as files:
        for piece in [rows] if isinstance(rows, pa.Table) else rows:
            files.write(piece, day)
        files.close()
        replace(lake, files, claim, properties)
        return files.written()


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
    """Replace the rows of `ops.<name>` for which the predicate (SQL of checked names and dates only) holds.

    delta-rs itself refuses it if another process has added such rows in the meantime, also where there were none.
    """
    from deltalake import write_deltalake  # noqa: PLC0415  next to its single use

    table = lake.ops(name)
    data = _without_words(ops_arrow(table, rows))

    def write() -> None:
        delta = _created(lake, table, structure(table))
        write_deltalake(delta, data, mode="overwrite", predicate=predicate, storage_options=lake.storage.options)

    _repeated(lake, table, write)


def _without_words(rows: pa.Table) -> pa.Table:
    """The rows without what is said of their columns: delta-rs refuses other words than those that the table has."""
    return rows.cast(pa.schema([field.remove_metadata() for field in rows.schema]))
