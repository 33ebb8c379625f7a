# SPDX-License-Identifier: Apache-2.0
"""What a table is, and how one of its days came to be, back to byte ranges of raw files, and on to what follows."""

from __future__ import annotations

from datetime import date
from math import prod
from typing import Any

import polars as pl

from lake.definitions import Axis, Table
from lake.errors import ConfigurationError
from lake.ledger import current_contents, read_margins, read_ops, standing_checks
from lake.margins import files_of_margins
from lake.reading import scan
from lake.store import Lake
from swxlake.cli_options import check_lake, parse_day, similar
from swxlake.descent import descendants_of_day, describe_calibration, describe_product, describe_raw_file
from swxlake.layouts import describe_source, source_names
from swxlake.outcome import Outcome
from swxlake.watched import channel_rows, expected, limit_rows, rule_rows


def describe(lake: Lake, name: str) -> Outcome:
    """What is known of a table, a table-day (`table@day`), a packet, a raw file, a calibration or a product's file.

    Packets and records go by `mission/instrument/name`, raw files and calibrations by their names or by their sha256,
    of which eight digits are enough; of the path of a file its name counts. Definitions are told without a lake.
    Raises ConfigurationError, with similar names, if there is nothing of that name.
    """
    address, _, day = name.partition("@")
    tables = {table.address: table for table in (*lake.definitions.tables.values(), *lake.definitions.ops)}
    if address in tables and not day:
        return describe_table(lake, tables[address])
    if (outcome := describe_source(lake.definitions, name)) is not None:
        return outcome
    if "/" in name and "." not in name:
        raise ConfigurationError(f"there is no packet {name!r}.{similar(name, source_names(lake.definitions))}")
    check_lake(lake)
    if address in tables:
        return describe_day(lake, tables[address], parse_day(day))
    for given in dict.fromkeys((name, name.rpartition("/")[2])):  # a path, or the name of the file
        for kind in (describe_product, describe_raw_file, describe_calibration):
            if (outcome := kind(lake, given)) is not None:
                return outcome
    known = [*tables, *read_ops(lake, "files")["name"], *(path.rpartition("/")[2] for path in _paths(lake))]
    hint = similar(address, known if "." in name else list(tables))
    raise ConfigurationError(f"there is no table, raw file, calibration or product {name!r}.{hint}")


def _paths(lake: Lake) -> list[str]:
    return read_ops(lake, "exports")["path"].unique().to_list()


def describe_table(lake: Lake, table: Table) -> Outcome:
    """Title, grain, inputs, calibrations, axes, columns, limits, channels and rules of a table, and what is assumed."""
    facts: dict[str, Any] = {"table": table.address, "title": table.title, "grain": table.grain}
    if table.experimental:
        facts["experimental"] = table.experimental.strip()
    if table.inputs:
        facts["inputs"] = [f"{table.mission}.{name}" for name in table.inputs.values()]
    if table.packet:
        facts["packet"] = f"{table.mission}/{table.instrument}/{table.packet}"
    if table.records:
        facts["records"] = f"{table.mission}/{table.instrument}/{table.records}"
    if table.calibrations:
        facts["calibrations"] = [*table.calibrations, *table.optional_calibrations]
    facts |= _arrays(table) | _margins(table) | _doubts(lake, table)
    columns = [
        {
            "column": column.name,
            "type": column.type + "".join(f"[{size}]" for size in table.shape(column)),
            "unit": column.unit,
            "description": column.description,
        }
        for column in table.columns
    ]
    if table.watch is not None:
        facts["watched"] = expected(table.watch) or ["Its gaps are told."]
    flags = [{"bit": flag.bit, "flag": flag.name, "meaning": flag.description} for flag in table.flags]
    sections = {"columns": columns, "axes": [_axis(axis) for axis in table.axes], "quality_flag": flags}
    sections |= _watched(lake, table)
    return Outcome(facts=facts, tables={title: rows for title, rows in sections.items() if rows})


def _watched(lake: Lake, table: Table) -> dict[str, list[dict[str, Any]]]:
    if table.mission == "ops":
        return {}
    instrument = lake.definitions.instrument(table)
    rows = {"limits": limit_rows(instrument, table), "channels": channel_rows(instrument, table)}
    return {**rows, "rules": rule_rows(table)}


def _arrays(table: Table) -> dict[str, Any]:
    """How a cell of an array is asked for: DuckDB has arrays as flat lists that count from 1."""
    column = max(table.columns, key=lambda column: len(column.axes))
    shape = table.shape(column)
    if not shape:
        return {}
    letters = "ijkl"[: len(shape)]
    place = letters[0]
    for letter, size in zip(letters[1:], shape[1:], strict=True):
        place = f"({place}) * {size} + {letter}" if " " in place else f"{place} * {size} + {letter}"
    cell = "".join(f"[{letter}]" for letter in letters)
    text = f"one list of {prod(shape)} in SQL; its cell {cell}, counted from 0, is {column.name}[{place} + 1]"
    return {"arrays": f"{column.name} is {text}"}


def _margins(table: Table) -> dict[str, Any]:
    texts = [
        f"{name}: {before:g} s before the day, {after:g} s after" for name, (before, after) in table.margins.items()
    ]
    return {"margins": texts} if texts else {}


