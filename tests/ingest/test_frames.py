# SPDX-License-Identifier: Apache-2.0
"""Packets in TM and AOS transfer frames."""

from __future__ import annotations

import random
from binascii import crc_hqx
from pathlib import Path

import numpy as np
import pytest

from ingest.ccsds import Reason
from ingest.transport.forms import packet_chunks
from ingest.transport.frames import frame_chunks
from ingest.transport.sliding_crc import sliding_crc_good
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.reading import scan
from lake.source_definitions import Frames, Transport
from lake.store import Lake
from tests.chunks import DAMAGE, Found, damaged, lost
from tests.ingest.test_transport import CHECKED, FIXED, PLAIN, TYPES, packet_of, packets_of
from tests.meddea import drop, take, unbalanced
from tests.packets import build_packet
from tests.toy import write_missions
from tests.transfer_frames import Link

ASM = "1acffc1d"
FORMS: dict[str, tuple[Frames, bytes, bool, int]] = {
    "tm": (Frames(kind="tm", length=1115, sync=ASM, error_control=True, spacecraft=42), b"\x03abc", True, 42),
    "tm without markers": (Frames(kind="tm", length=256, error_control=True), b"", False, 42),
    "tm without a CRC": (Frames(kind="tm", length=300, sync=ASM), b"", False, 42),
    "bare tm": (Frames(kind="tm", length=300, spacecraft=42), b"", True, 42),
    "aos": (
        Frames(
            kind="aos",
            length=1024,
            sync=ASM,
            spacecraft=700,
            insert_zone=3,
            header_error_control=True,
            operational_control=True,
            error_control=True,
        ),
        b"",
        False,
        700,
    ),
    "aos without markers": (Frames(kind="aos", length=200, error_control=True, spacecraft=42), b"", False, 42),
    "aos without a CRC": (Frames(kind="aos", length=500, sync=ASM), b"", False, 42),
    "bare aos": (Frames(kind="aos", length=500, spacecraft=42), b"", False, 42),
}
TM = Frames(kind="tm", length=128, sync=ASM, error_control=True, spacecraft=42)
AOS = Frames(kind="aos", length=128, sync=ASM, error_control=True, spacecraft=42)


def link_of(form: str, count: int = 100, channels: tuple[int, ...] = (0, 1, 5)) -> Link:
    """A link that has sent packets of all types over some channels, idle packets and idle frames among them."""
    frames, secondary, ocf, spacecraft = FORMS[form]
    link, rng = Link(frames, spacecraft, ocf, secondary), random.Random(form)
    for number in range(count):
        link.send(rng.choice(channels), packet_of(rng, number, rng.choice(TYPES)))
        if rng.random() < 0.1:
            link.idle(63 if frames.kind == "aos" and rng.random() < 0.5 else rng.choice(channels))
        if rng.random() < 0.1:
            link.send(rng.choice(channels), build_packet(2047, "01010101" * rng.randrange(1, 90)))
    return link


