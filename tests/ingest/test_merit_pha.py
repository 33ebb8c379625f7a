# SPDX-License-Identifier: Apache-2.0
"""Pulse-height events of MERiT, written bit by bit and taken apart again."""

from __future__ import annotations

import numpy as np

from ingest.unpack import compile_plan, unpack
from ingest.unpackers import unpacker_of
from tests.hermes_merit import MERIT
from tests.packets import build_packet

PACKET = MERIT.packet("pha")
EVENTS = [(0, 1, 0, 1, 2, 3, 4), (1, 2, 65_535, 1023, 0, 512, 1), (1, 3, 32_768, 7, 1023, 0, 1022)]


def pha_packet(events: list[tuple[int, ...]], n_events: int | None = None) -> bytes:
    """A pulse-height packet of these events (head, species, offset, four heights), its checksum 0."""
    widths = (1, 2, 16, 10, 10, 10, 10)
    bits = f"{838_814_469:032b}{12_058:016b}{len(events) if n_events is None else n_events:016b}"
    for head, species, *rest in events:
        bits += f"{head:01b}{species:02b}{'1' * 5}" + "".join(
            format(value, f"0{width}b") for value, width in zip(rest, widths[2:], strict=True)
        )
    return build_packet(385, bits + "0" * 16)


def unpacked(*packets: bytes):
    data = np.frombuffer(b"".join(packets), np.uint8)
    lengths = np.array([len(p) for p in packets], np.int64)
    offsets = np.cumsum(lengths) - lengths
    columns = unpack(compile_plan(PACKET), data, offsets, lengths)
    assert not columns.short.any()
    function = unpacker_of(PACKET)
    assert function is not None
    return function(data, offsets, lengths, dict(columns.columns))


def test_events_are_taken_apart_field_by_field() -> None:
    extra = unpacked(pha_packet(EVENTS[:2]), pha_packet([]), pha_packet(EVENTS[2:]))
    assert extra.counts.tolist() == [2, 0, 1]
    names = ("head", "species", "t_offset", "pha_apd", "pha_ssd1", "pha_ssd2", "pha_ssd3")
    rows = list(zip(*(extra.event[name].tolist() for name in names), strict=True))
    assert rows == EVENTS
    assert extra.event["event_number"].tolist() == [0, 1, 0]
    assert extra.bad is not None
    assert not extra.bad.any()


def test_the_offset_in_nanoseconds_is_the_nearest_to_its_ticks() -> None:
    extra = unpacked(pha_packet(EVENTS))
    assert extra.event["t_offset_ns"].tolist() == [0, 999_984_741, 500_000_000]


def test_a_packet_whose_size_does_not_fit_its_events_gives_none_and_harms_no_other() -> None:
    extra = unpacked(pha_packet(EVENTS[:2], n_events=1), pha_packet(EVENTS[2:]))
    assert extra.bad is not None
    assert extra.bad.tolist() == [True, False]
    assert extra.counts.tolist() == [0, 1]
    assert extra.event["pha_apd"].tolist() == [7]


def test_a_packet_that_promises_more_events_than_it_holds_is_short() -> None:
    data = np.frombuffer(pha_packet(EVENTS, n_events=4), np.uint8)
    found = unpack(compile_plan(PACKET), data, np.array([0]), np.array([len(data)]))
    assert found.short.tolist() == [True]


def test_the_layouts_have_the_sizes_of_the_interface() -> None:
    assert (MERIT.packet("counts").min_bytes, MERIT.packet("counts").max_bytes) == (154, 154)
    assert PACKET.min_bytes == 16
    assert len(pha_packet(EVENTS)) == 16 + 8 * len(EVENTS)
