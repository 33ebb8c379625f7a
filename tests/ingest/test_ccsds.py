# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import random
from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.ccsds import Reason, Stretch, scan_packets
from lake.errors import PacketError
from lake.packet_definitions import Packet, PacketField
from tests.packets import build_packet, seal
from tests.shared_data import telemetry_root

ROOT = Path(__file__).parents[2]
TELEMETRY = telemetry_root() / "padre" / "meddea"


def _rng(seed: object) -> random.Random:
    return random.Random(str(seed))


def _words(name: str, *shape: int, expand: bool = False) -> PacketField:
    return PacketField(name=name, kind="uint", bits=16, shape=shape, expand=expand)


PHOTON = Packet(
    name="photon",
    apids=(160,),
    fields=(_words("start", 7), _words("checksum"), _words("events", expand=True)),
    max_bytes=1300,
    checksum="xor16",
)
SPECTRUM = Packet(name="spectrum", apids=(162,), fields=(_words("all", 12_321),), max_bytes=24_648, checksum="xor16")
HOUSEKEEPING = Packet(name="hk", apids=(163,), fields=(_words("all", 17),), max_bytes=40, checksum="xor16")
CHECKED = (PHOTON, SPECTRUM, HOUSEKEEPING)
BLOB = Packet(
    name="blob",
    apids=(19, 20),
    fields=(
        PacketField(name="counter", kind="uint", bits=48),
        PacketField(name="rest", kind="bytes", bits=8, expand=True),
    ),
    max_bytes=3000,
    version=5,
    secondary_header=1,
)
SMALL = Packet(name="small", apids=(21,), fields=(_words("all", 33),), max_bytes=72, version=5, secondary_header=1)
UNCHECKED = (BLOB, SMALL)


def _octets(name: str, count: int) -> PacketField:
    return PacketField(name=name, kind="uint", bits=8, shape=(count,))


ELECTRONS = Packet(
    name="electrons",
    apids=(260,),
    fields=(_octets("all", 64), _words("checksum")),
    max_bytes=72,
    secondary_header=1,
    checksum="byte_sum",
    checksum_first_byte=14,
)
FIELD = Packet(  # an odd number of bytes
    name="field",
    apids=(137,),
    fields=(_octets("all", 1121), _words("checksum")),
    max_bytes=1129,
    secondary_header=1,
    checksum="fletcher255",
    checksum_first_byte=12,
)
PULSES = Packet(
    name="pulses",
    apids=(385, 386),
    fields=(_octets("time", 6), _words("pulses", expand=True), _words("checksum")),
    max_bytes=900,
    checksum="fletcher255",
    checksum_first_byte=6,
)
SUMMED = (ELECTRONS, FIELD, PULSES)


class Scan:
    """Everything found in a file, with the accounting checked."""

    def __init__(self, file: bytes, packets: tuple[Packet, ...], chunk_bytes: int = 6 << 20) -> None:
        self.places: list[tuple[int, int, int]] = []
        self.stretches: list[Stretch] = []
        self.packets: list[bytes] = []
        for chunk in scan_packets(io.BytesIO(file), packets, chunk_bytes):
            starts, lengths = chunk.offsets.tolist(), chunk.lengths.tolist()
            for start, length, kind in zip(starts, lengths, chunk.types.tolist(), strict=True):
                self.places.append((start + chunk.base, length, kind))
                self.packets.append(chunk.data[start : start + length].tobytes())
            self.stretches += chunk.stretches
        assert self.packets == [file[o : o + n] for o, n, _ in self.places]
        position = 0
        ranges = [(o, n) for o, n, _ in self.places] + [(s.offset, s.length) for s in self.stretches]
        for offset, length in sorted(ranges):
            assert offset == position
            assert length > 0
            position += length
        assert position == len(file)

    @property
    def reasons(self) -> list[Reason]:
        return [stretch.reason for stretch in self.stretches]


