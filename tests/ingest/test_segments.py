# SPDX-License-Identifier: Apache-2.0
"""Packets that were sent in parts, through every transport, and what becomes of them in the lake."""

from __future__ import annotations

import csv
import random
from binascii import crc_hqx
from datetime import date
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.ccsds import Reason, scan_packets
from ingest.limits import MOST_BYTES, MOST_PARTS
from ingest.transport import forms as transport_module
from ingest.transport import segments
from ingest.transport.forms import packet_chunks
from ingest.transport.markers import marker_chunks
from ingest.unpack import Ragged, compile_plan, unpack
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.packet_definitions import Packet, PacketField
from lake.reading import scan
from lake.source_definitions import Frames, Transport
from lake.store import Lake
from tests.chunks import DAMAGE, Found, damaged
from tests.meddea import MISSIONS, drop, take, unbalanced
from tests.packets import build_packet
from tests.toy import write_missions
from tests.transfer_frames import Link

HEAD = PacketField(name="number", kind="uint", bits=16)
REST = PacketField(name="rest", kind="uint", bits=8, expand=True)
CRC = PacketField(name="crc", kind="uint", bits=16)
IMAGE = Packet(name="image", apids=(300,), fields=(HEAD, REST), max_bytes=60_000, segmented=True)
SEALED = Packet(
    name="sealed", apids=(301,), fields=(HEAD, REST, CRC), max_bytes=60_000, segmented=True, checksum="crc16_ccitt"
)
SMALL = Packet(name="small", apids=(302,), fields=(PacketField(name="all", kind="uint", bits=64),), max_bytes=14)
TYPES = (IMAGE, SEALED, SMALL)
PLAIN = Transport()
MARKED = Transport(prefix="1acffc1d", suffix="55")
FRAMED = Transport(frames=Frames(kind="aos", length=100, sync="1acffc1d", error_control=True))


def wire(apid: int, count: int, flags: int, data: bytes) -> bytes:
    """One packet on the wire; that of 301 ends in its CRC."""
    size = len(data) + 2 * (apid == 301)
    octets = build_packet(apid, "0" * 8 * size, count, sequence_flags=flags)[:6] + data
    return octets + crc_hqx(octets, 0xFFFF).to_bytes(2, "big") if apid == 301 else octets


def parts_of(apid: int, count: int, data: list[bytes]) -> list[bytes]:
    flags = [3] if len(data) == 1 else [1, *[0] * (len(data) - 2), 2]
    return [wire(apid, count + i, flag, part) for i, (flag, part) in enumerate(zip(flags, data, strict=True))]


def apid_of(packet: bytes) -> int:
    return int.from_bytes(packet[:2]) & 0x7FF


def whole(parts: list[bytes]) -> bytes:
    """The packet that the parts make: the first header, then all data; of CRCs only the last one."""
    sealed = apid_of(parts[0]) == 301
    data = [part[6:-2] if sealed and index + 1 < len(parts) else part[6:] for index, part in enumerate(parts)]
    return parts[0][:6] + b"".join(data)


def groups_of(seed: object, count: int) -> list[list[bytes]]:
    """Packets of all types in one to five parts."""
    rng, groups = random.Random(str(seed)), []
    counts = {300: 16_380, 301: 0, 302: 7}
    for _ in range(count):
        apid = rng.choice((300, 301, 301, 302))
        sizes = [8] if apid == 302 else [rng.randrange(2, 200) for _ in range(rng.randrange(1, 6))]
        group = parts_of(apid, counts[apid], [rng.randbytes(size) for size in sizes])
        counts[apid] += len(group)
        groups.append(group)
    return groups


def mixed(groups: list[list[bytes]], seed: int = 0) -> list[bytes]:
    """The parts of all packets: each APID in its order, the APIDs mixed."""
    rng = random.Random(seed)
    lanes = {apid: [part for group in groups for part in group if apid_of(part) == apid] for apid in (300, 301, 302)}
    order = [apid for apid, parts in lanes.items() for _ in parts]
    rng.shuffle(order)
    return [lanes[apid].pop(0) for apid in order]


def carried(packets: list[bytes], transport: Transport) -> bytes:
    if transport.frames:
        link = Link(transport.frames)
        for packet in packets:
            link.send(1, packet)
        link.send(1, build_packet(2047, "1" * 8 * 300))
        return link.file
    prefix, suffix = bytes.fromhex(transport.prefix), bytes.fromhex(transport.suffix)
    return b"".join(prefix + packet + suffix for packet in packets)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "parts.bin"


def found(file: Path, content: bytes, transport: Transport = PLAIN) -> Found:
    file.write_bytes(content)
    return Found(packet_chunks(file, TYPES, transport), len(content))


