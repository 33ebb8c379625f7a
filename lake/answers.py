# SPDX-License-Identifier: Apache-2.0
"""Answers to questions of services: SQL of ours with values of theirs, from the catalog as it stands, within limits.

Nothing is ever written: not even the catalog is brought up to date, whoever writes the lake does that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from lake.catalog import CATALOG, attach_as_it_is
from lake.errors import ConfigurationError, LimitError, QueryError, TimeLimitError
from lake.store import Lake

Parameters = Sequence[object] | Mapping[str, object]
ELSEWHERE = (
    "{text}. If the lake was moved or copied from there, run `swxlake site --root LAKE`: it builds the catalog anew."
)
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Limits:
    """What one question may take. `threads` and `memory_mb` are those of all questions together."""

    seconds: float = 10.0
    rows: int = 1_000_000
    memory_mb: int = 1024
    threads: int = 2


class Asker:
    """Whoever waits for answers, and may go away: ends the questions of the context in which ASKER is set to it."""

    def __init__(self) -> None:
        self.gone = False
        self._lock = threading.Lock()
        self._cursors: set[duckdb.DuckDBPyConnection] = set()

    def abandon(self) -> None:
        """End what is under way, and refuse what follows. To be called again until nothing is: a question that had
        not quite begun does not hear it."""
        with self._lock:
            self.gone = True
            for cursor in self._cursors:
                cursor.interrupt()

    @contextmanager
    def asking(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """The cursor is in use during the block."""
        with self._lock:
            self._cursors.add(cursor)
        try:
            yield
        finally:
            with self._lock:
                self._cursors.discard(cursor)


ASKER: ContextVar[Asker | None] = ContextVar("ASKER", default=None)


class Answers:
    """Read-only answers from one lake. May be used by several threads; each question has a cursor of its own.

    When the catalog was swapped, the next question sees the new one. Raises ConfigurationError if there is none.
    """

    def __init__(self, lake: Lake, limits: Limits | None = None) -> None:
        self.lake, self.limits = lake, limits or Limits()
        self._lock = threading.Lock()
        self._seen: object = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._newest()

    def ask(self, sql: str, parameters: Parameters = ()) -> pa.Table:
        """The rows of a question. `sql` is ours; what comes from outside goes into `parameters`.

        Raises LimitError if it takes more than the limits, QueryError if it cannot be answered.
        """
        batches = list(self.stream(sql, parameters))
        return pa.Table.from_batches(batches[1:], schema=batches[0].schema)

    def stream(self, sql: str, parameters: Parameters = (), seconds: float | None = None) -> Iterator[pa.RecordBatch]:
        """The same in batches; the first one is empty and has the schema. The time counts while a batch is made.

        Raises LimitError after the rows that are within the limit.
        """
        rows = 0
        with self._cursor() as cursor:
            with _bounded(cursor, self.limits, seconds):
                reader = _asked(cursor, sql, parameters).to_arrow_reader(BATCH_ROWS)
            yield _nothing(reader.schema)
            while True:
                with _bounded(cursor, self.limits, seconds):
                    batch = next(reader, None)
                if batch is None:
                    return
                rows += batch.num_rows
                if rows > self.limits.rows:
                    raise LimitError(f"more than {self.limits.rows} rows. Ask for a shorter time.")
                yield batch

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            cursor = self._newest().cursor()
        asker = ASKER.get()
        try:
            cursor.execute("USE catalog")
            with asker.asking(cursor) if asker else nullcontext():
                yield cursor
        finally:
            cursor.close()

    def _newest(self) -> duckdb.DuckDBPyConnection:
        """The connection to the catalog that is there now. One that is replaced is closed by its last cursor."""
        seen = self._state()
        if self._connection is None or seen != self._seen:
            self._connection, self._seen = attach_as_it_is(self.lake, self.limits.memory_mb, self.limits.threads), seen
        return self._connection

    def _state(self) -> object:
        """What changes when the catalog is swapped. Asked before each question, so nothing is listed for it."""
        if isinstance(self.lake.root, Path):
            try:
                status = Path(self.lake.root, CATALOG).stat()
            except FileNotFoundError:
                raise self._without_catalog() from None
            return (status.st_size, status.st_mtime_ns, status.st_ino)
        found = next((entry for entry in self.lake.storage.entries(CATALOG) if entry.key == CATALOG), None)
        if found is None:
            raise self._without_catalog()
        return (found.bytes, found.modified, found.tag)

    def _without_catalog(self) -> ConfigurationError:
        return ConfigurationError(f"{self.lake.root}: has no catalog. Run `swxlake night`, or correct --root.")


def _nothing(schema: pa.Schema) -> pa.RecordBatch:
    """A batch without rows. Of Python lists Arrow would make one only after loading pandas: 40 MB in every service."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def _asked(cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters) -> duckdb.DuckDBPyRelation:
    """One SELECT, and nothing else: DuckDB would copy rows to files within the lake if it was asked to."""
    statements = cursor.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise QueryError("is not one SELECT. Ask one question at a time.")
    return cursor.sql(sql, params=parameters or None)


@contextmanager
def _bounded(cursor: duckdb.DuckDBPyConnection, limits: Limits, seconds: float | None) -> Iterator[None]:
    """Interrupt what takes too long; tell what a question broke as an error of ours."""
    allowed = limits.seconds if seconds is None else seconds
    if (asker := ASKER.get()) is not None and asker.gone:
        raise LimitError("is not wanted any more. Ask again.")
    timer = threading.Timer(allowed, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (duckdb.Error, pa.ArrowInvalid, OSError, MemoryError) as error:  # OSError: while batches were read
        raise _told(error, allowed, limits.memory_mb) from None
    finally:
        timer.cancel()


def _told(error: Exception, seconds: float, memory_mb: int) -> QueryError:
    """What broke, as an error of ours. Between batches DuckDB's errors come through Arrow, which knows their words."""
    text = " ".join(str(error).split())
    if isinstance(error, duckdb.InterruptException) or "INTERRUPT Error" in text:
        return TimeLimitError(f"takes longer than {seconds:g} s. Ask for a shorter time.")
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "Out of Memory Error" in text:
        return LimitError(f"takes more than {memory_mb} MB. Ask for a shorter time.")
    if isinstance(error, duckdb.PermissionException) or "Permission Error" in text:
        return QueryError(ELSEWHERE.format(text=text))
    return QueryError(text)