def _random_packet(rng: random.Random, number: int, packet: Packet) -> bytes:
    longest = min(packet.max_bytes, 1200)
    size = rng.randrange(packet.min_bytes + 2, longest) // 2 * 2 if packet.variable else packet.min_bytes
    header = build_packet(rng.choice(packet.apids), "0" * 8, number, packet.version, packet.secondary_header)
    octets = header[:4] + (size - 7).to_bytes(2, "big") + rng.randbytes(size - 6)
    return _sealed(octets, packet)


def _sealed(octets: bytes, packet: Packet) -> bytes:
    """The bytes with the checksum that the packet's definition asks for, computed byte by byte."""
    if packet.checksum is None:
        return octets
    if packet.checksum == "xor16":
        return seal(octets, 20)
    covered = octets[packet.checksum_first_byte : -2]
    if packet.checksum == "byte_sum":
        return octets[:-2] + (sum(covered) % 65_536).to_bytes(2, "big")
    running = list(accumulate(covered, initial=0))
    return octets[:-2] + bytes([sum(running) % 255, running[-1] % 255])


def _file(rng: random.Random, types: tuple[Packet, ...], count: int, weights: tuple[int, ...]) -> list[bytes]:
    return [_random_packet(rng, n, rng.choices(types, weights)[0]) for n in range(count)]


def _hk(number: int = 0) -> bytes:
    return _random_packet(_rng(number), number, HOUSEKEEPING)


def _unknown(apid: int, size: int, fill: bytes = b"\x11", version: int = 0) -> bytes:
    return build_packet(apid, "0" * 8, version=version)[:4] + (size - 7).to_bytes(2, "big") + fill * (size - 6)


def test_nothing_is_found_in_an_empty_file() -> None:
    assert list(scan_packets(io.BytesIO(b""), CHECKED)) == []


def test_packets_of_all_types_are_found_in_order() -> None:
    packets = _file(_rng(1), CHECKED, 300, (5, 1, 5))
    scan = Scan(b"".join(packets), CHECKED)
    assert scan.packets == packets
    assert scan.stretches == []
    apids = {160: 0, 162: 1, 163: 2}
    assert [kind for *_, kind in scan.places] == [apids[packet[1]] for packet in packets]


def test_long_runs_of_equal_lengths_end_where_they_end() -> None:
    packets = [_hk(n) for n in range(500)] + [_random_packet(_rng(2), 7, PHOTON)]
    packets += [_hk(n) for n in range(77)]
    assert Scan(b"".join(packets), CHECKED).packets == packets


def test_two_types_cannot_claim_one_apid() -> None:
    with pytest.raises(PacketError, match="both claim APID 163"):
        list(scan_packets(io.BytesIO(b"x"), (HOUSEKEEPING, HOUSEKEEPING)))


def test_a_bad_checksum_costs_one_packet() -> None:
    packets = [_hk(n) for n in range(5)]
    damaged = packets[2][:30] + bytes([packets[2][30] ^ 4]) + packets[2][31:]
    scan = Scan(b"".join([*packets[:2], damaged, *packets[3:]]), CHECKED)
    assert scan.packets == packets[:2] + packets[3:]
    assert [(s.offset, s.length, s.reason, s.apid) for s in scan.stretches] == [(80, 40, Reason.CHECKSUM, 163)]


@pytest.mark.parametrize(
    ("packet", "detail"),
    [
        (HOUSEKEEPING, "XOR of the 16-bit words of the packet of APID 163 is not 0"),
        (ELECTRONS, "the byte sum of the packet of APID 260 is not what its last 16 bits say"),
        (FIELD, "the Fletcher checksum of the packet of APID 137 is not what its last 16 bits say"),
    ],
)
def test_a_bad_checksum_is_told_by_its_kind(packet: Packet, detail: str) -> None:
    packets = [_random_packet(_rng(n), n, packet) for n in range(3)]
    damaged = packets[1][:-5] + bytes([packets[1][-5] ^ 1]) + packets[1][-4:]
    scan = Scan(packets[0] + damaged + packets[2], (*CHECKED, *SUMMED))
    assert [(s.reason, s.detail) for s in scan.stretches] == [(Reason.CHECKSUM, detail)]


