# SPDX-License-Identifier: Apache-2.0
"""Reducing a day of a table to the bins of a picture, batch by batch: what is held is a batch and the bins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lake.definitions import Column, Table
from lake.errors import TableError
from lake.reading import open_parquet
from lake.store import Lake
from monitor.quicklooks.bins import Bins, Floats, Span, Whole, bins_for, filled_to, median_step, net_bins, reach_of
from monitor.quicklooks.panels import HISTOGRAM_CELLS, View, fixed_cell, histogram_edges

BATCH_VALUES = 1 << 20  # values of the widest column held at once
STEPS_SAMPLED = 100_000  # rows of which the usual step is taken
FLAG_BITS = 31


@dataclass(frozen=True)
class Shown:
    """A panel reduced to bins. NaN is where there is nothing.

    Lines and states: `mean`, `low` and `high` are (bins, lines). Spectrograms and histograms: `mean` is (bins, cells).
    From one bin with rows to the next there are at most `reach`, or a gap. `beyond` rows of a histogram have a value
    outside of its cells.
    """

    view: View
    bins: Bins
    mean: Floats
    low: Floats
    high: Floats
    reach: int
    beyond: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no row has a value to show."""
        return not np.isfinite(self.mean).any()


@dataclass(frozen=True)
class Reduced:
    """A table-day reduced: its panels, rows, and rows by bit of the quality flag.

    `everywhere` are the bits that all rows have, which tell nothing about when. `flagged` is the part of the rows of
    each bin that have any other one, `flagged_rows` their number.
    """

    panels: dict[str, Shown]
    bins: Bins
    flagged: Floats
    rows: int
    flagged_rows: int
    by_bit: dict[int, int]
    everywhere: int = 0


@dataclass
class _Sums:
    """Sums by bin. `low` and `high` are kept for lines and states only, `beyond` for histograms."""

    shape: tuple[int, int]
    extremes: bool
    total: Floats = field(init=False)
    count: Floats = field(init=False)
    low: Floats = field(init=False)
    high: Floats = field(init=False)
    beyond: int = 0

    def __post_init__(self) -> None:
        self.total, self.count = np.zeros(self.shape), np.zeros(self.shape)
        lines = self.shape if self.extremes else (0, 0)
        self.low, self.high = np.full(lines, np.nan), np.full(lines, np.nan)

    def add(self, starts: Whole, places: Whole, values: npt.NDArray[np.floating]) -> None:
        """Rows of the same bin lie one behind the other, from each of `starts`; `places` are the bins."""
        missing = np.isnan(values)
        self.total[places] += np.add.reduceat(np.where(missing, 0, values), starts, axis=0)
        self.count[places] += np.add.reduceat(~missing, starts, axis=0, dtype=np.int64)
        if self.extremes:
            self.low[places] = np.fmin(self.low[places], np.fmin.reduceat(values, starts, axis=0))
            self.high[places] = np.fmax(self.high[places], np.fmax.reduceat(values, starts, axis=0))


def times(lake: Lake, uris: Sequence[str]) -> tuple[int, int] | None:
    """First and last time in files, by the statistics of their row groups; None without rows.

    Raises OSError if a file cannot be read, TableError if it has no times.
    """
    found = []
    for uri in uris:
        with open_parquet(lake, uri) as file:
            if "time" not in file.schema_arrow.names:
                raise TableError(f"{uri} has no column time. Rebuild the table-day.")
            place = file.schema_arrow.names.index("time")
            groups = (file.metadata.row_group(i).column(place) for i in range(file.metadata.num_row_groups))
            kept = [group.statistics for group in groups if group.statistics and group.statistics.has_min_max]
            found += [(_us(s.min), _us(s.max)) for s in kept]
    return (min(first for first, _ in found), max(last for _, last in found)) if found else None


def _us(value: object) -> int:
    return int(pa.scalar(value, pa.timestamp("us", "UTC")).value)


def reduce_day(lake: Lake, table: Table, uris: Sequence[str], views: Sequence[View], span: Span) -> Reduced:
    """The panels of a table-day over a span. Raises OSError if a file cannot be read."""
    step = _usual_step(lake, uris)
    # Events come when they like: a time without any is no gap, and nothing is held over it.
    cadence = 0.0 if table.order == "nondecreasing" else step
    bins = bins_for(span, cadence)
    wide = net_bins(span, cadence)
    bins_of = {view.panel.name: wide if view.is_net else bins for view in views}
    sums = {view.panel.name: _sums(view, bins_of[view.panel.name]) for view in views}
    flags = _Flags(bins)
    names = ["time", *sorted({name for view in views for name in view.panel.columns})]
    flag_column = ["quality_flag"] if "quality_flag" in table.by_name else []
    for batch in _batches(lake, table, uris, [*names, *flag_column]):
        held: dict[str, npt.NDArray[np.floating]] = {}
        for own in dict.fromkeys((bins, wide)):
            some = [view for view in views if bins_of[view.panel.name] == own]
            _add_batch(batch, some, own, sums, held)
        flags.add(batch)
    panels = {}
    for view in views:
        name = view.panel.name
        panels[name] = _shown(view, bins_of[name], sums[name], reach_of(bins_of[name], cadence))
    return flags.reduced(panels)


