# SPDX-License-Identifier: Apache-2.0
"""NumPy columns as Arrow arrays and back, without copying and without pandas (pyarrow's own conversion loads it)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.unpack import Ragged
from lake.definitions import Table
from lake.reading import column_type

Mask = NDArray[np.bool_]
FLOATS = {"float": "float32", "double": "float64"}  # Arrow's names; NumPy's "float" has 64 bits


def numbers(values: NDArray[np.generic], kind: pa.DataType, mask: Mask | None = None) -> pa.Array:
    """Numbers or timestamps as an Arrow array of type `kind`; null where the mask is true.

    The caller has chosen types in which every value fits: columns are as wide as their packet fields.
    """
    stored = np.dtype(np.int64) if pa.types.is_timestamp(kind) else np.dtype(FLOATS.get(str(kind), str(kind)))
    data = np.ascontiguousarray(values, stored)
    if mask is None or not mask.any():
        return pa.Array.from_buffers(kind, len(data), [None, pa.py_buffer(data)], 0)
    valid = np.packbits(~mask, bitorder="little")
    return pa.Array.from_buffers(kind, len(data), [pa.py_buffer(valid), pa.py_buffer(data)], int(mask.sum()))


def values(array: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """The numbers of an Arrow array; 0 where it is null."""
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return np.from_dlpack(whole.fill_null(0) if whole.null_count else whole)


def repeated(text: str, count: int) -> pa.DictionaryArray:
    """The same text in every row, at the cost of one."""
    data = text.encode()
    dictionary = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, len(data)], np.int32)), pa.py_buffer(data))
    return pa.DictionaryArray.from_arrays(numbers(np.zeros(count, np.int32), pa.int32()), dictionary)


def column(table: Table, name: str, values: NDArray[np.generic] | Ragged | pa.Array) -> pa.Array:
    """A decoded column in the type of its definition; arrays become flat lists, Arrow columns stay as they are."""
    definition = table.by_name[name]
    kind = column_type(definition)
    if isinstance(values, pa.Array):
        return values.cast(kind)
    if isinstance(values, Ragged):
        return _lists(values.offsets, values.values, kind) if definition.is_list else _bytes(values, kind)
    if definition.is_list:
        rows, items = values.shape
        return _lists(np.arange(rows + 1) * items, values.reshape(-1), kind)
    if isinstance(values, np.ma.MaskedArray):
        return numbers(values.data, kind, np.ma.getmaskarray(values))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pa.array(values.tolist(), kind)
    return numbers(values, kind)


def _bytes(values: Ragged, kind: pa.DataType) -> pa.Array:
    """The bytes of each packet, any number of them, as one value."""
    buffers = [None, pa.py_buffer(values.offsets.astype(np.int32)), pa.py_buffer(values.values.astype(np.uint8))]
    return pa.Array.from_buffers(kind, len(values.counts), buffers, 0)


def _lists(offsets: NDArray[np.int64], values: NDArray[np.generic], kind: pa.ListType) -> pa.ListArray:
    words = pa.types.is_string(kind.value_type) or pa.types.is_binary(kind.value_type)
    items = pa.array(values.tolist(), kind.value_type) if words else numbers(values, kind.value_type)
    return pa.ListArray.from_arrays(numbers(offsets, pa.int32()), items).cast(kind)
