# SPDX-License-Identifier: Apache-2.0
"""Pulse-height events of MERiT, written bit by bit and taken apart again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ingest.unpack import compile_plan, unpack
from ingest.unpackers import Extra, unpacker_of
from lake.errors import DefinitionError
from lake.packet_definitions import Packet
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


def unpacked(*packets: bytes, packet: Packet = PACKET) -> Extra:
    data = np.frombuffer(b"".join(packets), np.uint8)
    lengths = np.array([len(p) for p in packets], np.int64)
    offsets = np.cumsum(lengths) - lengths
    columns = unpack(compile_plan(packet), data, offsets, lengths)
    assert not columns.short.any()
    function = unpacker_of(packet)
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


def test_the_widths_and_order_of_an_event_s_fields_are_those_of_the_definition() -> None:
    """An event of 48 bits: two heights less, species before head, and an offset of 12 bits: 1/4096 s."""
    widths = {"head": 3, "species": 5, "event_spare": 8, "t_offset": 12, "pha_apd": 11, "pha_ssd1": 9}
    fields = {field.name: field for field in PACKET.fields}
    order = ["seconds", "subseconds", "n_events", "species", "head", "event_spare", "t_offset", "pha_apd", "pha_ssd1"]
    parts = [fields[n].model_copy(update={"bits": widths.get(n, fields[n].bits)}) for n in (*order, "checksum")]
    bits = f"{0:048b}{2:016b}"
    for values in ((17, 5, 255, 2048, 2047, 511), (3, 1, 0, 1, 1024, 256)):
        bits += "".join(format(value, f"0{widths[name]}b") for name, value in zip(order[3:], values, strict=True))
    extra = unpacked(build_packet(385, bits + "0" * 16), packet=PACKET.model_copy(update={"fields": tuple(parts)}))
    found = {name: values.tolist() for name, values in extra.event.items()}
    assert found.pop("t_offset_ns") == [500_000_000, 244_141]
    assert found.pop("event_number") == [0, 1]
    assert found == {
        "species": [17, 3],
        "head": [5, 1],
        "t_offset": [2048, 1],
        "pha_apd": [2047, 1024],
        "pha_ssd1": [511, 256],
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"head": {"length_field": "seconds"}}, "one and the same length field"),
        ({"t_offset": {"name": "time"}}, "one is t_offset"),
        ({"event_spare": {"length_field": None}}, "stands between those of an event"),
    ],
)
def test_a_definition_that_tells_no_event_is_refused(change: dict[str, dict[str, Any]], reason: str) -> None:
    fields = tuple(field.model_copy(update=change.get(field.name, {})) for field in PACKET.fields)
    with pytest.raises(DefinitionError, match=reason):
        unpacker_of(PACKET.model_copy(update={"fields": fields}))


def test_the_layouts_have_the_sizes_of_the_interface() -> None:
    assert (MERIT.packet("counts").min_bytes, MERIT.packet("counts").max_bytes) == (154, 154)
    assert PACKET.min_bytes == 16
    assert len(pha_packet(EVENTS)) == 16 + 8 * len(EVENTS)