@dataclass
class _Flags:
    """Rows of each bin by all the flags that they have."""

    bins: Bins
    rows: dict[int, Whole] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch; a table without a quality flag has none set."""
        places = self.bins.places(_whole(batch.column("time")))
        has = "quality_flag" in batch.schema.names
        flags = _whole(batch.column("quality_flag")) if has else np.zeros(places.size, np.int64)
        inside = (places >= 0) & (places < self.bins.count)
        places, flags = places[inside], flags[inside]
        for value in np.unique(flags).tolist():
            found = np.bincount(places[flags == value], minlength=self.bins.count)
            self.rows[value] = self.rows.get(value, np.zeros(self.bins.count, np.int64)) + found

    def reduced(self, panels: dict[str, Shown]) -> Reduced:
        """What came of all batches."""
        counts = {value: int(rows.sum()) for value, rows in self.rows.items()}
        everywhere = int(np.bitwise_and.reduce(list(counts))) if counts else 0
        by_bit = {bit: sum(rows for value, rows in counts.items() if value >> bit & 1) for bit in range(FLAG_BITS)}
        nothing = np.zeros(self.bins.count)
        some = sum((rows for value, rows in self.rows.items() if value & ~everywhere), nothing)
        with np.errstate(invalid="ignore"):
            share = some / sum(self.rows.values(), nothing)
        told = {bit: rows for bit, rows in by_bit.items() if rows}
        return Reduced(panels, self.bins, share, sum(counts.values()), int(some.sum()), told, everywhere)


def _usual_step(lake: Lake, uris: Sequence[str]) -> float:
    for uri in uris[:1]:
        with open_parquet(lake, uri) as file:
            for batch in file.iter_batches(STEPS_SAMPLED, columns=["time"]):
                return median_step(_whole(batch.column(0)))
    return 0.0


def _batches(lake: Lake, table: Table, uris: Sequence[str], names: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of some columns; one that a file lacks comes as nulls."""
    widest = max(int(np.prod(table.shape(table.by_name[name]), dtype=np.int64)) for name in names)
    rows = max(64, BATCH_VALUES // widest)
    for uri in uris:
        with open_parquet(lake, uri) as file:
            stored = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(rows, columns=stored):
                if batch.num_rows:
                    yield batch


def _add_batch(
    batch: pa.RecordBatch,
    views: Sequence[View],
    bins: Bins,
    sums: dict[str, _Sums],
    held: dict[str, npt.NDArray[np.floating]],
) -> None:
    places = bins.places(_whole(batch.column("time")))
    inside = (places >= 0) & (places < bins.count)
    order = np.flatnonzero(inside)
    if not order.size or not views:
        return
    if np.any(np.diff(places[order]) < 0):
        order = order[np.argsort(places[order], kind="stable")]
    chosen = None if order.size == places.size and np.array_equal(order, np.arange(order.size)) else order
    sorted_places = places[order]
    starts = np.flatnonzero(np.diff(sorted_places, prepend=-1))
    hit = sorted_places[starts]
    for view in views:
        if view.panel.kind == "histogram":
            _count(sums[view.panel.name], sorted_places, _values(batch, view, held)[order], view)
        else:
            values = _values(batch, view, held)
            sums[view.panel.name].add(starts, hit, values if chosen is None else values[chosen])


def _sums(view: View, bins: Bins) -> _Sums:
    if view.panel.kind == "histogram":
        return _Sums((bins.count, HISTOGRAM_CELLS), extremes=False)
    if view.panel.kind == "spectrogram" and view.axis is not None:
        return _Sums((bins.count, view.axis.size), extremes=False)
    return _Sums((bins.count, len(view.lines)), extremes=True)


def _count(sums: _Sums, places: Whole, values: npt.NDArray[np.floating], view: View) -> None:
    """Count rows by bin and value."""
    edges = histogram_edges(view.columns[0])
    number = values[:, 0]
    good = (number >= edges[0]) & (number <= edges[-1])
    cells = np.minimum(np.searchsorted(edges, number[good], side="right") - 1, HISTOGRAM_CELLS - 1)
    flat = np.bincount(places[good] * HISTOGRAM_CELLS + cells, minlength=sums.total.size)
    sums.total += flat.reshape(sums.total.shape)
    sums.count[np.unique(places)] = 1
    sums.beyond += int(np.isfinite(number).sum()) - int(good.sum())


def _shown(view: View, bins: Bins, sums: _Sums, reach: int) -> Shown:
    with np.errstate(invalid="ignore", divide="ignore"):
        if view.panel.kind == "histogram":
            mean = np.where(sums.count > 0, sums.total / bins.seconds, np.nan)
        else:
            mean = np.where(sums.count > 0, sums.total / sums.count, np.nan)
    low, high = sums.low, sums.high
    if view.panel.kind in ("spectrogram", "states"):
        held = filled_to(np.asarray(np.isfinite(mean).any(axis=1)), reach)
        mean, low, high = (_held(found, held) for found in (mean, low, high))
    return Shown(view, bins, mean, low, high, reach, sums.beyond)


def _held(values: Floats, held: Whole) -> Floats:
    """For each bin the values of the one that it shows."""
    if not values.size:
        return values
    return np.asarray(np.where((held >= 0)[:, None], values[np.maximum(held, 0)], np.nan))


# ---- values of a batch ----------------------------------------------------------------------------------------------
def _values(batch: pa.RecordBatch, view: View, held: dict[str, npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
    """(rows, lines) or (rows, cells) of a panel, NaN where there is no value."""
    if view.panel.kind in ("spectrogram", "histogram"):
        return _reduced(batch, view, view.columns[0], held)
    whole = {column.name: _reduced(batch, view, column, held) for column in view.columns}
    return np.stack([whole[line.column.name][:, line.cell or 0] for line in view.lines], axis=1)


def _reduced(
    batch: pa.RecordBatch, view: View, column: Column, held: dict[str, npt.NDArray[np.floating]]
) -> npt.NDArray[np.floating]:
    """(rows, cells of the axis that is left, or 1): one cell of some axes, sum or mean over others."""
    if column.name not in held:
        held[column.name] = _array(batch, view.table, column)
    values = held[column.name]
    for place in reversed(range(len(column.axes))):
        cell = fixed_cell(view, column.axes[place])
        if cell is not None:
            values = np.asarray(values.take(cell, axis=place + 1))
    left = [name for name in column.axes if name not in view.panel.at]
    over = tuple(place + 1 for place, name in enumerate(left) if name in (*view.panel.sum, *view.panel.mean))
    if over:
        sums = tuple(place + 1 for place, name in enumerate(left) if name in view.panel.sum)
        values = _over(values, over, sums)
    return values.reshape(batch.num_rows, -1)


def _over(values: npt.NDArray[np.floating], over: tuple[int, ...], sums: tuple[int, ...]) -> npt.NDArray[np.floating]:
    """The mean over axes, times the cells of those that are summed: where cells are missing, as if they were usual."""
    cells = int(np.prod([values.shape[place] for place in sums], dtype=np.int64))
    count: npt.NDArray[np.int64] | int = int(np.prod([values.shape[place] for place in over], dtype=np.int64))
    total = values.sum(axis=over)
    if np.isnan(total).any():  # so that a day of full rows is gone through once
        missing = np.isnan(values)
        total, count = np.where(missing, 0, values).sum(axis=over), (~missing).sum(axis=over)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: npt.NDArray[np.floating] = total / count * cells
    return found


def _array(batch: pa.RecordBatch, table: Table, column: Column) -> npt.NDArray[np.floating]:
    """A column as (rows, *axes), NaN for nulls and for a column that is not there."""
    shape = (batch.num_rows, *table.shape(column))
    kind = np.float64 if column.type == "float64" else np.float32
    if column.name not in batch.schema.names:
        return np.full(shape, np.nan, kind)
    stored = batch.column(column.name)
    if not column.axes:
        return _floats(stored, kind).reshape(-1, 1)
    cells = _floats(stored.flatten(), kind)
    if not stored.null_count:
        return cells.reshape(shape)
    found = np.full(shape, np.nan, kind)
    found[stored.is_valid().to_numpy(zero_copy_only=False)] = cells.reshape(-1, *shape[1:])
    return found


def _floats(stored: pa.Array, kind: type[np.floating]) -> npt.NDArray[np.floating]:
    if pa.types.is_boolean(stored.type):
        stored = stored.cast(pa.int8())
    if not stored.null_count:
        return np.asarray(stored.to_numpy(zero_copy_only=False)).astype(kind, copy=False)
    floats = pc.fill_null(stored.cast(pa.from_numpy_dtype(kind), safe=False), np.nan)
    return np.asarray(floats.to_numpy(zero_copy_only=False))


def _whole(stored: pa.Array) -> Whole:
    if pa.types.is_timestamp(stored.type):
        stored = stored.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return np.asarray(pc.fill_null(stored.cast(pa.int64()), 0).to_numpy(zero_copy_only=False))
