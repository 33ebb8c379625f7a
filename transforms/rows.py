# SPDX-License-Identifier: Apache-2.0
"""What the transforms of all instruments do with rows: choose one of each packet, set flags, work block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from lake.clock import NS, unix_ns_from_tt2000
from lake.definitions import Table

BLOCK = 64  # Rows with large arrays in one call: 6 MB of MeDDEA spectra.
ORIGIN = ("file_sha256", "byte_offset")


def with_valid_clock(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """The rows whose time can be believed."""
    return rows.filter(pl.col("quality_flag") & table.flag("clock_invalid") == 0)


def one_of_each(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """The rows of one packet out of those with the same identity."""
    return without(rows, spare_packets(rows, table))


def with_conflicts(kept: pl.LazyFrame, rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """The kept rows, flagged time_conflict where packets of other content among all rows have the same time."""
    packets = rows.select(*table.identity, "epoch_tt2000").unique()
    several = packets.group_by("epoch_tt2000").len().filter(pl.col("len") > 1).collect()["epoch_tt2000"]
    return kept.with_columns(set_flags(table, time_conflict=pl.col("epoch_tt2000").is_in(several.implode())))


def spare_packets(rows: pl.LazyFrame, table: Table, once: str | None = None) -> pl.DataFrame:
    """File hash and offset of every packet that another one stands for.

    A packet that is not flagged retransmitted stands for one that is, then the one with the smallest identity, file
    hash and offset; so the choice does not depend on the order of rows or of files. Reads the packets' keys only.
    """
    identity = table.identity
    keys = (*identity, once) if once else identity
    again = (pl.col("quality_flag") & table.flag("retransmitted")).max()
    packets = rows.group_by(ORIGIN).agg(pl.first(*keys), again=again).sort("again", *identity, *ORIGIN).collect()
    kept = packets.unique(identity, keep="first", maintain_order=True)
    if once:
        kept = kept.unique(once, keep="first", maintain_order=True)
    return packets.join(kept, on=ORIGIN, how="anti").select(ORIGIN)


def without(rows: pl.LazyFrame, packets: pl.DataFrame) -> pl.LazyFrame:
    """The rows that came in none of the packets."""
    return rows if packets.is_empty() else rows.join(packets.lazy(), on=ORIGIN, how="anti")


def set_flags(table: Table, **conditions: pl.Expr) -> pl.Expr:
    """`quality_flag` with the flag of each condition that holds."""
    flags = pl.col("quality_flag")
    for name, condition in conditions.items():
        flags = flags | pl.when(condition).then(table.flag(name)).otherwise(0).cast(pl.Int32)
    return flags


def flags_where(table: Table, conditions: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.int32]:
    """The flags [n] of the conditions [n] that hold, together; for what is known as arrays. See `set_flags`."""
    flags = [np.where(condition, table.flag(name), 0) for name, condition in conditions.items()]
    return np.asarray(np.bitwise_or.reduce(flags), np.int32)


def columns_of(table: Table, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The columns of the table, in its order, without `day`."""
    return rows.select(column.name for column in table.columns if column.name != "day")


def in_blocks(column: str, function: Callable[[pl.Series], pl.Series], dtype: pl.DataType) -> pl.Expr:
    """The row-wise function of a column, given at most BLOCK rows at once."""

    def apply(values: pl.Series) -> pl.Series:
        starts = range(0, len(values), BLOCK)
        return pl.concat(
            [pl.Series(dtype=dtype), *(function(values.slice(start, BLOCK)) for start in starts)], rechunk=True
        )

    return pl.col(column).map_batches(apply, return_dtype=dtype, is_elementwise=True)


def flat(lists: pl.Series) -> NDArray[np.generic]:
    """All values of a column of lists, one after the other."""
    values: NDArray[np.generic] = lists.list.explode().to_numpy()
    return values


def list_column(values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> pl.Series:
    """A column of flat lists, one for each row of `values` [n, ...]; what is `missing` (same shape) or NaN is null.

    The values are not copied unless they are out of order in memory.
    """
    cells = np.ascontiguousarray(values).reshape(-1)
    empty = _empty_cells(cells, missing)
    valid = np.packbits(~empty, bitorder="little") if empty.any() else None
    offsets = np.arange(len(values) + 1, dtype=np.int64) * (len(cells) // max(len(values), 1))
    # Put together from buffers: pa.array would load pandas first, which takes a second.
    flat_cells = _arrow(pa.from_numpy_dtype(cells.dtype), len(cells), valid, cells)
    lists = _arrow(pa.large_list(flat_cells.type), len(values), None, offsets, flat_cells)
    return cast("pl.Series", pl.from_arrow(lists))


def _empty_cells(cells: NDArray[Any], missing: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    unknown = np.isnan(cells) if cells.dtype.kind == "f" else np.zeros(cells.shape, np.bool_)
    return unknown if missing is None else unknown | np.ascontiguousarray(missing).reshape(-1)


def _arrow(kind: pa.DataType, size: int, valid: NDArray[Any] | None, data: NDArray[Any], *inside: pa.Array) -> pa.Array:
    buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, size, buffers, children=[*inside])


def utc_column(tt2000: ArrayLike) -> pl.Series:
    """TT2000 [ns] as UTC to the microsecond below."""
    return pl.Series(unix_ns_from_tt2000(tt2000) // 1000).cast(pl.Datetime("us", "UTC"))


def time_blocks(rows: pl.LazyFrame, seconds: float) -> Iterator[pl.DataFrame]:
    """The rows in stretches of so many seconds, in order of time, so that a day with large arrays fits into memory.

    Within a stretch the rows keep their order. Rows without a time are left out, stretches without rows too.
    """
    ends = rows.select(first=pl.col("epoch_tt2000").min(), last=pl.col("epoch_tt2000").max()).collect()
    first, last = ends.row(0)
    if first is None:
        return
    step = int(seconds * NS)
    for start in range(first, last + 1, step):
        block = rows.filter(pl.col("epoch_tt2000").is_between(start, start + step, closed="left")).collect()
        if not block.is_empty():
            yield block
