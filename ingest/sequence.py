# SPDX-License-Identifier: Apache-2.0
"""Gaps in a sequence count of 14 bits: how many packets are missing, or that the counter began anew.

The count alone tells the number modulo 16384. How much time went by, and how fast packets usually come, tells the rest:
whether the count went round, and whether there was time for as many packets as it says.
"""

from __future__ import annotations

import polars as pl

from ingest.limits import SEQUENCE_COUNTS

GAP_COLUMNS = ("apid", "start_time", "end_time", "missing", "day", "kind", "sequence_from", "sequence_to")
WINDOW = 64  # packets over which their spacing is measured: single ones may come in bursts
FULL_WINDOW = WINDOW // 2  # of a window that a gap or midnight cuts, at least half
STEADY_WINDOWS = 8  # fewer do not show how much the spacing varies
LEAST_SPREAD = 0.01  # no clock and no sequencer is believed to keep its pace better than this over days
MOST_DOUBT = SEQUENCE_COUNTS / 4  # packets; with more, the nearest number of turns is not much likelier than the next
FASTER = 4  # times the fastest pace seen; what was stored on board comes faster than it was made
BURST = 16  # packets that may come without time between them
FURTHEST_BACK = SEQUENCE_COUNTS // 4  # packets that a clock set back may be mixed with; a step further is no disorder
FAR = pl.duration(minutes=1)  # in less, no packet source known to us sends 16384 packets


def find_gaps(packets: pl.LazyFrame) -> pl.DataFrame:
    """Gaps between packets of one APID: GAP_COLUMNS, times in UTC, kinds as in ops.gaps.

    A packet without a believable time keeps its place in its file; a file without any such time tells nothing. A
    repeated packet is no gap. A packet joined from parts stands for the counts of all of them (`packet_segments`).
    Packets of one number `run`, if there is such a column, are known to follow each other.
    """
    mixed = _mixed(_in_order(packets).collect())
    steps = _steps(_untangled(mixed).lazy()).collect()
    breaks = steps.filter(~pl.col("inner") & ((pl.col("step") != 1) | (pl.col("pause") > FAR)))
    judged = _judged(breaks, _paces(breaks, _pieces(steps)))
    return pl.concat([judged, _disorders(mixed, judged.schema)]).sort("apid", "end_time", maintain_order=True)


def with_segments(packets: pl.LazyFrame) -> pl.LazyFrame:
    """The packets with the number of parts that each was joined from: 1 where the type is not segmented."""
    there = "packet_segments" in packets.collect_schema().names()
    return packets.with_columns(packet_segments=(pl.col("packet_segments") if there else pl.lit(1)).cast(pl.Int32))


def step() -> pl.Expr:
    """How far the sequence count is from that of the packet before, or from its last part: 1 if nothing is missing."""
    return (pl.col("sequence_count").cast(pl.Int32) - last_count().shift(1)) % SEQUENCE_COUNTS


def last_count() -> pl.Expr:
    """The sequence count of the last part of a packet, not yet modulo 16384."""
    return pl.col("sequence_count").cast(pl.Int32) + pl.col("packet_segments").cast(pl.Int32) - 1


def place() -> pl.Expr:
    """The time at which a packet stands: that of its neighbour in the file if it has none; files are in byte order."""
    return pl.col("time").forward_fill().backward_fill().over("file_sha256", "apid", order_by="byte_offset")


