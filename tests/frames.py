# SPDX-License-Identifier: Apache-2.0
"""Rows of a table for the tests of transforms, their calibrations, and what the engine makes of a result."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from lake.definitions import Calibration, Instrument, Table
from lake.reading import arrow_schema
from transforms.day import conform

POLARS: dict[str, Any] = {
    "int8": pl.Int8,
    "int16": pl.Int16,
    "int32": pl.Int32,
    "int64": pl.Int64,
    "float32": pl.Float32,
    "float64": pl.Float64,
    "string": pl.String,
    "date": pl.Date,
    "timestamp": pl.Datetime("us", "UTC"),
}


def dtypes(table: Table) -> dict[str, Any]:
    """The columns of a table with their types in Polars."""
    return {c.name: pl.List(POLARS[c.type]) if c.is_list else POLARS[c.type] for c in table.columns}


def frame(table: Table, rows: Iterable[dict[str, Any]], **common: Any) -> pl.LazyFrame:
    """Rows of a table; what neither a row nor `common` has is 0 or empty."""
    types = dtypes(table)
    blank = {column: "" if kind == pl.String else 0 for column, kind in types.items()}
    return pl.LazyFrame([{**blank, **common, **row} for row in rows], schema=types)


def checked(table: Table, result: pl.LazyFrame | Iterable[pl.DataFrame], day: date) -> pl.DataFrame:
    """The result of a transform in one piece, each part checked and cast as the engine does."""
    parts = [result.collect()] if isinstance(result, pl.LazyFrame) else result
    made = [pl.DataFrame(conform(table, day, part)) for part in parts]
    return pl.concat(made) if made else pl.DataFrame(arrow_schema(table).empty_table())


def calibration(instrument: Instrument, name: str, day: date) -> Calibration:
    """The calibration that is valid on a day."""
    found = instrument.calibration(name, day)
    assert found is not None, f"{name} on {day}"
    return found


def with_rows(known: Calibration, rows: pl.DataFrame) -> Calibration:
    """A calibration of the same name with other rows."""
    return Calibration(known.name, known.valid_from, Path(f"{known.name}_20000101.csv"), "", rows)
