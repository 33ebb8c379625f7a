# SPDX-License-Identifier: Apache-2.0
"""From a raw file to L0 rows: clocks, days, and what becomes of every byte. All values are worked out by hand."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ingest.ccsds import scan_packets
from ingest.intake import Intake
from ingest.packet_types import contradicted
from ingest.transport import forms as transport
from lake.ledger import read_ops
from lake.store import Lake
from tests.meddea import (
    CLOCK_INVALID,
    MIXED_FILE,
    NOON,
    RETRANSMITTED,
    drop,
    empty_lake,
    housekeeping,
    met,
    photon,
    quarantined,
    register,
    rows,
    spectrum,
    take,
    unbalanced,
)
from tests.packets import build_packet, seal

# Noon of 2024-09-16, 9025 days after J2000; TT is ahead of UTC by 37 s + 32.184 s.
NOON_TT2000 = 9025 * 86_400 * 10**9 + 69_184_000_000
FILE_DAY = date(2024, 9, 16)
HK0, HK1, HK2 = (housekeeping(count, NOON + 5 * count) for count in range(3))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


def taken(lake: Lake, *packets: bytes, name: str = MIXED_FILE) -> Intake:
    """The packets taken in as one file; the file must be fully accounted for."""
    intake = take(lake, drop(lake.root.parent / "inbox", name, *packets))
    assert unbalanced(lake) == []
    return intake


def counts(lake: Lake, table: str = "l0_housekeeping") -> list[int]:
    return rows(lake, table)["sequence_count"].to_list()


# ---- clocks and days -----------------------------------------------------------------------------------------------
def test_a_packet_is_stamped_in_exact_nanoseconds(lake: Lake) -> None:
    taken(lake, photon(7, NOON, ticks=3, clocks=(0, 2)), housekeeping(1), spectrum(2, ticks=19_999_999), register(3))
    assert rows(lake, "l0_photon")["epoch_tt2000"].to_list() == [NOON_TT2000 + 150, NOON_TT2000 + 150 + 25_600]
    assert rows(lake, "l0_housekeeping")["epoch_tt2000"].to_list() == [NOON_TT2000]
    assert rows(lake, "l0_spectrum")["epoch_tt2000"].to_list() == [NOON_TT2000 + 999_999_950]
    assert rows(lake, "l0_register")["time"].to_list() == [datetime(2024, 9, 16, 12, tzinfo=UTC)]


def test_every_field_is_kept_as_sent(lake: Lake) -> None:
    taken(lake, photon(9447, NOON, ticks=8, clocks=(5,), atod=4095), register(1, apid=165), spectrum(3, level=65_535))
    packet = rows(lake, "l0_photon_packet").row(0, named=True)
    assert (packet["time_s"], packet["time_clocks"], packet["sequence_count"]) == (NOON, 8, 9447)
    assert (packet["integration_time"], packet["live_time"], packet["event_count"]) == (39_062, 39_000, 1)
    event = rows(lake, "l0_photon").row(0, named=True)
    assert (event["clocks"], event["pixel_id"], event["asic"], event["channel"]) == (5, 26, 0, 26)
    assert (event["atod"], event["baseline"], event["sequence_count"]) == (4095, None, 9447)
    answer = rows(lake, "l0_register").row(0, named=True)
    assert (answer["apid"], answer["address"], answer["value"], answer["byte_offset"]) == (165, 0x1400, 7, 28)
    histogram = rows(lake, "l0_spectrum").row(0, named=True)
    assert histogram["counts"] == [65_535] * 24 * 512
    assert histogram["pixel_id"][:2] == [51_738, 51_720]


@pytest.mark.parametrize(
    ("time_s", "ticks"),
    [
        pytest.param(NOON, 20_000_000, id="one tick more than a second has"),
        pytest.param(NOON, 0xFFFFFFFF, id="all ones"),
        pytest.param(0, 0, id="clock not set"),
        pytest.param(met(2024, 1, 31, 23, 59, 59), 0, id="before the mission"),
        pytest.param(met(2050, 1, 1), 0, id="after the mission"),
        pytest.param(met(2100, 1, 1), 0, id="year 2100"),
        pytest.param(0xFFFFFFFF, 0, id="last second of the counter"),
    ],
)
def test_an_impossible_clock_keeps_its_row_on_the_files_day_without_a_time(lake: Lake, time_s: int, ticks: int) -> None:
    intake = taken(lake, photon(1), photon(2, time_s, ticks, clocks=(0, 39_062)), photon(3, NOON + 1))
    assert (intake.packets, intake.clock_invalid) == (3, 1)
    for table, chosen in (("l0_photon_packet", 1), ("l0_photon", 2)):
        bad = rows(lake, table).filter(pl.col("sequence_count") == 2)
        assert bad["quality_flag"].to_list() == [CLOCK_INVALID] * chosen
        assert bad["time"].to_list() == bad["epoch_tt2000"].to_list() == [None] * chosen
        assert bad["day"].to_list() == [FILE_DAY] * chosen
        assert (bad["time_s"][0], bad["time_clocks"][0]) == (time_s, ticks)
        good = rows(lake, table).filter(pl.col("sequence_count") != 2)
        assert (good["quality_flag"].sum(), good["time"].null_count()) == (0, 0)


def test_the_first_and_last_second_of_the_mission_are_believed(lake: Lake) -> None:
    taken(lake, housekeeping(1, met(2024, 2, 1)), housekeeping(2, met(2050, 1, 1) - 1))
    assert rows(lake, "l0_housekeeping")["day"].to_list() == [date(2024, 2, 1), date(2049, 12, 31)]


def test_events_across_midnight_land_on_their_own_day(lake: Lake) -> None:
    # 0.2 s before midnight; events after 0, 0.199,987,2, 0.2 and 0.499,993,6 s.
    taken(lake, photon(1, met(2024, 9, 16, 23, 59, 59), ticks=16_000_000, clocks=(0, 15_624, 15_625, 39_062)))
    events = rows(lake, "l0_photon").sort("clocks")
    assert events["day"].to_list() == [date(2024, 9, 16)] * 2 + [date(2024, 9, 17)] * 2
    assert events["time"][2] == datetime(2024, 9, 17, tzinfo=UTC)
    assert rows(lake, "l0_photon_packet")["day"].to_list() == [date(2024, 9, 16)]
    contents = read_ops(lake, "contents").sort("table_name", "day").select("table_name", "day", "rows").rows()
    assert contents == [
        ("padre.meddea_l0_photon", date(2024, 9, 16), 2),
        ("padre.meddea_l0_photon", date(2024, 9, 17), 2),
        ("padre.meddea_l0_photon_packet", date(2024, 9, 16), 1),
    ]


def test_an_event_may_come_after_the_live_time_but_within_the_integration_time(lake: Lake) -> None:
    # Four events of three words are as long as three of four words; the file holds nothing else to tell by.
    taken(lake, photon(1, clocks=(0, 1, 2, 39_061)))
    assert rows(lake, "l0_photon")["clocks"].to_list() == [0, 1, 2, 39_061]


def test_packets_of_several_days_in_one_file_go_to_their_days(lake: Lake) -> None:
    taken(lake, *(housekeeping(day, met(2024, 9, day, 12)) for day in (18, 16, 17)))
    assert sorted(rows(lake, "l0_housekeeping").select("day", "sequence_count").rows()) == [
        (date(2024, 9, day), day) for day in (16, 17, 18)
    ]


def test_a_photon_packet_without_events_is_a_packet_and_no_event(lake: Lake) -> None:
    taken(lake, photon(1, clocks=()))
    assert rows(lake, "l0_photon_packet")["event_count"].to_list() == [0]
    assert rows(lake, "l0_photon").height == 0


# ---- bytes that are no good packet ---------------------------------------------------------------------------------
def test_junk_before_between_and_after_packets_is_quarantined_and_they_are_decoded(lake: Lake) -> None:
    intake = taken(lake, b"\xff" * 90, HK0, b"junk!", HK1, HK2, b"\x01" * 10)
    assert counts(lake) == [0, 1, 2]
    assert quarantined(lake) == [(0, 90, "JUNK"), (130, 5, "JUNK"), (215, 10, "JUNK")]
    assert [stretch[1:4] for stretch in intake.quarantined] == [("JUNK", 0, 90), ("JUNK", 130, 5), ("JUNK", 215, 10)]


def test_a_packet_cut_off_at_the_end_is_quarantined(lake: Lake) -> None:
    taken(lake, HK0, HK1[:39])
    assert (counts(lake), quarantined(lake)) == ([0], [(40, 39, "TRUNCATED")])


def test_a_packet_cut_off_in_the_middle_of_a_file_costs_no_other_one(lake: Lake) -> None:
    taken(lake, HK0, HK1[:25], HK2)
    assert counts(lake) == [0, 2]
    [(offset, length, _)] = quarantined(lake)
    assert (offset, length) == (40, 25)


@pytest.mark.parametrize("length", [0, 32, 34, 1000, 65_535])
def test_a_wrong_length_field_costs_one_packet(lake: Lake, length: int) -> None:
    taken(lake, HK0, HK1[:4] + struct.pack(">H", length) + HK1[6:], HK2)
    assert (counts(lake), quarantined(lake)) == ([0, 2], [(40, 40, "BAD_LENGTH")])


def test_a_wrong_checksum_costs_one_packet(lake: Lake) -> None:
    taken(lake, HK0, HK1[:20] + bytes([HK1[20] ^ 4]) + HK1[21:], HK2)
    assert (counts(lake), quarantined(lake)) == ([0, 2], [(40, 40, "CHECKSUM")])


def test_zeros_pass_for_no_packet(lake: Lake) -> None:
    taken(lake, HK0, bytes(40), HK1, bytes(24_648))
    assert (counts(lake), quarantined(lake)) == ([0, 1], [(40, 40, "ALL_ZERO"), (120, 24_648, "ALL_ZERO")])
    taken(lake, bytes(80), name="padreMDU8_240916122905.dat")
    assert read_ops(lake, "files").sort("name")["bytes_quarantined"].to_list() == [24_688, 80]


def test_unknown_apids_are_quarantined_with_their_number_and_disturb_no_other(lake: Lake) -> None:
    strangers = [build_packet(500, "01" * 100, count) for count in range(3)]
    taken(lake, HK0, *strangers, HK1, build_packet(501, "1" * 64), HK2)
    assert counts(lake) == [0, 1, 2]
    found = read_ops(lake, "quarantine").sort("byte_offset").select("reason", "apid", "packets", "bytes").rows()
    assert found == [("UNKNOWN_APID", 500, 3, 93), ("UNKNOWN_APID", 501, 1, 14)]


def test_a_photon_packet_that_holds_part_of_an_event_is_quarantined(lake: Lake) -> None:
    words = [NOON >> 16, NOON & 0xFFFF, 0, 0, 39_062, 39_000, 0, 0, 1, 26, 900, 2, 26]
    odd = seal(build_packet(160, "".join(f"{word:016b}" for word in words), 5), 20)
    taken(lake, photon(4), odd, photon(6))
    assert counts(lake, "l0_photon_packet") == [4, 6]
    assert quarantined(lake) == [(40, 32, "BAD_LAYOUT")]


def test_a_file_of_nothing_but_noise_gives_no_row_and_is_accounted_for(lake: Lake) -> None:
    taken(lake, bytes(index * 37 % 251 for index in range(5000)))
    assert [rows(lake, f"l0_{name}").height for name in ("photon", "spectrum", "housekeeping", "register")] == [0] * 4
    assert read_ops(lake, "files")["bytes_quarantined"].to_list() == [5000]


def test_where_chunks_are_cut_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(photon(count, NOON + count), housekeeping(count, NOON + count)) for count in range(60)]
    good = [packet for pair in pairs for packet in pair]
    damaged = good[7][:11] + b"\xff" * 30
    file = [*good[:40], damaged, *good[40:80], bytes(500), build_packet(500, "1" * 800), *good[80:], *good[:9], HK0[:9]]
    found = {}
    for size in (None, 997, 64, 1):
        lake = empty_lake(tmp_path / f"lake_{size}")
        scan = scan_packets if size is None else partial(scan_packets, chunk_bytes=size)
        monkeypatch.setattr(transport, "scan_packets", scan)
        taken(lake, *file)
        tables = [rows(lake, table) for table in ("l0_photon", "l0_photon_packet", "l0_housekeeping")]
        found[size] = ([table.rows() for table in tables], quarantined(lake))
    whole = found.pop(None)
    assert [len(table) for table in whole[0]] == [195, 65, 64]
    assert all(other == whole for other in found.values())


# ---- repetitions ---------------------------------------------------------------------------------------------------
def test_a_repeated_packet_is_kept_flagged_and_counted(lake: Lake) -> None:
    intake = taken(lake, HK0, HK1, HK0, photon(3), photon(3), spectrum(4), spectrum(4), register(5), register(5))
    assert (intake.packets, intake.duplicates) == (9, 4)
    for table, flags in (
        ("l0_housekeeping", [0, 0, RETRANSMITTED]),
        ("l0_photon_packet", [0, RETRANSMITTED]),
        ("l0_photon", [0] * 3 + [RETRANSMITTED] * 3),
        ("l0_spectrum", [0, RETRANSMITTED]),
        ("l0_register", [0, RETRANSMITTED]),
    ):
        assert rows(lake, table)["quality_flag"].to_list() == flags
    new = read_ops(lake, "contents").select(pl.col("rows", "new_rows").sum()).row(0)
    assert new == (15, 8)


def test_a_count_that_comes_again_with_other_contents_is_no_repetition(lake: Lake) -> None:
    intake = taken(lake, housekeeping(7), housekeeping(7, value=2), housekeeping(7, NOON + 1), housekeeping(8))
    assert intake.duplicates == 0
    assert rows(lake, "l0_housekeeping")["quality_flag"].to_list() == [0] * 4


def test_a_repeated_packet_with_an_impossible_clock_has_both_flags(lake: Lake) -> None:
    taken(lake, housekeeping(1, 0), housekeeping(1, 0))
    assert rows(lake, "l0_housekeeping")["quality_flag"].to_list() == [CLOCK_INVALID, CLOCK_INVALID | RETRANSMITTED]


# ---- times that their neighbours contradict ------------------------------------------------------------------------
NEAR, FAR = 10**9, 100 * 10**9


@pytest.mark.parametrize(
    ("times", "counts", "apids", "lone"),
    [
        ([0, FAR, 2 * NEAR], [5, 6, 7], [9, 9, 9], [False, True, False]),
        ([0, -FAR, 2 * NEAR], [16382, 16383, 0], [9, 9, 9], [False, True, False]),
        ([0, NEAR, 2 * NEAR], [5, 6, 7], [9, 9, 9], [False] * 3),
        ([0, FAR, 2 * FAR], [5, 6, 7], [9, 9, 9], [False] * 3),  # a silence
        ([0, FAR, 2 * NEAR], [5, 7, 8], [9, 9, 9], [False] * 3),  # a packet between them is lost
        ([0, FAR, 2 * NEAR], [5, 6, 7], [9, 8, 9], [False] * 3),
        ([0, FAR, FAR, 2 * NEAR], [5, 6, 7, 8], [9] * 4, [False] * 4),
        ([FAR], [5], [9], [False]),
        ([], [], [], []),
    ],
)
def test_a_time_is_wrong_if_the_packets_before_and_after_agree_on_another(
    times: list[int], counts: list[int], apids: list[int], lone: list[bool]
) -> None:
    arrays = (np.array(values, np.int64) for values in (times, counts, apids, [1] * len(times)))
    assert contradicted(*arrays).tolist() == lone


def test_packets_in_parts_follow_each_other_by_the_counts_of_their_parts() -> None:
    times, counts, segments = (np.array(v, np.int64) for v in ([0, FAR, 2 * NEAR], [16_381, 2, 4], [5, 2, 1]))
    apids = np.full(3, 9, np.int64)
    assert contradicted(times, counts, apids, segments).tolist() == [False, True, False]
    assert contradicted(times, counts, apids, segments * 0 + 1).tolist() == [False] * 3
