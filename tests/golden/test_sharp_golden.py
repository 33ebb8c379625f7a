# SPDX-License-Identifier: Apache-2.0
"""The real SHARP file through ingest: its packets, the frames in them, and the records that these seem to hold."""

from __future__ import annotations

from datetime import date
from functools import reduce
from itertools import pairwise
from operator import xor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.unpackers.sharp_detector import FRAME_HEADER, records_of, unpack
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake
from tests.meddea import drop, empty_lake, quarantined, take, unbalanced
from tests.packets import build_packet
from tests.shared_data import golden_folder, telemetry_folder

FILE = "PADRESP13_250503042550.DAT"
CLOCK_INVALID, SEQUENCE_GAP = 1, 1 << 8
pytestmark = pytest.mark.telemetry


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = empty_lake(tmp_path_factory.mktemp("sharp") / "lake")
    take(lake, telemetry_folder("padre", "sharp") / FILE)
    return lake


@pytest.fixture(scope="module")
def packets(lake: Lake) -> pl.DataFrame:
    return scan(lake, lake.definitions.tables["padre.sharp_l0_packet"]).collect().sort("byte_offset")


def golden(table: str) -> pl.DataFrame:
    return pl.read_parquet(golden_folder("padre") / FILE.removesuffix(".DAT") / f"{table}.parquet")


# ---- the real file -------------------------------------------------------------------------------------------------
def test_every_byte_of_the_file_is_in_one_of_eleven_packets(lake: Lake, packets: pl.DataFrame) -> None:
    assert quarantined(lake) == []
    columns = ("bytes", "bytes_decoded", "packets", "duplicates", "status")
    assert read_ops(lake, "files").select(columns).rows() == [(251_707, 251_707, 11, 0, "ingested")]
    assert len(packets) == 11


def test_packets_have_the_golden_header_counter_and_place(packets: pl.DataFrame) -> None:
    names = ["byte_offset", "apid", "sequence_flags", "sequence_count", "packet_bytes", "counter", "frame_offset"]
    theirs = ["offset", "apid", "seq_flags", "seqcount", "packet_size", "time48", "sync_offset"]
    assert packets.select(names).rows() == golden("packets").select(theirs).rows()


def test_header_counter_and_payload_make_up_the_packet(packets: pl.DataFrame) -> None:
    rows = packets.select("sequence_count", "packet_bytes", "counter", "payload").rows()
    for (count, size, counter, payload), expected in zip(rows, golden("packets")["xor8"], strict=True):
        header = bytes([0xA8, 0x13]) + count.to_bytes(2) + (size - 7).to_bytes(2) + counter.to_bytes(6)
        assert reduce(xor, header + payload) == expected


def test_rows_have_no_time_and_tell_of_the_packets_that_are_missing(packets: pl.DataFrame) -> None:
    assert packets["epoch_tt2000"].null_count() == packets["time"].null_count() == 11
    assert packets["day"].unique().to_list() == [date(2025, 5, 3)]
    gaps = [bool(flags & SEQUENCE_GAP) for flags in packets["quality_flag"]]
    counts = golden("packets")["seqcount"].to_list()
    assert gaps == [False, *(later != count + 1 for count, later in pairwise(counts))]
    assert all(flags & CLOCK_INVALID for flags in packets["quality_flag"])


def test_frame_headers_at_the_offsets_are_the_golden_ones(packets: pl.DataFrame) -> None:
    expected = golden("frame_headers_inferred")
    for (at, payload), frame in zip(
        packets.select("frame_offset", "payload").rows(), expected.iter_rows(named=True), strict=True
    ):
        header = payload[at - 12 : at - 12 + FRAME_HEADER]
        assert len(payload) + 12 - at == frame["bytes_after_sync"]
        words = np.frombuffer(header[24:32], "<u2").tolist()
        assert words == [frame[name] for name in ("u16_24", "u16_26", "u16_28", "u16_30")]
        assert int.from_bytes(header[8:10], "little") == frame["n_records"]


def test_records_of_the_first_packet_are_the_golden_ones(lake: Lake) -> None:
    table = scan(lake, lake.definitions.tables["padre.sharp_l0_record_inferred"]).collect()
    first = table.filter(pl.col("sequence_count") == 0).sort("record_number")
    assert first["record_number"].to_list() == list(range(3453))
    assert first.select("tick", "word", "value").rows() == golden("records_packet0_inferred").rows()
    # As many as lie in the packet: 33 bytes of a frame hold none, 53 hold three. That of packet 18 has flag 3 and two
    # bytes more than the layout says, so nobody knows where its records begin.
    counts = dict(table.group_by("sequence_count").len().rows())
    assert counts == {0: 3453, 2: 3809, 19: 1670, 21: 1670, 26: 1670, 30: 3}


