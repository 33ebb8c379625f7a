# SPDX-License-Identifier: Apache-2.0
"""What became of a raw file, and the writing of its rows: time-tagged, by day, in Parquet files not yet visible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest import arrow
from ingest.ccsds import Stretch
from ingest.unpack import Ragged
from lake.clock import DAY_NS, believable, tt2000_from_met, unix_ns_from_tt2000
from lake.day_files import DayFiles, Parts, day_files
from lake.definitions import Instrument, Mission, Table, ValidTime
from lake.packet_definitions import Clock
from lake.store import Lake, Receipt

EPOCH_DAY = date(1970, 1, 1)
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]
Columns = dict[str, NDArray[np.generic] | Ragged | pa.Array]


@dataclass
class Decoded:
    """What became of one raw file; `parts` are the files that hold its rows, one for each table.

    `packets` are packets or records. `duplicates` and `new_rows` are right once the file is committed: only then is it
    known what came before it. So are `table_ids`, the identities of the tables that have the rows, by address.
    """

    receipt: Receipt
    definition: str
    bytes_decoded: int = 0
    packets: int = 0
    duplicates: int = 0
    clock_invalid: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    rows: Counter[tuple[str, date]] = field(default_factory=Counter)
    new_rows: Counter[tuple[str, date]] = field(default_factory=Counter)
    parts: list[Parts] = field(default_factory=list)
    table_ids: dict[str, str] = field(default_factory=dict)

    @property
    def bytes_quarantined(self) -> int:
        """Bytes in all stretches."""
        return sum(stretch.length for stretch in self.stretches)

    def discard(self, lake: Lake) -> None:
        """Remove the files that hold its rows; none of them was committed."""
        for parts in self.parts:
            DayFiles.of(lake, parts).discard()


@dataclass(frozen=True)
class Tags:
    """Time tags of rows: TT2000 and Unix ns, validity of the clock, and the UTC day as days since 1970."""

    tt2000: Int64
    unix_ns: Int64
    valid: Mask
    day: NDArray[np.int32]


class RowWriter:
    """Writes the rows of one raw file to files beside the L0 tables, and counts them in `decoded`."""

    def __init__(
        self, lake: Lake, mission: Mission, instrument: Instrument, decoded: Decoded, stack: ExitStack
    ) -> None:
        self.lake, self.mission, self.instrument, self.decoded, self.stack = lake, mission, instrument, decoded, stack
        self.file_day = date.fromisoformat(decoded.receipt.day)
        self.clock_invalid = flag_mask(instrument, "clock_invalid")
        self._files: dict[str, DayFiles] = {}

    def files(self, table: Table) -> DayFiles:
        """The files of a table, begun when they are first asked for."""
        if table.address not in self._files:
            opened = self.stack.enter_context(day_files(self.lake, table, self.decoded.definition))
            self._files[table.address] = opened
        return self._files[table.address]

    def times(self, clock: Clock, columns: Mapping[str, object]) -> tuple[Int64, Mask]:
        """TT2000 [ns] of rows, and whether the clock can be believed."""
        return believed_times(clock, self.instrument.valid_time or self.mission.valid_time, columns)

    def tags(self, tt2000: Int64, valid: Mask) -> Tags:
        """Days and Unix times of rows; rows without a believable time are of the day in the file's name."""
        unix_ns = unix_ns_from_tt2000(tt2000)
        file_day = (self.file_day - EPOCH_DAY).days
        first, last = (int(unix_ns.min()) // DAY_NS, int(unix_ns.max()) // DAY_NS) if len(unix_ns) else (0, 0)
        if first == last and valid.all():
            return Tags(tt2000, unix_ns, valid, np.full(1, first, np.int32))
        return Tags(tt2000, unix_ns, valid, np.where(valid, unix_ns // DAY_NS, file_day).astype(np.int32))

    def write(self, table: Table, columns: Columns, tags: Tags) -> None:
        """Write rows, each to its day."""
        files, rows = self.files(table), self._arrow(table, columns, tags)
        for day in [EPOCH_DAY + timedelta(days=int(day)) for day in np.unique(tags.day)]:
            chosen = None if len(tags.day) == 1 else tags.day == (day - EPOCH_DAY).days
            part = rows if chosen is None else rows.take(arrow.numbers(np.flatnonzero(chosen), pa.int64()))
            files.write(part, day)
            key = (table.address, day)
            self.decoded.rows[key] += part.num_rows
            self.decoded.new_rows[key] += int(tags.valid.sum() if chosen is None else (tags.valid & chosen).sum())

    def _arrow(self, table: Table, columns: Columns, tags: Tags) -> pa.Table:
        count = len(tags.tt2000)
        invalid = None if tags.valid.all() else ~tags.valid
        special = {
            "epoch_tt2000": arrow.numbers(tags.tt2000, pa.int64(), invalid),
            "time": arrow.numbers(tags.unix_ns // 1000, pa.timestamp("us", "UTC"), invalid),
            "file_sha256": arrow.repeated(self.decoded.receipt.file_sha256, count),
        }
        names = [column.name for column in table.columns if column.name != "day"]
        arrays = [special[name] if name in special else arrow.column(table, name, columns[name]) for name in names]
        return pa.Table.from_arrays(arrays, names)

    def forget(self) -> None:
        """Throw away all rows so far, and what was counted of the file: it has turned out to hold none."""
        for files in self._files.values():
            files.discard()
        self._files = {}
        kept = self.decoded
        kept.stretches, kept.rows, kept.new_rows = [], Counter(), Counter()
        kept.bytes_decoded = kept.packets = kept.clock_invalid = 0

    def finish(self) -> None:
        """Finish the files that hold the rows."""
        for files in self._files.values():
            if files.paths:
                files.close()
                self.decoded.parts.append(files.parts())


def flag_mask(instrument: Instrument, name: str) -> int:
    """The bit of a flag in quality_flag; 0 if the instrument has no such flag."""
    return {flag.name: flag.mask for flag in instrument.flags}.get(name, 0)


def believed_times(clock: Clock, valid_time: ValidTime, columns: Mapping[str, object]) -> tuple[Int64, Mask]:
    """TT2000 [ns] of rows by the counters of their clock, and whether it can be believed."""
    coarse, fine, days = (
        np.asarray(columns[name]).astype(np.int64) if name is not None and name in columns else None
        for name in (clock.coarse, clock.fine, clock.days)
    )
    assert coarse is not None, "every definition has the coarse field"  # noqa: S101
    tt2000 = tt2000_from_met(clock, coarse, fine, days)
    return tt2000, believable(clock, valid_time, tt2000, (coarse, fine, days))
