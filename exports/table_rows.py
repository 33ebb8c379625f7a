# SPDX-License-Identifier: Apache-2.0
"""What the table of a product says of a day, read from its Parquet files and without anything that the writer uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

GROUPS = 5  # row groups that samples are taken from: the first, the last, and some in between
SAMPLE_BYTES = 64 * 1024  # of one column at one place: a few records of large arrays, thousands of single numbers


class Footer(NamedTuple):
    """What the files' footers say of a column: nulls, smallest and largest value (None if all are null or NaN)."""

    nulls: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TableRows:
    """The rows of one day in record order; `files` open its Parquet files one after the other."""

    files: tuple[Callable[[], pq.ParquetFile], ...]

    @cached_property
    def _opened(self) -> list[pq.ParquetFile]:
        return [opened() for opened in self.files]

    @property
    def records(self) -> int:
        """Number of rows."""
        return sum(int(file.metadata.num_rows) for file in self._opened)

    def footer(self, column: str) -> Footer | None:
        """What is known of a column without reading it; None if a file does not say, as for lists."""
        chunks = [_chunk(file.metadata.row_group(i), column) for file in self._opened for i in _groups(file)]
        parts = [_known(chunk) for chunk in chunks]
        if any(part is None for part in parts):
            return None
        found = [part for part in parts if part is not None]
        lows = [part.low for part in found if part.low is not None]
        highs = [part.high for part in found if part.high is not None]
        return Footer(sum(part.nulls for part in found), min(lows, default=None), max(highs, default=None))

    def samples(self, column: str, record_bytes: int) -> Iterator[tuple[int, pa.Array]]:
        """Some rows of a column, each time with the number of the first of them."""
        size = max(1, SAMPLE_BYTES // max(1, record_bytes))
        places = self._places()
        for start, file, group in places:
            is_last = group == places[-1][2] and start == places[-1][0]
            rows = int(file.metadata.row_group(group).num_rows)
            count = -(-rows // size)
            wanted = {0, count // 2, count - 1} if is_last else {0}
            batches = file.iter_batches(batch_size=size, row_groups=[group], columns=[column])
            for i, batch in zip(range(max(wanted) + 1), batches, strict=False):
                if i in wanted:
                    yield start + i * size, batch.column(0)

    def _places(self) -> list[tuple[int, pq.ParquetFile, int]]:
        """First record, file and number of some row groups; only of the last one all rows have to be read."""
        found, start = [], 0
        for file in self._opened:
            for group in _groups(file):
                found.append((start, file, group))
                start += int(file.metadata.row_group(group).num_rows)
        found = [place for place in found if place[1].metadata.row_group(place[2]).num_rows]
        steps = {i * (len(found) - 1) // (GROUPS - 1) for i in range(GROUPS)} if found else set()
        return [found[i] for i in sorted(steps)]


def _groups(file: pq.ParquetFile) -> range:
    return range(file.metadata.num_row_groups)


def _chunk(group: Any, column: str) -> Any:
    return next((c for c in (group.column(i) for i in range(group.num_columns)) if c.path_in_schema == column), None)


def _known(chunk: Any) -> Footer | None:
    """Of one row group; a float column of which only nulls and NaN are left has no smallest value."""
    stats = chunk.statistics if chunk is not None else None
    if stats is None or not stats.has_null_count:
        return None
    if stats.has_min_max:
        return Footer(stats.null_count, stats.min, stats.max)
    is_empty = stats.null_count == chunk.num_values or chunk.physical_type in ("FLOAT", "DOUBLE")
    return Footer(stats.null_count, None, None) if is_empty else None
