# SPDX-License-Identifier: Apache-2.0
"""Results of SQL queries: as a table for people, or as CSV, JSON or Parquet for programs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lake.errors import ConfigurationError

SHOWN_ROWS = 100
SHOWN_ITEMS = 6


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def run_query(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation | None:
    """The result of one query; None for a statement without one. Raises ConfigurationError with DuckDB's explanation."""
    try:
        return connection.sql(query)
    except duckdb.Error as error:
        raise ConfigurationError(f"{error}".strip()) from None


def write_result(relation: duckdb.DuckDBPyRelation, form: Format, output: Path | None) -> None:
    """Write a result to a file, or to stdout."""
    if form is Format.TABLE and output is None:
        print_table(relation)
        return
    writers: dict[Format, Callable[[duckdb.DuckDBPyRelation, Path], None]] = {
        Format.TABLE: _write_csv,
        Format.CSV: _write_csv,
        Format.JSON: _write_json,
        Format.PARQUET: lambda r, p: r.write_parquet(str(p)),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result"
        try:
            writers[form](relation, path)
        except duckdb.Error as error:
            raise ConfigurationError(f"{error}".strip()) from None
        _deliver(path, output)


def _deliver(path: Path, output: Path | None) -> None:
    if output is not None:
        shutil.move(path, output)
        return
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.flush()


def _write_csv(relation: duckdb.DuckDBPyRelation, path: Path) -> None:
    relation.write_csv(str(path), header=True)


def _write_json(relation: duckdb.DuckDBPyRelation, path: Path) -> None:
    rows = relation.to_arrow_table().to_pylist()
    path.write_text(json.dumps(rows, default=json_value, indent=1) + "\n")


def json_value(value: Any) -> Any:
    """A value that JSON has no type for: times as ISO text, bytes in hex."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def print_table(relation: duckdb.DuckDBPyRelation) -> None:
    """Print the first rows of a result; the columns' types stand below their names."""
    try:
        rows = relation.limit(SHOWN_ROWS + 1).to_arrow_table()
    except duckdb.Error as error:
        raise ConfigurationError(f"{error}".strip()) from None
    table = Table(show_header=True, header_style="bold")
    for name, kind in zip(relation.columns, relation.types, strict=True):
        table.add_column(Text(f"{name}\n{str(kind).lower()}"), overflow="fold")
    for row in rows.slice(0, SHOWN_ROWS).to_pylist():
        table.add_row(*(Text(shown(row[name])) for name in relation.columns)) if len(row) == len(
            relation.columns
        ) else table.add_row(*(Text(shown(v)) for v in row.values()))
    console = Console()
    console.print(table)
    if rows.num_rows > SHOWN_ROWS:
        console.print(f"first {SHOWN_ROWS} rows; add LIMIT, or --format csv for all", style="dim")


def shown(value: Any) -> str:
    """A value as people read it: nothing for null, long lists cut."""
    if value is None:
        return ""
    if isinstance(value, list) and len(value) > SHOWN_ITEMS:
        start = ", ".join(shown(item) for item in value[:SHOWN_ITEMS])
        return f"[{start}, ... {len(value)} values]"
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    return f"{value:.7g}" if isinstance(value, float) else str(value)
