# SPDX-License-Identifier: Apache-2.0
"""The DuckDB catalog: one schema for each mission and one for ops, a view for each table, comments with units.

catalog.duckdb is a disposable cache of the Delta tables' newest versions: built aside, swapped in by rename, opened
read-only. Any DuckDB client can open it; old storage format, so that older clients can too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
from deltalake import DeltaTable

from lake.config import CHECKOUT, read_settings
from lake.definition_files import read_definitions
from lake.definitions import Axis, Calibration, Column, Instrument, Mission, Table
from lake.errors import ConfigurationError, DefinitionError, StorageError
from lake.files import writing
from lake.ledger import file_list, fingerprint
from lake.reading import data_files, files_by_day, open_table, partitioned, stored_columns
from lake.store import Lake

CATALOG = "catalog.duckdb"
SQL_VIEWS = CHECKOUT / "sql" / "views"
SQL_TYPES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
# asof_loop_join_threshold: with the default of DuckDB 2.0 an ASOF JOIN with one more predicate may never finish.
SESSION = "SET asof_loop_join_threshold=0; SET autoinstall_known_extensions=false; SET TimeZone='UTC'"


def connect(root: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """A read-only DuckDB connection to a lake's newest tables: `connect().sql("FROM padre.meddea_l1_photon")`.

    `root` is the lake's folder; default is $SWXLAKE_ROOT or ./lakehouse. Raises ConfigurationError if there is no lake.
    """
    settings = read_settings(str(root) if root else None)
    return open_catalog(Lake(settings.root, read_definitions(settings.missions)))


def open_catalog(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the lake's catalog, which is brought up to date first.

    Where the lake cannot be written, the catalog is built in memory instead.
    """
    if not lake.storage.is_there():
        raise ConfigurationError(f"{lake.root}: is no lake. Run `swxlake night --inbox DIR`, or give --root.")
    connection = _connected(lake)
    try:
        if lake.as_of is not None:
            _build(connection, lake)
        else:
            _attach_newest(connection, lake)
    except StorageError:
        _build(connection, lake)
    connection.execute(SESSION)
    return connection