def test_of_two_whole_frames_one_verifies_and_those_cut_off_say_nothing(lake: Lake) -> None:
    table = scan(lake, lake.definitions.tables["padre.sharp_l0_record_inferred"]).collect()
    sums = table.group_by("byte_offset").agg(pl.col("frame_sum").first()).sort("byte_offset")["frame_sum"].to_list()
    assert sums[:2] == [0, 21]
    assert set(sums[2:]) == {None}


def test_the_inferred_table_is_marked_experimental(lake: Lake) -> None:
    table = lake.definitions.tables["padre.sharp_l0_record_inferred"]
    assert table.experimental
    assert table.title.startswith("EXPERIMENTAL")


def test_the_same_file_again_adds_nothing_and_a_copy_is_flagged_as_repeated(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    octets = (telemetry_folder("padre", "sharp") / FILE).read_bytes()
    inbox = tmp_path / "inbox"
    take(lake, drop(inbox, FILE, octets))
    take(lake, drop(inbox, FILE, octets))
    assert read_ops(lake, "files")["duplicates"].to_list() == [0]
    take(lake, drop(inbox, FILE, octets, octets[:20_765]), run="again")
    assert sorted(read_ops(lake, "files")["duplicates"].to_list()) == [0, 12]


# ---- streams that nobody has described -----------------------------------------------------------------------------
@pytest.mark.parametrize("stream", ["SP20", "SP30", "SP122", "SP160", "SP162"])
def test_a_stream_without_a_layout_is_archived_and_quarantined_whole(tmp_path: Path, stream: str) -> None:
    """Even if it holds what would be a packet of a detector, or has the APID of MeDDEA's photons."""
    lake = empty_lake(tmp_path / "lake")
    octets = build_packet(19, "01" * 400, 1, 5, 1) + build_packet(160, "10" * 88, 2)
    take(lake, drop(tmp_path / "inbox", f"PADRE{stream}_250503042550.DAT", octets))
    assert quarantined(lake) == [(0, len(octets), "NO_DEFINITION")]
    detail = read_ops(lake, "quarantine")["detail"][0]
    assert "missions/padre/sharp" in detail
    assert unbalanced(lake) == []
    assert scan(lake, lake.definitions.tables["padre.sharp_l0_packet"]).collect().is_empty()
    assert octets in [path.read_bytes() for path in (tmp_path / "lake" / "raw").rglob("*") if path.is_file()]


# ---- the frame of a packet -----------------------------------------------------------------------------------------
def frame(records: list[tuple[int, int, int]], length: int | None = None) -> bytes:
    """A frame of these records by the inferred layout."""
    size = 25 + 6 * len(records) if length is None else length
    header = b"\x55\xbb\x01" + size.to_bytes(2, "little") + b"\1\0\0" + len(records).to_bytes(2, "little")
    words = b"".join(word.to_bytes(2, "little") for record in records for word in record)
    return header.ljust(FRAME_HEADER, b"\0") + words + b"\0\0\xa8"


RECORDS = st.lists(st.tuples(*[st.integers(0, 65_535)] * 3), max_size=20)


@given(RECORDS, st.integers(0, 200))
@settings(max_examples=60)
def test_records_are_those_whose_bytes_are_all_there(records: list[tuple[int, int, int]], size: int) -> None:
    whole = frame(records)
    there = max(0, (min(size, len(whole)) - FRAME_HEADER) // 6)
    assert [tuple(row) for row in records_of(whole[:size]).tolist()] == records[: min(there, len(records))]


def test_a_frame_whose_length_contradicts_its_count_holds_no_records() -> None:
    assert len(records_of(frame([(1, 2, 3)], length=30))) == 0


def test_a_packet_without_a_frame_has_none() -> None:
    octets = np.frombuffer(bytes(40), np.uint8)
    extra = unpack(octets, np.array([0], np.int64), np.array([40], np.int64), {})
    assert extra.packet["frame_offset"].tolist() == [None]
    assert extra.packet["payload"].tolist() == [bytes(28)]
    assert extra.counts.tolist() == [0]
