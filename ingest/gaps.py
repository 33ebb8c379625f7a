# SPDX-License-Identifier: Apache-2.0
"""Missing packets: steps of a sequence count that are not 1, across files, in the order of the packets' times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import polars as pl

from lake.definitions import Table
from lake.ledger import read_ops
from lake.reading import scan, stored_days
from lake.store import Lake
from lake.tables import replace_ops

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
    read = affected | {before for day in affected for before in _previous(stored, day)}
    packets = scan(lake, table, sorted(read)).select("apid", "sequence_count", "time", "file_sha256", "byte_offset")
    return find_gaps(packets).filter(pl.col("day").is_in(sorted(affected))).collect()


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
    placed = packets.sort("file_sha256", "byte_offset").with_columns(
        place=pl.col("time").forward_fill().backward_fill().over("file_sha256", "apid")
    )
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
