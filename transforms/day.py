# SPDX-License-Identifier: Apache-2.0
"""Making one day of one table: its inputs as the plan saw them, its transform, its rows checked against the definition.

A task holds all that this takes, so it can be done in any process; what comes back is the row of ops.runs.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from lake.clock import day_bounds, utc_now
from lake.definitions import Calibration, Column, Table
from lake.errors import CalibrationError, Overtaken, TransformError
from lake.ledger import Run, file_list, fingerprint, release
from lake.margins import margins, rows_within
from lake.reading import arrow_schema, one_line
from lake.snapshots import Source, damage, rows_of
from lake.store import Lake
from lake.tables import Claim, replace_day
from transforms.code import check_code, transform_of
from transforms.plan import as_json, built_tables

log = logging.getLogger(__name__)

# What a mistake in a transform raises. One table's mistake must not end the night of the others.
BUGS = (pl.exceptions.PolarsError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
OVERTAKEN = "overtaken"

Sources = Mapping[str, Source]


@dataclass(frozen=True)
class Task:
    """A table-day to build. `sources` are the rows of each input and margin, by its label in `depends_on`."""

    lake: Lake
    address: str
    day: date
    reason: str
    depends_on: dict[str, str]
    sources: dict[str, Source]
    claim: Claim
    run_id: str
    plan: str

    @property
    def has_input(self) -> bool:
        """False if the day's inputs hold nothing of their own, so that only its margins do, if anything."""
        return any(content for part, content in self.depends_on.items() if part.startswith("input "))


def make_day(task: Task) -> Run:
    """Build a table-day; its row for ops.runs. The status is `overtaken` if another process has written the day.

    Raises ConfigurationError if this process does not run the code that was planned.
    """
    clock = time.perf_counter()
    check_code(task.lake.definitions.tables[task.address], task.depends_on["code"])
    row = _run_row(task)
    try:
        row["input_rows"] = _input_rows(task)
        row |= _written(task)
    except Overtaken as error:
        row |= {"status": OVERTAKEN, "error": str(error)}
    except FileNotFoundError as error:  # what replaces an input may remove its files
        gone = f"{task.address}@{task.day}: a file of its inputs is gone ({one_line(error)}). Run `swxlake fsck`."
        row |= {"status": OVERTAKEN, "error": gone}
    except OSError as error:
        unread = f"{task.address}@{task.day}: its inputs cannot be read ({one_line(error)}). Check the storage, repeat."
        row |= {"status": "failed", "error": unread}
    except (CalibrationError, TransformError) as error:
        row |= {"status": "failed", "error": str(error)}
    row["seconds"] = time.perf_counter() - clock
    message = "transform table=%s day=%s rows=%d seconds=%.1f status=%s"
    log.info(message, task.address, task.day, row["rows"], row["seconds"], row["status"])
    return row


def _run_row(task: Task) -> Run:
    """The row of a run that has come to nothing yet."""
    return {
        "run_id": task.run_id,
        "plan": task.plan,
        "table_name": task.address,
        "day": task.day,
        "fingerprint": fingerprint(task.depends_on),
        "reason": task.reason,
        "started_at": utc_now(),
        "code_version": release()[0],
        "depends_on": as_json(task.depends_on),
        "rows": 0,
        "input_rows": 0,
        "content": None,
        "table_id": "",
        "files": None,
    }


def _written(task: Task) -> Run:
    """Replace the day by what its transform makes of its inputs; what the run's row says about that."""
    table = task.lake.definitions.tables[task.address]
    rows = day_rows(task.lake, table, task.day, task.sources)
    properties = {"run_id": task.run_id, "fingerprint": fingerprint(task.depends_on)}
    written = replace_day(task.lake, table, task.day, rows, properties, claim=task.claim)
    return {
        "rows": written.rows,
        "status": "done",
        "error": None,
        # A day without rows that had nothing to be made of has no content: nothing depends on it.
        "content": written.content if written.rows or task.has_input else "",
        "table_id": written.table_id,
        "files": file_list(written.files),
    }


def _input_rows(task: Task) -> int:
    """Rows of the day in the inputs: what was not written was left out for a reason that its flags tell."""
    frames = [rows_of(task.lake, source) for label, source in task.sources.items() if label.startswith("input ")]
    try:
        return sum(int(frame.select(pl.len()).collect().item()) for frame in frames)
    except pl.exceptions.PolarsError as error:
        problem = damage(task.lake, task.sources.values()) or f"its inputs cannot be read ({one_line(error)})"
        raise TransformError(f"{task.address}@{task.day}: {problem}. Run `swxlake fsck`.") from error


def try_calibrations(lake: Lake) -> int:
    """Make every table of nothing on each day from which another calibration of it is valid; how many days were tried.

    Raises CalibrationError or TransformError for the first calibration that its transform refuses.
    """
    tried = 0
    for table in built_tables(lake):
        instrument, names = lake.definitions.instrument(table), (*table.calibrations, *table.axis_calibrations)
        used = {c.valid_from for c in instrument.calibrations if c.name in (*names, *table.optional_calibrations)}
        for day in sorted(day for day in used if all(instrument.calibration(name, day) for name in names)):
            tried += sum(1 for _ in day_rows(lake, table, day, {}))
    return tried


