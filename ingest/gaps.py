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
        "run": pl.Int64(),
    }
)
ROWS_AT_A_TIME = 1 << 17
SEQUENCE_COUNTS = 1 << 14  # CCSDS 133.0-B-2, 4.1.3.4: the packet sequence count has 14 bits


def update_gaps(lake: Lake, mission: str, instrument: str, days: Iterable[date]) -> int:
    """Find the gaps of an instrument anew for these days and those that follow them; the number of missing packets."""
    ours = lake.definitions.mission(mission).instrument(instrument).tables
    stored = {t.address: stored_days(lake, t) for t in ours if t.level == "l0" and t.rows == "packet"}
    # All tables give their gaps of all these days, for what is known about them is replaced as a whole.
    affected = {day for wanted in days for known in stored.values() for day in _and_next(known, wanted)}
    affected |= _left_over(lake, mission, instrument, stored.values())
    if not affected:
        return 0
    found = [_gaps(lake, lake.definitions.tables[address], known, affected) for address, known in stored.items()]
    rows = [{"mission": mission, "instrument": instrument, **row} for gaps in found for row in gaps.to_dicts()]
    listed = ", ".join(f"'{day.isoformat()}'" for day in sorted(affected))
    replace_ops(lake, "gaps", rows, f"mission = '{mission}' AND instrument = '{instrument}' AND day IN ({listed})")
    return sum(int(row["missing"]) for row in rows)


def _left_over(lake: Lake, mission: str, instrument: str, stored: Iterable[list[date]]) -> set[date]:
    """Days with gaps but without packets: another clock policy has moved them to another day."""
    ours = (pl.col("mission") == mission) & (pl.col("instrument") == instrument)
    return set(read_ops(lake, "gaps").filter(ours)["day"]) - {day for known in stored for day in known}


def _gaps(lake: Lake, table: Table, stored: list[date], affected: set[date]) -> pl.DataFrame:
    """Gaps of a table that end on these days."""
    read = sorted(affected | {before for day in affected for before in _previous(stored, day)})
    packets, runs = _without_inner_packets(lake, table, read)
    found = find_gaps(packets.lazy().select(COLUMNS)).filter(pl.col("day").is_in(sorted(affected)))
    return found.join(runs.lazy(), on=["apid", "start_time", "end_time"], how="anti").collect()


def _without_inner_packets(lake: Lake, table: Table, days: list[date]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The packets that tell all gaps, and the runs (apid, start_time, end_time) whose inner packets were left out."""
    delta = open_table(lake, table)
    paths = data_files(delta, days) if delta is not None else []
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


def _run_ends(lake: Lake, paths: list[str], whole: AbstractSet[int]) -> Iterator[pl.DataFrame]:
    """First and last packet of each run, and all packets of the runs `whole`; `run` numbers them as they are read."""
    yield pl.DataFrame(schema=ENDS)
    runs = 0
    for path in paths:
        with open_parquet(lake, path, read_dictionary=["file_sha256"]) as file:
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=COLUMNS):
                packets = _numbered(pl.DataFrame(batch).select(COLUMNS), runs)
                runs = int(packets["run"][-1]) + 1
                run = packets["run"].to_numpy()
                inner = np.zeros(len(run), bool)
                inner[1:-1] = (run[1:-1] == run[:-2]) & (run[1:-1] == run[2:])
                kept = ~inner | np.isin(run, list(whole))
                yield packets.filter(kept).cast({"file_sha256": pl.String})


def _numbered(packets: pl.DataFrame, first: int) -> pl.DataFrame:
    """Packets by APID in the order of their file, with the number of the run, from `first` on.

    Within a run the count rises by one, and time rises, from packet to packet of one file.
    """
    packets = packets.sort("apid", "file_sha256", "byte_offset") if _unordered(packets) else packets
    steps = pl.col("sequence_count").cast(pl.Int32).diff() % SEQUENCE_COUNTS == 1
    steps &= (pl.col("apid").diff() == 0) & (pl.col("time").diff() > pl.duration())
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
    for nothing else is known.
    """
    placed = packets.sort("file_sha256", "byte_offset").with_columns(place=_place())
    placed = placed.filter(pl.col("place").is_not_null())
    in_order = placed.sort("apid", "place", "sequence_count", "byte_offset").unique(
        ["apid", "place", "sequence_count"], keep="first", maintain_order=True
    )
    in_order = _across_wraps(in_order)
    step = pl.col("sequence_count").cast(pl.Int32).diff().over("apid") % SEQUENCE_COUNTS
    return (
        in_order.with_columns(step=step, start_time=pl.col("place").shift(1).over("apid"))
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