def attach_as_it_is(lake: Lake, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """A connection to the catalog as it stands, for services: nothing is written, nothing outside of the lake is read.

    Only a lake in a folder can be fenced in by DuckDB; one in a bucket is guarded by the rights of its reader.
    Raises StorageError if it cannot be read.
    """
    connection = _connected(lake)
    connection.execute(SESSION)
    connection.execute(f"SET memory_limit='{int(memory_mb)}MB'; SET threads={int(threads)}; SET temp_directory=''")
    with lake.storage.local(CATALOG) as path, _duckdb_errors(path):
        _attach(connection, path)
    if isinstance(lake.root, Path):
        connection.execute(f"SET allowed_directories=['{_quoted(str(lake.root))}/']")
        connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def _attach_newest(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    refresh(lake)
    with lake.storage.local(CATALOG) as path:
        _attach(connection, path)


def _connected(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection that can read the lake's files: DuckDB's own access to S3 is an extension to be downloaded."""
    connection = duckdb.connect()
    if (system := lake.storage.arrow) is not None:
        from fsspec.implementations.arrow import ArrowFSWrapper  # noqa: PLC0415  only for object storage

        kind = type("S3Files", (ArrowFSWrapper,), {"protocol": "s3"})
        connection.register_filesystem(kind(system))
    return connection


def _attach(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make a catalog file the connection's database. `duckdb.connect(path)` would, as long as another connection of
    this process is open, give that one's file again even after a new one was swapped in.
    """
    connection.execute(f"ATTACH '{_quoted(str(path))}' AS catalog (READ_ONLY)")
    connection.execute("USE catalog")


def refresh(lake: Lake) -> bool:
    """Build the catalog anew if a table, a definition or the lake's place has changed; True if it was built.

    Raises StorageError if it cannot be written.
    """
    signature = _signature(lake)
    if _stored_signature(lake) == signature:
        return False
    with lake.storage.scratch() as folder:
        path = folder / CATALOG
        with writing(path), _duckdb_errors(path):
            _write(path, lake, signature)
        lake.storage.put(CATALOG, path)
    return True


def _write(path: Path, lake: Lake, signature: str) -> None:
    with _connected(lake) as connection:
        # The smallest blocks, for the catalog is many small things; one transaction, for each waits for the disk.
        options = "STORAGE_VERSION 'v1.0.0', BLOCK_SIZE 16384"
        connection.execute(f"ATTACH '{_quoted(str(path))}' AS lake ({options})")
        connection.execute("USE lake")
        connection.execute("BEGIN TRANSACTION")
        _build(connection, lake)
        connection.execute("CREATE TABLE main.signature AS SELECT ? AS signature", [signature])
        connection.execute("COMMIT")
        connection.execute("USE memory")
        connection.execute("DETACH lake")


@contextmanager
def _duckdb_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
        reason = " ".join(str(error).split())
        raise StorageError(f"{path}: cannot be built ({reason}). Free space or restore what is missing.") from None


def _stored_signature(lake: Lake) -> str | None:
    if lake.storage.size(CATALOG) is None:
        return None
    try:
        with duckdb.connect() as connection, lake.storage.local(CATALOG) as path:
            _attach(connection, path)
            row = connection.execute("SELECT signature FROM main.signature").fetchone()
    except duckdb.Error:
        return None
    return str(row[0]) if row else None


def _signature(lake: Lake) -> str:
    """Changes when any table has a new version, a definition or view was edited, or the lake was moved."""
    tables = [(t.address, t.model_dump_json(), _version(lake, t)) for t in _tables(lake)]
    calibrations = [(str(c.path), c.sha256) for _, instrument in _instruments(lake) for c in instrument.calibrations]
    views = [(path.name, path.read_text()) for path in sorted(SQL_VIEWS.glob("*.sql"))]
    missions = [str(row) for row in _mission_rows(lake)]
    return fingerprint(str(lake.root), tables, calibrations, views, missions)


def _version(lake: Lake, table: Table) -> str:
    """The newest entry of a table's log, with its time as a table may be removed and rebuilt; it need not be opened."""
    log = lake.storage.entries(f"{lake.table_key(table)}/_delta_log/")
    newest = max((entry for entry in log if entry.key.endswith(".json")), default=None)
    return f"{newest.key} {newest.modified}" if newest else ""


def _tables(lake: Lake) -> list[Table]:
    return [*lake.definitions.tables.values(), *lake.definitions.ops]


def _build(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    for schema in ("ops", *(mission.name for mission in lake.definitions.missions)):
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    days = []
    for table in _tables(lake):
        delta = open_table(lake, table)
        _create_view(connection, table, delta)
        if partitioned(table):
            days += [(table.address, day, file_list(names)) for day, names in files_by_day(delta).items()]
    _create_days(connection, days)
    _create_missions(connection, lake)
    for mission, instrument in _instruments(lake):
        for name in sorted({c.name for c in instrument.calibrations}):
            _create_calibration(connection, mission, instrument, name)
        _create_flags(connection, mission, instrument)
        _create_axes(connection, lake, mission, instrument)
    schemas = {"ops", *(mission.name for mission in lake.definitions.missions)}
    for path in sorted(SQL_VIEWS.glob("*.sql")):
        if path.name.split(".")[0] in schemas:
            _run_view(connection, path)


def _instruments(lake: Lake) -> Iterator[tuple[Mission, Instrument]]:
    return ((mission, i) for mission in lake.definitions.missions for i in mission.instruments)


def _run_view(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        connection.execute(path.read_text())
    except duckdb.Error as error:
        raise DefinitionError(f"{path}: {' '.join(str(error).split())}. Correct the view.") from None


def _create_days(connection: duckdb.DuckDBPyConnection, days: list[tuple[str, date, str]]) -> None:
    """The table `ops.table_days`: which files each table-day has now, by which ops.runs tells the run that counts."""
    rows = pl.DataFrame(days, {"table_name": pl.String, "day": pl.Date, "files": pl.String}, orient="row")
    _create_table(connection, "ops.table_days", rows, "Parquet files of each table-day, as JSON: one row to a day")


def _mission_rows(lake: Lake) -> list[tuple[str, str, float, date, date]]:
    missions = lake.definitions.missions
    return [(m.name, m.title, m.late_after_hours, m.valid_time.start, m.valid_time.stop) for m in missions]


def _create_missions(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """The table `ops.missions`: what a definition says of its mission, for queries that judge by it."""
    words, days = ("mission", "title"), ("valid_from", "valid_to")
    types = {**dict.fromkeys(words, pl.String), "late_after_hours": pl.Float64, **dict.fromkeys(days, pl.Date)}
    rows = pl.DataFrame(_mission_rows(lake), types, orient="row")
    comment = "Missions: valid days of their data, half-open, and after how many hours a raw file is late; one row each"
    _create_table(connection, "ops.missions", rows, comment)


def _create_view(connection: duckdb.DuckDBPyConnection, table: Table, delta: DeltaTable | None) -> None:
    view = f'"{table.mission}"."{table.name}"'
    connection.execute(f"CREATE VIEW {view} AS {_select(table, delta)}")
    connection.execute(f"COMMENT ON VIEW {view} IS '{_quoted(table.comment)}'")
    for column in table.columns:
        connection.execute(f"COMMENT ON COLUMN {view}.{_name(column)} IS '{_quoted(column.comment)}'")


def _select(table: Table, delta: DeltaTable | None) -> str:
    """The SELECT of a table's view. Names in it are `Name`s of the definitions, files are quoted."""
    files = data_files(delta) if delta is not None else []
    if not files:
        nothing = ", ".join(f"NULL::{_sql_type(c)} AS {_name(c)}" for c in table.columns)
        return f"SELECT {nothing} WHERE false"
    stored = stored_columns(delta) if delta is not None else set()
    names = ", ".join(
        f"{_name(c) if c.name in stored else 'NULL'}::{_sql_type(c)} AS {_name(c)}" for c in table.columns
    )
    listed = ", ".join(f"'{_quoted(file)}'" for file in files)
    options = "hive_partitioning=true, hive_types={'day': DATE}" if partitioned(table) else "union_by_name=true"
    newest = ""
    if table.key and not partitioned(table):
        keys = ", ".join(f'"{key}"' for key in table.key)
        newest = f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY run_id DESC) = 1"
    return f"SELECT {names} FROM read_parquet([{listed}], {options}){newest}"  # noqa: S608  checked names


def _create_calibration(
    connection: duckdb.DuckDBPyConnection, mission: Mission, instrument: Instrument, name: str
) -> None:
    """A table `<mission>.<instrument>_calibration_<name>` with the rows of all its dated files."""
    files = [c for c in instrument.calibrations if c.name == name]
    rows = pl.concat([_dated(c) for c in files], how="diagonal_relaxed")
    days = json.dumps([c.valid_from.isoformat() for c in files])
    address = f'"{mission.name}"."{instrument.name}_calibration_{name}"'
    _create_table(connection, address, rows, f"Calibration {name}, valid from {days}")


def _create_flags(connection: duckdb.DuckDBPyConnection, mission: Mission, instrument: Instrument) -> None:
    """The table `<mission>.<instrument>_flags`, for readable masks."""
    flags = [{"name": f.name, "bit": f.bit, "mask": f.mask, "description": f.description} for f in instrument.flags]
    _create_table(
        connection, f'"{mission.name}"."{instrument.name}_flags"', pl.DataFrame(flags), "Bits of quality_flag"
    )


def _create_axes(connection: duckdb.DuckDBPyConnection, lake: Lake, mission: Mission, instrument: Instrument) -> None:
    """Tables `<mission>.<instrument>_axis_<name>`, for readable axes; one that has dates as its newest calibration."""
    dated = {axis.name: axis.calibration for table in instrument.tables for axis in table.axes if axis.calibration}
    newest = [lake.definitions.on_day(table, date.max) for table in instrument.tables]
    for axis in {axis.name: axis for table in newest for axis in table.axes}.values():
        unit = f" [{axis.unit}]" if axis.unit else ""
        comment = f"{axis.description}{unit}; place counts from 0 along the axis"
        if axis.name in dated:
            comment += f"; values of the newest calibration {dated[axis.name]}"
        address = f'"{mission.name}"."{instrument.name}_axis_{axis.name}"'
        _create_table(connection, address, _cells(axis), comment)


def _cells(axis: Axis) -> pl.DataFrame:
    """One row to a cell: its value and the distances to its borders, or its label where it has only a name."""
    facts = {"value": axis.values, "minus": axis.minus, "plus": axis.plus}
    named = {"label": axis.labels} if axis.labels else {name: numbers for name, numbers in facts.items() if numbers}
    return pl.DataFrame({"place": range(axis.size), **named})


def _create_table(connection: duckdb.DuckDBPyConnection, address: str, rows: pl.DataFrame, comment: str) -> None:
    connection.register("new_rows", rows.to_arrow())
    connection.execute(f"CREATE TABLE {address} AS FROM new_rows")
    connection.unregister("new_rows")
    connection.execute(f"COMMENT ON TABLE {address} IS '{_quoted(comment)}'")


def _dated(calibration: Calibration) -> pl.DataFrame:
    return calibration.frame.select(pl.lit(calibration.valid_from).alias("valid_from"), pl.all())


def _sql_type(column: Column) -> str:
    return SQL_TYPES[column.type] + ("[]" if column.is_list else "")


def _name(column: Column) -> str:
    return f'"{column.name}"'


def _quoted(text: str) -> str:
    return text.replace("'", "''")
