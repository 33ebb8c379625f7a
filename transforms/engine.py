# SPDX-License-Identifier: Apache-2.0
"""The engine: which table-days are out of date and why, and building them, one day of one table at a time.

A table-day is out of date when its fingerprint differs from that of the last good run: the definition of its table, the
code of its transform, the calibrations valid on the day, and the contents of its inputs. A rebuild that gives the same
content does not make its dependents out of date.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from lake.clock import day_bounds, utc_now
from lake.definitions import Calibration, Column, Table
from lake.errors import CalibrationError, DefinitionError, TransformError
from lake.leap_seconds import LEAP_SECONDS
from lake.ledger import Code, Contents, fingerprint, read_code, read_contents, release, table_definition
from lake.margins import PLANNED, margins, rows_about, rows_within, seen
from lake.reading import arrow_schema, scan, table_id
from lake.store import Lake
from lake.tables import append_ops, keeps_rows, replace_day

log = logging.getLogger(__name__)

Transform = Callable[..., pl.LazyFrame | Iterator[pl.DataFrame]]
# What a mistake in a transform raises. One table's mistake must not end the night of the others.
BUGS = (pl.exceptions.PolarsError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Step:
    """One table-day to build: what it depends on, and why it is out of date."""

    table: Table
    day: date
    reason: str
    depends_on: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """sha256 of everything the result depends on."""
        return fingerprint(self.depends_on)

    @property
    def has_input(self) -> bool:
        """False if the day's inputs hold nothing of their own, so that only its margins do, if anything."""
        return any(content for part, content in self.depends_on.items() if part.startswith("input "))


def ordered(lake: Lake) -> list[Table]:
    """Tables that have a transform, inputs before dependents."""
    return [table for table in lake.definitions.tables.values() if table.inputs]


def steps(
    lake: Lake, contents: Contents, table: Table, days: set[date] | None = None, force: bool = False
) -> Iterator[Step]:
    """Days of one table that are out of date, oldest first. Its inputs must be up to date in `contents`."""
    inputs = [f"{table.mission}.{name}" for name in table.inputs.values()]
    present = {day for address, day in contents.known if address in inputs}
    present |= _reached(lake, contents, table, present)
    # A day that lost its inputs is still built, to nothing: its old rows must not stay.
    stale = {day for address, day in contents.runs if address == table.address and day not in present}
    # An input that failed still holds the rows of its last good run: wait until it is built.
    waiting = {day for (address, day), run in contents.runs.items() if address in inputs and run["status"] == "failed"}
    waiting |= {day for address, day in contents.outdated if address in inputs}
    waiting |= {day for day in present | stale if _beside_outdated(lake, contents, table, day)}
    of_every_day = {"definition": table_definition(table), "code": _code_fingerprint(_module_of(table))}
    anew = not keeps_rows(lake, table)  # the first day that is written drops all others, so all are built
    for day in sorted((present | stale) - waiting):
        if days is not None and day not in days and not anew:
            continue
        run = contents.runs.get((table.address, day))
        depends_on = of_every_day | _depends_on(lake, contents, table, day)
        reason = _reason(run, depends_on)
        reason = reason or ("forced" if force else "table made anew" if anew else None)
        if reason:
            yield Step(table, day, reason, depends_on)


def _beside_outdated(lake: Lake, contents: Contents, table: Table, day: date) -> bool:
    """True if a neighbouring day has to be decoded again before its margin can be read."""
    return any((m.source.address, m.day) in contents.outdated for m in margins(lake.definitions, table, day))


def _reached(lake: Lake, contents: Contents, table: Table, present: set[date]) -> set[date]:
    """Days without input of their own of which a neighbour holds rows: the end of a packet's samples, for example.

    Before the first calibration there is nothing to be made of them.
    """
    if not table.margins:
        return set()
    needed = (*table.calibrations, *table.axis_calibrations)
    beside = {day + timedelta(days=step) for day in present for step in (-1, 1)} - present
    calibrated = {d for d in beside if all(_calibrations(lake, table, d, needed)[name] for name in needed)}
    return {day for day in calibrated if any(_margin_parts(lake, contents, table, day).values())}


def _depends_on(lake: Lake, contents: Contents, table: Table, day: date) -> dict[str, str]:
    """What a day of a table depends on beside the table's definition and code."""
    parts: dict[str, str] = {}
    for name, calibration in _calibrations(lake, table, day, (*table.calibrations, *table.axis_calibrations)).items():
        parts[f"calibration {name}"] = calibration.sha256 if calibration else ""
    for name in table.inputs.values():
        address = f"{table.mission}.{name}"
        parts[f"input {address}"] = contents.known.get((address, day), "")
    return parts | _margin_parts(lake, contents, table, day)


