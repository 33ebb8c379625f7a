# SPDX-License-Identifier: Apache-2.0
"""The records of a product-day as they stand in its newest CDF, some at a time.

They come from the table's Parquet files, by the code that fills CDF files. Where the table has other rows by now, which
were not exported yet or may not be, they come from the CDF itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exports.cdf.reader import CdfReader
from exports.cdf.records import CDF_TYPES
from exports.cdf.spec import Values
from exports.hapi.fields import Field, cells
from exports.hapi.holdings import Day
from exports.hapi.times import texts
from exports.istp.structure import EPOCH_COLUMN
from exports.istp.variable import EPOCH, Variable
from exports.values import pieces
from lake.definitions import Axis, Table
from lake.errors import ExportError
from lake.reading import column_type, open_parquet
from lake.store import Lake

BATCH_BYTES = 1 << 18
READ_BYTES = 1 << 16  # of a column at a time; else Arrow reads all of a row group before its first record, tens of MB

Axes = dict[str, Axis]
Columns = list[Values]


def records(
    lake: Lake, table: Table, day: Day, fields: Sequence[Field], axes: Axes, start: int, stop: int
) -> Iterator[Columns]:
    """The values of the fields of records with start <= time < stop [TT2000 ns], a few megabytes at a time.

    `axes` are those of the day. Times are texts; all other values have the CDF's own type. Raises ExportError if the
    files do not fit the table's definition, StorageError or OSError if they cannot be read.
    """
    read = _of_table if day.files else _of_cdf
    for values in read(lake, table, day, fields, start, stop):
        yield [_finished(field, values, axes) for field in fields]


def _finished(field: Field, values: dict[str, Values], axes: Axes) -> Values:
    if field.variable is None:
        numbers = cells(axes[field.axis.name if field.axis else ""], field.part)
        return np.broadcast_to(numbers, (len(values[EPOCH]), *numbers.shape))
    found = values[field.variable.spec.name]
    return texts(found.astype(np.int64)) if field.kind == "isotime" else found


def _step(fields: Sequence[Field]) -> int:
    return max(1, BATCH_BYTES // np.dtype([field.dtype for field in fields]).itemsize)


def _of_table(
    lake: Lake, table: Table, day: Day, fields: Sequence[Field], start: int, stop: int
) -> Iterator[dict[str, Values]]:
    variables = [field.variable for field in fields if field.variable is not None]
    for uri in day.files:
        with open_parquet(lake, uri, buffer_size=READ_BYTES, pre_buffer=False) as file:
            for group in _groups(file, start, stop):
                columns = _stored(file, variables)
                for batch in file.iter_batches(_step(fields), [group], columns, use_threads=False):  # saves 20 MB
                    times = batch.column(EPOCH_COLUMN).to_numpy()
                    first, last = np.searchsorted(times, [start, stop])  # records of a product are in order
                    if first < last:
                        rows = batch.slice(first, last - first)
                        yield {v.spec.name: _values(uri, table, v, rows) for v in variables}


def _stored(file: pq.ParquetFile, variables: Sequence[Variable]) -> list[str]:
    names = dict.fromkeys([EPOCH_COLUMN, *(v.column.name for v in variables if v.column)])
    return [name for name in names if name in file.schema_arrow.names]


def _groups(file: pq.ParquetFile, start: int, stop: int) -> Iterator[int]:
    """The row groups that may have records of a time range."""
    names = [file.metadata.schema.column(i).path for i in range(file.metadata.num_columns)]
    place = names.index(EPOCH_COLUMN)
    for group in range(file.num_row_groups):
        stats = file.metadata.row_group(group).column(place).statistics
        if stats is None or not stats.has_min_max or (stats.max >= start and stats.min < stop):
            yield group


def _values(where: str, table: Table, variable: Variable, rows: pa.RecordBatch) -> Values:
    """The values as the CDF has them. A column that was defined after the rows were written has none: fill values."""
    if variable.column is None:
        raise ExportError(f"{where}: {variable.spec.name} is a constant. Ask for what varies by record")
    name = variable.column.name
    known = name in rows.schema.names
    column = rows.column(name) if known else pa.nulls(rows.num_rows, column_type(variable.column))
    found = [piece.rows for piece in pieces(f"{where}, column {table.address}.{name}", variable, [column])]
    return found[0] if len(found) == 1 else np.concatenate(found)


def _of_cdf(
    lake: Lake, table: Table, day: Day, fields: Sequence[Field], start: int, stop: int
) -> Iterator[dict[str, Values]]:
    variables, step = [field.variable for field in fields if field.variable is not None], _step(fields)
    with lake.storage.local(day.key) as path, CdfReader(path) as file:
        first, last = (int(place) for place in np.searchsorted(file.values(EPOCH), [start, stop]))
        for begin in range(first, last, step):
            end = min(begin + step, last)
            yield {v.spec.name: _read(table, file, v, begin, end) for v in variables}


def _read(table: Table, file: CdfReader, variable: Variable, begin: int, end: int) -> Values:
    """Records of a file; fill values for a variable that the product did not have when the file was made."""
    spec, info = variable.spec, file.variables.get(variable.spec.name)
    if info is None:
        return np.full((end - begin, *spec.dims), CDF_TYPES[spec.type].fill, spec.dtype)
    if (info.type, tuple(info.dims)) != (spec.type, spec.dims):
        where = f"{file.path.name}, variable {spec.name}"
        raise ExportError(f"{where}: is not as {table.address} has it now. Run `swxlake export {table.address}`")
    return file.values(spec.name, begin, end)
