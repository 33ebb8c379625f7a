# SPDX-License-Identifier: Apache-2.0
"""Some rows of a file: those that were read as columns, those that could not be with the reason, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.record.cells import shown
from lake.source_definitions import RecordField

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class BadRow:
    """Bytes of a file that are no good row, and why; `length` is 0 where rows have no bytes of their own."""

    offset: int
    length: int
    detail: str


@dataclass(frozen=True)
class Column:
    """A column as it was read; it is null in rows that have an error: what is wrong, and the cell."""

    values: pa.Array
    errors: Mapping[int, tuple[str, object]]


@dataclass(frozen=True)
class Places:
    """Where rows are: offset and length in the file, and number, which messages name."""

    offsets: Int64
    lengths: Int64
    numbers: Int64

    def those(self, chosen: NDArray[np.bool_]) -> Places:
        """Some of them."""
        return Places(self.offsets[chosen], self.lengths[chosen], self.numbers[chosen])

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int]]) -> Places:
        """Places from (offset, length, number) of each row."""
        table = np.array(rows, np.int64).reshape(-1, 3)
        return cls(table[:, 0], table[:, 1], table[:, 2])


@dataclass(frozen=True)
class Piece:
    """Rows as columns by field name, with the offset of each; bytes that are in no bad row; bad rows.

    The bytes counted as decoded are those of the rows, and those between rows that are as they should be.
    """

    columns: dict[str, pa.Array] = field(default_factory=dict)
    offsets: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    decoded: int = 0
    bad: tuple[BadRow, ...] = ()

    def beside(self, decoded: int, bad: Sequence[BadRow]) -> Piece:
        """The piece with further bytes and bad rows, which are put in order."""
        both = sorted((*self.bad, *bad), key=lambda row: row.offset)
        return replace(self, decoded=self.decoded + decoded, bad=tuple(both))


def sifted(fields: Sequence[RecordField], columns: Mapping[str, Column], places: Places) -> Piece:
    """The rows without an error, and the others as bad rows that name the first field that is wrong."""
    errors: dict[int, str] = {}
    for each in fields:
        wrong_cells = {
            **columns[each.name].errors,
            **(_outside(each, columns[each.name].values) if each.strict else {}),
        }
        for row, (wrong, cell) in wrong_cells.items():
            errors.setdefault(row, f"row {places.numbers[row]} ({each.header}): {shown(cell)} {wrong}")
    bad = [BadRow(int(places.offsets[row]), int(places.lengths[row]), errors[row]) for row in sorted(errors)]
    values = {name: column.values for name, column in columns.items()}
    good = np.ones(len(places.offsets), np.bool_)
    good[list(errors)] = False
    if errors:
        chosen = pa.array(np.flatnonzero(good))
        values = {name: column.take(chosen) for name, column in values.items()}
    return Piece(values, places.offsets[good], int(places.lengths[good].sum()), tuple(bad))


def _outside(field: RecordField, values: pa.Array) -> dict[int, tuple[str, object]]:
    """Rows whose number lies outside the valid range of a field."""
    low = -np.inf if field.valid_min is None else field.valid_min
    high = np.inf if field.valid_max is None else field.valid_max
    numbers = values.to_pylist()
    wrong = [row for row, number in enumerate(numbers) if number is not None and not low <= number <= high]
    return {row: (f"is not between {low:g} and {high:g}", numbers[row]) for row in wrong}
