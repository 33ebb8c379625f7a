# SPDX-License-Identifier: Apache-2.0
"""Missing packets: steps of a sequence count that are not 1, across files, in the order of the packets' times.

A day may hold millions of packets of which nearly all follow each other without a gap. They are read in pieces, and
only the ends of a run of such packets are kept, unless other packets lie within the run's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import date

import numpy as np
import polars as pl

from ingest.limits import SEQUENCE_COUNTS
from lake.definitions import Table
from lake.ledger import read_ops
from lake.reading import data_files, open_parquet, open_table, stored_days
from lake.store import Lake
from lake.tables import replace_ops

COLUMNS = ["apid", "sequence_count", "time", "file_sha256", "byte_offset"]
ENDS = pl.Schema(
    {
        "apid": pl.Int16(),
        "sequence_count": pl.Int16(),
        "time": pl.Datetime("us", "UTC"),
        "file_sha256": pl.String(),
        "byte_offset": pl.Int64(),
        "packet_segments": pl.Int32(),
        "again": pl.Boolean(),
        "run": pl.Int64(),
    }
)
ROWS_AT_A_TIME = 1 << 17


def update_gaps(lake: Lake, mission: str, instrument: str, days: Iterable[date]) -> int:
    """Find the gaps of an instrument anew for these days and those that follow them; the number of missing packets."""
    ours = lake.definitions.mission(mission).instrument(instrument).tables
    stored = {t.address: stored_days(lake, t) for t in ours if t.level == "l0" and t.packet and t.rows == "packet"}
    # All tables give their gaps of all these days, for what is known about them is replaced as a whole.
    affected = {day for wanted in days for known in stored.values() for day in _and_next(known, wanted)}
    affected |= _left_over(lake, mission, instrument, stored.values())
    if not affected:
        return 0
    found = [_gaps(lake, tables, stored, affected) for tables in _sharing_counts(lake, mission, instrument, stored)]
    rows = [{"mission": mission, "instrument": instrument, **row} for gaps in found for row in gaps.to_dicts()]
    listed = ", ".join(f"'{day.isoformat()}'" for day in sorted(affected))
    replace_ops(lake, "gaps", rows, f"mission = '{mission}' AND instrument = '{instrument}' AND day IN ({listed})")
    return sum(int(row["missing"]) for row in rows)


def _left_over(lake: Lake, mission: str, instrument: str, stored: Iterable[list[date]]) -> set[date]:
    """Days with gaps but without packets: another clock policy has moved them to another day."""
    ours = (pl.col("mission") == mission) & (pl.col("instrument") == instrument)
    return set(read_ops(lake, "gaps").filter(ours)["day"]) - {day for known in stored for day in known}


def _sharing_counts(lake: Lake, mission: str, instrument: str, stored: Iterable[str]) -> list[list[Table]]:
    """The tables in groups: packet types of one APID have one sequence count."""
    groups: list[tuple[set[int], list[Table]]] = []
    for table in (lake.definitions.tables[address] for address in stored):
        apids = set(lake.definitions.mission(mission).instrument(instrument).packet(str(table.packet)).apids)
        shared = [group for group in groups if group[0] & apids]
        groups = [group for group in groups if group not in shared]
        groups.append((apids.union(*(one for one, _ in shared)), [*(t for _, ts in shared for t in ts), table]))
    return [tables for _, tables in groups]


def _gaps(lake: Lake, tables: list[Table], stored: dict[str, list[date]], affected: set[date]) -> pl.DataFrame:
    """Gaps that end on these days, of tables that share their counts."""
    known = sorted({day for table in tables for day in stored[table.address]})
    read = sorted(affected | {before for day in affected for before in _previous(known, day)})
    if _clock_tells_none(lake, tables[0]):
        return pl.concat([_gaps_in_files(lake, tables, day) for day in sorted(affected)])
    packets, runs = _without_inner_packets(lake, tables, read)
    found = find_gaps(packets.lazy().select(*COLUMNS, "packet_segments")).filter(pl.col("day").is_in(sorted(affected)))
    return found.join(runs.lazy(), on=["apid", "start_time", "end_time"], how="anti").collect()


def _clock_tells_none(lake: Lake, table: Table) -> bool:
    """True if the packets of a table have no times."""
    instrument = lake.definitions.mission(table.mission).instrument(table.instrument)
    assert table.packet is not None, "asked for tables of packets"  # noqa: S101
    return (instrument.packet(table.packet).clock or instrument.clock).policy == "none"


def _paths(lake: Lake, tables: list[Table], days: list[date]) -> list[str]:
    """The data files of these tables and days."""
    opened = [open_table(lake, table) for table in tables]
    return [path for delta in opened if delta is not None for path in data_files(delta, days)]


def _gaps_in_files(lake: Lake, tables: list[Table], day: date) -> pl.DataFrame:
    """Gaps between packets of one file and APID in the order of the file; nothing is known of gaps between files.

    A count that steps back by any number up to half of all is no gap: the packet is a repetition, or the count was set.
    Nor is what lies between two repetitions: where those packets came first, it was told.
    """
    paths = _paths(lake, tables, [day])
    ends = pl.concat(_run_ends(lake, paths, frozenset(), tables[0].flag("retransmitted"), timed=False))
    ends = ends.sort("file_sha256", "apid", "byte_offset")
    one = ("file_sha256", "apid")
    again = pl.col("again") & pl.col("again").shift(1)
    ends = ends.with_columns(step=_step().over(one), begins=(pl.col("run").diff() != 0).over(one), told=again.over(one))
    none = pl.lit(None, pl.Datetime("us", "UTC"))
    missing = pl.col("begins") & ~pl.col("told") & (pl.col("step") > 1) & (pl.col("step") < SEQUENCE_COUNTS // 2)
    return ends.filter(missing).select(
        "apid", start_time=none, end_time=none, missing=(pl.col("step") - 1).cast(pl.Int32), day=pl.lit(day)
    )


def _step() -> pl.Expr:
    """How far the sequence count is from that of the packet before, or from its last part: 1 if nothing is missing."""
    count, parts = pl.col("sequence_count").cast(pl.Int32), pl.col("packet_segments").cast(pl.Int32)
    return (count - (count + parts - 1).shift(1)) % SEQUENCE_COUNTS


def _without_inner_packets(lake: Lake, tables: list[Table], days: list[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The packets that tell all gaps, and the runs (apid, start_time, end_time) whose inner packets were left out."""
    paths = _paths(lake, tables, days)
    ends = pl.concat(_run_ends(lake, paths, frozenset()))
    runs = (
        ends.with_columns(place=_place())
        .group_by("apid", "run")
        .agg(start_time=pl.col("place").min(), end_time=pl.col("place").max())
        .filter(pl.col("start_time").is_not_null())
        .sort("apid", "start_time", "end_time")
    )
    before = pl.col("end_time").cum_max().shift(1).over("apid")
    after = pl.col("start_time").shift(-1).over("apid")
    alone = (pl.col("start_time") > before).fill_null(True) & (pl.col("end_time") < after).fill_null(True)
    long = runs.with_columns(alone=alone).filter(pl.col("end_time") > pl.col("start_time"))
    shared = frozenset(long.filter(~pl.col("alone"))["run"])
    if shared:
        ends = pl.concat(_run_ends(lake, paths, shared))
    return ends, long.filter("alone").select("apid", "start_time", "end_time")


