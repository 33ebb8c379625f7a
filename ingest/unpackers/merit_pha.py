# SPDX-License-Identifier: Apache-2.0
"""Pulse-height events of HERMES/MERiT: as many as the packet says, each with all its fields one after the other.

The packet's CSV has their names, widths and order, as fields of variable length. Such fields stand one behind another,
each with the values of all events; here all fields of one event stand together, which no CSV can say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ingest.bits import Octets, Positions, bits_at, typed
from ingest.unpack import Column
from ingest.unpackers import Extra
from lake.clock import NS
from lake.errors import DefinitionError
from lake.packet_definitions import HEADER_BITS, Packet, PacketField

OFFSET = "t_offset"  # its full range is one second


@dataclass(frozen=True)
class Layout:
    """Bits before the events, of one event and behind them; each field of an event with the bit at which it begins."""

    before: int
    event: int
    behind: int
    count: str
    fields: tuple[tuple[PacketField, int], ...]


def unpacker(packet: Packet) -> Callable[[Octets, Positions, Positions, dict[str, Column]], Extra]:
    """The unpacker of a packet definition. Raises DefinitionError if its events cannot be told."""
    return partial(_unpack, layout_of(packet))


def layout_of(packet: Packet) -> Layout:
    """Where the events and their fields stand. Raises DefinitionError if the definition does not say it."""
    parts = [field for field in packet.fields if field.variable]
    counts = {field.length_field or "" for field in parts}
    if len(counts) != 1 or "" in counts or OFFSET not in {field.name for field in parts}:
        raise DefinitionError(
            f"packet {packet.name}: the fields of an event need one and the same length field, and one is {OFFSET}. "
            "Correct the packet's CSV."
        )
    at = packet.fields.index(parts[0])
    if packet.fields[at : at + len(parts)] != tuple(parts):
        raise DefinitionError(f"packet {packet.name}: a fixed field stands between those of an event. Move it.")
    before, behind = (sum(f.bits * f.items for f in g) for g in (packet.fields[:at], packet.fields[at + len(parts) :]))
    starts = list(accumulate((field.bits for field in parts), initial=0))
    named = tuple((field, start) for field, start in zip(parts, starts, strict=False) if field.kind != "fill")
    return Layout(HEADER_BITS + before, starts[-1], behind, counts.pop(), named)


def _unpack(layout: Layout, data: Octets, offsets: Positions, lengths: Positions, columns: dict[str, Column]) -> Extra:
    """The columns of the events, one after the other; packets are bad whose size does not fit their count."""
    counts = np.asarray(columns[layout.count], np.int64)
    bad = 8 * lengths != layout.before + layout.event * counts + layout.behind
    counts = np.where(bad, 0, counts)
    number = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.repeat(8 * offsets + layout.before, counts) + layout.event * number
    event: dict[str, NDArray[np.generic]] = {
        field.name: typed(bits_at(data, at + start, field.bits), field) for field, start in layout.fields
    }
    per_second = 1 << next(field.bits for field, _ in layout.fields if field.name == OFFSET)
    ticks = event[OFFSET].astype(np.int64)
    event["t_offset_ns"] = ((2 * ticks * NS + per_second) // (2 * per_second)).astype(np.int32)
    event["event_number"] = number.astype(np.int16)
    return Extra({}, event, counts, bad)
