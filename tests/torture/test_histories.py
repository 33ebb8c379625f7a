# SPDX-License-Identifier: Apache-2.0
"""Random histories, few of them; `python -m bench.torture --only histories` lives through five hundred."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bench.torture.buoy import met, packet
from bench.torture.histories import HISTORIES_SHORT, check
from bench.torture.world import DAYS, Killed, World, world
from lake.ledger import read_ops
from tests.packets import build_packet

TICKS = [(DAYS[1], 0, 1), (DAYS[1], 60, 2), (DAYS[0], 86_399, 3)]


@pytest.mark.parametrize("seed", range(3))
def test_a_lake_equals_one_that_is_rebuilt_whatever_happened(seed: int) -> None:
    check(HISTORIES_SHORT // 3, steps=8, start=seed, report=False)


def test_the_comparison_sees_a_row_too_many() -> None:
    with world() as made:
        made.drop("seaBY01_240916000001.dat", TICKS)
        made.night()
        assert made.difference() == ""
        path = next(made.root.glob("tables/sea/buoy_l1_tick/day=2024-09-16/*.parquet"))
        other = next(made.root.glob("tables/sea/buoy_l1_tick/day=2024-09-15/*.parquet"))
        path.write_bytes(other.read_bytes())
        assert "buoy_l1_tick" in made.difference()


def test_a_killed_process_does_nothing_more() -> None:
    with world() as made:
        made.drop("seaBY01_240916000001.dat", TICKS)
        made.killed(1, made.night)
        assert list(made.root.rglob("*")) == []
        made.killed(100, made.night)
        assert made.difference() == ""


def test_a_death_is_not_caught_by_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    with world() as made:
        monkeypatch.setattr(World, "night", lambda self: (_ for _ in ()).throw(Killed("now")))
        made.killed(1, made.night)


def test_a_clock_that_jumps_does_not_change_which_packet_is_the_repetition() -> None:
    with world() as made:
        for number, days in enumerate((400, -390, 5)):
            made.now += timedelta(days=days)
            made.drop(f"seaBY01_24091600000{number}.dat", [(DAYS[1], 0, 1), (DAYS[1], number, 2)])
            made.night()
        counted = dict(read_ops(made.lake(), "files").select("name", "duplicates").iter_rows())
        assert counted == {f"seaBY01_24091600000{number}.dat": repeated for number, repeated in enumerate((1, 1, 1))}
        assert made.difference() == ""


def test_packets_of_the_buoy_are_ccsds_packets() -> None:
    time_s = met(DAYS[0], 1)
    bits = format(time_s, "032b") + format(3, "016b")
    assert packet(time_s, 3) == build_packet(7, bits, time_s % 16384, secondary_header=0)
