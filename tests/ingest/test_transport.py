# SPDX-License-Identifier: Apache-2.0
"""Packets between markers, and idle packets among others."""

from __future__ import annotations

import random
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.ccsds import Reason
from ingest.transport.forms import packet_chunks
from ingest.transport.markers import marker_chunks
from lake.packet_definitions import Packet, PacketField
from lake.source_definitions import Transport
from tests.chunks import DAMAGE, Found, damaged, lost
from tests.packets import build_packet, seal

CHECKED = Packet(
    name="checked",
    apids=(160,),
    fields=(
        PacketField(name="first", kind="uint", bits=16, shape=(7,)),
        PacketField(name="checksum", kind="uint", bits=16),
        PacketField(name="rest", kind="uint", bits=16, expand=True),
    ),
    max_bytes=1300,
    checksum="xor16",
)
FIXED = Packet(name="fixed", apids=(21,), fields=(PacketField(name="all", kind="bytes", bits=264),), max_bytes=39)
PLAIN = Packet(
    name="plain", apids=(22,), fields=(PacketField(name="all", kind="bytes", bits=8, expand=True),), max_bytes=900
)
TYPES = (CHECKED, FIXED, PLAIN)
PREFIX, SUFFIX = bytes.fromhex("1acffc1d"), bytes.fromhex("c5c5")
MARKED = Transport(prefix=PREFIX.hex(), suffix=SUFFIX.hex())
PREFIXED = Transport(prefix=PREFIX.hex())


def packet_of(rng: random.Random, number: int, packet: Packet) -> bytes:
    size = rng.randrange(20, 500) * 2 if packet is CHECKED else rng.randrange(7, 700)
    size = packet.min_bytes if packet is FIXED else size
    octets = build_packet(packet.apids[0], "0" * 8 * (size - 6), number)[:6] + rng.randbytes(size - 6)
    return seal(octets, 20) if packet is CHECKED else octets


def packets_of(seed: object, count: int, types: tuple[Packet, ...] = TYPES) -> list[bytes]:
    rng = random.Random(str(seed))
    return [packet_of(rng, number, rng.choice(types)) for number in range(count)]


def between(packets: list[bytes], transport: Transport) -> list[bytes]:
    prefix, suffix = bytes.fromhex(transport.prefix), bytes.fromhex(transport.suffix)
    return [prefix + packet + suffix for packet in packets]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "packets.bin"


def found(file: Path, content: bytes, transport: Transport, types: tuple[Packet, ...] = TYPES) -> Found:
    file.write_bytes(content)
    return Found(packet_chunks(file, types, transport), len(content))


@pytest.mark.parametrize("transport", [MARKED, PREFIXED], ids=["prefix and suffix", "prefix"])
def test_packets_between_markers_are_found_at_their_places(file: Path, transport: Transport) -> None:
    packets = packets_of(1, 300)
    wrapped = between(packets, transport)
    scan = found(file, b"".join(wrapped), transport)
    assert scan.packets == packets
    assert scan.stretches == []
    starts = [0, *accumulate(map(len, wrapped))][:-1]
    assert scan.places == [start + 4 for start in starts]
    assert scan.overhead == 300 * len(wrapped[0]) - 300 * len(packets[0])


@pytest.mark.parametrize("transport", [MARKED, PREFIXED], ids=["prefix and suffix", "prefix"])
def test_where_chunks_are_cut_makes_no_difference(file: Path, transport: Transport) -> None:
    rng = random.Random(2)
    content = b"".join(between(packets_of(2, 100), transport))
    for _ in range(12):
        content, *_ = damaged(rng, content, rng.choice(DAMAGE[:-1]))
    whole = found(file, content, transport)
    for chunk_bytes in (250, 3000, 30_001):
        part = Found(marker_chunks(file, TYPES, transport, chunk_bytes), len(content))
        assert (part.places, part.packets, part.stretches) == (whole.places, whole.packets, whole.stretches)


@pytest.mark.parametrize("marker", ["prefix", "suffix", "both"])
def test_a_damaged_marker_loses_no_packet(file: Path, marker: str) -> None:
    packets = packets_of(3, 60)
    for index in (0, 1, 30, 58, 59):
        wrapped = between(packets, MARKED)
        if marker != "suffix":
            wrapped[index] = b"\x1a\xcf\xff\x1d" + wrapped[index][4:]
        if marker != "prefix":
            wrapped[index] = wrapped[index][:-2] + b"\xc5\xff"
        scan = found(file, b"".join(wrapped), MARKED)
        assert scan.packets == packets
        assert set(scan.reasons) == {Reason.JUNK}


def test_lost_markers_lose_no_packet(file: Path) -> None:
    packets = packets_of(4, 60)
    wrapped = between(packets, PREFIXED)
    wrapped[20:30] = packets[20:30]
    scan = found(file, b"".join(wrapped), PREFIXED)
    assert scan.packets == packets
    assert scan.stretches == []