def _doubts(lake: Lake, table: Table) -> dict[str, Any]:
    """The status of a table's instrument, the assumed calibrations of its lineage, and what is not known."""
    if table.mission == "ops":
        return {}
    instrument = lake.definitions.instrument(table)
    files = {
        c.stem: lake.definitions.assumed(owner, c)
        for owner, name in lake.definitions.calibrations(table)
        for c in owner.calibrations
        if c.name == name
    }
    facts = {
        "status": ": ".join(text for text in (instrument.status, instrument.status_reason.strip()) if text),
        "assumed": [f"{stem}: {reason}" for stem, reason in sorted(files.items()) if reason],
        "unknowns": list(instrument.unknowns),
    }
    return {name: value for name, value in facts.items() if value}


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "axis": axis.name,
        "size": axis.size,
        "values": axis_values(axis),
        "unit": axis.unit,
        "description": axis.description,
    }


def axis_values(axis: Axis) -> str:
    """Where an axis has its values from, in a few words."""
    if axis.labels:
        return ", ".join(axis.labels)
    if axis.calibration:
        borders = f", borders {axis.minus_column} and {axis.plus_column}" if axis.minus_column else ""
        return f"column {axis.column} of calibration {axis.calibration}{borders}"
    return f"{axis.values[0]:g} to {axis.values[-1]:g}"


def describe_day(lake: Lake, table: Table, day: date) -> Outcome:
    """The lineage of a table-day: product, checks, runs, inputs, raw files and the byte ranges of their packets."""
    outcome = Outcome(facts={"table": table.address, "day": day.isoformat(), "descends_from": _lineage(lake, table)})
    sections = {
        "products": _rows(
            lake, "exports", "product", table, day, ["version", "path", "sha256", "status", "deliverable"]
        ),
        "checks that do not hold": _broken(lake, table, day),
        "runs": _rows(lake, "runs", "table_name", table, day, ["run_id", "reason", "rows", "status", "error"])[-5:],
        "raw files": _files(lake, table, day),
        "raw files of neighbouring days": _files_beside(lake, table, day),
        "descends from it": descendants_of_day(lake, table, day) if table.mission != "ops" else [],
    }
    outcome.tables = {title: rows for title, rows in sections.items() if rows}
    assumptions = lake.definitions.assumptions(table, day) if table.mission != "ops" else ()
    if assumptions:
        outcome.facts["assumptions"] = list(assumptions)
    if not outcome.tables:
        outcome.problems.append(f"{table.address} has nothing for {day}")
    return outcome


def _lineage(lake: Lake, table: Table) -> list[str]:
    inputs = [lake.definitions.tables[f"{table.mission}.{name}"] for name in table.inputs.values()]
    return [address for source in inputs for address in (source.address, *_lineage(lake, source))]


def _rows(lake: Lake, ops: str, key: str, table: Table, day: date, columns: list[str]) -> list[dict[str, Any]]:
    rows = read_ops(lake, ops).filter(pl.col(key) == table.address, pl.col("day") == day)
    return rows.sort("run_id").select(columns).to_dicts()


def _broken(lake: Lake, table: Table, day: date) -> list[dict[str, Any]]:
    about = (pl.col("table_name") == table.address) & (pl.col("day") == day)
    return (
        standing_checks(lake).filter(about, ~pl.col("passed")).select("rule", "severity", "value", "detail").to_dicts()
    )


def _files(lake: Lake, table: Table, day: date) -> list[dict[str, Any]]:
    """Raw files with packets in the table-day, and the first and last byte of those packets."""
    sources = [a for a in [table.address, *_lineage(lake, table)] if lake.definitions.tables[a].level == "l0"]
    origins = current_contents(lake).filter(pl.col("table_name").is_in(sources), pl.col("day") == day)
    files = read_ops(lake, "files").select("file_sha256", "name", "bytes", "bytes_quarantined").unique("file_sha256")
    ranges = [_byte_range(lake, lake.definitions.tables[address], day) for address in sources]
    spans = pl.concat(ranges) if ranges else pl.DataFrame(schema={"table_name": pl.String, "file_sha256": pl.String})
    joined = origins.join(files, on="file_sha256").join(spans, on=["table_name", "file_sha256"], how="left")
    columns = ["table_name", "name", "rows", "new_rows", "first_byte", "last_packet_at", "bytes_quarantined"]
    return joined.sort("table_name", "name").select(columns).to_dicts()


def _files_beside(lake: Lake, table: Table, day: date) -> list[dict[str, Any]]:
    """Raw files of the day before and after with packets that lie in the margins of the table-day."""
    hashes = files_of_margins(lake.definitions, read_margins(lake), table, day)
    files = read_ops(lake, "files").filter(pl.col("file_sha256").is_in(list(hashes)))
    return files.unique("file_sha256").sort("name").select("name", "bytes", "bytes_quarantined").to_dicts()


def _byte_range(lake: Lake, table: Table, day: date) -> pl.DataFrame:
    spans = scan(lake, table, [day]).group_by("file_sha256").agg(
        first_byte=pl.col("byte_offset").min(), last_packet_at=pl.col("byte_offset").max()
    )  # fmt: skip
    return spans.select(pl.lit(table.address).alias("table_name"), pl.all()).collect()
