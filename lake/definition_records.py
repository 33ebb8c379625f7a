# SPDX-License-Identifier: Apache-2.0
"""Reading types of records: what rows of CSV, JSON lines or Parquet files, or orbit elements, hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from lake.definition_clocks import clock_of
from lake.definition_tables import Entries
from lake.definition_text import build, build_at, check_repeats, numbered_rows, yaml_line
from lake.errors import DefinitionError
from lake.packet_definitions import INTEGER_BITS, Clock
from lake.source_definitions import ELEMENTS, RecordField, Records


class _Records(Entries):
    records: dict[str, dict[str, Any]] = Field(default_factory=dict)


def read_records(file: Path, entries: object, clocks: dict[str, Clock]) -> list[Records]:
    """The types of record that an instrument.yaml names under `records`, each with its CSV. Raises DefinitionError."""
    named = build_at(_Records, {"records": entries or {}}, file, ()).records
    return [_read(file, name, entry, clocks) for name, entry in named.items()]


def _read(file: Path, name: str, entry: dict[str, Any], clocks: dict[str, Clock]) -> Records:
    path = file.parent / "records" / f"{name}.csv"
    fields = [(number, _field(path, number, row)) for number, row in numbered_rows(path)]
    check_repeats(path, "name", ((number, field.name) for number, field in fields))
    check_repeats(path, "header", ((number, field.header) for number, field in fields))
    clock = entry.get("clock")
    if clock is not None:
        clock = clock_of(file, ("records", name, "clock"), clock, clocks)
    values = {"name": name, "fields": [field for _, field in fields], "file": str(path), **entry, "clock": clock}
    return build_at(Records, values, file, ("records", name))


def _field(path: Path, number: int, row: dict[str, str]) -> RecordField:
    values: dict[str, Any] = {key: cell for key, cell in row.items() if cell}
    values.setdefault("header", values.get("name"))
    field = build(RecordField, values, f"{path} row {number} ({row.get('name', '')})")
    if field.valid_min is not None and field.valid_max is not None and field.valid_min > field.valid_max:
        raise DefinitionError(
            f"{path} row {number} ({field.name}): valid_min {field.valid_min:g} > valid_max {field.valid_max:g}. "
            "Swap or correct them."
        )
    return field


def check_records(file: Path, records: Records, clock: Clock) -> None:
    """Raises DefinitionError if the clock names fields that the records do not have or that do not count."""
    fields = {field.name: field for field in records.fields}
    for key in ("coarse", "days", "fine"):
        name = getattr(clock, key)
        problem = _clock_problem(records, clock, key, fields.get(name)) if name else ""
        if problem:
            line = yaml_line(file, ("records", records.name))
            raise DefinitionError(f"{file} line {line} (clock.{key}): {problem}")
    if records.format == "tle":
        _check_elements(records)


def _clock_problem(records: Records, clock: Clock, key: str, field: RecordField | None) -> str:
    if field is None:
        return f"{records.file} has no field {getattr(clock, key)}. Add it or correct the name."
    if field.list or field.type not in (*INTEGER_BITS, *(("float64", "timestamp") if key == "coarse" else ())):
        words = " list" if field.list else ""
        return f"field {field.name} is {field.type}{words}, which is no count. Give an integer type to it."
    unix_us = (clock.epoch[:19], clock.policy, clock.coarse_ticks_per_second)
    if field.type == "timestamp" and unix_us != ("1970-01-01T00:00:00", "posix", 1_000_000):
        return (
            f"field {field.name} is timestamp, which counts microseconds since 1970. Give epoch 1970-01-01T00:00:00, "
            "policy posix, coarse_ticks_per_second 1000000."
        )
    return ""


def _check_elements(records: Records) -> None:
    """Orbit elements have fields of their own, whose names and types are fixed."""
    for field in records.fields:
        known = ELEMENTS.get(field.name)
        if known is None or known.type != field.type or field.list:
            wanted = f"is {known.type}" if known else f"is none; there are {', '.join(ELEMENTS)}"
            raise DefinitionError(
                f"{records.file} ({field.name}): of the orbit elements it {wanted}. Correct the name or the type."
            )
        if known.nullable and not field.nullable:
            raise DefinitionError(
                f"{records.file} ({field.name}): not all files have it. Write true in column nullable."
            )