@pytest.mark.parametrize("packet", SUMMED, ids=lambda packet: packet.name)
def test_every_byte_that_a_sum_covers_counts(packet: Packet) -> None:
    before, one, after = (_random_packet(_rng(n), n, packet) for n in range(3))
    for at in range(6, len(one)):
        damaged = one[:at] + bytes([one[at] ^ 1]) + one[at + 1 :]
        covered = at >= packet.checksum_first_byte
        assert (Scan(before + damaged + after, SUMMED).reasons == [Reason.CHECKSUM]) is covered


def test_a_packet_cut_off_by_the_end_of_the_file_is_truncated() -> None:
    for kept in (2, 5, 6, 39):
        scan = Scan(_hk() + _hk(1)[:kept], CHECKED)
        assert [(s.offset, s.length, s.reason) for s in scan.stretches] == [(40, kept, Reason.TRUNCATED)]


def test_a_wrong_length_costs_one_packet() -> None:
    packets = _file(_rng(3), (PHOTON,), 30, (1,))
    damaged = packets[9][:4] + (1200).to_bytes(2, "big") + packets[9][6:]
    scan = Scan(b"".join([*packets[:9], damaged, *packets[10:]]), CHECKED)
    assert scan.packets == packets[:9] + packets[10:]
    assert [(s.length, s.reason) for s in scan.stretches] == [(len(damaged), Reason.BAD_LENGTH)]


def test_a_length_that_the_definition_forbids_is_a_bad_length() -> None:
    scan = Scan(_hk() + _hk(1)[:5] + b"\x07" + _hk(1)[6:] + _hk(2), CHECKED)
    assert scan.reasons == [Reason.BAD_LENGTH]
    assert "length field says 14 bytes, allowed 40 to 40" in scan.stretches[0].detail


def test_zeros_never_pass_as_packets() -> None:
    zero = Packet(name="zero", apids=(0,), fields=(PacketField(name="x", kind="uint", bits=8),), max_bytes=7)
    for packets in (CHECKED, (zero,), (*CHECKED, zero)):
        scan = Scan(bytes(100_000), packets)
        assert scan.packets == []
        assert scan.stretches == [Stretch(0, 100_000, Reason.ALL_ZERO, scan.stretches[0].detail)]


def test_zeros_between_packets_end_before_a_header_that_begins_with_zero() -> None:
    scan = Scan(_hk() + bytes(1000) + _hk(1) + bytes(90), CHECKED)
    assert len(scan.packets) == 2
    assert [(s.offset, s.length, s.reason) for s in scan.stretches] == [
        (40, 1000, Reason.ALL_ZERO),
        (1080, 90, Reason.ALL_ZERO),
    ]


def test_junk_at_either_end_is_tolerated() -> None:
    scan = Scan(b"\xff" * 90 + _hk() + _hk(1) + b"\xff" * 90, CHECKED)
    assert len(scan.packets) == 2
    assert [(s.offset, s.length, s.reason) for s in scan.stretches] == [
        (0, 90, Reason.JUNK),
        (170, 90, Reason.JUNK),
    ]


def test_adjacent_packets_of_an_unknown_apid_make_one_stretch() -> None:
    file = _hk() + _unknown(7, 50) * 3 + _unknown(8, 20) + _hk(1) + _unknown(7, 30)
    scan = Scan(file, CHECKED)
    assert [(s.offset, s.length, s.apid, s.packets) for s in scan.stretches] == [
        (40, 150, 7, 3),
        (190, 20, 8, 1),
        (250, 30, 7, 1),
    ]
    assert set(scan.reasons) == {Reason.UNKNOWN_APID}
    assert scan.stretches[0].detail == "3 packets of APID 7, which no definition names"


