# SPDX-License-Identifier: Apache-2.0
"""Cells of EEA's array columns: numpy arrays with a mask to and from lists in which a missing cell is null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CellValues:
    """Values [n, ...] with 0 where there is none, and which are there; None if all are."""

    values: NDArray[Any]
    there: Mask | None


def as_lists(name: str, values: NDArray[Any], there: Mask | None = None) -> pl.Series:
    """A column of flat lists, one for each row of `values` [n, ...], null where `there` (of its shape) is False.

    The values are not copied.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    all_there = there is None or bool(there.all())
    valid = None if all_there else np.packbits(np.ascontiguousarray(there).reshape(-1), bitorder="little")
    offsets = np.linspace(0, len(flat), len(values) + 1).astype(np.int64)
    # Put together from buffers: pa.array would load pandas first, which takes a second.
    cells = _array(pa.from_numpy_dtype(flat.dtype), len(flat), valid, flat)
    return cast("pl.Series", pl.from_arrow(_array(pa.large_list(cells.type), len(values), None, offsets, cells))).alias(
        name
    )


def _array(kind: pa.DataType, size: int, valid: NDArray[Any] | None, data: NDArray[Any], *inside: pa.Array) -> pa.Array:
    buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, size, buffers, children=[*inside])


def from_lists(column: pl.Series, shape: tuple[int, ...]) -> CellValues:
    """The cells of a column of flat lists as an array [n, *shape]."""
    flat = column.explode()
    there = flat.is_not_null().to_numpy().reshape(-1, *shape) if flat.null_count() else None
    return CellValues(flat.fill_null(0).to_numpy().reshape(-1, *shape), there)
