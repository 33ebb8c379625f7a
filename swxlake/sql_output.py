# SPDX-License-Identifier: Apache-2.0
"""Results of SQL queries: as a table for people, or as CSV, JSON or Parquet for programs."""

from __future__ import annotations

import json
import math
import shutil
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lake.errors import ConfigurationError
from lake.files import writing

SHOWN_ROWS = 100
SHOWN_ITEMS = 6
REST = "--format csv gives all"


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


# Statements that write to paths, which may lie in the lake; its tables and views are read-only anyway.
WRITING = (duckdb.StatementType.COPY, duckdb.StatementType.EXPORT, duckdb.StatementType.ATTACH)


def run_query(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation | None:
    """The result of one query; None for a statement without one. Raises ConfigurationError with DuckDB's words."""
    try:
        statements = connection.extract_statements(query)
        if len(statements) > 1:
            raise ConfigurationError(f"these are {len(statements)} queries. Give one at a time.")
        if any(statement.type in WRITING for statement in statements):
            raise ConfigurationError("this would write files. Ask with SELECT, and name a file with --output.")
        return connection.sql(query)
    except duckdb.Error as error:
        raise ConfigurationError(f"{error}".strip()) from None


def split_queries(connection: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    """The queries of a text, with `;` between them. Raises ConfigurationError if one cannot be read."""
    try:
        return [statement.query for statement in connection.extract_statements(text)]
    except duckdb.Error as error:
        raise ConfigurationError(f"{error}".strip()) from None


def write_result(relation: duckdb.DuckDBPyRelation, form: Format, output: Path | None) -> None:
    """Write a result to a file, or to stdout."""
    if form is Format.TABLE and output is None:
        print_table(relation)
        return
    if form is Format.PARQUET and output is None and sys.stdout.isatty():
        raise ConfigurationError("Parquet is no text. Name a file with --output.")
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
        if output.is_dir():
            raise ConfigurationError(f"{output}: is a folder. Give --output the name of a file.")
        with writing(output):
            shutil.move(path, output)
        return
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.flush()


def _write_csv(relation: duckdb.DuckDBPyRelation, path: Path) -> None:
    relation.write_csv(str(path), header=True)


def _write_json(relation: duckdb.DuckDBPyRelation, path: Path) -> None:
    """A list of objects; JSON has no NaN or infinity, so these become null."""
    names = _unique(relation.columns)
    rows = [dict(zip(names, map(_without_nan, row), strict=True)) for row in _rows(relation.to_arrow_table())]
    path.write_text(json.dumps(rows, default=json_value, indent=1, allow_nan=False) + "\n")


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """All rows as tuples: a query may give two columns the same name."""
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


def _unique(names: list[str]) -> list[str]:
    """Column names, a repeated one with its place added: a, b, a_3."""
    return [name if name not in names[:at] else f"{name}_{at + 1}" for at, name in enumerate(names)]


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return {k: _without_nan(v) for k, v in value.items()} if isinstance(value, dict) else value


def json_value(value: Any) -> Any:
    """A value that JSON has no type for: times as ISO text, bytes in hex, decimals as numbers."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def wide_console(**options: bool) -> Console:
    """A console as wide as the terminal; where there is none, wide enough that no column folds."""
    return Console(width=None if sys.stdout.isatty() else 250, **options)  # type: ignore[arg-type]


def print_table(relation: duckdb.DuckDBPyRelation, limit: int | None = SHOWN_ROWS, rest: str = REST) -> pa.Table:
    """Print the first rows of a result, or all, the columns' types below their names, and `rest` if there are more.

    What a terminal would act on is escaped. Gives back the rows that were read: one more than the limit at most.
    """
    read, rows = _read_first(relation, limit)
    table = Table(show_header=True, header_style="bold")
    for name, kind in zip(relation.columns, relation.types, strict=True):
        table.add_column(Text(f"{printable(name)}\n{str(kind).lower()}"), overflow="fold")
    for row in rows[:limit]:
        table.add_row(*(Text(shown(value)) for value in row))
    console = wide_console()
    console.print(table)
    _say_more(console, len(rows), limit, rest)
    return read


def print_record(relation: duckdb.DuckDBPyRelation, limit: int | None = SHOWN_ROWS, rest: str = REST) -> pa.Table:
    """As `print_table`, with the columns of a row one below the other: for tables with many columns."""
    read, rows = _read_first(relation, limit)
    names = [printable(name) for name in relation.columns]
    console, width = wide_console(), max(map(len, names))
    for number, row in enumerate(rows[:limit], 1):
        console.print(Text(f"row {number}", style="bold"))
        for name, value in zip(names, row, strict=True):
            console.print(Text(f"  {name:<{width}}  {shown(value)}"))
    _say_more(console, len(rows), limit, rest)
    return read


def _read_first(relation: duckdb.DuckDBPyRelation, limit: int | None) -> tuple[pa.Table, list[tuple[Any, ...]]]:
    try:
        read = (relation if limit is None else relation.limit(limit + 1)).to_arrow_table()
    except duckdb.Error as error:
        raise ConfigurationError(f"{error}".strip()) from None
    return read, _rows(read)


def _say_more(console: Console, rows: int, limit: int | None, rest: str) -> None:
    if limit is not None and rows > limit:
        console.print(f"first {limit} rows; {rest}", style="dim")


def shown(value: Any) -> str:
    """A value as people read it: nothing for null, long lists cut, control characters as escapes."""
    if value is None:
        return ""
    if isinstance(value, list) and len(value) > SHOWN_ITEMS:
        start = ", ".join(shown(item) for item in value[:SHOWN_ITEMS])
        return f"[{start}, ... {len(value)} values]"
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    return f"{value:.7g}" if isinstance(value, float) else printable(str(value))


def printable(text: str) -> str:
    """The text with what a terminal would act on, or cannot show, as an escape: names of files may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
