# SPDX-License-Identifier: Apache-2.0
"""Missing packets, on frames and across files."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest

from ingest import gaps
from ingest.gaps import find_gaps
from lake.ledger import read_ops
from lake.reading import scan, stored_days
from lake.store import Lake
from tests.meddea import NOON, drop, empty_lake, housekeeping, met, missions_with_policy, register, take

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
    return find_gaps(pl.concat(frames)).collect()["missing"].to_list()


def counting(start: int, stop: int) -> list[tuple[int, float]]:
    return [(count % 16_384, float(count - start)) for count in range(start, stop)]


def test_a_step_of_one_is_no_gap_and_a_step_of_four_lacks_three() -> None:
    [gap] = find_gaps(frame((5, 0), (6, 1), (10, 2), (11, 3))).collect().rows(named=True)
    assert gap == {
        "apid": 163,
        "start_time": START + timedelta(seconds=1),
        "end_time": START + timedelta(seconds=2),
        "missing": 3,
        "day": date(2024, 9, 16),
    }


def test_the_wrap_from_16383_to_0_is_no_gap() -> None:
    assert missing(frame(*counting(16_380, 16_390))) == []
    assert missing(frame((16_382, 0), (1, 1))) == [2]
    assert missing(frame((0, 0), (16_383, 0), (1, 0), (16_382, 0))) == []  # one time, as housekeeping may have


def test_a_repeated_packet_is_no_gap() -> None:
    assert missing(frame((5, 0), (6, 1), (7, 2)), frame((6, 1), (7, 2), (8, 3), file="b")) == []


def test_a_reset_of_the_counter_shows_as_the_remainder() -> None:
    assert missing(frame((5000, 0), (0, 1), (1, 2))) == [16_384 - 5001]


def test_counters_of_different_apids_do_not_mix() -> None:
    assert missing(frame((5, 0), (6, 2)), frame((900, 1), (901, 3), apid=153)) == []


def test_a_packet_without_a_time_keeps_its_place_in_its_file() -> None:
    assert missing(frame((5, 0), (6, None), (7, 2))) == []
    assert missing(frame((5, None), (6, 1), (9, 2))) == [2]
    assert missing(frame((5, 0), (6, 1)), frame((200, None), file="b")) == []


def test_the_order_of_files_and_rows_does_not_matter() -> None:
    parts = [frame(*counting(100, 110)), frame((112, 12), (113, 13), file="b"), frame((110, 10), file="c")]
    assert {tuple(missing(*order)) for order in permutations(parts)} == {(1,)}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


def send(lake: Lake, minute: int, *packets: bytes) -> int:
    return take(lake, drop(lake.root.parent / "inbox", f"padreMDU8_2409161230{minute:02}.dat", *packets)).missing


def stored(lake: Lake) -> list[tuple[int, date, int]]:
    return sorted(read_ops(lake, "gaps").select("apid", "day", "missing").rows())


def test_gaps_are_seen_across_files_and_a_late_file_closes_them(lake: Lake) -> None:
    sent = [housekeeping(count, NOON + 5 * count) for count in range(12)]
    assert send(lake, 1, *sent[:3]) == 0
    assert send(lake, 2, *sent[8:]) == 5
    assert stored(lake) == [(163, date(2024, 9, 16), 5)]
    assert send(lake, 3, *sent[4:6]) == 3
    assert stored(lake) == [(163, date(2024, 9, 16), 1), (163, date(2024, 9, 16), 2)]
    assert send(lake, 4, sent[3], *sent[6:8]) == 0
    assert stored(lake) == []


def test_a_gap_over_midnight_belongs_to_the_day_on_which_it_ends(lake: Lake) -> None:
    before, after = met(2024, 9, 16, 23, 59, 55), met(2024, 9, 18, 0, 0, 5)
    send(lake, 1, housekeeping(11, after))
    send(lake, 2, housekeeping(7, before))
    assert stored(lake) == [(163, date(2024, 9, 18), 3)]
    send(lake, 3, housekeeping(9, met(2024, 9, 17, 12)))
    assert stored(lake) == [(163, date(2024, 9, 17), 1), (163, date(2024, 9, 18), 1)]


def test_each_apid_of_an_instrument_has_its_own_gaps(lake: Lake) -> None:
    send(lake, 1, housekeeping(1), register(1), housekeeping(2, NOON + 5), register(4, NOON + 5))
    send(lake, 2, housekeeping(4, NOON + 10), register(5, NOON + 10))
    assert stored(lake) == [(153, date(2024, 9, 16), 2), (163, date(2024, 9, 16), 1)]


def test_news_of_one_packet_type_leave_the_gaps_of_another_alone(lake: Lake) -> None:
    next_day = met(2024, 9, 17, 12)
    send(lake, 1, register(1, next_day), register(4, next_day + 1), housekeeping(2, next_day))
    assert stored(lake) == [(153, date(2024, 9, 17), 2)]
    send(lake, 2, housekeeping(1))
    assert stored(lake) == [(153, date(2024, 9, 17), 2)]


def test_a_gap_that_another_clock_policy_moves_to_another_day_is_there_once(lake: Lake, tmp_path: Path) -> None:
    late = met(2024, 9, 17, 23, 59, 57)
    send(lake, 1, housekeeping(1), housekeeping(3, late))
    assert stored(lake) == [(163, date(2024, 9, 17), 1)]
    posix = empty_lake(lake.root, missions_with_policy(tmp_path / "missions", "posix"))
    take(posix, run="again")
    assert stored(posix) == [(163, date(2024, 9, 18), 1)]


def test_a_damaged_packet_shows_as_a_gap_of_one(lake: Lake) -> None:
    bad = housekeeping(1, NOON + 5)[:39] + b"\xff"
    send(lake, 1, housekeeping(0), bad, housekeeping(2, NOON + 10))
    assert stored(lake) == [(163, date(2024, 9, 16), 1)]


# ---- runs ----------------------------------------------------------------------------------------------------------
def shuffled_files(rng: random.Random) -> list[list[bytes]]:
    """Housekeeping and register packets over a midnight in a few files that overlap, with losses and odd clocks."""
    first = rng.choice((100, 16_370))
    sent = []
    for number in range(60):
        second = NOON + rng.choice((5, 5, 5, 1)) * number if rng.random() > 0.03 else 3  # 3: an impossible clock
        if rng.random() < 0.2:
            second = NOON + 43_200 - 100 + 5 * number
        kind = register if rng.random() < rng.choice((0.0, 0.3)) else housekeeping
        sent.append(kind((first + number) % 16384, second))
    files = []
    for _ in range(rng.randrange(1, 6)):
        start = rng.randrange(0, 55)
        part = [packet for packet in sent[start : rng.randrange(start + 1, 61)] if rng.random() > 0.05]
        if rng.random() < 0.2:
            rng.shuffle(part)
        files.append(part)
    return [part for part in files if part]


@pytest.mark.parametrize("seed", range(8))
def test_the_ends_of_runs_tell_the_gaps_that_all_packets_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(gaps, "ROWS_AT_A_TIME", 7)
    lake = empty_lake(tmp_path / "lake")
    for number, part in enumerate(shuffled_files(random.Random(seed))):
        drop(tmp_path / "inbox", f"padreMDU8_24091612000{number}.dat", *part)
    take(lake, tmp_path / "inbox")
    for name in ("padre.meddea_l0_housekeeping", "padre.meddea_l0_register"):
        table = lake.definitions.tables[name]
        days = stored_days(lake, table)
        plain = find_gaps(scan(lake, table, days).select(gaps.COLUMNS)).collect()
        found = gaps._gaps(lake, [table], {name: days}, set(days))
        order = ["apid", "end_time", "missing"]
        assert found.sort(order).rows() == plain.sort(order).rows()