def sent(link: Link) -> list[bytes]:
    return [packet for packet, _ in link.packets() if packet[:2] != b"\x07\xff"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "frames.bin"


def found(file: Path, content: bytes, frames: Frames) -> Found:
    file.write_bytes(content)
    return Found(packet_chunks(file, TYPES, Transport(frames=frames)), len(content))


@pytest.mark.parametrize("form", FORMS)
def test_packets_are_put_together_from_the_frames_of_each_channel(file: Path, form: str) -> None:
    link = link_of(form)
    scan = found(file, link.file, link.frames)
    assert sorted(scan.packets) == sorted(sent(link))
    # What is left are the packets that were not sent to their end.
    assert set(scan.reasons) <= {Reason.TRUNCATED}


@pytest.mark.parametrize("form", ["tm", "bare tm", "aos without markers"])
def test_where_chunks_are_cut_makes_no_difference(file: Path, form: str) -> None:
    rng, link = random.Random(form), link_of(form)
    content = link.file
    for _ in range(6):
        content, *_ = damaged(rng, content, rng.choice(DAMAGE[:-1]))
    whole = found(file, content, link.frames)
    for chunk_bytes in (1, 3000, 20_001):
        part = Found(frame_chunks(file, TYPES, link.frames, chunk_bytes), len(content))
        assert (part.places, part.packets) == (whole.places, whole.packets)
        # A stretch over several frames may be told in more parts.
        assert sum(s.length for s in part.stretches) <= sum(s.length for s in whole.stretches)
        assert {s.reason for s in part.stretches} == {s.reason for s in whole.stretches}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_costs_no_packet_outside_the_frames_that_it_touches(file: Path, form: str, kind: str) -> None:
    rng, link = random.Random(form + kind), link_of(form, 60)
    content, stride = link.file, len(link.sent[0])
    for _ in range(6):
        changed, start, stop = damaged(rng, content, kind)
        touched = range(start // stride, max(start, stop - 1) // stride + 1)
        intact = [packet for packet, numbers in link.packets() if not set(numbers) & set(touched)]
        intact = [packet for packet in intact if packet[:2] != b"\x07\xff"]
        scan = found(file, changed, link.frames)
        assert lost(intact, scan.packets) == 0
        if link.frames.error_control and kind != "swap":
            assert lost(scan.packets, sent(link)) == 0


def long_packet(number: int, frames: int, room: int) -> bytes:
    """A packet that begins in one frame and ends in the last but for a few bytes of `frames`."""
    return build_packet(22, "10100101" * (frames * room - 6 - 7), number)


@pytest.mark.parametrize("frames", [TM, AOS], ids=["tm", "aos"])
def test_a_missing_frame_costs_the_packets_in_it_and_says_so(file: Path, frames: Frames) -> None:
    link = Link(frames)
    for number in range(4):
        link.send(1, long_packet(number, 3, link.room))
    link.send(1, build_packet(22, "1" * 8 * 200, 4))
    stride = len(link.sent[0])
    packets = [packet for packet, _ in link.packets()]
    content = link.file[: 4 * stride] + link.file[5 * stride :]
    scan = found(file, content, frames)
    assert scan.packets == [packets[0], *packets[2:4]]
    gaps = [stretch for stretch in scan.stretches if stretch.reason is Reason.FRAME_GAP]
    assert len(gaps) == 2
    assert gaps[0].detail == "the beginning of a packet: 1 frame of virtual channel 1 missing"
    assert gaps[1].detail == "the end of a packet: 1 frame of virtual channel 1 missing"
    # What is quarantined touches, but for the trailer of one frame and the header of the next.
    head = stride - 2 - link.room
    assert gaps[0].offset + gaps[0].length + 2 + head == gaps[1].offset == 4 * stride + head


def test_a_packet_that_began_before_the_file_is_told(file: Path) -> None:
    link = Link(TM)
    for number in range(3):
        link.send(3, long_packet(number, 4, link.room))
    scan = found(file, b"".join(link.sent[2:]), TM)
    assert scan.packets == [packet for packet, _ in link.packets()][1:]
    assert scan.stretches[0].detail == "the end of a packet: virtual channel 3 has no frame before"


@pytest.mark.parametrize("frames", [TM, AOS], ids=["tm", "aos"])
def test_frame_counts_run_over(file: Path, frames: Frames) -> None:
    link = Link(frames, counts={2: 2 ** (8 if frames.kind == "tm" else 24) - 3})
    packets = packets_of("wrap", 10, (PLAIN,))
    for packet in packets:
        link.send(2, packet)
    assert found(file, link.file, frames).packets == [packet for packet, _ in link.packets()]


def test_bad_frames_are_quarantined_whole_with_what_is_wrong(file: Path) -> None:
    link, other = Link(TM), Link(TM, spacecraft=7)
    for number in range(9):
        link.send(0, build_packet(21, "1" * 264, number))
        other.send(0, build_packet(21, "0" * 264, number))
    frames = list(link.sent)
    frames[0] = frames[0][:40] + bytes([frames[0][40] ^ 1]) + frames[0][41:]
    frames.insert(2, other.sent[0])
    scan = found(file, b"".join(frames), TM)
    bad = [(s.offset, s.length, s.detail) for s in scan.stretches if s.reason is Reason.BAD_FRAME]
    assert bad == [
        (0, 132, "the CRC of the transfer frame is not right"),
        (264, 132, "a transfer frame of spacecraft 7, not 42"),
    ]


def test_a_repeated_frame_repeats_its_packets_and_loses_none(file: Path) -> None:
    link = Link(AOS)
    packets = packets_of("again", 12, (FIXED,))
    for packet in packets:
        link.send(0, packet)
    frames = [*link.sent[:2], link.sent[1], *link.sent[2:]]
    scan = found(file, b"".join(frames), AOS)
    assert set(scan.packets) == {packet for packet, _ in link.packets()}
    assert "goes back" in scan.stretches[0].detail


def test_channels_that_are_not_named_are_left_out(file: Path) -> None:
    link = link_of("aos")
    named = link.frames.model_copy(update={"channels": (1,)})
    scan = found(file, link.file, named)
    numbers = {number for number, channel in enumerate(link.channels) if channel == 1}
    assert scan.packets == [p for p, ns in link.packets() if set(ns) <= numbers and p[:2] != b"\x07\xff"]


def test_a_file_of_no_frames_is_quarantined_whole(file: Path) -> None:
    noise = random.Random(1).randbytes(9000)
    for frames, *_ in FORMS.values():
        assert found(file, noise, frames).packets == []
        assert found(file, bytes(5000), frames).packets == []
        assert found(file, b"\x1a", frames).overhead == 0
        assert found(file, b"", frames).stretches == []


def test_damage_between_frames_without_markers_is_passed_by_their_distance(file: Path) -> None:
    link = link_of("bare tm", 60)
    for extra in (b"\xff", b"\x2a" * 77, bytes(300), bytes(299)):
        content = b"".join(link.sent[:9]) + extra + b"".join(link.sent[9:])
        assert lost(sent(link), found(file, content, link.frames).packets) == 0


@pytest.mark.parametrize("form", ["tm without a CRC", "bare tm", "bare aos"])
def test_a_frame_that_lost_bytes_costs_no_other_frame_wherever_chunks_are_cut(file: Path, form: str) -> None:
    link = link_of(form, 40)
    stride = len(link.sent[0])
    for number in range(3, 12):
        content = b"".join([*link.sent[:number], link.sent[number][:-10], *link.sent[number + 1 :]])
        intact = [packet for packet, ns in link.packets() if number not in ns and packet[:2] != b"\x07\xff"]
        file.write_bytes(content)
        for chunk_bytes in (1, 5 * stride, 1 << 20):
            scan = Found(frame_chunks(file, TYPES, link.frames, chunk_bytes), len(content))
            assert lost(intact, scan.packets) == 0
            assert Reason.BAD_FRAME in scan.reasons


@pytest.mark.parametrize("count", [6, 9])
def test_a_good_frame_behind_bad_ones_is_found_without_its_marker(file: Path, count: int) -> None:
    link = Link(TM)
    for packet in packets_of("bad ones", 30, (FIXED,)):
        link.send(0, packet)
    frames = link.sent[:count]
    for number in (3, 4):
        frames[number] = frames[number][:50] + b"?????" + frames[number][55:]
    frames[5] = b"\0" + frames[5][1:]
    scan = found(file, b"".join(frames), TM)
    intact = [packet for packet, ns in link.packets() if not {3, 4} & set(ns) and max(ns) < count]
    assert lost(intact, scan.packets) == 0
    assert [(s.offset, s.length) for s in scan.stretches if s.reason is Reason.JUNK] == [(5 * 132, 4)]
    bad = [(s.offset, s.length) for s in scan.stretches if s.reason is Reason.BAD_FRAME]
    assert bad == [(3 * 132, 2 * 132)]


def test_a_damaged_marker_within_a_stretch_is_told_apart(file: Path) -> None:
    link = Link(TM)
    for number in range(6):
        link.send(0, build_packet(700, "1" * 8 * link.room, number))  # no definition names it
    frames = list(link.sent)
    frames[3] = b"\0" + frames[3][1:]
    scan = found(file, b"".join(frames), TM)
    unknown = [s for s in scan.stretches if s.reason is Reason.UNKNOWN_APID]
    assert len(unknown) == 2
    assert unknown[0].offset + unknown[0].length + 2 == 3 * 132
    assert [(s.offset, s.length) for s in scan.stretches if s.reason is Reason.JUNK] == [(3 * 132, 4)]


@pytest.mark.parametrize("form", ["tm without a CRC", "aos without a CRC"])
def test_a_frame_with_a_damaged_marker_is_good_wherever_chunks_are_cut(file: Path, form: str) -> None:
    link = link_of(form)
    content = b"".join(b"\0" + frame[1:] if n in (0, 1, 5, 30) else frame for n, frame in enumerate(link.sent))
    file.write_bytes(content)
    for chunk_bytes in (1, 5 * len(link.sent[0]), 1 << 22):
        scan = Found(frame_chunks(file, TYPES, link.frames, chunk_bytes), len(content))
        assert sorted(scan.packets) == sorted(sent(link))
        assert Reason.BAD_FRAME not in scan.reasons


def test_a_lone_frame_without_its_marker_is_not_believed(file: Path) -> None:
    link = link_of("tm without a CRC", 10)
    scan = found(file, b"\0" + link.sent[0][1:], link.frames)
    assert [s.detail for s in scan.stretches] == ["a transfer frame without a good one before or behind it"]


@pytest.mark.parametrize("length", [16, 1115, 4096])
def test_the_crc_of_all_places_at_once_is_that_of_each(length: int) -> None:
    octets = bytearray(random.Random(length).randbytes(9000) + bytes(9000))
    for place in (0, 77, 5000, 8990, len(octets) - length):
        octets[place + length - 2 : place + length] = crc_hqx(octets[place : place + length - 2], 0xFFFF).to_bytes(2)
    good = sliding_crc_good(np.frombuffer(octets, np.uint8), length)
    expected = [crc_hqx(octets[at : at + length], 0xFFFF) == 0 for at in range(len(octets) - length + 1)]
    assert good.tolist() == expected
    assert sum(expected) >= 3


def test_frames_behind_many_zeros_are_found(file: Path) -> None:
    link = link_of("tm without markers", 60)
    content = b"".join([*link.sent[:5], bytes(50_001), *link.sent[5:]])
    whole = [packet for packet, numbers in link.packets() if max(numbers) < 5 or min(numbers) >= 5]
    scan = found(file, content, link.frames)
    assert lost([packet for packet in whole if packet[:2] != b"\x07\xff"], scan.packets) == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_stretch_over_many_frames_is_one_wherever_chunks_are_cut(file: Path, form: str) -> None:
    frames, secondary, ocf, spacecraft = FORMS[form]
    link = Link(frames, spacecraft, ocf, secondary)
    for number in range(8):
        link.send(1, build_packet(700, "1" * 8 * 2 * link.room, number))  # no definition names it
    file.write_bytes(link.file)
    whole, *parts = (Found(frame_chunks(file, TYPES, frames, size), len(link.file)) for size in (1 << 22, 1, 6000))
    for part in parts:
        assert (part.stretches, part.overhead) == (whole.stretches, whole.overhead)


def test_a_checksummed_packet_over_many_frames_stays_whole(file: Path) -> None:
    link = Link(AOS)
    packets = packets_of("long", 20, (CHECKED,))
    for packet in packets:
        link.send(4, packet)
    scan = found(file, link.file, AOS)
    assert scan.packets == [packet for packet, _ in link.packets()]
    assert scan.places == sorted(scan.places)


def test_frames_come_into_the_lake_with_their_books_in_order(tmp_path: Path) -> None:
    missions = write_missions(tmp_path / "missions")
    path = missions / "toy/box/instrument.yaml"
    frames = "{kind: aos, length: 60, sync: 1acffc1d, error_control: true, spacecraft: 42}"
    path.write_text(path.read_text() + f"transports:\n  - {{files: ['toy_box_*'], frames: {frames}}}\n")
    (tmp_path / "lake").mkdir()
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    link = Link(Frames(kind="aos", length=60, sync=ASM, error_control=True))
    for count in range(40):
        link.send(0, build_packet(7, f"{779_760_005 + count:032b}{count:016b}", count))
    frames_sent = [*link.sent[:3], *link.sent[4:]]
    intake = take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120000_v0.bin", *frames_sent))
    assert unbalanced(lake) == []
    assert set(read_ops(lake, "quarantine")["reason"]) == {Reason.FRAME_GAP, Reason.TRUNCATED}
    rows = scan(lake, lake.definitions.tables["toy.box_l0_tick"]).collect().sort("byte_offset")
    whole = [packet for packet, numbers in link.packets() if 3 not in numbers]
    assert rows["value"].to_list() == [int.from_bytes(packet[-2:]) for packet in whole]
    content = b"".join(frames_sent)
    assert all(content[at : at + 2] == b"\0\7" for at in rows["byte_offset"])
    assert intake.missing == len(link.packets()) - len(whole)
