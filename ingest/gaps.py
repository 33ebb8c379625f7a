# SPDX-License-Identifier: Apache-2.0
"""Missing packets of an instrument: gaps in its sequence counts, across files, in the order of the packets' times.

A day may hold millions of packets of which nearly all follow each other without a gap. They are read in pieces, and
only the ends of a run of such packets and one in 64 are kept, unless other packets lie within the run's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date

import numpy as np
import polars as pl

from ingest.limits import SEQUENCE_COUNTS
from ingest.sequence import FAR, GAP_COLUMNS, find_gaps, last_count, mark, place, step, with_segments
from lake.definitions import Instrument, Table
from lake.reading import data_files, open_parquet, open_table
from lake.store import Lake

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
GAPS = pl.Schema(
    {
        "apid": pl.Int16(),
        "start_time": pl.Datetime("us", "UTC"),
        "end_time": pl.Datetime("us", "UTC"),
        "missing": pl.Int32(),
        "day": pl.Date(),
        "kind": pl.String(),
        "sequence_from": pl.Int32(),
        "sequence_to": pl.Int32(),
    }
)
ROWS_AT_A_TIME = 1 << 17


def packet_tables(instrument: Instrument) -> list[Table]:
    """The tables that have a row for each packet of an instrument."""
    return [table for table in instrument.tables if table.level == "l0" and table.packet and table.rows == "packet"]


def gaps_ending_on(
    lake: Lake, instrument: Instrument, days: AbstractSet[date], known: Mapping[int, list[date]]
) -> pl.DataFrame:
    """The gaps of an instrument that end on these days, as GAPS. `known` are the days with packets of each APID."""
    found = [pl.DataFrame(schema=GAPS)]
    for tables in _sharing_counts(instrument):
        if _clock_tells_none(instrument, tables[0]):
            found += [_gaps_in_files(lake, tables, day) for day in sorted(days)]
        else:
            apids = {apid for table in tables for apid in _apids(instrument, table)}
            read = days | {day for apid in apids for day in _days_before(known.get(apid, []), days)}
            packets = _enough_packets(lake, tables, sorted(read))
            found.append(find_gaps(packets.lazy()).filter(pl.col("day").is_in(sorted(days))))
    return pl.concat(found)


def _sharing_counts(instrument: Instrument) -> list[list[Table]]:
    """The tables in groups: packet types of one APID have one sequence count."""
    groups: list[tuple[set[int], list[Table]]] = []
    for table in packet_tables(instrument):
        apids = set(_apids(instrument, table))
        shared = [group for group in groups if group[0] & apids]
        groups = [group for group in groups if group not in shared]
        groups.append((apids.union(*(one for one, _ in shared)), [*(t for _, ts in shared for t in ts), table]))
    return [tables for _, tables in groups]


def _apids(instrument: Instrument, table: Table) -> tuple[int, ...]:
    return instrument.packet(str(table.packet)).apids


def _clock_tells_none(instrument: Instrument, table: Table) -> bool:
    """True if the packets of a table have no times."""
    return (instrument.packet(str(table.packet)).clock or instrument.clock).policy == "none"


def _days_before(known: list[date], days: Iterable[date]) -> set[date]:
    """For each day the last one before it that is known."""
    return {day for wanted in days for day in [d for d in known if d < wanted][-1:]}


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
    told = (pl.col("again") & pl.col("again").shift(1)).over(one)
    after = last_count().shift(1).over(one)
    ends = ends.with_columns(
        step=step().over(one), begins=(pl.col("run").diff() != 0).over(one), told=told, after=after
    )
    missing = pl.col("begins") & ~pl.col("told") & (pl.col("step") > 1) & (pl.col("step") < SEQUENCE_COUNTS // 2)
    none = pl.lit(None, pl.Datetime("us", "UTC"))
    gaps = ends.filter(missing).with_columns(start_time=none, end_time=none, day=pl.lit(day), kind=pl.lit("loss"))
    return gaps.with_columns(
        missing=pl.col("step") - 1,
        sequence_from=(pl.col("after") + 1) % SEQUENCE_COUNTS,
        sequence_to=(pl.col("sequence_count").cast(pl.Int32) - 1) % SEQUENCE_COUNTS,
    ).select(GAP_COLUMNS)


def _enough_packets(lake: Lake, tables: list[Table], days: list[date]) -> pl.DataFrame:
    """The packets that tell all gaps and how fast packets come, with the runs that they are of."""
    paths = _paths(lake, tables, days)
    ends = pl.concat(_run_ends(lake, paths, frozenset()))
    runs = (
        ends.with_columns(place=place())
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
    return pl.concat(_run_ends(lake, paths, shared)) if shared else ends


def _run_ends(
    lake: Lake, paths: list[str], whole: AbstractSet[int], repeated: int = 0, timed: bool = True
) -> Iterator[pl.DataFrame]:
    """First and last packet of each run, its marks, and all packets of the runs `whole`; `run` numbers them as read.

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
                packets = _numbered(with_segments(read).select(*list(ENDS)[:-1]).collect(), runs, timed)
                runs = int(packets["run"][-1]) + 1
                yield packets.filter(_kept(packets, whole, timed)).cast({"file_sha256": pl.String})


def _kept(packets: pl.DataFrame, whole: AbstractSet[int], timed: bool) -> pl.Series:
    """Which packets tell something: the ends of runs, their marks if times are told, and the runs `whole`."""
    run = packets["run"].to_numpy()
    inner = np.zeros(len(run), bool)
    inner[1:-1] = (run[1:-1] == run[:-2]) & (run[1:-1] == run[2:])
    if timed:
        inner &= ~packets.select(mark()).to_series().to_numpy()
    return pl.Series(~inner | np.isin(run, list(whole)))


def _numbered(packets: pl.DataFrame, first: int, timed: bool = True) -> pl.DataFrame:
    """Packets by APID in the order of their file, with the number of the run, from `first` on.

    Within a run no packet is missing from packet to packet of one file, and time rises if it is told, by a minute at
    most: in more, the count may have gone round.
    """
    packets = packets.sort("apid", "file_sha256", "byte_offset") if _unordered(packets) else packets
    steps = (step() == 1) & (pl.col("apid").diff() == 0)
    if timed:
        steps &= pl.col("time").diff().is_between(pl.duration(), FAR, closed="right")
    steps &= pl.col("file_sha256").to_physical().diff() == 0
    return packets.with_columns(run=first + (~steps.fill_null(False)).cum_sum().cast(pl.Int64))


def _unordered(packets: pl.DataFrame) -> bool:
    """True if packets of one file and APID do not follow each other, as they do in a file that holds one APID."""
    one = packets["apid"].n_unique() == 1 and packets["file_sha256"].n_unique() == 1
    return not (one and packets["byte_offset"].is_sorted())
