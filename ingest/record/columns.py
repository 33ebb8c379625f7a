# SPDX-License-Identifier: Apache-2.0
"""Columns of records in Arrow: cells that are plainly numbers all at once, every other one by itself.

What a cell means is said in ingest/record/cells.py alone; the fast way takes only cells of which it is sure to find the
same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.record.cells import value_of
from ingest.record.piece import Column
from lake.errors import RecordError
from lake.packet_definitions import INTEGER_BITS
from lake.reading import ARROW_TYPES
from lake.source_definitions import RecordField

_PLAIN_INTEGER = r"^-?[0-9]{1,18}$"  # fits int64
_PLAIN_REAL = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9])?$"  # fits float32


def arrow_type(field: RecordField) -> pa.DataType:
    """The Arrow type of a field's column."""
    item = ARROW_TYPES[field.type]
    return pa.list_(item) if field.list else item


def text_column(field: RecordField, cells: pa.StringArray) -> Column:
    """A column from the text of its cells."""
    if field.list or field.type not in (*INTEGER_BITS, "float32", "float64", "string"):
        return object_column(field, cells.to_pylist())
    if field.type == "string":
        kept = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells) if field.nullable else cells
        return Column(kept, {})
    pattern = _PLAIN_INTEGER if field.type in INTEGER_BITS else _PLAIN_REAL
    plain = _mask(pc.match_substring_regex(cells, pattern))
    wide = pa.int64() if field.type in INTEGER_BITS else pa.float64()
    numbers = pc.if_else(pa.array(plain), cells, "0").cast(wide)
    plain &= _fitting(field, numbers)
    return _completed(field, numbers, plain, cells)


def _fitting(field: RecordField, numbers: pa.Array) -> NDArray[np.bool_]:
    values = np.asarray(numbers)
    if field.type in INTEGER_BITS:
        half = 1 << INTEGER_BITS[field.type] - 1
        return np.asarray((values >= -half) & (values < half))
    return np.asarray(np.abs(values) < float(np.finfo(np.float32).max))


def _completed(field: RecordField, numbers: pa.Array, plain: NDArray[np.bool_], cells: pa.StringArray) -> Column:
    """The numbers in their type, and the cells that are not plain read one by one."""
    others = np.flatnonzero(~plain)
    kept = numbers if plain.all() else pc.if_else(pa.array(plain), numbers, pa.scalar(0, numbers.type))
    kept = kept.cast(arrow_type(field), safe=False)
    if not len(others):
        return Column(kept, {})
    read = object_column(field, cells.take(pa.array(others)).to_pylist())
    errors = {int(others[row]): error for row, error in read.errors.items()}
    return Column(pc.replace_with_mask(kept, pa.array(~plain), read.values), errors)


def object_column(field: RecordField, cells: Sequence[object]) -> Column:
    """A column from cells as text or JSON has them, one by one."""
    values: list[object] = []
    errors: dict[int, tuple[str, object]] = {}
    for row, cell in enumerate(cells):
        try:
            values.append(value_of(field, cell))
        except RecordError as error:
            values.append(None)
            errors[row] = (str(error), cell)
    return Column(pa.array(values, arrow_type(field)), errors)


def nulls(field: RecordField, count: int) -> Column:
    """A column that the file does not have."""
    return Column(pa.nulls(count, arrow_type(field)), {})


def _mask(found: pa.BooleanArray) -> NDArray[np.bool_]:
    return np.array(found.to_numpy(zero_copy_only=False), np.bool_)
