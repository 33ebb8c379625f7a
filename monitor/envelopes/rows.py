# SPDX-License-Identifier: Apache-2.0
"""The rows of a table-day as numbers: times and one row of values for each channel, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake.reading import open_parquet
from lake.snapshots import Source
from lake.store import Lake
from monitor.envelopes.buckets import Floats, Integers
from monitor.envelopes.channels import Viewed

BATCH_ROWS = 1 << 16  # of forty channels they take some hundred megabytes on their way, whatever the day has


def batches(lake: Lake, source: Source, channels: Sequence[Viewed]) -> Iterator[tuple[Integers, Floats]]:
    """Times in microseconds since 1970 and values (channel, row) of the rows that have a time.

    Raises OSError or pa.ArrowInvalid for a file that cannot be read.
    """
    for uri in source.uris(lake):
        with open_parquet(lake, uri) as file:
            stored = set(file.schema_arrow.names)
            wanted = ["time", *{channel.column.name: None for channel in channels if channel.column.name in stored}]
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
                timed = batch.filter(pc.is_valid(batch["time"])) if batch["time"].null_count else batch
                yield timed["time"].cast(pa.int64()).to_numpy(), _values(timed, channels)


def _values(rows: pa.RecordBatch, channels: Sequence[Viewed]) -> Floats:
    """A row for each channel; NaN where it has no value, and of a column that the file is older than."""
    values = np.full((len(channels), rows.num_rows), np.nan)
    for row, channel in zip(values, channels, strict=True):
        if channel.column.name in rows.schema.names:
            row[:] = _floats(_component(rows[channel.column.name], channel))
    return values


def _component(column: pa.Array, channel: Viewed) -> pa.Array:
    """The column; of a vector the component, null in rows whose list is null or of another length."""
    if channel.place is None:
        return column
    size = channel.table.shape(channel.column)[0]
    starts, lengths = column.offsets.to_numpy()[:-1], np.diff(column.offsets.to_numpy())
    whole = (lengths == size) & column.is_valid().to_numpy(zero_copy_only=False)
    return column.values.take(pa.array(starts + channel.place, mask=~whole))


def _floats(column: pa.Array) -> Floats:
    numbers: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers
