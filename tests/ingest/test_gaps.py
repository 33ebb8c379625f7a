# SPDX-License-Identifier: Apache-2.0
"""Missing packets across files, days and runs."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest

from ingest import gaps
from ingest.sequence import find_gaps
from lake.ledger import read_ops
from lake.reading import scan, stored_days
from lake.store import Lake
from tests.meddea import NOON, drop, empty_lake, housekeeping, met, missions_with_policy, register, take


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
        plain = find_gaps(scan(lake, table, days).select(gaps.COLUMNS))
        few = find_gaps(gaps._enough_packets(lake, [table], days).lazy())
        assert few.rows() == plain.rows()


@pytest.mark.parametrize("seed", range(4))
def test_the_ends_and_marks_of_runs_tell_restarts_and_turns_that_all_packets_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(gaps, "ROWS_AT_A_TIME", rng.randrange(50, 500))
    lake, table = empty_lake(tmp_path / "lake"), "padre.meddea_l0_register"
    second, count, sent = NOON, 16_000, []
    for _ in range(5):
        number = rng.randrange(100, 900)
        sent += [register((count + n) % 16_384, second + n) for n in range(number)]
        lost = rng.choice((0, 3, 20_000))
        second += number + lost
        count = rng.choice((0, count + number + lost))
    middle = len(sent) // 2
    drop(tmp_path / "inbox", "padreMDU8_240916120001.dat", *sent[:middle])
    drop(tmp_path / "inbox", "padreMDU8_240916120002.dat", *sent[middle - 10 :])
    take(lake, tmp_path / "inbox")
    days = stored_days(lake, lake.definitions.tables[table])
    plain = find_gaps(scan(lake, lake.definitions.tables[table], days).select(gaps.COLUMNS))
    few = gaps._enough_packets(lake, [lake.definitions.tables[table]], days)
    assert find_gaps(few.lazy()).rows() == plain.rows() != []
    assert few.height < len(sent), "not every packet is kept"
    known = read_ops(lake, "gaps").sort("end_time").select(plain.columns)
    assert known.rows() == plain.sort("end_time").rows()