def test_what_looks_like_a_prefix_within_a_packet_is_part_of_it(file: Path) -> None:
    inner = PREFIX + packets_of(5, 1, (FIXED,))[0]
    outer = build_packet(22, "0" * 8 * (len(inner) + 20))[:6] + b"0123456789" + inner + b"0123456789"
    packets = [*packets_of(6, 3), outer, *packets_of(7, 3)]
    assert found(file, b"".join(between(packets, PREFIXED)), PREFIXED).packets == packets


def test_a_wrong_length_costs_one_packet(file: Path) -> None:
    packets = packets_of(8, 40, (PLAIN,))
    for value in (0, 20, 600, 40_000):
        wrong = packets[9][:4] + value.to_bytes(2, "big") + packets[9][6:]
        scan = found(file, b"".join(between([*packets[:9], wrong, *packets[10:]], PREFIXED)), PREFIXED)
        assert lost(packets, scan.packets) == 1


def test_a_wrong_length_that_leads_to_a_later_prefix_costs_one_packet(file: Path) -> None:
    packets = [build_packet(22, "10" * 8 * 27, number) for number in range(20)]  # 64 bytes with their prefix
    wrong = packets[5][:5] + bytes([packets[5][5] + 64]) + packets[5][6:]
    scan = found(file, b"".join(between([*packets[:5], wrong, *packets[6:]], PREFIXED)), PREFIXED)
    assert scan.packets == packets[:5] + packets[6:]
    assert [(s.offset, s.length, s.reason) for s in scan.stretches] == [(5 * 64 + 4, 60, Reason.BAD_LENGTH)]


def test_unknown_packets_between_markers_make_one_stretch_with_the_markers(file: Path) -> None:
    good = packets_of(9, 2, (FIXED,))
    unknown = [build_packet(700, "1" * 160)] * 3
    scan = found(file, b"".join(between([good[0], *unknown, good[1]], MARKED)), MARKED)
    assert scan.packets == good
    [stretch] = scan.stretches
    assert (stretch.offset, stretch.length, stretch.packets) == (39 + 6 + 4, 3 * 26 + 2 * 6, 3)
    assert (stretch.reason, stretch.apid) == (Reason.UNKNOWN_APID, 700)
    assert scan.overhead == 3 * 6


def test_a_file_that_ends_in_a_packet_or_a_marker_is_accounted_for(file: Path) -> None:
    packets = packets_of(10, 3, (FIXED,))
    content = b"".join(between(packets, MARKED))
    for cut in range(1, 50):
        scan = found(file, content[:-cut], MARKED)
        assert scan.packets == packets[: 3 if cut <= 2 else 2 if cut <= 2 + 39 + 4 + 2 else 1]
    assert found(file, b"", MARKED).packets == []


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_between_markers_costs_no_packet_outside_it(file: Path, kind: str) -> None:
    rng = random.Random(kind)
    packets = packets_of(11, 100)
    wrapped = between(packets, MARKED)
    stops = list(accumulate(map(len, wrapped)))
    content = b"".join(wrapped)
    for _ in range(25):
        changed, start, stop = damaged(rng, content, kind)
        intact = [
            packet for packet, end in zip(packets, stops, strict=True) if end <= start or end - len(packet) - 6 >= stop
        ]
        assert lost(intact, found(file, changed, MARKED).packets) == 0


@given(st.binary(max_size=300), st.integers(0, 3), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_byte_is_accounted_for_in_any_input(file: Path, noise: bytes, packets: int, idle: bool) -> None:
    good = packets_of(12, packets)
    for transport in (MARKED, PREFIXED, Transport(prefix="00"), Transport(idle=True)):
        kept = transport.model_copy(update={"idle": idle})
        found(file, b"".join(between(good, transport)) + noise + b"".join(between(good[::-1], transport)), kept)


def test_idle_packets_are_overhead_where_they_are_declared(file: Path) -> None:
    packets = packets_of(13, 20)
    idle = build_packet(2047, "01010101" * 30)
    content = b"".join(part for packet in packets for part in (packet, idle))
    assert found(file, content, Transport(idle=True)).overhead == 20 * 36
    assert found(file, content, Transport(idle=True)).packets == packets
    undeclared = found(file, content, Transport())
    assert undeclared.overhead == 0
    assert set(undeclared.reasons) == {Reason.UNKNOWN_APID}
    marked = found(
        file, b"".join(between([packets[0], idle, packets[1]], MARKED)), MARKED.model_copy(update={"idle": True})
    )
    assert (marked.packets, marked.overhead, marked.stretches) == (packets[:2], 36 + 18, [])


def test_a_file_shorter_than_its_first_packet_is_quarantined(file: Path) -> None:
    content = PREFIX + b"\0\x15\xc0\0\0\x20\1\2"
    for length in range(1, len(content) + 1):
        scan = found(file, content[:length], PREFIXED)
        assert (scan.packets, sum(s.length for s in scan.stretches) + scan.overhead) == ([], length)
