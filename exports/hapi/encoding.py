# SPDX-License-Identifier: Apache-2.0
"""Records as HAPI sends them: binary, CSV and JSON, many at a time and none by itself.

A number in CSV and JSON has the fewest digits that give the number of the CDF again, in its own type: 0.1 for the 32
bits that binary, which has 64, gives as 0.10000000149.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa

from exports.cdf.spec import Values
from exports.hapi.fields import FLOAT_FILL, Field
from exports.hapi.times import LENGTH
from lake.errors import ExportError

Format = Literal["csv", "binary", "json"]
Encoder = Callable[[Sequence[Field], Sequence[Values]], bytes]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "binary": "application/octet-stream",
    "json": "application/json",
}
LARGEST_EXACT = 1 << 53  # integers beyond it, not all doubles can be (IEEE 754)


def binary(fields: Sequence[Field], columns: Sequence[Values]) -> bytes:
    """Records one after the other: texts padded with NUL, integers of 4 and floats of 8 bytes, little-endian."""
    records = np.empty(len(columns[0]), np.dtype([field.dtype for field in fields]))
    for field, values in zip(fields, columns, strict=True):
        records[field.name] = _sent(field, values)
    return records.tobytes()


def csv(fields: Sequence[Field], columns: Sequence[Values]) -> bytes:
    """A line to a record, arrays unrolled with the last index fastest; no value has a comma or a quote."""
    lines = [_cells(field, values, ("", "")) for field, values in zip(fields, columns, strict=True)]
    return _joined(lines, "", "\n")


def json_rows(fields: Sequence[Field], columns: Sequence[Values]) -> bytes:
    """The same as arrays of JSON, each after a comma."""
    lines = [_cells(field, values, ("[", "]")) for field, values in zip(fields, columns, strict=True)]
    return _joined(lines, ",\n[", "]")


ENCODERS: dict[Format, Encoder] = {"csv": csv, "binary": binary, "json": json_rows}


def _sent(field: Field, values: Values) -> Values:
    """The values in a type that goes without loss into that of the record. Raises ExportError if there is none."""
    if values.dtype == np.float32:
        doubles = values.astype(np.float64)
        is_fill = values == np.float32(FLOAT_FILL)
        if is_fill.any():
            doubles[is_fill] = FLOAT_FILL
        return doubles
    if values.dtype == np.int64:
        beyond = (np.abs(values) > LARGEST_EXACT) & (values != np.iinfo(np.int64).min)
        if beyond.any():
            raise ExportError(f"{field.name}: {values[beyond][0]} is no double. Leave this parameter out")
    return values


def _cells(field: Field, values: Values, brackets: tuple[str, str]) -> pl.Series:
    """A text to a record: the cells of an array with commas, in brackets by dimension."""
    if field.kind == "isotime":
        return _quoted(_strings(values), '"' if brackets[0] else "")
    # Only what a double can hold is sent as text, too: the formats do not differ in what they give.
    exact = values if values.dtype == np.float32 else _sent(field, values)
    cells = pl.Series(np.ascontiguousarray(exact).ravel()).cast(pl.String)
    for size in reversed(field.size):
        cells = cells.reshape((len(cells) // size, size)).arr.join(",")
        cells = _quoted(cells, *brackets)
    return cells


def _quoted(texts: pl.Series, before: str, after: str | None = None) -> pl.Series:
    after = before if after is None else after
    return texts if not before else pl.select(pl.concat_str([pl.lit(before), texts, pl.lit(after)])).to_series()


def _strings(values: Values) -> pl.Series:
    offsets = pa.py_buffer(np.arange(len(values) + 1, dtype=np.int64) * LENGTH)
    array = pa.LargeStringArray.from_buffers(len(values), offsets, pa.py_buffer(np.ascontiguousarray(values)))
    return pl.Series(array)


def _joined(columns: Sequence[pl.Series], before: str, after: str) -> bytes:
    """The texts of a record with commas between them, of all records in one piece."""
    cells = pl.concat_str(list(columns), separator=",")
    lines = pl.select(pl.concat_str([pl.lit(before), cells, pl.lit(after)])).to_series()
    array = lines.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset :]
    return bytes(memoryview(data)[ends[0] : ends[len(array)]]) if len(array) else b""
