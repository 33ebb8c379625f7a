# SPDX-License-Identifier: Apache-2.0
"""Gaps in a sequence count, on frames: losses, turns of the count, restarts."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingest.sequence import find_gaps

START = datetime(2024, 9, 16, 12, tzinfo=UTC)


def frame(*packets: tuple[int, float | None], file: str = "a", apid: int = 163) -> pl.LazyFrame:
    """Packets of one file: sequence count, and seconds since noon or None."""
    return pl.LazyFrame(
        {
            "apid": [apid] * len(packets),
            "sequence_count": [count for count, _ in packets],
            "time": [None if second is None else START + timedelta(seconds=second) for _, second in packets],
            "file_sha256": [file] * len(packets),
            "byte_offset": [40 * index for index in range(len(packets))],
        },
        schema={
            "apid": pl.Int16,
            "sequence_count": pl.Int16,
            "time": pl.Datetime("us", "UTC"),
            "file_sha256": pl.String,
            "byte_offset": pl.Int64,
        },
    )


def missing(*frames: pl.LazyFrame) -> list[int]:
    return find_gaps(pl.concat(frames))["missing"].to_list()


def counting(start: int, stop: int) -> list[tuple[int, float]]:
    return [(count % 16_384, float(count - start)) for count in range(start, stop)]


def test_a_step_of_one_is_no_gap_and_a_step_of_four_lacks_three() -> None:
    [gap] = find_gaps(frame((5, 0), (6, 1), (10, 2), (11, 3))).rows(named=True)
    assert gap == {
        "apid": 163,
        "start_time": START + timedelta(seconds=1),
        "end_time": START + timedelta(seconds=2),
        "missing": 3,
        "day": date(2024, 9, 16),
        "kind": "loss",
        "sequence_from": 7,
        "sequence_to": 9,
    }


def test_the_wrap_from_16383_to_0_is_no_gap() -> None:
    assert missing(frame(*counting(16_380, 16_390))) == []
    assert missing(frame((16_382, 0), (1, 1))) == [2]
    assert missing(frame((0, 0), (16_383, 0), (1, 0), (16_382, 0))) == []  # one time, as housekeeping may have


def test_a_repeated_packet_is_no_gap() -> None:
    assert missing(frame((5, 0), (6, 1), (7, 2)), frame((6, 1), (7, 2), (8, 3), file="b")) == []


def test_counters_of_different_apids_do_not_mix() -> None:
    assert missing(frame((5, 0), (6, 2)), frame((900, 1), (901, 3), apid=153)) == []


# ---- times that contradict the counts ------------------------------------------------------------------------------
def set_back(seconds: float, lost: tuple[int, ...] = (), first: int = 0, packets: int = 2000) -> pl.LazyFrame:
    """A packet each second, and a clock that is set back at the 500th of them."""
    times = [index - (seconds if index >= 500 else 0) for index in range(packets)]
    counts = [(first + index) % 16_384 for index in range(packets)]
    return frame(*((counts[i], times[i]) for i in range(packets) if i not in lost))


@pytest.mark.parametrize("seconds", [1.5, 5.5, 60.0, 400.5])
@pytest.mark.parametrize("first", [0, 3, 15_880])
def test_where_a_clock_is_set_back_nothing_is_missing(seconds: float, first: int) -> None:
    [row] = find_gaps(set_back(seconds, first=first)).rows(named=True)
    assert (row["kind"], row["missing"], row["sequence_from"], row["sequence_to"]) == ("disorder", 0, None, None)
    # From the first packet behind the clock's new time to the last one before it was set.
    assert START + timedelta(seconds=500 - seconds) - row["start_time"] < timedelta(seconds=1)
    assert row["start_time"] <= row["end_time"] <= START + timedelta(seconds=500)


def test_what_is_lost_where_a_clock_is_set_back_is_told() -> None:
    found = find_gaps(set_back(60.5, lost=(480, 481, 520)))
    assert sorted(found.select("kind", "missing", "sequence_from", "sequence_to").rows(), key=str) == [
        ("disorder", 0, None, None),
        ("loss", 1, 520, 520),
        ("loss", 2, 480, 481),
    ]
    assert (found["start_time"] <= found["end_time"]).all()


def test_one_packet_with_an_early_time_is_no_loss() -> None:
    found = find_gaps(frame(*((i, i - 5.5 if i == 500 else float(i)) for i in range(1000))))
    assert found.select("kind", "missing").rows() == [("disorder", 0)]


def test_a_long_loss_after_which_the_count_seems_to_be_behind_is_no_disorder() -> None:
    sent = [*range(1300), *range(46_355, 46_355 + 1300)]
    found = find_gaps(frame(*((number % 16_384, number * 0.05) for number in sent)))
    assert found.select("kind", "missing").rows() == [("wrapped", 45_055)]


def test_a_counter_that_goes_back_to_counts_seen_before_is_no_disorder() -> None:
    times = [*range(100, 200), *range(100, 400)]
    found = find_gaps(frame(*((count, float(second)) for second, count in enumerate(times))))
    assert "disorder" not in found["kind"].to_list()


def test_a_packet_without_a_time_keeps_its_place_in_its_file() -> None:
    assert missing(frame((5, 0), (6, None), (7, 2))) == []
    assert missing(frame((5, None), (6, 1), (9, 2))) == [2]
    assert missing(frame((5, 0), (6, 1)), frame((200, None), file="b")) == []


def test_the_order_of_files_and_rows_does_not_matter() -> None:
    parts = [frame(*counting(100, 110)), frame((112, 12), (113, 13), file="b"), frame((110, 10), file="c")]
    assert {tuple(missing(*order)) for order in permutations(parts)} == {(1,)}


# ---- what the time tells -------------------------------------------------------------------------------------------
def packets(*stretches: tuple[int, int, float], spacing: float = 1.0, jitter: float = 0.0) -> pl.LazyFrame:
    """Stretches of packets: how many there are, the count of the first one, and its second after midnight."""
    rng = np.random.default_rng(1)
    counts = np.concatenate([(first + np.arange(number)) % 16_384 for number, first, _ in stretches])
    seconds = np.concatenate([start + spacing * np.arange(number) for number, _, start in stretches])
    seconds += rng.uniform(-jitter, jitter, len(seconds))
    return pl.LazyFrame(
        {
            "apid": pl.Series([163] * len(counts), dtype=pl.Int16),
            "sequence_count": pl.Series(counts, dtype=pl.Int16),
            "time": pl.Series((seconds * 1e6).astype(np.int64)).cast(pl.Datetime("us", "UTC")),
            "file_sha256": ["a"] * len(counts),
            "byte_offset": 40 * np.arange(len(counts)),
        }
    )


def told(frame: pl.LazyFrame) -> list[tuple[str, int, int | None, int | None]]:
    return find_gaps(frame).select("kind", "missing", "sequence_from", "sequence_to").rows()


def test_a_count_that_went_round_is_told_by_the_time() -> None:
    # 1000 packets, 20000 lost, 1000 more: 1000 + 20000 = 21000 = 16384 + 4616.
    lost = packets((1000, 0, 0.0), (1000, 4616, 21_000.0), jitter=0.2)
    assert told(lost) == [("wrapped", 20_000, 1000, 4615)]
    assert told(packets((1000, 0, 0.0), (1000, 21_000 + 3 * 16_384, 21_000.0 + 3 * 16_384))) == [
        ("wrapped", 20_000 + 3 * 16_384, 1000, 4615)
    ]


def test_counts_that_go_on_after_exactly_one_turn_lack_16384_packets() -> None:
    assert told(packets((1000, 0, 0.0), (1000, 1000, 17_384.0))) == [("wrapped", 16_384, 1000, 999)]
    assert told(packets((1000, 0, 0.0), (1000, 999, 17_383.0))) == [("wrapped", 16_383, 1000, 998)]


def test_a_source_that_paused_lacks_nothing() -> None:
    assert told(packets((1000, 0, 0.0), (1000, 1000, 9_000.0))) == []
    assert told(packets((1000, 0, 0.0), (1000, 1003, 12_000.0))) == [("loss", 3, 1000, 1002)]


def test_without_a_steady_spacing_the_remainder_is_kept() -> None:
    halves = ((500, 0, 0.0), (500, 500, 500.0 + 3600), (1000, 4616, 24_600.0))
    slow_and_fast = pl.concat(
        [packets(halves[0]), packets(*halves[1:], spacing=4.0).with_columns(pl.col("byte_offset") + 40 * 500)]
    )
    assert told(slow_and_fast) == [("loss", 3616, 1000, 4615)]
    few = packets((100, 0, 0.0), (100, 3716, 20_100.0))  # 3616 + 16384 packets lost; nobody knows how they come
    assert told(few) == [("loss", 3616, 100, 3715)]


def test_packets_of_other_days_do_not_tell_how_fast_they_came() -> None:
    day = 86_400.0
    known = packets((1000, 0, 0.0), (3, 1000, day), (3, 1003 + 20_000, day + 20_003))
    # The day of the loss has six packets, which is too few, although the day before has enough.
    assert told(known) == [("loss", 3616, 1003, 4618)]


def test_a_counter_that_began_anew_lacks_nothing_that_is_known() -> None:
    # 5000 to 0 would be 11384 packets in one second.
    assert told(packets((1000, 4000, 0.0), (1000, 0, 1000.0))) == [("restart", 0, None, None)]


def test_packets_lost_since_a_restart_are_missing() -> None:
    # The first count seen is 7, and there were 30 s for it.
    assert told(packets((1000, 4000, 0.0), (1000, 7, 1030.0))) == [("restart", 7, None, None)]


def test_a_restart_is_told_of_a_few_packets_too() -> None:
    assert told(frame((4999, 0), (5000, 1), (0, 2), (1, 3))) == [("restart", 0, None, None)]


def test_a_step_to_a_high_count_is_no_restart() -> None:
    assert told(packets((1000, 4000, 0.0), (1000, 9000, 1000.0))) == [("loss", 4000, 5000, 8999)]


def test_a_step_for_which_there_was_time_is_a_loss() -> None:
    # 16384 - 5000 = 11384 packets to count 0, and 11384 s for them.
    assert told(packets((1000, 4000, 0.0), (1000, 0, 12_384.0))) == [("loss", 11_384, 5000, 16_383)]


def test_a_burst_of_repeated_times_is_no_restart() -> None:
    assert told(frame(*[(count, 0.0) for count in range(5)], (9, 0.0))) == [("loss", 4, 5, 8)]


# ---- any history ---------------------------------------------------------------------------------------------------
SPACINGS = st.sampled_from([0.05, 1.0, 10.0, 61.0])
LOSSES = st.one_of(st.integers(1, 200), st.integers(16_380, 16_390), st.integers(16_000, 60_000))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[int, int, int]], float]:
    """Stretches that came (number, first count, place in what was sent), without restarts; and their spacing."""
    place = draw(st.integers(0, 16_383))
    stretches = []
    for lost in [*draw(st.lists(LOSSES, max_size=3)), 0]:
        number = draw(st.integers(1300, 1500))
        stretches.append((number, place % 16_384, place))
        place += number + lost
    return stretches, draw(SPACINGS)


@settings(max_examples=40, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_every_loss_of_a_steady_source_is_told_exactly(
    history: tuple[list[tuple[int, int, int]], float], rng: random.Random
) -> None:
    """Whatever the order of rows and files, and with stretches that came twice."""
    stretches, spacing = history
    sent = packets(*((n, first, spacing * place) for n, first, place in stretches), spacing=spacing).collect()
    expected = [
        (spacing * (place + number - 1), spacing * after, after - place - number)
        for (number, _, place), (_, _, after) in pairwise(stretches)
        if after > place + number
    ]
    days = sent["time"].dt.date()
    for start, end, lost in expected:
        taught = {datetime.fromtimestamp(second, UTC).date() for second in (start, end)}
        assume(lost < 16_384 or days.is_in(taught).sum() > 700)  # fewer packets do not show how they come
    found = find_gaps(_scattered(sent, rng).lazy())
    seconds = [pl.col(name).dt.epoch("us") / 1e6 for name in ("start_time", "end_time")]
    assert found.select(*seconds, "missing").rows() == [pytest.approx(gap) for gap in expected]
    assert [gap["kind"] for gap in found.to_dicts()] == ["wrapped" if gap[2] >= 16_383 else "loss" for gap in expected]
    for gap in found.to_dicts():
        assert (gap["sequence_to"] - gap["sequence_from"] + 1 - gap["missing"]) % 16_384 == 0


def _scattered(sent: pl.DataFrame, rng: random.Random) -> pl.DataFrame:
    """The packets in files that overlap, their rows in any order."""
    cuts = sorted(rng.sample(range(1, sent.height), 3))
    files = [(0, cuts[1]), (cuts[0], cuts[2]), (cuts[2], sent.height)]
    parts = [sent[start:stop].with_columns(file_sha256=pl.lit(f"file {start}")) for start, stop in files]
    return pl.concat(parts).sample(fraction=1.0, shuffle=True, seed=rng.randrange(1000))


@settings(max_examples=30, deadline=None)
@given(
    before=st.integers(2000, 14_000),
    lost=st.integers(0, 15),
    after=st.integers(70, 200),
    silence=st.integers(1, 60),
    spacing=SPACINGS,
)
def test_a_restart_in_a_minute_is_told(before: int, lost: int, after: int, silence: int, spacing: float) -> None:
    end = spacing * 599
    frame = packets((600, before - 600, 0.0), (after, lost, end + spacing * (silence + lost)), spacing=spacing)
    assert told(frame) == [("restart", lost, None, None)]