def mark() -> pl.Expr:
    """True for packets at which a window ends and another one begins: their count has passed a multiple of 64."""
    return (pl.col("sequence_count") // WINDOW).diff().fill_null(1) != 0


def _steps(ordered: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each packet but the first of an APID, in their order: what lies between it and the one before.

    `inner` is true within a run; `piece` numbers the stretches of packets without a gap between two marks of a day.
    """
    return (
        ordered.with_columns(
            start_time=pl.col("place").shift(1).over("apid"),
            step=step().over("apid"),
            after=last_count().shift(1).over("apid"),
            inner=(pl.col("run") == pl.col("run").shift(1)).over("apid").fill_null(False),
            begins=mark().over("apid").shift(1).fill_null(True),
        )
        .filter(pl.col("start_time").is_not_null())
        .with_columns(pause=pl.col("place") - pl.col("start_time"), day=pl.col("place").dt.date())
        .with_columns(one_day=pl.col("start_time").dt.date() == pl.col("day"))
        .with_columns(
            clean=pl.col("one_day") & (pl.col("inner") | (pl.col("step") == 1)) & (pl.col("pause") >= pl.duration())
        )
        .with_columns(piece=(pl.col("begins") | ~pl.col("clean")).cum_sum())
    )


def _in_order(packets: pl.LazyFrame) -> pl.LazyFrame:
    """Each packet once, by APID in the order of places, and of counts where several have one place."""
    run = pl.col("run") if "run" in packets.collect_schema().names() else pl.lit(None, pl.Int64)
    placed = with_segments(packets).with_columns(place=place(), run=run).filter(pl.col("place").is_not_null())
    once = (
        placed.select("apid", "place", "sequence_count", "packet_segments", "run")
        .sort("apid", "place", "sequence_count", "packet_segments", "run")
        .unique(["apid", "place", "sequence_count"], keep="first", maintain_order=True)
    )
    return _across_wraps(once)


def _across_wraps(packets: pl.LazyFrame) -> pl.LazyFrame:
    """Packets that share a time, put in the order in which their count runs: 16383 before 0."""
    spread = pl.col("sequence_count").max() - pl.col("sequence_count").min()
    wraps = (spread.over("apid", "place") > SEQUENCE_COUNTS // 2) & (pl.col("sequence_count") < SEQUENCE_COUNTS // 2)
    turned = pl.col("sequence_count").cast(pl.Int32) + pl.when(wraps).then(SEQUENCE_COUNTS).otherwise(0)
    return packets.with_columns(turned=turned).sort("apid", "place", "turned").drop("turned")


# ---- times that contradict the counts ------------------------------------------------------------------------------
def _mixed(ordered: pl.DataFrame) -> pl.DataFrame:
    """The packets with `ordinal`, their place in the count of a day, and `disorder`, true where times contradict it.

    That is a stretch of one day in which the count goes back and has caught up by the end, as it does when a clock is
    set back among packets that are all there: none is there twice, and at least half of them are. Else it is a loss or
    a counter that began anew.
    """
    stepped = ordered.with_columns(signed=_signed_step())
    if not (stepped["signed"] < 0).any():
        return ordered.with_columns(ordinal=pl.lit(0), disorder=pl.lit(value=False))
    stretches = _stretches(stepped)
    extent = pl.col("last").max() - pl.col("ordinal").min() + 1
    half = 2 * pl.col("packet_segments").sum() >= extent
    told = (pl.len() > 1) & (pl.col("ordinal").n_unique() == pl.len()) & half
    mixed = stretches.with_columns(disorder=told.over("stretch"))
    return mixed.select(*ordered.columns, "ordinal", "disorder", "stretch")


def _signed_step() -> pl.Expr:
    """The step of the count on a day, by which it went back if that is nearer; null at the first packet of a day."""
    half = SEQUENCE_COUNTS // 2
    return ((step() + half) % SEQUENCE_COUNTS - half).over("apid", pl.col("place").dt.date())


def _stretches(stepped: pl.DataFrame) -> pl.DataFrame:
    """Packets with their stretch: one begins where all packets before have lower counts than all behind."""
    day = ["apid", pl.col("place").dt.date()]
    # In a long pause the count may have gone round, and then it tells no order.
    far = (pl.col("signed").abs() > FURTHEST_BACK) | (pl.col("place").diff() > FAR)
    advance = pl.col("signed") + pl.col("packet_segments").shift(1) - 1
    counted = stepped.with_columns(
        near=far.fill_null(True).cum_sum().over("apid"),
        ordinal=advance.over(day).fill_null(0).cum_sum().over(day),
    ).with_columns(last=pl.col("ordinal") + pl.col("packet_segments") - 1)
    begins = pl.col("last").cum_max().shift(1) < pl.col("ordinal").cum_min(reverse=True)
    return counted.with_columns(stretch=begins.fill_null(True).over("apid", "near").cum_sum())


def _untangled(mixed: pl.DataFrame) -> pl.DataFrame:
    """The packets in order, those of a disorder in that of their counts."""
    if not mixed["disorder"].any():
        return mixed
    return mixed.with_columns(row=pl.int_range(pl.len())).sort(
        "stretch", pl.when("disorder").then("ordinal").otherwise("row")
    )


def _disorders(mixed: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """A row of GAP_COLUMNS for each stretch in which times contradict counts: nothing is missing because of it."""
    if not mixed["disorder"].any():
        return pl.DataFrame(schema=schema)
    found = mixed.filter("disorder").group_by("stretch", maintain_order=True)
    rows = found.agg(pl.col("apid").first(), start_time=pl.col("place").min(), end_time=pl.col("place").max())
    none = pl.lit(None, pl.Int32)
    return rows.select(
        "apid", "start_time", "end_time", missing=pl.lit(0), day=pl.col("end_time").dt.date(),
        kind=pl.lit("disorder"), sequence_from=none, sequence_to=none,
    ).cast(schema)  # fmt: skip


# ---- how packets come ----------------------------------------------------------------------------------------------
def _pieces(steps: pl.DataFrame) -> pl.DataFrame:
    """Pieces without a gap, within one day: apid, day, packets, seconds from the first to the last of them."""
    clean = steps.lazy().filter("clean").group_by("apid", "day", "piece")
    timed = clean.agg(packets=pl.col("step").sum(), seconds=_seconds("pause").sum())
    return timed.filter(pl.col("seconds") > 0).select("apid", "day", "packets", "seconds").collect()


def _seconds(name: str) -> pl.Expr:
    return pl.col(name).dt.total_microseconds() / 1e6


def _paces(breaks: pl.DataFrame, pieces: pl.DataFrame) -> pl.DataFrame:
    """How packets come on the days on which a break begins and ends: apid, start_day, day, windows, spacing_s, spread,
    fastest_s.

    Only these two days teach, so that a gap is judged alike in whatever order days come in.
    """
    days = breaks.lazy().select("apid", "day", start_day=pl.col("start_time").dt.date()).unique()
    both = days.with_columns(taught=pl.concat_list("start_day", "day").list.unique()).explode("taught")
    known = both.join(pieces.lazy(), left_on=["apid", "taught"], right_on=["apid", "day"])
    full = pl.col("packets") >= FULL_WINDOW
    each = (pl.col("seconds") / pl.col("packets")).filter(full)
    spread = pl.max_horizontal(each.quantile(0.95) / each.median() - 1, 1 - each.quantile(0.05) / each.median())
    return (
        known.group_by("apid", "start_day", "day")
        .agg(
            windows=full.sum(),
            spacing_s=each.median(),
            spread=spread,
            # Where gaps cut all windows, the mean of what lies between them is the best there is.
            fastest_s=pl.coalesce(each.min(), pl.col("seconds").sum() / pl.col("packets").sum()),
        )
        .collect()
    )


def _judged(breaks: pl.DataFrame, paces: pl.DataFrame) -> pl.DataFrame:
    """The breaks that are gaps, each with its kind and the number of packets missing."""
    by_time = _seconds("pause") / pl.col("spacing_s")
    doubt = by_time * pl.max_horizontal(2 * pl.col("spread"), LEAST_SPREAD)
    steady = (pl.col("windows") >= STEADY_WINDOWS) & (doubt <= MOST_DOUBT)
    turns = ((by_time - pl.col("step")) / SEQUENCE_COUNTS).round()
    fits = (by_time - pl.col("step") - turns * SEQUENCE_COUNTS).abs() <= pl.max_horizontal(doubt, BURST)
    at_most = FASTER * _seconds("pause") / pl.col("fastest_s") + BURST
    judged = (
        breaks.lazy()
        .with_columns(start_day=pl.col("start_time").dt.date(), count=pl.col("sequence_count").cast(pl.Int32))
        .join(paces.lazy(), on=["apid", "start_day", "day"], how="left", maintain_order="left")
        .with_columns(
            turns=pl.when(steady & fits & (turns >= 1)).then(turns).otherwise(0).cast(pl.Int32),
            anew=((pl.col("step") - 1 > at_most) & (pl.col("count") <= at_most)).fill_null(False),
            sent=pl.when(steady & (pl.col("count") <= by_time)).then(pl.col("count")).otherwise(0),
        )
        .with_columns(kind=_kind())
    )
    gaps = judged.filter((pl.col("kind") != "loss") | (pl.col("step") > 1))
    return _as_rows(gaps).collect()


def _kind() -> pl.Expr:
    wrapped, anew = pl.col("turns") > 0, pl.col("anew")
    return pl.when(wrapped).then(pl.lit("wrapped")).when(anew).then(pl.lit("restart")).otherwise(pl.lit("loss"))


def _as_rows(gaps: pl.LazyFrame) -> pl.LazyFrame:
    """Gaps as rows of ops.gaps. Of a restart is known what the new count says to have been sent, if time permits."""
    anew = pl.col("kind") == "restart"
    counted = pl.col("step") - 1 + pl.col("turns") * SEQUENCE_COUNTS
    ends = pl.col("start_time"), pl.col("place")
    return gaps.with_columns(
        # What is missing where a clock was set back may lie behind a later time.
        start_time=pl.min_horizontal(ends),
        end_time=pl.max_horizontal(ends),
        missing=pl.when(anew).then(pl.col("sent")).otherwise(counted),
        sequence_from=pl.when(~anew).then((pl.col("after") + 1) % SEQUENCE_COUNTS),
        sequence_to=pl.when(~anew).then((pl.col("count") - 1) % SEQUENCE_COUNTS),
    ).select(GAP_COLUMNS)