def _margin_parts(lake: Lake, contents: Contents, table: Table, day: date) -> dict[str, str]:
    found = margins(lake.definitions, table, day)
    return {margin.name: seen(lake, contents, margin).fingerprint for margin in found}


def _reason(run: dict[str, Any] | None, depends_on: dict[str, str]) -> str | None:
    if run is None:
        return "new"
    before: dict[str, str] = json.loads(str(run["depends_on"]))
    changed = [key for key in sorted(before | depends_on) if before.get(key) != depends_on.get(key)]
    if changed:
        return ", ".join(f"{key} changed" for key in changed)
    return None if run["status"] == "done" else "failed before"


def _calibrations(lake: Lake, table: Table, day: date, names: tuple[str, ...]) -> dict[str, Calibration | None]:
    instrument = lake.definitions.instrument(table)
    return {name: instrument.calibration(name, day) for name in (*names, *table.optional_calibrations)}


def _module_of(table: Table) -> str:
    return f"transforms.{table.mission}.{table.instrument}"


def transform_of(table: Table) -> Transform:
    """The function that makes a table: `l1_photon` of transforms/padre/meddea.py for `padre.meddea_l1_photon`."""
    name = _module_of(table)
    _source(name)
    function: Transform | None = getattr(importlib.import_module(name), table.descriptor, None)
    if function is None:
        path = name.replace(".", "/")
        raise DefinitionError(f"{table.address}: {path}.py has no function {table.descriptor}. Write it.")
    return function


@cache
def _code_fingerprint(module_name: str) -> str:
    """sha256 of a transform module and of the transforms modules it imports, without comments and docstrings."""
    codes: dict[str, Code] = {}
    waiting = [module_name]
    while waiting:
        name = waiting.pop()
        if name not in codes:
            codes[name] = read_code(_source(name))
            waiting += _transforms_imported(codes[name])
    return fingerprint([(name, codes[name].shape) for name in sorted(codes)], LEAP_SECONDS)


def _source(module_name: str) -> Path:
    path = _find(module_name)
    if path is None:
        raise DefinitionError(f"there is no {module_name.replace('.', '/')}.py. Write it.")
    return path


def _find(module_name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module_name)
    except ModuleNotFoundError:
        return None  # its package is not there either
    return Path(spec.origin) if spec is not None and spec.origin else None


def _transforms_imported(code: Code) -> list[str]:
    """Modules below transforms/ that a module imports; `from transforms import conversions` names one too."""
    modules = [name for module, names in code.imported for name in (module, *_submodules(module, names))]
    return [name for name in modules if name.startswith("transforms.") and _find(name)]


def _submodules(module_name: str, names: tuple[str, ...]) -> list[str]:
    """Which of the names imported from a package may be modules; looking below a plain module would import it."""
    if not f"{module_name}.".startswith("transforms."):
        return []
    path = _find(module_name)
    return [f"{module_name}.{name}" for name in names] if path is not None and path.name == "__init__.py" else []


@dataclass
class Built:
    """Outcome of building table-days."""

    done: list[tuple[Step, int]] = field(default_factory=list)
    failed: list[tuple[Step, str]] = field(default_factory=list)


def build_all(
    lake: Lake, run_id: str, tables: list[Table] | None = None, days: set[date] | None = None, force: bool = False
) -> Built:
    """Build everything that is out of date, inputs first. A day that fails is recorded and does not stop the others."""
    contents, built = read_contents(lake), Built()
    for table in _chosen(lake, tables):
        for step in list(steps(lake, contents, table, days, force)):
            _build_step(lake, contents, step, run_id, built)
    append_ops(lake, "margins", rows_about(contents, run_id))
    return built


def plan_all(
    lake: Lake, tables: list[Table] | None = None, days: set[date] | None = None, force: bool = False
) -> list[Step]:
    """What `build_all` would build, with reasons; dependents of a step are listed as if it succeeded and changed."""
    contents, planned = read_contents(lake), []
    for table in _chosen(lake, tables):
        for step in list(steps(lake, contents, table, days, force)):
            planned.append(step)
            contents.known[table.address, step.day] = f"{PLANNED}{step.fingerprint}"
            contents.runs[table.address, step.day] = {"status": "planned", "depends_on": _as_json(step.depends_on)}
    return planned


def _chosen(lake: Lake, tables: list[Table] | None) -> list[Table]:
    return [table for table in ordered(lake) if tables is None or table in tables]


def _as_json(depends_on: dict[str, str]) -> str:
    return json.dumps(depends_on, sort_keys=True)


