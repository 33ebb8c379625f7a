# SPDX-License-Identifier: Apache-2.0
"""Transforms that a definition alone is enough for: tables name one of these functions as their `method`."""

from __future__ import annotations

from datetime import date

import polars as pl

from lake.definitions import Calibration, Table
from transforms.conversions import convert_columns
from transforms.rows import ORIGIN, columns_of, spare_packets, with_conflicts, with_valid_clock, without


def calibrated(table: Table, **given: pl.LazyFrame | Calibration | date | None) -> pl.LazyFrame:
    """The rows of one input in physical units: with a time, each packet or record once, in the order of time.

    Columns with a `source` are copied or converted from it as `convert_columns` says, the others are taken over. Where
    `order` is strict, one of several rows of the same time is kept, flagged time_conflict if their contents differ.
    NaN is null, where a column may be null.
    Raises: CalibrationError if a channel is not calibrated.
    """
    rows = next(frame for frame in given.values() if isinstance(frame, pl.LazyFrame))
    valid = with_valid_clock(rows, table)
    strict = table.order == "strict"
    kept = without(valid, spare_packets(valid, table, once="epoch_tt2000" if strict else None))
    if strict:
        kept = with_conflicts(kept, valid, table)
    kept = kept.sort("epoch_tt2000", *table.identity, *ORIGIN)
    calibrations = [value for value in given.values() if isinstance(value, Calibration)]
    reals = [c.name for c in table.columns if c.nullable and not c.is_list and c.type in ("float32", "float64")]
    return columns_of(table, convert_columns(kept, table, *calibrations)).with_columns(pl.col(reals).fill_nan(None))
