# SPDX-License-Identifier: Apache-2.0
"""Decoded files become visible, one after the other in the order of arrival: repetitions flagged, each row once.

Only here is it known what came before. The identities of a file's packets are read back from the files it was decoded
to; where packets are repetitions, the files that hold them or their events are written again with the flag.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ingest import arrow
from ingest.identities import EPOCH_DAY, Received, SourceRows, contains
from ingest.rows import Decoded, flag_mask
from lake.day_files import DayFiles, Part, Parts, day_files
from lake.definitions import Instrument
from lake.reading import open_parquet, scan
from lake.store import Lake
from lake.tables import append

ROWS_AT_A_TIME = 1 << 17
Offsets = NDArray[np.int64]


class Verdicts:
    """What tables say of the packets of files that are decoded again only because another table lacks their rows.

    `held` are addresses of tables with hashes of such files whose rows they have. Those rows stay as they are. Who is a
    repetition was settled when they came, and is not asked again: later files have come in the meantime.
    """

    def __init__(self, lake: Lake, held: AbstractSet[tuple[str, str]]) -> None:
        self.lake, self.held = lake, held
        self._of_day = lru_cache(maxsize=8)(self._read)

    def repeated(self, parts: Parts, file_sha256: str, flag: int) -> Offsets | None:
        """Sorted offsets of the packets that the table has as repetitions; None if it does not hold the file."""
        if (parts.table.address, file_sha256) not in self.held:
            return None
        found = [self._of_day(parts.table.address, _day(part), flag) for part in parts.parts]
        return np.sort(np.concatenate([offsets.get(file_sha256, np.empty(0, np.int64)) for offsets in found]))

    def _read(self, address: str, day: date, flag: int) -> dict[str, Offsets]:
        """Offsets of repeated packets of a day by file."""
        rows = scan(self.lake, self.lake.definitions.tables[address], [day]).filter(pl.col("quality_flag") & flag != 0)
        by_file = rows.select("file_sha256", "byte_offset").collect().partition_by("file_sha256", as_dict=True)
        return {str(sha256): frame["byte_offset"].to_numpy() for (sha256,), frame in by_file.items()}


def commit_file(lake: Lake, decoded: Decoded, received: Received, verdicts: Verdicts) -> None:
    """Make the rows of a file visible, each table in one commit; tables that have them already are left alone.

    `received` knows of all files that arrived before, and of this one afterwards; `decoded` learns its duplicates, and
    the identities of the tables.
    Raises StorageError or TableError; of the files that are not visible by then nothing is left.
    """
    files = {parts.table.address: DayFiles.of(lake, parts) for parts in decoded.parts}
    app_id = f"ingest/{decoded.receipt.file_sha256}/{decoded.definition[:16]}"
    try:
        _flag_repetitions(lake, decoded, files, received, verdicts)
        for address, one in files.items():
            if not append(lake, one, app_id):
                one.discard()
            decoded.table_ids[address] = one.table_id
    except BaseException:
        for one in files.values():
            one.discard()
        raise


def _flag_repetitions(
    lake: Lake, decoded: Decoded, files: dict[str, DayFiles], received: Received, verdicts: Verdicts
) -> None:
    """Ask for each packet whether it is a repetition, and replace the files in which it is to be said."""
    instrument = lake.definitions.mission(decoded.receipt.mission).instrument(decoded.receipt.instrument)
    for source in instrument.sources:
        tables = {t.rows: t.address for t in instrument.l0_tables(source.name) if t.address in files}
        if "packet" not in tables:
            continue
        parts = files[tables["packet"]].parts()
        repeated = _repeated(lake, parts, received)
        settled = verdicts.repeated(parts, decoded.receipt.file_sha256, flag_mask(instrument, "retransmitted"))
        repeated = repeated if settled is None else settled
        decoded.duplicates += len(repeated)
        for address in tables.values() if len(repeated) else ():
            files[address] = _Flagging(lake, instrument, decoded, repeated).of(files[address])


def _repeated(lake: Lake, parts: Parts, received: Received) -> Offsets:
    """Byte offsets of the packets that had been received before, or came earlier in the same file; sorted."""
    rows = SourceRows(parts.table, parts.definition)
    names = ["byte_offset", *parts.table.identity]
    found = [np.empty(0, np.int64)]
    for part in parts.parts:
        day = np.array([(_day(part) - EPOCH_DAY).days], np.int32)
        pieces = _columns(lake, part, names)
        found += [columns["byte_offset"][received.seen(rows, columns, day)] for columns in pieces]
    return np.sort(np.concatenate(found))


def _columns(lake: Lake, part: Part, names: list[str]) -> Iterator[dict[str, NDArray[Any]]]:
    """Columns of a finished file, some rows at a time."""
    with open_parquet(lake, lake.storage.uri(part.key)) as file:
        for batch in file.iter_batches(ROWS_AT_A_TIME, columns=names):
            yield {name: arrow.values(batch[name]) for name in names}


def _day(part: Part) -> date:
    assert part.day is not None, "L0 tables have days"  # noqa: S101
    return part.day


class _Flagging:
    """The repeated packets of a file, by offset, and what has to be corrected because of them."""

    def __init__(self, lake: Lake, instrument: Instrument, decoded: Decoded, repeated: Offsets) -> None:
        self.lake, self.decoded, self.repeated = lake, decoded, repeated
        self.retransmitted = flag_mask(instrument, "retransmitted")
        self.clock_invalid = flag_mask(instrument, "clock_invalid")

    def of(self, files: DayFiles) -> DayFiles:
        """The files of a table with the flag in all rows of repeated packets; only those with such rows are new."""
        parts = files.parts()
        stale = tuple(part for part in parts.parts if self._has_any(part))
        with day_files(self.lake, parts.table, parts.definition) as anew:
            for part in stale:
                for rows in self._rows(parts, part):
                    anew.write(rows, part.day)
            anew.close()
        DayFiles.of(self.lake, replace(parts, parts=stale)).discard()
        kept = tuple(part for part in parts.parts if part not in stale)
        return DayFiles.of(self.lake, replace(parts, parts=kept + anew.parts().parts))

    def _has_any(self, part: Part) -> bool:
        columns = _columns(self.lake, part, ["byte_offset"])
        return any(contains(self.repeated, column["byte_offset"]).any() for column in columns)

    def _rows(self, parts: Parts, part: Part) -> Iterator[pa.Table]:
        """The rows of a file with the flag, in pieces: the decoder's memory has not all been given back."""
        with open_parquet(self.lake, self.lake.storage.uri(part.key), read_dictionary=["file_sha256"]) as file:
            for group in range(file.num_row_groups):  # asked for all groups at once, it would fetch all at once
                for batch in file.iter_batches(ROWS_AT_A_TIME, row_groups=[group], use_threads=False):
                    yield self._flagged(batch, (parts.table.address, _day(part)))

    def _flagged(self, batch: pa.RecordBatch, key: tuple[str, date]) -> pa.Table:
        again, flags = contains(self.repeated, arrow.values(batch["byte_offset"])), arrow.values(batch["quality_flag"])
        self.decoded.new_rows[key] -= int((again & (flags & self.clock_invalid == 0)).sum())
        place, kind = batch.schema.get_field_index("quality_flag"), batch["quality_flag"].type
        flagged = arrow.numbers(flags | np.where(again, self.retransmitted, 0), kind)
        return pa.Table.from_batches([batch]).set_column(place, "quality_flag", flagged)