def _run_ends(
    lake: Lake, paths: list[str], whole: AbstractSet[int], repeated: int = 0, timed: bool = True
) -> Iterator[pl.DataFrame]:
    """First and last packet of each run, and all packets of the runs `whole`; `run` numbers them as they are read.

    `again` is true for packets with the flag `repeated`.
    """
    yield pl.DataFrame(schema=ENDS)
    runs = 0
    for path in paths:
        with open_parquet(lake, path, read_dictionary=["file_sha256"]) as file:
            segmented = "packet_segments" in file.schema_arrow.names
            columns = [*COLUMNS, *["packet_segments"] * segmented]
            again = (pl.col("quality_flag") & repeated != 0) if repeated else pl.lit(False)
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=[*columns, *["quality_flag"] * (repeated != 0)]):
                read = pl.LazyFrame(batch).select(*columns, again=again)
                packets = _numbered(_with_segments(read).select(*list(ENDS)[:-1]).collect(), runs, timed)
                runs = int(packets["run"][-1]) + 1
                run = packets["run"].to_numpy()
                inner = np.zeros(len(run), bool)
                inner[1:-1] = (run[1:-1] == run[:-2]) & (run[1:-1] == run[2:])
                kept = ~inner | np.isin(run, list(whole))
                yield packets.filter(kept).cast({"file_sha256": pl.String})