@pytest.mark.parametrize("transport", [PLAIN, MARKED, FRAMED], ids=["plain", "marked", "framed"])
def test_parts_are_joined_however_they_come(file: Path, transport: Transport) -> None:
    groups = groups_of(1, 80)
    packets = mixed(groups)
    scan = found(file, carried(packets, transport), transport)
    assert sorted(scan.packets) == sorted(whole(group) for group in groups)
    assert {s.reason for s in scan.stretches} <= {Reason.TRUNCATED}
    parts = {whole(group): len(group) for group in groups}
    assert [parts[packet] for packet in scan.packets] == scan.segments
    if transport is PLAIN:
        content = carried(packets, transport)
        assert [content[place : place + 6] for place in scan.places] == [packet[:6] for packet in scan.packets]


def test_a_packet_stands_where_its_first_part_does(file: Path) -> None:
    first, second = parts_of(300, 4, [b"aaaa", b"bb"])
    small = wire(302, 0, 3, b"12345678")
    scan = found(file, small + first + small + second)
    assert scan.places == [0, 14, 24]
    assert scan.packets == [small, first + b"bb", small]
    assert scan.overhead == 6


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_packet_that_lacks_a_part_is_quarantined_with_the_parts_that_are_there(file: Path, missing: int) -> None:
    before, group, after = (parts_of(300, count, [b"abc", b"defg", b"hi"]) for count in (0, 3, 6))
    left = [part for index, part in enumerate(group) if index != missing]
    scan = found(file, b"".join([*before, *left, *after]))
    assert scan.packets == [whole(before), whole(after)]
    assert sum(s.length for s in scan.stretches) == sum(map(len, left))
    assert sum(s.packets for s in scan.stretches) == 2
    assert set(scan.reasons) == {Reason.INCOMPLETE}
    assert scan.stretches[0].detail == "a part of a packet of APID 300, of which other parts are missing"


def test_parts_out_of_order_and_parts_at_the_end_are_quarantined(file: Path) -> None:
    one, two, three = parts_of(301, 10, [b"abc", b"defg", b"hi"])
    scan = found(file, one + three + two + wire(301, 20, 3, b"fine") + wire(301, 21, 1, b"begun"))
    assert scan.packets == [wire(301, 20, 3, b"fine")]
    assert set(scan.reasons) == {Reason.INCOMPLETE}
    assert sum(s.packets for s in scan.stretches) == 4


def test_every_part_is_verified_by_its_own_checksum(file: Path) -> None:
    parts = parts_of(301, 0, [b"abcdefgh", b"ijklmnop", b"qrstuvwx"])
    parts[1] = parts[1][:8] + b"?" + parts[1][9:]
    scan = found(file, b"".join(parts) + wire(301, 3, 3, b"fine"))
    assert scan.packets == [wire(301, 3, 3, b"fine")]
    assert sorted(scan.reasons) == [Reason.CHECKSUM, Reason.INCOMPLETE, Reason.INCOMPLETE]