def day_rows(lake: Lake, table: Table, day: date, sources: Sources) -> Iterator[pa.Table]:
    """The rows of one table-day, made by its transform and checked against its definition (without `day`).

    They come in one piece or in as many as the transform yields. An input without a source is taken as empty.
    """
    try:
        yield from _pieces(lake, table, day, sources)
    except BUGS as error:
        if problem := damage(lake, sources.values()):  # the transform, too, cannot but fail on that
            raise TransformError(f"{table.address}@{day}: {problem}. Run `swxlake fsck`.") from error
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        raise TransformError(f"{table.address}@{day}: {reason}. Correct the transform.") from error


def _pieces(lake: Lake, table: Table, day: date, sources: Sources) -> Iterator[pa.Table]:
    arguments: dict[str, Any] = {**_inputs(lake, table, day, sources), **_calibrations(lake, table, day)}
    if table.margins:
        arguments["day"] = day
    made = transform_of(table)(lake.definitions.on_day(table, day), **arguments)
    empty = True
    for frame in [made.collect(engine="streaming")] if isinstance(made, pl.LazyFrame) else made:
        empty = False
        rows = conform(table, day, frame)
        if table.margins:
            _check_day(table, day, rows)
        yield rows
    if empty:
        yield arrow_schema(table, stored=True).empty_table()


def _calibrations(lake: Lake, table: Table, day: date) -> dict[str, Calibration | None]:
    """The calibrations that the transform takes. Raises CalibrationError if one is missing that it needs."""
    instrument = lake.definitions.instrument(table)
    found = {name: instrument.calibration(name, day) for name in (*table.calibrations, *table.optional_calibrations)}
    for name in table.calibrations:
        if found[name] is None:
            folder = lake.definitions.path / table.mission / table.instrument / "calibration"
            raise CalibrationError(
                f"{table.address}@{day}: no calibration {name} is valid. Add {folder}/{name}_<yyyymmdd>.csv."
            )
    return found


def _inputs(lake: Lake, table: Table, day: date, sources: Sources) -> dict[str, pl.LazyFrame]:
    """The rows of each input by the transform's keyword, with those of its margins."""
    frames: dict[str, pl.LazyFrame] = {}
    for keyword, name in table.inputs.items():
        address = f"{table.mission}.{name}"
        parts = [rows_of(lake, sources.get(f"input {address}", Source(address, day)))]
        around = [margin for margin in margins(lake.definitions, table, day) if margin.keyword == keyword]
        parts += [rows_within(lake, margin, sources[margin.name]) for margin in around if margin.name in sources]
        frames[keyword] = pl.concat(parts) if len(parts) > 1 else parts[0]
    return frames


def conform(table: Table, day: date, frame: pl.DataFrame) -> pa.Table:
    """The frame as Arrow in the table's schema. Raises TransformError if columns, types, nulls or sizes do not fit."""
    columns = [c for c in table.columns if c.name != "day"]
    names = [c.name for c in columns]
    where = f"{table.address}@{day}"
    if set(frame.columns) - {"day"} != set(names):
        odd = sorted(set(frame.columns) ^ set(names) - {"day"})
        raise TransformError(f"{where}: columns {odd} are missing or unknown. Correct the transform or tables.yaml.")
    schema = arrow_schema(table, stored=True)
    try:
        rows = frame.select(names).to_arrow().cast(schema)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise TransformError(f"{where}: {reason}. Correct the transform or the column's type.") from None
    for column in columns:
        problem = _misfit(table, column, rows[column.name])
        if problem:
            raise TransformError(f"{where}: {column.name} {problem}")
    return rows


def _check_day(table: Table, day: date, rows: pa.Table) -> None:
    """Raises TransformError if a transform gives rows of the neighbouring days that it was shown."""
    first, stop = day_bounds(day)
    times = rows["epoch_tt2000"]
    if len(times) and (pc.min(times).as_py() < first or pc.max(times).as_py() >= stop):
        raise TransformError(f"{table.address}@{day}: has rows of another day. Leave out those of the margins.")


def _misfit(table: Table, column: Column, values: pa.ChunkedArray) -> str | None:
    """What is wrong with the values of a column beside their type."""
    if not column.nullable and values.null_count:
        return f"has {values.null_count} nulls. Fill or allow them."
    if not column.is_list:
        return None
    nulls = 0 if column.nullable else pc.list_flatten(values).null_count
    if nulls:
        return f"has {nulls} nulls within its lists. Fill them."
    size = math.prod(table.shape(column))
    wrong = [n for n in pc.unique(pc.list_value_length(values)).to_pylist() if n not in (size, None)]
    if column.axes and wrong:
        return f"has lists of {wrong[0]} values, its axes {', '.join(column.axes)} need {size}. Correct the transform."
    return None
