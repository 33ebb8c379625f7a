# SPDX-License-Identifier: Apache-2.0
"""Arrow columns as records of CDF variables: typed, filled, checked, a few megabytes at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exports.cdf_records import CDF_TYPES
from exports.cdf_spec import Values
from exports.istp import Variable
from lake.clock import tt2000_of_day
from lake.definitions import Column
from lake.errors import ExportError
from lake.reading import ARROW_TYPES

# Rows are converted in pieces of this size, so that memory depends neither on the records nor on the row groups.
PIECE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Piece:
    """Some records from number `start` on: values of shape (n, *dims) with fill values, and where those are."""

    start: int
    rows: Values
    filled: np.ndarray[Any, np.dtype[np.bool_]]


def pieces(where: str, variable: Variable, batches: Iterable[Any]) -> Iterator[Piece]:
    """The records of a variable from the batches of its column (pyarrow Array or ChunkedArray), in pieces.

    Null and NaN become FILLVAL, a null list a record of FILLVAL, bool 0 and 1. Raises ExportError for batches of
    another type than the column's and for lists that do not fill the axes.
    """
    column, spec = variable.column, variable.spec
    if column is None:
        raise ExportError(f"{where}: a constant has no column. Write its own values")
    step, start = max(1, PIECE_BYTES // spec.record_bytes), 0
    for array in _arrays(batches):
        _check_type(where, column, array.type)
        for i in range(0, len(array), step):
            part = array.slice(i, step)
            yield _lists(where, variable, part, start) if spec.dims else _scalars(variable, part, start)
            start += len(part)


def in_range(where: str, variable: Variable, parts: Iterable[Piece]) -> Iterator[Piece]:
    """The same pieces; at the end ExportError with count and first record if values were out of the valid range."""
    low, high = (np.array(limit, dtype=variable.spec.dtype) for limit in variable.valid)
    count, first = 0, -1
    for piece in parts:
        bad = ~piece.filled & ((piece.rows < low) | (piece.rows > high))
        if bad.any():
            rows = bad.reshape(len(bad), -1).any(axis=1)
            first = piece.start + int(rows.argmax()) if first < 0 else first
            count += int(bad.sum())
        yield piece
    if count:
        raise ExportError(
            f"{where}: {count} values outside the valid range {low} to {high}, first in record {first}. "
            "Correct the range in the definition, or set the values to null with a flag"
        )


def in_order(where: str, parts: Iterable[Piece], day: date, strict: bool) -> Iterator[Piece]:
    """The same pieces of TT2000 times; ExportError for a null, a time of another UTC day, or one that goes back."""
    begin, end = tt2000_of_day(day), tt2000_of_day(day + timedelta(days=1))
    last = begin - 1 if strict else begin
    for piece in parts:
        times = piece.rows.astype(np.int64)
        before = np.concatenate(([last], times[:-1]))
        _refuse(where, piece, piece.filled, "has no time", "Leave rows without a time out of the table")
        _refuse(where, piece, (times < begin) | (times >= end), f"is not on {day} UTC", "Export each day by itself")
        back = times <= before if strict else times < before
        word = "increase" if strict else "keep their order"
        _refuse(where, piece, back, f"is out of order, but times must {word}", "Sort the table or correct its order:")
        last = int(times[-1]) if len(times) else last
        yield piece


def _refuse(where: str, piece: Piece, bad: Values, what: str, remedy: str) -> None:
    if bad.any():
        raise ExportError(f"{where}: record {piece.start + int(bad.argmax())} {what}. {remedy}")


def _arrays(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        yield from batch.chunks if isinstance(batch, pa.ChunkedArray) else (batch,)


def _check_type(where: str, column: Column, found: Any) -> None:
    expected = ARROW_TYPES[column.type]
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if column.axes:
        good = any(is_list(found) for is_list in lists) and found.value_type == expected
    else:
        good = found == expected
    if not good:
        name = f"a list of {expected}" if column.axes else expected
        raise ExportError(f"{where}: values are {found}, the column is {name}. Mend the table or its definition")


def _scalars(variable: Variable, array: Any, start: int) -> Piece:
    """Scalars of the column's own type, so that no conversion can change a value."""
    cdf_type = CDF_TYPES[variable.spec.type]
    filled = array.is_null().to_numpy(zero_copy_only=False)
    values = pc.fill_null(array, False if pa.types.is_boolean(array.type) else 0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        filled = filled | np.isnan(values)
    rows = values.astype(cdf_type.dtype)
    rows[filled] = cdf_type.fill
    return Piece(start, rows, filled)


def _lists(where: str, variable: Variable, array: Any, start: int) -> Piece:
    """Flat row-major lists as arrays; every list that is not null has as many values as a record."""
    spec, cdf_type = variable.spec, CDF_TYPES[variable.spec.type]
    size = math.prod(spec.dims)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(array).fill_null(size).to_numpy(zero_copy_only=False)
    if (lengths != size).any():
        i = int((lengths != size).argmax())
        raise ExportError(
            f"{where}: list of {lengths[i]} values in record {start + i}, its axes {spec.dims} take {size}. "
            "Pad with nulls in the transform"
        )
    flat = _scalars(variable, array.flatten(), 0)
    rows = np.full((len(array), size), cdf_type.fill, dtype=cdf_type.dtype)
    filled = np.ones((len(array), size), dtype=np.bool_)
    rows[present] = flat.rows.reshape(-1, size)
    filled[present] = flat.filled.reshape(-1, size)
    return Piece(start, rows.reshape(-1, *spec.dims), filled.reshape(-1, *spec.dims))
