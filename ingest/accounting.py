# SPDX-License-Identifier: Apache-2.0
"""Accounting of packets: how many of each APID and day came, how often, and how many are missing.

Rows of ops.packets and ops.gaps are made of level 0 alone, day by day, so that they come out the same in whatever order
the files arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingest import arrow
from ingest.ccsds import Reason
from ingest.gaps import ROWS_AT_A_TIME, gaps_ending_on, packet_tables
from lake.definitions import Instrument, Table
from lake.ledger import read_ops
from lake.reading import data_files, files_by_day, open_parquet, open_table
from lake.store import Lake
from lake.tables import replace_ops

COUNTS = pl.Schema(
    {
        "apid": pl.Int16(),
        "day": pl.Date(),
        "received": pl.Int64(),
        "duplicates": pl.Int64(),
        "sent": pl.Int64(),
        "bytes": pl.Int64(),
        "first_time": pl.Datetime("us", "UTC"),
        "last_time": pl.Datetime("us", "UTC"),
    }
)
COUNTED = ("apid", "time", "quality_flag", "packet_bytes", "packet_segments")
DAYS_AT_A_TIME = 50  # of a lake that has many without an account
APID_DAY = ["apid", "day"]
OWN_DAY = ["mission", "instrument", "day"]


def account(lake: Lake, mission: str, instrument: str, days: Iterable[date], run_id: str) -> int:
    """Count the packets of an instrument anew for these days, and find the gaps that end on them or behind them.

    Returns the number of packets missing in these gaps.
    """
    books = _Books(lake, mission, lake.definitions.mission(mission).instrument(instrument))
    affected = books.affected(set(days))
    if not affected:
        return 0
    gaps = gaps_ending_on(lake, books.instrument, affected, books.days_of_apid)
    counts = books.counts(affected)
    failures = _checksum_failures(lake, mission, instrument).filter(pl.col("day").is_in(sorted(affected)))
    packets = accounts(counts, gaps, failures).with_columns(run_id=pl.lit(run_id))
    books.replace("gaps", gaps, affected)
    books.replace("packets", packets, affected)
    return int(gaps["missing"].sum())


def complete(lake: Lake, contents: pl.DataFrame, run_id: str) -> None:
    """Account for the days of level 0 without an account; `contents` are the current rows of ops.contents."""
    for (mission, instrument), rows in unaccounted(lake, contents).group_by(OWN_DAY[:2], maintain_order=True):
        failed = _checksum_failures(lake, str(mission), str(instrument))["day"]
        days = sorted({*rows["day"], *failed})
        for first in range(0, len(days), DAYS_AT_A_TIME):
            account(lake, str(mission), str(instrument), days[first : first + DAYS_AT_A_TIME], run_id)


def unaccounted(lake: Lake, contents: pl.DataFrame) -> pl.DataFrame:
    """OWN_DAY of the days of level 0 without an account, in order.

    There are some if the lake is from before there were accounts, or if ops.packets was lost.
    """
    instruments = [instrument for mission in lake.definitions.missions for instrument in mission.instruments]
    tables = [table.address for instrument in instruments for table in packet_tables(instrument)]
    held = contents.filter(pl.col("table_name").is_in(tables)).select(OWN_DAY).unique()
    known = read_ops(lake, "packets", [*OWN_DAY, "apid", "run_id"]).select(OWN_DAY).unique()
    return held.join(known, on=OWN_DAY, how="anti").sort(OWN_DAY)


def count_packets(packets: pa.RecordBatch, repeated: int) -> Iterator[dict[str, Any]]:
    """Rows of COUNTS, without the day, about packets of which those with the flag `repeated` came before.

    `sent` are the packets on the wire that the others were joined from.
    """
    apids = pc.unique(packets["apid"])
    for apid in apids:
        own = packets if len(apids) == 1 else packets.filter(pc.equal(packets["apid"], apid))
        again = arrow.values(own["quality_flag"]) & repeated != 0
        parts = arrow.values(own["packet_segments"])[~again].sum() if "packet_segments" in own.schema.names else None
        times = pc.min_max(own["time"]).as_py()
        yield {
            "apid": apid.as_py(),
            "received": len(again),
            "duplicates": int(again.sum()),
            "sent": int((~again).sum() if parts is None else parts),
            "bytes": int(arrow.values(own["packet_bytes"]).sum(dtype=np.int64)),
            "first_time": times["min"],
            "last_time": times["max"],
        }


def accounts(counts: pl.DataFrame, gaps: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """One row per APID and day as in ops.packets; APIDs and days with nothing but failures or gaps have one, too."""
    length = (pl.col("end_time") - pl.col("start_time")).dt.total_microseconds() / 1e6
    lacks = pl.col("missing") > 0
    lost = gaps.group_by(APID_DAY).agg(
        missing=pl.col("missing").cast(pl.Int64).sum(),
        gaps=lacks.sum().cast(pl.Int64),
        longest_gap_s=length.filter(lacks).max(),
        restarts=(pl.col("kind") == "restart").sum().cast(pl.Int64),
    )
    keys = pl.concat([frame.select(APID_DAY) for frame in (counts, lost, failures)]).unique()
    joined = keys.join(counts, on=APID_DAY, how="left").join(lost, on=APID_DAY, how="left")
    joined = joined.join(failures, on=APID_DAY, how="left")
    numbers = ("received", "duplicates", "sent", "bytes", "missing", "gaps", "restarts", "checksum_failures")
    filled = joined.with_columns(pl.col(numbers).fill_null(0)).sort(APID_DAY)
    return filled.with_columns(
        distinct=pl.col("received") - pl.col("duplicates"), expected=pl.col("sent") + pl.col("missing")
    ).drop("sent")


class _Books:
    """What is stored and known of an instrument's packets: which days each APID has, and which days have rows."""

    def __init__(self, lake: Lake, mission: str, instrument: Instrument) -> None:
        self.lake, self.mission, self.instrument = lake, mission, instrument
        self.tables = packet_tables(instrument)
        # Each is opened once: to open a table costs as much as to count the packets of a quiet day.
        self.opened = {table.address: open_table(lake, table) for table in self.tables}
        self.stored = {address: set(files_by_day(delta)) for address, delta in self.opened.items()}
        self.counted = pl.DataFrame(schema=COUNTS)
        self.days_of_apid: Mapping[int, list[date]] = {}

    def affected(self, wanted: AbstractSet[date]) -> set[date]:
        """These days, those that come next for one of their APIDs, and those with rows that have lost all packets.

        A clock of another policy moves packets to other days.
        """
        if not self.tables:
            return set()
        stored = {day for days in self.stored.values() for day in days}
        known = self._known()
        gone = (set(known["day"]) | set(self._own(read_ops(self.lake, "gaps"))["day"])) - stored - wanted
        self.counted = self._count(wanted)
        here = known.filter(~pl.col("day").is_in(sorted(gone | wanted)))
        now = pl.concat([here, self.counted.select(APID_DAY)]).unique().sort(APID_DAY)
        self.days_of_apid = dict(now.group_by("apid").agg(pl.col("day").sort()).iter_rows())
        moved = pl.concat([known, self.counted.select(APID_DAY)]).filter(pl.col("day").is_in(sorted(wanted))).unique()
        following = {self._next(apid, day) for apid, day in moved.iter_rows()}
        return {*wanted, *gone, *(day for day in following if day is not None)}

    def counts(self, days: AbstractSet[date]) -> pl.DataFrame:
        """COUNTS of the packets of these days."""
        return pl.concat([self.counted, self._count(days - set(self.counted["day"]))]).filter(
            pl.col("day").is_in(sorted(days))
        )

    def replace(self, name: str, rows: pl.DataFrame, days: AbstractSet[date]) -> None:
        """Replace what ops.<name> has about these days of the instrument."""
        whose: dict[str, Any] = {"mission": self.mission, "instrument": self.instrument.name}
        listed = ", ".join(f"'{day.isoformat()}'" for day in sorted(days))
        predicate = f"mission = '{self.mission}' AND instrument = '{self.instrument.name}' AND day IN ({listed})"
        replace_ops(self.lake, name, [whose | row for row in rows.to_dicts()], predicate)

    def _known(self) -> pl.DataFrame:
        """APIDs and days with packets, as ops.packets has them."""
        columns = ["mission", "instrument", *APID_DAY, "received", "run_id"]
        known = self._own(read_ops(self.lake, "packets", columns))
        return known.filter(pl.col("received") > 0).select(pl.col("apid").cast(pl.Int16), "day")

    def _own(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.filter(pl.col("mission") == self.mission, pl.col("instrument") == self.instrument.name)

    def _next(self, apid: int, day: date) -> date | None:
        return min((later for later in self.days_of_apid.get(apid, []) if later > day), default=None)

    def _count(self, days: AbstractSet[date]) -> pl.DataFrame:
        """COUNTS of these days, of all tables; packet types may share an APID."""
        table_days = [(table, day) for table in self.tables for day in days & self.stored[table.address]]
        rows = [row for table, day in table_days for row in self._counted(table, day)]
        summed = ("received", "duplicates", "sent", "bytes")
        ends = (pl.col("first_time").min(), pl.col("last_time").max())
        pieces = pl.DataFrame(rows, schema=COUNTS)
        return pieces.group_by(APID_DAY).agg(pl.col(summed).sum(), *ends).select(COUNTS.names())

    def _counted(self, table: Table, day: date) -> Iterator[dict[str, Any]]:
        """Rows of COUNTS of pieces of a table-day; a whole one may be larger than the memory."""
        delta = self.opened[table.address]
        for path in data_files(delta, [day]) if delta is not None else ():
            with open_parquet(self.lake, path) as file:
                names = [name for name in COUNTED if name in file.schema_arrow.names]
                for batch in file.iter_batches(ROWS_AT_A_TIME, columns=names):
                    yield from ({"day": day, **row} for row in count_packets(batch, table.flag("retransmitted")))


def _checksum_failures(lake: Lake, mission: str, instrument: str) -> pl.DataFrame:
    """Packets that failed their checksum by the APID in their header and the day of their file's name."""
    columns = ["file_sha256", "name", "byte_offset", "reason", "mission", "instrument", *APID_DAY, "packets", "run_id"]
    rows = read_ops(lake, "quarantine", columns).filter(
        pl.col("mission") == mission,
        pl.col("instrument") == instrument,
        pl.col("reason") == str(Reason.CHECKSUM),
        pl.col("apid").is_not_null(),
        pl.col("day").is_not_null(),
    )
    counted = rows.group_by(pl.col("apid").cast(pl.Int16), "day").agg(checksum_failures=pl.col("packets").sum())
    return counted.sort(APID_DAY)