def _build_step(lake: Lake, contents: Contents, step: Step, run_id: str, built: Built) -> None:
    started, clock = utc_now(), time.perf_counter()
    row = _run_row(step, run_id, started)
    try:
        rows = build_day(lake, contents, step.table, step.day)
        written = replace_day(lake, step.table, step.day, rows, {"run_id": run_id, "fingerprint": step.fingerprint})
        content = written.content if written.rows or step.has_input else ""
        row |= {
            "rows": written.rows,
            "status": "done",
            "error": None,
            "content": content,
            "table_id": table_id(lake, step.table),
        }
        _note(contents, step, content)
        built.done.append((step, written.rows))
    except (CalibrationError, TransformError) as error:
        row |= {"rows": 0, "status": "failed", "error": str(error), "content": None, "table_id": ""}
        _note(contents, step, "")
        built.failed.append((step, str(error)))
    row |= {"input_rows": _input_rows(lake, contents, step), "seconds": time.perf_counter() - clock}
    append_ops(lake, "runs", [row])
    contents.runs[step.table.address, step.day] = row
    message = "transform table=%s day=%s rows=%d seconds=%.1f status=%s"
    log.info(message, step.table.address, step.day, row["rows"], row["seconds"], row["status"])


def _note(contents: Contents, step: Step, content: str) -> None:
    """What later steps of this run see of the table-day; nothing if it failed, or was made of nothing to nothing."""
    contents.known.pop((step.table.address, step.day), None)
    if content:
        contents.known[step.table.address, step.day] = content


def _run_row(step: Step, run_id: str, started: datetime) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "table_name": step.table.address,
        "day": step.day,
        "fingerprint": step.fingerprint,
        "reason": step.reason,
        "started_at": started,
        "code_version": release()[0],
        "depends_on": _as_json(step.depends_on),
    }


def _input_rows(lake: Lake, contents: Contents, step: Step) -> int:
    """Rows of the day in the inputs: what was not written was left out for a reason that its flags tell."""
    sources = [lake.definitions.tables[f"{step.table.mission}.{name}"] for name in step.table.inputs.values()]
    rows = [scan(lake, t, [step.day]) for t in sources if contents.known.get((t.address, step.day))]
    return sum(int(frame.select(pl.len()).collect().item()) for frame in rows)


def try_calibrations(lake: Lake) -> int:
    """Make every table of nothing on each day from which another calibration of it is valid; how many days were tried.

    Raises CalibrationError or TransformError for the first calibration that its transform refuses.
    """
    tried = 0
    for table in ordered(lake):
        instrument, names = lake.definitions.instrument(table), (*table.calibrations, *table.axis_calibrations)
        used = {c.valid_from for c in instrument.calibrations if c.name in (*names, *table.optional_calibrations)}
        for day in sorted(day for day in used if all(instrument.calibration(name, day) for name in names)):
            tried += sum(1 for _ in build_day(lake, Contents({}), table, day))
    return tried


def build_day(lake: Lake, contents: Contents, table: Table, day: date) -> Iterator[pa.Table]:
    """The rows of one table-day, made by its transform and checked against its definition (without `day`).

    They come in one piece or in as many as the transform yields. Inputs without content are taken as empty.
    """
    try:
        yield from _pieces(lake, contents, table, day)
    except BUGS as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        raise TransformError(f"{table.address}@{day}: {reason}. Correct the transform.") from error


def _pieces(lake: Lake, contents: Contents, table: Table, day: date) -> Iterator[pa.Table]:
    calibrations = _calibrations(lake, table, day, table.calibrations)
    for name in table.calibrations:
        if calibrations[name] is None:
            folder = lake.definitions.path / table.mission / table.instrument / "calibration"
            raise CalibrationError(
                f"{table.address}@{day}: no calibration {name} is valid. Add {folder}/{name}_<yyyymmdd>.csv."
            )
    arguments: dict[str, Any] = {**_inputs(lake, contents, table, day), **calibrations}
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


def _inputs(lake: Lake, contents: Contents, table: Table, day: date) -> dict[str, pl.LazyFrame]:
    """The rows of each input by the transform's keyword, with those of its margins.

    Rows that an earlier definition may have left in a day without content do not count.
    """
    frames: dict[str, pl.LazyFrame] = {}
    for keyword, name in table.inputs.items():
        source = lake.definitions.tables[f"{table.mission}.{name}"]
        parts = [scan(lake, source, [day] if contents.known.get((source.address, day)) else [])]
        around = [margin for margin in margins(lake.definitions, table, day) if margin.keyword == keyword]
        parts += [rows_within(lake, margin) for margin in around if contents.known.get((source.address, margin.day))]
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
