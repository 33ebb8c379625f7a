# SPDX-License-Identifier: Apache-2.0
"""What is found out about rows once they are read: the counters of their clock, what time is none, and the number they
are known by.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lake.clock import LONGEST_S, NS, possible
from lake.packet_definitions import Clock

Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

MICROSECOND_NS = 1000


def clock_counters(clock: Clock, columns: Mapping[str, pa.Array]) -> tuple[dict[str, Int64], Int64, Mask]:
    """Whole counters of a clock by field, nanoseconds to add, and which rows have a time at all.

    A real `coarse` is rounded to the microsecond: a double of seconds since 1970 has no more.
    """
    per_second = clock.coarse_ticks_per_second
    names = [name for name in (clock.coarse, clock.fine, clock.days) if name]
    known: Mask = np.ones(len(columns[clock.coarse]), np.bool_)
    counters, rest = {}, np.zeros(len(known), np.int64)
    for name in names:
        values, has = _values(columns[name])
        if values.dtype.kind == "f":
            has &= np.isfinite(values) & (np.abs(values) < LONGEST_S * per_second)
            values = np.where(has, values, 0.0)
            whole = np.floor(values)
            rest = np.rint((values - whole) * (NS // MICROSECOND_NS) / per_second).astype(np.int64) * MICROSECOND_NS
            values = whole
        counters[name], known = values.astype(np.int64), known & has
    fine, days = (counters[name] if name else None for name in (clock.fine, clock.days))
    known &= possible(clock, counters[clock.coarse], fine, days)
    return {name: np.where(known, values, 0) for name, values in counters.items()}, rest, known


def too_late(unix_ns: Int64, received_at: str, clock_skew: timedelta) -> Mask:
    """True for times that a row cannot have: after the receipt of its file, and by more than clocks may be ahead."""
    latest = datetime.fromisoformat(received_at) + clock_skew - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return np.asarray(unix_ns > latest // timedelta(microseconds=1) * MICROSECOND_NS)


def _values(column: pa.Array) -> tuple[NDArray[Any], Mask]:
    """The numbers of a column, 0 where it is null, and where it is not; times count microseconds."""
    column = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    has = np.array(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
    return np.asarray(column.fill_null(0)), has


def row_ids(columns: Mapping[str, pa.Array]) -> Int64:
    """The first 8 bytes of the sha256 of each row's cells: those of a fixed width first, both in the order of names.

    Equal values give equal cells, however wide their column is: -0.0 is 0.0, and all NaN are one.
    """
    ordered = [columns[name] for name in sorted(columns)]
    fixed = [column for column in ordered if not _is_long(column)]
    cells = [_fixed(fixed)] if fixed else []
    cells += [_long_cells(column) for column in ordered if _is_long(column)]
    digests = b"".join(hashlib.sha256(b"".join(row)).digest()[:8] for row in zip(*cells, strict=True))
    return np.frombuffer(digests, ">i8").astype(np.int64)


def _is_long(column: pa.Array) -> bool:
    tests = (pa.types.is_list, pa.types.is_string, pa.types.is_binary)
    return any(test(column.type) for test in tests)


def _fixed(columns: Sequence[pa.Array]) -> list[bytes]:
    """The cells of each row, nine bytes each: whether there is a value, then the value, most significant byte first."""
    table = np.zeros((len(columns[0]), len(columns), 9), np.uint8)
    for place, column in enumerate(columns):
        numbers, has = _numbers(column)
        table[:, place, 0] = has
        table[:, place, 1:] = np.where(has[:, None], numbers.view(np.uint8).reshape(-1, 8), 0)
    packed, width = table.tobytes(), 9 * len(columns)
    return [packed[at : at + width] for at in range(0, len(packed), width)]


def _long_cells(column: pa.Array) -> list[bytes]:
    """Each cell as bytes that no other cell, alone or with those behind it, could be taken for."""
    if not pa.types.is_list(column.type):
        texts = column.cast(pa.binary()).to_pylist()
        return [b"\0" if text is None else _long(text, len(text)) for text in texts]
    items = _long_cells(column.values) if _is_long(column.values) else _fixed([column.values])
    bounds = np.asarray(column.offsets).tolist()
    lists = zip(bounds, bounds[1:], column.is_valid().to_pylist(), strict=False)
    return [_long(b"".join(items[start:stop]), stop - start) if has else b"\0" for start, stop, has in lists]


def _long(content: bytes, count: int) -> bytes:
    return b"\1" + struct.pack(">q", count) + content


def _numbers(column: pa.Array) -> tuple[NDArray[Any], Mask]:
    """Numbers in eight bytes each."""
    for is_kind, plain in ((pa.types.is_date32, pa.int32()), (pa.types.is_boolean, pa.int8())):
        column = column.cast(plain) if is_kind(column.type) else column
    values, has = _values(column)
    if values.dtype.kind != "f":
        return values.astype(">i8"), has
    real = values.astype(np.float64) + 0.0
    return np.where(np.isnan(real), np.nan, real).astype(">f8"), has