def test_where_chunks_are_cut_makes_no_difference(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = carried(mixed(groups_of(2, 60)), PLAIN)
    reference = found(file, content)
    for size in (1, 64, 5000):
        monkeypatch.setattr(transport_module, "scan_packets", partial(scan_packets, chunk_bytes=size))
        part = found(file, content)
        assert (part.places, part.packets, part.segments) == (reference.places, reference.packets, reference.segments)
    content = carried(mixed(groups_of(2, 60)), MARKED)
    marked = found(file, content, MARKED)
    part = Found(marker_chunks(file, TYPES, MARKED, 900), len(content))
    assert (part.places, part.packets) == (marked.places, marked.packets)
    assert marked.packets == reference.packets


@given(st.integers(0, 10**6), st.sampled_from(DAMAGE), st.sampled_from([PLAIN, MARKED, FRAMED]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_never_makes_a_packet_of_parts_that_do_not_belong_together(
    file: Path, seed: int, kind: str, transport: Transport
) -> None:
    groups = [group for group in groups_of(seed, 25) if apid_of(group[0]) != 300]
    if not groups:
        return
    content, *_ = damaged(random.Random(seed), carried(mixed(groups, seed), transport), kind)
    sealed = {whole(group) for group in groups if apid_of(group[0]) == 301}
    assert {packet for packet in found(file, content, transport).packets if apid_of(packet) == 301} <= sealed


# ---- in the lake ---------------------------------------------------------------------------------------------------
INSTRUMENT = """\
    name: box
    short_name: box
    title: A box
    description: It sends images in parts
    status: flying
    clock: {epoch: "2000-01-01T00:00:00", policy: POLICY, coarse: time_s}
    packets:
      tick: {apids: [7], identity: [time_s], segmented: true}
    """
LAYOUT = """\
    name,data_type,bit_length,unit,description,valid_min,valid_max
    time_s,uint,32,s,Seconds since the clock's epoch,,
    value,uint,16,adu,Measured value,,
    pixels,uint(expand),8,adu,Pixels,,
    """
SECOND = 779_760_005  # 2024-09-16T12:00:00


def lake_of(folder: Path, policy: str) -> Lake:
    missions = write_missions(folder / "missions")
    (missions / "toy/box/instrument.yaml").write_text(dedent(INSTRUMENT).replace("POLICY", policy))
    (missions / "toy/box/packets/tick.csv").write_text(dedent(LAYOUT))
    (folder / "lake").mkdir()
    return Lake(folder / "lake", read_definitions(missions))


def image(count: int, second: int, parts: int) -> list[bytes]:
    """A packet of the box in some parts."""
    data = [(SECOND + second).to_bytes(4, "big") + b"\0\x05", *[bytes([number] * 3) for number in range(parts)]]
    return parts_of(7, count, data if parts else [data[0] + b"\1"])


def missing(lake: Lake) -> list[tuple[int, date, int, bool]]:
    gaps = read_ops(lake, "gaps").select("apid", "day", "missing", "start_time")
    return sorted((apid, day, count, time is None) for apid, day, count, time in gaps.iter_rows())


@pytest.mark.parametrize("policy", ["leap", "none"])
def test_counts_of_parts_are_no_gap_and_missing_packets_are(tmp_path: Path, policy: str) -> None:
    lake = lake_of(tmp_path, policy)
    sent = [*image(16_380, 0, 2), *image(16_383, 1, 4), *image(4, 2, 0), *image(5, 3, 1), *image(11, 4, 0)]
    intake = take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120000_v0.bin", *sent))
    rows = scan(lake, lake.definitions.tables["toy.box_l0_tick"]).collect().sort("byte_offset")
    assert rows["packet_segments"].to_list() == [3, 5, 1, 2, 1]
    assert rows["pixels"].to_list()[0] == [0, 0, 0, 1, 1, 1]
    assert rows["packet_bytes"].to_list()[0] == 12 + 6
    assert unbalanced(lake) == []
    assert intake.missing == 4
    assert missing(lake) == [(7, date(2024, 9, 16), 4, policy == "none")]


def test_without_times_gaps_are_found_file_by_file(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, "none")
    inbox = tmp_path / "inbox"
    first = [part for count in (1, 2, 5, 5, 4, 5) for part in image(count, 0, 0)]
    take(lake, drop(inbox, "toy_box_l0_2024260-120000_v0.bin", *first))
    # The step back to 4 is a repetition; what lies between the files is not known.
    assert missing(lake) == [(7, date(2024, 9, 16), 2, True)]
    take(lake, drop(inbox, "toy_box_l0_2024261-120000_v0.bin", *image(90, 0, 0), *image(92, 0, 0)))
    assert missing(lake) == [(7, date(2024, 9, 16), 2, True), (7, date(2024, 9, 17), 1, True)]


def test_without_times_a_gap_between_repetitions_is_told_once(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, "none")
    first = [part for count in (0, 1, 4) for part in image(count, 0, 0)]
    take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120000_v0.bin", *first))
    take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120001_v0.bin", *first, *image(7, 0, 0)))
    assert [count for _, _, count, _ in missing(lake)] == [2, 2]  # 2 and 3, and 5 and 6


def test_an_image_of_more_than_a_million_bytes_is_whole(file: Path) -> None:
    fields = (
        PacketField(name="count", kind="uint", bits=32),
        PacketField(name="pixels", kind="uint", bits=8, length_field="count"),
    )
    packet = IMAGE.model_copy(update={"fields": fields})
    data = (1_100_000).to_bytes(4, "big") + b"\1" * 1_100_000
    file.write_bytes(b"".join(parts_of(300, 0, [data[at : at + 60_000] for at in range(0, len(data), 60_000)])))
    [chunk] = [chunk for chunk in packet_chunks(file, (packet,), PLAIN) if len(chunk.offsets)]
    pixels = unpack(compile_plan(packet, whole=True), chunk.data, chunk.offsets, chunk.lengths).columns["pixels"]
    assert isinstance(pixels, Ragged)
    assert pixels.counts.tolist() == [int(pixels.values.sum())] == [1_100_000]


def test_packets_of_too_many_parts_or_bytes_are_quarantined(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MOST_PARTS", 3)
    three, four = (parts_of(300, count, [b"ab"] * number) for count, number in ((0, 3), (3, 4)))
    scan = found(file, b"".join([*three, *four]))
    assert scan.packets == [whole(three)]
    assert scan.stretches[0].detail.endswith("which has more than 3 parts or 67108864 bytes")
    assert sum(stretch.packets for stretch in scan.stretches) == 4


def test_the_table_of_a_joined_packet_holds_its_limits() -> None:
    with (MISSIONS / "columns.csv").open() as file:
        columns = {row["name"]: row for row in csv.DictReader(file)}
    assert (columns["packet_segments"]["type"], int(columns["packet_segments"]["valid_max"])) == ("int32", MOST_PARTS)
    assert (columns["packet_bytes"]["type"], int(columns["packet_bytes"]["valid_max"])) == ("int32", MOST_BYTES)