def test_an_unknown_packet_never_hides_good_ones() -> None:
    packets = [_hk(n) for n in range(20)]
    liar = _unknown(7, 50)[:4] + (500).to_bytes(2, "big") + _unknown(7, 50)[6:]
    assert Scan(liar + b"".join(packets), CHECKED).packets == packets


def test_packets_without_a_checksum_are_found_again_by_their_links() -> None:
    packets = _file(_rng(4), UNCHECKED, 60, (1, 1))
    scan = Scan(b"".join(packets[:20]) + b"\xa8\x13junk" * 50 + b"".join(packets[20:]), UNCHECKED)
    assert scan.packets == packets
    assert scan.reasons == [Reason.BAD_LENGTH]


def test_packets_with_checksums_are_found_between_markers_of_any_kind() -> None:
    packets = _file(_rng(7), CHECKED, 200, (6, 1, 6))
    scan = Scan(b"".join(b"\x1a\xcf\xfc\x1d" + packet for packet in packets), CHECKED)
    assert scan.packets == packets
    assert [(s.length, s.reason) for s in scan.stretches] == [(4, Reason.JUNK)] * 200


@given(st.binary(max_size=400), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_byte_is_accounted_for_in_any_input(noise: bytes, packets: int) -> None:
    file = b"".join(_hk(n) for n in range(packets)) + noise + _random_packet(_rng(9), 9, ELECTRONS) + _hk(9)
    for types in (CHECKED, SUMMED, UNCHECKED, (*CHECKED, *SUMMED, *UNCHECKED), ()):
        Scan(file, types)


def _damage(rng: random.Random, file: bytes, kind: str) -> bytes:
    place, size = rng.randrange(len(file)), rng.choice((1, 2, 7, 40, 900, 3000))
    before, after = file[:place], file[place:]
    return (
        before
        + {
            "flip": bytes([after[0] ^ 1 << rng.randrange(8)]) + after[1:],
            "drop": after[size:],
            "insert": rng.randbytes(size) + after,
            "insert zeros": bytes(size) + after,
            "zero": bytes(len(after[:size])) + after[size:],
            "swap": after[size : 2 * size] + after[:size] + after[2 * size :],
            "cut": b"",
        }[kind]
    )


DAMAGE = ("flip", "drop", "insert", "insert zeros", "zero", "swap", "cut")


def _touched(packets: list[bytes], damaged: bytes, found: list[bytes]) -> int:
    """Number of intact packets that are in the damaged file but were not found."""
    left = Counter(packet for packet in packets if packet in damaged)
    return (left - Counter(found)).total()


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize(("types", "weights"), [(CHECKED, (6, 1, 6)), (SUMMED, (6, 2, 4)), (UNCHECKED, (1, 1))])
def test_damage_costs_two_intact_packets_at_most(
    kind: str, types: tuple[Packet, ...], weights: tuple[int, ...]
) -> None:
    rng = _rng(f"{kind} {len(types)}" if types is not SUMMED else f"{kind} summed")
    packets = _file(rng, types, 150, weights)
    file = b"".join(packets)
    for _ in range(30):
        damaged = _damage(rng, file, kind)
        scan = Scan(damaged, types)
        assert _touched(packets, damaged, scan.packets) <= 2
        if types is CHECKED and kind != "swap":
            assert set(scan.packets) <= set(packets)
        if types is SUMMED and kind != "swap":  # headers and times are not covered
            assert {packet[14:] for packet in scan.packets} <= {packet[14:] for packet in packets}


def test_damage_in_many_places_costs_two_packets_each_at_most() -> None:
    rng = _rng(5)
    packets = _file(rng, CHECKED, 2000, (6, 0, 6))
    file = b"".join(packets)
    for _ in range(40):
        file = _damage(rng, file, rng.choice(DAMAGE[:-1]))
    assert _touched(packets, file, Scan(file, CHECKED).packets) <= 80


@pytest.mark.parametrize("types", [CHECKED, SUMMED, (*CHECKED[:1], *SUMMED[:2]), UNCHECKED])
def test_where_chunks_are_cut_makes_no_difference(types: tuple[Packet, ...]) -> None:
    rng = _rng(6)
    version = types[0].version
    parts = _file(rng, types, 1500, (6, 1, 6)[: len(types)])
    for _ in range(60):
        unknown = _unknown(rng.randrange(300, 310), rng.randrange(7, 3000), rng.randbytes(1), version)
        parts.insert(rng.randrange(len(parts)), unknown * rng.randrange(1, 4))
    parts.insert(700, bytes(700_000))
    parts.insert(1100, rng.randbytes(600_000))
    file = b"".join(parts)
    for _ in range(40):
        file = _damage(rng, file, rng.choice(DAMAGE[:-1]))
    whole = Scan(file, types, len(file) * 2)
    assert len(whole.packets) > 1300
    for chunk_bytes in (10_000, 65_536, 300_001, 1 << 20):
        part = Scan(file, types, chunk_bytes)
        assert part.places == whole.places
        assert part.stretches == whole.stretches


def test_streams_that_return_few_bytes_at_a_time_are_read_to_the_end() -> None:
    class Dribble(io.BytesIO):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            return super().readinto(buffer[:1000])

    packets = [_hk(n) for n in range(200)]
    chunks = list(scan_packets(Dribble(b"".join(packets)), CHECKED, 1000))
    assert sum(len(chunk.offsets) for chunk in chunks) == 200


REAL_FILES = {
    "padreMDA0_240916122901.dat": [1162, 1180, 1186, 1162],
    "padreMDA2_240916122851.dat": [24_648] * 4,
    "padreMDU8_240916122904.dat": [40] * 4,
}


def _real(name: str) -> bytes:
    if not (TELEMETRY / name).exists():
        pytest.skip(f"no {TELEMETRY / name}; set SWXLAKE_TELEMETRY to the folder of the telemetry files")
    return (TELEMETRY / name).read_bytes()


@pytest.mark.telemetry
@pytest.mark.parametrize(("name", "sizes"), REAL_FILES.items())
def test_real_files_hold_the_packets_of_the_fact_sheet(name: str, sizes: list[int]) -> None:
    scan = Scan(_real(name), CHECKED)
    assert [length for _, length, _ in scan.places] == sizes
    assert scan.stretches == []


def _electrons() -> bytes:
    file = telemetry_root() / "hermes" / "eea" / "hermes_EEA_l0_2023042-000000_v0.bin"
    if not file.exists():
        pytest.skip(f"no {file}; set SWXLAKE_TELEMETRY to the folder of the telemetry files")
    return file.read_bytes()


@pytest.mark.telemetry
def test_the_real_file_of_electrons_holds_good_byte_sums_only() -> None:
    scan = Scan(_electrons(), SUMMED)
    assert (len(scan.packets), {len(packet) for packet in scan.packets}) == (3051, {72})
    assert scan.stretches == []


@pytest.mark.telemetry
def test_sync_bytes_before_each_packet_are_junk() -> None:
    packets = Scan(_electrons(), SUMMED).packets
    scan = Scan(b"".join(b"\x55\xaa" + packet for packet in packets), SUMMED)
    assert scan.packets == packets
    assert [(s.length, s.reason) for s in scan.stretches] == [(2, Reason.JUNK)] * 3051


@pytest.mark.telemetry
@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_real_files_lose_two_intact_packets_at_most(kind: str) -> None:
    rng = _rng(kind)
    file = b"".join(_real(name) for name in REAL_FILES)
    packets = Scan(file, CHECKED).packets
    for _ in range(40):
        damaged = _damage(rng, file, kind)
        scan = Scan(damaged, CHECKED)
        assert _touched(packets, damaged, scan.packets) <= 2
        # A 16-bit XOR does not see words that change places, nor zeros in place of words whose XOR is 0.
        assert {packet[:6] for packet in scan.packets} <= {packet[:6] for packet in packets}