def _with_segments(packets: pl.LazyFrame) -> pl.LazyFrame:
    """The packets with the number of parts that each was joined from: 1 where the type is not segmented."""
    there = "packet_segments" in packets.collect_schema().names()
    return packets.with_columns(packet_segments=(pl.col("packet_segments") if there else pl.lit(1)).cast(pl.Int32))


def _numbered(packets: pl.DataFrame, first: int, timed: bool = True) -> pl.DataFrame:
    """Packets by APID in the order of their file, with the number of the run, from `first` on.

    Within a run no packet is missing from packet to packet of one file, and time rises if it is told.
    """
    packets = packets.sort("apid", "file_sha256", "byte_offset") if _unordered(packets) else packets
    steps = (_step() == 1) & (pl.col("apid").diff() == 0)
    if timed:
        steps &= pl.col("time").diff() > pl.duration()
    steps &= pl.col("file_sha256").to_physical().diff() == 0
    return packets.with_columns(run=first + (~steps.fill_null(False)).cum_sum().cast(pl.Int64))


def _unordered(packets: pl.DataFrame) -> bool:
    """True if packets of one file and APID do not follow each other, as they do in a file that holds one APID."""
    one = packets["apid"].n_unique() == 1 and packets["file_sha256"].n_unique() == 1
    return not (one and packets["byte_offset"].is_sorted())


def _place() -> pl.Expr:
    """The time at which a packet stands: that of its neighbour in the file if it has none; files are in byte order."""
    return pl.col("time").forward_fill().backward_fill().over("file_sha256", "apid", order_by="byte_offset")


def _and_next(stored: list[date], day: date) -> list[date]:
    following = [d for d in stored if d > day][:1]
    return [day, *following] if day in stored else []


def _previous(stored: list[date], day: date) -> list[date]:
    return [d for d in stored if d < day][-1:]


def find_gaps(packets: pl.LazyFrame) -> pl.LazyFrame:
    """Gaps between packets of one APID: columns apid, start_time, end_time, missing, day.

    A packet without a believable time keeps its place in its file; a file without any such time tells nothing. A
    repeated packet is no gap. A reset of the counter or the loss of more than 16383 packets shows as their remainder,
    for nothing else is known. A packet joined from parts stands for the counts of all of them (`packet_segments`).
    """
    placed = _with_segments(packets).sort("file_sha256", "byte_offset").with_columns(place=_place())
    placed = placed.filter(pl.col("place").is_not_null())
    in_order = placed.sort("apid", "place", "sequence_count", "byte_offset").unique(
        ["apid", "place", "sequence_count"], keep="first", maintain_order=True
    )
    in_order = _across_wraps(in_order)
    return (
        in_order.with_columns(step=_step().over("apid"), start_time=pl.col("place").shift(1).over("apid"))
        .filter(pl.col("step").is_not_null(), pl.col("step") > 1)
        .select(
            "apid",
            "start_time",
            end_time=pl.col("place"),
            missing=(pl.col("step") - 1).cast(pl.Int32),
            day=pl.col("place").dt.date(),
        )
    )


def _across_wraps(packets: pl.LazyFrame) -> pl.LazyFrame:
    """Packets that share a time, put in the order in which their count runs: 16383 before 0."""
    spread = pl.col("sequence_count").max() - pl.col("sequence_count").min()
    wraps = (spread.over("apid", "place") > SEQUENCE_COUNTS // 2) & (pl.col("sequence_count") < SEQUENCE_COUNTS // 2)
    turned = pl.col("sequence_count").cast(pl.Int32) + pl.when(wraps).then(SEQUENCE_COUNTS).otherwise(0)
    return packets.with_columns(turned=turned).sort("apid", "place", "turned").drop("turned")
