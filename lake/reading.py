# SPDX-License-Identifier: Apache-2.0
"""Delta tables as they are read: schemas from the definitions, files of a version, rows as polars frames.

A table whose definition has gained a column since it was written reads as null there until it is built again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lake.definitions import Column, Table
from lake.errors import TableError
from lake.store import Lake, iso_day

if TYPE_CHECKING:
    import polars as pl

ARROW_TYPES = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


READ_ERRORS = (DeltaError, OSError)  # what reading a damaged table raises


def partitioned(table: Table) -> bool:
    """Data tables are partitioned by day; the lake's own tables are small and are not."""
    return table.mission != "ops"


def column_type(column: Column) -> pa.DataType:
    """Arrow type of a column; array columns are flat lists."""
    item = ARROW_TYPES[column.type]
    return pa.list_(item) if column.is_list else item


def arrow_schema(table: Table, stored: bool = False) -> pa.Schema:
    """The schema of a table, with unit, description and shape as field metadata; if `stored`, as its files have it.

    The files of a partitioned table lack `day`, which their folder says.
    """
    columns = [c for c in table.columns if not (stored and partitioned(table) and c.name == "day")]
    return pa.schema([_arrow_field(table, column) for column in columns])


def _arrow_field(table: Table, column: Column) -> pa.Field:
    metadata = {"comment": column.comment, "unit": column.unit}
    if column.axes:
        metadata["shape"] = ",".join(str(size) for size in table.shape(column))
    return pa.field(column.name, column_type(column), nullable=True, metadata=metadata)


def open_table(lake: Lake, table: Table) -> DeltaTable | None:
    """The Delta table at its newest version, or as the lake is looked at; None if nothing has been written to it."""
    version = lake.as_of.versions.get(table.address) if lake.as_of else None
    if lake.as_of is not None and version is None:
        return None
    uri = lake.table_uri(table)
    if isinstance(lake.root, Path) and not Path(uri, "_delta_log").is_dir():
        return None
    try:
        return _as_it_was(lake, table, DeltaTable(uri, version, storage_options=lake.storage.options))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        reason = one_line(error)
        raise TableError(f"{uri}: cannot be opened ({reason}). {_remedy(lake)}") from None


def _remedy(lake: Lake) -> str:
    if lake.as_of is not None:
        return f"The state {lake.as_of.words} is no longer there: the table was removed since, or its old files were."
    return "Restore it, or remove it and rebuild."


def _as_it_was(lake: Lake, table: Table, delta: DeltaTable) -> DeltaTable:
    """The table, unless it is another one than the state in the past had. Raises TableError then."""
    identity = lake.as_of.table_ids.get(table.address) if lake.as_of else None
    if identity is not None and identity != str(delta.metadata().id):
        words = lake.as_of.words if lake.as_of else ""
        raise TableError(
            f"{table.address}: was made anew since {words}; what it held then is gone. Ask without --as-of."
        )
    return delta


def open_parquet(lake: Lake, uri: str, **options: Any) -> pq.ParquetFile:
    """A Parquet file of `data_files`, wherever it lies."""
    system = lake.storage.arrow
    path = uri if system is None else uri.removeprefix("s3://")
    return pq.ParquetFile(path, filesystem=system, **options)


def one_line(error: BaseException) -> str:
    """The error's text without the arrows and colours of delta-rs."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m|↳", "", str(error)).split())[:300]


def table_id(lake: Lake, table: Table) -> str:
    """The identity of the Delta table that is there now; empty if there is none. A table made anew has another one."""
    delta = open_table(lake, table)
    return str(delta.metadata().id) if delta is not None else ""


def stored_definition(delta: DeltaTable) -> str:
    """The fingerprint of the definition that a table was created with."""
    return str(delta.metadata().configuration.get("swxlake.definition", ""))


def data_files(delta: DeltaTable, days: Iterable[date] | None = None) -> list[str]:
    """Paths of a table's Parquet files, of some days or all, in a fixed order."""
    if days is None:
        return _paths(delta.file_uris())
    wanted = [iso_day(day) for day in days]
    return _paths(delta.file_uris(file_pruning_predicate=[("day", "in", wanted)])) if wanted else []


def file_sizes(delta: DeltaTable) -> dict[str, int]:
    """Size in bytes by path or URI of each of a table's Parquet files, as they were committed."""
    root = unquote(delta.table_uri.removeprefix("file://")).rstrip("/")
    adds = pa.table(delta.get_add_actions(flatten=True))
    paths = [f"{root}/{unquote(path)}" for path in adds["path"].to_pylist()]
    return dict(zip(paths, adds["size_bytes"].to_pylist(), strict=True))


def files_by_day(delta: DeltaTable | None) -> dict[date, tuple[str, ...]]:
    """Names of the Parquet files of each day of an open table."""
    found: dict[date, list[str]] = {}
    for uri in delta.file_uris() if delta is not None else ():
        folder, _, name = uri.rpartition("/")
        found.setdefault(date.fromisoformat(folder.rpartition("day=")[2]), []).append(name)
    return {day: tuple(sorted(names)) for day, names in found.items()}


def _paths(uris: list[str]) -> list[str]:
    """delta-rs writes a space or an umlaut of the lake's own folder as %20 or %C3%BC; files are not found so."""
    return sorted(unquote(uri) for uri in uris)


def scan(lake: Lake, table: Table, days: Iterable[date] | None = None) -> pl.LazyFrame:
    """The rows of a table, of some days or all, with exactly the columns of its definition."""
    import polars as pl  # noqa: PLC0415  costs a second; decoding does without it

    delta = open_table(lake, table)
    files = data_files(delta, days) if delta is not None else []
    schema = polars_schema(table)
    if delta is None or not files:
        return pl.LazyFrame(schema=schema)
    stored = {name: kind for name, kind in schema.items() if name in stored_columns(delta)}
    access = parquet_access(lake)
    if partitioned(table):
        frame = pl.scan_parquet(files, hive_partitioning=True, hive_schema={"day": pl.Date}, **access)
    else:
        frame = pl.scan_parquet(files, schema=stored, missing_columns="insert", **access)
    absent = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in stored]
    return frame.with_columns(absent).select(*schema)


def polars_schema(table: Table) -> dict[str, pl.DataType]:
    """The columns of a table as polars has them."""
    return {column.name: _polars_type(column) for column in table.columns}


def parquet_access(lake: Lake) -> dict[str, Any]:
    """How polars opens the lake's Parquet files, wherever they lie."""
    options = lake.storage.options
    return (
        {"glob": False} if options is None else {"glob": False, "storage_options": options, "credential_provider": None}
    )


def stored_columns(delta: DeltaTable) -> set[str]:
    """Names of the columns that a Delta table has."""
    return {field.name for field in delta.schema().fields}


def _polars_type(column: Column) -> pl.DataType:
    import polars as pl  # noqa: PLC0415

    # By way of an empty Arrow table it would cost a second: polars would load pandas.
    special = {"timestamp": pl.Datetime("us", "UTC"), "bool": pl.Boolean(), "string": pl.String(), "date": pl.Date()}
    item = special.get(column.type) or getattr(pl, column.type.capitalize())()
    return pl.List(item) if column.is_list else item


def stored_days(lake: Lake, table: Table) -> list[date]:
    """Days of which the table has a partition with files, in order."""
    delta = open_table(lake, table)
    if delta is None:
        return []
    return sorted({date.fromisoformat(partition["day"]) for partition in delta.partitions()})
