# SPDX-License-Identifier: Apache-2.0
"""Cells of EEA's array columns: lists in which a missing cell is null as numpy arrays with a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CellValues:
    """Values [n, ...] with 0 where there is none, and which are missing; None if none is."""

    values: NDArray[Any]
    missing: Mask | None


def from_lists(column: pl.Series, shape: tuple[int, ...]) -> CellValues:
    """The cells of a column of flat lists as an array [n, *shape]."""
    flat = column.explode()
    missing = flat.is_null().to_numpy().reshape(-1, *shape) if flat.null_count() else None
    return CellValues(flat.fill_null(0).to_numpy().reshape(-1, *shape), missing)
