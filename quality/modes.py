# SPDX-License-Identifier: Apache-2.0
"""In which rows a mode holds."""

from __future__ import annotations

from functools import reduce

import polars as pl

from lake.definitions import Table
from lake.watch_definitions import Mode


def in_mode(table: Table, mode: Mode | None) -> pl.Expr:
    """True for the rows in a mode, all rows if it is None; a row that does not tell its mode is in none."""
    if mode is None:
        return pl.lit(True)
    column = pl.col(mode.column)
    if table.by_name[mode.column].type == "string":
        return column.is_in(list(mode.any_of)).fill_null(False)
    ranges = [_range(text) for text in mode.any_of]
    found = [column.is_between(low, high) for low, high in ranges]
    return reduce(lambda one, other: one | other, found).fill_null(False)


def _range(text: str) -> tuple[float, float]:
    """Both ends of a number or of `low..high`."""
    low, _, high = text.partition("..")
    return float(low), float(high or low)
