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

from exports.cdf.records import CDF_TYPES
from exports.cdf.spec import Values, VariableSpec
from exports.istp.variable import Variable
from lake.clock import tt2000_of_day
from lake.definitions import Column
from lake.errors import ExportError
from lake.reading import ARROW_TYPES

# Rows are converted in pieces of this size, so that memory depends neither on the records nor on the row groups, and a
# piece stays in the processor's cache from one step to the next.
PIECE_BYTES = 1024 * 1024
FAR = 2.0**62  # within 64 bits, and out of any valid range in nanoseconds

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Piece:
    """Some records from number `start` on: values of shape (n, *dims) with fill values.

    `source` are the same values one after the other as an Arrow array, null or NaN where `rows` hold the fill value.
    """

    start: int
    rows: Values
    source: Any

    @property
    def filled(self) -> Mask:
        """Where the fill value stands for nothing, of the shape of the rows."""
        mask = self.source.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        return np.asarray(mask, dtype=np.bool_).reshape(self.rows.shape)


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
            values = _flat(where, spec, part, start) if spec.dims else part
            source = _numbers(values, variable.factor)
            yield Piece(start, _filled(spec, source).reshape(len(part), *spec.dims), source)
            start += len(part)


def in_range(where: str, variable: Variable, parts: Iterable[Piece]) -> Iterator[Piece]:
    """The same pieces; at the end ExportError with count and first record if values were out of the valid range."""
    low, high = (np.array(limit, dtype=variable.spec.dtype) for limit in variable.valid)
    count, first = 0, -1
    for piece in parts:
        if not _within(piece.source, low.item(), high.item()):
            bad = ~piece.filled & ((piece.rows < low) | (piece.rows > high))
            rows = bad.reshape(len(bad), -1).any(axis=1)
            first = piece.start + int(rows.argmax()) if first < 0 else first
            count += int(bad.sum())
        yield piece
    if count:
        raise ExportError(
            f"{where}: {count} values outside the valid range {low} to {high}, first in record {first}. "
            "Correct the range in the definition, or set the values to null with a flag"
        )


def _within(source: Any, low: float, high: float) -> bool:
    """True if all values are in the range. Arrow passes over null and NaN, and makes no mask of the piece's size."""
    found = pc.min_max(source).as_py()
    return found["min"] is None or bool(np.isnan(found["min"])) or bool(low <= found["min"] and found["max"] <= high)


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


def _numbers(values: Any, factor: float | None) -> Any:
    """The values as they go into the file: bool as 0 and 1, all others in their own type, so that none can change.

    With a factor, the products rounded to 64-bit integers; what does not fit in there is far out of any valid range.
    """
    if pa.types.is_boolean(values.type):
        return pc.cast(values, pa.uint8())
    if factor is None:
        return values
    floats = values.to_numpy(zero_copy_only=False).astype(np.float64) * factor
    missing = np.isnan(floats)
    whole = np.rint(np.clip(np.where(missing, 0, floats), -FAR, FAR)).astype(np.int64)
    return pa.array(whole, mask=missing)


def _filled(spec: VariableSpec, source: Any) -> Values:
    """The values as a flat numpy array, with the fill value where there is none."""
    fill = CDF_TYPES[spec.type].fill
    if source.null_count:
        source = pc.fill_null(source, pa.scalar(fill, source.type))
    values: Values = source.to_numpy(zero_copy_only=False)
    # The smallest of some values is NaN if any is: no mask is made for the many pieces without.
    if values.dtype.kind == "f" and len(values) and np.isnan(values.min()):
        values = np.where(np.isnan(values), values.dtype.type(fill or 0), values)
    return values.astype(spec.dtype, copy=False)


def _flat(where: str, spec: VariableSpec, array: Any, start: int) -> Any:
    """Row-major lists as one array of values, with nulls for a null list; every other list fills a record."""
    size = math.prod(spec.dims)
    lengths = pc.list_value_length(array).fill_null(size).to_numpy(zero_copy_only=False)
    if (lengths != size).any():
        i = int((lengths != size).argmax())
        raise ExportError(
            f"{where}: list of {lengths[i]} values in record {start + i}, its axes {spec.dims} take {size}. "
            "Pad with nulls in the transform"
        )
    flat = array.flatten()
    if not array.null_count:
        return flat
    present = array.is_valid().to_numpy(zero_copy_only=False)
    place = (np.cumsum(present) - 1)[:, np.newaxis] * size + np.arange(size)
    absent = np.broadcast_to(~present[:, np.newaxis], place.shape)
    return flat.take(pa.array(place.ravel(), mask=absent.ravel()))
